//! The clock that all processes of the machine read alike.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started, not counting the time it slept. Never 0.
#[inline]
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64).max(1)
}
