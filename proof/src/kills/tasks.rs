//! Operations on a queue of tasks, with other members there.

pub mod rows;
pub mod scenes;
mod survivors;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use self::scenes::{GROWTH, Operation, State};
use self::survivors::{After, Known, Made, Stage, shared_state};
use super::way::{Walk, Way};
use super::{Deed, Outcome, Point, Row, Spacing};
use crate::children;
use crate::step::{Shared, Stepped};
use crate::survivors::{Broken, Discovery, broken};

/// A queue is as good as new if it hands over so many tasks.
const MANY_TASKS: usize = 2000;

/// One row: an operation, in a queue of that capacity, in a state.
#[derive(Debug, Clone)]
pub struct Scene {
    operation: Operation,
    made: Made,
    state: State,
    /// Those who are killed before, in order: in what, and after how many instructions.
    before: Vec<(Operation, u64)>,
    spacing: Spacing,
}

impl Scene {
    fn new(operation: Operation, capacity: usize, state: State) -> Scene {
        let timed = state == State::Over || operation == Operation::Extend;
        let made = Made { capacity, timed, short: state == State::Over };
        Scene { operation, made, state, before: Vec::new(), spacing: Spacing::EVERY }
    }

    fn timed(self) -> Scene {
        Scene { made: Made { timed: true, ..self.made }, ..self }
    }

    fn stated(&self) -> String {
        let mut state = self.state.word().to_string();
        for (operation, at) in &self.before {
            state += &format!(", {operation} killed at {at}");
        }
        if self.made.timed {
            state += ", timed leases";
        }
        state
    }
}

impl Row for Scene {
    fn cells(&self) -> [String; 4] {
        [self.operation.to_string(), "tasks".into(), self.made.capacity.to_string(), self.stated()]
    }

    fn spacing(&self) -> Spacing {
        self.spacing
    }

    fn capacity(&self) -> usize {
        self.made.capacity
    }

    fn can_be_stopped(&self) -> bool {
        // What is over while somebody is stopped is another matter, as is one who looks for tasks and finds none.
        let finds_none = self.operation == Operation::RingAlarms && self.state == State::Late;
        self.before.is_empty() && self.state != State::Over && !finds_none
    }

    fn way(&self) -> Way {
        // It differs a little with the time that something took: the way that all come by.
        let ways = (0..if self.operation.sleeps() { 1 } else { 3 }).map(|_| Way::of(|| Play::set(self)));
        ways.min_by_key(Way::length).expect("there are some")
    }

    fn attempt(&self, deed: Deed, point: &Point, outcome: &mut Outcome) -> Option<Result<(), Broken>> {
        let mut play = Play::set(self);
        if !point.reach(&mut play) {
            return None;
        }
        let begun = Instant::now();
        let result = match deed {
            Deed::Kill => {
                let last = play.last();
                let returned = play.kill(last);
                outcome.states.insert(shared_state(&play.memory));
                play.check(point, returned)
            }
            Deed::Stop => play.go_on_from_stop(point),
        };
        if result.is_ok() {
            let longest = if deed == Deed::Kill { play.stage.longest } else { begun.elapsed() };
            outcome.longest = outcome.longest.max(longest);
        }
        Some(result)
    }
}

/// The first number of the nth victim's tasks.
fn first_number(nth: usize) -> u64 {
    (nth as u64 + 1) * 1_000_000
}

/// A queue of tasks, and stepped processes at the beginning of their operations.
struct Play<'a> {
    scene: &'a Scene,
    stage: Stage,
    /// The queue's memory, to tell its states apart.
    memory: Shared,
    victims: Vec<Stepped>,
    woken: bool,
}

