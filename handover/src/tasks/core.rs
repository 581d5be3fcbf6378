//! What all handles of one task queue share: its memory, rings of hints, blocks, gates and roster, without the tasks' type.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::block::{Head, Hint, MOST_BLOCKS, State, Tail, Word};
use super::desk::Desk;
use super::keys::{Bucket, Link};
use super::latch::Latch;
use crate::error::Error;
use crate::gate::Gate;
use crate::message::Shape;
use crate::ring::many::{self, Many};
use crate::ring::{Line, Lines, MAX_MEMBERS, Owner, prefetch_to_write};
use crate::roster::{Entry, Member, Processes, Roster, SOLE, Searches};
use crate::segment::{Header, Kind, Segment};
use crate::slots::{self, Slots};

/// How many priorities there are.
pub const LEVELS: usize = 8;
/// The rings of hints: the free blocks, what was given back, and what waits, by priority.
pub(super) const FREE: usize = 0;
pub(super) const RETURNED: usize = 1;
pub(super) const LEVEL: usize = 2;
pub(super) const RINGS: usize = LEVEL + LEVELS;
/// A ring has so many slots more than there are blocks and members: for hints that are dropped when they come out. Whoever
/// looks for lost hints can take one for lost that a living member has in its hands.
const SPARE: u32 = 64;
/// A hint, as a message of the ring.
const HINT: (usize, usize) = (8, 8);

/// How a queue was made, and how large it is now. Written at creation, and the capacity by whoever resizes.
#[repr(C)]
pub(super) struct Settings {
    /// Blocks in service.
    pub(super) capacity: AtomicU32,
    pub(super) closed: AtomicU32,
    /// Nanoseconds for which a lease is given; 0: for as long as its worker lives.
    pub(super) lease: AtomicU64,
    /// Nanoseconds before the second try, and before any.
    pub(super) backoff: AtomicU64,
    pub(super) backoff_most: AtomicU64,
    /// The shares of the levels, from the lowest; 0 for the lowest: strictly by priority.
    pub(super) weights: [AtomicU32; LEVELS],
    /// Whoever resizes.
    pub(super) resizing: Latch,
    /// Tries, where a task does not say.
    pub(super) tries: AtomicU32,
    /// A bit for each ring that ever had a hint: workers need not look at the others.
    pub(super) used: AtomicU32,
}

/// When somebody has to look at the blocks' alarms.
#[repr(C)]
pub(super) struct Alarms {
    /// No alarm is due before this, but for those that are being looked at.
    pub(super) next: AtomicU64,
    /// While somebody looks at them: when others do it, too, as that one may have been stopped. Else 0.
    pub(super) again: AtomicU64,
}

/// The head of a task queue's body. All zero is a new one without any block in service.
#[repr(C)]
pub(super) struct Control {
    /// Submitters that wait for room.
    pub(super) room: Gate,
    /// Workers that wait for tasks.
    pub(super) work: Gate,
    /// Submitters that wait for results.
    pub(super) results: Gate,
    pub(super) searches: Line<Searches>,
    pub(super) settings: Line<Settings>,
    pub(super) alarms: Line<Alarms>,
    reserved: [Line<[u64; 16]>; 2],
    lines: [Lines; RINGS],
}

// A model checker's atomics are larger.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 1024 + RINGS * 384);

/// Where things lie in the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measures {
    /// Blocks there can ever be.
    pub(super) blocks: u32,
    pub(super) size: usize,
    pub(super) align: usize,
    entries: u32,
    desks: usize,
    pub(super) buckets: u32,
    buckets_at: usize,
    links: usize,
    alarms: usize,
    rings: usize,
    message: usize,
    tail: usize,
    result: usize,
    pub(super) result_max: usize,
    pub(super) slots: Slots,
}

