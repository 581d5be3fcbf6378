//! Child processes that end with their parent, and what it hands to them.
//!
//! Segments without a name leave nothing behind, whoever is killed. A child finds them by the number that they have in
//! its parent.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// This program, whatever stands at its path by now.
pub(crate) fn this_program() -> PathBuf {
    "/proc/self/exe".into()
}

/// The kernel kills this process when its parent dies, from now on. False if the parent is dead already.
///
/// It does so when the *thread* dies that started it: let that be one that waits for it.
pub(crate) fn end_with(parent: u32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(getppid().map(Pid::as_raw_pid) == i32::try_from(parent).ok())
}

/// A segment that children may open, as long as this is kept.
#[derive(Debug)]
pub(crate) struct Handed(OwnedFd);

impl Handed {
    pub(crate) fn new(segment: OwnedFd) -> Handed {
        Handed(segment)
    }

    /// What a child is told.
    pub(crate) fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// What the parent handed over under that number.
pub(crate) fn handed_by(parent: u32, number: i32) -> io::Result<File> {
    File::options().read(true).write(true).open(format!("/proc/{parent}/fd/{number}"))
}
