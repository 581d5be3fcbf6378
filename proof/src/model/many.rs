//! The ring of many, the roster and the gates, step by step.
//!
//! Each access to a shared word is one step, and so is each question to the kernel, each futex call and each half of a
//! message's writing. A step first does its access, then decides what comes next: such decisions are local, and local
//! steps may be merged with the access before them, because nobody can see whether they have been made.
//!
//! What is left out, and why that hides nothing:
//!
//! - *Spinning.* A glance is the beginning of a claim and changes nothing unless it succeeds.
//! - *When a search is due.* A search for the dead may begin whenever a member waits and somebody is dead; entries
//!   are independent of each other, so it may begin at any of them. What a search reads of an entry before its member dies could
//!   only matter if the entry was used again meanwhile: that is for the members that search at any time ([`Op::Search`]).
//! - *Counters, process ids, laps that come round.* Nothing is decided by the first two, and no run is so long.
//! - *Weak memory.* Steps follow each other. Whether the orderings in the code make them do so is not shown here.

mod end;
mod flow;
mod step;

use std::fmt;

use stateright::{Model, Property};

use super::words::{
    Entry, Frame, Gate, Gathered, MEMBERS, MESSAGES, NOT_EMPTY, NOT_FULL, Run, SLOTS, Side, Slot, Stack, Stamp, Ticket,
};
use super::{Broken, Fair, Mutant, promises};

/// One thing that a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Becomes a member. All others are members from the beginning.
    Attach,
    /// Pushes so many messages, as many at once as there is room for.
    Push(u8),
    /// Takes a slot to write in place, and gives it up.
    Loan,
    /// Pops at most so many with one claim.
    Pop(u8),
    /// Receives a message in place, and is done with it.
    Receive,
    /// Receives a message in place, and drops the receipt.
    HandBack,
    /// Pops until told that the queue is closed.
    Drain,
    /// Closes the queue.
    Close,
    /// Looks for the dead, at any time.
    Search,
    /// Leaves.
    Detach,
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What the tables call it.
    pub name: &'static str,
    /// Slots.
    pub capacity: u8,
    /// What each member does.
    pub scripts: &'static [&'static [Op]],
    /// How many members may die, each between any two steps.
    pub deaths: u8,
    /// Whether who waits goes to sleep; else it looks again and again.
    pub gates: bool,
    /// Whether a sleep may end by itself.
    pub time_outs: bool,
}

/// A scenario, under the protocol as it is or with one thing broken.
#[derive(Debug, Clone, Copy)]
pub struct Many {
    /// What is tried.
    pub scenario: Scenario,
    /// What is broken.
    pub mutant: Option<Mutant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Life {
    #[default]
    Alive,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Member {
    life: Life,
    number: u8,
    /// Its place in its script.
    at: u8,
    stack: Stack,
    side: Side,
    /// Of its operation, how many messages are still to be pushed.
    left: u8,
    /// Messages pushed or given up so far.
    named: u8,
    run: Run,
    orphans_seen: u8,
    slept: bool,
    asked: bool,
    /// The sequence it read when it announced itself, while it looks once more.
    announced: Option<u8>,
    /// It sleeps only because the queue is being drained.
    draining: bool,
    /// What it settled and has not told the sleepers.
    voided: bool,
    orphaned: bool,
    /// Of what it reaps, something was left because the number lives.
    spared: bool,
}

/// What has become of a message. Not in shared memory: this is what the promises are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Message {
    committed: bool,
    /// Its pop can't be undone any more.
    taken: bool,
    reads: u8,
}

/// What a slot holds beside its stamp, and who may touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Content {
    message: u8,
    whole: bool,
    /// Not in shared memory: who made the claim that is not finished.
    holder: Option<u8>,
}

/// A state of the model: shared memory, the kernel's locks, all members, and what became of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    tail: Ticket,
    head: Ticket,
    stamps: [Stamp; SLOTS],
    contents: [Content; SLOTS],
    notice: u8,
    gates: [Gate; 2],
    entries: [Entry; MEMBERS],
    /// Only in the mutant that keeps it apart.
    closed_apart: bool,
    members: [Member; MEMBERS],
    messages: [Message; MESSAGES],
    told_closed: bool,
    deaths: u8,
    broken: Option<Broken>,
}

/// One step of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The next access; the number chooses where there is a choice.
    Step(u8, u8),
    /// The bounded sleep is over.
    TimeOut(u8),
    /// While it waits: looks whether the member in this entry is dead.
    Search(u8, u8),
    /// Is killed.
    Die(u8),
}

