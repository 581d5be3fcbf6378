//! Child processes that end with their parent, and what it hands to them.
//!
//! Segments without a name leave nothing behind, whoever is killed. A child finds them as its standard streams, which are
//! the handles that a process is given in a way that it can be sure of.

use std::env;
use std::io;
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::OnceLock;

use clap::Args;
use handover::{Broadcast, Error, Queue, Shareable, SharedMemory, Tasks};
use win32job::{ExtendedLimitInfo, Job, JobError};

/// What a segment without a name is handed over as.
pub(crate) type Shared = OwnedHandle;
/// What a child finds.
pub(crate) type Found = OwnedHandle;

pub(crate) fn this_program() -> io::Result<PathBuf> {
    env::current_exe()
}

/// What `Child::kill` does.
pub(crate) const KILL: &str = "TerminateProcess";

/// As long as it is kept, children end with this process, and with them what they have started in turn. There is one at a
/// time.
///
/// This process and all its children are a *job*, of which it has the only handle: the kernel ends all that is in it when
/// that is closed, which it also does when the process is killed.
pub(crate) struct Bond(&'static Job);

impl Bond {
    pub(crate) fn tie() -> io::Result<Bond> {
        // Nobody leaves a job, so there is one for all times; and closed by ourselves, it would end us.
        static JOB: OnceLock<Job> = OnceLock::new();
        let job = match JOB.get() {
            Some(job) => job,
            None => {
                let job = Job::create().map_err(failed)?;
                job.assign_current_process().map_err(failed)?;
                JOB.get_or_init(|| job)
            }
        };
        let mut limits = ExtendedLimitInfo::new();
        job.set_extended_limit_info(limits.limit_kill_on_job_close()).map_err(failed)?;
        Ok(Bond(job))
    }
}

impl Drop for Bond {
    fn drop(&mut self) {
        // Who ends in order has waited for its children; what they have started may go on. If it is refused, it ends too.
        let _ = self.0.set_extended_limit_info(&ExtendedLimitInfo::new());
    }
}

fn failed(error: JobError) -> io::Error {
    io::Error::other(error)
}

/// A segment that children may open, as long as this is kept.
#[derive(Debug)]
pub(crate) struct Handed(OwnedHandle);

impl Handed {
    pub(crate) fn new(segment: Shared) -> Handed {
        Handed(segment)
    }
}

/// Adds to a command what a child of ours needs to find what is handed over. The first comes as its standard input, the
/// second as its standard error, and a third as its standard output.
pub(crate) fn hand_over(command: &mut Command, segments: &[Handed]) -> io::Result<()> {
    command.args(["--parent", &process::id().to_string(), "--handed", &segments.len().to_string()]);
    for (nth, segment) in segments.iter().enumerate() {
        let stream = Stdio::from(segment.0.try_clone()?);
        match nth {
            0 => command.stdin(stream),
            1 => command.stderr(stream),
            2 => command.stdout(stream),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
    }
    Ok(())
}

/// What a child is told by `hand_over`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Parent {
    /// For people to read.
    #[arg(long)]
    parent: u32,
    /// How many segments it hands over.
    #[arg(long)]
    handed: usize,
}

impl Parent {
    /// The job sees to it. So it has, if the parent is dead already.
    pub(crate) fn end_with(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// How many segments it handed over.
    pub(crate) fn count(&self) -> usize {
        self.handed
    }

    pub(crate) fn handed(&self, nth: usize) -> io::Result<Found> {
        match nth {
            0 => io::stdin().as_handle().try_clone_to_owned(),
            1 => io::stderr().as_handle().try_clone_to_owned(),
            2 => io::stdout().as_handle().try_clone_to_owned(),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

pub(crate) fn queue<M: Shareable + ?Sized>(found: Found) -> Result<Queue<M>, Error> {
    Queue::from_handle(found)
}

pub(crate) fn broadcast<M: Shareable + ?Sized>(found: Found) -> Result<Broadcast<M>, Error> {
    Broadcast::from_handle(found)
}

pub(crate) fn tasks<M: Shareable + ?Sized>(found: Found) -> Result<Tasks<M>, Error> {
    Tasks::from_handle(found)
}

pub(crate) fn memory(found: Found) -> Result<SharedMemory, Error> {
    SharedMemory::from_handle(found)
}
