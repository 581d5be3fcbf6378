//! The queue that users call: bounded, blocking, first in first out, each message to one receiver.
//!
//! Here the types of messages are known, and nothing about atomics or systems: that is the ring's, the roster's, the
//! gate's and the segment's.

mod consumer;
mod core;
mod options;
mod peek;
mod producer;
mod wait;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use consumer::{Consumer, Messages, Received};
pub use options::Options;
pub use peek::{peek, peek_at};
pub use producer::{Loan, Producer};

use self::core::{Core, Measures};
use crate::blocking::Shrink;
use crate::error::Error;
use crate::message::{self, Message, Shareable};
use crate::places::{ways_to_look, ways_to_open};
use crate::roster::{Counters, Counts, Member, Role};
use crate::segment::{Place, Segment};

/// The longest message of a kind whose length varies: what the slot has besides its length.
#[inline]
fn message_max(measures: &Measures) -> usize {
    message::max_in(measures.size)
}

/// A bounded queue: between threads, or between processes in a segment of shared memory.
///
/// It is made by [`Options`], or opened by name, path or file descriptor. Handles that push and pop are made from it;
/// it can be cloned, and dropped before them.
///
/// ```
/// use handover::{Options, Queue};
///
/// # let name = format!("doc-queue-{}", std::process::id());
/// let queue = Options::new(1000).create::<u64>(&name)?;
/// // Elsewhere, in another process:
/// let same = Queue::<u64>::open(&name)?;
/// queue.producer()?.push(42)?;
/// assert_eq!(same.consumer()?.pop()?, 42);
/// handover::remove(&name)?;
/// # Ok::<(), handover::Error>(())
/// ```
pub struct Queue<M: Message + ?Sized> {
    core: Arc<Core>,
    message: PhantomData<fn() -> Box<M>>,
}

impl<M: Message + ?Sized> Clone for Queue<M> {
    fn clone(&self) -> Self {
        Queue { core: Arc::clone(&self.core), message: PhantomData }
    }
}

impl<M: Shareable + ?Sized> Queue<M> {
    ways_to_open!(Queue, "the queue");

    fn segment(&self) -> &Segment {
        self.core.segment().expect("shareable messages lie in segments")
    }

    fn in_segment(segment: Segment) -> Result<Queue<M>, Error> {
        let place = segment.place().to_string();
        let measures = Measures::of(&segment)?;
        message::check::<M>(segment.header(), (measures.size, measures.align), &place)?;
        Ok(Queue::over(Core::in_segment(segment, measures)))
    }
}

impl<M: Message + ?Sized> Queue<M> {
    fn over(core: Core) -> Queue<M> {
        Queue { core: Arc::new(core), message: PhantomData }
    }

    /// Attaches a producer. Refused while a queue for one producer has one that lives.
    pub fn producer(&self) -> Result<Producer<M>, Error> {
        Producer::attach(&self.core)
    }

    /// Attaches a consumer. Refused while a queue for one consumer has one that lives.
    pub fn consumer(&self) -> Result<Consumer<M>, Error> {
        Consumer::attach(&self.core)
    }

