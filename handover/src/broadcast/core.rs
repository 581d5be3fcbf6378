//! What all handles of one broadcast share: its memory, ring, gates and roster, without the message's type.

use std::sync::Arc;
use std::time::Duration;

use crate::blocking::Waiter;
use crate::error::Error;
use crate::fences::Fences;
use crate::gate::{Gate, PERIOD, Rhythm};
use crate::message::Shape;
use crate::ring::fan::{self, Cursor, Fan, FanLines};
use crate::ring::{Line, MAX_MEMBERS, Owner};
use crate::roster::{ALONE, Counters, Entry, Member, Membership, Processes, Role, Roster, SOLE, Searches};
use crate::segment::{Header, Kind, Segment};
use crate::slots::{self, Slots};

/// The head of a broadcast's body. All zero is a new one.
#[repr(C)]
pub(super) struct Control {
    lines: FanLines,
    pub(super) readers: Gate,
    pub(super) writer: Gate,
    searches: Line<Searches>,
    reserved: [Line<[u64; 16]>; 2],
}

// A model checker's atomics are larger.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 1024);

/// Where things lie in the body, and how long it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measures {
    pub(super) capacity: u32,
    pub(super) size: usize,
    align: usize,
    /// Entries of the roster, and cursors.
    entries: u32,
    cursors_offset: usize,
    slots: Slots,
}

impl Measures {
    pub(super) fn new(capacity: u64, (size, align): (usize, usize), members: u32) -> Result<Measures, String> {
        let capacity = slots::checked(Kind::Broadcast, capacity, align)?;
        if members == 0 || members > MAX_MEMBERS - SOLE {
            return Err(format!("{members} readers can't be had; ask for 1 to {}", MAX_MEMBERS - SOLE));
        }
        let entries = members + SOLE;
        let cursors_offset = size_of::<Control>() + entries as usize * size_of::<Entry>();
        let table_end = cursors_offset + entries as usize * size_of::<Cursor>();
        let stride = size.max(1).checked_next_multiple_of(align.max(8));
        let count = capacity as usize + fan::chunk(capacity) as usize;
        let slots = Slots::behind(table_end, (count, stride), (size, align.max(align_of::<Control>())))?;
        Ok(Measures { capacity, size, align, entries, cursors_offset, slots })
    }

    /// The header of a segment with these measures.
    pub(super) fn header(&self, shape: &Shape) -> Header {
        self.slots.header(Kind::Broadcast, Fences::best().feature(), self.capacity, shape, self.entries)
    }

    /// The measures that a segment's header names.
    pub(super) fn of(segment: &Segment) -> Result<Measures, Error> {
        segment.expect(Kind::Broadcast)?;
        Measures::in_header(segment.header()).map_err(|why| segment.corrupt(why))
    }

    fn in_header(header: &Header) -> Result<Measures, String> {
        let measures = Measures::new(header.capacity, header.message()?, header.members)?;
        measures.slots.agree_with(header)?;
        Ok(measures)
    }

    /// Size and alignment of a message.
    pub(super) fn message(&self) -> (usize, usize) {
        (self.size, self.align)
    }
}

pub(super) struct Core {
    control: *const Control,
    pub(super) fan: Fan,
    pub(super) roster: Roster,
    pub(super) measures: Measures,
    /// Dropped last.
    pub(super) segment: Arc<Segment>,
}

// SAFETY: everything shared goes through the ring, the roster and the gates, which are made for it.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

impl Core {
    /// In a segment whose header was checked to name these measures.
    pub(super) fn new(segment: Segment, measures: Measures) -> Core {
        let fences = Fences::of(segment.header());
        let segment = Arc::new(segment);
        let body = segment.body();
        let control = body.cast::<Control>();
        // SAFETY: all within the body, by the measures; the segment is kept by the core and by the roster.
        let (roster, fan) = unsafe {
            let entries = body.add(size_of::<Control>()).cast::<Entry>();
            let cursors = (body.add(measures.cursors_offset).cast::<Cursor>().cast_const(), measures.entries);
            let slots = (body.add(measures.slots.offset), measures.slots.stride);
            let lines = &raw const (*control).lines;
            let processes = Processes::new(entries, measures.entries, Arc::clone(&segment));
            (Roster::Processes(processes), Fan::new(lines, cursors, slots, measures.capacity, fences))
        };
        Core { control, fan, roster, measures, segment }
    }

    #[inline(always)]
    pub(super) fn control(&self) -> &Control {
        // SAFETY: the memory is kept; all fields are atomics.
        unsafe { &*self.control }
    }

    fn processes(&self) -> &Processes {
        match &self.roster {
            Roster::Processes(processes) => processes,
            Roster::Threads(_) => unreachable!("a broadcast lies in a segment"),
        }
    }

    pub(super) fn place(&self) -> String {
        self.segment.place().to_string()
    }

    pub(super) fn message_max(&self) -> usize {
        crate::message::max_in(self.measures.size)
    }

    /// A new handle's rhythm: each message takes about as long as in a ring of one.
    pub(super) fn rhythm(&self) -> Rhythm {
        Rhythm::quick()
    }

    /// `sole` if only one of its role is let in.
    pub(super) fn attach(&self, role: Role, sole: bool) -> Result<Membership, Error> {
        self.fan.fences.may_attach(&self.place())?;
        let membership =
            self.roster.attach(role, sole, &mut |owner, _, _| self.reap(owner, true)).map_err(|error| match error {
                Error::Taken { place, pid, .. } => Error::Taken { place, role: "writer", pid },
                other => other,
            })?;
        // Who sleeps for long, because nobody else was there, learns that somebody is.
        self.control().readers.wake_all(true);
        self.sweep(membership.counters());
        Ok(membership)
    }

    /// The writer's entry is the first. Whether a living one has it.
    pub(super) fn writer_alive(&self) -> bool {
        self.members().iter().any(|member| member.role == Role::Producer && member.alive)
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.roster.members()
    }

    /// A message has come, or a reader has gone on: wakes the readers that sleep.
    #[inline(always)]
    pub(super) fn wake_readers(&self) {
        if self.control().readers.has_sleepers() {
            self.control().readers.wake_all(true);
        }
    }

    #[inline(always)]
    pub(super) fn wake_writer(&self) {
        if self.control().writer.has_sleepers() {
            self.control().writer.wake(true);
        }
    }

    /// `mine`: the caller holds the lock on its number, which nobody can ask the kernel about. Returns whether the dead
    /// one's gate is gone; if not, the number is a living member's by now.
    fn reap(&self, owner: Owner, mine: bool) -> bool {
        let gone = self.fan.reap(owner, || mine || self.processes().is_dead(owner));
        self.control().readers.wake_all(true);
        self.control().writer.wake(true);
        gone
    }

    /// Looks for dead members and reaps them.
    pub(super) fn sweep(&self, counters: &Counters) {
        self.control().searches.0.begin();
        self.processes().sweep(counters, &mut |owner, _, _| self.reap(owner, false));
    }
}

/// With the counters of the one that waits.
impl Waiter for (&Core, &Counters) {
    fn announced(&self) {
        self.0.fan.fences.announced(true);
    }

    fn search(&self) {
        self.0.sweep(self.1);
    }

    fn searches(&self) -> &Searches {
        &self.0.control().searches.0
    }

    fn longest(&self) -> Duration {
        if self.0.processes().others() { PERIOD } else { ALONE }
    }
}
