//! One run: endpoints that start together, what each of them did, and whether it adds up.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use super::board::Board;
use super::load::{Load, Tally};
use super::machine;

pub trait Feed: Send {
    /// Pushes a message for each number; the last producer to end says so to the consumers.
    fn feed(self, numbers: Range<u64>);
}

pub trait Drain: Send {
    /// Pops until all producers have ended and nothing is left.
    fn drain(self) -> Tally;
}

/// What one endpoint did, from when to when, on the clock that all processes share.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub start: u64,
    pub end: u64,
    pub cpu: u64,
    /// Nothing, of a producer.
    pub tally: Tally,
}

impl Effort {
    /// Waits for the others, then works. `nth` is among all endpoints of the run.
    pub fn of(nth: usize, pin: bool, board: &Board, work: impl FnOnce() -> Tally) -> Effort {
        if pin {
            machine::pin_to(nth);
        }
        board.arrive();
        let (start, cpu) = (machine::now(), machine::own_cpu_time());
        let tally = work();
        Effort { start, end: machine::now(), cpu: machine::own_cpu_time() - cpu, tally }
    }

    pub fn to_line(self) -> String {
        let Effort { start, end, cpu, tally: Tally { count, sum } } = self;
        format!("{start} {end} {cpu} {count} {sum}")
    }

    pub fn from_line(line: &str) -> Option<Effort> {
        let numbers: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        let [start, end, cpu, count, sum] = numbers.ok()?[..] else { return None };
        Some(Effort { start, end, cpu, tally: Tally { count, sum } })
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Million messages a second.
    pub rate: f64,
    /// Nanoseconds of processor time for each message, of all endpoints together.
    pub cpu: f64,
}

impl Outcome {
    /// Verifies that everything arrived.
    pub fn settle<L: Load>(what: &str, efforts: &[Effort], messages: u64) -> Outcome {
        let came = efforts.iter().fold(Tally::default(), |all, effort| all.with(effort.tally));
        assert_eq!(came, Tally::of::<L>(0..messages), "{what}: what came is not what was sent");
        let start = efforts.iter().map(|effort| effort.start).min().expect("endpoints");
        let end = efforts.iter().map(|effort| effort.end).max().expect("endpoints");
        let cpu: u64 = efforts.iter().map(|effort| effort.cpu).sum();
        Outcome { rate: messages as f64 * 1000.0 / (end - start) as f64, cpu: cpu as f64 / messages as f64 }
    }
}

/// The numbers that one of several producers sends.
pub fn share_of(messages: u64, producers: usize, nth: usize) -> Range<u64> {
    let start = |nth: usize| (u128::from(messages) * nth as u128 / producers as u128) as u64;
    start(nth)..start(nth + 1)
}

/// Runs endpoints as threads of this process.
pub fn between_threads<F: Feed, D: Drain>(
    feeders: Vec<F>,
    drainers: Vec<D>,
    board: &Arc<Board>,
    messages: u64,
    pin: bool,
) -> Vec<Effort> {
    let (producers, all) = (feeders.len(), feeders.len() + drainers.len());
    thread::scope(|scope| {
        let feeding = feeders.into_iter().enumerate().map(|(nth, feeder)| {
            let numbers = share_of(messages, producers, nth);
            scope.spawn(move || {
                Effort::of(nth, pin, board, || {
                    feeder.feed(numbers);
                    Tally::default()
                })
            })
        });
        let mut running: Vec<_> = feeding.collect();
        running.extend(
            drainers
                .into_iter()
                .enumerate()
                .map(|(nth, drainer)| scope.spawn(move || Effort::of(producers + nth, pin, board, || drainer.drain()))),
        );
        board.start(all);
        running.into_iter().map(|thread| thread.join().expect("an endpoint fails")).collect()
    })
}
