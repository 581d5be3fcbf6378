//! The two ends that every queue is given, and what is done with them. Written once for all queues, so that what is compared
//! is the queues.

use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::contenders::Shape;
use crate::plan::{Plan, Work};
use crate::shared::board::Board;
use crate::shared::load::{Load, Tally};
use crate::shared::machine;
use crate::shared::race::{Effort, share_of};

blocks! {
    /// One of 1 KiB.
    Kilobyte: 128;
    /// One of 64 KiB.
    Large: 8192;
}

/// The message that says that no more will come, for queues that can't be closed.
pub const END: u64 = u64::MAX;

/// The number that a message carries.
#[inline(always)]
pub fn number_of<L: Load>(message: &L) -> u64 {
    u64::read_from_prefix(message.as_bytes()).expect("at least a word").0
}

/// One that pushes or publishes. Blocks, or does instead what its contender's setting says, while there is no room.
pub trait Put<L: Load>: Sized {
    /// Pushes one.
    fn put(&mut self, message: L);

    /// Pushes one for each of these numbers, together if the queue can.
    #[inline(always)]
    fn put_batch(&mut self, numbers: Range<u64>) {
        for number in numbers {
            self.put(L::of(number));
        }
    }

    /// What was put is on its way before anything that others put from now on.
    fn settle(&mut self) {}

    /// No more will come from this one. `last` has the number of messages by which consumers are to be told, if none will come
    /// from others either.
    fn end(self, last: Option<usize>) {
        let _ = last;
    }
}

/// One that pops.
pub trait Take<L: Load>: Sized {
    /// Whether it is meant to take all that is there even where messages are sent singly.
    const TAKES_ALL: bool = false;

    /// The next one, or none if all producers have ended and nothing is left.
    fn take(&mut self) -> Option<L>;

    /// How many were missed since it was asked last, by a receiver that lagged where that can be.
    fn missed(&mut self) -> u64 {
        0
    }

    /// Up to so many that are there, together if the queue can; at least one. Whether more may come.
    #[inline(always)]
    fn take_batch(&mut self, most: usize, each: &mut impl FnMut(&L)) -> bool {
        let _ = most;
        self.take().map(|message| each(&message)).is_some()
    }
}

/// An end of a queue that can't be closed: the last producer sends each consumer a message that says so.
pub struct Worded<E>(pub E);

impl<L: Load, E: Put<L>> Put<L> for Worded<E> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        self.0.put(message);
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: Range<u64>) {
        self.0.put_batch(numbers);
    }

    fn end(mut self, last: Option<usize>) {
        for _ in 0..last.unwrap_or(0) {
            self.0.put(L::of(END));
        }
        self.0.end(last);
    }
}

impl<L: Load, E: Take<L>> Take<L> for Worded<E> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        self.0.take().filter(|message| number_of(message) != END)
    }

    #[inline(always)]
    fn take_batch(&mut self, most: usize, each: &mut impl FnMut(&L)) -> bool {
        let mut ended = false;
        let more = self.0.take_batch(most, &mut |message: &L| {
            if number_of(message) == END { ended = true } else { each(message) }
        });
        more && !ended
    }
}

/// What an endpoint did.
#[derive(Debug, Clone)]
pub struct Done {
    /// When, with how much processor time, and what it pushed or popped.
    pub effort: Effort,
    /// What it measured: values and how often each came, or whatever its work says. A receiver adds how many it missed, as a
    /// value that came not once.
    pub pairs: Vec<(u64, u64)>,
}

impl Done {
    /// How many messages this receiver missed.
    pub fn missed(&self) -> u64 {
        self.pairs.iter().filter(|pair| pair.1 == 0).map(|pair| pair.0).sum()
    }

    /// The times that it measured.
    pub fn times(&self) -> impl Iterator<Item = (u64, u64)> {
        self.pairs.iter().copied().filter(|pair| pair.1 > 0)
    }

    /// For the parent.
    pub fn to_line(&self) -> String {
        let pairs: Vec<String> = self.pairs.iter().map(|(value, count)| format!("{value}:{count}")).collect();
        format!("{} | {}", self.effort.to_line(), pairs.join(" "))
    }

    /// In the parent.
    pub fn from_line(line: &str) -> Option<Done> {
        let (effort, pairs) = line.split_once('|')?;
        let pair = |pair: &str| pair.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let pairs: Option<Vec<(u64, u64)>> = pairs.split_whitespace().map(pair).collect();
        Some(Done { effort: Effort::from_line(effort)?, pairs: pairs? })
    }
}

/// Of nanoseconds, to two digits, up to a minute.
pub fn times() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("these bounds")
}

fn pairs_of(times: &Histogram<u64>) -> Vec<(u64, u64)> {
    times.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
}

