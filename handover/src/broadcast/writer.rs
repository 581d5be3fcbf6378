//! Publishing.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::Core;
use crate::blocking::block;
use crate::error::{Error, PushError};
use crate::gate::{Limit, Rhythm, Wait};
use crate::message::{InPlace, Shareable};
use crate::os;
use crate::ring::RUN_MAX;
use crate::ring::fan::Publishing;
use crate::roster::{Membership, Role, count};
use crate::segment::View;

/// What the writer does about a gating reader that stands in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patience {
    /// Waits for it as long as it lives.
    #[default]
    Endless,
    /// Waits for so long, then waits for that reader no more: it becomes an ordinary one, which may miss messages.
    Until(Duration),
}

/// The handle that publishes: one at a time. Made by [`Broadcast::writer`](super::Broadcast::writer).
///
/// ```
/// use handover::broadcast::{Options, Start};
///
/// let prices = Options::new(1024).anonymous::<u64>()?;
/// let mut reader = prices.reader(Start::Newest)?;
/// let mut writer = prices.writer()?;
/// assert_eq!(writer.publish(100)?, 0);
/// assert_eq!(writer.publish(101)?, 1);
/// assert_eq!(reader.next()?.message, 100);
/// # Ok::<(), handover::Error>(())
/// ```
// In lines of its own: handles are often boxed one beside the other, for threads that would share a line.
#[repr(align(128))]
pub struct Writer<M: Shareable + ?Sized> {
    core: Arc<Core>,
    membership: Membership,
    /// The forks this process had seen when the handle was made.
    forks: u64,
    wait: Wait,
    patience: Patience,
    rhythm: Rhythm,
    publishing: Publishing,
    scratch: M::Scratch,
    closed: bool,
    message: std::marker::PhantomData<fn() -> Box<M>>,
}

impl<M: Shareable + ?Sized> Writer<M> {
    pub(super) fn attach(core: &Arc<Core>) -> Result<Writer<M>, Error> {
        let membership = core.attach(Role::Producer, true)?;
        let writer = Writer {
            publishing: core.fan.publishing(),
            rhythm: core.rhythm(),
            scratch: M::scratch(core.message_max()),
            core: Arc::clone(core),
            membership,
            forks: os::forks(),
            wait: Wait::default(),
            patience: Patience::default(),
            closed: false,
            message: std::marker::PhantomData,
        };
        // Only now: as long as somebody writes, nobody else can close it.
        if core.fan.is_closed() { Err(Error::Closed) } else { Ok(writer) }
    }

    /// How this handle waits for gating readers.
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// How long this handle waits for one and the same gating reader.
    pub fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// Publishes to all readers, and returns the message's number. Ordinary readers are never waited for; gating ones
    /// are, if they are a whole ring behind.
    #[inline]
    pub fn publish<'m>(&mut self, message: M::Push<'m>) -> Result<u64, PushError<M::Push<'m>>> {
        self.publish_within(message, Limit::Forever)
    }

    /// Publishes, unless a gating reader stands in the way; never blocks.
    #[inline]
    pub fn try_publish<'m>(&mut self, message: M::Push<'m>) -> Result<u64, PushError<M::Push<'m>>> {
        self.publish_within(message, Limit::Never)
    }

    /// Publishes; while a gating reader stands in the way, blocks for at most so long.
    pub fn publish_timeout<'m>(&mut self, message: M::Push<'m>, time: Duration) -> Result<u64, PushError<M::Push<'m>>> {
        self.publish_within(message, Limit::after(time))
    }

    #[inline(always)]
    fn publish_within<'m>(&mut self, message: M::Push<'m>, limit: Limit) -> Result<u64, PushError<M::Push<'m>>> {
        if let Err(error) = M::prepare(&message, self.core.message_max(), &mut self.scratch) {
            return Err(PushError { message, error });
        }
        match self.claim(1, limit) {
            Ok(_) => {
                // SAFETY: the slot is claimed; readers read it by atomics only. Prepared above.
                unsafe { M::share(&message, &self.scratch, self.slot(0)) };
                Ok(self.finish(1))
            }
            Err(error) => Err(PushError { message, error }),
        }
    }

    /// Publishes all messages of an iterator, many at once; returns how many. If it fails, those before are published.
    ///
    /// As many at once as the iterator's size hint promises, up to 64; less where a gating reader is close.
    pub fn publish_batch<'m>(&mut self, messages: impl IntoIterator<Item = M::Push<'m>>) -> Result<usize, Error> {
        let mut messages = messages.into_iter().peekable();
        let mut published = 0;
        while messages.peek().is_some() {
            let want = (messages.size_hint().0 as u64).clamp(1, RUN_MAX.into());
            let claimed = self.claim(want, Limit::Forever)?;
            // The iterator is the user's code: if it panics, what was written is published.
            let mut batch = Batch { writer: self, written: 0 };
            while batch.written < claimed {
                let Some(message) = messages.next() else { break };
                let writer = &mut *batch.writer;
                M::prepare(&message, writer.core.message_max(), &mut writer.scratch)?;
                // SAFETY: the slot is claimed; readers read it by atomics only. Prepared above.
                unsafe { M::share(&message, &writer.scratch, writer.slot(batch.written)) };
                batch.written += 1;
            }
            published += batch.written as usize;
        }
        Ok(published)
    }

    /// The slot of the next message, to be written in place. Dropped unpublished, nothing happened.
    pub fn loan(&mut self) -> Result<Loan<'_, M>, Error>
    where
        M: InPlace,
    {
        self.loan_within(Limit::Forever)
    }

    /// As [`loan`](Self::loan), unless a gating reader stands in the way; never blocks.
    pub fn try_loan(&mut self) -> Result<Loan<'_, M>, Error>
    where
        M: InPlace,
    {
        self.loan_within(Limit::Never)
    }

    fn loan_within(&mut self, limit: Limit) -> Result<Loan<'_, M>, Error>
    where
        M: InPlace,
    {
        self.claim(1, limit)?;
        let slot = self.slot(0);
        Ok(Loan { length: self.core.message_max(), writer: self, slot })
    }

    /// Nothing more is published, by anybody: readers get what is left and are then told.
    pub fn close(&mut self) {
        if !self.is_forked() {
            self.closed = true;
            self.core.fan.close();
            self.core.control().readers.wake_all(true);
        }
    }

    /// Whether this is a child's copy of the parent's handle.
    #[inline(always)]
    fn is_forked(&self) -> bool {
        os::forks() != self.forks
    }

    #[inline(always)]
    fn claim(&mut self, want: u64, limit: Limit) -> Result<u64, Error> {
        if self.is_forked() {
            return Err(Error::Forked);
        }
        if self.closed {
            return Err(Error::Closed);
        }
        match self.core.fan.claim(&mut self.publishing, want) {
            Some(claimed) => Ok(claimed),
            None => self.wait_for_readers(want, limit),
        }
    }

    /// Where the `nth` of the claimed messages goes.
    #[inline(always)]
    fn slot(&self, nth: u64) -> *mut u8 {
        self.core.fan.claimed_slot(&self.publishing, nth)
    }

    #[cold]
    fn wait_for_readers(&mut self, want: u64, limit: Limit) -> Result<u64, Error> {
        count(&self.membership.counters().blocked_full, 1);
        let core = Arc::clone(&self.core);
        let (counters, patience, done) = (self.membership.counters(), self.patience, self.publishing.next);
        // The dead are no reason to refuse, also for one that may not wait.
        core.sweep(counters);
        let begun = Instant::now();
        let publishing = &mut self.publishing;
        let attempt = || {
            if let Patience::Until(time) = patience
                && begun.elapsed() >= time
            {
                core.fan.in_the_way(publishing).into_iter().for_each(|number| core.fan.throw_out(number));
            }
            Ok(core.fan.claim(publishing, want))
        };
        let limits = (self.wait, limit);
        block(&(&*core, counters), &core.control().writer, limits, (&mut self.rhythm, done), Error::Full, attempt)
    }

    #[inline(always)]
    fn finish(&mut self, written: u64) -> u64 {
        let number = self.core.fan.publish(&mut self.publishing, written);
        self.core.fan.fences.worked();
        self.core.wake_readers();
        number
    }
}

