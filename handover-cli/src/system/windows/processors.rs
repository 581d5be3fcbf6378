//! Processors, their time, and the memory beside them.

use std::num::NonZero;
use std::thread;

use core_affinity::CoreId;
use winsafe::{FILETIME, HTHREAD};

/// Nanoseconds for which the calling thread has had a processor, as finely as the system counts, which is coarse.
pub(crate) fn own_time() -> u64 {
    let tenths = |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    match HTHREAD::GetCurrentThread().GetThreadTimes() {
        Ok((_, _, kernel, user)) => (tenths(kernel) + tenths(user)) * 100,
        Err(_) => 0,
    }
}

/// How many processors this process may use; at least one.
pub(crate) fn count() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Keeps the calling thread on the `nth` of the processors that it may use. Where that is refused it stays free.
pub(crate) fn pin_to(nth: usize) {
    let usable: Vec<CoreId> = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(processor) = usable.get(nth % usable.len().max(1)) {
        core_affinity::set_for_current(*processor);
    }
}

/// How many memory nodes segments can be placed on: on this system they are put where it likes.
pub(crate) fn memory_nodes() -> usize {
    1
}
