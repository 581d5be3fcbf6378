//! One writer, many readers: every reader sees every message, and the writer waits for nobody who did not ask for it.
//!
//! `published` counts messages; slot `n % slots` holds message `n`. Readers keep their positions to themselves, copy a
//! message out, and then look whether the writer can have been in its slot meanwhile.
//!
//! **What the writer may be overwriting** is announced in `claimed`: it writes no message at or past that number. It
//! announces a *chunk* of messages at once, so that readers, who look there after every copy, find a line that seldom
//! changes. The ring has a chunk more slots than its capacity; so a reader less than the capacity behind is never
//! overwritten.
//!
//! *Why a copy is whole if `claimed <= n + slots` after it.* The writer stores `claimed`, fences (release), then writes
//! the slot. A reader whose copy contains anything of message `n + slots` read it with an atomic load, fences
//! (acquire), and then must find `claimed` past `n + slots`.
//!
//! **Gating readers** have a cursor that the writer looks at before it goes into a new chunk. A reader sets its gate,
//! fences, then reads `claimed`; the writer stores `claimed`, fences, then looks whether gates were set: one of the two
//! sees the other. What was claimed before the gate was seen is gone for the reader. Before it announces anything the
//! writer waits until all gates are open: a reader that is protected by another's gate, because that one follows it,
//! is not told that it missed what it did not.
//!
//! **Deaths.** What a writer wrote past `published` was never published: its successor writes over it, after a claim of
//! its own. A dead reader
//! leaves a gate, which whoever reaps it takes away. A gate carries the number of times its cursor was taken, so that
//! nobody takes away a successor's.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use super::{Line, Owner, prefetch_to_write};
use crate::fences::Fences;

/// The ring's shared words. All zero is new.
#[repr(C)]
pub(crate) struct FanLines {
    /// How many messages were published.
    published: Line<AtomicU64>,
    /// The writer may be writing messages below this number.
    claimed: Line<AtomicU64>,
    notice: Line<Notice>,
}

/// Read often and written hardly ever.
#[repr(C)]
struct Notice {
    closed: AtomicU32,
    reserved: AtomicU32,
    /// Bit 0: there may be gates. Above: how often one was set.
    gates: AtomicU64,
}

const _: () = assert!(size_of::<FanLines>() == 384);

/// What a reader tells others. Only the reader itself writes here, but for the gate.
#[repr(C, align(128))]
pub(crate) struct Cursor {
    /// It is done with all messages below.
    position: AtomicU64,
    /// See [`Gate`].
    gate: AtomicU64,
    /// Where it began, and how many it missed since.
    began: AtomicU64,
    missed: AtomicU64,
    /// Not zero: some reader follows this one.
    followed: AtomicU32,
}

const _: () = assert!(size_of::<Cursor>() == 128);

/// How a reader stands to the writer, in the two lowest bits of its gate; above: how often its cursor was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Gone = 0,
    Open = 1,
    /// The writer waits for it.
    Gating = 2,
    /// The writer has waited long enough.
    ThrownOut = 3,
}

impl Gate {
    fn of(bits: u64) -> Gate {
        match bits & 3 {
            0 => Gate::Gone,
            1 => Gate::Open,
            2 => Gate::Gating,
            _ => Gate::ThrownOut,
        }
    }
}

/// A reader that is followed: its number, and which of those who had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) number: u32,
    taken: u64,
}

/// What a cursor says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) position: u64,
    pub(crate) gate: Gate,
    pub(crate) read: u64,
    pub(crate) missed: u64,
}

/// A ring in memory that somebody else owns.
#[derive(Clone)]
pub(crate) struct Fan {
    lines: *const FanLines,
    cursors: *const Cursor,
    members: u32,
    slots: *mut u8,
    stride: usize,
    capacity: u64,
    /// Slots: the capacity and a chunk.
    length: u64,
    pub(crate) fences: Fences,
}

