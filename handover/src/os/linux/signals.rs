//! The signals that ask a process to end.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{MutexGuard, PoisonError};

use super::clock::now;

const ASKING: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGINT];

/// When the process was first asked since somebody began to listen, in nanoseconds; 0 if it was not.
static ASKED: AtomicU64 = AtomicU64::new(0);
/// Signals so close together are one request: whoever ends a process and its group signals that process twice, and no
/// person is so fast.
const ONE_REQUEST: u64 = 100_000_000;
/// Who listens, and what was done with the signals before.
static LISTENING: Mutex<(u32, Vec<libc::sigaction>)> = Mutex::new((0, Vec::new()));

/// As long as it lives, the first SIGTERM or SIGINT is only noted; one that comes later than at once ends the process, as
/// it would without.
pub(crate) struct Signals {
    /// None but itself makes one.
    _private: (),
}

/// Nothing here but what may be done between any two instructions.
extern "C" fn note(signal: libc::c_int) {
    // It is a system call that may be made in a handler, or none at all.
    let now = now();
    if ASKED.compare_exchange(0, now, Relaxed, Relaxed).is_err_and(|first| now.saturating_sub(first) > ONE_REQUEST) {
        // SAFETY: both may be called in a handler. The signal is blocked in it, and comes as soon as it returns.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

fn listening() -> MutexGuard<'static, (u32, Vec<libc::sigaction>)> {
    LISTENING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Signals> {
        let mut listening = listening();
        if listening.0 == 0 {
            ASKED.store(0, Relaxed);
            let mut before = Vec::new();
            for signal in ASKING {
                // SAFETY: all zero is an action; the handler is one, and both pointers are ours.
                unsafe {
                    let mut action: libc::sigaction = std::mem::zeroed();
                    let mut old: libc::sigaction = std::mem::zeroed();
                    action.sa_sigaction = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
                    // What the program waits for goes on.
                    action.sa_flags = libc::SA_RESTART;
                    libc::sigemptyset(&raw mut action.sa_mask);
                    if libc::sigaction(signal, &raw const action, &raw mut old) != 0 {
                        return Err(io::Error::last_os_error());
                    }
                    if old.sa_sigaction == libc::SIG_IGN {
                        // As a shell does for what it runs in the background: that is not meant to end by it.
                        libc::sigaction(signal, &raw const old, std::ptr::null_mut());
                    }
                    before.push(old);
                }
            }
            listening.1 = before;
        }
        listening.0 += 1;
        Ok(Signals { _private: () })
    }

    /// Whether the process was asked to end.
    pub(crate) fn asked(&self) -> bool {
        ASKED.load(Relaxed) > 0
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut listening = listening();
        listening.0 -= 1;
        if listening.0 == 0 {
            for (signal, before) in ASKING.into_iter().zip(listening.1.drain(..)) {
                // SAFETY: as the system gave it to us.
                unsafe { libc::sigaction(signal, &raw const before, std::ptr::null_mut()) };
            }
        }
    }
}
