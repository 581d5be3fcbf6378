//! What all handles of one queue share: its memory, ring, gates and roster, without the message's type.

use std::alloc::{self, Layout};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::Options;
use crate::error::Error;
use crate::fences::Fences;
use crate::gate::{Gate, Rhythm};
use crate::message::Shape;
use crate::ring::many::{self, Many, Settled};
use crate::ring::one::{self, One};
use crate::ring::{Line, Lines, MAX_MEMBERS, Owner, Refusal};
use crate::roster::{
    Counters, Counts, Entry, Member, Membership, Processes, Role, Roster, SOLE, Searches, Threads, count,
};
use crate::segment::{Header, Kind, Segment};
use crate::slots::{self, Slots};

/// The head of a queue's body. All zero is a new queue.
#[repr(C)]
pub(crate) struct Control {
    lines: Lines,
    pub(crate) not_empty: Gate,
    pub(crate) not_full: Gate,
    pub(super) searches: Line<Searches>,
    reserved: [Line<[u64; 16]>; 2],
}

// A model checker's atomics are larger.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 1024);

impl Control {
    /// Of a new queue: it holds so many messages, if it can be resized.
    pub(super) fn begin(&self, limit: u32) {
        self.lines.notice.0.limit.store(limit, SeqCst);
    }
}

/// Header feature bits of queues.
pub(crate) const ONE_PRODUCER: u32 = 1;
pub(crate) const ONE_CONSUMER: u32 = 2;
/// The ring's notice says how much it holds.
const LIMITED: u32 = 8;

/// Where things lie in the body, and how long it is. Computed from the header's numbers at creation and at open, by
/// the same code; sizes that overflow are nobody's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measures {
    pub(crate) capacity: u32,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) one_producer: bool,
    pub(crate) one_consumer: bool,
    /// Whether it can be resized, up to the capacity.
    pub(crate) limited: bool,
    /// Entries of the table; 0 between threads.
    pub(crate) entries: u32,
    pub(crate) slots: Slots,
}

impl Measures {
    pub(crate) fn new(
        capacity: u64,
        (size, align): (usize, usize),
        (one_producer, one_consumer): (bool, bool),
        limited: bool,
        members: u32,
    ) -> Result<Measures, String> {
        let capacity = slots::checked(Kind::Queue, capacity, align)?;
        if members > MAX_MEMBERS - SOLE {
            return Err(format!("{members} members are more than the most, {}; ask for fewer", MAX_MEMBERS - SOLE));
        }
        let stride = if one_producer && one_consumer { one::stride(size, align) } else { many::stride(size, align) };
        let entries = if members == 0 { 0 } else { members + SOLE };
        let table_end = size_of::<Control>() + entries as usize * size_of::<Entry>();
        let slots = Slots::behind(table_end, (capacity as usize, stride), (size, align.max(align_of::<Control>())))?;
        Ok(Measures { capacity, size, align, one_producer, one_consumer, limited, entries, slots })
    }

    /// The header of a segment with these measures.
    pub(crate) fn header(&self, shape: &Shape) -> Header {
        let features = if self.one_producer { ONE_PRODUCER } else { 0 }
            | if self.one_consumer { ONE_CONSUMER } else { 0 }
            | if self.limited { LIMITED } else { 0 }
            | if self.one_producer && self.one_consumer { Fences::best().feature() } else { 0 };
        self.slots.header(Kind::Queue, features, self.capacity, shape, self.entries)
    }

    /// The measures that a segment's header names.
    pub(crate) fn of(segment: &Segment) -> Result<Measures, Error> {
        segment.expect(Kind::Queue)?;
        Measures::in_header(segment.header()).map_err(|why| segment.corrupt(why))
    }

    fn in_header(header: &Header) -> Result<Measures, String> {
        let sole = (header.features & ONE_PRODUCER != 0, header.features & ONE_CONSUMER != 0);
        let limited = header.features & LIMITED != 0;
        let measures = Measures::new(header.capacity, header.message()?, sole, limited, header.members)?;
        measures.slots.agree_with(header)?;
        Ok(measures)
    }
}

