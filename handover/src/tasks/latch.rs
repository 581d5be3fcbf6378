//! A lock in shared memory that says whose it is, and goes to another if that one dies.

use std::hint;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::thread;
use std::time::Instant;

use super::core::Core;
use crate::error::Error;
use crate::ring::Owner;

/// Its holder's number plus one; 0: nobody's.
#[repr(transparent)]
pub(super) struct Latch(AtomicU32);

/// Between two questions whether the holder lives.
const LOOKS: u32 = 64;

impl Latch {
    /// Takes the latch, from the dead, too: then what it guards has to be put right first, and this says `true`. Fails
    /// when `until` has passed.
    pub(super) fn take(&self, core: &Core, me: Owner, until: Option<Instant>) -> Result<bool, Error> {
        let mut looks = 0;
        loop {
            if self.0.compare_exchange(0, u32::from(me.0) + 1, Acquire, Relaxed).is_ok() {
                return Ok(false);
            }
            looks += 1;
            if looks % LOOKS != 0 {
                hint::spin_loop();
                continue;
            }
            if let Some(holder) = self.holder()
                // Its number may be ours by now.
                && (holder == me || core.processes().is_dead(holder))
                && self.take_over(holder, me)
            {
                return Ok(true);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Error::Full);
            }
            thread::yield_now();
        }
    }

    pub(super) fn holder(&self) -> Option<Owner> {
        // A number that is nobody's counts as a dead member's.
        self.0.load(Acquire).checked_sub(1).map(|number| Owner(number.min(u32::from(u16::MAX)) as u16))
    }

    /// Takes the latch from one who is dead.
    pub(super) fn take_over(&self, dead: Owner, me: Owner) -> bool {
        self.0.compare_exchange(u32::from(dead.0) + 1, u32::from(me.0) + 1, AcqRel, Relaxed).is_ok()
    }

    pub(super) fn leave(&self) {
        self.0.store(0, Release);
    }
}
