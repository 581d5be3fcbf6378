//! Popping.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use super::core::{Core, Ring};
use super::wait::{Side, wait};
use crate::error::Error;
use crate::gate::{Limit, Rhythm, Wait};
use crate::message::Message;
use crate::os;
use crate::ring::one::{Consuming, One};
use crate::ring::{Owner, RUN_MAX, Refusal, Run};
use crate::roster::{Membership, Pulse, Role, Roster, count};
use crate::sync::{fence, kept};

/// A handle that pops. Made by [`Queue::consumer`](crate::Queue::consumer).
///
/// One handle is used by one thread at a time; make one for each thread. It is a member of the queue until it is
/// dropped, or its process dies.
///
/// ```
/// let queue = handover::Options::new(8).anonymous::<u64>()?;
/// queue.producer()?.push_batch([1, 2, 3])?;
/// queue.close();
/// let mut consumer = queue.consumer()?;
/// let all: Result<Vec<u64>, _> = consumer.messages().collect();
/// assert_eq!(all?, [1, 2, 3]);
/// assert!(matches!(consumer.pop(), Err(handover::Error::Closed)));
/// # Ok::<(), handover::Error>(())
/// ```
// In lines of its own: handles are often boxed one beside the other, for threads that would share a line.
#[repr(align(128))]
pub struct Consumer<M: Message + ?Sized> {
    core: Arc<Core>,
    ring: Ring,
    membership: Membership,
    /// The forks this process had seen when the handle was made.
    forks: u64,
    wait: Wait,
    rhythm: Rhythm,
    pulse: Pulse,
    consuming: Consuming,
    /// The orphans' notice as it was when this consumer last found none.
    orphans_seen: u32,
    redeliveries: u32,
    /// What the receipt holds. If that was forgotten (`mem::forget`), it is handed back when the handle goes, or
    /// receives again.
    received: Option<Run>,
    message: std::marker::PhantomData<fn() -> Box<M>>,
}

impl<M: Message + ?Sized> Consumer<M> {
    pub(super) fn attach(core: &Arc<Core>) -> Result<Consumer<M>, Error> {
        let sole = core.measures.one_consumer;
        let membership = core.attach(Role::Consumer, sole)?;
        let (consuming, orphans_seen) = match &core.ring {
            Ring::One(one) => (one.consuming(), 0),
            // Not as it is now: what was orphaned before has to be looked for.
            Ring::Many(many) => (Consuming::default(), many.orphans_notice().wrapping_sub(1)),
        };
        Ok(Consumer {
            pulse: Pulse::new(core.needs_pulse()),
            ring: core.ring.clone(),
            core: Arc::clone(core),
            membership,
            forks: os::forks(),
            wait: Wait::default(),
            rhythm: core.rhythm(),
            consuming,
            orphans_seen,
            redeliveries: 0,
            received: None,
            message: std::marker::PhantomData,
        })
    }

    /// How this handle waits when there is no message.
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Takes the next message out; while the queue is empty, blocks.
    ///
    /// Once it returned, the message is never delivered again, also if it returned an error because the message could
    /// not be decoded. If the process dies in it, the message is either taken
    /// or handed to another receiver, marked as redelivered. Fails with [`Error::Closed`] when the queue is closed and
    /// nothing is left, not even a message that another receiver may yet hand back.
    #[inline]
    pub fn pop(&mut self) -> Result<M::Pop, Error> {
        self.pop_within(Limit::Forever)
    }

    /// Takes the next message out if there is one now; never blocks.
    #[inline]
    pub fn try_pop(&mut self) -> Result<M::Pop, Error> {
        self.pop_within(Limit::Never)
    }

    /// Takes the next message out; while the queue is empty, blocks for at most so long. A time of zero never blocks.
    pub fn pop_timeout(&mut self, time: Duration) -> Result<M::Pop, Error> {
        self.pop_within(Limit::after(time))
    }