    /// Closes the queue: pushes are refused from now on, the blocked ones, too; receivers get what is left and are
    /// then told. It stays closed.
    pub fn close(&self) {
        self.core.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// How many messages wait for a receiver, about: others push and pop meanwhile. Those that were handed back are not
    /// counted; [`inspect`] tells of them.
    pub fn len(&self) -> usize {
        self.core.len().map_or(0, |queued| queued as usize)
    }

    /// Whether no message waits for a receiver, those that were handed back left aside.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages it holds at most, now.
    pub fn capacity(&self) -> usize {
        self.core.capacity() as usize
    }

    /// Lets it hold more messages or fewer, up to the [largest](Options::max_capacity) it was made for, while it is used.
    ///
    /// Blocked producers go on at once if it grows. If it shrinks, nothing beyond the new capacity is let in from now on, but for
    /// what is being pushed at this very moment; then this waits, or fails and takes it back, as `shrink` says, until no
    /// more wait than it shall hold. If the process dies meanwhile, the new capacity stands.
    ///
    /// ```
    /// use handover::{Error, Options, Shrink};
    ///
    /// let queue = Options::new(2).max_capacity(100).threads::<u64>()?;
    /// let mut producer = queue.producer()?;
    /// producer.push_batch([1, 2])?;
    /// assert!(producer.try_push(3).is_err());
    /// queue.resize(100, Shrink::Refuse)?;
    /// producer.try_push(3)?;
    /// assert!(matches!(queue.resize(2, Shrink::Refuse), Err(Error::Full)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn resize(&self, capacity: usize, shrink: Shrink) -> Result<(), Error> {
        let most = self.core.measures.capacity;
        let wanted = u32::try_from(capacity).ok().filter(|wanted| (1..=most).contains(wanted));
        let Some(wanted) = wanted.filter(|_| self.core.measures.limited) else {
            let why = if self.core.measures.limited {
                format!(
                    "the queue can be resized to 1 to {most} messages, not {capacity}; create it with a larger maximum"
                )
            } else {
                "the queue can't be resized; create it with a max_capacity".into()
            };
            return Err(Error::Unfit { why });
        };
        let before = self.core.capacity();
        self.core.set_limit(wanted);
        let limit = shrink.limit();
        while wanted < before && self.len() > wanted as usize {
            if limit.left().is_some_and(|left| left.is_zero()) {
                self.core.set_limit(before);
                return Err(Error::Full);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// What was done and what was recovered, by all members there have been.
    pub fn counts(&self) -> Counts {
        self.core.counts()
    }

    /// Who is attached, and who of them lives.
    pub fn members(&self) -> Vec<Member> {
        self.core.members()
    }
}

impl<M: Message + ?Sized> fmt::Debug for Queue<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("place", &self.core.place())
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// What can be told of a queue without knowing its messages' type.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// How many messages it holds at most, now.
    pub capacity: usize,
    /// To how many it can be resized; the capacity, if it can't.
    pub max_capacity: usize,
    /// How many wait, those that were handed back not counted.
    pub len: usize,
    /// How many were handed back, by receivers that dropped them or died, and wait to be handed out again.
    pub handed_back: usize,
    /// A message's size in its slot; for kinds whose length varies, that of the longest with its length.
    pub message_size: usize,
    /// Whether it was closed.
    pub closed: bool,
    /// Whether it is for one producer only.
    pub one_producer: bool,
    /// Whether it is for one consumer only.
    pub one_consumer: bool,
    /// What was done and what was recovered.
    pub counts: Counts,
    /// Who is attached.
    pub members: Vec<Member>,
}

ways_to_look! {
    /// What can be told of the queue of that name, whatever its messages' type.
    inspect, inspect_at() -> Report: report
}

fn report(segment: Segment) -> Result<Report, Error> {
    let measures = Measures::of(&segment)?;
    let core = Core::in_segment(segment, measures);
    Ok(Report {
        capacity: core.capacity() as usize,
        max_capacity: measures.capacity as usize,
        len: core.len().map_err(|refusal| core.refused(refusal, false))? as usize,
        handed_back: core.handed_back() as usize,
        message_size: measures.size,
        closed: core.is_closed(),
        one_producer: measures.one_producer,
        one_consumer: measures.one_consumer,
        counts: core.counts(),
        members: core.members(),
    })
}

/// Settles what dead members have left, whatever the messages' type, and says how many they were.
pub(crate) fn reap(segment: Segment) -> Result<usize, Error> {
    let measures = Measures::of(&segment)?;
    let core = Core::in_segment(segment, measures);
    let dead = core.members().iter().filter(|member| !member.alive).count();
    // In a place that no member may have, so that nobody is refused because of us: one that is kept for the only one of
    // its role, where there may be more of them.
    let role = match (measures.one_consumer, measures.one_producer) {
        (false, _) => Role::Consumer,
        (true, false) => Role::Producer,
        // There is no such place, nor anything that a dead one holds: it is only still in the list.
        (true, true) => {
            core.sweep(&Counters::default());
            return Ok(dead);
        }
    };
    match core.attach(role, true) {
        // Whoever attaches reaps all others.
        Ok(membership) => {
            core.roster.detach(&membership);
            Ok(dead)
        }
        // Somebody else is at it.
        Err(Error::Taken { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Whether it is closed, and nothing is left in it or in anybody's hands.
pub(crate) fn is_finished(segment: Segment) -> Result<bool, Error> {
    let report = report(segment)?;
    // What is in somebody's hands, a member has: one that died is there until what it held is settled.
    Ok(report.closed && report.members.is_empty() && report.len + report.handed_back == 0)
}

/// Removes the queue (or other segment) of that name. Who has it open goes on using it, unseen by others.
pub fn remove(name: &str) -> Result<(), Error> {
    crate::segment::remove(&Place::Named(name.into()))
}

/// Removes the queue (or other segment) in that file.
pub fn remove_at(path: impl AsRef<Path>) -> Result<(), Error> {
    crate::segment::remove(&Place::Path(path.as_ref().into()))
}

/// Why `open_or_create` can't take what is there.
fn same_settings(wanted: &Measures, found: &Measures) -> Result<(), String> {
    let differing = |what: &str, found: &dyn fmt::Display, wanted: &dyn fmt::Display| {
        Err(format!("exists with {what} {found}, asked for with {wanted}"))
    };
    if wanted.capacity != found.capacity {
        return differing("capacity", &found.capacity, &wanted.capacity);
    }
    if wanted.limited != found.limited {
        return differing("resizing:", &found.limited, &wanted.limited);
    }
    if wanted.one_producer != found.one_producer {
        return differing("one producer only:", &found.one_producer, &wanted.one_producer);
    }
    if wanted.one_consumer != found.one_consumer {
        return differing("one consumer only:", &found.one_consumer, &wanted.one_consumer);
    }
    Ok(())
}