// SAFETY: everything is accessed through atomics.
unsafe impl Send for Fan {}
// SAFETY: as above.
unsafe impl Sync for Fan {}

/// How many messages are announced at once.
pub(crate) fn chunk(capacity: u32) -> u32 {
    (capacity / 8).clamp(1, 64)
}

/// The writer's own view.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    /// The number of the next message.
    pub(crate) next: u64,
    index: u64,
    /// Up to where it has claimed, and the gates let it.
    limit: u64,
    /// What the notice of gates said when it looked at all cursors last, and up to where they let it go then. As long as
    /// the notice is the same they let it go no less far.
    gates: u64,
    open_until: u64,
}

/// A reader's own view.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The number of the next message.
    pub(crate) position: u64,
    index: u64,
    /// Messages below are there.
    ready: u64,
}

/// Why a reader gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoMessage {
    Yet,
    /// Closed, and all was read.
    Closed,
    /// So many were overwritten before they were read.
    Missed(u64),
    /// The reader of this number, which it follows, is gone, and all that one was done with was read.
    LeaderGone(u32),
    Corrupt,
}

const PREFETCH_BYTES: usize = 256;

impl Fan {
    /// # Safety
    /// `lines`, `members` cursors, and `capacity + chunk(capacity)` slots of `stride` bytes (aligned to eight) stay valid
    /// and are used as a ring of these measures only, for as long as the ring is.
    pub(crate) unsafe fn new(
        lines: *const FanLines,
        (cursors, members): (*const Cursor, u32),
        (slots, stride): (*mut u8, usize),
        capacity: u32,
        fences: Fences,
    ) -> Fan {
        let length = u64::from(capacity) + u64::from(chunk(capacity));
        Fan { lines, cursors, members, slots, stride, capacity: u64::from(capacity), length, fences }
    }

    #[inline(always)]
    fn lines(&self) -> &FanLines {
        // SAFETY: valid by the contract of `new`; all of its fields are atomics.
        unsafe { &*self.lines }
    }

    fn cursor(&self, number: u32) -> &Cursor {
        assert!(number < self.members);
        // SAFETY: within the table, by the contract of `new`.
        unsafe { &*self.cursors.add(number as usize) }
    }

    fn cursors(&self) -> impl Iterator<Item = &Cursor> {
        (0..self.members).map(|number| self.cursor(number))
    }

    #[inline(always)]
    fn slot(&self, index: u64) -> *mut u8 {
        debug_assert!(index < self.length);
        // SAFETY: indexes are kept in views, which are private and wrap at the length.
        unsafe { self.slots.add(index as usize * self.stride) }
    }

    #[inline(always)]
    fn step(&self, index: u64, count: u64) -> u64 {
        let index = index + count;
        if index < self.length { index } else { index - self.length }
    }

    /// How many messages were published.
    pub(crate) fn published(&self) -> u64 {
        self.lines().published.0.load(Acquire)
    }

    /// The oldest message that is kept for sure.
    pub(crate) fn oldest(&self) -> u64 {
        self.published().saturating_sub(self.capacity)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lines().notice.0.closed.load(Acquire) != 0
    }

    /// Only the writer may: then nothing is published after it.
    pub(crate) fn close(&self) {
        self.lines().notice.0.closed.store(1, SeqCst);
    }

    /// The view of a new writer, which is the only one alive.
    pub(crate) fn publishing(&self) -> Publishing {
        let next = self.published();
        // What a predecessor has claimed is not ours: it may have died before it had looked at the gates once more.
        Publishing { next, index: next % self.length, limit: next, ..Publishing::default() }
    }

    /// How many of the next messages may be written now, at most `want`. `None` if a gating reader stands in the way.
    #[inline(always)]
    pub(crate) fn claim(&self, mine: &mut Publishing, want: u64) -> Option<u64> {
        if mine.next >= mine.limit && !self.claim_chunk(mine) {
            return None;
        }
        Some(want.min(mine.limit - mine.next))
    }