    #[inline(always)]
    fn pop_within(&mut self, limit: Limit) -> Result<M::Pop, Error> {
        if self.is_forked() {
            return Err(Error::Forked);
        }
        self.pulse.beat(|| self.core.sweep(self.membership.counters()));
        let max = super::message_max(&self.core.measures);
        // Each ring's way through in one piece: that is what makes it fast.
        let taken = match &self.ring {
            Ring::Many(many) => {
                if many.orphans_notice() != self.orphans_seen {
                    return self.pop_waiting(limit);
                }
                let Some(run) = many.claim_pop_at_once(self.membership.owner, 1) else {
                    return self.pop_waiting(limit);
                };
                self.redeliveries = 0;
                // SAFETY: the message is claimed, and moved out once: its slot is freed next.
                let taken = unsafe { M::read(many.message(&run, 0), max) };
                many.release(self.membership.owner, &run);
                count(&self.membership.counters().popped, 1);
                taken
            }
            Ring::One(one) => {
                let run = match one.claim_pop(&mut self.consuming, 1) {
                    Ok(run) if run.deliveries == 0 => run,
                    _ => return self.pop_waiting(limit),
                };
                self.redeliveries = 0;
                // SAFETY: as above.
                let taken = unsafe { M::read(one.message(&run, 0), max) };
                one.release(&mut self.consuming, 1);
                one.fences.worked();
                taken
            }
        };
        self.core.slot_freed();
        M::decode(taken)
    }

    /// Apart, so that what the fast way needs stays in registers.
    #[cold]
    #[inline(never)]
    fn pop_waiting(&mut self, limit: Limit) -> Result<M::Pop, Error> {
        let run = self.claim(1, limit)?;
        self.note_redelivery(&run);
        // SAFETY: the message is claimed, and moved out once: its slot is freed next.
        let taken = unsafe { M::read(self.slot(&run, 0), super::message_max(&self.core.measures)) };
        self.release(&run);
        M::decode(taken)
    }

    /// Takes up to `most` messages out with one claim, and appends them; while the queue is empty, blocks. Returns how
    /// many, at least one; it does not wait for more.
    ///
    /// A message that is redelivered comes alone. Killed in it, a process has taken all of the batch or nothing. What
    /// `into` does not take, because it panics or a message can't be decoded, is delivered again.
    pub fn pop_batch(&mut self, into: &mut impl Extend<M::Pop>, most: usize) -> Result<usize, Error> {
        self.pop_some(into, most, Limit::Forever)
    }

    /// As [`pop_batch`](Self::pop_batch), but never blocks.
    pub fn try_pop_batch(&mut self, into: &mut impl Extend<M::Pop>, most: usize) -> Result<usize, Error> {
        self.pop_some(into, most, Limit::Never)
    }

    /// As [`pop_batch`](Self::pop_batch), but blocks for at most so long.
    pub fn pop_batch_timeout(
        &mut self,
        into: &mut impl Extend<M::Pop>,
        most: usize,
        time: Duration,
    ) -> Result<usize, Error> {
        self.pop_some(into, most, Limit::after(time))
    }

    fn pop_some(&mut self, into: &mut impl Extend<M::Pop>, most: usize, limit: Limit) -> Result<usize, Error> {
        if most == 0 {
            return Ok(0);
        }
        let want = most.min(RUN_MAX as usize) as u32;
        let run = self.claim(want, limit)?;
        self.note_redelivery(&run);
        if let Ring::One(one) = &self.ring {
            one.note_shown(&self.consuming, &run);
            if run.deliveries > 0 {
                // Alone in its run: the count goes on.
                one.note_held(&mut self.consuming);
            }
        }
        let max = super::message_max(&self.core.measures);
        let mut batch = Batch { consumer: self, run, read: 0 };
        let mut fault = None;
        // `extend` is the user's code: what it does not take, or does not come to, is handed back when `batch` goes.
        into.extend(std::iter::from_fn(|| {
            batch.next(max).and_then(|message| message.map_err(|e| fault = Some(e)).ok())
        }));
        let taken = batch.read;
        drop(batch);
        match fault {
            Some(fault) => Err(fault),
            None => Ok(taken as usize),
        }
    }