impl Many {
    fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn script(&self, member: usize) -> &'static [Op] {
        self.scenario.scripts.get(member).copied().unwrap_or(&[])
    }

    fn members(&self) -> usize {
        self.scenario.scripts.len()
    }

    /// Entries: as many as there are members at the beginning, so that who comes later gets a number that was used.
    fn entries(&self) -> u8 {
        self.scenario.scripts.iter().filter(|script| script.first() != Some(&Op::Attach)).count() as u8
    }

    fn index(&self, position: u8) -> usize {
        usize::from(position % self.scenario.capacity)
    }

    fn lap(&self, position: u8) -> u8 {
        position / self.scenario.capacity
    }

    fn plain(&self, position: u8, slot: Slot) -> Stamp {
        Stamp { lap: self.lap(position), slot }
    }

    /// The name of the member's next message, also of the one who looks at the end.
    fn message(&self, state: &State, member: usize, nth: u8) -> u8 {
        let before: u8 = (0..member)
            .flat_map(|other| self.script(other))
            .map(|op| match op {
                Op::Push(count) => *count,
                Op::Loan => 1,
                _ => 0,
            })
            .sum();
        before + state.members[member].named + nth
    }

    fn is_dead(&self, state: &State, number: u8) -> bool {
        self.has(Mutant::ReapByTimeOut) || state.entries.get(usize::from(number)).is_none_or(|e| e.lock.is_none())
    }

    /// Whether what a member is to do next can be done.
    fn is_ready(&self, state: &State, member: usize) -> bool {
        state.members[member].life == Life::Alive
            && state.members[member].stack.top().is_some_and(|frame| match frame {
                Frame::Asleep { .. } => false,
                Frame::TakeNumber => self.free_numbers(state).next().is_some(),
                _ => true,
            })
    }

    fn free_numbers<'a>(&self, state: &'a State) -> impl Iterator<Item = u8> + use<'a> {
        (0..self.entries()).filter(|number| state.entries[usize::from(*number)].lock.is_none())
    }

    fn sleepers<'a>(&self, state: &'a State, gate: u8) -> impl Iterator<Item = u8> + use<'a> {
        (0..MEMBERS)
            .filter(move |member| {
                let member = &state.members[*member];
                matches!(member.stack.top(), Some(Frame::Asleep { .. })) && own_gate(member.side) == gate
            })
            .map(|member| member as u8)
    }
}

fn own_gate(side: Side) -> u8 {
    if side == Side::Push { NOT_FULL } else { NOT_EMPTY }
}

impl Model for Many {
    type State = Gathered<State>;
    type Action = Action;

    fn init_states(&self) -> Vec<Gathered<State>> {
        let mut state = State {
            tail: Ticket::default(),
            head: Ticket::default(),
            stamps: Default::default(),
            contents: Default::default(),
            notice: 1,
            gates: Default::default(),
            entries: Default::default(),
            closed_apart: false,
            members: Default::default(),
            messages: Default::default(),
            told_closed: false,
            deaths: 0,
            broken: None,
        };
        let mut number = 0;
        for m in 0..self.members() {
            if self.script(m).first() != Some(&Op::Attach) {
                state.entries[usize::from(number)] = Entry { taken: true, generation: 1, lock: Some(m as u8) };
                state.members[m].number = number;
                number += 1;
            }
            // It has looked for orphans once and found none.
            state.members[m].orphans_seen = state.notice;
            self.advance(&mut state, m);
        }
        vec![Gathered(state)]
    }

    fn actions(&self, state: &Gathered<State>, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for m in 0..self.members() {
            let member = &state.members[m];
            let name = m as u8;
            if member.life == Life::Dead {
                continue;
            }
            if self.is_ready(state, m) {
                let choices = match member.stack.top() {
                    Some(Frame::FutexWake { gate }) => self.sleepers(state, gate).count().max(1),
                    Some(Frame::TakeNumber) => self.free_numbers(state).count(),
                    _ => 1,
                };
                actions.extend((0..choices).map(|choice| Action::Step(name, choice as u8)));
            }
            let asleep = match member.stack.top() {
                Some(Frame::Asleep { draining }) => draining || self.scenario.time_outs,
                _ => false,
            };
            if asleep {
                actions.push(Action::TimeOut(name));
            }
            if asleep && self.scenario.time_outs || member.stack.top() == Some(Frame::Idle) {
                let dead = (0..self.entries()).filter(|number| {
                    let entry = &state.entries[usize::from(*number)];
                    entry.taken && (entry.lock.is_none() || self.has(Mutant::ReapByTimeOut))
                });
                actions.extend(dead.map(|number| Action::Search(name, number)));
            }
            if state.deaths < self.scenario.deaths && !member.stack.is_empty() {
                actions.push(Action::Die(name));
            }
        }
    }

    fn next_state(&self, last: &Gathered<State>, action: Action) -> Option<Gathered<State>> {
        let mut state = *last;
        let m = match action {
            Action::Step(m, choice) => {
                self.step(&mut state, usize::from(m), choice);
                usize::from(m)
            }
            Action::TimeOut(m) => {
                self.wake(&mut state, usize::from(m));
                usize::from(m)
            }
            Action::Search(m, number) => {
                let m = usize::from(m);
                state.members[m].stack.pop();
                self.resume(&mut state, m);
                state.members[m].stack.push(Frame::SweepLoad { number });
                m
            }
            Action::Die(m) => {
                state.members[usize::from(m)] = Member { life: Life::Dead, ..Member::default() };
                state.deaths += 1;
                // The kernel lets go of its lock; nothing else is done for the dead.
                for entry in &mut state.entries {
                    if entry.lock == Some(m) {
                        entry.lock = None;
                    }
                }
                usize::from(m)
            }
        };
        if state.members[m].life == Life::Alive && state.broken.is_none() {
            self.advance(&mut state, m);
        }
        if state.broken.is_none() && self.is_over(&state) {
            state.broken = self.look_at_the_end(&state);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises()
    }
}

impl Fair for Many {
    fn is_death(action: &Action) -> bool {
        matches!(action, Action::Die(_))
    }

    fn describe(&self, state: &Gathered<State>, action: &Action) -> String {
        match *action {
            Action::Step(m, _) => format!("{m} {:?}", state.members[usize::from(m)].stack.top().expect("a step")),
            ref other => format!("{other:?}"),
        }
    }

    fn broken(state: &Self::State) -> Option<Broken> {
        state.broken
    }

    fn is_good_end(&self, state: &Gathered<State>) -> bool {
        state.broken.is_none() && self.is_over(state)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
