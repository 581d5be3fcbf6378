//! The one error type that users meet. Each message says what was tried, what was found and what to do.

use std::fmt;
use std::io;

/// What went wrong, in words a user can act on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No room: at once (`try_push`) or within the time given (`push_timeout`).
    Full,
    /// No message: at once (`try_pop`) or within the time given (`pop_timeout`).
    Empty,
    /// A broadcast's writer has overtaken the reader, which goes on from the oldest message still there.
    Missed {
        /// How many messages it missed.
        count: u64,
    },
    /// A reader that this one follows is gone, and all that one was done with was read.
    LeaderGone {
        /// The number it had in the roster.
        number: u32,
    },
    /// The queue was closed: pushes are refused; receivers are told once nothing is left.
    Closed,
    /// A task of the same key waits already.
    Duplicate {
        /// The key.
        key: String,
    },
    /// The lease was over before this was said: its task was given to others.
    LeaseLost,
    /// The task whose result was waited for became a dead letter.
    Dead {
        /// Why it failed last.
        reason: String,
    },
    /// No such task, or not in a state in which that can be done with it.
    NoTask {
        /// Its number.
        id: u64,
    },
    /// The handle was made before a `fork` and is used by the child.
    Forked,
    /// A message longer than the maximum named at creation.
    TooLong {
        /// The message's length in bytes.
        length: usize,
        /// The longest the queue takes.
        max: usize,
    },
    /// A serde message that could not be encoded or decoded.
    Message {
        /// What the encoder or decoder said.
        why: String,
    },
    /// A number in the segment that no correct program writes. The segment was scribbled over.
    Corrupt {
        /// What was found where.
        what: String,
    },
    /// Nothing of that name or path.
    NotFound {
        /// What was to be opened.
        place: String,
    },
    /// There is something of that name or path already.
    AlreadyExists {
        /// What was to be created.
        place: String,
    },
    /// The file is something else than a Handover segment.
    NotASegment {
        /// What was opened.
        place: String,
        /// What was found.
        why: String,
    },
    /// The segment was made by another version of the format.
    Version {
        /// What was opened.
        place: String,
        /// The version found.
        found: u32,
        /// The version this library reads and writes.
        supported: u32,
    },
    /// The segment was made on a machine of the other byte order.
    ByteOrder {
        /// What was opened.
        place: String,
    },
    /// The file is shorter than its header says.
    Truncated {
        /// What was opened.
        place: String,
        /// The file's length.
        found: u64,
        /// The length it should have.
        needed: u64,
    },
    /// The header's checksum or one of its numbers is wrong.
    CorruptHeader {
        /// What was opened.
        place: String,
        /// What was found.
        why: String,
    },
    /// A segment of another kind: a queue opened as plain memory, say.
    Kind {
        /// What was opened.
        place: String,
        /// The kind it is.
        found: &'static str,
        /// The kind it was opened as.
        wanted: &'static str,
    },
    /// Made for messages of another size, alignment or type.
    MessageType {
        /// What was opened.
        place: String,
        /// What it was made for.
        made: String,
        /// What it was opened for.
        opened: String,
    },
    /// Made with other settings than `open_or_create` asked for.
    Settings {
        /// What was opened.
        place: String,
        /// How it was made, and how it was asked for.
        why: String,
    },
    /// A capacity, size or number of members that can't be had.
    Unfit {
        /// What was asked and why it can't be.
        why: String,
    },
    /// The memory can't be reserved.
    NoMemory {
        /// What was to be created.
        place: String,
        /// How many bytes it needs.
        bytes: u64,
    },
    /// A name that can't be used.
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system does not let this user do it.
    Permission {
        /// What was to be opened, created or removed.
        place: String,
        /// What was tried.
        doing: &'static str,
    },
    /// All of the roster's entries are taken by living members.
    TooManyMembers {
        /// What was to be attached to.
        place: String,
        /// How many it was made for.
        max: u32,
    },
    /// A queue declared for one producer or one consumer has it already.
    Taken {
        /// What was to be attached to.
        place: String,
        /// `"producer"` or `"consumer"`.
        role: &'static str,
        /// The process that has it, for people to read.
        pid: u32,
    },
    /// Bytes outside of the segment, or not aligned for the type.
    OutOfBounds {
        /// What was asked for and what there is.
        why: String,
    },
    /// Anything else that the system refused.
    System {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Full => f.write_str("no room in the queue within the time given; try again, wait longer, or make the queue larger"),
            Error::Empty => f.write_str("no message in the queue within the time given; try again or wait longer"),
            Error::Missed { count } => write!(f, "the writer was faster: {count} messages were missed; read on from the oldest still there, make the ring larger, or attach as a gating reader"),
            Error::LeaderGone { number } => write!(f, "the reader that this one follows (number {number}) is gone; follow its successor"),
            Error::Closed => f.write_str("the queue is closed; nothing more can be pushed, and nothing is left to receive"),
            Error::Duplicate { key } => write!(f, "a task with the key {key:?} waits already; leave it at that, or use another key"),
            Error::LeaseLost => f.write_str("the lease was over before, and the task was given to others; work faster, extend leases in time, or make the queue with longer ones"),
            Error::Dead { reason } => write!(f, "the task became a dead letter: {reason}; look into it, then requeue or purge it"),
            Error::NoTask { id } => write!(f, "no task of the number {id} is there, or not in a state in which that can be done; look what there is"),
            Error::Forked => f.write_str("this handle was made before a fork and belongs to the parent process; open the queue again in the child"),
            Error::TooLong { length, max } => write!(f, "the message has {length} bytes and the queue takes at most {max}; send a shorter one or create the queue with a larger maximum"),
            Error::Message { why } => write!(f, "the message could not be encoded or decoded: {why}; sender and receiver must use the same type"),
            Error::Corrupt { what } => write!(f, "the segment is corrupt: {what}; some process wrote over it: remove it and create it again"),
            Error::NotFound { place } => write!(f, "{place}: does not exist; create it first, or open it with open_or_create"),
            Error::AlreadyExists { place } => write!(f, "{place}: exists already; open it, remove it first, or use open_or_create"),
            Error::NotASegment { place, why } => write!(f, "{place}: is not a Handover segment ({why}); check the name"),
            Error::Version { place, found, supported } => write!(f, "{place}: has format version {found}, and this library knows version {supported}; use the version of the library that made it, or remove it and create it again"),
            Error::ByteOrder { place } => write!(f, "{place}: was made on a machine of the other byte order; it can only be used on a machine like the one that made it"),
            Error::Truncated { place, found, needed } => write!(f, "{place}: has {found} bytes and needs {needed}; it was cut off: remove it and create it again"),
            Error::CorruptHeader { place, why } => write!(f, "{place}: has a corrupt header ({why}); remove it and create it again"),
            Error::Kind { place, found, wanted } => write!(f, "{place}: is a {found}, opened as a {wanted}; open it as what it is"),
            Error::MessageType { place, made, opened } => write!(f, "{place}: made for {made}, opened for {opened}; open it with the type it was made with"),
            Error::Settings { place, why } => write!(f, "{place}: {why}; ask for the settings it was made with, or open it without any"),
            Error::Unfit { why } => f.write_str(why),
            Error::NoMemory { place, bytes } => {
                let shows = if cfg!(windows) { "the Task Manager" } else { "df -h /dev/shm" };
                write!(f, "{place}: {bytes} bytes of shared memory can't be reserved; make it smaller or free some ({shows} shows what is there)")
            }
            Error::Name { name, why } => write!(f, "{name:?} can't be a name: {why}"),
            Error::Permission { place, doing } => write!(f, "{place}: no permission to {doing} it; ask its owner, or create it with a wider mode"),
            Error::TooManyMembers { place, max } => write!(f, "{place}: all {max} members it was made for are attached; detach one, or create it for more"),
            Error::Taken { place, role, pid } => write!(f, "{place}: has its one {role} already, in process {pid}; end that one first, or create the queue for many"),
            Error::OutOfBounds { why } => f.write_str(why),
            Error::System { doing, source } => write!(f, "could not {doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A push that did not happen, with the message it was given.
pub struct PushError<T> {
    /// The message, back in the caller's hands.
    pub message: T,
    /// Why it was not pushed.
    pub error: Error,
}

impl<T> From<PushError<T>> for Error {
    fn from(refused: PushError<T>) -> Error {
        refused.error
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> std::error::Error for PushError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
