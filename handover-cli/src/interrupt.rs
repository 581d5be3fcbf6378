//! Being asked to end, by SIGINT or SIGTERM, or another signal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

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
        Interrupt::listen_to(&[SIGINT, SIGTERM])
    }

    /// As `listen`, to these signals.
    pub(crate) fn listen_to(signals: &[i32]) -> io::Result<Interrupt> {
        let interrupt = Interrupt { signal: Arc::default() };
        for signal in signals {
            // At once: what comes after the signal finds it noted.
            flag::register_usize(*signal, Arc::clone(&interrupt.signal), *signal as usize)?;
        }
        let mut signals = Signals::new(signals)?;
        // It ends with the process.
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut first = None;
            for _ in &mut signals {
                if first.get_or_insert_with(Instant::now).elapsed() > ONE_REQUEST {
                    signal_hook::low_level::exit(STATUS);
                }
            }
        })?;
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
        flag::register_conditional_shutdown(signal, STATUS, Arc::new(true.into()))?;
    }
    Ok(())
}

/// From now on what is too much for a file of this process fails, and does not end it (`ulimit -f`).
pub(crate) fn bear_limits() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::new(false.into())).map(drop)
}