    /// The slot to write the `nth` of the claimed messages into.
    #[inline(always)]
    pub(crate) fn claimed_slot(&self, mine: &Publishing, nth: u64) -> *mut u8 {
        let slot = self.slot(self.step(mine.index, nth));
        prefetch_to_write(slot.wrapping_add(PREFETCH_BYTES));
        slot
    }

    #[cold]
    fn claim_chunk(&self, mine: &mut Publishing) -> bool {
        let limit = mine.next.saturating_add(self.length - self.capacity);
        let gates = &self.lines().notice.0.gates;
        let mut seen = gates.load(SeqCst);
        // What is announced is lost to readers that are so far behind. So not before the gates are open.
        if !self.gates_are_open(mine, seen, limit) {
            return false;
        }
        loop {
            self.lines().claimed.0.store(limit, SeqCst);
            // Before anything is written, and before gates that were set meanwhile are looked at: see the head of this
            // file.
            fence(SeqCst);
            let now = gates.load(SeqCst);
            if now >> 1 == seen >> 1 {
                mine.limit = limit;
                return true;
            }
            seen = now;
            if !self.gates_are_open(mine, seen, limit) {
                return false;
            }
        }
    }

    fn gates_are_open(&self, mine: &mut Publishing, seen: u64, limit: u64) -> bool {
        if seen & 1 == 0 || seen == mine.gates && limit <= mine.open_until {
            return true;
        }
        // Acquire: they have read what we are about to write over.
        let gating = self.cursors().filter(|cursor| Gate::of(cursor.gate.load(SeqCst)) == Gate::Gating);
        let last = gating.map(|cursor| cursor.position.load(Acquire)).min();
        let Some(last) = last else {
            // Fails if a gate was set meanwhile.
            let _ = self.lines().notice.0.gates.compare_exchange(seen, seen & !1, SeqCst, Relaxed);
            return true;
        };
        (mine.gates, mine.open_until) = (seen, last.saturating_add(self.length));
        limit <= mine.open_until
    }

    /// The gating readers in whose way the writer stands, as numbers.
    pub(crate) fn in_the_way(&self, mine: &Publishing) -> Vec<u32> {
        let limit = mine.next.saturating_add(self.length - self.capacity);
        let holds = |number: &u32| {
            let cursor = self.cursor(*number);
            Gate::of(cursor.gate.load(SeqCst)) == Gate::Gating
                && cursor.position.load(Acquire).saturating_add(self.length) < limit
        };
        (0..self.members).filter(holds).collect()
    }

    /// Publishes the first `written` of the claimed messages. The number of the first.
    #[inline(always)]
    pub(crate) fn publish(&self, mine: &mut Publishing, written: u64) -> u64 {
        let number = mine.next;
        mine.next += written;
        mine.index = self.step(mine.index, written);
        // Release: the messages were written before anybody sees them.
        self.lines().published.0.store(mine.next, Release);
        number
    }

    /// A new reader's place, with the lock of its roster entry held.
    pub(crate) fn enter(&self, number: u32, start: u64, gating: bool) -> Reading {
        let cursor = self.cursor(number);
        let mut position = start;
        cursor.followed.store(0, Relaxed);
        cursor.missed.store(0, Relaxed);
        cursor.position.store(position, Relaxed);
        let taken = (cursor.gate.load(Relaxed) >> 2).wrapping_add(1);
        let gate = if gating { Gate::Gating } else { Gate::Open };
        cursor.gate.store(taken << 2 | gate as u64, SeqCst);
        if gating {
            let _ = self.lines().notice.0.gates.fetch_update(SeqCst, SeqCst, |gates| Some(gates.wrapping_add(2) | 1));
            fence(SeqCst);
            // What the writer claimed before it saw the gate may be gone.
            position = position.max(self.lines().claimed.0.load(SeqCst).saturating_sub(self.length));
            cursor.position.store(position, Release);
        }
        cursor.began.store(position, Relaxed);
        self.begin(position)
    }

