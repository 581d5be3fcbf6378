//! Being asked to end, by SIGINT or SIGTERM.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The longest that a command waits for anything before it looks whether it was asked to end.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

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
        let interrupt = Interrupt { signal: Arc::default() };
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: what the first signal notes, the second finds.
            flag::register_conditional_shutdown(signal, STATUS, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
            flag::register_usize(signal, Arc::clone(&interrupt.signal), signal as usize)?;
        }
        Ok(interrupt)
    }

    pub(crate) fn asked(&self) -> bool {
        self.signal.load(Relaxed) != 0
    }

    /// Whether it was Ctrl-C.
    pub(crate) fn by_ctrl_c(&self) -> bool {
        self.signal.load(Relaxed) == SIGINT as usize
    }
}

/// From now on a signal ends the process at once: for what can be left off at any instruction.
pub(crate) fn end_at_once() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, STATUS, Arc::new(AtomicBool::new(true)))?;
    }
    Ok(())
}
