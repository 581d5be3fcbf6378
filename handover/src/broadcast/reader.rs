//! Reading.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::core::Core;
use crate::blocking::block;
use crate::error::Error;
use crate::gate::{Limit, Rhythm, Wait};
use crate::message::Shareable;
use crate::os;
use crate::ring::fan::{Leader, NoMessage, Reading};
use crate::roster::{Membership, Role};
use crate::segment::ReadView;

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message that is kept for sure.
    Oldest,
    /// With the next that is published.
    Newest,
    /// With the message of that number. If it is gone, the reader is told how many it missed.
    At(u64),
}

/// A message and its number. Numbers count what was ever published, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered<T> {
    /// Its number.
    pub number: u64,
    /// The message.
    pub message: T,
}

/// Names a reader, for others to [follow](super::Broadcast::follower).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderId(pub(super) Leader);

/// A handle that reads. Made by [`Broadcast::reader`](super::Broadcast::reader).
///
/// It is done with a message when it asks for the next: that is when readers that follow it see the message, and when
/// the writer may write over it, if this reader is a gating one.
///
/// ```
/// use handover::broadcast::{Options, Start};
/// use handover::Error;
///
/// let ticks = Options::new(2).anonymous::<u64>()?;
/// let mut reader = ticks.reader(Start::Oldest)?;
/// ticks.writer()?.publish_batch(0..10)?;
/// let Err(Error::Missed { count }) = reader.next() else { panic!("it was overtaken") };
/// let next = reader.next()?;
/// assert_eq!((count, next.number, next.message), (8, 8, 8));
/// # Ok::<(), Error>(())
/// ```
// In lines of its own: handles are often boxed one beside the other, for threads that would share a line.
#[repr(align(128))]
pub struct Reader<M: Shareable + ?Sized> {
    core: Arc<Core>,
    membership: Membership,
    /// The forks this process had seen when the handle was made.
    forks: u64,
    wait: Wait,
    rhythm: Rhythm,
    reading: Reading,
    leaders: Vec<Leader>,
    message: std::marker::PhantomData<fn() -> Box<M>>,
}

impl<M: Shareable + ?Sized> Reader<M> {
    pub(super) fn attach(
        core: &Arc<Core>,
        start: Start,
        gating: bool,
        leaders: &[ReaderId],
    ) -> Result<Reader<M>, Error> {
        let membership = core.attach(Role::Consumer, false)?;
        let start = match start {
            Start::Oldest => core.fan.oldest(),
            Start::Newest => core.fan.published(),
            Start::At(number) => number,
        };
        Ok(Reader {
            reading: core.fan.enter(u32::from(membership.owner.0), start, gating),
            leaders: leaders.iter().map(|leader| leader.0).collect(),
            rhythm: core.rhythm(),
            core: Arc::clone(core),
            membership,
            forks: os::forks(),
            wait: Wait::default(),
            message: std::marker::PhantomData,
        })
    }

    /// How this handle waits when there is no message.
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Its name, for those who are to follow it.
    pub fn id(&self) -> ReaderId {
        ReaderId(self.core.fan.follow(self.number()))
    }

    /// The number of the message it reads next.
    pub fn position(&self) -> u64 {
        self.reading.position
    }

    /// How many messages it is behind the newest.
    pub fn lag(&self) -> u64 {
        self.core.fan.published().saturating_sub(self.reading.position)
    }

    /// Whether a living writer is there. Without one nothing new comes, until there is another.
    pub fn writer_alive(&self) -> bool {
        self.core.writer_alive()
    }

    /// The next message; while there is none, blocks.
    ///
    /// Fails with [`Error::Missed`] if the writer has overtaken this reader: with how many messages it missed; the next
    /// call goes on from the oldest still there. With [`Error::Closed`] once nothing more can come.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "it is no iterator: it fails and goes on")]
    pub fn next(&mut self) -> Result<Numbered<M::Pop>, Error> {
        self.next_within(Limit::Forever)
    }

    /// The next message if there is one now; never blocks.
    #[inline]
    pub fn try_next(&mut self) -> Result<Numbered<M::Pop>, Error> {
        self.next_within(Limit::Never)
    }

    /// The next message; while there is none, blocks for at most so long.
    pub fn next_timeout(&mut self, time: Duration) -> Result<Numbered<M::Pop>, Error> {
        self.next_within(Limit::after(time))
    }

    #[inline(always)]
    fn next_within(&mut self, limit: Limit) -> Result<Numbered<M::Pop>, Error> {
        self.await_next(limit)?;
        let (number, taken) = self.take().ok_or_else(|| self.skip())?;
        Ok(Numbered { number, message: M::decode(taken)? })
    }

