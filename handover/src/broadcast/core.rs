//! What all handles of one broadcast share: its memory, ring, gates and roster, without the message's type.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, fence};

use crate::error::Error;
use crate::gate::{Gate, Rhythm};
use crate::message::Shape;
use crate::os;
use crate::ring::fan::{self, Cursor, Fan, FanLines};
use crate::ring::{Line, MAX_CAPACITY, MAX_MEMBERS, Owner};
use crate::roster::{Counters, Entry, Member, Membership, Processes, Role, Roster, SOLE};
use crate::segment::{Header, Kind, Segment};

/// The head of a broadcast's body. All zero is a new one.
#[repr(C)]
pub(super) struct Control {
    lines: FanLines,
    pub(super) readers: Gate,
    pub(super) writer: Gate,
    sweeps: Line<AtomicU32>,
    reserved: [Line<[u64; 16]>; 2],
}

// A model checker's atomics are larger.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 1024);

/// Header feature bit, as of queues: made where the kernel has no barrier for all processors.
const FENCED: u32 = 4;

/// Where things lie in the body, and how long it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measures {
    pub(super) capacity: u32,
    pub(super) size: usize,
    align: usize,
    /// Entries of the roster, and cursors.
    entries: u32,
    stride: usize,
    cursors_offset: usize,
    slots_offset: usize,
    length: usize,
}

/// The largest alignment a message may ask for: the body begins on a page.
const MAX_ALIGN: usize = 4096;

impl Measures {
    pub(super) fn new(capacity: u64, (size, align): (usize, usize), members: u32) -> Result<Measures, String> {
        if capacity == 0 {
            return Err("a broadcast of capacity 0 can keep nothing; make it at least 1".into());
        }
        if capacity > MAX_CAPACITY {
            return Err(format!("a capacity of {capacity} is more than the largest, {MAX_CAPACITY}; make it smaller"));
        }
        if members == 0 || members > MAX_MEMBERS - SOLE {
            return Err(format!("{members} readers can't be had; ask for 1 to {}", MAX_MEMBERS - SOLE));
        }
        if !align.is_power_of_two() || align > MAX_ALIGN {
            return Err(format!("messages aligned to {align} can't be placed; the largest alignment is {MAX_ALIGN}"));
        }
        let capacity = capacity as u32;
        let entries = members + SOLE;
        let cursors_offset = size_of::<Control>() + entries as usize * size_of::<Entry>();
        let table_end = cursors_offset + entries as usize * size_of::<Cursor>();
        let slots_offset = table_end.next_multiple_of(align.max(align_of::<Control>()));
        let stride = size.max(1).checked_next_multiple_of(align.max(8));
        let count = capacity as usize + fan::chunk(capacity) as usize;
        let slots = stride.and_then(|stride| stride.checked_mul(count));
        let length = slots.and_then(|slots| slots.checked_add(slots_offset)).filter(|n| *n < isize::MAX as usize / 2);
        let (Some(stride), Some(length)) = (stride, length) else {
            return Err(format!(
                "{capacity} messages of {size} bytes are more than this machine can address; make it smaller"
            ));
        };
        Ok(Measures { capacity, size, align, entries, stride, cursors_offset, slots_offset, length })
    }

    /// The header of a segment with these measures.
    pub(super) fn header(&self, shape: &Shape, extra_features: u32) -> Header {
        Header {
            kind: Kind::Broadcast as u32,
            features: extra_features | if os::barrier_available() { 0 } else { FENCED },
            capacity: u64::from(self.capacity),
            message_size: self.size as u64,
            message_align: self.align as u64,
            fingerprint: shape.fingerprint,
            members: self.entries - SOLE,
            slot_stride: self.stride as u64,
            total_size: (Header::BODY_OFFSET + self.length) as u64,
            ..Header::default()
        }
    }

    /// The measures that a header names.
    pub(super) fn of(segment: &Segment) -> Result<Measures, Error> {
        segment.expect(Kind::Broadcast)?;
        let header = segment.header();
        let corrupt = |why: String| Error::CorruptHeader { place: segment.place().to_string(), why };
        let size = usize::try_from(header.message_size).map_err(|_| corrupt("messages too large".into()))?;
        let align = usize::try_from(header.message_align).map_err(|_| corrupt("alignment too large".into()))?;
        let measures = Measures::new(header.capacity, (size, align), header.members).map_err(corrupt)?;
        let expected = (Header::BODY_OFFSET + measures.length) as u64;
        if header.slot_stride != measures.stride as u64 || header.total_size != expected {
            return Err(corrupt("its sizes contradict each other".into()));
        }
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
        let fenced = segment.header().features & FENCED != 0;
        let segment = Arc::new(segment);
        let body = segment.body();
        let control = body.cast::<Control>();
        // SAFETY: all within the body, by the measures; the segment is kept by the core and by the roster.
        let (roster, fan) = unsafe {
            let entries = body.add(size_of::<Control>()).cast::<Entry>();
            let cursors = (body.add(measures.cursors_offset).cast::<Cursor>().cast_const(), measures.entries);
            let slots = (body.add(measures.slots_offset), measures.stride);
            let lines = &raw const (*control).lines;
            let processes = Processes::new(entries, measures.entries, Arc::clone(&segment));
            (Roster::Processes(processes), Fan::new(lines, cursors, slots, measures.capacity, fenced))
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

    /// A new handle's rhythm: each message takes about as long as one to one.
    pub(super) fn rhythm(&self) -> Rhythm {
        Rhythm::new(40)
    }

    pub(super) fn attach(&self, role: Role) -> Result<Membership, Error> {
        if !self.fan.fenced() && !os::barrier_available() {
            return Err(Error::System {
                doing: format!("attach to the {}, whose members order their memory by membarrier", self.place()),
                source: io::ErrorKind::Unsupported.into(),
            });
        }
        let sole = role == Role::Producer;
        let membership =
            self.roster.attach(role, sole, &mut |owner, _| self.reap(owner, true)).map_err(|error| match error {
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

    pub(super) fn others_may_die(&self) -> bool {
        self.processes().others()
    }

    /// The full fence between a sleeper's announcement and its last look.
    pub(super) fn announced(&self) {
        if self.fan.fenced() { fence(SeqCst) } else { os::barrier(true) }
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
        self.control().sweeps.0.fetch_add(1, Relaxed);
        self.processes().sweep(counters, &mut |owner, _| self.reap(owner, false));
    }

    /// The number of searches begun so far.
    pub(super) fn sweeps(&self) -> u32 {
        self.control().sweeps.0.load(Relaxed)
    }
}
