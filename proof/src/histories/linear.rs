//! Whether a history has an explanation: an order of effects, each within its operation, that the queue's
//! specification allows. This is the search of Wing and Gong in the form of Lowe: the events are gone through in the
//! order of their moments, with the set of all states the queue may be in. An operation takes effect as late as possible:
//! only when one returns are the effects of those under way tried, in every order, until it could return what it
//! did. If no state is left, there is no explanation. The answer is exact, for histories of any length.
//!
//! **The specification.** A message has its place in the queue from a moment within its push (the *claim*), and can be had
//! from a later one (the *commit*). This is what order by claims means: a message behind one whose push is under way
//! waits, and to a receiver that does not, the queue is empty. Likewise a slot is taken from a moment within the pop and free
//! from a later one, and a full queue is one whose next slot is not free. With that
//!
//! * messages come out in the order of their places, each once; those of one claim are there together or not at all;
//! * what is handed back, or was held by one who died, is there again, its count one higher, for whoever comes next:
//!   an operation that began after it was handed back finds it before all that nobody has had, older ones first, and
//!   does not find the queue empty;
//! * *full*, *empty* and *closed* were true at a moment within the operation;
//! * what was under way when its member died has happened, or has not, up to its last moment. Later, and at any time,
//!   what it still held is settled: places without a message are void, messages there again.
//!
//! One to one, a message that comes again has its old place, and one that died within a plain pop is as if never had.

use std::collections::HashSet;

use super::history::{Death, History, Moment, NEVER, Operation, Outcome, What};
use super::state::{Slot, Stage, State};

/// More states than this are not gone through.
const TOO_MANY: usize = 60_000;

/// What the checker says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is an explanation; so many states were looked at.
    Explained(usize),
    /// There is none: this operation could not have returned what it did.
    Wrong(Moment, String),
    /// Too many states.
    TooMany,
}

enum Event {
    Invoked(usize),
    Returned(usize),
    Killed(usize),
    Gone(usize),
}

/// Looks for an explanation.
pub fn explain(history: &History) -> Answer {
    let mut events: Vec<(Moment, Event)> = Vec::new();
    for (index, operation) in history.operations.iter().enumerate() {
        events.push((operation.invoked, Event::Invoked(index)));
        if operation.returned != NEVER {
            events.push((operation.returned, Event::Returned(index)));
        }
    }
    for (index, death) in history.deaths.iter().enumerate() {
        events.push((death.killed, Event::Killed(index)));
        events.push((death.gone, Event::Gone(index)));
    }
    events.sort_by_key(|event| event.0);
    let new = State::new(history.capacity);
    let mut search = Search { history, states: HashSet::from([new]), killed: Vec::new(), looked_at: 0 };
    for (moment, event) in events {
        let survived = match event {
            Event::Invoked(index) => search.begin(index),
            Event::Returned(index) => search.advance(Some(index)),
            Event::Killed(index) => {
                search.killed.push(history.deaths[index]);
                true
            }
            Event::Gone(index) => search.bury(index),
        };
        if !survived {
            return Answer::TooMany;
        }
        if search.states.is_empty() {
            let Event::Returned(index) = event else { unreachable!("only a return can be wrong") };
            return Answer::Wrong(moment, format!("{} has no explanation", history.operations[index]));
        }
    }
    Answer::Explained(search.looked_at)
}

struct Search<'a> {
    history: &'a History,
    states: HashSet<State>,
    killed: Vec<Death>,
    looked_at: usize,
}

