//! The ring and the gate under a model checker: in many orders of steps, and with every value that a load may return
//! by the memory model. Built and run by `proof weak`, with `--cfg loom`.
//!
//! What is run is the code itself. A message is a cell that the checker watches: whoever touches one without
//! everything that was done with it before *having happened before* is reported, whatever value there was.
//!
//! What the checker can't see: a load that takes place later than a store behind it in the same thread (it runs each
//! thread in its order), more than seven values of a word, and more than a few threads. Models that would take too long
//! are bounded by how often a thread is interrupted where it could have gone on; each says so. Such a bound hides things:
//! within two interruptions no model missed the release of a batch's stamps, within three one does.

mod deaths;
mod many;
mod one;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Count, Ordering::Relaxed};
use std::time::Instant;

use loom::cell::UnsafeCell;

use crate::ring::many::Many;
use crate::ring::{Lines, Owner, Refusal, Run};
use crate::sync::{self, AtomicU64};

/// Runs a model in every order, with at most so many interruptions (`None`: any number).
fn explore(interruptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(Count::new(0));
    let counted = Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = interruptions;
    // A guard against loops without an end, not a bound of the search: to reach it is a failure.
    builder.max_branches = 5_000;
    let begun = Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        sync::all_awake();
        model();
    });
    let name = std::thread::current().name().unwrap_or("a model").to_string();
    let bound = interruptions.map_or("all".into(), |most| format!("<={most}"));
    println!("explored\t{name}\t{}\t{bound}\t{:.1}", runs.load(Relaxed), begun.elapsed().as_secs_f64());
}

/// A slot as the ring of many sees it.
#[repr(C)]
struct Slot {
    stamp: AtomicU64,
    message: UnsafeCell<u64>,
}

/// A ring of many, and the memory that it works on.
struct Stage {
    ring: Many,
    _lines: Box<Lines>,
    _slots: Box<[Slot]>,
}

const fn size() -> (usize, usize) {
    (size_of::<UnsafeCell<u64>>(), align_of::<UnsafeCell<u64>>())
}

/// The cell behind a pointer that the ring gave out.
fn cell<'a>(message: *mut u8) -> &'a UnsafeCell<u64> {
    // SAFETY: the slots of a stage hold such cells where the ring says a message is, and outlive every use of it. That
    // nobody else touches what is in the cell is what the cell itself watches over.
    unsafe { &*message.cast::<UnsafeCell<u64>>() }
}

fn write(message: *mut u8, value: u64) {
    // SAFETY: the cell gives a pointer to what is in it, or reports a race.
    cell(message).with_mut(|place| unsafe { *place = value });
}

fn read(message: *mut u8) -> u64 {
    // SAFETY: as above.
    cell(message).with(|place| unsafe { *place })
}

/// A reader's memory between two pops, and what it does as [`crate::Consumer`] does.
struct Reader {
    me: Owner,
    orphans_seen: u32,
}

impl Reader {
    fn new(stage: &Stage, me: u16) -> Reader {
        Reader { me: Owner(me), orphans_seen: stage.ring.orphans_notice().wrapping_sub(1) }
    }

    fn claim(&mut self, stage: &Stage, want: u32) -> Result<Run, Refusal> {
        let ring = &stage.ring;
        if ring.orphans_notice() != self.orphans_seen {
            let notice = ring.orphans_notice();
            match ring.claim_orphan(self.me)? {
                Some(orphan) => return Ok(orphan),
                None => self.orphans_seen = notice,
            }
        }
        ring.claim_pop(self.me, want)
    }

    /// The message, and how often it was handed out before.
    fn try_pop(&mut self, stage: &Stage) -> Result<(u64, u32), Refusal> {
        let run = self.claim(stage, 1)?;
        let value = read(stage.ring.message(&run, 0));
        stage.ring.release(self.me, &run);
        Ok((value, run.deliveries))
    }