    /// The view of one who is no member.
    pub(crate) fn begin(&self, position: u64) -> Reading {
        Reading { position, index: position % self.length, ready: position }
    }

    /// The reader goes: nobody waits for it any more.
    pub(crate) fn leave(&self, number: u32) {
        let cursor = self.cursor(number);
        cursor.gate.store(cursor.gate.load(Relaxed) & !3, SeqCst);
    }

    /// The reader of that number is taken for dead: takes its gate away, if it is still its own and `is_dead` says so
    /// once more. Returns whether it is gone.
    pub(crate) fn reap(&self, owner: Owner, is_dead: impl FnOnce() -> bool) -> bool {
        let gate = &self.cursor(u32::from(owner.0)).gate;
        let seen = gate.load(SeqCst);
        Gate::of(seen) == Gate::Gone || is_dead() && gate.compare_exchange(seen, seen & !3, SeqCst, Relaxed).is_ok()
    }

    /// The writer waits for that reader no longer.
    pub(crate) fn throw_out(&self, number: u32) {
        let gate = &self.cursor(number).gate;
        let seen = gate.load(SeqCst);
        if Gate::of(seen) == Gate::Gating {
            let _ = gate.compare_exchange(seen, seen & !3 | Gate::ThrownOut as u64, SeqCst, Relaxed);
        }
    }

    pub(crate) fn standing(&self, number: u32) -> Standing {
        let cursor = self.cursor(number);
        let (position, missed) = (cursor.position.load(Acquire), cursor.missed.load(Relaxed));
        let read = position.wrapping_sub(cursor.began.load(Relaxed)).wrapping_sub(missed);
        Standing { position, gate: Gate::of(cursor.gate.load(Acquire)), read, missed }
    }

    /// To follow the reader of that number, which is alive.
    pub(crate) fn follow(&self, number: u32) -> Leader {
        let cursor = self.cursor(number);
        cursor.followed.store(1, SeqCst);
        Leader { number, taken: cursor.gate.load(SeqCst) >> 2 }
    }

    /// The reader is done with all below its position. Whether somebody may wait to hear so: ordered before the look for
    /// sleepers that the caller takes then.
    #[inline(always)]
    pub(crate) fn advance(&self, number: u32, mine: &Reading) -> bool {
        let cursor = self.cursor(number);
        // Release: the messages were read before the writer writes over them.
        cursor.position.store(mine.position, Release);
        self.fences.worked();
        cursor.followed.load(Relaxed) != 0 || Gate::of(cursor.gate.load(Relaxed)) == Gate::Gating
    }

    /// Whether the next message is there.
    #[inline(always)]
    pub(crate) fn look(&self, mine: &mut Reading, leaders: &[Leader]) -> Result<(), NoMessage> {
        if mine.position < mine.ready { Ok(()) } else { self.look_again(mine, leaders) }
    }

    fn look_again(&self, mine: &mut Reading, leaders: &[Leader]) -> Result<(), NoMessage> {
        // In this order: what was published before the close is there.
        let closed = self.is_closed();
        let published = self.published();
        let (mut ready, mut gone) = (published, None);
        for leader in leaders {
            let cursor = self.cursor(leader.number);
            let position = cursor.position.load(Acquire);
            // After the position, which may be somebody else's by now.
            fence(SeqCst);
            let gate = cursor.gate.load(SeqCst);
            if gate >> 2 == leader.taken {
                ready = ready.min(position);
                if Gate::of(gate) == Gate::Gone && position <= mine.position {
                    gone = Some(leader.number);
                }
            } else {
                (ready, gone) = (mine.position, Some(leader.number));
            }
        }
        mine.ready = ready;
        if mine.position < ready {
            Ok(())
        } else if let Some(leader) = gone {
            Err(NoMessage::LeaderGone(leader))
        } else if closed && mine.position >= published {
            Err(NoMessage::Closed)
        } else {
            Err(NoMessage::Yet)
        }
    }

