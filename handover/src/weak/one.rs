//! The ring of one producer and one consumer. Its members fence for themselves here, as they do where the kernel has no
//! barrier for all processors; what such a barrier does is no less.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, fence};
use loom::thread;

use super::*;
use crate::fences::Fences;
use crate::ring::one::{Consuming, One, Producing};

/// A ring of one, and the memory that it works on. The slots hold nothing but messages.
struct Pair {
    ring: One,
    _lines: Box<Lines>,
    _slots: Box<[UnsafeCell<u64>]>,
}

impl Pair {
    fn new(capacity: u32) -> Arc<Pair> {
        let lines = Box::new(Lines::new());
        let mut slots: Box<[UnsafeCell<u64>]> = (0..capacity).map(|_| UnsafeCell::new(u64::MAX)).collect();
        let (size, align) = size();
        // SAFETY: both live as long as the ring, and the slots are as the ring measures them.
        let ring =
            unsafe { One::new(&raw const *lines, slots.as_mut_ptr().cast(), capacity, size, align, Fences::Own) };
        Arc::new(Pair { ring, _lines: lines, _slots: slots })
    }

    /// Writes to a run and publishes it; what of it was taken.
    fn push(&self, mine: &mut Producing, values: &[u64]) -> Result<usize, Refusal> {
        let run = self.ring.claim_push(mine, values.len() as u32)?;
        for (nth, value) in (0..run.count).zip(values) {
            write(self.ring.message(&run, nth), *value);
        }
        self.ring.publish(mine, run.count);
        self.ring.fences.worked();
        Ok(run.count as usize)
    }

    fn pop(&self, mine: &mut Consuming, want: u32) -> Result<Vec<u64>, Refusal> {
        let run = self.ring.claim_pop(mine, want)?;
        let values = (0..run.count).map(|nth| read(self.ring.message(&run, nth))).collect();
        self.ring.release(mine, run.count);
        self.ring.fences.worked();
        Ok(values)
    }

    /// As [`crate::Consumer`] leaves a ring that is closed and empty.
    fn pop_or_leave(&self, mine: &mut Consuming) -> Result<Vec<u64>, Refusal> {
        match self.pop(mine, 1) {
            Err(Refusal::Draining) => {
                fence(std::sync::atomic::Ordering::SeqCst);
                let may_leave = !self.ring.is_pushing();
                match self.pop(mine, 1) {
                    Err(Refusal::Draining) if may_leave => Err(Refusal::Closed),
                    other => other,
                }
            }
            other => other,
        }
    }
}

fn three_messages(capacity: u32) {
    explore(None, move || {
        let pair = Pair::new(capacity);
        let theirs = Arc::clone(&pair);
        let producer = thread::spawn(move || {
            let mut mine = theirs.ring.producing();
            for value in 1..=3 {
                while let Err(refusal) = theirs.push(&mut mine, &[value]) {
                    assert_eq!(refusal, Refusal::Nothing);
                    thread::yield_now();
                }
            }
        });
        let mut mine = pair.ring.consuming();
        let mut found = Vec::new();
        while found.len() < 3 {
            match pair.pop(&mut mine, 1) {
                Ok(values) => found.extend(values),
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Nothing);
                    thread::yield_now();
                }
            }
        }
        assert_eq!(found, [1, 2, 3]);
        producer.join().unwrap();
    });
}

#[test]
fn three_messages_through_one_slot() {
    three_messages(1);
}

#[test]
fn three_messages_through_two_slots() {
    three_messages(2);
}

#[test]
fn batches_through_two_slots() {
    explore(None, || {
        let pair = Pair::new(2);
        let theirs = Arc::clone(&pair);
        let producer = thread::spawn(move || {
            let mut mine = theirs.ring.producing();
            let mut values: &[u64] = &[1, 2, 3];
            while !values.is_empty() {
                match theirs.push(&mut mine, &values[..values.len().min(2)]) {
                    Ok(pushed) => values = &values[pushed..],
                    Err(_) => thread::yield_now(),
                }
            }
        });
        let mut mine = pair.ring.consuming();
        let mut found = Vec::new();
        while found.len() < 3 {
            match pair.pop(&mut mine, 2) {
                Ok(values) => found.extend(values),
                Err(_) => thread::yield_now(),
            }
        }
        assert_eq!(found, [1, 2, 3]);
        producer.join().unwrap();
    });
}