impl Measures {
    pub(super) fn new(
        blocks: u64,
        (size, align): (usize, usize),
        members: u32,
        result_max: usize,
    ) -> Result<Measures, String> {
        let count = slots::checked(Kind::Tasks, blocks, align)?;
        if blocks >= MOST_BLOCKS {
            return Err(format!("{blocks} tasks are more than the most, {}; ask for fewer", MOST_BLOCKS - 1));
        }
        if members == 0 || members > MAX_MEMBERS - SOLE {
            return Err(format!("{members} members can't be had; ask for 1 to {}", MAX_MEMBERS - SOLE));
        }
        let too_large =
            || format!("{blocks} tasks of {size} bytes are more than this machine can address; make it smaller");
        let entries = members + SOLE;
        let buckets = (count / 4).next_power_of_two().clamp(16, 1 << 16);
        // None of these sums can overflow before the last: the counts are bounded, and so is each thing's size.
        let desks = size_of::<Control>() + entries as usize * size_of::<Entry>();
        let buckets_at = desks + entries as usize * size_of::<Desk>();
        let links = buckets_at + buckets as usize * size_of::<Bucket>();
        let alarms = links + count as usize * size_of::<Link>();
        let rings = (alarms + count as usize * size_of::<AtomicU64>()).next_multiple_of(128);
        let ring =
            Self::ring_length(count, entries).and_then(|length| length.checked_mul(RINGS)).ok_or_else(too_large)?;
        let head = rings.checked_add(ring).ok_or_else(too_large)?;

        let message = size_of::<Head>().next_multiple_of(align);
        let tail = message.checked_add(size).and_then(|end| end.checked_next_multiple_of(64)).ok_or_else(too_large)?;
        let result = tail.checked_add(size_of::<Tail>()).ok_or_else(too_large)?;
        let apart = align.max(128);
        let stride = result.checked_add(result_max).and_then(|end| end.checked_next_multiple_of(apart));
        let slots = Slots::behind(head, (count as usize, stride), (size, apart))?;
        Ok(Measures {
            blocks: count,
            size,
            align,
            entries,
            desks,
            buckets,
            buckets_at,
            links,
            alarms,
            rings,
            message,
            tail,
            result,
            // All that there is behind the rest: so a header need not name it.
            result_max: if result_max == 0 { 0 } else { slots.stride - result },
            slots,
        })
    }

    /// Of one ring of hints.
    fn ring_length(blocks: u32, entries: u32) -> Option<usize> {
        let slots = (blocks + entries + SPARE) as usize;
        many::stride(HINT.0, HINT.1)?.checked_mul(slots)?.checked_next_multiple_of(128)
    }

    /// The header of a segment with these measures.
    pub(super) fn header(&self, shape: &Shape) -> Header {
        self.slots.header(Kind::Tasks, 0, self.blocks, shape, self.entries)
    }

    /// The measures that a segment's header names.
    pub(super) fn of(segment: &Segment) -> Result<Measures, Error> {
        segment.expect(Kind::Tasks)?;
        Measures::in_header(segment.header()).map_err(|why| segment.corrupt(why))
    }

    fn in_header(header: &Header) -> Result<Measures, String> {
        let plain = Measures::new(header.capacity, header.message()?, header.members, 0)?;
        let stride = usize::try_from(header.slot_stride).map_err(|_| "blocks too large")?;
        // What a block has beyond that is for results.
        let measures = match stride.checked_sub(plain.slots.stride) {
            None | Some(0) => plain,
            Some(_) => Measures::new(header.capacity, header.message()?, header.members, stride - plain.result)?,
        };
        measures.slots.agree_with(header)?;
        Ok(measures)
    }

    /// Size and alignment of a task.
    pub(super) fn message(&self) -> (usize, usize) {
        (self.size, self.align)
    }
}

pub(super) struct Core {
    control: *const Control,
    body: *mut u8,
    pub(super) rings: Vec<Many>,
    pub(super) roster: Roster,
    pub(super) measures: Measures,
    /// Dropped last.
    pub(super) segment: Arc<Segment>,
}

// SAFETY: everything shared goes through atomics, the rings, the roster and the gates, which are made for it.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

