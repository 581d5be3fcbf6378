//! What differs between systems: mapping memory, files that carry locks, sleeping on a word of memory.
//! Nothing else in this crate names a system, and nothing here knows what a segment is.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;

/// How a file is opened and mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

/// What a new segment is to be like, as far as the system can make it so.
#[derive(Debug)]
#[cfg_attr(windows, expect(dead_code, reason = "where memory lies can't be wished for there"))]
pub(crate) struct Wishes {
    /// Who may open it, as file permissions, set as it is. Without a name it has none: who is handed it may open it.
    pub(crate) mode: u32,
    /// The NUMA node that all of it is to lie on.
    pub(crate) numa_node: Option<u32>,
    pub(crate) huge_pages: bool,
}

/// Why the system refused something about a file, as far as users are told different things.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The file, or a folder on the way to it, does not exist.
    Missing,
    /// The folder that was to hold it does not exist.
    NoFolder(std::path::PathBuf),
    /// The name is taken.
    Exists,
    NotPermitted,
    /// Memory or disk can't hold it.
    NoRoom,
    /// It is something else than a regular file.
    NotRegular(&'static str),
    /// The caller is the child of a fork, and the file belongs to its parent.
    #[cfg_attr(windows, expect(dead_code, reason = "nothing forks there"))]
    Forked,
    Other(std::io::Error),
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// By a wake-up, or because the word had changed, or for no reason: look again.
    Woken,
    TimedOut,
}