/// The memory of a queue between threads.
struct Heap {
    base: NonNull<u8>,
    layout: Layout,
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { alloc::dealloc(self.base.as_ptr(), self.layout) }
    }
}

/// All zero is a new queue, but for a model checker, whose atomics have to be made.
///
/// # Safety
/// `base` has these measures, and is nobody else's.
#[cfg(loom)]
unsafe fn make_atomics(base: *mut u8, measures: &Measures) {
    let control = Control {
        lines: Lines::new(),
        not_empty: Gate::new(),
        not_full: Gate::new(),
        searches: Line(Searches::new()),
        reserved: [const { Line([0; 16]) }; 2],
    };
    // SAFETY: the body begins with it.
    unsafe { base.cast::<Control>().write(control) };
    if !(measures.one_producer && measures.one_consumer) {
        for index in 0..measures.capacity as usize {
            // SAFETY: each slot begins with its stamp.
            unsafe {
                let slot = base.add(measures.slots.offset + index * measures.slots.stride);
                slot.cast::<crate::sync::AtomicU64>().write(crate::sync::AtomicU64::new(0));
            }
        }
    }
}

enum Memory {
    Heap(#[expect(dead_code, reason = "kept for its drop")] Heap),
    Segment(Arc<Segment>),
}

/// Pointers and measures: each handle has its own copy, in its own cache lines.
#[derive(Clone)]
pub(crate) enum Ring {
    Many(Many),
    One(One),
}

/// Moves a message out of its slot and drops it.
pub(crate) type Discard = unsafe fn(*mut u8);

pub(crate) struct Core {
    control: *const Control,
    pub(crate) ring: Ring,
    pub(crate) roster: Roster,
    pub(crate) measures: Measures,
    /// Between threads: for what is left at the end.
    discard: Option<Discard>,
    /// Dropped last.
    memory: Memory,
}

// SAFETY: everything shared goes through the ring, the roster and the gates, which are made for it.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

impl Core {
    /// A queue between threads.
    pub(crate) fn on_heap(measures: Measures, discard: Discard) -> Result<Core, Error> {
        let no_memory =
            || Error::NoMemory { place: "queue between threads".into(), bytes: measures.slots.length as u64 };
        let align = measures.align.max(align_of::<Control>());
        let layout = Layout::from_size_align(measures.slots.length, align).map_err(|_| no_memory())?;
        // SAFETY: the layout has a size, that of `Control` at least.
        let base = NonNull::new(unsafe { alloc::alloc_zeroed(layout) }).ok_or_else(no_memory)?;
        let heap = Heap { base, layout };
        // SAFETY: the allocation has these measures.
        #[cfg(loom)]
        unsafe {
            make_atomics(base.as_ptr(), &measures);
        }
        let roster = Roster::Threads(Threads::default());
        // SAFETY: the allocation has these measures, is zeroed, and lives as long as the core.
        Ok(unsafe { Core::over(base.as_ptr(), measures, Fences::best(), Memory::Heap(heap), roster, Some(discard)) })
    }

    /// A queue in a segment whose header was checked to name these measures.
    pub(crate) fn in_segment(segment: Segment, measures: Measures) -> Core {
        let fences = Fences::of(segment.header());
        let segment = Arc::new(segment);
        let body = segment.body();
        // SAFETY: the table lies behind the control block, by the measures.
        let entries = unsafe { body.add(size_of::<Control>()) }.cast::<Entry>();
        // SAFETY: as above; the segment is kept by the roster.
        let roster = Roster::Processes(unsafe { Processes::new(entries, measures.entries, Arc::clone(&segment)) });
        // SAFETY: `Measures::of` found the segment to be so long; it lives as long as the core.
        unsafe { Core::over(body, measures, fences, Memory::Segment(segment), roster, None) }
    }

