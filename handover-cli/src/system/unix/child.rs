//! Child processes that end with their parent, and what it hands to them.
//!
//! Segments without a name leave nothing behind, whoever is killed. A child finds them by the number that they have in
//! its parent.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{self, Command};

use clap::Args;
use handover::{Broadcast, Error, Queue, Shareable, SharedMemory, Tasks};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// What a segment without a name is handed over as.
pub(crate) type Shared = OwnedFd;
/// What a child finds.
pub(crate) type Found = File;

/// This program, whatever stands at its path by now.
pub(crate) fn this_program() -> io::Result<PathBuf> {
    Ok("/proc/self/exe".into())
}

/// What `Child::kill` does.
pub(crate) const KILL: &str = "SIGKILL";

/// As long as it is kept, children end with this process, if they call `end_with`.
pub(crate) struct Bond;

impl Bond {
    pub(crate) fn tie() -> io::Result<Bond> {
        // The children see to it.
        Ok(Bond)
    }
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
    pub(crate) fn new(segment: Shared) -> Handed {
        Handed(segment)
    }
}

/// Adds to a command what a child of ours needs to find its parent, and what that hands over.
pub(crate) fn hand_over(command: &mut Command, segments: &[Handed]) -> io::Result<()> {
    let numbers: Vec<String> = segments.iter().map(|segment| segment.0.as_raw_fd().to_string()).collect();
    command.args(["--parent", &process::id().to_string(), "--handed", &numbers.join(",")]);
    Ok(())
}

/// What a child is told by `hand_over`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Parent {
    #[arg(long)]
    parent: u32,
    /// The numbers of what it hands over.
    #[arg(long, value_delimiter = ',')]
    handed: Vec<i32>,
}

impl Parent {
    /// As `end_with`.
    pub(crate) fn end_with(&self) -> io::Result<bool> {
        end_with(self.parent)
    }

    /// How many segments it handed over.
    pub(crate) fn count(&self) -> usize {
        self.handed.len()
    }

    pub(crate) fn handed(&self, nth: usize) -> io::Result<Found> {
        let number = self.handed.get(nth).ok_or(io::ErrorKind::InvalidInput)?;
        File::options().read(true).write(true).open(format!("/proc/{}/fd/{number}", self.parent))
    }
}

pub(crate) fn queue<M: Shareable + ?Sized>(found: Found) -> Result<Queue<M>, Error> {
    Queue::from_fd(found)
}

pub(crate) fn broadcast<M: Shareable + ?Sized>(found: Found) -> Result<Broadcast<M>, Error> {
    Broadcast::from_fd(found)
}

pub(crate) fn tasks<M: Shareable + ?Sized>(found: Found) -> Result<Tasks<M>, Error> {
    Tasks::from_fd(found)
}

pub(crate) fn memory(found: Found) -> Result<SharedMemory, Error> {
    SharedMemory::from_fd(found)
}
