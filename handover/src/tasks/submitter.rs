//! Putting tasks in.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::block::{Awaiter, KEY_MAX, State, Word};
use super::core::{Core, FREE, LEVEL, LEVELS};
use super::desk::exactly;
use super::hand::{pack_terms, sooner};
use super::member::TaskMember;
use crate::blocking::block;
use crate::error::{Error, PushError};
use crate::gate::{Limit, Rhythm, Wait};
use crate::message::Shareable;
use crate::os;
use crate::ring::Owner;
use crate::roster::{Pulse, Role, count};
use crate::segment::copy;

/// The handle that submits tasks. Made by [`Tasks::submitter`](super::Tasks::submitter).
// In lines of its own: handles are often boxed one beside the other, for threads that would share a line.
#[repr(align(128))]
pub struct Submitter<M: Shareable + ?Sized> {
    pub(super) member: TaskMember,
    wait: Cell<Wait>,
    rhythm: RefCell<Rhythm>,
    pulse: RefCell<Pulse>,
    scratch: RefCell<M::Scratch>,
    submitted: Cell<u64>,
    /// Whether it has ever asked for a result.
    requested: Cell<bool>,
    message: std::marker::PhantomData<fn() -> Box<M>>,
}

/// The number of a task, by which it is known as long as it is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A task that is not submitted yet: what it is, and on what terms. Made by [`Submitter::task`].
#[must_use = "a draft does nothing until it is submitted"]
pub struct Draft<'s, 'm, M: Shareable + ?Sized> {
    submitter: &'s Submitter<M>,
    message: M::Push<'m>,
    terms: Terms<'m>,
}

#[derive(Clone, Copy)]
struct Terms<'m> {
    priority: usize,
    delay: Duration,
    deadline: Option<Duration>,
    key: Option<&'m [u8]>,
    /// As the queue says, if it is not named.
    tries: Option<u8>,
    awaited: bool,
}

/// Of those who don't name one.
const PRIORITY: usize = 3;

impl Default for Terms<'_> {
    fn default() -> Self {
        Terms { priority: PRIORITY, delay: Duration::ZERO, deadline: None, key: None, tries: None, awaited: false }
    }
}

impl<M: Shareable + ?Sized> Submitter<M> {
    pub(super) fn attach(core: &Arc<Core>) -> Result<Submitter<M>, Error> {
        Ok(Submitter {
            member: TaskMember::attach(core, Role::Producer)?,
            wait: Cell::default(),
            rhythm: RefCell::new(Rhythm::slow()),
            pulse: RefCell::new(Pulse::new(true)),
            scratch: RefCell::new(M::scratch(core.message_max())),
            submitted: Cell::new(0),
            requested: Cell::new(false),
            message: std::marker::PhantomData,
        })
    }

    /// How this handle waits when there is no room.
    pub fn set_wait(&self, wait: Wait) {
        self.wait.set(wait);
    }

