//! The clock that all processes of the machine read alike.

use rustix::time::{ClockId, clock_gettime};

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64).max(1)
}

/// Nanoseconds since the machine started, not counting the time it slept. Never 0.
#[inline]
pub(crate) fn now() -> u64 {
    read(ClockId::Monotonic)
}

/// The same, as it was when the system's clock ticked last: some milliseconds ago at most. It costs a fifth.
#[inline]
pub(crate) fn last_tick() -> u64 {
    read(ClockId::MonotonicCoarse)
}
