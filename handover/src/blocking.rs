//! Blocking: trying again, giving way, sleeping, looking for the dead, until something comes of it.

use std::time::Duration;

use crate::error::Error;
use crate::gate::{Gate, Limit, Patience, Rhythm, Step, Wait};
use crate::roster::{Search, Searches};

/// Who blocks: a member, with what it shares with others.
pub(crate) trait Waiter {
    /// The full fence between the announcement of a sleeper and its last look.
    fn announced(&self);
    /// Looks for the dead.
    fn search(&self);
    fn searches(&self) -> &Searches;
    /// The longest sleep.
    fn longest(&self) -> Duration;
}

/// What to do if there is more in a queue than it shall hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrink {
    /// Fail with [`Error::Full`], and leave it as it was.
    Refuse,
    /// Wait until there is less.
    Wait,
    /// Wait for at most so long, then as `Refuse`.
    WaitFor(Duration),
}

impl Shrink {
    pub(crate) fn limit(self) -> Limit {
        match self {
            Shrink::Refuse => Limit::Never,
            Shrink::Wait => Limit::Forever,
            Shrink::WaitFor(time) => Limit::after(time),
        }
    }
}

/// Tries until something comes of it, or until the time is over: then `over`.
pub(crate) fn block<T>(
    waiter: &impl Waiter,
    gate: &Gate,
    (wait, limit): (Wait, Limit),
    (rhythm, done): (&mut Rhythm, u64),
    over: Error,
    mut attempt: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let mut patience = Patience::new(wait, limit, rhythm, done);
    let mut search = Search::new(waiter.searches());
    let mut search = || search.if_due(|| waiter.search());
    loop {
        match patience.next(rhythm) {
            Step::Again => {}
            Step::Yielded => {
                search();
            }
            Step::Over => return Err(over),
            Step::Sleep(left) => {
                let sequence = gate.announce();
                waiter.announced();
                if let Some(got) = attempt()? {
                    return Ok(got);
                }
                search();
                let most = waiter.longest();
                gate.sleep(sequence, Some(left.map_or(most, |left| left.min(most))), true);
                search();
            }
        }
        if let Some(got) = attempt()? {
            return Ok(got);
        }
    }
}
