//! What pushes and what pops: the loops that are measured, for each queue.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use handover::{Consumer, Error, Message, Producer};

use super::board::Board;
use super::load::{Load, Tally};
use super::race::{Drain, Feed};

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
                    Ok(message) => tally.add(&message),
                    Err(error) => break error,
                }
            } else {
                match self.end.pop_batch(&mut messages, self.batch) {
                    Ok(_) => messages.drain(..).for_each(|message| tally.add(&message)),
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
            tally.add(&message);
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
                    tally.add(&message);
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
                Ok(message) => tally.add(&message),
                // Asked in this order: what was pushed before the producer went is still to be had.
                Err(_) if self.is_abandoned() && self.is_empty() => return tally,
                Err(_) => thread::yield_now(),
            }
        }
    }
}
