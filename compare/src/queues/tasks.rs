//! Our task queue: submit, take, done.

use std::os::fd::OwnedFd;

use handover::tasks::{Options, Submitter, Tasks, Worker};

use super::processes::{WAITS, only};
use super::{Across, Made, Place};
use crate::ends::{Put, Take};
use crate::shared::load::Load;

/// `WAIT`: one of `WAITS`.
pub struct TaskQueue<const WAIT: u8>;

impl<L: Load> Put<L> for Submitter<L> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        if self.submit(message).is_err() {
            panic!("a task is refused");
        }
    }

    fn end(self, last: Option<usize>) {
        if last.is_some() {
            self.close();
        }
    }
}

impl<L: Load> Take<L> for Worker<L> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        let lease = Worker::take(self).ok()?;
        let task = *lease.task();
        lease.done().expect("a lease of this worker's");
        Some(task)
    }
}

impl<L: Load, const WAIT: u8> Across<L> for TaskQueue<WAIT> {
    const DESCRIPTORS: usize = 1;
    type Put = Submitter<L>;
    type Take = Worker<L>;

    fn make(place: &Place) -> Result<Made, String> {
        let tasks = Options::new().capacity(place.cell.capacity).anonymous::<L>().map_err(|error| error.to_string())?;
        let descriptors = vec![tasks.share().expect("a descriptor")];
        Ok(Made { keep: Box::new(tasks), descriptors })
    }

    fn put(_: &Place, descriptors: Vec<OwnedFd>) -> Self::Put {
        let end = Tasks::<L>::from_fd(only(descriptors)).expect("the run's queue").submitter().expect("a submitter");
        end.set_wait(WAITS[WAIT as usize]);
        end
    }

    fn take(_: &Place, descriptors: Vec<OwnedFd>) -> Self::Take {
        let end = Tasks::<L>::from_fd(only(descriptors)).expect("the run's queue").worker().expect("a worker");
        end.set_wait(WAITS[WAIT as usize]);
        end
    }
}
