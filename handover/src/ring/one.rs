//! One producer, one consumer: no claims, no stamps, no compare-and-swap.
//!
//! `tail` counts the messages published, `head` those released; slot `n % capacity` holds message `n`. Each side writes
//! its own count with a plain store, once for each message, and keeps the other's as it last saw it.
//!
//! **Stores are what counts here.** A processor lets its stores wait in order, a few dozen of them, for the lines they go
//! to. A push that needs few runs ahead of the line that it has to fetch from the other side; one that needs many stands
//! still. So nothing is stored that can be known otherwise: messages are counted by `tail` and `head` alone, and each
//! side reads its own count back from there.
//!
//! **Deaths.** What a producer wrote past `tail` was never published: its successor writes over it. What a consumer
//! read without moving `head` is still there: its successor reads it. A message that was handed out in place is noted
//! in `held` first, so that the successor can mark it as redelivered, and where a batch ends that is handed to the user's
//! collection in `shown`. A plain `pop` shows nothing to anybody before it has moved `head`, and needs no note.
//!
//! **Fences.** A producer says in `pushing` that it may publish, and then looks whether the ring is closed; a consumer of
//! a closed ring looks at `pushing`, once [`Fences`] lets it, before it leaves.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use super::{Fault, Lines, Position, RUN_MAX, Refusal, Run, prefetch_to_read, prefetch_to_write};
use crate::fences::Fences;
use crate::sync::{fence, ordering};

/// A ring in memory that somebody else owns.
#[derive(Clone)]
pub(crate) struct One {
    lines: *const Lines,
    slots: *mut u8,
    stride: usize,
    capacity: u64,
    /// The bytes of all slots.
    length: usize,
    /// How far ahead lines are fetched, in bytes; more than the ring has where that would harm.
    ahead: usize,
    pub(crate) fences: Fences,
    /// Whether it may be told to hold fewer messages than it has slots.
    limited: bool,
}

// SAFETY: all shared access goes through atomics; messages are accessed only between publish and release, by one side.
unsafe impl Send for One {}
// SAFETY: as above.
unsafe impl Sync for One {}

/// The producer's own view.
#[derive(Debug, Default)]
pub(crate) struct Producing {
    /// Of the slot for the message at `tail`. Kept, and not computed: no scribbler can lead it out of the ring.
    index: u64,
    /// `head` as last seen.
    head: u64,
}

/// The consumer's own view.
#[derive(Debug, Default)]
pub(crate) struct Consuming {
    /// Of the slot of the message at `head`.
    index: u64,
    /// `tail` as last seen.
    tail: u64,
    /// How often the message at `head` was handed out and not finished.
    deliveries: u32,
    /// Behind `head`, of how many messages it is known that they were shown before, in a batch.
    shown: u64,
}

impl Consuming {
    /// The message at the head was redelivered, alone, and is done with: was the next one shown before, too?
    #[cold]
    fn next_delivery(&mut self) {
        self.deliveries = u32::from(self.shown > 0);
        self.shown = self.shown.saturating_sub(1);
    }
}

/// The distance of two slots; `None` if it overflows.
pub(crate) fn stride(size: usize, align: usize) -> Option<usize> {
    size.max(1).checked_next_multiple_of(align)
}

/// How far ahead lines are fetched.
const PREFETCH_BYTES: usize = 256;

/// `held`: the message (its number plus one, so that zero is none) and its deliveries.
fn note(message: u64, deliveries: u32) -> u64 {
    message.wrapping_add(1) << 8 | u64::from(deliveries.min(255))
}

impl One {
    /// # Safety
    /// As [`super::many::Many::new`], for slots of `stride(size, align)` bytes.
    pub(crate) unsafe fn new(
        lines: *const Lines,
        slots: *mut u8,
        capacity: u32,
        size: usize,
        align: usize,
        fences: Fences,
    ) -> One {
        let stride = stride(size, align).expect("measured at creation");
        let length = capacity as usize * stride;
        // In a small ring what lies ahead is what the other side works on.
        let ahead = if length >= 16 * PREFETCH_BYTES { PREFETCH_BYTES } else { length };
        One { lines, slots, stride, capacity: u64::from(capacity), length, ahead, fences, limited: false }
    }

    /// The same, for a ring whose notice says how much it holds.
    pub(crate) fn limited(self) -> One {
        One { limited: true, ..self }
    }

    #[inline(always)]
    pub(crate) fn lines(&self) -> &Lines {
        // SAFETY: valid by the contract of `new`; all of its fields are atomics.
        unsafe { &*self.lines }
    }

    #[inline(always)]
    fn slot(&self, index: u64) -> *mut u8 {
        debug_assert!(index < self.capacity);
        // SAFETY: the index comes out of a view, which is private and wraps at the capacity.
        unsafe { self.slots.add(index as usize * self.stride) }
    }