fn done(nth: usize, plan: &Plan, board: &Board, work: impl FnOnce(&mut Vec<(u64, u64)>) -> Tally) -> Done {
    let mut pairs = Vec::new();
    let effort = Effort::of(nth, plan.pin, board, || work(&mut pairs));
    Done { effort, pairs }
}

/// What a producer does. It says how many it pushed, where that is not the plan's.
#[inline(never)]
pub fn push<L: Load, P: Put<L>>(plan: &Plan, nth: usize, board: &Board, mut end: P) -> Done {
    let producers = plan.cell.producers;
    done(nth, plan, board, |pairs| {
        let mut sent = Tally::default();
        match plan.work {
            Work::Stream { messages } => {
                let numbers = share_of(messages, producers, nth);
                sent = Tally::of::<L>(numbers.clone());
                if plan.batch == 1 {
                    numbers.for_each(|number| end.put(L::of(number)));
                } else {
                    let mut from = numbers.start;
                    while from < numbers.end {
                        let to = numbers.end.min(from + plan.batch as u64);
                        end.put_batch(from..to);
                        from = to;
                    }
                }
            }
            Work::Fair { time } => {
                let first = (nth as u64) << 48;
                let until = machine::now() + time;
                let mut number = first;
                // The clock is read now and then, so that it is no part of what is measured.
                while machine::now() < until {
                    for _ in 0..32 {
                        end.put(L::of(number));
                        number += 1;
                    }
                }
                sent = Tally::of::<L>(first..number);
            }
            Work::Paced { messages, gap } => {
                let begun = machine::now();
                for nth in 0..messages {
                    // Not asleep: how late a sleeper is woken would be part of the figure.
                    while machine::now() < begun + nth * gap {
                        std::hint::spin_loop();
                    }
                    let message = L::of(machine::now());
                    sent.add(&message);
                    end.put(message);
                }
            }
            Work::Idle { time } => std::thread::sleep(Duration::from_nanos(time)),
            Work::Trips { .. } | Work::Alone { .. } | Work::Start { .. } | Work::Weigh => {
                unreachable!("they have endpoints of their own")
            }
        }
        pairs.push((sent.count, sent.sum));
        end.settle();
        // What is sent to all is sent once.
        let to_tell = if plan.entry.shape == Shape::ToAll { 1 } else { plan.cell.consumers };
        end.end(board.leave(producers).then_some(to_tell));
        Tally::default()
    })
}

/// What a consumer does.
#[inline(never)]
pub fn pop<L: Load, T: Take<L>>(plan: &Plan, nth: usize, board: &Board, mut end: T) -> Done {
    done(nth, plan, board, |pairs| {
        let mut tally = Tally::default();
        if let Work::Paced { .. } = plan.work {
            let mut late = times();
            while let Some(message) = end.take() {
                let now = machine::now();
                tally.add(&message);
                late.saturating_record(now.saturating_sub(number_of(&message)).max(1));
            }
            *pairs = pairs_of(&late);
        } else if plan.batch == 1 && !T::TAKES_ALL {
            while let Some(message) = end.take() {
                tally.add(&message);
            }
        } else {
            while end.take_batch(plan.batch, &mut |message: &L| tally.add(message)) {}
        }
        pairs.push((end.missed(), 0));
        // For producers that have to stay until everything was taken.
        board.word(0).fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        machine::wake_all(board.word(0), true);
        tally
    })
}

/// Asks through one queue, and has the answers through another.
#[inline(never)]
pub fn ask<L: Load>(plan: &Plan, board: &Board, mut there: impl Put<L>, mut back: impl Take<L>) -> Done {
    let Work::Trips { time, pause } = plan.work else { unreachable!("an asker asks") };
    done(0, plan, board, |pairs| {
        let mut trips = times();
        let begun = machine::now();
        let mut now = begun;
        let mut number = 0;
        while now - begun < time {
            while machine::now() < now + pause {
                std::hint::spin_loop();
            }
            number += 1;
            let start = machine::now();
            there.put(L::of(number));
            let answer = back.take().expect("an answer");
            now = machine::now();
            assert_eq!(number_of(&answer), number, "the answer to another question");
            // The first tenth warms up.
            if now - begun > time / 10 {
                trips.saturating_record(now - start);
            }
        }
        there.end(Some(1));
        *pairs = pairs_of(&trips);
        Tally::default()
    })
}

/// Answers until the asker ends.
#[inline(never)]
pub fn answer<L: Load>(plan: &Plan, board: &Board, mut back: impl Put<L>, mut there: impl Take<L>) -> Done {
    done(1, plan, board, |_| {
        while let Some(question) = there.take() {
            back.put(question);
        }
        board.word(0).fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        machine::wake_all(board.word(0), true);
        Tally::default()
    })
}