    /// # Safety
    /// `base` has the measures' length and alignment, is zeroed or a queue's, and lives as long as `memory`.
    unsafe fn over(
        base: *mut u8,
        measures: Measures,
        fences: Fences,
        memory: Memory,
        roster: Roster,
        discard: Option<Discard>,
    ) -> Core {
        let control = base.cast::<Control>();
        // SAFETY: within the body.
        let (lines, slots) = unsafe { (&raw const (*control).lines, base.add(measures.slots.offset)) };
        let Measures { capacity, size, align, .. } = measures;
        let ring = if measures.one_producer && measures.one_consumer {
            // SAFETY: by the contract of this function.
            let one = unsafe { One::new(lines, slots, capacity, size, align, fences) };
            Ring::One(if measures.limited { one.limited() } else { one })
        } else {
            let mortal = matches!(memory, Memory::Segment(_));
            // SAFETY: by the contract of this function.
            let many = unsafe { Many::new(lines, slots, capacity, size, align, mortal) };
            Ring::Many(if measures.limited { many.limited() } else { many })
        };
        Core { control, ring, roster, measures, discard, memory }
    }

    #[inline(always)]
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: the memory is kept; all fields are atomics.
        unsafe { &*self.control }
    }

    pub(crate) fn segment(&self) -> Option<&Arc<Segment>> {
        match &self.memory {
            Memory::Heap(_) => None,
            Memory::Segment(segment) => Some(segment),
        }
    }

    /// A new handle's rhythm.
    pub(crate) fn rhythm(&self) -> Rhythm {
        if matches!(self.ring, Ring::One(_)) { Rhythm::quick() } else { Rhythm::slow() }
    }

    /// Whether a dead member can leave anything behind that only a search brings to light. One to one it can't: its
    /// successor finds it.
    pub(crate) fn needs_pulse(&self) -> bool {
        self.mortal() && matches!(self.ring, Ring::Many(_))
    }

    /// Whether its members can die.
    #[inline(always)]
    pub(crate) fn mortal(&self) -> bool {
        matches!(self.memory, Memory::Segment(_))
    }

    /// What the queue is called in messages.
    pub(crate) fn place(&self) -> String {
        self.segment().map_or("queue between threads".into(), |segment| segment.place().to_string())
    }

    pub(crate) fn len(&self) -> Result<u32, Refusal> {
        match &self.ring {
            Ring::Many(many) => many.len(),
            Ring::One(one) => one.len(),
        }
    }

    /// How many messages were handed back and wait to be handed out again. One to one they stay where they are.
    pub(crate) fn handed_back(&self) -> u32 {
        match &self.ring {
            Ring::Many(many) => many.orphans(),
            Ring::One(_) => 0,
        }
    }

    /// How many messages it holds at most, now.
    pub(crate) fn capacity(&self) -> u32 {
        let most = self.measures.capacity;
        if self.measures.limited { self.control().lines.notice.0.limit.load(SeqCst).min(most) } else { most }
    }

    /// From now on it holds so many. What is pushed at this very moment may still go in beside that.
    pub(crate) fn set_limit(&self, limit: u32) {
        self.control().begin(limit);
        self.control().not_full.wake_all(self.mortal());
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.ring {
            Ring::Many(many) => many.is_closed(),
            Ring::One(one) => one.is_closed(),
        }
    }

    pub(crate) fn close(&self) {
        match &self.ring {
            Ring::Many(many) => many.close(),
            Ring::One(one) => one.close(),
        }
        self.control().not_empty.wake_all(self.mortal());
        self.control().not_full.wake_all(self.mortal());
    }

    /// A message has come: wakes a consumer that sleeps for one.
    #[inline(always)]
    pub(crate) fn message_came(&self) {
        if self.control().not_empty.has_sleepers() {
            self.control().not_empty.wake(self.mortal());
        }
    }

    /// A slot was freed: wakes a producer that sleeps for one, once there is a good part of the ring.
    #[inline(always)]
    pub(crate) fn slot_freed(&self) {
        if self.control().not_full.has_sleepers() {
            self.wake_for_room();
        }
    }

