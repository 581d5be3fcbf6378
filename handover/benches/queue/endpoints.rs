//! What pushes and what pops: the loops that are measured, for each queue.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use handover::{Consumer, Error, Message, Producer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::board::Board;

/// A message that carries a number.
pub trait Load: Copy + Send + FromBytes + IntoBytes + Immutable + 'static {
    fn of(number: u64) -> Self;
    /// Of every word of it, so that all of it has to come across.
    fn sum(self) -> u64;
}

impl Load for u64 {
    #[inline(always)]
    fn of(number: u64) -> u64 {
        number
    }

    #[inline(always)]
    fn sum(self) -> u64 {
        self
    }
}

/// A message of 64 bytes, a cache line of its own: each queue then shows its best.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C, align(64))]
pub struct Line([u64; 8]);

impl Load for Line {
    #[inline(always)]
    fn of(number: u64) -> Line {
        Line([number; 8])
    }

    #[inline(always)]
    fn sum(self) -> u64 {
        self.0.into_iter().fold(0, u64::wrapping_add)
    }
}

/// What came across.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub sum: u64,
}

impl Tally {
    /// Of the messages that carry these numbers.
    pub fn of<L: Load>(numbers: Range<u64>) -> Tally {
        let count = numbers.end - numbers.start;
        let sum = (u128::from(numbers.start) + u128::from(numbers.end)).wrapping_sub(1) * u128::from(count) / 2;
        Tally { count, sum: (sum as u64).wrapping_mul(L::of(1).sum()) }
    }

    pub fn with(self, other: Tally) -> Tally {
        Tally { count: self.count + other.count, sum: self.sum.wrapping_add(other.sum) }
    }

    #[inline(always)]
    fn add(&mut self, message: impl Load) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(message.sum());
    }
}

pub trait Feed: Send {
    /// Pushes a message for each number; the last producer to end says so to the consumers.
    fn feed(self, numbers: Range<u64>);
}

pub trait Drain: Send {
    /// Pops until all producers have ended and nothing is left.
    fn drain(self) -> Tally;
}

/// Messages in a batch; 1 is pushed and popped singly.
pub type Batch = usize;

pub struct Handover<E> {
    pub end: E,
    pub batch: Batch,
    pub producers: usize,
    pub board: Arc<Board>,
}

impl<L: Load, M> Feed for Handover<Producer<M>>
where
    M: for<'a> Message<Push<'a> = L> + ?Sized,
    Producer<M>: Send,
{
    #[inline(never)]
    fn feed(mut self, numbers: Range<u64>) {
        if self.batch == 1 {
            for number in numbers {
                if self.end.push(L::of(number)).is_err() {
                    panic!("a push is refused");
                }
            }
        } else {
            let mut from = numbers.start;
            while from < numbers.end {
                let to = numbers.end.min(from + self.batch as u64);
                self.end
                    .push_batch((0..(to - from) as u32).map(|nth| L::of(from + u64::from(nth))))
                    .expect("a batch is pushed");
                from = to;
            }
        }
        if self.board.leave(self.producers) {
            self.end.close();
        }
    }
}

impl<L: Load, M> Drain for Handover<Consumer<M>>
where
    M: Message<Pop = L> + ?Sized,
    Consumer<M>: Send,
{
    #[inline(never)]
    fn drain(mut self) -> Tally {
        let mut tally = Tally::default();
        let mut messages = Vec::with_capacity(self.batch);
        let end = loop {
            if self.batch == 1 {
                match self.end.pop() {
                    Ok(message) => tally.add(message),
                    Err(error) => break error,
                }
            } else {
                match self.end.pop_batch(&mut messages, self.batch) {
                    Ok(_) => messages.drain(..).for_each(|message| tally.add(message)),
                    Err(error) => break error,
                }
            }
        };
        assert!(matches!(end, Error::Closed), "{end}");
        tally
    }
}

impl<L: Load> Feed for crossbeam_channel::Sender<L> {
    #[inline(never)]
    fn feed(self, numbers: Range<u64>) {
        for number in numbers {
            if self.send(L::of(number)).is_err() {
                panic!("a push is refused");
            }
        }
    }
}

impl<L: Load> Drain for crossbeam_channel::Receiver<L> {
    #[inline(never)]
    fn drain(self) -> Tally {
        let mut tally = Tally::default();
        while let Ok(message) = self.recv() {
            tally.add(message);
        }
        tally
    }
}

/// crossfire's handles are four types with the same methods.
macro_rules! crossfire_ends {
    ($sender:ty, $receiver:ty) => {
        impl<L: Load> Feed for $sender {
            #[inline(never)]
            fn feed(self, numbers: Range<u64>) {
                for number in numbers {
                    if self.send(L::of(number)).is_err() {
                        panic!("a push is refused");
                    }
                }
            }
        }

        impl<L: Load> Drain for $receiver {
            #[inline(never)]
            fn drain(self) -> Tally {
                let mut tally = Tally::default();
                while let Ok(message) = self.recv() {
                    tally.add(message);
                }
                tally
            }
        }
    };
}

crossfire_ends!(crossfire::MTx<crossfire::mpmc::Array<L>>, crossfire::MRx<crossfire::mpmc::Array<L>>);
crossfire_ends!(crossfire::Tx<crossfire::spsc::Array<L>>, crossfire::Rx<crossfire::spsc::Array<L>>);

/// rtrb does not block: it yields.
impl<L: Load> Feed for rtrb::Producer<L> {
    #[inline(never)]
    fn feed(mut self, numbers: Range<u64>) {
        for number in numbers {
            let mut message = L::of(number);
            while let Err(rtrb::PushError::Full(refused)) = self.push(message) {
                message = refused;
                thread::yield_now();
            }
        }
    }
}

impl<L: Load> Drain for rtrb::Consumer<L> {
    #[inline(never)]
    fn drain(mut self) -> Tally {
        let mut tally = Tally::default();
        loop {
            match self.pop() {
                Ok(message) => tally.add(message),
                // Asked in this order: what was pushed before the producer went is still to be had.
                Err(_) if self.is_abandoned() && self.is_empty() => return tally,
                Err(_) => thread::yield_now(),
            }
        }
    }
}
