//! Taking tasks, and saying what became of them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use super::block::{Hint, State, Word};
use super::core::{Core, LEVEL, LEVELS, RETURNED};
use super::desk::{Desk, exactly, roughly, since};
use super::hand::Why;
use super::member::TaskMember;
use super::submitter::TaskId;
use crate::blocking::block;
use crate::error::Error;
use crate::gate::{Limit, Rhythm, Wait};
use crate::message::Shareable;
use crate::os::{self, Signals};
use crate::ring::Owner;
use crate::roster::{Pulse, Role, count};
use crate::segment::copy;

/// The handle that takes tasks. Made by [`Tasks::worker`](super::Tasks::worker).
// In lines of its own: handles are often boxed one beside the other, for threads that would share a line.
#[repr(align(128))]
pub struct Worker<M: Shareable + ?Sized> {
    pub(super) member: TaskMember,
    wait: Cell<Wait>,
    rhythm: RefCell<Rhythm>,
    pulse: RefCell<Pulse>,
    taken: Cell<u64>,
    /// Leases given out and not ended.
    leases: Cell<u32>,
    shares: RefCell<Shares>,
    weighted: bool,
    /// Nanoseconds for which a lease is given; 0: for ever.
    lease: u64,
    message: std::marker::PhantomData<fn() -> Box<M>>,
}

/// Which level is to be looked at first, by their shares.
struct Shares {
    weights: [u32; LEVELS],
    credit: [i64; LEVELS],
}

impl Shares {
    /// The level whose turn it is: each gets its weight in credit, and the one with the most pays for all.
    fn turn(&mut self) -> usize {
        let total: i64 = self.weights.iter().map(|weight| i64::from(*weight)).sum();
        for (credit, weight) in self.credit.iter_mut().zip(self.weights) {
            *credit += i64::from(weight);
        }
        let (first, credit) =
            self.credit.iter_mut().enumerate().max_by_key(|(_, credit)| **credit).expect("there are levels");
        *credit -= total;
        first
    }
}

impl<M: Shareable + ?Sized> Worker<M> {
    pub(super) fn attach(core: &Arc<Core>) -> Result<Worker<M>, Error> {
        let settings = core.settings();
        let mut weights = [0; LEVELS];
        for (weight, place) in weights.iter_mut().zip(&settings.weights) {
            *weight = place.load(Relaxed);
        }
        Ok(Worker {
            member: TaskMember::attach(core, Role::Consumer)?,
            wait: Cell::default(),
            rhythm: RefCell::new(Rhythm::slow()),
            pulse: RefCell::new(Pulse::new(true)),
            taken: Cell::new(0),
            leases: Cell::new(0),
            weighted: weights[0] != 0,
            shares: RefCell::new(Shares { weights, credit: [0; LEVELS] }),
            lease: settings.lease.load(Relaxed),
            message: std::marker::PhantomData,
        })
    }

    /// How this handle waits when there is no task.
    pub fn set_wait(&self, wait: Wait) {
        self.wait.set(wait);
    }