    #[cold]
    fn wake_for_room(&self) {
        let capacity = self.capacity();
        let queued = self.len().unwrap_or(0);
        if queued <= capacity - capacity.div_ceil(ROOM_TO_WAKE).min(capacity) {
            self.control().not_full.wake(self.mortal());
        }
    }

    /// Attaches a member. Who sleeps without a bound, because nobody else was there, learns that somebody is.
    pub(crate) fn attach(&self, role: Role, sole: bool) -> Result<Membership, Error> {
        self.fences().may_attach(&self.place())?;
        let membership = self.roster.attach(role, sole, &mut |owner, _, counters| self.reap(owner, true, counters))?;
        if let Ring::One(one) = &self.ring {
            membership.begin_at(role, one.tail(), one.head());
        }
        if self.mortal() {
            self.control().not_empty.wake_all(true);
        }
        self.sweep(membership.counters());
        Ok(membership)
    }

    /// What was done and what was recovered, by all members there have been.
    pub(crate) fn counts(&self) -> Counts {
        let counts = self.roster.counts();
        match &self.ring {
            Ring::Many(_) => counts,
            // The ring counts them itself.
            Ring::One(one) => Counts { pushed: one.tail(), popped: one.head(), ..counts },
        }
    }

    /// Who is attached, and who of them lives.
    pub(crate) fn members(&self) -> Vec<Member> {
        let mut members = self.roster.members();
        if let Ring::One(one) = &self.ring {
            for member in &mut members {
                member.count_from(one.tail(), one.head());
            }
        }
        members
    }

    /// Whether somebody is there who may die while we sleep.
    pub(crate) fn others_may_die(&self) -> bool {
        matches!(&self.roster, Roster::Processes(processes) if processes.others())
    }

    fn fences(&self) -> Fences {
        match &self.ring {
            // Each claim is a fence.
            Ring::Many(_) => Fences::Own,
            Ring::One(one) => one.fences,
        }
    }

    /// Between a sleeper's announcement and its last look.
    pub(crate) fn announced(&self) {
        self.fences().announced(self.mortal());
    }

    /// Settles what the member that holds up a push (or a pop) holds, if it is dead.
    pub(crate) fn settle_holder(&self, push: bool, counters: &Counters) -> Result<(), Refusal> {
        let (Ring::Many(many), Roster::Processes(processes)) = (&self.ring, &self.roster) else { return Ok(()) };
        let is_dead = &mut |owner| processes.is_dead(owner);
        let settled = if push { many.settle_tail(is_dead)? } else { many.settle_head(is_dead)? };
        self.settled(settled, counters);
        if push && self.measures.limited {
            // What was never pushed can be in the way at the head, too.
            self.settled(many.settle_head(is_dead)?, counters);
        }
        Ok(())
    }

    fn settled(&self, settled: Settled, counters: &Counters) {
        count(&counters.voided, u64::from(settled.voided));
        if settled.orphaned > 0 {
            self.control().not_empty.wake(self.mortal());
        }
        if settled.voided > 0 {
            // Consumers may be asleep behind what is void now; whoever wakes finds what comes after it.
            self.control().not_empty.wake(self.mortal());
            self.control().not_full.wake(self.mortal());
        }
    }

    /// What a dead member left in the ring. `mine`: the caller holds the lock on its number, which nobody can ask the
    /// kernel about. Of all others the kernel is asked again for each slot, *after* its stamp was read: the
    /// number may have a new, living owner by now. Returns whether all is settled; what is not is the new owner's to do.
    fn reap(&self, owner: Owner, mine: bool, counters: &Counters) -> bool {
        let Roster::Processes(processes) = &self.roster else { return true };
        let mut spared = false;
        if let Ring::Many(many) = &self.ring {
            let mut is_dead = |other: Owner| mine && other == owner || processes.is_dead(other);
            // A ring that is corrupt is reported to whoever works with it.
            if let Ok(settled) = many.settle_all(owner, &mut is_dead) {
                spared = settled.spared;
                self.settled(settled, counters);
            }
            // Whatever was found: the dead one may have made an orphan and not said so any more.
            many.raise_orphans_notice();
        }
        // It may have died with a wake-up in its hands.
        self.control().not_empty.wake(true);
        self.control().not_full.wake(true);
        !spared
    }

