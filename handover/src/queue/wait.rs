//! Blocking: what a push without room and a pop without a message do, written once.

use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Ring};
use crate::error::Error;
use crate::gate::{Limit, PERIOD, Patience, Rhythm, Step, Wait};
use crate::ring::{Refusal, Run};
use crate::roster::{ALONE, Membership, Search, count};

/// The longest sleep behind a slot that a living member holds.
const BEHIND_A_HOLDER: Duration = Duration::from_millis(1);

/// The end that blocks: a producer or a consumer.
pub(super) trait Side {
    const PUSH: bool;

    fn try_claim(&mut self, want: u32) -> Result<Run, Refusal>;
    /// The same without a reason: looks only at what must change before a claim can succeed, and leaves alone what the
    /// other side is working on.
    fn glance(&mut self, want: u32) -> Option<Run>;
    fn core(&self) -> &Arc<Core>;
    fn membership(&self) -> &Membership;
    fn wait_setting(&self) -> Wait;
    fn rhythm(&mut self) -> &mut Rhythm;
    /// How many messages the handle has handed on.
    fn done(&self) -> u64;
    /// Whether there is more to be had, for the next sleeper.
    fn more(&self) -> bool;
}

/// Waits until a claim succeeds or the limit is over.
#[cold]
pub(super) fn wait<S: Side>(side: &mut S, want: u32, refusal: Refusal, limit: Limit) -> Result<Run, Error> {
    let mut slept = false;
    let result = wait_out(side, want, refusal, limit, &mut slept);
    if slept && matches!(side.core().ring, Ring::Many(_)) {
        pass_on(side);
    }
    result
}

fn wait_out<S: Side>(side: &mut S, want: u32, refusal: Refusal, limit: Limit, slept: &mut bool) -> Result<Run, Error> {
    let core = Arc::clone(side.core());
    let mut refusal = refusal;
    let (setting, done) = (side.wait_setting(), side.done());
    let mut patience = Patience::new(setting, limit, side.rhythm(), done);
    let mut blocked = false;
    let mut asked = false;
    let mut search = Search::new(&core.control().searches.0);
    let mut search = |side: &S| core.mortal() && search.if_due(|| core.sweep(side.membership().counters()));
    loop {
        if matches!(refusal, Refusal::Closed | Refusal::Corrupt(_)) {
            return Err(core.refused(refusal, S::PUSH));
        }
        let step = patience.next(side.rhythm());
        // Who is held up by a dead member finds out at once; also a caller that may not wait.
        let idle = !matches!(step, Step::Again);
        if refusal == Refusal::Held && core.mortal() && idle && !asked {
            asked = true;
            core.settle_holder(S::PUSH, side.membership().counters()).map_err(|fault| core.refused(fault, S::PUSH))?;
            match side.try_claim(want) {
                Ok(run) => return Ok(run),
                Err(now) => refusal = now,
            }
        }
        match step {
            Step::Again => match side.glance(want) {
                Some(run) => return Ok(run),
                None => continue,
            },
            Step::Over => return Err(core.refused(refusal, S::PUSH)),
            Step::Yielded => asked &= !search(side),
            Step::Sleep(left) => {
                if !blocked {
                    blocked = true;
                    let counters = side.membership().counters();
                    count(if S::PUSH { &counters.blocked_full } else { &counters.blocked_empty }, 1);
                }
                let gate = if S::PUSH { &core.control().not_full } else { &core.control().not_empty };
                let sequence = gate.announce();
                core.announced();
                match side.try_claim(want) {
                    Ok(run) => return Ok(run),
                    Err(now) => refusal = now,
                }
                let most = match refusal {
                    Refusal::Closed | Refusal::Corrupt(_) => continue,
                    Refusal::Held | Refusal::Draining => Some(BEHIND_A_HOLDER),
                    // Producers are woken late, when there is a good part of the ring: they look for themselves, too.
                    Refusal::Nothing if S::PUSH || core.others_may_die() => Some(PERIOD),
                    Refusal::Nothing => core.mortal().then_some(ALONE),
                };
                let time = most.into_iter().chain(left).min();
                *slept = true;
                search(side);
                gate.sleep(sequence, time, core.mortal());
                search(side);
                // To ask about the one holder is little beside a sleep.
                asked = false;
            }
        }
        match side.try_claim(want) {
            Ok(run) => return Ok(run),
            Err(now) => refusal = now,
        }
    }
}

/// Whoever has slept may have been woken, for many messages or for one that it does not take: however its wait ends, it
/// leaves the note that the waker took away, and sees to the next sleeper.
fn pass_on<S: Side>(side: &S) {
    let core = side.core();
    let gate = if S::PUSH { &core.control().not_full } else { &core.control().not_empty };
    gate.leave_note();
    if side.more() {
        gate.wake(core.mortal());
    }
}