    /// Receives the next message in place; while the queue is empty, blocks.
    ///
    /// The message stays in its slot until the receipt is [done](Received::done) with. Dropped unfinished, by a panic
    /// for instance, or held when the process dies, the message is delivered again: to whoever receives next, before
    /// all others, marked with how often that has happened.
    pub fn receive(&mut self) -> Result<Received<'_, M>, Error> {
        self.receive_within(Limit::Forever)
    }

    /// Receives the next message in place if there is one now; never blocks.
    pub fn try_receive(&mut self) -> Result<Received<'_, M>, Error> {
        self.receive_within(Limit::Never)
    }

    /// Receives the next message in place; while the queue is empty, blocks for at most so long.
    pub fn receive_timeout(&mut self, time: Duration) -> Result<Received<'_, M>, Error> {
        self.receive_within(Limit::after(time))
    }

    fn receive_within(&mut self, limit: Limit) -> Result<Received<'_, M>, Error> {
        self.hand_back();
        let run = self.claim(1, limit)?;
        self.note_redelivery(&run);
        match &self.ring {
            // The receipt may be forgotten, and this handle claim again: the record must stand before that. An orphan
            // has it from its claim.
            Ring::Many(many) if run.deliveries == 0 => many.record_pop(self.membership.owner, &run),
            Ring::Many(_) => {}
            Ring::One(one) => one.note_held(&mut self.consuming),
        }
        let slot = self.slot(&run, 0);
        self.received = Some(run);
        let mut held = Held { redeliveries: self.redeliveries, consumer: self, slot, finished: false };
        // SAFETY: the message is claimed, until `held` goes.
        let opened = unsafe { M::open(slot, held.max()) };
        // One that can't be read is done with: nobody else could make more of it.
        held.finished = opened.is_err();
        Ok(Received { opened: opened?, held })
    }

    /// How often the message that was popped last had been handed out before and not finished. Zero for most.
    pub fn redeliveries(&self) -> u32 {
        self.redeliveries
    }

    /// The messages, one after the other, until the queue is closed and nothing is left. Blocks while it is empty.
    pub fn messages(&mut self) -> Messages<'_, M> {
        Messages { consumer: self }
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
    fn note_redelivery(&mut self, run: &Run) {
        self.redeliveries = run.deliveries;
        if run.deliveries > 0 {
            count(&self.membership.counters().redelivered, 1);
        }
    }

    #[inline(always)]
    fn slot(&self, run: &Run, nth: u32) -> *mut u8 {
        match &self.ring {
            Ring::Many(many) => many.message(run, nth),
            Ring::One(one) => one.message(run, nth),
        }
    }

    /// Frees the slots of messages that were moved out or dropped.
    #[inline(always)]
    fn release(&mut self, run: &Run) {
        match &self.ring {
            Ring::Many(many) => {
                many.release(self.membership.owner, run);
                count(&self.membership.counters().popped, u64::from(run.count));
            }
            Ring::One(one) => {
                one.release(&mut self.consuming, run.count);
                one.fences.worked();
            }
        }
        self.core.slot_freed();
    }

    /// What was received and not finished is there again for everybody.
    fn hand_back(&mut self) {
        let Some(run) = self.received.take() else { return };
        if self.is_forked() {
            return;
        }
        if let Ring::Many(many) = &self.ring {
            many.hand_back(&run, 0);
        }
        // Of one to one it is where it was, and the note says that it was handed out.
        if kept("hand-back-fence") {
            fence(SeqCst);
        }
        self.core.message_came();
    }

    /// Finishes a batch of which the first `taken` messages were moved out; the others are there again for everybody.
    fn finish_batch(&mut self, run: &Run, taken: u32) {
        if taken == run.count {
            return self.release(run);
        }
        match &self.ring {
            Ring::Many(many) => {
                many.hand_back(run, taken);
                count(&self.membership.counters().popped, u64::from(taken));
            }
            Ring::One(one) => one.release(&mut self.consuming, taken),
        }
        fence(SeqCst);
        self.core.slot_freed();
        self.core.message_came();
    }

    #[cold]
    fn look_for_orphans(&mut self) -> Result<Option<Run>, Refusal> {
        let Ring::Many(many) = &self.ring else { return Ok(None) };
        // Read before looking: what is orphaned while we look makes us look again.
        let notice = many.orphans_notice();
        let orphan = many.claim_orphan(self.membership.owner)?;
        if orphan.is_none() {
            self.orphans_seen = notice;
        }
        Ok(orphan)
    }

    /// Closed and empty, for the one consumer: it may leave if no push is under way that saw the ring open.
    #[cold]
    fn leave(&mut self, want: u32) -> Result<Run, Refusal> {
        let one: &One = match &self.ring {
            Ring::One(one) => one,
            Ring::Many(_) => unreachable!("called for rings of one"),
        };
        self.core.announced();
        // The one producer's entry is the first.
        let producer_is_dead = matches!(&self.core.roster, Roster::Processes(processes) if processes.is_dead(Owner(0)));
        let may_leave = producer_is_dead || !one.is_pushing();
        match one.claim_pop(&mut self.consuming, want) {
            Err(Refusal::Draining) if may_leave => Err(Refusal::Closed),
            other => other,
        }
    }
}

