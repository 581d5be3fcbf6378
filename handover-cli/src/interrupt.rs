//! Being asked to end, by Ctrl-C or by another signal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::system::signals::{self, Signal};

/// The longest that a command waits for anything before it looks whether it was asked to end.
pub(crate) const LOOK: Duration = Duration::from_millis(50);
/// Signals so close together are one request: `timeout` and its like signal a process, and then all of its group. No person is so fast.
const ONE_REQUEST: Duration = Duration::from_millis(100);

const STATUS: i32 = 130;

/// Whether this process was asked to end.
#[derive(Clone)]
pub(crate) struct Interrupt {
    /// The signal; 0 if none came.
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// From now on a first signal is only noted; a second one ends the process at once.
    pub(crate) fn listen() -> io::Result<Interrupt> {
        Interrupt::listen_to(signals::REQUESTS)
    }

    /// As `listen`, to these signals.
    pub(crate) fn listen_to(signals: &[Signal]) -> io::Result<Interrupt> {
        let interrupt = Interrupt { signal: Arc::default() };
        let mut first = None;
        signals::hear(signals, &interrupt.signal, move || {
            if first.get_or_insert_with(Instant::now).elapsed() > ONE_REQUEST {
                signals::end(STATUS);
            }
        })?;
        Ok(interrupt)
    }

    pub(crate) fn asked(&self) -> bool {
        self.signal.load(Relaxed) != 0
    }

    /// Whether it was Ctrl-C.
    pub(crate) fn by_ctrl_c(&self) -> bool {
        self.signal.load(Relaxed) == signals::CTRL_C
    }
}

/// From now on a signal ends the process at once: for what can be left off at any instruction.
pub(crate) fn end_at_once() -> io::Result<()> {
    signals::end_at_once(STATUS)
}
