//! Pushing.

use std::fmt;
use std::iter::Peekable;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::core::{Core, Ring};
use super::wait::{Side, wait};
use crate::error::{Error, PushError};
use crate::gate::{Limit, Rhythm, Wait};
use crate::message::{InPlace, Message};
use crate::os;
use crate::ring::one::Producing;
use crate::ring::{RUN_MAX, Refusal, Run};
use crate::roster::{Membership, Pulse, Role, count};

/// A handle that pushes. Made by [`Queue::producer`](crate::Queue::producer).
///
/// One handle is used by one thread at a time; make one for each thread. It is a member of the queue until it is
/// dropped, or its process dies.
///
/// ```
/// let queue = handover::Options::new(2).anonymous::<u64>()?;
/// let mut producer = queue.producer()?;
/// producer.push(1)?;
/// producer.push(2)?;
/// assert!(matches!(producer.try_push(3).map_err(|refused| refused.error), Err(handover::Error::Full)));
/// # Ok::<(), handover::Error>(())
/// ```
// In lines of its own: handles are often boxed one beside the other, for threads that would share a line.
#[repr(align(128))]
pub struct Producer<M: Message + ?Sized> {
    core: Arc<Core>,
    ring: Ring,
    membership: Membership,
    /// The forks this process had seen when the handle was made.
    forks: u64,
    wait: Wait,
    rhythm: Rhythm,
    pulse: Pulse,
    producing: Producing,
    scratch: M::Scratch,
    /// What the loan holds. If that was forgotten (`mem::forget`), it is given up when the handle goes, or lends
    /// again.
    loaned: Option<Run>,
}

impl<M: Message + ?Sized> Producer<M> {
    pub(super) fn attach(core: &Arc<Core>) -> Result<Producer<M>, Error> {
        let sole = core.measures.one_producer;
        let membership = core.attach(Role::Producer, sole)?;
        let producing = match &core.ring {
            Ring::One(one) => one.producing(),
            Ring::Many(_) => Producing::default(),
        };
        let core = Arc::clone(core);
        let rhythm = core.rhythm();
        Ok(Producer {
            pulse: Pulse::new(core.needs_pulse()),
            scratch: M::scratch(super::message_max(&core.measures)),
            ring: core.ring.clone(),
            core,
            membership,
            forks: os::forks(),
            wait: Wait::default(),
            rhythm,
            producing,
            loaned: None,
        })
    }