    /// Submits a task; while the queue is full, blocks.
    ///
    /// Fails if the queue is closed, also while it waits. If the process dies in it, the task is there whole or not at all.
    #[inline]
    pub fn submit<'m>(&self, message: M::Push<'m>) -> Result<TaskId, PushError<M::Push<'m>>> {
        self.submit_within(message, &Terms::default(), Limit::Forever)
    }

    /// Submits a task if there is room now; never blocks.
    #[inline]
    pub fn try_submit<'m>(&self, message: M::Push<'m>) -> Result<TaskId, PushError<M::Push<'m>>> {
        self.submit_within(message, &Terms::default(), Limit::Never)
    }

    /// Submits a task; while the queue is full, blocks for at most so long.
    pub fn submit_timeout<'m>(&self, message: M::Push<'m>, time: Duration) -> Result<TaskId, PushError<M::Push<'m>>> {
        self.submit_within(message, &Terms::default(), Limit::after(time))
    }

    /// Submits all tasks of an iterator; while the queue is full, blocks. Returns how many. If it fails, those before
    /// were submitted, and those after were not.
    pub fn submit_batch<'m>(&self, messages: impl IntoIterator<Item = M::Push<'m>>) -> Result<usize, Error> {
        let mut submitted = 0;
        for message in messages {
            self.submit(message)?;
            submitted += 1;
        }
        Ok(submitted)
    }

    /// A task whose terms are still to be named.
    pub fn task<'m>(&self, message: M::Push<'m>) -> Draft<'_, 'm, M> {
        Draft { submitter: self, message, terms: Terms::default() }
    }

    #[inline(always)]
    fn submit_within<'m>(
        &self,
        message: M::Push<'m>,
        terms: &Terms<'_>,
        limit: Limit,
    ) -> Result<TaskId, PushError<M::Push<'m>>> {
        match self
            .begin(&message, terms, limit)
            .and_then(|(block, word)| self.write(&message, terms, limit, block, word))
        {
            Ok(id) => Ok(id),
            Err(error) => Err(PushError { message, error }),
        }
    }

    /// What can fail is done first; then a block is this member's.
    #[inline(always)]
    fn begin(&self, message: &M::Push<'_>, terms: &Terms<'_>, limit: Limit) -> Result<(u32, Word), Error> {
        let member = &self.member;
        if member.is_forked() {
            return Err(Error::Forked);
        }
        M::prepare(message, member.core.message_max(), &mut self.scratch.borrow_mut())?;
        if terms.priority >= LEVELS {
            let why = format!("there is no priority {}; the highest is {}", terms.priority, LEVELS - 1);
            return Err(Error::Unfit { why });
        }
        if let Some(key) = terms.key
            && !(1..=KEY_MAX).contains(&key.len())
        {
            return Err(Error::Unfit { why: format!("a key has 1 to {KEY_MAX} bytes, not {}", key.len()) });
        }
        if terms.tries == Some(0) {
            let why = "a task that is tried 0 times is never worked on; ask for at least 1".into();
            return Err(Error::Unfit { why });
        }
        self.pulse.borrow_mut().beat(|| member.sweep());
        match self.try_claim(false)? {
            Some(claimed) => Ok(claimed),
            None => self.wait_for_room(limit),
        }
    }

    #[cold]
    fn wait_for_room(&self, limit: Limit) -> Result<(u32, Word), Error> {
        let member = &self.member;
        if let Some(claimed) = self.try_claim(true)? {
            return Ok(claimed);
        }
        if matches!(limit, Limit::Never) {
            // The dead are no reason to refuse.
            member.sweep();
            return self.try_claim(true)?.ok_or(Error::Full);
        }
        count(&member.membership.counters().blocked_full, 1);
        let rhythm = (&mut *self.rhythm.borrow_mut(), self.submitted.get());
        let gate = &member.core.control().room;
        let claimed = block(member, gate, (self.wait.get(), limit), rhythm, Error::Full, || self.try_claim(true));
        member.pass_on(false);
        claimed
    }

    /// A free block, if there is one.
    #[inline(always)]
    fn try_claim(&self, patient: bool) -> Result<Option<(u32, Word)>, Error> {
        let member = &self.member;
        let core = &*member.core;
        member.held.set(false);
        if core.is_closed() {
            return Err(Error::Closed);
        }
        while let Some((run, hint)) = member.hint(FREE, patient)? {
            let free = Word::new(State::Free, Owner(0), 0, hint.generation());
            let mine = free.held(State::Filling, member.membership.owner);
            let got = core.change(hint.block(), free, mine);
            member.release(FREE, &run);
            if !got {
                continue;
            }
            // Whoever closed since sees that this one is being filled; or it is seen here that it is closed.
            if core.is_closed() {
                member.hand().free(hint.block(), mine)?;
                return Err(Error::Closed);
            }
            return Ok(Some((hint.block(), mine)));
        }
        Ok(None)
    }

    #[inline(always)]
    fn write(
        &self,
        message: &M::Push<'_>,
        terms: &Terms<'_>,
        limit: Limit,
        block: u32,
        word: Word,
    ) -> Result<TaskId, Error> {
        let (member, core) = (&self.member, &*self.member.core);
        let head = core.head(block);
        let now = member.clock.now();
        let after = |time: Duration| os::now().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let id = TaskId(u64::from(block) << 36 | word.generation());
        head.id.store(id.0, Relaxed);
        let due = if terms.delay.is_zero() { 0 } else { after(terms.delay) };
        head.submitted.store(if due == 0 { now } else { exactly(due) }, Relaxed);
        let deadline = terms.deadline.map_or(0, after);
        head.deadline.store(deadline, Relaxed);
        let tries = terms.tries.unwrap_or_else(|| core.settings().tries.load(Relaxed) as u8);
        head.terms.store(pack_terms(terms.priority, tries.max(1)), Relaxed);
        let awaiter = if terms.awaited { awaiter_of(member, id) } else { Awaiter::NONE };
        head.awaiter.store(awaiter.0, Relaxed);
        head.failures.store(0, Relaxed);
        // SAFETY: the block is this member's, and others read the message by atomics only. Prepared before.
        unsafe { M::share(message, &self.scratch.borrow(), core.message(block)) };
        let hand = member.hand();
        let mut announced = Ok(());
        let mut announce = || {
            if due == 0 {
                announced = hand.announce(block, word.to(State::Waiting), deadline, LEVEL + terms.priority);
            } else {
                hand.put(block, word.to(State::Delayed), sooner(due, deadline));
            }
        };
        match terms.key {
            None => {
                head.key_length.store(0, Relaxed);
                announce();
            }
            Some(key) => {
                core.tail(block).set_key(head, key);
                if let Err(error) = core.with_key(member.membership.owner, block, key, limit, announce) {
                    hand.free(block, word)?;
                    return Err(error);
                }
            }
        }
        announced?;
        count(&member.desk().submitted, 1);
        self.submitted.set(self.submitted.get() + 1);
        Ok(id)
    }

    /// Takes no more tasks in, from anybody; see [`Tasks::close`](super::Tasks::close).
    pub fn close(&self) {
        self.member.core.close();
    }
}

