//! The time that all processes of the machine share.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since some moment, the same one for every process. Never goes back.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
