//! What one endpoint does, and what it has done.

use std::hint;
use std::thread;
use std::time::Duration;

use handover::Error;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::board::Board;
use super::case::Case;
use super::ends::{Entry, Exit};
use crate::system::clock::now;
use crate::system::processors::own_time;

/// How many messages are handed over singly before the board is looked at.
const CHUNK: u64 = 64;
/// A wait that is longer is slept, but for its end.
const WORTH_SLEEPING: u64 = 150_000;
/// How long before its end: a sleep ends late.
const EARLIER: u64 = 70_000;
/// Consumers stand still for this share of their time, where they are to.
const PAUSES_APART: u32 = 10;

/// Of nanoseconds, to three digits, up to a minute.
pub(crate) fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds")
}

/// What was put in or taken out.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    pub(crate) count: u64,
    /// Of the numbers that the messages carry.
    pub(crate) sum: u64,
    /// How many found no room at first.
    pub(crate) waited: u64,
    /// Nanoseconds for which it had a processor.
    pub(crate) processor_time: u64,
    /// Of each message, from when it was due to when it was taken, in nanoseconds; of paced ones only.
    pub(crate) delays: Histogram<u64>,
}

impl Effort {
    pub(crate) fn none() -> Effort {
        Effort { count: 0, sum: 0, waited: 0, processor_time: 0, delays: empty_histogram() }
    }

    pub(crate) fn and(mut self, other: &Effort) -> Effort {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.waited += other.waited;
        self.processor_time += other.processor_time;
        self.delays.add(&other.delays).expect("the same bounds");
        self
    }

    /// As a child process tells it.
    pub(crate) fn to_json(&self) -> Value {
        let delays: Vec<_> = self.delays.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect();
        json!({
            "count": self.count, "sum": self.sum, "waited": self.waited,
            "processor_time": self.processor_time, "delays": delays,
        })
    }

    /// `None` if it is not what [`to_json`](Self::to_json) makes.
    pub(crate) fn from_json(text: &str) -> Option<Effort> {
        let told: Value = serde_json::from_str(text).ok()?;
        let number = |name: &str| told[name].as_u64();
        let mut delays = empty_histogram();
        for pair in told["delays"].as_array()? {
            delays.record_n(pair[0].as_u64()?, pair[1].as_u64()?).ok()?;
        }
        Some(Effort {
            count: number("count")?,
            sum: number("sum")?,
            waited: number("waited")?,
            processor_time: number("processor_time")?,
            delays,
        })
    }
}

/// Puts messages in until the board says stop. The last one closes.
pub(crate) fn feed(mut entry: impl Entry, case: &Case, endpoint: usize, board: &Board) -> Result<Effort, Error> {
    board.arrive();
    let began = own_time();
    let mut effort = Effort::none();
    if case.is_paced() {
        feed_paced(&mut entry, case, endpoint, board, &mut effort)?;
    } else {
        feed_fast(&mut entry, case, endpoint, board, &mut effort)?;
    }
    effort.processor_time = own_time() - began;
    if board.leave(case.producers) {
        entry.close();
    }
    Ok(effort)
}

