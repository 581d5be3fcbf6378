//! One writer, any number of readers: every reader sees every message, and the writer never waits for one that did not
//! ask for it.
//!
//! A reader that fell behind is told how many messages it missed. One that must not miss any can be *gating*: then the
//! writer waits for it. And one can *follow* others: it sees a message only after they are done with it.

mod core;
mod options;
mod peek;
mod reader;
mod writer;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

pub use options::Options;
pub use peek::{peek, peek_at};
pub use reader::{Numbered, Reader, ReaderId, Start, Watcher};
pub use writer::{Loan, Patience, Writer};

use self::core::{Core, Measures};
use crate::error::Error;
use crate::message::{self, Shareable};
use crate::places::{ways_to_look, ways_to_open};
use crate::ring::fan::Gate;
use crate::roster::Role;
use crate::segment::{Place, Segment};

/// A broadcast: made by [`Options`], or opened by name, path or file descriptor. The writer and readers are made from
/// it; it can be cloned, and dropped before them.
///
/// ```
/// use handover::broadcast::{Broadcast, Options, Start};
///
/// # let name = format!("doc-broadcast-{}", std::process::id());
/// let prices = Options::new(1024).create::<u64>(&name)?;
/// let mut writer = prices.writer()?;
/// // Elsewhere, in as many processes as you like:
/// let mut reader = Broadcast::<u64>::open(&name)?.reader(Start::Oldest)?;
/// writer.publish(42)?;
/// assert_eq!(reader.next()?.message, 42);
/// handover::remove(&name)?;
/// # Ok::<(), handover::Error>(())
/// ```
pub struct Broadcast<M: Shareable + ?Sized> {
    core: Arc<Core>,
    message: PhantomData<fn() -> Box<M>>,
}

impl<M: Shareable + ?Sized> Clone for Broadcast<M> {
    fn clone(&self) -> Self {
        Broadcast { core: Arc::clone(&self.core), message: PhantomData }
    }
}

fn checked<M: Shareable + ?Sized>(segment: &Segment) -> Result<Measures, Error> {
    let measures = Measures::of(segment)?;
    message::check::<M>(segment.header(), measures.message(), &segment.place().to_string())?;
    Ok(measures)
}

impl<M: Shareable + ?Sized> Broadcast<M> {
    fn over(core: Core) -> Broadcast<M> {
        Broadcast { core: Arc::new(core), message: PhantomData }
    }

    fn in_segment(segment: Segment) -> Result<Broadcast<M>, Error> {
        let measures = checked::<M>(&segment)?;
        Ok(Broadcast::over(Core::new(segment, measures)))
    }

    ways_to_open!(Broadcast, "the broadcast");

    fn segment(&self) -> &Segment {
        &self.core.segment
    }

    /// Attaches the writer. Refused while another one lives, and once it is closed. After a death, its successor goes on
    /// with the next number.
    pub fn writer(&self) -> Result<Writer<M>, Error> {
        Writer::attach(&self.core)
    }

    /// Attaches a reader.
    pub fn reader(&self, start: Start) -> Result<Reader<M>, Error> {
        Reader::attach(&self.core, start, false, &[])
    }

    /// Attaches a reader that misses nothing: the writer waits for it, as long as it lives and unless it
    /// [loses patience](Writer::set_patience).
    pub fn gating_reader(&self, start: Start) -> Result<Reader<M>, Error> {
        Reader::attach(&self.core, start, true, &[])
    }

    /// Attaches a reader that sees a message only after others are done with it. `gating` as for
    /// [`gating_reader`](Self::gating_reader): it is enough for the last of a pipeline.
    ///
    /// Once a reader that it follows is gone and all that one was done with is read, it is told
    /// [`Error::LeaderGone`].
    ///
    /// ```
    /// use handover::broadcast::{Options, Start};
    /// use handover::Error;
    ///
    /// let orders = Options::new(8).anonymous::<u64>()?;
    /// let mut journal = orders.reader(Start::Oldest)?;
    /// let mut engine = orders.follower(Start::Oldest, &[journal.id()], true)?;
    /// orders.writer()?.publish_batch([1, 2])?;
    /// assert!(matches!(engine.try_next(), Err(Error::Empty)));
    /// journal.next()?;
    /// journal.next()?; // asks for the second: so it is done with the first
    /// assert_eq!(engine.next()?.message, 1);
    /// assert!(matches!(engine.try_next(), Err(Error::Empty)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn follower(&self, start: Start, leaders: &[ReaderId], gating: bool) -> Result<Reader<M>, Error> {
        Reader::attach(&self.core, start, gating, leaders)
    }

    /// Names the reader of that number in the [report](Self::report), for others to follow. `None` if none has it.
    pub fn reader_id(&self, number: u32) -> Option<ReaderId> {
        let attached =
            self.core.members().iter().any(|member| member.number == number && member.role == Role::Consumer);
        attached.then(|| ReaderId(self.core.fan.follow(number)))
    }

    /// Closes it, if no writer lives; a living [`Writer`] closes it itself.
    pub fn close(&self) -> Result<(), Error> {
        self.writer()?.close();
        Ok(())
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.core.fan.is_closed()
    }

    /// How many messages are kept for readers that lag.
    pub fn capacity(&self) -> usize {
        self.core.measures.capacity as usize
    }

    /// How many messages were published so far.
    pub fn published(&self) -> u64 {
        self.core.fan.published()
    }

    /// Whether a living writer is there.
    pub fn writer_alive(&self) -> bool {
        self.core.writer_alive()
    }

    /// What can be told of it and its readers.
    pub fn report(&self) -> Report {
        report(&self.core)
    }
}