impl Core {
    /// In a segment whose header was checked to name these measures.
    pub(super) fn new(segment: Segment, measures: Measures) -> Core {
        let segment = Arc::new(segment);
        let body = segment.body();
        // SAFETY: the body has these measures, and the segment is kept by the core and the roster.
        let rings = unsafe { rings(body, &measures) };
        // SAFETY: as above.
        let roster = unsafe {
            let entries = body.add(size_of::<Control>()).cast::<Entry>();
            Roster::Processes(Processes::new(entries, measures.entries, Arc::clone(&segment)))
        };
        Core { control: body.cast(), body, rings, roster, measures, segment }
    }

    pub(super) fn control(&self) -> &Control {
        // SAFETY: the memory is kept; all fields are atomics.
        unsafe { &*self.control }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.control().settings.0
    }

    pub(super) fn processes(&self) -> &Processes {
        match &self.roster {
            Roster::Processes(processes) => processes,
            Roster::Threads(_) => unreachable!("a task queue lies in a segment"),
        }
    }

    pub(super) fn place(&self) -> String {
        self.segment.place().to_string()
    }

    pub(super) fn message_max(&self) -> usize {
        crate::message::max_in(self.measures.size)
    }

    fn at<T>(&self, offset: usize, index: u32, count: u32) -> &T {
        assert!(index < count);
        // SAFETY: within the body, by the measures; what lies there is made of atomics.
        unsafe { &*self.body.add(offset).cast::<T>().add(index as usize) }
    }

    pub(super) fn desk(&self, owner: Owner) -> &Desk {
        self.at(self.measures.desks, u32::from(owner.0), self.measures.entries)
    }

    pub(super) fn desks(&self) -> impl Iterator<Item = &Desk> {
        (0..self.measures.entries).map(|number| self.at(self.measures.desks, number, self.measures.entries))
    }

    pub(super) fn bucket(&self, number: u32) -> &Bucket {
        self.at(self.measures.buckets_at, number, self.measures.buckets)
    }

    pub(super) fn link(&self, block: u32) -> &Link {
        self.at(self.measures.links, block, self.measures.blocks)
    }

    pub(super) fn alarm(&self, block: u32) -> &AtomicU64 {
        self.at(self.measures.alarms, block, self.measures.blocks)
    }

    #[inline(always)]
    fn block(&self, block: u32) -> *mut u8 {
        // Numbers of blocks come out of rings that anybody may have scribbled in.
        assert!(block < self.measures.blocks);
        // SAFETY: within the body, by the measures.
        unsafe { self.body.add(self.measures.slots.offset + block as usize * self.measures.slots.stride) }
    }

    #[inline(always)]
    pub(super) fn head(&self, block: u32) -> &Head {
        // SAFETY: a block begins with its head, which is made of atomics.
        unsafe { &*self.block(block).cast::<Head>() }
    }

    /// What stands in a slot of a ring of hints: any number is one. By atomics, as some look ahead.
    #[inline(always)]
    pub(super) fn read_hint(&self, slot: *mut u8) -> Hint {
        // SAFETY: slots of these rings are as large as a hint, and aligned for it.
        Hint(unsafe { AtomicU64::from_ptr(slot.cast()) }.load(Relaxed))
    }

