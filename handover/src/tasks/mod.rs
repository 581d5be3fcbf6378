//! A queue of tasks: with priorities, leases, retries and dead letters.
//!
//! [Submitters](Submitter) put tasks in, [workers](Worker) take them. What a worker has taken it holds a [`Lease`] on,
//! until it says that the task is done or has failed. If the worker is killed, another is given the task within
//! milliseconds. A task is delivered *at least once*: it can have been worked on, wholly or in part, when it is delivered
//! again; once [`done`](Lease::done) has returned it never is.
//!
//! ```
//! use handover::tasks::Options;
//!
//! let jobs = Options::new().anonymous::<[u8]>()?;
//! let submitter = jobs.submitter()?;
//! submitter.submit(b"resize picture 1")?;
//! submitter.task(b"resize picture 2").priority(7).submit()?;
//!
//! let worker = jobs.worker()?;
//! let lease = worker.take()?;
//! assert_eq!(lease.task(), b"resize picture 2");
//! lease.done()?;
//! let lease = worker.take()?;
//! lease.fail("the disk is full")?; // another try in a while
//! # Ok::<(), handover::Error>(())
//! ```

mod admin;
mod block;
mod core;
mod desk;
mod hand;
mod keys;
mod latch;
mod member;
mod options;
mod peek;
mod submitter;
#[cfg(test)]
mod tests;
mod worker;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

pub use self::admin::{DeadLetter, Leased, Report, WorkerReport, inspect, inspect_at};
pub(crate) use self::admin::{is_finished, reap};
pub use self::core::LEVELS;
use self::core::{Core, Measures};
pub use self::desk::Times;
pub use self::options::Options;
pub use self::peek::{Peeked, peek, peek_at};
pub use self::submitter::{Draft, Submitter, TaskId, Ticket};
pub use self::worker::{Lease, Worker};
use crate::error::Error;
use crate::message::{self, Shareable};
use crate::places::ways_to_open;
use crate::segment::{Place, Segment};

/// A queue of tasks, between threads or processes. Made by [`Options`], or opened by name, path or file descriptor.
pub struct Tasks<M: Shareable + ?Sized> {
    core: Arc<Core>,
    message: PhantomData<fn() -> Box<M>>,
}

impl<M: Shareable + ?Sized> Clone for Tasks<M> {
    fn clone(&self) -> Self {
        Tasks { core: Arc::clone(&self.core), message: PhantomData }
    }
}

impl<M: Shareable + ?Sized> Tasks<M> {
    fn over(core: Core) -> Tasks<M> {
        Tasks { core: Arc::new(core), message: PhantomData }
    }

    fn in_segment(segment: Segment) -> Result<Tasks<M>, Error> {
        let measures = Measures::of(&segment)?;
        message::check::<M>(segment.header(), measures.message(), &segment.place().to_string())?;
        Ok(Tasks::over(Core::new(segment, measures)))
    }

    ways_to_open!(Tasks, "the task queue");

    fn segment(&self) -> &Segment {
        &self.core.segment
    }

    /// Attaches a submitter.
    pub fn submitter(&self) -> Result<Submitter<M>, Error> {
        Submitter::attach(&self.core)
    }

    /// Attaches a worker.
    pub fn worker(&self) -> Result<Worker<M>, Error> {
        Worker::attach(&self.core)
    }

    /// Closes it: no more tasks are taken in, and workers are told once nothing is left.
    pub fn close(&self) {
        self.core.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }
}

impl<M: Shareable + ?Sized> fmt::Debug for Tasks<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("place", &self.core.place()).finish_non_exhaustive()
    }
}
