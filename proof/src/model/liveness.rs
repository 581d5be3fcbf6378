//! Whether everybody who is blocked goes on when it could.
//!
//! From every state that can be reached, deaths included, a good end must be within reach of the living alone, without
//! a further death. In a finite graph that is the same as: under a fair choice among all steps, a good end comes. (If it is
//! within reach from everywhere, whoever chooses fairly can't miss it for ever; and if it is not, no choice helps.)
//! Members that look again and again make circles in the graph. So "eventually" as the checker knows it, which follows
//! single paths and stops where they meet, would not do; the whole graph is searched backward from the good ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use stateright::Model;

use super::Broken;

/// A model in which it can be asked whether all go on.
pub trait Fair: Model {
    /// Whether a step is a death, which nobody may count on.
    fn is_death(action: &Self::Action) -> bool;
    /// What happens in a step.
    fn describe(&self, state: &Self::State, action: &Self::Action) -> String;
    /// The promise that is broken here: of such a state nothing more is asked.
    fn broken(state: &Self::State) -> Option<Broken>;
    /// Whether everybody is done, or waits for what can't be had.
    fn is_good_end(&self, state: &Self::State) -> bool;
}

/// What the search found.
pub struct Found<A> {
    /// How many states there are.
    pub states: usize,
    /// The steps to the nearest state from which no good end can be reached.
    pub stuck: Option<Vec<A>>,
}

fn print(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// A hash that is one already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Searches the whole graph, breadth first, then backward.
pub fn search<M: Fair>(model: &M) -> Found<M::Action>
where
    M::State: Hash,
    M::Action: Copy,
{
    let mut numbers: HashMap<u64, u32, BuildHasherDefault<AsItIs>> = HashMap::default();
    // For each state: how it was found first.
    let mut found_by: Vec<Option<(u32, M::Action)>> = Vec::new();
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut good: Vec<u32> = Vec::new();
    let mut layer: Vec<(u32, M::State)> = Vec::new();
    for state in model.init_states() {
        numbers.insert(print(&state), found_by.len() as u32);
        layer.push((found_by.len() as u32, state));
        found_by.push(None);
    }
    let mut actions = Vec::new();
    while !layer.is_empty() {
        let mut next_layer = Vec::new();
        for (number, state) in layer {
            if model.is_good_end(&state) || M::broken(&state).is_some() {
                good.push(number);
            }
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let Some(next) = model.next_state(&state, action) else { continue };
                let fresh = found_by.len() as u32;
                let to = match numbers.entry(print(&next)) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(place) => {
                        place.insert(fresh);
                        found_by.push(Some((number, action)));
                        next_layer.push((fresh, next));
                        fresh
                    }
                };
                if !M::is_death(&action) {
                    edges.push((to, number));
                }
            }
        }
        layer = next_layer;
    }
    drop(numbers);
    let states = found_by.len();
    let reached = backward(states, &mut edges, good);
    let stuck = reached.iter().position(|reached| !reached).map(|mut number| {
        let mut path = Vec::new();
        while let Some((before, action)) = found_by[number] {
            path.push(action);
            number = before as usize;
        }
        path.reverse();
        path
    });
    Found { states, stuck }
}

/// Which states have a way to one of `good`. `edges` lead from a state to one before it.
fn backward(states: usize, edges: &mut [(u32, u32)], good: Vec<u32>) -> Vec<bool> {
    edges.sort_unstable();
    let mut starts = vec![0_usize; states + 1];
    for (to, _) in edges.iter() {
        starts[*to as usize + 1] += 1;
    }
    for number in 0..states {
        starts[number + 1] += starts[number];
    }
    let mut reached = vec![false; states];
    let mut todo = good;
    for number in &todo {
        reached[*number as usize] = true;
    }
    while let Some(number) = todo.pop() {
        for (_, before) in &edges[starts[number as usize]..starts[number as usize + 1]] {
            if !std::mem::replace(&mut reached[*before as usize], true) {
                todo.push(*before);
            }
        }
    }
    reached
}