    /// Appends up to `most` messages; while there is none, blocks. Returns how many, at least one; it does not wait for
    /// more. If it was overtaken after some, it says so at the next call.
    pub fn next_batch(&mut self, into: &mut impl Extend<Numbered<M::Pop>>, most: usize) -> Result<usize, Error> {
        self.batch_within(into, most, Limit::Forever)
    }

    /// As [`next_batch`](Self::next_batch), but never blocks.
    pub fn try_next_batch(&mut self, into: &mut impl Extend<Numbered<M::Pop>>, most: usize) -> Result<usize, Error> {
        self.batch_within(into, most, Limit::Never)
    }

    fn batch_within(
        &mut self,
        into: &mut impl Extend<Numbered<M::Pop>>,
        most: usize,
        limit: Limit,
    ) -> Result<usize, Error> {
        if most == 0 {
            return Ok(0);
        }
        self.await_next(limit)?;
        let (mut count, mut fault) = (0, None);
        // `extend` is the user's code: what it does not ask for stays where it is.
        into.extend(std::iter::from_fn(|| {
            if count == most || self.core.fan.look(&mut self.reading, &self.leaders).is_err() {
                return None;
            }
            let Some((number, taken)) = self.take() else {
                // Told now if it is the first, and else by the next call, which finds it so again.
                if count == 0 {
                    fault = Some(self.skip());
                }
                return None;
            };
            count += 1;
            M::decode(taken).map_err(|error| fault = Some(error)).ok().map(|message| Numbered { number, message })
        }));
        fault.map_or(Ok(count), Err)
    }

    /// Reads the next message in its slot, without copying it out; while there is none, blocks.
    ///
    /// `read` sees what is there while the writer may already be writing over it. What it returns is passed on only if
    /// the message was whole until after `read`; else this fails with [`Error::Missed`]. So `read` has to bear any bytes.
    ///
    /// ```
    /// use handover::broadcast::{Options, Start};
    ///
    /// let frames = Options::new(4).message_max(1 << 16).anonymous::<[u8]>()?;
    /// let mut reader = frames.reader(Start::Oldest)?;
    /// frames.writer()?.publish(&[7; 1000])?;
    /// let sum = reader.read_in_place(|bytes| (0..bytes.len()).map(|n| u64::from(bytes.get(n))).sum::<u64>())?;
    /// assert_eq!(sum.message, 7000);
    /// # Ok::<(), handover::Error>(())
    /// ```
    pub fn read_in_place<R>(&mut self, read: impl FnOnce(ReadView<'_, M::Cell>) -> R) -> Result<Numbered<R>, Error> {
        self.await_next(Limit::Forever)?;
        let slot = self.core.fan.next_slot(&self.reading);
        // SAFETY: the slot of a message that was published; its length is bounded.
        let view = unsafe {
            M::cells(slot, self.core.message_max()).map(|(start, count)| ReadView::<M::Cell>::over(start, count))
        };
        let result = view.map(read);
        let number = self.core.fan.check(Some(self.number()), &mut self.reading).ok_or_else(|| self.skip())?;
        Ok(Numbered { number, message: result? })
    }

    fn number(&self) -> u32 {
        u32::from(self.membership.owner.0)
    }

    /// Says that it is done with what it read, and waits until there is more.
    #[inline(always)]
    fn await_next(&mut self, limit: Limit) -> Result<(), Error> {
        if os::forks() != self.forks {
            return Err(Error::Forked);
        }
        if self.core.fan.advance(self.number(), &self.reading) {
            self.core.wake_writer();
            self.core.wake_readers();
        }
        match self.core.fan.look(&mut self.reading, &self.leaders) {
            Ok(()) => Ok(()),
            Err(NoMessage::Yet) => self.wait_for_message(limit),
            Err(other) => Err(refused(&self.core, other)),
        }
    }

    #[cold]
    fn wait_for_message(&mut self, limit: Limit) -> Result<(), Error> {
        let core = Arc::clone(&self.core);
        let counters = self.membership.counters();
        crate::roster::count(&counters.blocked_empty, 1);
        let done = self.reading.position;
        let (reading, leaders) = (&mut self.reading, &self.leaders);
        let attempt = || match core.fan.look(reading, leaders) {
            Ok(()) => Ok(Some(())),
            Err(NoMessage::Yet) => Ok(None),
            Err(other) => Err(refused(&core, other)),
        };
        let limits = (self.wait, limit);
        block(&(&*core, counters), &core.control().readers, limits, (&mut self.rhythm, done), Error::Empty, attempt)
    }

    /// The next message, which is there. `None` if the writer was faster; the position stays.
    #[inline(always)]
    fn take(&mut self) -> Option<(u64, M::Taken)> {
        let number = Some(self.number());
        take::<M>(&self.core, number, &mut self.reading)
    }

    #[cold]
    fn skip(&mut self) -> Error {
        let number = Some(self.number());
        refused(&self.core, self.core.fan.skip(number, &mut self.reading))
    }
}

#[inline(always)]
fn take<M: Shareable + ?Sized>(core: &Core, reader: Option<u32>, reading: &mut Reading) -> Option<(u64, M::Taken)> {
    // SAFETY: the slot of a message that was published.
    let taken = unsafe { M::snapshot(core.fan.next_slot(reading), core.message_max()) };
    Some((core.fan.check(reader, reading)?, taken))
}

fn refused(core: &Core, why: NoMessage) -> Error {
    match why {
        NoMessage::Yet => Error::Empty,
        NoMessage::Closed => Error::Closed,
        NoMessage::Missed(count) => Error::Missed { count },
        NoMessage::LeaderGone(number) => Error::LeaderGone { number },
        NoMessage::Corrupt => {
            Error::Corrupt { what: format!("{}: more is claimed than the ring is long", core.place()) }
        }
    }
}

impl<M: Shareable + ?Sized> Drop for Reader<M> {
    fn drop(&mut self) {
        if os::forks() != self.forks {
            return;
        }
        // It is done with all that it was given.
        self.core.fan.advance(self.number(), &self.reading);
        self.core.fan.leave(self.number());
        self.core.wake_writer();
        self.core.wake_readers();
        self.core.roster.detach(&self.membership);
    }
}

impl<M: Shareable + ?Sized> fmt::Debug for Reader<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("broadcast", &self.core.place())
            .field("position", &self.reading.position)
            .finish_non_exhaustive()
    }
}

