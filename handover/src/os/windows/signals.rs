//! The console's events that ask a process to end: Ctrl-C, Ctrl-Break, the window closed, log-off, shutdown.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
use windows_sys::core::BOOL;

use super::clock::now;

/// When the process was first asked since somebody began to listen, in nanoseconds; 0 if it was not.
static ASKED: AtomicU64 = AtomicU64::new(0);
/// Events so close together are one request, as on other systems.
const ONE_REQUEST: u64 = 100_000_000;
/// How many listen.
static LISTENING: Mutex<u32> = Mutex::new(0);

/// As long as it lives, the first event is only noted; one that comes later than at once ends the process, as it would
/// without.
pub(crate) struct Signals {
    /// None but itself makes one.
    _private: (),
}

/// Runs in a thread of its own. False leaves the event to the handlers before this one, the last of which ends the process.
unsafe extern "system" fn note(_event: u32) -> BOOL {
    let now = now();
    let late = |first| now.saturating_sub(first) > ONE_REQUEST;
    BOOL::from(!ASKED.compare_exchange(0, now, Relaxed, Relaxed).is_err_and(late))
}

fn listening() -> MutexGuard<'static, u32> {
    LISTENING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Signals> {
        let mut listening = listening();
        if *listening == 0 {
            ASKED.store(0, Relaxed);
            // SAFETY: the handler may run at any time, in any thread.
            if unsafe { SetConsoleCtrlHandler(Some(note), 1) } == 0 {
                return Err(io::Error::last_os_error());
            }
        }
        *listening += 1;
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
        *listening -= 1;
        if *listening == 0 {
            // SAFETY: takes away what `listen` added.
            unsafe { SetConsoleCtrlHandler(Some(note), 0) };
        }
    }
}