    fn pop(&mut self, stage: &Stage) -> u64 {
        stage.until(|| self.try_pop(stage)).0
    }

    fn try_pop_batch(&mut self, stage: &Stage, want: u32) -> Result<Vec<u64>, Refusal> {
        let run = self.claim(stage, want)?;
        let values = (0..run.count).map(|nth| read(stage.ring.message(&run, nth))).collect();
        stage.ring.release(self.me, &run);
        Ok(values)
    }
}

impl Stage {
    fn new(capacity: u32, mortal: bool) -> Arc<Stage> {
        let lines = Box::new(Lines::new());
        let slot = |_| Slot { stamp: AtomicU64::new(0), message: UnsafeCell::new(u64::MAX) };
        let mut slots: Box<[Slot]> = (0..capacity).map(slot).collect();
        let (size, align) = size();
        // SAFETY: both live as long as the ring, and the slots are as the ring measures them.
        let ring = unsafe { Many::new(&raw const *lines, slots.as_mut_ptr().cast(), capacity, size, align, mortal) };
        Arc::new(Stage { ring, _lines: lines, _slots: slots })
    }

    fn try_push(&self, me: u16, value: u64) -> Result<(), Refusal> {
        let run = self.ring.claim_push(Owner(me), 1)?;
        write(self.ring.message(&run, 0), value);
        self.ring.publish(&run, 1);
        Ok(())
    }

    fn push(&self, me: u16, value: u64) {
        self.until(|| self.try_push(me, value));
    }

    /// Pushes as many of the values as one claim takes.
    fn try_push_batch(&self, me: u16, values: &[u64]) -> Result<usize, Refusal> {
        let run = self.ring.claim_push(Owner(me), values.len() as u32)?;
        for (nth, value) in (0..run.count).zip(values) {
            write(self.ring.message(&run, nth), *value);
        }
        self.ring.publish(&run, run.count);
        Ok(run.count as usize)
    }

    /// Tries until it is done, letting others go on in between. Refusals that blocking calls don't wait out are faults.
    fn until<T>(&self, mut attempt: impl FnMut() -> Result<T, Refusal>) -> T {
        loop {
            match attempt() {
                Ok(done) => return done,
                Err(Refusal::Nothing | Refusal::Held | Refusal::Draining) => loom::thread::yield_now(),
                Err(fault) => panic!("refused for good: {fault:?}"),
            }
        }
    }

    /// Tries so often, and takes for an answer what a call that may not wait reports.
    fn attempt<T>(&self, times: u32, mut attempt: impl FnMut() -> Result<T, Refusal>) -> Option<T> {
        for _ in 0..times {
            match attempt() {
                Ok(done) => return Some(done),
                Err(Refusal::Nothing | Refusal::Held | Refusal::Draining) => {}
                Err(fault) => panic!("refused for good: {fault:?}"),
            }
        }
        None
    }

    /// All that is left, by one who is alone.
    fn drain(&self, reader: &mut Reader) -> Vec<u64> {
        let mut left = Vec::new();
        loop {
            match reader.try_pop(self) {
                Ok((value, _)) => left.push(value),
                Err(Refusal::Nothing | Refusal::Closed) => return left,
                Err(fault) => panic!("alone, and refused: {fault:?}"),
            }
        }
    }

    /// By one who is alone: the ring is empty and has room for as many as on its first day.
    fn is_whole(&self, reader: &mut Reader, capacity: u64) {
        for value in 0..capacity {
            assert_eq!(self.try_push(0, value), Ok(()), "room was lost");
        }
        assert_eq!(self.try_push(0, capacity), Err(Refusal::Nothing), "room was found");
        assert_eq!(self.drain(reader), (0..capacity).collect::<Vec<_>>());
    }
}

/// The same values, in whatever order.
#[track_caller]
fn same(mut found: Vec<u64>, expected: &[u64]) {
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "messages were lost, doubled or made up");
}
