//! Who fences: those who work, or those who wait.
//!
//! A side that goes to sleep, or wants to leave a closed ring, announces itself and then looks at the other side's words
//! once more; the other side writes its words and then looks for announcements. One of the two must see the other, which
//! takes a full fence on both sides. The side that waits has time: it makes *every* running thread fence
//! (`membarrier`), and the side that works pays nothing. Where the kernel can't do that each operation fences for
//! itself.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::compiler_fence;

use crate::error::Error;
use crate::os;
use crate::segment::Header;
use crate::sync::{fence, kept};

/// How the members of one ring do it: all of them alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fences {
    /// Each operation fences for itself, as part of its claim or with a fence of its own.
    Own,
    /// Those who wait make all others fence.
    Barrier,
}

/// The header's feature bit of a ring of [`Fences::Own`], where others have [`Fences::Barrier`].
const OWN: u32 = 4;

impl Fences {
    /// For a new ring.
    pub(crate) fn best() -> Fences {
        // A model checker knows no barrier but that of each thread for itself.
        if cfg!(loom) || !os::barrier_available() { Fences::Own } else { Fences::Barrier }
    }

    /// Of the ring in that segment.
    pub(crate) fn of(header: &Header) -> Fences {
        if header.features & OWN != 0 { Fences::Own } else { Fences::Barrier }
    }

    /// For the header.
    pub(crate) fn feature(self) -> u32 {
        if self == Fences::Own { OWN } else { 0 }
    }

    /// Whether members of this process may take part: one that can't make the barrier, or be reached by it, must stay
    /// out.
    pub(crate) fn may_attach(self, place: &str) -> Result<(), Error> {
        if self == Fences::Barrier && !os::barrier_available() {
            return Err(Error::System {
                doing: format!("attach to the {place}, whose members order their memory by membarrier"),
                source: io::ErrorKind::Unsupported.into(),
            });
        }
        Ok(())
    }

    /// Between a working side's own store and its look at announcements.
    #[inline(always)]
    pub(crate) fn worked(self) {
        match self {
            Fences::Own if kept("worked") => fence(SeqCst),
            _ => compiler_fence(SeqCst),
        }
    }

    /// Between a waiting side's announcement and its last look. `shared`: the other side may be in another process.
    pub(crate) fn announced(self, shared: bool) {
        match self {
            Fences::Barrier => os::barrier(shared),
            Fences::Own if kept("announced") => fence(SeqCst),
            Fences::Own => {}
        }
    }
}
