//! Why a command ended otherwise than well.

use std::fmt;
use std::io;

/// What went wrong, as the terminal is told.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Ctrl-C, or a request to end.
    Interrupted,
    /// The demo found that the library broke its word.
    PromiseBroken(String),
    /// A process of the demo ended by itself, and should not have.
    Ended(String),
    Handover(handover::Error),
    System(io::Error),
}

impl Trouble {
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Trouble::Interrupted => 130,
            // Whoever read our output has had enough.
            _ if self.is_broken_pipe() => 0,
            _ => 1,
        }
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Trouble::System(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Interrupted => f.write_str("interrupted; all processes were ended, and nothing is left behind"),
            Trouble::PromiseBroken(what) => write!(f, "a promise was broken: {what}"),
            Trouble::Ended(who) => write!(f, "{who}; see above for what it said"),
            Trouble::Handover(error) => error.fmt(f),
            Trouble::System(error) => error.fmt(f),
        }
    }
}

impl From<handover::Error> for Trouble {
    fn from(error: handover::Error) -> Trouble {
        Trouble::Handover(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::System(error)
    }
}

impl From<rustix::io::Errno> for Trouble {
    fn from(error: rustix::io::Errno) -> Trouble {
        Trouble::System(error.into())
    }
}
