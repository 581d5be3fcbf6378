//! Signals that ask a process to end, and those that would end it without need.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

pub(crate) type Signal = i32;

/// What asks every command to end: Ctrl-C, and a request.
pub(crate) const REQUESTS: &[Signal] = &[SIGINT, SIGTERM];
/// What asks a program that fills the terminal, or has processes of its own, to end: these, and the terminal going away.
pub(crate) const ENDINGS: &[Signal] = &[SIGINT, SIGTERM, SIGHUP];

/// What comes from a terminal's keyboard.
pub(crate) const KEYS: &[Signal] = &[SIGINT];

/// The number that is noted for Ctrl-C.
pub(crate) const CTRL_C: usize = SIGINT as usize;

/// From now on the number of each such signal is noted, and nothing else comes of it. What comes after the signal finds it
/// noted.
pub(crate) fn note(signals: &[Signal], noted: &Arc<AtomicUsize>) -> io::Result<()> {
    for signal in signals {
        flag::register_usize(*signal, Arc::clone(noted), *signal as usize)?;
    }
    Ok(())
}

/// As `note`, and calls that for each, in a thread that ends with the process.
pub(crate) fn hear(
    signals: &[Signal],
    noted: &Arc<AtomicUsize>,
    mut heard: impl FnMut() + Send + 'static,
) -> io::Result<()> {
    note(signals, noted)?;
    let mut signals = Signals::new(signals)?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in &mut signals {
            heard();
        }
    })?;
    Ok(())
}

/// Ends the process, from the thread that heard a signal.
pub(crate) fn end(status: i32) -> ! {
    signal_hook::low_level::exit(status)
}

/// From now on a request to end ends the process at once, with that status.
pub(crate) fn end_at_once(status: i32) -> io::Result<()> {
    for signal in REQUESTS {
        flag::register_conditional_shutdown(*signal, status, Arc::new(true.into()))?;
    }
    Ok(())
}

/// From now on these do nothing to this process: another one, which they reach too, sees to it.
pub(crate) fn leave_to_others(signals: &[Signal]) -> io::Result<()> {
    for signal in signals {
        flag::register(*signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// From now on what is too much for a file of this process fails, and does not end it (`ulimit -f`).
pub(crate) fn bear_limits() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}