    #[inline(always)]
    pub(super) fn write_hint(&self, slot: *mut u8, hint: Hint) {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(slot.cast()) }.store(hint.0, Relaxed);
    }

    /// Asks the processor for the block of a hint, if it is one.
    #[inline(always)]
    pub(super) fn prefetch(&self, hint: Hint) {
        if hint.block() < self.measures.blocks {
            let head = self.block(hint.block());
            prefetch_to_write(head);
            prefetch_to_write(head.wrapping_add(self.measures.message));
        }
    }

    #[inline(always)]
    pub(super) fn word(&self, block: u32) -> Word {
        Word(self.head(block).word.load(Acquire))
    }

    /// Changes a block's word from what was read. SeqCst: whoever closes looks at words after it said so, and whoever
    /// fills a block looks afterwards whether it is closed.
    #[inline(always)]
    pub(super) fn change(&self, block: u32, from: Word, to: Word) -> bool {
        self.head(block).word.compare_exchange(from.0, to.0, SeqCst, Relaxed).is_ok()
    }

    /// Where a block's message lies.
    #[inline(always)]
    pub(super) fn message(&self, block: u32) -> *mut u8 {
        // SAFETY: within the block.
        unsafe { self.block(block).add(self.measures.message) }
    }

    pub(super) fn tail(&self, block: u32) -> &Tail {
        // SAFETY: within the block; made of atomics.
        unsafe { &*self.block(block).add(self.measures.tail).cast::<Tail>() }
    }

    /// A block's place for a result.
    pub(super) fn result(&self, block: u32) -> &[std::sync::atomic::AtomicU8] {
        // SAFETY: within the block, and accessed by atomics only.
        unsafe {
            crate::segment::copy::as_shared(self.block(block).add(self.measures.result), self.measures.result_max)
        }
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = (u32, Word)> {
        (0..self.measures.blocks).map(|block| (block, self.word(block)))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.settings().closed.load(SeqCst) != 0
    }

    pub(super) fn close(&self) {
        self.settings().closed.store(1, SeqCst);
        for gate in [&self.control().room, &self.control().work, &self.control().results] {
            gate.wake_all(true);
        }
    }

    /// Whether a worker may yet be given something.
    pub(super) fn anything_left(&self) -> bool {
        (0..self.measures.blocks).any(|block| {
            use State::*;
            // SeqCst: one who fills a block looks afterwards whether it was closed.
            let word = Word(self.head(block).word.load(SeqCst));
            matches!(word.state(), Some(Filling | Waiting | Delayed | Leased | Busy | Requeued))
        })
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.roster.members()
    }
}

/// The rings in a body.
///
/// # Safety
/// The body has these measures, for as long as the rings are used.
unsafe fn rings(body: *mut u8, measures: &Measures) -> Vec<Many> {
    let length = Measures::ring_length(measures.blocks, measures.entries).expect("measured");
    let ring = |number| {
        // SAFETY: lines and slots lie within the body, by the measures.
        unsafe {
            let lines = &raw const (*body.cast::<Control>()).lines[number];
            let slots = body.add(measures.rings + number * length);
            Many::new(lines, slots, measures.blocks + measures.entries + SPARE, HINT.0, HINT.1, true)
        }
    };
    (0..RINGS).map(ring).collect()
}

/// Takes the first blocks of a new body into service. Its settings are still to be filled in.
///
/// # Safety
/// The body is all zero, has these measures, and is the caller's alone.
pub(super) unsafe fn make<'a>(body: *mut u8, measures: &Measures, capacity: u32) -> &'a Settings {
    // SAFETY: the body has these measures.
    let (control, rings) = unsafe { (&*body.cast::<Control>(), rings(body, measures)) };
    let first = Word::new(State::Free, Owner(0), 0, 1);
    for block in 0..capacity {
        // SAFETY: within the body, by the measures.
        let head = unsafe {
            let at = measures.slots.offset + block as usize * measures.slots.stride;
            &*body.add(at).cast::<Head>()
        };
        head.word.store(first.0, Relaxed);
        // Under the number of a member that there never is: all of this ring's are let in behind it.
        let run = rings[FREE].claim_push(Owner(0), 1).expect("a new ring has room");
        // SAFETY: the slot is claimed, and as large as a hint.
        unsafe { rings[FREE].message(&run, 0).cast::<u64>().write(Hint::new(block, first.generation()).0) };
        rings[FREE].publish(&run, 1);
    }
    let settings = &control.settings.0;
    settings.capacity.store(capacity, Relaxed);
    control.alarms.0.next.store(u64::MAX, Relaxed);
    settings
}