/// Messages of `count` are pushed singly, or as one batch, while a third closes and the consumer leaves as soon as it may:
/// what was pushed has been popped by then.
fn closed_while_pushing(batch: bool) {
    explore(Some(4), move || {
        let pair = Pair::new(2);
        let theirs = Arc::clone(&pair);
        let producer = thread::spawn(move || {
            let mut mine = theirs.ring.producing();
            let mut pushed = 0;
            let values: &[&[u64]] = if batch { &[&[1, 2]] } else { &[&[1], &[2]] };
            for values in values {
                match theirs.push(&mut mine, values) {
                    Ok(count) => pushed += count as u64,
                    Err(Refusal::Closed) => break,
                    Err(other) => panic!("{other:?}"),
                }
            }
            // As a producer that goes.
            theirs.ring.cease();
            pushed
        });
        let theirs = Arc::clone(&pair);
        let closer = thread::spawn(move || theirs.ring.close());
        let mut mine = pair.ring.consuming();
        let mut found = Vec::new();
        loop {
            match pair.pop_or_leave(&mut mine) {
                Ok(values) => found.extend(values),
                Err(Refusal::Closed) => break,
                Err(_) => thread::yield_now(),
            }
        }
        let pushed = producer.join().unwrap();
        closer.join().unwrap();
        assert_eq!(found, (1..=pushed).collect::<Vec<_>>(), "the consumer left before the last message");
    });
}

#[test]
fn who_leaves_a_closed_ring_has_had_every_message() {
    closed_while_pushing(false);
}

#[test]
fn who_leaves_a_closed_ring_has_had_every_batch() {
    closed_while_pushing(true);
}

/// A consumer dies while it holds a message in place; its successor, who comes after the kernel said so, reads it
/// again and knows that. The producer goes on meanwhile.
#[test]
fn a_dead_consumers_message_is_there_for_its_successor() {
    explore(None, || {
        let pair = Pair::new(1);
        let dead = Arc::new(AtomicU64::new(0));
        let (theirs, died) = (Arc::clone(&pair), Arc::clone(&dead));
        let consumer = thread::spawn(move || {
            let mut mine = theirs.ring.consuming();
            let held = match theirs.ring.claim_pop(&mut mine, 1) {
                Ok(run) => {
                    theirs.ring.note_held(&mut mine);
                    Some(read(theirs.ring.message(&run, 0)))
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Nothing);
                    None
                }
            };
            died.store(1, std::sync::atomic::Ordering::Release);
            held
        });
        let theirs = Arc::clone(&pair);
        let producer = thread::spawn(move || {
            let mut mine = theirs.ring.producing();
            for value in [1, 2] {
                while theirs.push(&mut mine, &[value]).is_err() {
                    thread::yield_now();
                }
            }
        });
        // Its lock on the entry is to be had once the other is dead.
        while dead.load(std::sync::atomic::Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        let mut mine = pair.ring.consuming();
        let first = loop {
            match pair.ring.claim_pop(&mut mine, 1) {
                Ok(run) => break run,
                Err(_) => thread::yield_now(),
            }
        };
        let held = consumer.join().unwrap();
        assert_eq!(read(pair.ring.message(&first, 0)), 1);
        assert_eq!(first.deliveries, u32::from(held.is_some()));
        pair.ring.release(&mut mine, 1);
        let second = loop {
            match pair.pop(&mut mine, 1) {
                Ok(values) => break values,
                Err(_) => thread::yield_now(),
            }
        };
        assert_eq!(second, [2]);
        producer.join().unwrap();
    });
}