impl<M: Shareable + ?Sized> Drop for Submitter<M> {
    fn drop(&mut self) {
        // Tickets that were forgotten.
        if self.requested.get() && !self.member.is_forked() {
            let me = self.member.membership.owner;
            for (block, _) in self.member.core.blocks() {
                let awaiter = Awaiter(self.member.core.head(block).awaiter.load(Relaxed));
                if awaiter.is(me) {
                    self.member.hand().forget_result(block, awaiter);
                }
            }
        }
    }
}

fn awaiter_of(member: &TaskMember, id: TaskId) -> Awaiter {
    Awaiter::new(member.membership.owner, id.0)
}

impl<M: Shareable + ?Sized> fmt::Debug for Submitter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").field("tasks", &self.member.core.place()).finish_non_exhaustive()
    }
}

impl<'s, 'm, M: Shareable + ?Sized> Draft<'s, 'm, M> {
    /// From 0 to 7: of those that wait, the highest is taken first. 3 where it is not named.
    pub fn priority(mut self, priority: usize) -> Self {
        self.terms.priority = priority;
        self
    }

    /// Not before so much time has passed.
    pub fn delay(mut self, time: Duration) -> Self {
        self.terms.delay = time;
        self
    }

    /// If no worker has taken it when so much time has passed, it becomes a dead letter.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.terms.deadline = Some(time);
        self
    }

    /// Refused, with [`Error::Duplicate`], as long as another task of the same key waits. 1 to 64 bytes.
    pub fn key(mut self, key: &'m (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.terms.key = Some(key.as_ref());
        self
    }

    /// How often it is tried before it becomes a dead letter.
    pub fn tries(mut self, most: u8) -> Self {
        self.terms.tries = Some(most);
        self
    }

    /// Submits it; while the queue is full, blocks.
    pub fn submit(self) -> Result<TaskId, PushError<M::Push<'m>>> {
        self.submitter.submit_within(self.message, &self.terms, Limit::Forever)
    }

    /// Submits it if there is room now; never blocks.
    pub fn try_submit(self) -> Result<TaskId, PushError<M::Push<'m>>> {
        self.submitter.submit_within(self.message, &self.terms, Limit::Never)
    }

    /// Submits it; while the queue is full, blocks for at most so long.
    pub fn submit_timeout(self, time: Duration) -> Result<TaskId, PushError<M::Push<'m>>> {
        self.submitter.submit_within(self.message, &self.terms, Limit::after(time))
    }

    /// Submits it, to wait for its result; while the queue is full, blocks. The queue must be made for
    /// [results](super::Options::result_max).
    pub fn request(self) -> Result<Ticket<'s>, PushError<M::Push<'m>>> {
        self.request_within(Limit::Forever)
    }

    /// As [`request`](Self::request), if there is room now; never blocks.
    pub fn try_request(self) -> Result<Ticket<'s>, PushError<M::Push<'m>>> {
        self.request_within(Limit::Never)
    }

    /// As [`request`](Self::request); while the queue is full, blocks for at most so long.
    pub fn request_timeout(self, time: Duration) -> Result<Ticket<'s>, PushError<M::Push<'m>>> {
        self.request_within(Limit::after(time))
    }

    fn request_within(mut self, limit: Limit) -> Result<Ticket<'s>, PushError<M::Push<'m>>> {
        let submitter = self.submitter;
        if submitter.member.core.measures.result_max == 0 {
            let why = "this task queue keeps no results; make it with a result_max".into();
            return Err(PushError { message: self.message, error: Error::Unfit { why } });
        }
        self.terms.awaited = true;
        submitter.requested.set(true);
        let id = submitter.submit_within(self.message, &self.terms, limit)?;
        Ok(Ticket { member: &submitter.member, id, wait: submitter.wait.get(), open: true })
    }
}