/// A reader that can't write to the segment, not by mistake either: it maps it for reading only, and needs no other
/// permission. It is no member, so nobody knows of it, and it can't be woken: it looks again, seldom after a while.
///
/// ```
/// use handover::broadcast::{Options, Start, Watcher};
///
/// # let name = format!("doc-watcher-{}", std::process::id());
/// let prices = Options::new(8).create::<u64>(&name)?;
/// let mut watcher = Watcher::<u64>::open(&name, Start::Oldest)?;
/// prices.writer()?.publish(7)?;
/// assert_eq!(watcher.next()?.message, 7);
/// handover::remove(&name)?;
/// # Ok::<(), handover::Error>(())
/// ```
pub struct Watcher<M: Shareable + ?Sized> {
    core: Core,
    reading: Reading,
    message: std::marker::PhantomData<fn() -> Box<M>>,
}

/// What a watcher sleeps between two looks: at first, and at most.
const NAPS: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(2));

impl<M: Shareable + ?Sized> Watcher<M> {
    pub(super) fn over(core: Core, start: Start) -> Watcher<M> {
        let position = match start {
            Start::Oldest => core.fan.oldest(),
            Start::Newest => core.fan.published(),
            Start::At(number) => number,
        };
        Watcher { reading: core.fan.begin(position), core, message: std::marker::PhantomData }
    }

    /// As [`Reader::next`].
    #[allow(clippy::should_implement_trait, reason = "it is no iterator: it fails and goes on")]
    pub fn next(&mut self) -> Result<Numbered<M::Pop>, Error> {
        self.next_within(Limit::Forever)
    }

    /// As [`Reader::try_next`].
    pub fn try_next(&mut self) -> Result<Numbered<M::Pop>, Error> {
        self.next_within(Limit::Never)
    }

    /// As [`Reader::next_timeout`].
    pub fn next_timeout(&mut self, time: Duration) -> Result<Numbered<M::Pop>, Error> {
        self.next_within(Limit::after(time))
    }

    /// How many messages it is behind the newest.
    pub fn lag(&self) -> u64 {
        self.core.fan.published().saturating_sub(self.reading.position)
    }

    /// Whether a living writer is there.
    pub fn writer_alive(&self) -> bool {
        self.core.writer_alive()
    }

    fn next_within(&mut self, limit: Limit) -> Result<Numbered<M::Pop>, Error> {
        let (begun, mut nap) = (Instant::now(), NAPS.0);
        loop {
            match self.core.fan.look(&mut self.reading, &[]) {
                Ok(()) => break,
                Err(NoMessage::Yet) => {}
                Err(other) => return Err(refused(&self.core, other)),
            }
            let left = limit.left().unwrap_or(nap);
            if left.is_zero() {
                return Err(Error::Empty);
            }
            if begun.elapsed() < NAPS.0 {
                thread::yield_now();
            } else {
                thread::sleep(nap.min(left));
                nap = (nap * 2).min(NAPS.1);
            }
        }
        let (number, taken) = take::<M>(&self.core, None, &mut self.reading)
            .ok_or_else(|| refused(&self.core, self.core.fan.skip(None, &mut self.reading)))?;
        Ok(Numbered { number, message: M::decode(taken)? })
    }
}

impl<M: Shareable + ?Sized> fmt::Debug for Watcher<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("broadcast", &self.core.place())
            .field("position", &self.reading.position)
            .finish_non_exhaustive()
    }
}