    /// Looks for dead members and reaps them.
    pub(crate) fn sweep(&self, counters: &Counters) {
        let Roster::Processes(processes) = &self.roster else { return };
        self.control().searches.0.begin();
        processes.sweep(counters, &mut |owner, _, counters| self.reap(owner, false, counters));
    }

    /// What a refusal is called among users.
    pub(crate) fn refused(&self, refusal: Refusal, push: bool) -> Error {
        match refusal {
            Refusal::Closed => Error::Closed,
            Refusal::Corrupt(fault) => Error::Corrupt { what: format!("{}: {}", self.place(), fault.what()) },
            Refusal::Nothing | Refusal::Held | Refusal::Draining => {
                if push {
                    Error::Full
                } else {
                    Error::Empty
                }
            }
        }
    }
}

/// A sleeping producer is woken when one part in so many of the ring is free.
const ROOM_TO_WAKE: u32 = 4;

impl Drop for Core {
    fn drop(&mut self) {
        let Some(discard) = self.discard else { return };
        // SAFETY: nobody else uses the ring any more, and what it still holds was written whole.
        let visit = &mut |slot| unsafe { discard(slot) };
        match &mut self.ring {
            Ring::Many(many) => many.drain_alone(visit),
            Ring::One(one) => one.drain_alone(visit),
        }
    }
}

impl Options {
    pub(super) fn measures(&self, shape: &Shape, between_threads: bool) -> Result<Measures, Error> {
        let members = if between_threads { 0 } else { self.members.max(1) };
        let sole = (self.one_producer, self.one_consumer);
        let (limited, capacity) = (self.max_capacity.is_some(), self.max_capacity.unwrap_or(self.capacity));
        if self.capacity > capacity {
            let why =
                format!("a capacity of {} is more than the largest that was asked for, {capacity}", self.capacity);
            return Err(Error::Unfit { why });
        }
        if limited && self.capacity == 0 {
            return Err(Error::Unfit { why: "a queue of capacity 0 can hold nothing; make it at least 1".into() });
        }
        let message = (shape.size, shape.align);
        Measures::new(capacity, message, sole, limited, members).map_err(|why| Error::Unfit { why })
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;
    use crate::Queue;

    #[test]
    fn a_number_that_is_taken_while_it_is_reaped_leaves_nothing_unsettled() {
        let name = format!("test-core-{}", std::process::id());
        let reaper: Queue<u64> = Options::new(1).members(1).create(&name).expect("created");
        let (dead, successor) = (Queue::<u64>::open(&name).expect("there"), Queue::<u64>::open(&name).expect("there"));
        crate::remove(&name).expect("there");
        let lock = |queue: &Queue<u64>| queue.core.segment().expect("shared").lock_file().try_lock(1 + u64::from(SOLE));
        let unlock = |queue: &Queue<u64>| queue.core.segment().expect("shared").lock_file().unlock(1 + u64::from(SOLE));

        // Dies with a loan in its hands: only the kernel's lock goes.
        let mut producer = dead.producer().expect("let in");
        mem::forget(producer.loan().expect("room"));
        mem::forget(producer);
        unlock(&dead).expect("unlocked");
        let Roster::Processes(roster) = &reaper.core.roster else { unreachable!("it is shared") };
        roster.sweep(&Counters::default(), &mut |owner, _, counters| {
            // The successor has the lock before anything is settled, and is stopped there.
            assert!(lock(&successor).expect("asked"));
            reaper.core.reap(owner, false, counters)
        });
        unlock(&successor).expect("unlocked");
        successor.producer().expect("let in").try_push(1).expect("room: nobody holds the slot");
    }
}
