//! The rings: which slot a message goes to, who holds it, and what becomes of it when the holder dies.
//!
//! Pure algorithm over atomics: no system call, no waiting, no notion of a process. Whether a member is dead is
//! asked of the caller. [`many`] serves any number of producers and consumers, [`one`] exactly one of each.
//!
//! Words: a *slot* holds one message. A *position* counts slots without end: it is a *lap* around the ring and an
//! *index* in it. A *ticket* (`tail` for pushes, `head` for pops) is the next position to claim, and says who made
//! the claim before. A *stamp* is the state of one slot. A *run* is some neighbouring positions claimed at once.

pub(crate) mod fan;
pub(crate) mod many;
pub(crate) mod one;
mod words;

use words::Position;
pub(crate) use words::{Geometry, MAX_CAPACITY, MAX_MEMBERS, Owner, RUN_MAX};

use crate::sync::{AtomicU32, AtomicU64};

/// A word in two cache lines of its own: processors fetch lines in pairs.
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);

/// The ring's shared words. All zero is a new, empty, open ring.
#[repr(C)]
pub(crate) struct Lines {
    /// Where the next push claims: a ticket (many), or a count of messages published (one).
    pub(crate) tail: Line<Tail>,
    /// Where the next pop claims: a ticket (many), or a count of messages released (one).
    pub(crate) head: Line<Head>,
    /// Read at every operation and written hardly ever.
    pub(crate) notice: Line<Notice>,
}

#[cfg(loom)]
impl Lines {
    pub(crate) fn new() -> Lines {
        let word = || AtomicU64::new(0);
        Lines {
            tail: Line(Tail { ticket: word(), pushing: word() }),
            head: Line(Head { ticket: word(), held: word(), shown: word() }),
            notice: Line(Notice { orphans: AtomicU32::new(0), closed: AtomicU32::new(0), limit: AtomicU32::new(0) }),
        }
    }
}

/// The producers' side.
#[repr(C)]
pub(crate) struct Tail {
    pub(crate) ticket: AtomicU64,
    /// One to one only: not the tail while the producer may be publishing; see [`one`].
    pub(crate) pushing: AtomicU64,
}

/// The consumers' side.
#[repr(C)]
pub(crate) struct Head {
    pub(crate) ticket: AtomicU64,
    /// One to one only: the message that was handed out in place, and how often; see [`one`].
    pub(crate) held: AtomicU64,
    /// One to one only: where the batch ends that was shown to the user while it was taken; see [`one`].
    pub(crate) shown: AtomicU64,
}

/// Two words that are written by others can't be read at one moment. After so many looks they are taken for corrupt.
const LOOKS: u32 = 1000;

/// Asks the processor for a line that will be read soon.
#[inline(always)]
fn prefetch_to_read(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint: it reads and writes nothing, and faults nowhere.
    unsafe {
        std::arch::asm!("prefetcht0 [{}]", in(reg) line.addr(), options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) line.addr(), options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = line;
}

/// Asks the processor for a line that will be written soon.
#[inline(always)]
pub(crate) fn prefetch_to_write(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint: it reads and writes nothing, and faults nowhere.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) line.addr(), options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) line.addr(), options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = line;
}

/// What members are to notice.
#[repr(C)]
pub(crate) struct Notice {
    /// Rises when an orphan may have been made. A consumer that has not looked since then looks.
    pub(crate) orphans: AtomicU32,
    /// One to one only (many to many keeps it in the tail ticket): 1 when closed.
    pub(crate) closed: AtomicU32,
    /// Rings that can be resized only: how many messages they hold at most, now.
    pub(crate) limit: AtomicU32,
}

// A model checker's atomics are larger.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Lines>() == 384);

/// Some neighbouring positions that a member has claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    first: Position,
    /// The first slot.
    slot: *mut u8,
    pub(crate) count: u32,
    /// How often the message was handed out before and not finished: zero for most. If not, it is alone in its run.
    pub(crate) deliveries: u32,
}

// SAFETY: the pointer is a position in another form; whoever uses it holds the ring, too.
unsafe impl Send for Run {}
// SAFETY: as above.
unsafe impl Sync for Run {}

/// Why a claim was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Push: every slot holds a message. Pop: every message is claimed.
    Nothing,
    /// The next slot is claimed by a member that has not finished with it.
    Held,
    /// Push: the ring is closed. Pop: closed, and nothing is left.
    Closed,
    /// Pop: closed and nothing left to claim, but a receiver may yet hand a message back.
    Draining,
    /// A number that no correct member writes.
    Corrupt(Fault),
}

/// What is corrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Ticket,
    Distance,
    Stamp,
    Lap,
    Run,
}

impl Fault {
    pub(crate) fn what(self) -> &'static str {
        match self {
            Fault::Ticket => "a ticket is out of the ring",
            Fault::Distance => "head and tail are further apart than the ring is long",
            Fault::Stamp => "a slot's stamp says nothing known",
            Fault::Lap => "a slot's stamp is of another lap",
            Fault::Run => "a claim is longer than the ring",
        }
    }
}
