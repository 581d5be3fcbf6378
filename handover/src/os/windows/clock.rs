//! The clock that all processes of the machine read alike.

use std::sync::atomic::{AtomicU64, Ordering};

use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

const SECOND: u64 = 1_000_000_000;

/// How often the counter moves in a second: the same for ever.
fn frequency() -> u64 {
    static FREQUENCY: AtomicU64 = AtomicU64::new(0);
    let known = FREQUENCY.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let mut frequency = 0;
    // SAFETY: fills in a number of ours, and does not fail on any system that Rust runs on.
    unsafe { QueryPerformanceFrequency(&raw mut frequency) };
    let frequency = (frequency as u64).max(1);
    FREQUENCY.store(frequency, Ordering::Relaxed);
    frequency
}

/// Nanoseconds since the machine started. Never 0.
#[inline]
pub(crate) fn now() -> u64 {
    let mut counter = 0;
    // SAFETY: as above.
    unsafe { QueryPerformanceCounter(&raw mut counter) };
    let (counter, frequency) = (counter as u64, frequency());
    // In two parts: the product alone would be too large after half an hour.
    let (seconds, rest) = (counter / frequency, counter % frequency);
    seconds.wrapping_mul(SECOND).wrapping_add(rest.wrapping_mul(SECOND) / frequency).max(1)
}

/// The same. The counter is read without a system call, so a coarser clock would save nothing.
#[inline]
pub(crate) fn last_tick() -> u64 {
    now()
}