impl<M: Message + ?Sized> Side for Consumer<M> {
    const PUSH: bool = false;

    fn try_claim(&mut self, want: u32) -> Result<Run, Refusal> {
        if let Ring::Many(many) = &self.ring
            && many.orphans_notice() != self.orphans_seen
            && let Some(orphan) = self.look_for_orphans()?
        {
            return Ok(orphan);
        }
        match &self.ring {
            Ring::Many(many) => many.claim_pop(self.membership.owner, want),
            Ring::One(one) => match one.claim_pop(&mut self.consuming, want) {
                Err(Refusal::Draining) => self.leave(want),
                other => other,
            },
        }
    }

    fn glance(&mut self, want: u32) -> Option<Run> {
        match &self.ring {
            Ring::Many(many) if many.orphans_notice() != self.orphans_seen => self.try_claim(want).ok(),
            Ring::Many(many) => many.claim_pop_at_once(self.membership.owner, want),
            Ring::One(one) => one.claim_pop(&mut self.consuming, want).ok(),
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
            Ring::Many(_) => self.membership.counters().popped.load(Relaxed),
            Ring::One(one) => one.head(),
        }
    }

    fn more(&self) -> bool {
        // An orphan that is not this consumer's raised the notice: it has not been seen to be the last.
        let orphans = matches!(&self.ring, Ring::Many(many) if many.orphans_notice() != self.orphans_seen);
        orphans || self.core.len().is_ok_and(|queued| queued > 0)
    }
}

impl<M: Message + ?Sized> Drop for Consumer<M> {
    fn drop(&mut self) {
        if self.is_forked() {
            return;
        }
        self.hand_back();
        self.core.roster.detach(&self.membership);
    }
}

impl<M: Message + ?Sized> fmt::Debug for Consumer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("queue", &self.core.place()).field("wait", &self.wait).finish_non_exhaustive()
    }
}

/// The claim of a batch. What was not read when it goes is handed back.
struct Batch<'a, M: Message + ?Sized> {
    consumer: &'a mut Consumer<M>,
    run: Run,
    read: u32,
}

impl<M: Message + ?Sized> Batch<'_, M> {
    #[inline(always)]
    fn next(&mut self, max: usize) -> Option<Result<M::Pop, Error>> {
        if self.read == self.run.count {
            return None;
        }
        let slot = self.consumer.slot(&self.run, self.read);
        self.read += 1;
        // SAFETY: the message is claimed, and moved out once.
        Some(M::decode(unsafe { M::read(slot, max) }))
    }
}