    /// The slot of the next message, which [`look`](Self::look) said is there. What is read from it counts only if
    /// [`check`](Self::check) says so afterwards.
    #[inline(always)]
    pub(crate) fn next_slot(&self, mine: &Reading) -> *mut u8 {
        self.slot(mine.index)
    }

    /// The number of the message that was read, if it is whole; then the reader goes on to the next. If not, it stays
    /// where it is, until it [skips](Self::skip) what it missed. `reader` is its number, if it has one.
    #[inline(always)]
    pub(crate) fn check(&self, reader: Option<u32>, mine: &mut Reading) -> Option<u64> {
        fence(Acquire);
        if self.lines().claimed.0.load(Relaxed) > mine.position.saturating_add(self.length) && !self.is_gating(reader) {
            return None;
        }
        let read = mine.position;
        mine.position += 1;
        mine.index = self.step(mine.index, 1);
        Some(read)
    }

    /// A reader for whom the writer still waits was not overtaken, whatever the writer would like to write next.
    #[cold]
    fn is_gating(&self, reader: Option<u32>) -> bool {
        reader.is_some_and(|number| Gate::of(self.cursor(number).gate.load(SeqCst)) == Gate::Gating)
    }

    /// The next message is not whole any more: goes on from the oldest that is still there, and says how many were
    /// missed.
    #[cold]
    pub(crate) fn skip(&self, reader: Option<u32>, mine: &mut Reading) -> NoMessage {
        let oldest = self.oldest();
        let Some(missed) = oldest.checked_sub(mine.position).filter(|missed| *missed > 0) else {
            return NoMessage::Corrupt;
        };
        (mine.position, mine.index, mine.ready) = (oldest, oldest % self.length, oldest);
        if let Some(number) = reader {
            let counter = &self.cursor(number).missed;
            counter.store(counter.load(Relaxed).wrapping_add(missed), Relaxed);
        }
        NoMessage::Missed(missed)
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    use super::*;

    /// Calls `with` with a ring of that capacity for three readers, on memory of its own.
    fn with_ring(capacity: u32, with: impl FnOnce(Fan)) {
        let slots = (capacity + chunk(capacity)) as usize;
        let parts = [size_of::<FanLines>(), 3 * size_of::<Cursor>(), 8 * slots];
        let layout = Layout::from_size_align(parts.iter().sum(), 128).expect("small");
        // SAFETY: zeroed memory of this layout holds the lines, then the cursors, then the slots; it lives as long as
        // the ring is used.
        unsafe {
            let base = alloc_zeroed(layout);
            let (cursors, slots) = (base.add(parts[0]), base.add(parts[0] + parts[1]));
            with(Fan::new(base.cast(), (cursors.cast(), 3), (slots, 8), capacity, Fences::Own));
            dealloc(base, layout);
        }
    }

    #[test]
    fn a_successor_does_not_take_a_predecessors_claim_for_its_own() {
        with_ring(4, |fan| {
            let mut writer = fan.publishing();
            for _ in 0..4 {
                fan.claim(&mut writer, 1).expect("nobody gates");
                fan.publish(&mut writer, 1);
            }
            let reader = fan.enter(0, 0, true);
            assert_eq!(reader.position, 0);
            assert!(fan.claim(&mut writer, 1).is_some(), "there is one slot more than the capacity");
            fan.publish(&mut writer, 1);
            assert!(fan.claim(&mut writer, 1).is_none(), "the reader has not read the first");
            // Killed when it had claimed and not yet seen that a gate had been set meanwhile.
            fan.lines().claimed.0.store(6, SeqCst);
            let mut successor = fan.publishing();
            assert!(fan.claim(&mut successor, 1).is_none(), "the reader has still not read the first");
        });
    }
}
