//! Ctrl-C and Ctrl-Break, which ask a process to end.

use std::io;
use std::process;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

/// All of them come the same way, and can't be told apart. That the window was closed is none: the system ends the process
/// then, whatever that says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal;

/// What asks every command to end.
pub(crate) const REQUESTS: &[Signal] = &[Signal];
/// What asks a program that fills the terminal, or has processes of its own, to end.
pub(crate) const ENDINGS: &[Signal] = &[Signal];
/// What comes from a terminal's keyboard.
pub(crate) const KEYS: &[Signal] = &[Signal];

/// The number that is noted.
pub(crate) const CTRL_C: usize = 1;

type Hearer = Box<dyn FnMut() + Send>;

/// Calls that for each, in a thread of its own; nothing else comes of it then.
fn call(hearer: Hearer) -> io::Result<()> {
    static HEARERS: Mutex<Vec<Hearer>> = Mutex::new(Vec::new());
    let hearers = || HEARERS.lock().unwrap_or_else(PoisonError::into_inner);
    let first = {
        let mut hearers = hearers();
        hearers.push(hearer);
        hearers.len() == 1
    };
    if !first {
        return Ok(());
    }
    ctrlc::set_handler(move || hearers().iter_mut().for_each(|hearer| hearer())).map_err(|error| match error {
        ctrlc::Error::System(error) => error,
        other => io::Error::other(other),
    })
}

/// From now on it is noted that one came, and nothing else comes of it.
pub(crate) fn note(signals: &[Signal], noted: &Arc<AtomicUsize>) -> io::Result<()> {
    hear(signals, noted, || {})
}

/// As `note`, and calls that for each, in a thread that ends with the process.
pub(crate) fn hear(
    _signals: &[Signal],
    noted: &Arc<AtomicUsize>,
    mut heard: impl FnMut() + Send + 'static,
) -> io::Result<()> {
    let noted = Arc::clone(noted);
    call(Box::new(move || {
        noted.store(CTRL_C, Relaxed);
        heard();
    }))
}

/// Ends the process, from the thread that heard one.
pub(crate) fn end(status: i32) -> ! {
    process::exit(status)
}

/// From now on a request to end ends the process at once, with that status.
pub(crate) fn end_at_once(status: i32) -> io::Result<()> {
    call(Box::new(move || end(status)))
}

/// From now on these do nothing to this process: another one, which they reach too, sees to it.
pub(crate) fn leave_to_others(_signals: &[Signal]) -> io::Result<()> {
    call(Box::new(|| {}))
}

/// What is too much for a file fails here by itself.
pub(crate) fn bear_limits() -> io::Result<()> {
    Ok(())
}