    /// Where the `nth` message of a run lies.
    #[inline(always)]
    pub(crate) fn message(&self, run: &Run, nth: u32) -> *mut u8 {
        debug_assert!(nth < run.count);
        if nth == 0 { run.slot } else { self.slot(self.step(u64::from(run.first.index), u64::from(nth))) }
    }

    #[inline(always)]
    fn run(&self, index: u64, count: u64, deliveries: u32) -> Run {
        let first = Position { lap: 0, index: index as u32 };
        Run { first, slot: self.slot(index), count: count as u32, deliveries }
    }

    #[inline(always)]
    fn step(&self, index: u64, count: u64) -> u64 {
        let index = index + count;
        if index < self.capacity { index } else { index - self.capacity }
    }

    /// The view of a new producer, which is the only one alive.
    pub(crate) fn producing(&self) -> Producing {
        self.cease();
        Producing { index: self.tail() % self.capacity, head: self.lines().head.0.ticket.load(Acquire) }
    }

    /// How many messages were published.
    #[inline(always)]
    pub(crate) fn tail(&self) -> u64 {
        self.lines().tail.0.ticket.load(Relaxed)
    }

    /// How many messages were released.
    #[inline(always)]
    pub(crate) fn head(&self) -> u64 {
        self.lines().head.0.ticket.load(Relaxed)
    }

    /// The view of a new consumer, which is the only one alive.
    pub(crate) fn consuming(&self) -> Consuming {
        let head = self.lines().head.0.ticket.load(Acquire);
        let held = self.lines().head.0.held.load(Acquire);
        let deliveries = if held >> 8 == head.wrapping_add(1) & (u64::MAX >> 8) { (held & 255) as u32 } else { 0 };
        // Of a batch that was finished nothing is left; a number that nobody wrote is no batch either.
        let batch = self.lines().head.0.shown.load(Acquire).wrapping_sub(head);
        let shown = if batch <= u64::from(RUN_MAX) { batch } else { 0 };
        let deliveries = if shown > 0 { deliveries.max(1) } else { deliveries };
        Consuming { index: head % self.capacity, tail: head, deliveries, shown: shown.saturating_sub(1) }
    }

    /// The slots that can be written now, at most `want`; while they are written, `pushing` says so.
    #[inline(always)]
    pub(crate) fn claim_push(&self, mine: &mut Producing, want: u32) -> Result<Run, Refusal> {
        let tail = self.tail();
        // Back at the tail by itself when one message is published.
        self.lines().tail.0.pushing.store(tail.wrapping_add(1), Relaxed);
        self.fences.worked();
        match self.room(mine, tail, u64::from(want)) {
            Ok(room) => {
                if let Some(line) = self.ahead_of(mine.index) {
                    prefetch_to_write(line);
                }
                Ok(self.run(mine.index, room, 0))
            }
            Err(refusal) => {
                self.cease();
                Err(refusal)
            }
        }
    }

    #[inline(always)]
    fn room(&self, mine: &mut Producing, tail: u64, want: u64) -> Result<u64, Refusal> {
        let mut used = tail.wrapping_sub(mine.head);
        let limit = if self.limited { self.lines().notice.0.limit.load(Relaxed).into() } else { self.capacity };
        if used > limit.saturating_sub(want) {
            // Acquire: the message was read before we write over it.
            mine.head = self.lines().head.0.ticket.load(ordering("one-head", Acquire));
            used = tail.wrapping_sub(mine.head);
            if used > self.capacity {
                return Err(Refusal::Corrupt(Fault::Distance));
            }
        }
        // Behind the look at the head: room that came after a close is not for us.
        if self.lines().notice.0.closed.load(Relaxed) != 0 {
            return Err(Refusal::Closed);
        }
        if used >= limit {
            return Err(Refusal::Nothing);
        }
        Ok(want.min(limit - used))
    }

    /// Publishes the first `written` slots of what was claimed.
    #[inline(always)]
    pub(crate) fn publish(&self, mine: &mut Producing, written: u32) {
        let count = u64::from(written);
        mine.index = self.step(mine.index, count);
        // Release: the messages were written before anybody sees them.
        self.lines().tail.0.ticket.store(self.tail().wrapping_add(count), ordering("one-publish", Release));
        if written != 1 {
            self.cease();
        }
    }

