//! Many producers, many consumers, and a claim that says whose it is.
//!
//! A claim is one compare-and-swap of a ticket, from `{position p, ...}` to `{position p + n, owner me, count n}`.
//! So the ticket itself names the holder of the claim made *last*. Before the next member replaces it, it writes that
//! name into the first slot of the claim, unless its holder has moved on by then ([`Many::remember`]). Hence
//!
//! > **The invariant.** Of every claim, either the holder has finished it, or the stamp of its first slot names the
//! > holder and the length, or the ticket still does.
//!
//! The holder pays nothing for it; the next member pays one look at the slot before its own, and only if the claim was
//! somebody else's. Nothing is ever in doubt: there is no moment at which a claim exists and its holder can't be named.
//!
//! **A run is finished first slot last.** A push stamps its slots `Full` from the last to the first; a pop, having
//! copied the messages, marks the first slot `Releasing` and frees them from the last to the first. Claims are made
//! in order, so nobody passes the first slot before all of the run is done, and the record there covers the whole run
//! to its end. A killed member's run is therefore delivered (or handed back) all or none.
//!
//! **Settling the dead.** Whoever is held up reads the stamp, *then* asks the kernel about the owner it names, *then*
//! changes the stamp by compare-and-swap from what it read. Stamps carry the lap and never return to a value within
//! 2^44 positions, so an unchanged stamp is the same claim; its holder held its lock from before the claim, so "nobody
//! holds the lock" said after the stamp was read means that this holder is dead and will not touch the slot again. A
//! repair that was itself stopped and resumes late fails at its compare-and-swap, or finds the number's new owner
//! alive. Every step may be made by any number of members at once, and left off at any instruction.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::words::{Position, Stamp, State, Ticket};
use super::{Fault, Geometry, Lines, Owner, RUN_MAX, Refusal, Run, prefetch_to_write};
use crate::sync::{AtomicU64, as_if_sequential, fence, kept, ordering, pause};

/// A ring in memory that somebody else owns.
#[derive(Clone)]
pub(crate) struct Many {
    lines: *const Lines,
    slots: *mut u8,
    stride: usize,
    message_offset: usize,
    geometry: Geometry,
    /// How many slots ahead of a claim the next ones are fetched; more than the ring has where that would harm.
    ahead: u32,
    /// Whether members can die. Threads of one process can't, and need no records.
    mortal: bool,
    /// Whether it may be told to hold fewer messages than it has slots.
    limited: bool,
}

// SAFETY: all shared access goes through atomics; the messages' bytes are accessed only under a claim.
unsafe impl Send for Many {}
// SAFETY: as above.
unsafe impl Sync for Many {}

/// Two that claim from one ticket in turns take its line from each other at every claim. One that gives way for a while
/// lets the other make many claims in the time of one.
#[derive(Default)]
struct Contention {
    times: u32,
}

impl Contention {
    #[cold]
    fn give_way(&mut self) {
        pause(16 << self.times.min(3));
        self.times += 1;
    }
}

/// What settling did, for the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) voided: u32,
    pub(crate) orphaned: u32,
    /// Something changed: look again.
    pub(crate) moved: bool,
    /// Something was left as it was, for its holder's number is a living member's.
    pub(crate) spared: bool,
}

/// How far ahead of a claim slots are fetched.
const PREFETCH_BYTES: usize = 1024;

/// Where the stamp lies in the slot, and the message behind it.
pub(crate) const fn message_offset(align: usize) -> usize {
    size_of::<AtomicU64>().next_multiple_of(align)
}

/// The distance of two slots; `None` if it overflows.
pub(crate) fn stride(size: usize, align: usize) -> Option<usize> {
    message_offset(align).checked_add(size)?.checked_next_multiple_of(align.max(align_of::<AtomicU64>()))
}

