//! The way through an operation, instruction by instruction, and how to come to a place on it soon.

use std::collections::HashSet;

use crate::step::Stepped;

/// No operation that ends is longer.
const LONGEST: u64 = 300_000;
/// So many instructions are always stepped one by one.
const NEAR: u64 = 100;

/// A stage with a process at the beginning of its operation, which is walked through it.
pub trait Walk {
    /// The process.
    fn walker(&self) -> &Stepped;
    /// The process.
    fn walker_mut(&mut self) -> &mut Stepped;

    /// Whether its operation sleeps until it is woken.
    fn sleeps(&self) -> bool {
        false
    }

    /// It was left asleep: gives it what it waits for.
    fn wake(&mut self) {}

    /// The shared memory as a number, where the places are of interest at which it changes.
    fn digest(&self) -> Option<u64> {
        None
    }

    /// Whether its system calls are of interest.
    fn notes_calls(&self) -> bool {
        false
    }

    /// One instruction.
    fn step(&mut self) {
        assert!(self.walker().steps < LONGEST, "an operation does not end");
        // It was left asleep by the step before: so that it can be killed there.
        if self.walker().is_asleep() {
            self.wake();
        }
        let sleeps = self.sleeps();
        self.walker_mut().step(sleeps);
    }

    /// Steps it so far. False if its operation was over before.
    fn advance(&mut self, to: u64) -> bool {
        while self.walker().steps < to {
            if self.walker().returned() {
                return false;
            }
            self.step();
        }
        true
    }

    /// The same where its way is known: sooner, by marks on it, and counting instructions from there. False if it did
    /// not come by, or its operation was over before.
    fn advance_along(&mut self, way: &Way, to: u64) -> bool {
        // Where it falls asleep somebody has to see to it.
        let stops = way.sleeps.iter().map(|sleep| sleep - 1).filter(|sleep| *sleep < to);
        for stop in stops.chain([to]) {
            let now = self.walker().steps;
            if stop > now + NEAR
                && let Some((mark, times)) = way.mark(now, stop)
            {
                let sleeps = self.sleeps();
                let run = self.walker_mut().run_to(way.addresses[mark as usize], times, mark, sleeps);
                // What it does behind its operation comes by the same places.
                if !run || self.walker().returned() {
                    return false;
                }
            }
            if !self.advance(stop) || stop < to && !self.advance((stop + 2).min(to)) {
                return false;
            }
        }
        true
    }
}

/// The undisturbed way through an operation, each instruction stepped.
#[derive(Debug)]
pub struct Way {
    /// Where it is after so many instructions.
    addresses: Vec<u64>,
    /// After which instructions the shared memory changed.
    pub changes: Vec<u64>,
    /// After which it was asleep.
    sleeps: Vec<u64>,
    /// Before and after each system call.
    pub calls: HashSet<u64>,
}

impl Way {
    /// The way of those that are set up like this.
    pub fn of<W: Walk>(set: impl Fn() -> W) -> Way {
        let first = set();
        if !first.sleeps() {
            return Way::stepped(first);
        }
        // Whoever has slept for long searches for the dead; stepped slowly on a busy machine, it may seem so. The way
        // without is the one that is met sooner, by marks.
        let ways = [Way::stepped(first)].into_iter().chain((1..5).map(|_| Way::stepped(set())));
        ways.min_by_key(Way::length).expect("there are some")
    }

    fn stepped(mut walk: impl Walk) -> Way {
        let mut way = Way {
            addresses: vec![walk.walker().address()],
            changes: Vec::new(),
            sleeps: Vec::new(),
            calls: HashSet::new(),
        };
        let mut digest = walk.digest();
        while !walk.walker().returned() {
            if walk.notes_calls() && walk.walker().is_at_call() {
                way.calls.extend([walk.walker().steps, walk.walker().steps + 1]);
            }
            walk.step();
            let steps = walk.walker().steps;
            way.addresses.push(walk.walker().address());
            let now = walk.digest();
            if now != digest {
                digest = now;
                way.changes.push(steps);
            }
            if walk.walker().is_asleep() {
                way.sleeps.push(steps);
            }
        }
        way
    }

    /// How many instructions it takes.
    pub fn length(&self) -> u64 {
        self.addresses.len() as u64 - 1
    }

    /// A place near `to`, and how often the way comes by it from `from` on: a breakpoint there leads to it sooner than
    /// single steps do. Only in the program itself, not in code that the kernel lends, and before the operation's end.
    fn mark(&self, from: u64, to: u64) -> Option<(u64, usize)> {
        const PROGRAM_END: u64 = 0x6000_0000_0000;
        let costs = (to.saturating_sub(NEAR).max(from + 1)..=to.min(self.length() - 1)).filter_map(|mark| {
            let address = self.addresses[mark as usize];
            let times = self.addresses[from as usize + 1..=mark as usize].iter().filter(|at| **at == address).count();
            (address != 0 && address < PROGRAM_END).then_some((times as u64 * 5 + (to - mark), mark, times))
        });
        let (cost, mark, times) = costs.min()?;
        (cost < to - from).then_some((mark, times))
    }
}