    /// The messages that can be read now, at most `want`. One that was handed out before comes alone.
    #[inline(always)]
    pub(crate) fn claim_pop(&self, mine: &mut Consuming, want: u32) -> Result<Run, Refusal> {
        let want = if mine.deliveries > 0 { 1 } else { u64::from(want) };
        let head = self.head();
        let mut ready = mine.tail.wrapping_sub(head);
        // More than there are slots: somebody scribbled over the head.
        if ready == 0 || ready > self.capacity {
            // Acquire: the messages were written before the tail moved.
            mine.tail = self.lines().tail.0.ticket.load(ordering("one-tail", Acquire));
            ready = mine.tail.wrapping_sub(head);
            if ready > self.capacity {
                return Err(Refusal::Corrupt(Fault::Distance));
            }
            if ready == 0 {
                let closed = self.lines().notice.0.closed.load(Relaxed) != 0;
                return Err(if closed { Refusal::Draining } else { Refusal::Nothing });
            }
        }
        if let Some(line) = self.ahead_of(mine.index) {
            prefetch_to_read(line);
        }
        Ok(self.run(mine.index, want.min(ready), mine.deliveries))
    }

    /// What will be used soon, unless that is past the end.
    #[inline(always)]
    fn ahead_of(&self, index: u64) -> Option<*const u8> {
        let offset = index as usize * self.stride + self.ahead;
        (offset < self.length).then(|| self.slots.cast_const().wrapping_add(offset))
    }

    /// The producer is not pushing, or not any more.
    pub(crate) fn cease(&self) {
        // Release: a consumer that sees this sees what was published.
        self.lines().tail.0.pushing.store(self.tail(), ordering("one-cease", Release));
    }

    /// For a consumer that found the ring closed and empty, *after* every running thread was made to fence: whether no
    /// push is under way. A producer that saw the ring open had said `pushing` before it looked.
    pub(crate) fn is_pushing(&self) -> bool {
        let pushing = self.lines().tail.0.pushing.load(ordering("one-is-pushing", Acquire));
        pushing != self.lines().tail.0.ticket.load(ordering("one-is-pushing-tail", Acquire))
    }

    /// Notes that the message at the head is handed out in place.
    pub(crate) fn note_held(&self, mine: &mut Consuming) {
        mine.deliveries = mine.deliveries.saturating_add(1);
        self.lines().head.0.held.store(note(self.head(), mine.deliveries), Release);
    }

    /// Notes that the messages of a run are shown to the user before they are released.
    pub(crate) fn note_shown(&self, mine: &Consuming, run: &Run) {
        // Those behind a redelivered message that were shown with it stay noted: this member may die, too. Where none
        // is redelivered none is known to have been shown.
        let shown = u64::from(run.count).max(mine.shown + 1);
        self.lines().head.0.shown.store(self.head().wrapping_add(shown), Release);
    }

    /// Frees the slots of the first messages, so many as were claimed and are done with.
    #[inline(always)]
    pub(crate) fn release(&self, mine: &mut Consuming, count: u32) {
        let count = u64::from(count);
        mine.index = self.step(mine.index, count);
        if mine.deliveries != 0 && count != 0 {
            mine.next_delivery();
        }
        // Release: the messages were read before anybody writes over them.
        self.lines().head.0.ticket.store(self.head().wrapping_add(count), ordering("one-release", Release));
    }

    pub(crate) fn close(&self) {
        self.lines().notice.0.closed.store(1, SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lines().notice.0.closed.load(SeqCst) != 0
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> Result<u32, Refusal> {
        for _ in 0..super::LOOKS {
            let head = self.lines().head.0.ticket.load(SeqCst);
            let length = self.lines().tail.0.ticket.load(SeqCst).wrapping_sub(head);
            if length <= self.capacity {
                return Ok(length as u32);
            }
            // The two were not read at one moment: only a head that stands still makes it a fault.
            if self.lines().head.0.ticket.load(SeqCst) == head {
                break;
            }
        }
        Err(Refusal::Corrupt(Fault::Distance))
    }

    /// As that of a ring of many.
    pub(crate) fn peek<T>(&self, most: usize, look: &mut dyn FnMut(*const u8) -> T) -> Result<Vec<(T, u32)>, Refusal> {
        let mut mine = self.consuming();
        let first = mine.tail;
        let mut seen = Vec::new();
        for nth in 0..u64::from(self.len()?) {
            if seen.len() == most {
                break;
            }
            let number = first.wrapping_add(nth);
            let made = look(self.slot(number % self.capacity));
            let deliveries = mine.deliveries;
            mine.next_delivery();
            fence(Acquire);
            // What was released meanwhile may have been written over.
            if number.wrapping_sub(self.head()) <= self.capacity {
                seen.push((made, deliveries));
            }
        }
        Ok(seen)
    }

    /// Calls `visit` with each message left in the ring, which nobody else uses any more.
    pub(crate) fn drain_alone(&mut self, visit: &mut dyn FnMut(*mut u8)) {
        let mut mine = self.consuming();
        while let Ok(run) = self.claim_pop(&mut mine, 1) {
            visit(self.message(&run, 0));
            self.release(&mut mine, 1);
        }
    }
}