    /// How this handle waits when there is no room.
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Pushes; while the queue is full, blocks.
    ///
    /// Fails if the queue is closed, also while it waits. If the process dies in it, the message is delivered whole or
    /// not at all.
    #[inline]
    pub fn push<'m>(&mut self, message: M::Push<'m>) -> Result<(), PushError<M::Push<'m>>> {
        self.push_within(message, Limit::Forever)
    }

    /// Pushes if there is room now; never blocks.
    #[inline]
    pub fn try_push<'m>(&mut self, message: M::Push<'m>) -> Result<(), PushError<M::Push<'m>>> {
        self.push_within(message, Limit::Never)
    }

    /// Pushes; while the queue is full, blocks for at most so long. A time of zero never blocks.
    pub fn push_timeout<'m>(&mut self, message: M::Push<'m>, time: Duration) -> Result<(), PushError<M::Push<'m>>> {
        self.push_within(message, Limit::after(time))
    }

    #[inline(always)]
    fn push_within<'m>(&mut self, message: M::Push<'m>, limit: Limit) -> Result<(), PushError<M::Push<'m>>> {
        let max = super::message_max(&self.core.measures);
        if let Err(error) = M::prepare(&message, max, &mut self.scratch) {
            return Err(PushError { message, error });
        }
        if self.is_forked() {
            return Err(PushError { message, error: Error::Forked });
        }
        self.pulse.beat(|| self.core.sweep(self.membership.counters()));
        // Each ring's way through in one piece: that is what makes it fast.
        match &self.ring {
            Ring::Many(many) => {
                let Some(run) = many.claim_push_at_once(self.membership.owner, 1) else {
                    return self.push_waiting(message, limit);
                };
                // SAFETY: the slot is claimed, and the message was prepared.
                unsafe { M::write(message, &self.scratch, many.message(&run, 0)) };
                many.publish(&run, 1);
                count(&self.membership.counters().pushed, 1);
            }
            Ring::One(one) => {
                let Ok(run) = one.claim_push(&mut self.producing, 1) else {
                    return self.push_waiting(message, limit);
                };
                // SAFETY: as above.
                unsafe { M::write(message, &self.scratch, one.message(&run, 0)) };
                one.publish(&mut self.producing, 1);
                one.fences.worked();
            }
        }
        self.core.message_came();
        Ok(())
    }

    /// Apart, so that what the fast way needs stays in registers.
    #[cold]
    #[inline(never)]
    fn push_waiting<'m>(&mut self, message: M::Push<'m>, limit: Limit) -> Result<(), PushError<M::Push<'m>>> {
        match self.claim(1, limit) {
            Ok(run) => {
                // SAFETY: the slot is claimed, and the message was prepared.
                unsafe { M::write(message, &self.scratch, self.slot(&run, 0)) };
                self.publish(&run, 1);
                Ok(())
            }
            Err(error) => Err(PushError { message, error }),
        }
    }

    /// Pushes all messages of an iterator, many with one claim, and wakes at most one receiver for each claim; while
    /// the queue is full, blocks. Returns how many were pushed.
    ///
    /// A claim is for as many messages as the iterator's size hint promises, up to 64; they follow each other in the
    /// queue. If it fails (closed, or a message too long), the messages before were pushed, and those after were not.
    pub fn push_batch<'m, I>(&mut self, messages: I) -> Result<usize, Error>
    where
        I: IntoIterator<Item = M::Push<'m>>,
    {
        let mut messages = messages.into_iter().peekable();
        let mut pushed = 0;
        while messages.peek().is_some() {
            pushed += self.push_some(&mut messages, Limit::Forever)?;
        }
        Ok(pushed)
    }

    /// Pushes as many messages of the iterator as there is room for now; never blocks. Returns how many; the others
    /// stay in the iterator.
    pub fn try_push_batch<'m, I>(&mut self, messages: &mut Peekable<I>) -> Result<usize, Error>
    where
        I: Iterator<Item = M::Push<'m>>,
    {
        let mut pushed = 0;
        while messages.peek().is_some() {
            match self.push_some(messages, Limit::Never) {
                Ok(some) => pushed += some,
                Err(Error::Full) if pushed > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(pushed)
    }

    /// One claim's worth.
    #[inline]
    fn push_some<'m, I>(&mut self, messages: &mut Peekable<I>, limit: Limit) -> Result<usize, Error>
    where
        I: Iterator<Item = M::Push<'m>>,
    {
        let want = messages.size_hint().0.clamp(1, RUN_MAX as usize) as u32;
        let run = self.claim(want, limit)?;
        // The iterator is the user's code: if it panics, what was written is published and the rest is void.
        let mut batch = Batch { producer: self, run, written: 0 };
        while batch.written < run.count {
            let Some(message) = messages.next() else { break };
            let producer = &mut *batch.producer;
            M::prepare(&message, super::message_max(&producer.core.measures), &mut producer.scratch)?;
            let slot = producer.slot(&run, batch.written);
            // SAFETY: the slot is claimed, and the message was prepared.
            unsafe { M::write(message, &producer.scratch, slot) };
            batch.written += 1;
        }
        Ok(batch.written as usize)
    }

    /// Claims a slot to write a message in place; while the queue is full, blocks.
    ///
    /// Dropped unsent, nothing happened. Receivers wait for it, as messages are received in the order of their claims:
    /// send it soon.
    pub fn loan(&mut self) -> Result<Loan<'_, M>, Error> {
        self.loan_within(Limit::Forever)
    }

    /// Claims a slot to write a message in place, if there is room now; never blocks.
    pub fn try_loan(&mut self) -> Result<Loan<'_, M>, Error> {
        self.loan_within(Limit::Never)
    }

    /// Claims a slot to write a message in place; while the queue is full, blocks for at most so long.
    pub fn loan_timeout(&mut self, time: Duration) -> Result<Loan<'_, M>, Error> {
        self.loan_within(Limit::after(time))
    }

    fn loan_within(&mut self, limit: Limit) -> Result<Loan<'_, M>, Error> {
        self.finish_loan(0);
        let run = self.claim(1, limit)?;
        if let Ring::Many(many) = &self.ring {
            // The loan may be forgotten, and this handle claim again: the record must stand before that.
            many.record_push(self.membership.owner, &run);
        }
        let slot = self.slot(&run, 0);
        self.loaned = Some(run);
        Ok(Loan { length: super::message_max(&self.core.measures), producer: self, slot })
    }

    /// Sends (1) or gives up (0) what was lent.
    fn finish_loan(&mut self, written: u32) {
        if let Some(run) = self.loaned.take()
            && !self.is_forked()
        {
            self.publish(&run, written);
        }
    }

    /// Refuses all further pushes, by anybody; see [`Queue::close`](crate::Queue::close).
    pub fn close(&self) {
        self.core.close();
    }

    /// Whether this is a child's copy of the parent's handle.
    #[inline(always)]
    fn is_forked(&self) -> bool {
        os::forks() != self.forks
    }

    fn claim(&mut self, want: u32, limit: Limit) -> Result<Run, Error> {
        if self.is_forked() {
            return Err(Error::Forked);
        }
        self.pulse.beat(|| self.core.sweep(self.membership.counters()));
        match self.try_claim(want) {
            Ok(run) => Ok(run),
            Err(refusal) => wait(self, want, refusal, limit),
        }
    }

    #[inline(always)]
    fn slot(&self, run: &Run, nth: u32) -> *mut u8 {
        match &self.ring {
            Ring::Many(many) => many.message(run, nth),
            Ring::One(one) => one.message(run, nth),
        }
    }

    #[inline(always)]
    fn publish(&mut self, run: &Run, written: u32) {
        match &self.ring {
            Ring::Many(many) => {
                many.publish(run, written);
                count(&self.membership.counters().pushed, u64::from(written));
            }
            Ring::One(one) => {
                one.publish(&mut self.producing, written);
                one.fences.worked();
            }
        }
        self.core.message_came();
    }
}