impl<'a> Play<'a> {
    /// Everybody is there, and those who are killed before are dead.
    fn set(scene: &'a Scene) -> Play<'a> {
        let stage = Stage::new(scene.made);
        let operations = scene.before.iter().map(|(operation, _)| *operation).chain([scene.operation]);
        let start = |(nth, operation): (usize, Operation)| {
            let words = ["step-tasks", operation.word(), &first_number(nth).to_string()];
            Stepped::start(children::command(&words), stage.descriptor())
        };
        let victims = operations.clone().enumerate().map(start).collect();
        let memory = Shared::whole(stage.descriptor());
        let mut play = Play { scene, stage, memory, victims, woken: false };
        play.stage.prepare(scene.state, scene.operation);
        for (nth, operation) in operations.enumerate() {
            play.victims[nth].to_next_mark();
            play.begun(operation, nth);
            if let Some((_, at)) = scene.before.get(nth) {
                play.victims[nth].advance(*at);
                play.kill(nth);
            }
        }
        play
    }

    fn last(&self) -> usize {
        self.victims.len() - 1
    }

    /// A victim has come to the beginning of its operation.
    fn begun(&mut self, operation: Operation, nth: usize) {
        match operation {
            // It has asked for a result, and gets it.
            Operation::Collect => {
                self.stage.known.push(Known { untouched: false, ..Known::waiting(first_number(nth)) });
                while self.stage.known.iter().any(|known| known.number == first_number(nth)) {
                    self.stage.do_one();
                }
            }
            Operation::GiveUp => {
                self.stage.known.push(Known { untouched: false, ..Known::waiting(first_number(nth)) });
                if self.scene.state == State::Empty {
                    self.stage.do_one();
                }
            }
            _ if operation.holds() => self.take_up(1..=1, 2..=2),
            _ => {}
        }
    }

    /// A victim has taken the first task, or may have.
    fn take_up(&mut self, before: std::ops::RangeInclusive<u32>, now: std::ops::RangeInclusive<u32>) {
        let first = self.stage.known.iter_mut().find(|known| known.comes && known.tries == before);
        if let Some(first) = first {
            first.tries = now;
            first.untouched = false;
        }
    }

    /// Kills a victim: what may be there now. Whether its operation had returned.
    fn kill(&mut self, nth: usize) -> bool {
        self.victims[nth].kill();
        let returned = self.victims[nth].returned();
        let operation = self.scene.before.get(nth).map_or(self.scene.operation, |(operation, _)| *operation);
        self.expect(operation, nth, returned);
        returned
    }

    /// What may be there when a victim's operation was begun, or has returned.
    fn expect(&mut self, operation: Operation, nth: usize, returned: bool) {
        use Operation::*;
        let submits = operation.submits() as u64;
        let first = first_number(nth);
        let batch = operation == SubmitBatch;
        self.stage.known.extend((first..first + submits).map(|number| Known {
            gone: !returned,
            untouched: false,
            batch,
            ..Known::waiting(number)
        }));
        match operation {
            // Which one is not known.
            RingAlarms | Take | TakeBlocked if nth > 0 || matches!(self.scene.state, State::Due | State::Over) => {
                for known in self.stage.known.iter_mut().filter(|known| known.comes) {
                    known.tries = *known.tries.start()..=*known.tries.end() + 1;
                    known.untouched = false;
                }
            }
            RingAlarms | Take | TakeBlocked => self.take_up(1..=1, if returned { 2..=2 } else { 1..=2 }),
            Done | DoneWith => {
                let held = self.stage.known.iter_mut().find(|known| known.comes && known.tries == (2..=2));
                let held = held.expect("it is held");
                (held.gone, held.comes) = (true, !returned);
            }
            FailLast => {
                let held = self.stage.known.iter_mut().find(|known| known.comes && known.tries == (2..=2));
                let held = held.expect("it is held");
                held.bury();
                held.tries = 1..=1;
            }
            Requeue | Purge => {
                let letter = self.stage.known.iter_mut().find(|known| known.letter).expect("there is one");
                letter.letter = !returned;
                if operation == Requeue {
                    (letter.comes, letter.tries) = (true, if returned { 1..=1 } else { 0..=1 });
                } else {
                    letter.gone = true;
                }
            }
            _ => {}
        }
    }

    fn after(&self, point: &Point, returned: bool) -> After {
        use Operation::*;
        let Scene { operation, made: Made { capacity, .. }, .. } = *self.scene;
        let capacities = match (operation, returned) {
            (Grow, true) => capacity + GROWTH..=capacity + GROWTH,
            (Grow, false) => capacity..=capacity + GROWTH,
            (Shrink, true) => capacity - 1..=capacity - 1,
            (Shrink, false) => capacity - 1..=capacity,
            _ => capacity..=capacity,
        };
        let closes: &[bool] = match (operation, returned) {
            (Close, true) => &[true],
            (Close, false) => &[false, true],
            _ => &[false],
        };
        let delays = |operation| matches!(operation, SubmitDelayed | Fail);
        let delayed = delays(operation) || self.scene.before.iter().any(|(operation, _)| delays(*operation));
        After {
            discovery: point.discovery,
            closes,
            capacities,
            delayed: delayed || matches!(self.scene.state, State::Due | State::Over),
            key: operation == SubmitKey,
            first: first_number(self.last()),
            more: point.messages.min(MANY_TASKS),
        }
    }

    fn check(&mut self, point: &Point, returned: bool) -> Result<(), Broken> {
        let after = self.after(point, returned);
        self.stage.check(&after)
    }

    fn go_on_from_stop(&mut self, point: &Point) -> Result<(), Broken> {
        let (last, operation) = (self.last(), self.scene.operation);
        let beside = self.stage.go_on_beside(operation)?;
        if !self.victims[last].finish() {
            return broken("the stopped process does not finish");
        }
        let page = self.victims[last].page();
        if page.refused.load(SeqCst) != 0 {
            return broken("the stopped process was refused");
        }
        let taken: Vec<u64> =
            page.messages.iter().take(page.count.load(SeqCst) as usize).map(|number| number.load(SeqCst)).collect();
        self.victims[last].kill();
        if operation.takes() {
            for number in &taken {
                let known = self.stage.known.iter_mut().find(|known| known.number == *number && known.comes);
                let Some(known) = known else { return broken(format!("the stopped process took {number:x}")) };
                known.tries = 2..=2;
                known.untouched = false;
            }
        } else {
            self.expect(operation, last, true);
        }
        for (number, tries) in beside {
            let may = |known: &Known| known.number == number && known.comes && known.tries.contains(&tries);
            let Some(at) = self.stage.known.iter().position(may) else {
                return broken(format!(
                    "{number:x} came beside a stopped process as try {tries}: {:?}",
                    self.stage.known
                ));
            };
            self.stage.known.remove(at);
        }
        let mut after = self.after(point, true);
        after.discovery = Discovery::Newcomer;
        // Whether it was taken beside it or not: the key is free when the task is not there.
        after.key = false;
        self.stage.check(&after)
    }
}

impl Walk for Play<'_> {
    fn walker(&self) -> &Stepped {
        &self.victims[self.last()]
    }

    fn walker_mut(&mut self) -> &mut Stepped {
        let last = self.last();
        &mut self.victims[last]
    }

    fn sleeps(&self) -> bool {
        self.scene.operation.sleeps()
    }

    fn wake(&mut self) {
        if std::mem::replace(&mut self.woken, true) {
            return;
        }
        match self.scene.operation {
            Operation::SubmitBlocked => self.stage.do_one(),
            _ => self.stage.submit_one(),
        }
    }

    fn digest(&self) -> Option<u64> {
        (!self.sleeps()).then(|| shared_state(&self.memory))
    }
}
