//! Processors, their time, and the memory beside them.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds for which the calling thread has had a processor.
pub(crate) fn own_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn usable() -> Vec<usize> {
    let may = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|processor| may.is_set(*processor)).collect()
}

/// How many processors this process may use; at least one.
pub(crate) fn count() -> usize {
    usable().len().max(1)
}

/// Keeps the calling thread on the `nth` of the processors that it may use. Where that is refused it stays free.
pub(crate) fn pin_to(nth: usize) {
    let usable = usable();
    if let Some(processor) = usable.get(nth % usable.len().max(1)) {
        let mut one = CpuSet::new();
        one.set(*processor);
        let _ = sched_setaffinity(None, &one);
    }
}

/// How many memory nodes this machine has; 1 where the system does not say.
pub(crate) fn memory_nodes() -> usize {
    let entries = fs::read_dir("/sys/devices/system/node").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_node = |name: &String| name.strip_prefix("node").is_some_and(|number| number.parse::<u32>().is_ok());
    names.filter(is_node).count().max(1)
}