    /// Takes the next task; while there is none, blocks. Fails with [`Error::Closed`] when the queue is closed and nothing
    /// is left, nor with another worker who may give it back.
    #[inline]
    pub fn take(&self) -> Result<Lease<'_, M>, Error> {
        self.take_within(Limit::Forever)
    }

    /// Takes the next task if there is one now; never blocks.
    #[inline]
    pub fn try_take(&self) -> Result<Lease<'_, M>, Error> {
        self.take_within(Limit::Never)
    }

    /// Takes the next task; while there is none, blocks for at most so long.
    pub fn take_timeout(&self, time: Duration) -> Result<Lease<'_, M>, Error> {
        self.take_within(Limit::after(time))
    }

    #[inline(always)]
    fn take_within(&self, limit: Limit) -> Result<Lease<'_, M>, Error> {
        if self.member.is_forked() {
            return Err(Error::Forked);
        }
        self.pulse.borrow_mut().beat(|| self.member.sweep());
        match self.try_claim(false)? {
            Some((block, word)) => self.lease(block, word),
            None => self.take_slowly(limit, &|| false)?.ok_or(Error::Empty),
        }
    }

    /// `None` if it should stop.
    #[cold]
    fn take_slowly(&self, limit: Limit, stop: &dyn Fn() -> bool) -> Result<Option<Lease<'_, M>>, Error> {
        if self.member.is_forked() {
            return Err(Error::Forked);
        }
        let attempt = || {
            if stop() {
                return Ok(Some(None));
            }
            match self.try_claim(true)? {
                Some(claimed) => Ok(Some(Some(claimed))),
                None if self.member.core.is_closed() && !self.member.core.anything_left() => Err(Error::Closed),
                None => Ok(None),
            }
        };
        let mut claimed = attempt()?;
        if claimed.is_none() && matches!(limit, Limit::Never) {
            // The dead may have left something, and something may be due.
            self.member.sweep();
            claimed = attempt()?;
        }
        let claimed = match claimed {
            Some(claimed) => claimed,
            None if matches!(limit, Limit::Never) => return Err(Error::Empty),
            None => {
                count(&self.member.membership.counters().blocked_empty, 1);
                let rhythm = (&mut *self.rhythm.borrow_mut(), self.taken.get());
                let gate = &self.member.core.control().work;
                let claimed = block(&self.member, gate, (self.wait.get(), limit), rhythm, Error::Empty, attempt);
                self.member.pass_on(true);
                claimed?
            }
        };
        claimed.map(|(block, word)| self.lease(block, word)).transpose()
    }

    /// A task, if there is one: its block, which is this worker's then.
    #[inline(always)]
    fn try_claim(&self, patient: bool) -> Result<Option<(u32, Word)>, Error> {
        self.member.held.set(false);
        // SeqCst: a sleeper looks here after it announced itself.
        let mut used = self.member.core.settings().used.load(SeqCst);
        if used & 1 << RETURNED != 0
            && let Some(claimed) = self.try_ring(RETURNED, patient)?
        {
            return Ok(Some(claimed));
        }
        if self.weighted
            && let Some(claimed) = self.try_ring(LEVEL + self.shares.borrow_mut().turn(), patient)?
        {
            return Ok(Some(claimed));
        }
        // Of the levels, from the highest, those that were ever used.
        used &= ((1 << LEVELS) - 1) << LEVEL;
        while let Some(ring) = used.checked_ilog2() {
            if let Some(claimed) = self.try_ring(ring as usize, patient)? {
                return Ok(Some(claimed));
            }
            used &= !(1 << ring);
        }
        Ok(None)
    }

    #[inline(always)]
    fn try_ring(&self, ring: usize, patient: bool) -> Result<Option<(u32, Word)>, Error> {
        while let Some((run, hint)) = self.member.hint(ring, patient)? {
            let taken = self.try_block(hint);
            self.member.release(ring, &run);
            if let Some(claimed) = taken? {
                return Ok(Some(claimed));
            }
        }
        Ok(None)
    }

    /// Takes the block's task, if the hint is still of it. What others do to it meanwhile changes its word, but for
    /// another generation the hint would be good all the same.
    #[inline(always)]
    fn try_block(&self, hint: Hint) -> Result<Option<(u32, Word)>, Error> {
        let (core, block) = (&*self.member.core, hint.block());
        let head = core.head(block);
        let me = self.member.membership.owner;
        loop {
            let word = core.word(block);
            if word.generation() != hint.generation() {
                return Ok(None);
            }
            let tries = if word.state() == Some(State::Requeued) { 0 } else { word.tries() };
            let leased = word.next().tried(tries.saturating_add(1)).held(State::Leased, me);
            let busy = word.next().tried(tries).held(State::Busy, me);
            match word.state() {
                Some(State::Waiting) => {
                    // Nobody writes it while the word stands: so if the next line takes the word, it was true.
                    if self.lease == 0 && head.deadline.load(Relaxed) == 0 {
                        if core.change(block, word, leased) {
                            return Ok(Some((block, leased)));
                        }
                        continue;
                    }
                    if !core.change(block, word, busy) {
                        continue;
                    }
                    let (now, deadline) = (os::now(), head.deadline.load(Relaxed));
                    if deadline != 0 && deadline <= now {
                        self.member.hand().bury_late(block, busy, false)?;
                        return Ok(None);
                    }
                    return Ok(Some(self.begin(block, leased, now)));
                }
                Some(State::Requeued) => {
                    if core.change(block, word, busy) {
                        head.deadline.store(0, Relaxed);
                        return Ok(Some(self.begin(block, leased, os::now())));
                    }
                }
                Some(State::Expired) => {
                    if core.change(block, word, busy) {
                        self.member.hand().bury_late(block, busy, true)?;
                        return Ok(None);
                    }
                }
                Some(State::Purged) => {
                    let emptied = word.next().held(State::Filling, me);
                    if core.change(block, word, emptied) {
                        self.member.hand().free(block, emptied)?;
                        return Ok(None);
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    /// A lease with an end, or one of a task that had a deadline.
    fn begin(&self, block: u32, leased: Word, now: u64) -> (u32, Word) {
        let over = if self.lease == 0 { 0 } else { now.saturating_add(self.lease) };
        self.member.hand().put(block, leased, over);
        (block, leased)
    }

    #[inline(always)]
    fn lease(&self, block: u32, word: Word) -> Result<Lease<'_, M>, Error> {
        let core = &*self.member.core;
        let head = core.head(block);
        let desk = self.member.desk();
        // Of those whose beginning is known exactly it is also told how long they were worked on.
        let submitted = head.submitted.load(Relaxed);
        let began = match since(submitted) {
            Some(waited) => {
                desk.waiting.count(waited);
                exactly(submitted.wrapping_add(waited))
            }
            None => roughly(os::last_tick()),
        };
        head.taken.store(began, Relaxed);
        let id = TaskId(head.id.load(Relaxed));
        count(&desk.taken, 1);
        self.taken.set(self.taken.get() + 1);
        self.leases.set(self.leases.get() + 1);
        // SAFETY: the block's message was written whole; others write it by atomics only.
        let taken = unsafe { M::snapshot(core.message(block), core.message_max()) };
        // To decode is the user's code: if that fails or panics, the task is given back.
        let hold = Hold { worker: self, block, word: Cell::new(word), began, id };
        Ok(Lease { task: M::decode(taken)?, hold })
    }

    /// Works until the queue is closed and drained, or the process is asked to end by SIGTERM or SIGINT: then the task
    /// in work is finished, and no other is taken. A second signal, a tenth of a second later or more, ends the
    /// process, as it would without: then the task is another worker's at once.
    ///
    /// `work` is called with each lease. If it returns an error the task has failed; if it panics the task is given
    /// back. Returns how many tasks were done; those that failed are not counted.
    ///
    /// ```
    /// use handover::tasks::Options;
    ///
    /// let jobs = Options::new().anonymous::<u64>()?;
    /// jobs.submitter()?.submit_batch([1, 2, 3])?;
    /// jobs.close();
    /// let mut sum = 0;
    /// let done = jobs.worker()?.run(|lease| {
    ///     sum += lease.task();
    ///     Ok::<(), String>(())
    /// })?;
    /// assert_eq!((done, sum), (3, 6));
    /// # Ok::<(), handover::Error>(())
    /// ```
    pub fn run<E: fmt::Display>(&self, mut work: impl FnMut(&Lease<'_, M>) -> Result<(), E>) -> Result<u64, Error> {
        let listen = |source| Error::System { doing: "listen for signals".into(), source };
        let signals = Signals::listen().map_err(listen)?;
        let stop = || signals.asked();
        // A signal may be another thread's to handle: so this one looks for itself.
        self.member.longest.set(Duration::from_millis(20));
        let mut done = 0;
        let result = loop {
            self.pulse.borrow_mut().beat(|| self.member.sweep());
            let lease = match self.take_slowly(Limit::Forever, &stop) {
                Ok(Some(lease)) => lease,
                Ok(None) | Err(Error::Closed) => break Ok(done),
                // It can't be decoded, and was given back.
                Err(Error::Message { .. }) => continue,
                Err(error) => break Err(error),
            };
            let said = match work(&lease) {
                Ok(()) => lease.done().map(|()| done += 1),
                Err(why) => lease.fail(&why.to_string()),
            };
            match said {
                Ok(()) | Err(Error::LeaseLost) => {}
                Err(error) => break Err(error),
            }
        };
        self.member.longest.set(Duration::MAX);
        result
    }

    /// Takes no more tasks in, from anybody; see [`Tasks::close`](super::Tasks::close).
    pub fn close(&self) {
        self.member.core.close();
    }
}

impl<M: Shareable + ?Sized> Drop for Worker<M> {
    fn drop(&mut self) {
        // Leases that were forgotten.
        if self.leases.get() > 0 && !self.member.is_forked() {
            let me = self.member.membership.owner;
            for (block, word) in self.member.core.blocks() {
                if word.state() == Some(State::Leased) && word.owner() == me {
                    give_back(&self.member, block, word);
                }
            }
        }
    }
}

fn give_back(member: &TaskMember, block: u32, word: Word) {
    let busy = word.held(State::Busy, member.membership.owner);
    if member.core.change(block, word, busy) {
        // A ring that is corrupt is reported to whoever works with it.
        let _ = member.hand().give_back(block, busy, Why::Returned("its worker dropped it", process::id()));
    }
}

impl<M: Shareable + ?Sized> fmt::Debug for Worker<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("tasks", &self.member.core.place()).finish_non_exhaustive()
    }
}

/// A task in a worker's hands. Dropped, it is another worker's at once; so is that of a worker that is killed.
#[must_use = "a lease that is dropped gives the task back"]
pub struct Lease<'w, M: Shareable + ?Sized> {
    task: M::Pop,
    hold: Hold<'w, M>,
}

/// What a lease is, besides its task.
struct Hold<'w, M: Shareable + ?Sized> {
    worker: &'w Worker<M>,
    block: u32,
    /// As it was when this worker changed it last; not leased, once it has said what became of the task.
    word: Cell<Word>,
    began: u64,
    id: TaskId,
}

