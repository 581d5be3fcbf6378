//! A lock in shared memory that says whose it is, and goes to another if that one dies.

use std::hint;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

use super::core::Core;
use crate::error::Error;
use crate::gate::Limit;
use crate::ring::Owner;

/// How often it was taken, above 32 bits of who has it: its number plus one, or 0. It is taken over by compare-and-swap
/// from what was read before the kernel was asked: another one of that number has taken it anew.
#[repr(transparent)]
pub(super) struct Latch(AtomicU64);

/// What a latch says.
#[derive(Clone, Copy)]
pub(super) struct Held(u64);

impl Held {
    /// Whose it is. A number that is nobody's counts as a dead member's.
    pub(super) fn by(self) -> Option<Owner> {
        (self.0 as u32).checked_sub(1).map(|number| Owner(number.min(u32::from(u16::MAX)) as u16))
    }
}

/// Between two questions whether the holder lives.
const LOOKS: u32 = 64;

impl Latch {
    /// Takes the latch, from the dead, too: then what it guards has to be put right first, and this says `true`. Fails
    /// with [`Error::Full`] when the time is over.
    pub(super) fn take(&self, core: &Core, me: Owner, limit: Limit) -> Result<bool, Error> {
        for looks in 1_u32.. {
            let held = self.held();
            let Some(holder) = held.by() else {
                if self.change(held, me) {
                    return Ok(false);
                }
                continue;
            };
            if !looks.is_multiple_of(LOOKS) {
                hint::spin_loop();
                continue;
            }
            if core.processes().is_dead(holder) && self.change(held, me) {
                return Ok(true);
            }
            if limit.left().is_some_and(|left| left.is_zero()) {
                return Err(Error::Full);
            }
            // It is held for some instructions, unless its holder was stopped, or waits.
            if looks < 16 * LOOKS { thread::yield_now() } else { thread::sleep(Duration::from_micros(100)) }
        }
        unreachable!("it waits for ever")
    }

    pub(super) fn held(&self) -> Held {
        Held(self.0.load(Acquire))
    }

    /// Takes the latch if it still says what was read.
    pub(super) fn change(&self, from: Held, me: Owner) -> bool {
        let mine = ((from.0 >> 32).wrapping_add(1) << 32) | (u64::from(me.0) + 1);
        self.0.compare_exchange(from.0, mine, AcqRel, Relaxed).is_ok()
    }

    /// Lets go of it.
    pub(super) fn leave(&self) {
        self.0.store(self.0.load(Relaxed) >> 32 << 32, Release);
    }
}
