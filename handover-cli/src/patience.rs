//! How long a command waits for room, or for a message.

use std::time::{Duration, Instant};

use clap::Args;
use handover::Error;

use crate::interrupt::{Interrupt, LOOK};
use crate::trouble::Trouble;
use crate::units;

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Wait as long as it takes; so it is if nothing is said.
    #[arg(long, conflicts_with_all = ["timeout", "no_wait"])]
    wait: bool,
    /// Wait for at most so long for each message: 250ms, 2s, 5m.
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with = "no_wait")]
    timeout: Option<Duration>,
    /// Don't wait.
    #[arg(long)]
    no_wait: bool,
}

impl Patience {
    fn end(self) -> Option<Instant> {
        let time = match self {
            Patience { wait: true, .. } => None,
            Patience { no_wait: true, .. } => Some(Duration::ZERO),
            Patience { timeout, .. } => timeout,
        };
        // A time beyond what the clock can count is for ever.
        time.and_then(|time| Instant::now().checked_add(time))
    }
}

/// Calls `attempt`, each time with how long it may block, until it has something, fails otherwise than for want of room or
/// messages, or the time is over. `standing` is what to say of how things stand if it is interrupted.
pub(crate) fn patiently<T>(
    patience: Patience,
    interrupt: &Interrupt,
    standing: &'static str,
    mut attempt: impl FnMut(Duration) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let end = patience.end();
    loop {
        if interrupt.asked() {
            return Err(Trouble::Interrupted(standing));
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        match attempt(left.map_or(LOOK, |left| left.min(LOOK))) {
            Err(Trouble::Handover(Error::Full | Error::Empty)) if left.is_none_or(|left| left > LOOK) => {}
            other => return other,
        }
    }
}