impl Search<'_> {
    fn begin(&mut self, index: usize) -> bool {
        let all = std::mem::take(&mut self.states).into_iter();
        self.states = all
            .map(|mut state| {
                state.under_way.push((index, Stage::default()));
                state
            })
            .collect();
        true
    }

    /// Every state that can be reached: those in which `returned` is over, without it; or all, if none is named.
    fn advance(&mut self, returned: Option<usize>) -> bool {
        let mut seen = std::mem::take(&mut self.states);
        let mut open: Vec<State> = seen.iter().cloned().collect();
        while let Some(state) = open.pop() {
            let over = |(index, stage): &(usize, Stage)| Some(*index) == returned && stage.over;
            if let Some(at) = state.under_way.iter().position(over) {
                let mut state = state;
                state.under_way.remove(at);
                self.states.insert(state);
                continue;
            }
            let mut next = Vec::new();
            for at in 0..state.under_way.len() {
                self.step(&state, at, &mut next);
            }
            for death in &self.killed {
                self.settle(&state, death.member, &mut next);
            }
            for state in next {
                if seen.insert(state.clone()) {
                    open.push(state);
                }
            }
            if seen.len() > TOO_MANY {
                return false;
            }
        }
        self.looked_at += seen.len();
        if returned.is_none() {
            self.states = seen;
        }
        true
    }

    /// A killed member does nothing any more: what it was doing has come as far as it will.
    fn bury(&mut self, index: usize) -> bool {
        let member = self.history.deaths[index].member;
        // Until now its own steps could still be made; later only those who settle what it held can act.
        let pending = |operation: &Operation| operation.member == member && operation.outcome == Outcome::Pending;
        if self.history.operations.iter().any(pending) && !self.advance(None) {
            return false;
        }
        let operations = &self.history.operations;
        let all = std::mem::take(&mut self.states).into_iter();
        self.states = all
            .map(|mut state| {
                state.under_way.retain(|(index, _)| operations[*index].member != member);
                state
            })
            .collect();
        true
    }

    /// All states that one more step of an operation under way may lead to.
    fn step(&self, state: &State, at: usize, next: &mut Vec<State>) {
        let (index, stage) = state.under_way[at];
        let operation = &self.history.operations[index];
        if stage.over {
            return;
        }
        let mut with = |change: &dyn Fn(&mut State, &mut Stage) -> bool| {
            let (mut state, mut stage) = (state.clone(), stage);
            if change(&mut state, &mut stage) {
                state.under_way[at].1 = stage;
                next.push(state);
            }
        };
        let by = operation.member;
        let over = |stage: &mut Stage| {
            stage.over = true;
            true
        };
        match &operation.what {
            What::Push(messages) => self.push(operation, messages, stage, &mut with),
            What::Loan => match operation.outcome {
                Outcome::Full => with(&|state, stage| state.is_full() && over(stage)),
                Outcome::Closed => with(&|state, stage| state.closed && over(stage)),
                // One that dies with it, or in it, is settled.
                _ => with(&|state, stage| state.claim_push(by, 0) && over(stage)),
            },
            What::Send(message) => with(&|state, stage| {
                state.commit(by, Some(*message));
                over(stage)
            }),
            What::GiveUp => with(&|state, stage| {
                state.void(by, self.history.one_to_one);
                over(stage)
            }),
            What::Pop { keep, .. } => self.pop(operation, *keep, stage, &mut with),
            What::Receive => self.pop(operation, usize::MAX, stage, &mut with),
            What::Done => with(&|state, stage| {
                state.free(by, usize::MAX);
                over(stage)
            }),
            What::HandBack => with(&|state, stage| {
                state.hand_back(by, (1, 1), operation.returned, self.history.one_to_one);
                over(stage)
            }),
            What::Close => with(&|state, stage| {
                state.closed = true;
                over(stage)
            }),
        }
    }

    fn push(&self, operation: &Operation, messages: &[u64], stage: Stage, with: With<'_>) {
        let by = operation.member;
        // A batch that met a closed queue says no more of how far it came.
        let all = match operation.outcome {
            Outcome::Pushed(count) => count,
            Outcome::Full => 0,
            Outcome::Closed => messages.len() - 1,
            _ => messages.len(),
        };
        if stage.claimed {
            return with(&|state, stage| {
                stage.pushed += state.commit(by, None);
                stage.claimed = false;
                stage.over = operation.outcome == Outcome::Pushed(messages.len()) && stage.pushed == messages.len();
                true
            });
        }
        for end in stage.pushed + 1..=all {
            with(&|state, stage| {
                stage.claimed = true;
                messages[stage.pushed..end].iter().all(|message| state.claim_push(by, *message))
            });
        }
        let found = |state: &State| match operation.outcome {
            Outcome::Closed => state.closed,
            Outcome::Full | Outcome::Pushed(_) => stage.pushed == all && state.is_full(),
            _ => false,
        };
        with(&|state, stage| {
            stage.over = found(state);
            stage.over
        });
    }

    fn pop(&self, operation: &Operation, keep: usize, stage: Stage, with: With<'_>) {
        let (by, began) = (operation.member, operation.invoked);
        let receives = operation.what == What::Receive;
        if stage.claimed {
            return with(&|state, stage| {
                state.free(by, keep);
                // One to one, what a batch did not take is known to have been shown only to a successor.
                let more = if self.history.one_to_one { (0, 1) } else { (1, 1) };
                state.hand_back(by, more, operation.returned, self.history.one_to_one);
                stage.over = true;
                true
            });
        }
        let claimed = |stage: &mut Stage| {
            stage.claimed = !receives;
            stage.over = receives;
            true
        };
        match &operation.outcome {
            Outcome::Got(messages, 0) => {
                // Of what it claimed and did not keep nothing is known.
                let more = match operation.what {
                    What::Pop { most, keep } if messages.len() == keep => {
                        most.min(self.history.capacity) - keep.min(self.history.capacity)
                    }
                    _ => 0,
                };
                for more in 0..=more {
                    with(&|state, stage| {
                        !state.left_waiting(usize::MAX, began)
                            && state.claim_pop(by, messages, 0)
                            && state.claim_any(by, more)
                            && claimed(stage)
                    });
                }
            }
            Outcome::Got(messages, times) if self.history.one_to_one => {
                with(&|state, stage| state.claim_pop(by, messages, *times) && claimed(stage));
            }
            Outcome::Got(messages, times) => {
                with(&|state, stage| state.claim_again(by, messages[0], *times, began) && claimed(stage));
            }
            Outcome::Empty => with(&|state, stage| {
                stage.over = state.is_empty() && !state.left_waiting(usize::MAX, began);
                stage.over
            }),
            Outcome::Closed => with(&|state, stage| {
                stage.over = state.closed && state.slots.iter().all(|slot| matches!(slot, Slot::Free | Slot::Void));
                stage.over
            }),
            // It died: nobody knows what it took.
            _ => {
                let most = if let What::Pop { most, .. } = operation.what { most } else { 1 };
                for count in 1..=most.min(self.history.capacity) {
                    with(&|state, stage| state.claim_any(by, count) && claimed(stage));
                }
                if !self.history.one_to_one {
                    for at in 0..self.history.capacity {
                        with(&|state, stage| at < state.head && state.hold(by, at) && claimed(stage));
                    }
                }
            }
        }
    }

    /// What others may do about a killed member. Whatever they do says that it is dead, and does nothing any more.
    fn settle(&self, state: &State, by: u16, next: &mut Vec<State>) {
        let one_to_one = self.history.one_to_one;
        let mut state = state.clone();
        state.under_way.retain(|(index, _)| self.history.operations[*index].member != by);
        if state.slots.iter().any(|slot| matches!(slot, Slot::Writing { by: other, .. } if *other == by)) {
            let mut state = state.clone();
            state.void(by, one_to_one);
            next.push(state);
        }
        let held: Vec<usize> = (0..state.slots.len())
            .filter(|at| matches!(state.slots[*at], Slot::Held { by: other, .. } if other == by))
            .collect();
        if held.is_empty() {
            return;
        }
        let last = self.history.operations.iter().rfind(|operation| operation.member == by);
        let last = last.filter(|operation| operation.outcome == Outcome::Pending);
        // Killed while it freed a run, it leaves it taken, and others free it.
        if last.is_some_and(|last| matches!(last.what, What::Pop { .. })) {
            let mut state = state.clone();
            state.free(by, usize::MAX);
            next.push(state);
        }
        if one_to_one {
            // Held in place it was noted; within a pop, only in a batch.
            let noted = last.is_none_or(|last| matches!(last.what, What::Done | What::HandBack));
            let mut state = state.clone();
            state.hand_back(by, if noted { (1, 1) } else { (0, 1) }, NEVER, true);
            next.push(state);
        } else {
            // One by one, as they are found.
            for at in held {
                let mut state = state.clone();
                if let Slot::Held { message, low, high, .. } = state.slots[at] {
                    state.slots[at] = Slot::Ready { message, low: low + 1, high: high + 1, back: NEVER };
                }
                next.push(state);
            }
        }
    }
}

/// Tries a change; what it makes of the state counts if it says so.
type With<'a> = &'a mut dyn FnMut(&dyn Fn(&mut State, &mut Stage) -> bool);