/// The right to a task's result. Dropped, nobody waits for it any more.
#[must_use = "a ticket that is dropped gives the result up"]
pub struct Ticket<'s> {
    member: &'s TaskMember,
    id: TaskId,
    wait: Wait,
    open: bool,
}

impl Ticket<'_> {
    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The result, once there is one. Fails with [`Error::Dead`] if the task became a dead letter.
    pub fn wait(mut self) -> Result<Vec<u8>, Error> {
        self.wait_within(Limit::Forever)
    }

    /// The result, if there is one within so much time; else [`Error::Empty`], and it can be waited for again.
    pub fn wait_timeout(&mut self, time: Duration) -> Result<Vec<u8>, Error> {
        self.wait_within(Limit::after(time))
    }

    fn wait_within(&mut self, limit: Limit) -> Result<Vec<u8>, Error> {
        if self.member.is_forked() {
            return Err(Error::Forked);
        }
        if !self.open {
            return Err(Error::NoTask { id: self.id.0 });
        }
        let member = self.member;
        if let Some(result) = self.look()? {
            return Ok(result);
        }
        let (gate, mut rhythm) = (&member.core.control().results, Rhythm::slow());
        block(member, gate, (self.wait, limit), (&mut rhythm, 0), Error::Empty, || self.look())
    }

    fn look(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let core = &*self.member.core;
        let block = (self.id.0 >> 36) as u32;
        let (head, word) = (core.head(block), core.word(block));
        let gone = matches!(word.state(), Some(State::Free | State::Retired | State::Filling | State::Purged));
        if gone || head.id.load(Relaxed) != self.id.0 {
            // It was thrown away.
            self.give_up();
            return Err(Error::NoTask { id: self.id.0 });
        }
        match word.state() {
            Some(State::Finished) => {
                let place = core.result(block);
                let mut result = vec![0; (head.result_length.load(Relaxed) as usize).min(place.len())];
                copy::copy_out(&place[..result.len()], &mut result);
                self.give_up();
                Ok(Some(result))
            }
            Some(State::Dead) => {
                let reason = core.tail(block).reason();
                self.give_up();
                Err(Error::Dead { reason })
            }
            Some(State::Expired) => {
                self.give_up();
                Err(Error::Dead { reason: super::hand::TOO_LATE.into() })
            }
            _ => Ok(None),
        }
    }

    fn give_up(&mut self) {
        if std::mem::take(&mut self.open) && !self.member.is_forked() {
            let block = (self.id.0 >> 36) as u32;
            self.member.hand().forget_result(block, awaiter_of(self.member, self.id));
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl fmt::Debug for Ticket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("id", &self.id).finish_non_exhaustive()
    }
}