impl<M: Message + ?Sized> Side for Producer<M> {
    const PUSH: bool = true;

    fn try_claim(&mut self, want: u32) -> Result<Run, Refusal> {
        match &self.ring {
            Ring::Many(many) => many.claim_push(self.membership.owner, want),
            Ring::One(one) => one.claim_push(&mut self.producing, want),
        }
    }

    fn glance(&mut self, want: u32) -> Option<Run> {
        match &self.ring {
            Ring::Many(many) => many.claim_push_at_once(self.membership.owner, want),
            Ring::One(one) => one.claim_push(&mut self.producing, want).ok(),
        }
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn membership(&self) -> &Membership {
        &self.membership
    }

    fn wait_setting(&self) -> Wait {
        self.wait
    }

    fn rhythm(&mut self) -> &mut Rhythm {
        &mut self.rhythm
    }

    fn done(&self) -> u64 {
        match &self.ring {
            Ring::Many(_) => self.membership.counters().pushed.load(Relaxed),
            Ring::One(one) => one.tail(),
        }
    }

    fn more(&self) -> bool {
        self.core.len().is_ok_and(|queued| queued < self.core.capacity())
    }
}

impl<M: Message + ?Sized> Drop for Producer<M> {
    fn drop(&mut self) {
        if self.is_forked() {
            return;
        }
        self.finish_loan(0);
        if let Ring::One(one) = &self.ring {
            one.cease();
        }
        self.core.roster.detach(&self.membership);
    }
}

impl<M: Message + ?Sized> fmt::Debug for Producer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("queue", &self.core.place()).field("wait", &self.wait).finish_non_exhaustive()
    }
}

/// The claim of a batch. However it ends, its slots don't stay claimed.
struct Batch<'a, M: Message + ?Sized> {
    producer: &'a mut Producer<M>,
    run: Run,
    written: u32,
}

impl<M: Message + ?Sized> Drop for Batch<'_, M> {
    fn drop(&mut self) {
        if !self.producer.is_forked() {
            self.producer.publish(&self.run, self.written);
        }
    }
}

/// A slot to write a message into; see [`Producer::loan`].
///
/// Plain data and bytes are written in place, through `DerefMut`; what stands there before is left over from earlier
/// messages. Any kind can be `put`.
///
/// ```
/// let queue = handover::Options::new(8).message_max(100).anonymous::<[u8]>()?;
/// let mut producer = queue.producer()?;
/// let mut loan = producer.loan()?;
/// loan[..5].copy_from_slice(b"hello");
/// loan.truncate(5);
/// loan.send();
/// assert_eq!(queue.consumer()?.pop()?, b"hello");
/// # Ok::<(), handover::Error>(())
/// ```
#[must_use = "a loan that is dropped sends nothing"]
pub struct Loan<'a, M: Message + ?Sized> {
    producer: &'a mut Producer<M>,
    slot: *mut u8,
    length: usize,
}

// SAFETY: the slot is this loan's alone.
unsafe impl<M: Message + ?Sized> Send for Loan<'_, M> where Producer<M>: Send {}

impl<M: Message + ?Sized> Loan<'_, M> {
    /// Puts a message into the slot and sends it.
    pub fn put(self, message: M::Push<'_>) -> Result<(), Error> {
        let max = super::message_max(&self.producer.core.measures);
        M::prepare(&message, max, &mut self.producer.scratch)?;
        // SAFETY: the slot is claimed, and the message was prepared.
        unsafe { M::write(message, &self.producer.scratch, self.slot) };
        self.producer.finish_loan(1);
        Ok(())
    }
}

impl<M: InPlace + ?Sized> Loan<'_, M> {
    /// Sends what was written.
    pub fn send(self) {
        // SAFETY: the slot is claimed.
        unsafe { M::finish(self.slot, self.length) };
        self.producer.finish_loan(1);
    }
}

impl Loan<'_, [u8]> {
    /// Makes the message shorter; longer than it is it can't be made.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl<M: InPlace + ?Sized> Deref for Loan<'_, M> {
    type Target = M::Place;

    fn deref(&self) -> &M::Place {
        // SAFETY: the slot is this loan's alone.
        unsafe { &*M::place(self.slot, self.length) }
    }
}

impl<M: InPlace + ?Sized> DerefMut for Loan<'_, M> {
    fn deref_mut(&mut self) -> &mut M::Place {
        // SAFETY: the slot is this loan's alone.
        unsafe { &mut *M::place(self.slot, self.length) }
    }
}

impl<M: Message + ?Sized> Drop for Loan<'_, M> {
    fn drop(&mut self) {
        self.producer.finish_loan(0);
    }
}
