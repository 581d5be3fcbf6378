//! Sleeping on a word of memory, waking who sleeps there, and a barrier on all other processors.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};
use rustix::thread::{MembarrierCommand, membarrier};

use super::lock_file::forks;
use crate::os::Waited;

fn flags(shared: bool) -> Flags {
    // A private futex is found by its address alone, which saves the kernel the look at the file behind it.
    if shared { Flags::empty() } else { Flags::PRIVATE }
}

/// Sleeps while `word` holds `expected`, until `wake` or for `timeout`. `shared` when other processes may wake it. The kernel
/// itself knows who is asleep, and the word that other systems count them in stays 0.
pub(crate) fn wait(
    word: &AtomicU32,
    _asleep: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
    shared: bool,
) -> Waited {
    // A time too long for the kernel's clock is no limit at all.
    let timeout = timeout.and_then(|time| {
        Some(Timespec { tv_sec: i64::try_from(time.as_secs()).ok()?, tv_nsec: time.subsec_nanos().into() })
    });
    match futex::wait(word, flags(shared), expected, timeout.as_ref()) {
        Err(Errno::TIMEDOUT) => Waited::TimedOut,
        _ => Waited::Woken,
    }
}

/// Wakes at most `count` of those who sleep on `word`, and says how many.
pub(crate) fn wake(word: &AtomicU32, _asleep: &AtomicU32, count: u32, shared: bool) -> u32 {
    // The kernel takes the count as a signed number.
    let count = count.min(i32::MAX as u32);
    futex::wake(word, flags(shared), count).map_or(0, |woken| woken as u32)
}

/// 0: not asked yet. Else twice the number of forks at registration plus 2, plus 1 if the kernel agreed.
static REGISTERED: AtomicU64 = AtomicU64::new(0);

/// Whether `barrier` works. Registers this process with the kernel, so every process that is to be reached by
/// another's shared barrier must have called it.
pub(crate) fn barrier_available() -> bool {
    // Registered anew in a forked child: whether registration is inherited is nowhere promised. An atomic and not a
    // once-cell: a fork while another thread fills a cell leaves the child with one that never gets full. To register
    // twice does nothing.
    let current = forks() * 2 + 2;
    let registered = REGISTERED.load(Ordering::Relaxed);
    if registered & !1 == current {
        return registered & 1 == 1;
    }
    let agreed = membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok()
        && membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok();
    REGISTERED.store(current | u64::from(agreed), Ordering::Relaxed);
    agreed
}

/// When this returns, every running thread of this process (of every registered process, if `shared`) has passed a
/// full memory barrier since the call began. Only where `barrier_available`.
pub(crate) fn barrier(shared: bool) {
    let command = if shared { MembarrierCommand::GlobalExpedited } else { MembarrierCommand::PrivateExpedited };
    let done = membarrier(command);
    debug_assert!(done.is_ok(), "barrier_available comes first");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_sleeper_is_woken() {
        for shared in [false, true] {
            let (word, asleep) = (AtomicU32::new(0), AtomicU32::new(0));
            std::thread::scope(|scope| {
                let sleeper = scope.spawn(|| {
                    let mut result = Waited::Woken;
                    while word.load(Ordering::SeqCst) == 0 {
                        result = wait(&word, &asleep, 0, Some(Duration::from_secs(20)), shared);
                    }
                    result
                });
                std::thread::sleep(Duration::from_millis(20));
                word.store(1, Ordering::SeqCst);
                assert!(wake(&word, &asleep, u32::MAX, shared) <= 1);
                assert_eq!(sleeper.join().unwrap(), Waited::Woken);
            });
        }
    }

    #[test]
    fn a_sleep_ends_after_its_time() {
        let (word, asleep) = (AtomicU32::new(7), AtomicU32::new(0));
        let start = Instant::now();
        while wait(&word, &asleep, 7, Some(Duration::from_millis(10)), true) != Waited::TimedOut {}
        assert!(start.elapsed() >= Duration::from_millis(10));
    }

    #[test]
    fn a_word_that_changed_is_not_slept_on() {
        let (word, asleep) = (AtomicU32::new(7), AtomicU32::new(0));
        assert_eq!(wait(&word, &asleep, 8, None, false), Waited::Woken);
        assert_eq!(wait(&word, &asleep, 8, Some(Duration::MAX), true), Waited::Woken);
    }

    #[test]
    fn a_barrier_works_where_it_is_said_to() {
        if barrier_available() {
            barrier(false);
            barrier(true);
        }
    }
}