impl<M: Message + ?Sized> Drop for Batch<'_, M> {
    fn drop(&mut self) {
        if !self.consumer.is_forked() {
            self.consumer.finish_batch(&self.run, self.read);
        }
    }
}

/// The messages of a queue until it is closed; see [`Consumer::messages`].
#[derive(Debug)]
pub struct Messages<'a, M: Message + ?Sized> {
    consumer: &'a mut Consumer<M>,
}

impl<M: Message + ?Sized> Iterator for Messages<'_, M> {
    type Item = Result<M::Pop, Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        match self.consumer.pop() {
            Err(Error::Closed) => None,
            other => Some(other),
        }
    }
}

/// A message in its slot, held by its receiver; see [`Consumer::receive`].
///
/// ```
/// let queue = handover::Options::new(8).anonymous::<u64>()?;
/// queue.producer()?.push_batch([7, 8])?;
/// let mut consumer = queue.consumer()?;
/// let seven = consumer.receive()?;
/// assert_eq!((*seven, seven.redeliveries()), (7, 0));
/// drop(seven); // not done: it comes again, first, and marked
/// let seven = consumer.receive()?;
/// assert_eq!((*seven, seven.redeliveries()), (7, 1));
/// seven.done();
/// assert_eq!(consumer.pop()?, 8);
/// # Ok::<(), handover::Error>(())
/// ```
#[must_use = "a receipt that is dropped hands its message back"]
pub struct Received<'a, M: Message + ?Sized> {
    opened: M::Opened,
    /// Behind what was opened, and dropped after it.
    held: Held<'a, M>,
}

/// A message held in its slot. When it goes, the message is handed back, unless it is finished.
struct Held<'a, M: Message + ?Sized> {
    consumer: &'a mut Consumer<M>,
    slot: *mut u8,
    redeliveries: u32,
    finished: bool,
}

// SAFETY: the message is this receipt's alone.
unsafe impl<M: Message + ?Sized> Send for Received<'_, M>
where
    Consumer<M>: Send,
    M::Pop: Send,
{
}

impl<M: Message + ?Sized> Received<'_, M> {
    /// How often this message was handed out before and not finished.
    pub fn redeliveries(&self) -> u32 {
        self.held.redeliveries
    }

    /// Finishes: the message is gone from the queue.
    pub fn done(mut self) {
        // Before the message is dropped, which may panic.
        self.held.finished = true;
        // SAFETY: the message is held and dropped once.
        unsafe { M::discard(self.held.slot) };
    }

    /// Takes the message out, and finishes.
    pub fn take(mut self) -> Result<M::Pop, Error> {
        // SAFETY: the message is held and moved out once.
        let taken = unsafe { M::read(self.held.slot, self.held.max()) };
        self.held.finished = true;
        drop(self);
        M::decode(taken)
    }
}

impl<M: Message + ?Sized> Deref for Received<'_, M> {
    type Target = M::View;

    fn deref(&self) -> &M::View {
        // SAFETY: the slot is held as long as the receipt lives.
        unsafe { M::view(&self.opened) }
    }
}

impl<M: Message + ?Sized> Held<'_, M> {
    fn max(&self) -> usize {
        super::message_max(&self.consumer.core.measures)
    }
}

impl<M: Message + ?Sized> Drop for Held<'_, M> {
    fn drop(&mut self) {
        if !self.finished {
            return self.consumer.hand_back();
        }
        if let Some(run) = self.consumer.received.take()
            && !self.consumer.is_forked()
        {
            self.consumer.release(&run);
            // It may have been held for long, and the claim before it be long past: a producer that went to sleep
            // since has to see the slot free, or be seen.
            fence(SeqCst);
            self.consumer.core.slot_freed();
        }
    }
}
