//! Why a command ended otherwise than well.

use std::fmt;
use std::io;
use std::path::Path;

use handover::{Error, PushError};

use crate::numbers::grouped;
use crate::system::room;

/// What went wrong, as the terminal is told.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Ctrl-C, or a request to end; and how things stand now.
    Interrupted(&'static str),
    /// The demo found that the library broke its word.
    PromiseBroken(String),
    /// A process of the demo ended by itself, and should not have.
    Ended(String),
    /// What was asked for can't be meant.
    Usage(String),
    /// The nth message of the input, from 1, was not pushed; those before were.
    AtMessage(u64, Box<Trouble>),
    /// More is there than there is to be room for.
    Full(String),
    /// What is wrong was told already, on standard output.
    Told,
    /// Anything else, in words.
    Failed(String),
    Handover(Error),
    System(io::Error),
}

/// Stands in the help of every command that works on a segment.
pub(crate) const EXIT_STATUS: &str = "\
Exit status: 0 all went well, 1 something failed, 2 the command line was not understood, 3 no such queue,
4 full or empty within the time, 5 closed, 130 interrupted.";

impl Trouble {
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Trouble::Interrupted(_) => 130,
            // Whoever read our output has had enough.
            _ if self.is_broken_pipe() => 0,
            Trouble::Usage(_) => 2,
            Trouble::AtMessage(_, trouble) => trouble.exit_status(),
            Trouble::Handover(Error::Name { .. } | Error::Unfit { .. }) => 2,
            Trouble::Handover(Error::NotFound { .. }) => 3,
            Trouble::Full(_) | Trouble::Handover(Error::Full | Error::Empty) => 4,
            Trouble::Handover(Error::Closed) => 5,
            _ => 1,
        }
    }

    /// Whether nothing is to be said besides.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Trouble::Told) || self.is_broken_pipe()
    }

    fn is_broken_pipe(&self) -> bool {
        matches!(self, Trouble::System(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Interrupted(standing) => write!(f, "interrupted; {standing}"),
            Trouble::PromiseBroken(what) => write!(f, "a promise was broken: {what}"),
            Trouble::Ended(who) => write!(f, "{who}; see above for what it said"),
            Trouble::Usage(why) => write!(f, "{why} (see --help)"),
            Trouble::AtMessage(1, trouble) => write!(f, "message 1 was not taken in: {trouble}"),
            Trouble::AtMessage(number, trouble) => {
                write!(f, "message {number} was not taken in, those before it were: {trouble}")
            }
            Trouble::Told => Ok(()),
            Trouble::Full(what) | Trouble::Failed(what) => f.write_str(what),
            Trouble::Handover(error) => tell(error, f),
            Trouble::System(error) => error.fmt(f),
        }
    }
}

/// What the library says to programmers is said to people with the commands that they have.
fn tell(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        Error::NotFound { place } => {
            write!(f, "{place}: does not exist; make it (handover create), or see what there is (handover ls)")
        }
        Error::AlreadyExists { place } => {
            write!(f, "{place}: exists already; use it, or remove it first (handover rm)")
        }
        Error::Kind { place, found, .. } => {
            let next = match *found {
                "queue" => "use push and pop",
                "broadcast" => "use publish and subscribe",
                "task queue" => "use push and work",
                _ => "the command line has no use for it",
            };
            write!(f, "{place}: is a {found}; {next}")
        }
        Error::TooLong { length, max } => write!(
            f,
            "the message has {} bytes and at most {} are taken; send a shorter one, or make it anew with a larger --message-size",
            grouped(*length as u64),
            grouped(*max as u64)
        ),
        Error::Permission { place, doing } => {
            write!(f, "{place}: no permission to {doing} it; ask its owner, or whoever may change its mode (chmod)")
        }
        Error::Unfit { why } => f.write_str(&why.replace("a max_capacity", "--max-capacity")),
        Error::MessageType { place, made, .. } => {
            write!(
                f,
                "{place}: made for {made}, and the command line knows bytes only; use a program that knows the type"
            )
        }
        Error::NoMemory { place, bytes } => {
            let folder = place.strip_prefix("file ").and_then(|path| Path::new(path).parent());
            write!(f, "{place}: {bytes} bytes can't be reserved; {}", room::how_to_have_more(folder))
        }
        other => write!(f, "{other}"),
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Handover(error)
    }
}

impl<T> From<PushError<T>> for Trouble {
    fn from(refused: PushError<T>) -> Trouble {
        Trouble::Handover(refused.error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::System(error)
    }
}
