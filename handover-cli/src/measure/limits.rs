//! What the machine itself can do: no queue can do better. Measured in the same run as what is held against it.

use std::hint;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use handover::Error;
use hdrhistogram::Histogram;

use super::trip::{Pace, answer, ask};
use crate::system::processors::pin_to;

/// A limit, and what it is the limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Two cache lines, spun on: a round trip between two processors.
    Lines,
    /// Two threads that sleep (`park`) until woken: on Linux a futex each.
    Futexes,
    /// A ring without any of a queue's duties: `words` of eight bytes a message, published after every so many.
    Stream { words: usize, every: u64 },
    /// Bytes a second that one processor copies, in blocks of [`COPIED`].
    Copy,
}

/// The size of a message that is large: a few pages.
pub(crate) const COPIED: usize = 16 << 10;

impl Limit {
    pub(crate) const ALL: [Limit; 6] =
        [Limit::Lines, Limit::Futexes, Limit::stream(1, 1), Limit::stream(1, 32), Limit::stream(8, 1), Limit::Copy];

    pub(crate) const fn stream(words: usize, every: u64) -> Limit {
        Limit::Stream { words, every }
    }

    /// As people are told.
    pub(crate) fn name(self) -> String {
        match self {
            Limit::Lines => "cache line, there and back".into(),
            Limit::Futexes => "futex, there and back".into(),
            Limit::Stream { words, every: 1 } => format!("bare stream, {} bytes", 8 * words),
            Limit::Stream { words, every } => format!("bare stream, {} bytes, by {every}", 8 * words),
            Limit::Copy => "copying blocks of 16 KiB".into(),
        }
    }

    /// Whether less is better: nanoseconds; else it is a rate.
    pub(crate) fn is_time(self) -> bool {
        matches!(self, Limit::Lines | Limit::Futexes)
    }

    /// Whether it takes two processors.
    pub(crate) fn takes_two(self) -> bool {
        self != Limit::Copy
    }

    /// One round: the median trip in nanoseconds, messages a second, or bytes a second.
    pub(crate) fn measure(self, time: Duration) -> Result<f64, Error> {
        let median = |trips: Histogram<u64>| trips.value_at_quantile(0.5) as f64;
        Ok(match self {
            Limit::Lines => median(lines(time)?),
            Limit::Futexes => median(futexes(time)?),
            Limit::Stream { words: 1, every } => stream::<[AtomicU64; 1]>(every, time),
            Limit::Stream { every, .. } => stream::<Line>(every, time),
            Limit::Copy => copy(time),
        })
    }
}

/// A word that shares its lines with nothing else.
#[repr(align(128))]
#[derive(Default)]
struct Apart(AtomicU64);

/// What tells an answerer to end.
const END: u64 = u64::MAX;

fn spin_until(done: impl Fn() -> bool) {
    loop {
        for _ in 0..1000 {
            if done() {
                return;
            }
            hint::spin_loop();
        }
        // Somebody else may have the other's processor.
        thread::yield_now();
    }
}

fn lines(time: Duration) -> Result<Histogram<u64>, Error> {
    let (question, reply) = (Apart::default(), Apart::default());
    thread::scope(|scope| {
        let answerer = scope.spawn(|| {
            let mut last = 0;
            answer(|| {
                spin_until(|| question.0.load(Acquire) != last);
                last = question.0.load(Acquire);
                reply.0.store(last, Release);
                if last == END { Err(Error::Closed) } else { Ok(()) }
            })
        });
        let asker = scope.spawn(|| {
            let trips = ask(Pace::AtOnce, time, |number| {
                question.0.store(number, Release);
                spin_until(|| reply.0.load(Acquire) == number);
                Ok(())
            });
            question.0.store(END, Release);
            trips
        });
        let trips = asker.join().expect("askers don't panic");
        answerer.join().expect("answerers don't panic")?;
        trips
    })
}