impl<M: Shareable + ?Sized> Lease<'_, M> {
    /// What is to be done.
    pub fn task(&self) -> &M::Pop {
        &self.task
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.hold.id
    }

    /// Which try this is, the first being 1.
    pub fn tries(&self) -> u32 {
        self.hold.word.get().tries().into()
    }

    /// The task is done, and never delivered again. Fails with [`Error::LeaseLost`] if the lease was over before.
    #[inline]
    pub fn done(self) -> Result<(), Error> {
        self.hold.finish(&[])
    }

    /// The task is done, and this is its result, for the submitter that waits for it. If the result is longer than the
    /// queue keeps, that is an error and the task is given back.
    pub fn done_with(self, result: &[u8]) -> Result<(), Error> {
        let max = self.hold.worker.member.core.measures.result_max;
        if max == 0 {
            let why = "this task queue keeps no results; make it with a result_max".into();
            return Err(Error::Unfit { why });
        }
        if result.len() > max {
            return Err(Error::TooLong { length: result.len(), max });
        }
        self.hold.finish(result)
    }

    /// The task has failed: it is tried again in a while, or becomes a dead letter if it had all its tries. Fails with
    /// [`Error::LeaseLost`] if the lease was over before.
    pub fn fail(self, reason: &str) -> Result<(), Error> {
        self.hold.fail(reason)
    }

    /// Keeps a lease that is given for a time: from now on for so long. Does nothing where leases last as long as their
    /// workers. Fails with [`Error::LeaseLost`] if it was over before.
    pub fn extend(&self, time: Duration) -> Result<(), Error> {
        self.hold.extend(time)
    }
}

