//! What can be told of a process.

/// A process of this machine, if its number means the same one here: it may live in a container with numbers of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// The name of its program, which may be cut short.
    pub(crate) command: String,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "no system tells all of them")]
pub(crate) enum State {
    Runs,
    Sleeps,
    /// By a signal or a debugger: it keeps what it holds.
    Stopped,
    /// Dead, and not yet collected by its parent.
    Zombie,
    /// The system does not say.
    Unknown,
}
