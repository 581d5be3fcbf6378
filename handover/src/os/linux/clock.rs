//! The clock that all processes of the machine read alike.

use std::cell::Cell;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started, not counting the time it slept. Never 0.
#[inline]
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64).max(1)
}

/// A clock for one who asks very often: what it says may be late by the time that a processor needs for some 2000 of its
/// cycles, less than a microsecond.
#[derive(Default)]
pub(crate) struct QuickClock {
    /// The cycles when the system was asked last.
    asked: Cell<u64>,
    /// What it said.
    said: Cell<u64>,
}

const CYCLES: u64 = 2000;

impl QuickClock {
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        let Some(cycles) = cycles() else { return now() };
        // Only whether little has passed: how long a cycle is need not be known, nor whether all processors count alike.
        if cycles.wrapping_sub(self.asked.get()) >= CYCLES {
            self.asked.set(cycles);
            self.said.set(now());
        }
        self.said.get()
    }
}

/// The processor's own count, where it can be read in a few of its cycles.
#[inline(always)]
fn cycles() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a counter.
    return Some(unsafe { std::arch::x86_64::_rdtsc() });
    #[cfg(not(target_arch = "x86_64"))]
    None
}
