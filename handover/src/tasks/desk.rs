//! What a member tells others: what it has done, and how long that took.

use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::os;
use crate::roster::count;

/// Only the member itself writes here. Nothing is ever reset, so that sums over all desks are the queue's, whoever has
/// left or died.
#[repr(C, align(128))]
pub(super) struct Desk {
    pub(super) submitted: AtomicU64,
    pub(super) taken: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) dead: AtomicU64,
    pub(super) redelivered: AtomicU64,
    pub(super) lost: AtomicU64,
    reserved: [AtomicU64; 8],
    /// From when a task could be taken until it was.
    pub(super) waiting: Histogram,
    /// From when it was taken until it was done or failed.
    pub(super) working: Histogram,
}

/// What time it is, exactly only now and then: to read the clock is dear beside a task that takes no time. Exact are the first
/// time after each tick of the system's clock, and one in [`EVERY`] of the others; so of all that comes slowly, every one.
#[derive(Default)]
pub(super) struct Sampler {
    tick: Cell<u64>,
    left: Cell<u32>,
}

const EVERY: u32 = 16;
/// In a time: it is exact.
const EXACT: u64 = 1;

impl Sampler {
    #[inline(always)]
    pub(super) fn now(&self) -> u64 {
        let tick = os::last_tick();
        if tick == self.tick.get() && self.left.get() > 0 {
            self.left.set(self.left.get() - 1);
            return roughly(tick);
        }
        self.tick.set(tick);
        self.left.set(EVERY - 1);
        exactly(os::now())
    }
}

pub(super) fn exactly(time: u64) -> u64 {
    time | EXACT
}

pub(super) fn roughly(time: u64) -> u64 {
    time & !EXACT
}

/// From an exact time to now; `None` if it was not exact.
#[inline(always)]
pub(super) fn since(time: u64) -> Option<u64> {
    (time & EXACT != 0).then(|| os::now().saturating_sub(time))
}

/// Four steps to each doubling, from 64 nanoseconds to 4 minutes.
const STEPS: usize = 128;
const FIRST: u32 = 6;

#[repr(C)]
pub(super) struct Histogram([AtomicU64; STEPS]);

fn step_of(nanoseconds: u64) -> usize {
    let bits = (nanoseconds | 1 << FIRST).ilog2();
    let within = nanoseconds >> (bits - 2) & 3;
    (((bits - FIRST) * 4) as usize + if bits == FIRST && nanoseconds < 1 << FIRST { 0 } else { within as usize })
        .min(STEPS - 1)
}

/// The longest time that is counted in a step.
fn end_of(step: usize) -> u64 {
    let (bits, within) = (step as u32 / 4 + FIRST, step as u64 % 4);
    (1 << bits) + (within + 1) * (1 << (bits - 2)) - 1
}

impl Histogram {
    #[inline(always)]
    pub(super) fn count(&self, nanoseconds: u64) {
        count(&self.0[step_of(nanoseconds)], 1);
    }

    pub(super) fn add_to(&self, times: &mut Times) {
        for (step, counter) in times.steps.iter_mut().zip(&self.0) {
            *step = step.wrapping_add(counter.load(Relaxed));
        }
    }
}

/// How long something took, how often: exact to a fifth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    steps: Vec<u64>,
}

impl Default for Times {
    fn default() -> Times {
        Times { steps: vec![0; STEPS] }
    }
}

impl Times {
    /// How many times were counted.
    pub fn count(&self) -> u64 {
        // Anybody may have scribbled in what was added up.
        self.steps.iter().fold(0, |sum, times| sum.saturating_add(*times))
    }

    /// The time within which that part of all were, `0.5` being half of them. `None` where nothing was counted.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = ((count as f64 * part).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0_u64;
        for (step, times) in self.steps.iter().enumerate() {
            seen = times.saturating_add(seen);
            if seen >= wanted {
                return Some(Duration::from_nanos(end_of(step)));
            }
        }
        None
    }

    /// The steps in which anything was counted: the longest time of the step, and how many there were.
    pub fn steps(&self) -> impl Iterator<Item = (Duration, u64)> {
        let steps = self.steps.iter().enumerate().filter(|(_, times)| **times > 0);
        steps.map(|(step, times)| (Duration::from_nanos(end_of(step)), *times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_counted_in_the_step_that_ends_next() {
        for nanoseconds in (0..100_000).chain([1 << 30, (1 << 36) + 12345]) {
            let step = step_of(nanoseconds);
            assert!(nanoseconds <= end_of(step), "{nanoseconds} in {step}");
            assert!(step == 0 || nanoseconds > end_of(step - 1), "{nanoseconds} in {step}");
        }
        assert_eq!(step_of(u64::MAX), STEPS - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        // SAFETY: all zero is a histogram.
        let histogram: Histogram = unsafe { std::mem::zeroed() };
        let mut times = Times::default();
        assert_eq!(times.quantile(0.5), None);
        (1..=1000).for_each(|microseconds| histogram.count(microseconds * 1000));
        histogram.add_to(&mut times);
        assert_eq!(times.count(), 1000);
        let within = |part, from, to| {
            let time = times.quantile(part).expect("counted").as_micros();
            assert!((from..=to).contains(&time), "{part}: {time}");
        };
        within(0.0, 0, 2);
        within(0.5, 500, 600);
        within(0.99, 990, 1200);
        within(1.0, 1000, 1200);
    }
}