fn futexes(time: Duration) -> Result<Histogram<u64>, Error> {
    let (question, reply) = (&Apart::default(), &Apart::default());
    fn set(word: &Apart, value: u64, whose: &Thread) {
        word.0.store(value, Release);
        whose.unpark();
    }
    fn sleep_until(done: impl Fn() -> bool) {
        while !done() {
            thread::park();
        }
    }
    thread::scope(|scope| {
        let asker = scope.spawn(move || {
            let asker = thread::current();
            let answerer = scope.spawn(move || {
                let mut last = 0;
                answer(|| {
                    sleep_until(|| question.0.load(Acquire) != last);
                    last = question.0.load(Acquire);
                    set(reply, last, &asker);
                    if last == END { Err(Error::Closed) } else { Ok(()) }
                })
            });
            let other = answerer.thread().clone();
            let trips = ask(Pace::Calm, time, |number| {
                set(question, number, &other);
                sleep_until(|| reply.0.load(Acquire) == number);
                Ok(())
            });
            set(question, END, &other);
            answerer.join().expect("answerers don't panic")?;
            trips
        });
        asker.join().expect("askers don't panic")
    })
}

/// So many that both sides are seldom at the same line.
const SLOTS: u64 = 8192;
/// The reader says how far it is after every so many.
const RELEASE_EVERY: u64 = 1024;
/// Who has caught up lets the other get ahead, instead of taking each line away from it.
const GET_AHEAD: u32 = 50;

/// A message of a line.
#[repr(align(64))]
#[derive(Default)]
struct Line([AtomicU64; 8]);

impl AsRef<[AtomicU64]> for Line {
    fn as_ref(&self) -> &[AtomicU64] {
        &self.0
    }
}

fn get_ahead() {
    (0..GET_AHEAD).for_each(|_| hint::spin_loop());
}

/// One writes and one reads, and nobody ever sleeps, claims or could die. Messages a second.
fn stream<M: AsRef<[AtomicU64]> + Default + Sync>(every: u64, time: Duration) -> f64 {
    let slots: Vec<M> = (0..SLOTS).map(|_| M::default()).collect();
    let slot = |position: u64| slots[(position % SLOTS) as usize].as_ref();
    let (tail, head, stopped) = (Apart::default(), Apart::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            pin_to(0);
            let (mut position, mut room_to) = (0_u64, SLOTS);
            while !stopped.load(Relaxed) {
                for _ in 0..RELEASE_EVERY {
                    if position == room_to {
                        get_ahead();
                        spin_until(|| head.0.load(Acquire) + SLOTS > position || stopped.load(Relaxed));
                        room_to = head.0.load(Acquire) + SLOTS;
                        if position == room_to {
                            break;
                        }
                    }
                    slot(position).iter().for_each(|word| word.store(position, Relaxed));
                    position += 1;
                    if position.is_multiple_of(every) {
                        tail.0.store(position, Release);
                    }
                }
            }
        });
        let reader = scope.spawn(|| {
            pin_to(1);
            let (mut position, mut written_to, mut sum) = (0_u64, 0, 0_u64);
            let (begun, mut since, mut from) = (Instant::now(), Duration::ZERO, 0);
            loop {
                if position == written_to {
                    get_ahead();
                    spin_until(|| tail.0.load(Acquire) != position);
                    written_to = tail.0.load(Acquire);
                }
                sum = slot(position).iter().fold(sum, |sum, word| sum.wrapping_add(word.load(Relaxed)));
                position += 1;
                if position.is_multiple_of(RELEASE_EVERY) {
                    head.0.store(position, Release);
                    if position.is_multiple_of(SLOTS) {
                        let passed = begun.elapsed();
                        // The first quarter warms up.
                        if since.is_zero() {
                            if passed >= time / 4 {
                                (since, from) = (passed, position);
                            }
                        } else if passed >= since + time {
                            stopped.store(true, Relaxed);
                            hint::black_box(sum);
                            return (position - from) as f64 / (passed - since).as_secs_f64();
                        }
                    }
                }
            }
        });
        reader.join().expect("readers don't panic")
    })
}

/// Block after block into as much memory as a queue of them takes.
fn copy(time: Duration) -> f64 {
    const BLOCKS: usize = 64;
    let (from, mut to) = (vec![1_u8; COPIED], vec![2_u8; COPIED * BLOCKS]);
    let (mut copied, begun) = (0_u64, Instant::now());
    loop {
        for block in to.chunks_exact_mut(COPIED) {
            block.copy_from_slice(hint::black_box(&from));
        }
        hint::black_box(&mut to);
        copied += to.len() as u64;
        if begun.elapsed() >= time {
            return copied as f64 / begun.elapsed().as_secs_f64();
        }
    }
}