impl<M: Shareable + ?Sized> Watcher<M> {
    /// Opens the broadcast of that name, for reading only.
    pub fn open(name: &str, start: Start) -> Result<Watcher<M>, Error> {
        Self::in_segment(Segment::open_read_only(&Place::Named(name.into()))?, start)
    }

    /// Opens the broadcast in that file, for reading only.
    pub fn open_at(path: impl AsRef<Path>, start: Start) -> Result<Watcher<M>, Error> {
        Self::in_segment(Segment::open_read_only(&Place::Path(path.as_ref().into()))?, start)
    }

    /// Opens the broadcast behind a descriptor, which need not be open for writing.
    #[cfg(unix)]
    pub fn from_fd(descriptor: impl std::os::fd::AsFd, start: Start) -> Result<Watcher<M>, Error> {
        Self::in_segment(Segment::handed_over_read_only(descriptor.as_fd())?, start)
    }

    /// Opens the broadcast behind a handle, which need not allow writing.
    #[cfg(windows)]
    pub fn from_handle(handle: impl std::os::windows::io::AsHandle, start: Start) -> Result<Watcher<M>, Error> {
        Self::in_segment(Segment::handed_over_read_only(handle.as_handle())?, start)
    }

    fn in_segment(segment: Segment, start: Start) -> Result<Watcher<M>, Error> {
        let measures = checked::<M>(&segment)?;
        Ok(Watcher::over(Core::new(segment, measures), start))
    }
}

impl<M: Shareable + ?Sized> fmt::Debug for Broadcast<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("place", &self.core.place())
            .field("capacity", &self.capacity())
            .field("published", &self.published())
            .finish_non_exhaustive()
    }
}

/// What can be told of a broadcast without knowing its messages' type.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// How many messages are kept for readers that lag.
    pub capacity: usize,
    /// A message's size in its slot; for kinds whose length varies, that of the longest with its length.
    pub message_size: usize,
    /// How many messages were published.
    pub published: u64,
    /// Whether it was closed.
    pub closed: bool,
    /// The writer's process, and whether it lives.
    pub writer: Option<(u32, bool)>,
    /// Who reads.
    pub readers: Vec<ReaderReport>,
    /// Deaths noticed.
    pub deaths: u64,
}

/// A reader as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderReport {
    /// Its number in the roster.
    pub number: u32,
    /// The process that attached it, for people to read.
    pub pid: u32,
    /// Whether it lives. The kernel says so.
    pub alive: bool,
    /// Whether the writer waits for it.
    pub gating: bool,
    /// The number of the message it reads next, or has in its hands.
    pub position: u64,
    /// How many messages it is behind the newest.
    pub lag: u64,
    /// How many it has read.
    pub read: u64,
    /// How many it missed.
    pub missed: u64,
}

ways_to_look! {
    /// What can be told of the broadcast of that name, whatever its messages' type.
    inspect, inspect_at() -> Report: inspected
}

fn inspected(segment: Segment) -> Result<Report, Error> {
    let measures = Measures::of(&segment)?;
    Ok(report(&Core::new(segment, measures)))
}

/// Settles what dead members have left, whatever the messages' type, and says how many they were.
pub(crate) fn reap(segment: Segment) -> Result<usize, Error> {
    let measures = Measures::of(&segment)?;
    let core = Core::new(segment, measures);
    let dead = core.members().iter().filter(|member| !member.alive).count();
    // In the place of the only reader, of whom there may be more, so that nobody is refused because of us. Without a cursor
    // of its own it holds nobody up.
    match core.attach(Role::Consumer, true) {
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

/// Whether it is closed, nobody is attached, and nothing was published that a reader could yet come for.
pub(crate) fn is_finished(segment: Segment) -> Result<bool, Error> {
    let report = inspected(segment)?;
    Ok(report.closed && report.writer.is_none() && report.readers.is_empty() && report.published == 0)
}

fn report(core: &Core) -> Report {
    let members = core.members();
    let published = core.fan.published();
    let reader = |member: &crate::roster::Member| {
        let standing = core.fan.standing(member.number);
        if member.alive && standing.gate == Gate::Gone {
            // It has its place and has not said yet where it begins: what is published now may come before that.
            return None;
        }
        Some(ReaderReport {
            number: member.number,
            pid: member.pid,
            alive: member.alive,
            gating: standing.gate == Gate::Gating,
            position: standing.position,
            lag: published.saturating_sub(standing.position),
            read: standing.read,
            missed: standing.missed,
        })
    };
    Report {
        capacity: core.measures.capacity as usize,
        message_size: core.measures.size,
        published,
        closed: core.fan.is_closed(),
        writer: members.iter().find(|member| member.role == Role::Producer).map(|member| (member.pid, member.alive)),
        readers: members.iter().filter(|member| member.role == Role::Consumer).filter_map(reader).collect(),
        deaths: core.roster.counts().deaths,
    }
}