#[inline(never)]
fn feed_fast(
    entry: &mut impl Entry,
    case: &Case,
    endpoint: usize,
    board: &Board,
    effort: &mut Effort,
) -> Result<(), Error> {
    let batch = case.batch as u64;
    let chunk = if case.work.is_zero() { CHUNK } else { 1 };
    let mut number = (endpoint as u64 + 1) << 48;
    while !board.is_stopped() {
        let from = number;
        if batch == 1 {
            for _ in 0..chunk {
                entry.put(number)?;
                number += 1;
            }
        } else {
            entry.put_batch(number..number + batch)?;
            number += batch;
        }
        effort.count += number - from;
        effort.sum = (from..number).fold(effort.sum, u64::wrapping_add);
        board.count(endpoint).store(effort.count, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(())
}

/// Bursts at their times. Each message carries when it was due, so that whoever held it up is seen in its delay.
fn feed_paced(
    entry: &mut impl Entry,
    case: &Case,
    endpoint: usize,
    board: &Board,
    effort: &mut Effort,
) -> Result<(), Error> {
    let producers = case.producers as u64;
    let burst = (case.burst / producers).max(1);
    // Of one producer.
    let period = burst as f64 * producers as f64 * 1e9 / case.rate as f64;
    let begun = now();
    for nth in 0_u32.. {
        let due = begun + (f64::from(nth) * period) as u64;
        // One that comes late because a sleep ended late is not held up by the queue.
        let due = if wait_until(due, board) { now() } else { due };
        for _ in 0..burst {
            if board.is_stopped() {
                return Ok(());
            }
            match entry.try_put(due) {
                Err(Error::Full) => {
                    effort.waited += 1;
                    entry.put(due)?;
                }
                other => other?,
            }
            effort.count += 1;
            effort.sum = effort.sum.wrapping_add(due);
        }
        board.count(endpoint).store(effort.count, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(())
}

/// False if that time is over already.
fn wait_until(time: u64, board: &Board) -> bool {
    let mut waited = false;
    loop {
        let left = time.saturating_sub(now());
        if left == 0 || board.is_stopped() {
            return waited;
        }
        waited = true;
        if left > WORTH_SLEEPING {
            // It may have to stop before.
            thread::sleep(Duration::from_nanos(left - EARLIER).min(crate::interrupt::LOOK));
        } else {
            thread::yield_now();
        }
    }
}

/// Takes messages out until all is closed and drained.
pub(crate) fn drain(mut exit: impl Exit, case: &Case, endpoint: usize, board: &Board) -> Result<Effort, Error> {
    board.arrive();
    let began = own_time();
    let mut effort = Effort::none();
    let end = if case.is_paced() || !case.work.is_zero() {
        drain_working(&mut exit, case, endpoint, board, &mut effort)
    } else {
        drain_fast(&mut exit, case, endpoint, board, &mut effort)
    };
    effort.processor_time = own_time() - began;
    match end {
        Error::Closed => Ok(effort),
        other => Err(other),
    }
}

#[inline(never)]
fn drain_fast(exit: &mut impl Exit, case: &Case, endpoint: usize, board: &Board, effort: &mut Effort) -> Error {
    let counter = board.count(endpoint);
    loop {
        let (mut count, mut sum) = (0, effort.sum);
        let taken = exit.take(case.batch, |number| {
            count += 1;
            sum = sum.wrapping_add(number);
        });
        effort.count += count;
        effort.sum = sum;
        counter.store(effort.count, std::sync::atomic::Ordering::Relaxed);
        if let Err(error) = taken {
            return error;
        }
    }
}

#[inline(never)]
fn drain_working(exit: &mut impl Exit, case: &Case, endpoint: usize, board: &Board, effort: &mut Effort) -> Error {
    let counter = board.count(endpoint);
    let (paced, work) = (case.is_paced(), case.work.as_nanos() as u64);
    let mut next_pause = now() + (case.pause * PAUSES_APART / 2).as_nanos() as u64;
    loop {
        let taken = exit.take(case.batch, |number| {
            effort.count += 1;
            effort.sum = effort.sum.wrapping_add(number);
            // What is left at the end is only counted.
            if board.is_stopped() {
                return;
            }
            let taken = now();
            if paced {
                effort.delays.saturating_record(taken.saturating_sub(number).max(1));
            }
            while now() - taken < work {
                hint::spin_loop();
            }
            if !case.pause.is_zero() && taken > next_pause {
                thread::sleep(case.pause);
                next_pause = now() + (case.pause * PAUSES_APART).as_nanos() as u64;
            }
        });
        counter.store(effort.count, std::sync::atomic::Ordering::Relaxed);
        if let Err(error) = taken {
            return error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_is_told_and_understood() {
        let mut effort = Effort { count: 1, sum: u64::MAX, waited: 3, processor_time: 4, delays: empty_histogram() };
        for delay in [1, 90, 90, 5_000_000, 60_000_000_000] {
            effort.delays.saturating_record(delay);
        }
        let told = Effort::from_json(&effort.to_json().to_string()).unwrap();
        assert_eq!((told.count, told.sum, told.waited, told.processor_time), (1, u64::MAX, 3, 4));
        assert_eq!(told.delays, effort.delays);
        assert!(Effort::from_json("").is_none() && Effort::from_json("{}").is_none());
    }
}
