//! What submitters, workers and administrators have in common.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::block::Hint;
use super::core::{Core, FREE, RETURNED, RINGS};
use super::desk::{Desk, Sampler};
use super::hand::{ALARMS, Hand};
use crate::blocking::Waiter;
use crate::error::Error;
use crate::fences::Fences;
use crate::gate::PERIOD;
use crate::os;
use crate::ring::{Refusal, Run};
use crate::roster::{ALONE, Counters, Membership, Role, Searches};

/// The longest sleep behind a hint that a living member has its hand on.
const BEHIND_A_HOLDER: Duration = Duration::from_millis(1);

/// How often one looks again at once behind a hint that was settled.
const LOOKS: u32 = 64;

pub(super) struct TaskMember {
    pub(super) core: Arc<Core>,
    pub(super) membership: Membership,
    /// The forks this process had seen when the handle was made.
    forks: u64,
    pub(super) clock: Sampler,
    /// Whether a hint that was looked for is in the hands of another.
    pub(super) held: Cell<bool>,
    /// The longest sleep that this handle likes.
    pub(super) longest: Cell<Duration>,
}

impl TaskMember {
    pub(super) fn attach(core: &Arc<Core>, role: Role) -> Result<TaskMember, Error> {
        TaskMember::attach_as(core, role, false)
    }

    /// One that comes for a moment, to do something to the queue. There is a place for such, so that no other is refused
    /// because of it; and where that is taken, those that are left.
    pub(super) fn administer(core: &Arc<Core>) -> Result<TaskMember, Error> {
        match TaskMember::attach_as(core, Role::Producer, true) {
            Err(Error::Taken { .. }) => TaskMember::attach_as(core, Role::Producer, false),
            other => other,
        }
    }

    fn attach_as(core: &Arc<Core>, role: Role, sole: bool) -> Result<TaskMember, Error> {
        let reap = &mut |owner, pid, _: &Counters| Hand { core, me: owner }.reap(owner, pid, true);
        let membership = core.roster.attach(role, sole, reap)?;
        let member = TaskMember {
            core: Arc::clone(core),
            membership,
            forks: os::forks(),
            clock: Sampler::default(),
            held: Cell::new(false),
            longest: Cell::new(Duration::MAX),
        };
        // Who sleeps for long, because nobody else was there, learns that somebody is.
        for gate in [&core.control().work, &core.control().room, &core.control().results] {
            gate.wake_all(true);
        }
        member.sweep();
        Ok(member)
    }

    #[inline(always)]
    pub(super) fn hand(&self) -> Hand<'_> {
        Hand { core: &self.core, me: self.membership.owner }
    }

    #[inline(always)]
    pub(super) fn desk(&self) -> &Desk {
        self.core.desk(self.membership.owner)
    }

    /// Whether this is a child's copy of the parent's handle.
    #[inline(always)]
    pub(super) fn is_forked(&self) -> bool {
        os::forks() != self.forks
    }

    /// Looks for the dead, and for what is due.
    pub(super) fn sweep(&self) {
        self.core.control().searches.0.begin();
        let reap = &mut |owner, pid, _: &Counters| self.hand().reap(owner, pid, false);
        self.core.processes().sweep(self.membership.counters(), reap);
        self.hand().ring_alarms();
    }

    /// The next hint of a ring, and the claim on it: to be released once its block has changed. `None`: there is none
    /// now, or, unless `patient`, it is not easily had.
    #[inline(always)]
    pub(super) fn hint(&self, ring: usize, patient: bool) -> Result<Option<(Run, Hint)>, Error> {
        let many = &self.core.rings[ring];
        let run = match many.claim_pop_at_once(self.membership.owner, 1) {
            Some(run) => run,
            None if !patient => return Ok(None),
            None => match self.claim_patiently(ring)? {
                Some(run) => run,
                None => return Ok(None),
            },
        };
        let hint = self.core.read_hint(many.message(&run, 0));
        // The block after the next will be written to soon.
        self.core.prefetch(self.core.read_hint(many.look_ahead(&run, 2)));
        if hint.block() < self.core.measures.blocks {
            return Ok(Some((run, hint)));
        }
        many.release(self.membership.owner, &run);
        Err(self.hand().corrupt("a hint names a block that is not there"))
    }

    #[cold]
    fn claim_patiently(&self, ring: usize) -> Result<Option<Run>, Error> {
        let many = &self.core.rings[ring];
        // What is settled moves on, but for a slot that was scribbled over.
        for _ in 0..LOOKS {
            match many.claim_pop(self.membership.owner, 1) {
                Ok(run) => return Ok(Some(run)),
                Err(Refusal::Corrupt(fault)) => return Err(self.hand().fault(fault)),
                Err(Refusal::Held) => {}
                Err(_) => return Ok(None),
            }
            let processes = self.core.processes();
            match many.settle_head(&mut |owner| processes.is_dead(owner)) {
                Err(Refusal::Corrupt(fault)) => return Err(self.hand().fault(fault)),
                Ok(settled) if settled.moved => {}
                _ => break,
            }
        }
        self.held.set(true);
        Ok(None)
    }

    #[inline(always)]
    pub(super) fn release(&self, ring: usize, run: &Run) {
        self.core.rings[ring].release(self.membership.owner, run);
    }

    /// After a wait in which it may have slept: leaves the note that a waker took away, and sees to the next sleeper.
    pub(super) fn pass_on(&self, work: bool) {
        let control = self.core.control();
        let (gate, rings) = if work { (&control.work, RETURNED..RINGS) } else { (&control.room, FREE..FREE + 1) };
        gate.leave_note();
        if self.core.rings[rings].iter().any(|ring| ring.len().is_ok_and(|length| length > 0)) {
            gate.wake(true);
        }
    }
}

impl Waiter for TaskMember {
    fn announced(&self) {
        // Each claim is a fence.
        Fences::Own.announced(true);
    }

    fn search(&self) {
        self.sweep();
    }

    fn searches(&self) -> &Searches {
        &self.core.control().searches.0
    }

    fn longest(&self) -> Duration {
        let most = match (self.held.get(), self.core.processes().others()) {
            (true, _) => BEHIND_A_HOLDER,
            (false, true) => PERIOD,
            (false, false) => ALONE,
        };
        let alarm = self.core.control().alarms.0.next.load(SeqCst).saturating_sub(os::now());
        most.min(self.longest.get()).min(Duration::from_nanos(alarm.max(ALARMS)))
    }
}

impl Drop for TaskMember {
    fn drop(&mut self) {
        if !self.is_forked() {
            self.core.roster.detach(&self.membership);
        }
    }
}