impl Many {
    /// # Safety
    /// `lines` and `slots` (of `capacity * stride` bytes, aligned for stamp and message, zero when new) stay valid
    /// and are used as a ring of these measures only, for as long as the ring is.
    pub(crate) unsafe fn new(
        lines: *const Lines,
        slots: *mut u8,
        capacity: u32,
        size: usize,
        align: usize,
        mortal: bool,
    ) -> Many {
        let stride = stride(size, align).expect("measured at creation");
        let ahead = PREFETCH_BYTES.div_ceil(stride).min(u32::MAX as usize) as u32;
        // In a small ring what lies ahead is what the other side works on.
        let ahead = if u64::from(ahead) * 16 <= u64::from(capacity) { ahead } else { capacity };
        let geometry = Geometry::new(capacity);
        Many { lines, slots, stride, message_offset: message_offset(align), geometry, ahead, mortal, limited: false }
    }

    /// The same, for a ring whose notice says how much it holds.
    pub(crate) fn limited(self) -> Many {
        Many { limited: true, ..self }
    }

    #[inline(always)]
    pub(crate) fn lines(&self) -> &Lines {
        // SAFETY: valid by the contract of `new`; all of its fields are atomics.
        unsafe { &*self.lines }
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> *mut u8 {
        debug_assert!(index < self.geometry.capacity);
        // SAFETY: every `Position` comes out of `Geometry`, which bounds its index by the capacity.
        unsafe { self.slots.add(index as usize * self.stride) }
    }

    #[inline(always)]
    fn stamp(&self, index: u32) -> &AtomicU64 {
        // SAFETY: a slot begins with its stamp.
        unsafe { &*self.slot(index).cast::<AtomicU64>() }
    }

    /// The stamp of a run's first slot.
    #[inline(always)]
    fn first_stamp(&self, run: &Run) -> &AtomicU64 {
        // SAFETY: as above; runs are made by `run`.
        unsafe { &*run.slot.cast::<AtomicU64>() }
    }

    #[inline(always)]
    fn run(&self, first: Position, count: u32, deliveries: u32) -> Run {
        Run { first, slot: self.slot(first.index), count, deliveries }
    }

    /// Where the `nth` message of a run lies. Only its holder may touch it.
    #[inline(always)]
    pub(crate) fn message(&self, run: &Run, nth: u32) -> *mut u8 {
        debug_assert!(nth < run.count);
        let slot = if nth == 0 { run.slot } else { self.slot(self.geometry.after(run.first, nth).index) };
        // SAFETY: the message lies within the stride.
        unsafe { slot.add(self.message_offset) }
    }

    /// Where a message lies that comes so many after the first of a run. It is others' to change.
    #[inline(always)]
    pub(crate) fn look_ahead(&self, run: &Run, nth: u32) -> *mut u8 {
        let slot = self.slot(self.geometry.after(run.first, nth).index);
        // SAFETY: the message lies within the stride.
        unsafe { slot.add(self.message_offset) }
    }

    fn unpack(&self, bits: u64) -> Result<Ticket, Refusal> {
        Ticket::unpack(bits, &self.geometry).ok_or(Refusal::Corrupt(Fault::Ticket))
    }

    /// Claims up to `want` free slots.
    ///
    /// This is the way of one who has time; [`Self::claim_push_at_once`] tries once.
    pub(crate) fn claim_push(&self, me: Owner, want: u32) -> Result<Run, Refusal> {
        let tail = &self.lines().tail.0.ticket;
        let mut contention = Contention::default();
        loop {
            let bits = tail.load(ordering("claim-ticket", Acquire));
            let ticket = self.unpack(bits)?;
            if ticket.closed {
                return Err(Refusal::Closed);
            }
            let room = self.room(bits);
            if room == 0 {
                self.refuse_beyond_limit(ticket)?;
            } else if let Some(run) = self.try_claim(tail, bits, me, want.min(room), State::Free) {
                return Ok(run);
            }
            if tail.load(ordering("look-again", Acquire)) == bits {
                self.refuse_push(bits, ticket)?;
            } else {
                contention.give_way();
            }
        }
    }

    #[inline(always)]
    pub(crate) fn claim_push_at_once(&self, me: Owner, want: u32) -> Option<Run> {
        let tail = &self.lines().tail.0.ticket;
        let bits = tail.load(ordering("claim-ticket", Acquire));
        if bits & Ticket::CLOSED != 0 {
            return None;
        }
        let room = self.room(bits);
        if room == 0 {
            return None;
        }
        self.try_claim(tail, bits, me, want.min(room), State::Free)
    }

    /// How many messages may be pushed, as long as `tail` is the ticket. Pops only make it more.
    #[inline(always)]
    fn room(&self, tail: u64) -> u32 {
        if !self.limited {
            return u32::MAX;
        }
        let limit = self.lines().notice.0.limit.load(Relaxed);
        let head = self.geometry.unpack(self.lines().head.0.ticket.load(Acquire));
        let used = head.zip(self.geometry.unpack(tail)).and_then(|(head, tail)| self.geometry.distance(head, tail));
        // A tail that the head has passed is not the ticket any more.
        used.map_or(u32::MAX, |used| limit.saturating_sub(used))
    }

    /// Why there is no room below the limit; `Ok` says: look again.
    #[cold]
    fn refuse_beyond_limit(&self, tail: Ticket) -> Result<(), Refusal> {
        let head = self.unpack(self.lines().head.0.ticket.load(Acquire))?;
        let stamp = Stamp::from_bits(self.stamp(head.position.index).load(Acquire));
        match stamp.state() {
            _ if stamp.lap() != head.position.lap => Err(Refusal::Nothing),
            // What nobody has pushed takes no room.
            Some(State::Void) => self.step_over(head),
            Some(State::Free | State::Writing) if head.position != tail.position => Err(Refusal::Held),
            _ => Err(Refusal::Nothing),
        }
    }

    /// The claim itself, if `bits` is still the ticket and its slot is ready.
    #[inline(always)]
    fn try_claim(&self, ticket: &AtomicU64, bits: u64, me: Owner, want: u32, ready: State) -> Option<Run> {
        let first = self.geometry.unpack(bits)?;
        // What is said of the first slot is only a branch, which the processor guesses: the claim does not wait for it.
        if self.stamp(first.index).load(ordering("claim-stamp", Acquire)) != Stamp::new(ready, first.lap).bits() {
            return None;
        }
        let count = if want == 1 { 1 } else { self.stretch(first, want, ready) };
        // A holder's own earlier claims need no record: one handle makes one claim at a time, and those that user
        // code can leave standing (loans and receipts) are recorded when they are made.
        if self.mortal && Ticket::owner_of(bits) != me {
            self.remember(bits, ready);
        }
        let next = Ticket { closed: false, count, owner: me, position: self.geometry.after(first, count) };
        // Release: whoever sees this claim sees the record of the one before. SeqCst: after it the caller looks for
        // sleepers, who announce themselves and then look at this ticket; one of the two sees the other.
        ticket.compare_exchange(bits, next.pack(&self.geometry), ordering("claim", SeqCst), Relaxed).ok()?;
        as_if_sequential("claim");
        self.prefetch(first);
        Some(self.run(first, count, 0))
    }

    /// Asks for a slot that will be claimed soon: to write to, as its stamp will be, whatever is done with the message.
    /// Else the processor would fetch the line twice, to read it and to write to it, and wait for both.
    #[inline(always)]
    fn prefetch(&self, position: Position) {
        let ahead = position.index + self.ahead;
        if ahead < self.geometry.capacity {
            prefetch_to_write(self.slots.wrapping_add(ahead as usize * self.stride));
        }
    }

    /// How many slots from `position` on, at most `want`, are in `state` in their lap; the first one is. In order: what
    /// lies behind a slot that is not ready is not looked at.
    fn stretch(&self, position: Position, want: u32, state: State) -> u32 {
        let most = want.min(RUN_MAX).min(self.geometry.capacity);
        let mut at = self.geometry.after(position, 1);
        for count in 1..most {
            // Acquire: what the member before did in the slot has happened before we touch it.
            if self.stamp(at.index).load(ordering("stretch-stamp", Acquire)) != Stamp::new(state, at.lap).bits() {
                return count;
            }
            at = self.geometry.after(at, 1);
        }
        most
    }

    /// Before a ticket is replaced: the claim it names gets its record, unless its holder has moved on.
    fn remember(&self, bits: u64, unmoved: State) {
        if let Some(ticket) = Ticket::unpack(bits, &self.geometry)
            && ticket.count != 0
        {
            self.record(ticket, unmoved);
        }
    }

    fn record(&self, ticket: Ticket, unmoved: State) {
        let first = self.geometry.before(ticket.position, ticket.count);
        let stamp = self.stamp(first.index);
        let was = Stamp::new(unmoved, first.lap).bits();
        let seen = stamp.load(Relaxed);
        let holding = if unmoved == State::Free { State::Writing } else { State::Reading };
        if seen == was {
            let record = Stamp::run(holding, first.lap, ticket.owner, ticket.count);
            // Fails if the holder has moved on; then there is nothing to record. AcqRel passes on what the slot's
            // last writer did to whoever acquires this record.
            let _ = stamp.compare_exchange(was, record.bits(), ordering("record", AcqRel), Relaxed);
        } else if unmoved == State::Full && seen == Stamp::new(State::Void, first.lap).bits() {
            self.free_void(first);
        }
    }

    /// A void that the head has passed is free; anybody may say so.
    fn free_void(&self, position: Position) {
        let void = Stamp::new(State::Void, position.lap).bits();
        let free = Stamp::new(State::Free, self.geometry.next_lap(position.lap)).bits();
        let _ = self.stamp(position.index).compare_exchange(void, free, ordering("free-void", AcqRel), Relaxed);
    }

    /// Why the slot at the tail can't be claimed; `Ok` says: look again.
    #[cold]
    fn refuse_push(&self, bits: u64, ticket: Ticket) -> Result<(), Refusal> {
        let position = ticket.position;
        let stamp = Stamp::from_bits(self.stamp(position.index).load(ordering("refuse-stamp", Acquire)));
        let head = self.unpack(self.lines().head.0.ticket.load(ordering("refuse-ticket", Acquire)))?;
        let queued = self.geometry.distance(head.position, position);
        if self.lines().tail.0.ticket.load(Acquire) != bits {
            return Ok(());
        }
        let Some(state) = stamp.plain_or_held() else { return Err(Refusal::Corrupt(Fault::Stamp)) };
        if stamp.lap() == position.lap && state == State::Free {
            return Ok(());
        }
        if stamp.lap() != self.geometry.last_lap(position.lap) {
            return Err(Refusal::Corrupt(Fault::Lap));
        }
        match (queued, state) {
            (None, _) => Err(Refusal::Corrupt(Fault::Distance)),
            // The oldest position in the ring, not yet passed by the head.
            (Some(queued), State::Void) if queued == self.geometry.capacity => self.step_over(head),
            (Some(queued), State::Full) if queued == self.geometry.capacity => Err(Refusal::Nothing),
            (Some(_), State::Void) => {
                self.free_void(Position { lap: stamp.lap(), index: position.index });
                Ok(())
            }
            (Some(_), _) => Err(Refusal::Held),
        }
    }

    /// Takes the head past a void. On nobody's behalf: what is left to do, anybody can do ([`Self::free_void`]).
    fn step_over(&self, head: Ticket) -> Result<(), Refusal> {
        let position = head.position;
        if head.count != 0 {
            self.record(head, State::Full);
        }
        let next = Ticket { count: 1, position: self.geometry.after(position, 1), ..head };
        let swap = self.lines().head.0.ticket.compare_exchange(
            head.pack(&self.geometry),
            next.pack(&self.geometry),
            ordering("step-over", SeqCst),
            Relaxed,
        );
        if swap.is_ok() {
            self.free_void(position);
        }
        Ok(())
    }

    /// Names the holder of a claimed run in its first slot, for claims that user code may leave standing.
    pub(crate) fn record_push(&self, me: Owner, run: &Run) {
        let record = Stamp::run(State::Writing, run.first.lap, me, run.count);
        self.first_stamp(run).store(record.bits(), ordering("record-own", Release));
    }

    /// Hands over the first `written` messages of a run; the rest becomes void.
    #[inline(always)]
    pub(crate) fn publish(&self, run: &Run, written: u32) {
        if run.count == 1 && written == 1 {
            self.first_stamp(run).store(Stamp::new(State::Full, run.first.lap).bits(), ordering("publish", Release));
            return;
        }
        for nth in (0..run.count).rev() {
            let at = self.geometry.after(run.first, nth);
            let state = if nth < written { State::Full } else { State::Void };
            // Release: the message was written before anybody sees it.
            self.stamp(at.index).store(Stamp::new(state, at.lap).bits(), ordering("publish-run", Release));
        }
    }

    /// Claims up to `want` messages.
    ///
    /// This is the way of one who has time; [`Self::claim_pop_at_once`] tries once.
    pub(crate) fn claim_pop(&self, me: Owner, want: u32) -> Result<Run, Refusal> {
        let head = &self.lines().head.0.ticket;
        let mut contention = Contention::default();
        loop {
            let bits = head.load(ordering("claim-ticket", Acquire));
            let ticket = self.unpack(bits)?;
            if let Some(run) = self.try_claim(head, bits, me, want, State::Full) {
                return Ok(run);
            }
            if head.load(ordering("look-again", Acquire)) == bits {
                self.refuse_pop(bits, ticket)?;
            } else {
                contention.give_way();
            }
        }
    }

    #[inline(always)]
    pub(crate) fn claim_pop_at_once(&self, me: Owner, want: u32) -> Option<Run> {
        let head = &self.lines().head.0.ticket;
        self.try_claim(head, head.load(ordering("claim-ticket", Acquire)), me, want, State::Full)
    }

    /// Why the slot at the head can't be claimed; `Ok` says: look again.
    #[cold]
    fn refuse_pop(&self, bits: u64, ticket: Ticket) -> Result<(), Refusal> {
        let position = ticket.position;
        let stamp = Stamp::from_bits(self.stamp(position.index).load(ordering("refuse-stamp", Acquire)));
        // SeqCst: a sleeper looks here after it announced itself; see `claim_push`.
        let tail = self.unpack(self.lines().tail.0.ticket.load(ordering("refuse-ticket", SeqCst)))?;
        if self.lines().head.0.ticket.load(Acquire) != bits {
            return Ok(());
        }
        let Some(state) = stamp.plain_or_held() else { return Err(Refusal::Corrupt(Fault::Stamp)) };
        match state {
            // Only a stepper that was killed, or is slow, leaves one that the head has passed.
            State::Void if stamp.lap() == self.geometry.last_lap(position.lap) && tail.position == position => {
                self.free_void(Position { lap: stamp.lap(), index: position.index });
                Ok(())
            }
            State::Full if stamp.lap() == position.lap => Ok(()),
            State::Void if stamp.lap() == position.lap => self.step_over(ticket),
            State::Free | State::Writing if stamp.lap() == position.lap => {
                if tail.position != position {
                    Err(Refusal::Held)
                } else if !tail.closed {
                    Err(Refusal::Nothing)
                } else if self.anything_left() {
                    Err(Refusal::Draining)
                } else {
                    Err(Refusal::Closed)
                }
            }
            // The slot's reader of the lap before is still in it: the ring is as empty as with a free slot.
            _ if stamp.lap() == self.geometry.last_lap(position.lap) && tail.position == position => {
                Err(if tail.closed { Refusal::Draining } else { Refusal::Nothing })
            }
            // The stamp was read before the tail, and a reader and a writer may have been in the slot since.
            _ if self.stamp(position.index).load(Acquire) != stamp.bits() => Ok(()),
            _ => Err(Refusal::Corrupt(Fault::Lap)),
        }
    }

    /// Whether any slot holds something that a receiver may yet hand back.
    fn anything_left(&self) -> bool {
        (0..self.geometry.capacity)
            .map(|index| Stamp::from_bits(self.stamp(index).load(ordering("anything-left", Acquire))).state())
            // With head and tail together every void has been passed: it only remains to be freed.
            .any(|state| !matches!(state, Some(State::Free | State::Void)))
    }

    /// Names the holder of a claimed run in its first slot, for claims that user code may leave standing.
    pub(crate) fn record_pop(&self, me: Owner, run: &Run) {
        let record = Stamp::run(State::Reading, run.first.lap, me, run.count);
        self.first_stamp(run).store(record.bits(), ordering("record-own", Release));
    }

    /// Frees the slots of a run whose messages have been copied out.
    #[inline(always)]
    pub(crate) fn release(&self, me: Owner, run: &Run) {
        if run.count == 1 {
            // Release: the message was read before anybody writes the next one over it.
            let free = Stamp::new(State::Free, self.geometry.next_lap(run.first.lap));
            self.first_stamp(run).store(free.bits(), ordering("release", Release));
            return;
        }
        if self.mortal {
            // From here on the run is taken: if we die, its slots are freed and not handed out again.
            let mark = Stamp::run(State::Releasing, run.first.lap, me, run.count);
            self.first_stamp(run).store(mark.bits(), ordering("release-mark", Release));
        }
        for nth in (0..run.count).rev() {
            let at = self.geometry.after(run.first, nth);
            let stamp = self.stamp(at.index);
            let free = Stamp::new(State::Free, self.geometry.next_lap(at.lap));
            stamp.store(free.bits(), ordering("release-run", Release));
        }
    }

    /// Makes orphans of messages that were handed out and not finished: all of a run but the first `finished`, which
    /// are freed.
    pub(crate) fn hand_back(&self, run: &Run, finished: u32) {
        for nth in (0..run.count).rev() {
            let at = self.geometry.after(run.first, nth);
            let stamp = if nth < finished {
                Stamp::new(State::Free, self.geometry.next_lap(at.lap))
            } else {
                Stamp::delivered(State::Orphan, at.lap, Owner(0), run.deliveries + 1)
            };
            self.stamp(at.index).store(stamp.bits(), ordering("hand-back", Release));
        }
        self.raise_orphans_notice();
    }

    /// The number that rises when orphans may have been made. Read it before looking for them.
    #[inline(always)]
    pub(crate) fn orphans_notice(&self) -> u32 {
        self.lines().notice.0.orphans.load(ordering("orphans-read", Acquire))
    }

    /// Makes every consumer look for orphans once more.
    ///
    /// Called *after* orphans were made. A death between the two loses no orphan: whoever reaps that member calls
    /// this once more before it frees the entry, whatever it found.
    pub(crate) fn raise_orphans_notice(&self) {
        self.lines().notice.0.orphans.fetch_add(1, ordering("orphans-raise", SeqCst));
    }

    /// Claims the oldest orphan.
    pub(crate) fn claim_orphan(&self, me: Owner) -> Result<Option<Run>, Refusal> {
        let tail = self.unpack(self.lines().tail.0.ticket.load(Acquire))?;
        // The tail's slot is the oldest position that can still hold anything.
        for nth in 0..self.geometry.capacity {
            let index = self.geometry.after(tail.position, nth).index;
            let bits = self.stamp(index).load(ordering("orphan-stamp", Acquire));
            let stamp = Stamp::from_bits(bits);
            if stamp.state() != Some(State::Orphan) {
                continue;
            }
            let deliveries = stamp.deliveries();
            let mine = Stamp::delivered(State::Rereading, stamp.lap(), me, deliveries).bits();
            // SeqCst: as a claim of the ticket, it comes before the look for sleepers.
            if self.stamp(index).compare_exchange(bits, mine, ordering("orphan-claim", SeqCst), Relaxed).is_ok() {
                as_if_sequential("orphan-claim");
                return Ok(Some(self.run(Position { lap: stamp.lap(), index }, 1, deliveries)));
            }
        }
        Ok(None)
    }

    /// For a push that is held up: if the holder of the slot at the tail is dead, settles it.
    pub(crate) fn settle_tail(&self, is_dead: &mut dyn FnMut(Owner) -> bool) -> Result<Settled, Refusal> {
        let (tail, _) = self.record_last_claims()?;
        self.settle(tail.position.index, is_dead)
    }

    /// For a pop that is held up: if the holder of the slot at the head is dead, settles it.
    pub(crate) fn settle_head(&self, is_dead: &mut dyn FnMut(Owner) -> bool) -> Result<Settled, Refusal> {
        let (_, head) = self.record_last_claims()?;
        self.settle(head.position.index, is_dead)
    }

    /// Records the claims that only the tickets name. Returns tail and head.
    fn record_last_claims(&self) -> Result<(Ticket, Ticket), Refusal> {
        let tail = self.unpack(self.lines().tail.0.ticket.load(ordering("settle-ticket", Acquire)))?;
        let head = self.unpack(self.lines().head.0.ticket.load(ordering("settle-ticket", Acquire)))?;
        for (ticket, unmoved) in [(tail, State::Free), (head, State::Full)] {
            if ticket.count != 0 {
                self.record(ticket, unmoved);
            }
        }
        Ok((tail, head))
    }

    /// Settles everything that a dead member holds: first the claims that only the tickets name, then all slots.
    /// If a ticket no longer names the member, its last claim was recorded before that, and the slots say so.
    pub(crate) fn settle_all(&self, dead: Owner, is_dead: &mut dyn FnMut(Owner) -> bool) -> Result<Settled, Refusal> {
        self.record_last_claims()?;
        let mut all = Settled::default();
        for index in 0..self.geometry.capacity {
            let stamp = Stamp::from_bits(self.stamp(index).load(Acquire));
            let held =
                matches!(stamp.state(), Some(State::Writing | State::Reading | State::Releasing | State::Rereading));
            if held && stamp.owner() == dead {
                let settled = self.settle(index, is_dead)?;
                all.voided += settled.voided;
                all.orphaned += settled.orphaned;
                all.moved |= settled.moved;
                all.spared |= settled.spared;
            }
        }
        Ok(all)
    }

    /// Settles the run that begins at `index`, if its holder is dead. The proof is at the head of this file.
    fn settle(&self, index: u32, is_dead: &mut dyn FnMut(Owner) -> bool) -> Result<Settled, Refusal> {
        let first = self.stamp(index);
        let bits = first.load(ordering("settle-stamp", Acquire));
        let stamp = Stamp::from_bits(bits);
        let lap = stamp.lap();
        let Some(state) = stamp.state() else { return Err(Refusal::Corrupt(Fault::Stamp)) };
        let (rest_from, rest_to, first_to): (&[State], State, Stamp) = match state {
            // Slots of the run may be published already, but the first is not: nobody has seen any of them.
            State::Writing => (&[State::Free, State::Full], State::Void, Stamp::new(State::Void, lap)),
            State::Reading => (&[State::Full], State::Orphan, Stamp::delivered(State::Orphan, lap, Owner(0), 1)),
            State::Releasing => (&[State::Full], State::Free, Stamp::new(State::Free, self.geometry.next_lap(lap))),
            State::Rereading => {
                let again = Stamp::delivered(State::Orphan, lap, Owner(0), stamp.deliveries() + 1);
                (&[], State::Orphan, again)
            }
            // Not held by anybody any more: whoever is held up looks again.
            _ => return Ok(Settled { moved: true, ..Settled::default() }),
        };
        let count = if state == State::Rereading { 1 } else { stamp.count() };
        if count > self.geometry.capacity || !self.geometry.is_lap(lap) {
            return Err(Refusal::Corrupt(Fault::Run));
        }
        if !is_dead(stamp.owner()) {
            return Ok(Settled { spared: true, ..Settled::default() });
        }
        // The holder may have finished between our look and its death: then the rest of the run is not ours to change.
        // The fence keeps this look behind the kernel's answer.
        if kept("settle-fence") {
            fence(SeqCst);
        }
        if first.load(ordering("settle-stamp", Acquire)) != bits {
            return Ok(Settled { moved: true, ..Settled::default() });
        }
        for nth in (1..count).rev() {
            let at = self.geometry.after(Position { lap, index }, nth);
            let to = match rest_to {
                State::Orphan => Stamp::delivered(State::Orphan, at.lap, Owner(0), 1),
                State::Free => Stamp::new(State::Free, self.geometry.next_lap(at.lap)),
                other => Stamp::new(other, at.lap),
            };
            for from in rest_from {
                let from = Stamp::new(*from, at.lap).bits();
                let _ =
                    self.stamp(at.index).compare_exchange(from, to.bits(), ordering("settle-rest", AcqRel), Relaxed);
            }
        }
        let mut settled = Settled { moved: true, ..Settled::default() };
        if first.compare_exchange(bits, first_to.bits(), ordering("settle-first", AcqRel), Relaxed).is_ok() {
            match first_to.state() {
                Some(State::Void) => settled.voided = count,
                Some(State::Orphan) => settled.orphaned = count,
                _ => {}
            }
        }
        if first_to.state() == Some(State::Orphan) {
            self.raise_orphans_notice();
        }
        Ok(settled)
    }

    /// Refuses further pushes. In the tail ticket, so that no claim can come after it.
    pub(crate) fn close(&self) {
        self.lines().tail.0.ticket.fetch_or(Ticket::CLOSED, ordering("close", SeqCst));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lines().tail.0.ticket.load(SeqCst) & Ticket::CLOSED != 0
    }

    /// How many positions are queued. SeqCst: sleepers look here after they announced themselves.
    #[inline]
    pub(crate) fn len(&self) -> Result<u32, Refusal> {
        for _ in 0..super::LOOKS {
            let bits = self.lines().head.0.ticket.load(SeqCst);
            let head = self.unpack(bits)?;
            let tail = self.unpack(self.lines().tail.0.ticket.load(SeqCst))?;
            if let Some(length) = self.geometry.distance(head.position, tail.position) {
                return Ok(length);
            }
            // The two were not read at one moment: only a head that stands still makes it a fault.
            if self.lines().head.0.ticket.load(SeqCst) == bits {
                break;
            }
        }
        Err(Refusal::Corrupt(Fault::Distance))
    }

    /// How many messages were handed back, and wait to be handed out again. Looks at every slot of a ring in which there
    /// ever was one.
    pub(crate) fn orphans(&self) -> u32 {
        if self.orphans_notice() == 0 {
            return 0;
        }
        let is_orphan = |index: &u32| Stamp::from_bits(self.stamp(*index).load(Relaxed)).state() == Some(State::Orphan);
        (0..self.geometry.capacity).filter(is_orphan).count() as u32
    }

    /// What `look` makes of the messages that wait, at most so many, in the order in which they will be handed out; and how
    /// often each was handed out before. Nothing is claimed: others write the slots meanwhile, so `look` copies by
    /// atomics, and what it made of a slot that was written since is thrown away.
    pub(crate) fn peek<T>(&self, most: usize, look: &mut dyn FnMut(*const u8) -> T) -> Result<Vec<(T, u32)>, Refusal> {
        let tail = self.unpack(self.lines().tail.0.ticket.load(Acquire))?.position;
        let head = self.unpack(self.lines().head.0.ticket.load(Acquire))?.position;
        // The tail's slot is the oldest position that can still hold anything.
        let back = if self.orphans_notice() > 0 { self.geometry.capacity } else { 0 };
        let handed_back = (0..back).map(|nth| (self.geometry.after(tail, nth), State::Orphan));
        let waiting = (0..self.len()?).map(|nth| (self.geometry.after(head, nth), State::Full));
        let mut seen = Vec::new();
        for (position, wanted) in handed_back.chain(waiting) {
            if seen.len() == most {
                break;
            }
            let bits = self.stamp(position.index).load(Acquire);
            let stamp = Stamp::from_bits(bits);
            let orphan = wanted == State::Orphan;
            // One that was handed back is of whatever lap it was pushed in.
            if stamp.state() != Some(wanted) || !orphan && stamp.lap() != position.lap {
                continue;
            }
            let made = look(self.message(&self.run(position, 1, 0), 0));
            fence(Acquire);
            if self.stamp(position.index).load(Relaxed) == bits {
                seen.push((made, if orphan { stamp.deliveries() } else { 0 }));
            }
        }
        Ok(seen)
    }

    /// Calls `visit` with each message that is in the ring or in a receiver's hands, while others push and pop. For
    /// messages that are read by atomics.
    pub(crate) fn visit_messages(&self, visit: &mut dyn FnMut(*mut u8)) {
        for index in 0..self.geometry.capacity {
            let stamp = Stamp::from_bits(self.stamp(index).load(Acquire));
            if matches!(stamp.state(), Some(State::Full | State::Reading)) {
                visit(self.message(&self.run(Position { lap: 0, index }, 1, 0), 0));
            }
        }
    }

    /// Calls `visit` with each message left in the ring, which nobody else uses any more.
    pub(crate) fn drain_alone(&mut self, visit: &mut dyn FnMut(*mut u8)) {
        for index in 0..self.geometry.capacity {
            let stamp = Stamp::from_bits(self.stamp(index).load(Acquire));
            if matches!(stamp.state(), Some(State::Full | State::Orphan)) {
                visit(self.message(&self.run(Position { lap: 0, index }, 1, 0), 0));
            }
        }
    }
}