/// Some claimed messages, of which the first are written.
struct Batch<'a, M: Shareable + ?Sized> {
    writer: &'a mut Writer<M>,
    written: u64,
}

impl<M: Shareable + ?Sized> Drop for Batch<'_, M> {
    fn drop(&mut self) {
        // The iterator is the user's code, and may have forked.
        if self.written > 0 && !self.writer.is_forked() {
            self.writer.finish(self.written);
        }
    }
}

impl<M: Shareable + ?Sized> Drop for Writer<M> {
    fn drop(&mut self) {
        if !self.is_forked() {
            self.core.roster.detach(&self.membership);
        }
    }
}

impl<M: Shareable + ?Sized> fmt::Debug for Writer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("broadcast", &self.core.place())
            .field("next", &self.publishing.next)
            .finish_non_exhaustive()
    }
}

/// The slot of the next message; see [`Writer::loan`].
///
/// Readers may look at the slot at any time, and find out afterwards that it was not theirs to look at. So it is
/// written through a [`View`], which does it by atomics.
///
/// ```
/// use handover::broadcast::{Options, Start};
///
/// let lines = Options::new(8).message_max(100).anonymous::<[u8]>()?;
/// let mut reader = lines.reader(Start::Oldest)?;
/// let mut writer = lines.writer()?;
/// let mut loan = writer.loan()?;
/// loan.truncate(5);
/// loan.view().write_from(b"hello");
/// loan.publish()?;
/// assert_eq!(reader.next()?.message, b"hello");
/// # Ok::<(), handover::Error>(())
/// ```
#[must_use = "a loan that is dropped publishes nothing"]
pub struct Loan<'a, M: Shareable + ?Sized> {
    writer: &'a mut Writer<M>,
    slot: *mut u8,
    length: usize,
}

impl<M: InPlace + Shareable + ?Sized> Loan<'_, M> {
    /// The message's cells: of plain data the one value, of bytes each byte.
    pub fn view(&mut self) -> View<'_, M::Cell> {
        // SAFETY: the slot is claimed; the length is bounded by the longest message.
        unsafe {
            let place = M::place(self.slot, self.length);
            View::over_writable(place.cast::<u8>(), M::cell_count(self.length))
        }
    }

    /// Publishes what was written, and returns its number. Fails only in a forked child, whose loan it is not.
    pub fn publish(self) -> Result<u64, Error> {
        if self.writer.is_forked() {
            return Err(Error::Forked);
        }
        // SAFETY: the slot is claimed.
        unsafe { M::share_length(self.slot, self.length) };
        Ok(self.writer.finish(1))
    }
}

impl Loan<'_, [u8]> {
    /// Makes the message shorter; longer than it is it can't be made.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}