impl<M: Shareable + ?Sized> Hold<'_, M> {
    #[inline(always)]
    fn finish(&self, result: &[u8]) -> Result<(), Error> {
        let block = self.block;
        let busy = self.end()?;
        let member = &self.worker.member;
        let (core, hand, desk) = (&*member.core, member.hand(), member.desk());
        self.count_time(desk);
        let head = core.head(block);
        count(&desk.done, 1);
        if head.awaiter.load(Relaxed) == 0 {
            return hand.free(block, busy);
        }
        copy::copy_in(result, &core.result(block)[..result.len()]);
        head.result_length.store(result.len() as u32, Relaxed);
        hand.finish(block, busy)
    }

    fn fail(&self, reason: &str) -> Result<(), Error> {
        let busy = self.end()?;
        let member = &self.worker.member;
        let desk = member.desk();
        self.count_time(desk);
        count(&desk.failed, 1);
        member.hand().give_back(self.block, busy, Why::Failed(reason))
    }

    fn extend(&self, time: Duration) -> Result<(), Error> {
        let (member, word) = (&self.worker.member, self.word.get());
        if self.worker.lease == 0 {
            return Ok(());
        }
        if member.is_forked() {
            return Err(Error::Forked);
        }
        let leased = word.next();
        if !member.core.change(self.block, word, leased.held(State::Busy, leased.owner())) {
            return Err(Error::LeaseLost);
        }
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        member.hand().put(self.block, leased, os::now().saturating_add(time));
        self.word.set(leased);
        Ok(())
    }

    #[inline(always)]
    fn count_time(&self, desk: &Desk) {
        if let Some(worked) = since(self.began) {
            desk.working.count(worked);
        }
    }

    /// Ends the lease: the block is nobody else's until its word changes again.
    #[inline(always)]
    fn end(&self) -> Result<Word, Error> {
        let (member, word) = (&self.worker.member, self.word.get());
        if member.is_forked() {
            return Err(Error::Forked);
        }
        let busy = word.held(State::Busy, word.owner());
        // Whatever comes of it, dropping the lease does nothing more.
        self.word.set(Word::new(State::Retired, Owner(0), 0, 0));
        self.worker.leases.set(self.worker.leases.get() - 1);
        if self.worker.lease == 0 {
            // Nobody else changes what a living worker holds for ever.
            return Ok(busy);
        }
        if member.core.change(self.block, word, busy) { Ok(busy) } else { Err(Error::LeaseLost) }
    }
}

impl<M: Shareable + ?Sized> Drop for Hold<'_, M> {
    fn drop(&mut self) {
        let word = self.word.get();
        if word.state() == Some(State::Leased) && !self.worker.member.is_forked() {
            self.worker.leases.set(self.worker.leases.get() - 1);
            give_back(&self.worker.member, self.block, word);
        }
    }
}

impl<M: Shareable + ?Sized> fmt::Debug for Lease<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("id", &self.id()).field("tries", &self.tries()).finish_non_exhaustive()
    }
}
