//! Blocking, for the writer and for readers.

use super::core::Core;
use crate::error::Error;
use crate::gate::{Gate, Limit, PERIOD, Patience, Rhythm, Step, Wait};
use crate::roster::{ALONE, Counters, Search};

/// Tries until something comes of it, or until the time is over: then `over`.
pub(super) fn block<T>(
    core: &Core,
    gate: &Gate,
    counters: &Counters,
    (wait, limit): (Wait, Limit),
    (rhythm, done): (&mut Rhythm, u64),
    over: Error,
    mut attempt: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let mut patience = Patience::new(wait, limit, rhythm, done);
    let mut search = Search::new(&core.control().searches.0);
    let mut search = || search.if_due(|| core.sweep(counters));
    loop {
        match patience.next(rhythm) {
            Step::Again => {}
            Step::Yielded => {
                search();
            }
            Step::Over => return Err(over),
            Step::Sleep(left) => {
                let sequence = gate.announce();
                core.announced();
                if let Some(got) = attempt()? {
                    return Ok(got);
                }
                search();
                let most = if core.others_may_die() { PERIOD } else { ALONE };
                gate.sleep(sequence, Some(left.map_or(most, |left| left.min(most))), true);
                search();
            }
        }
        if let Some(got) = attempt()? {
            return Ok(got);
        }
    }
}
