//! Everybody's queues, each with two ends of one kind.

pub mod broadcasts;
pub mod brokers;
pub mod crates;
pub mod limits;
pub mod processes;
pub mod tasks;
pub mod threads;

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::ends::{Put, Take};
use crate::plan::Cell;
use crate::shared::board::Board;
use crate::shared::load::Load;

/// Where a queue between processes lies, for whoever makes or opens it.
pub struct Place {
    /// Of this one queue, on this machine: begins with `PREFIX` and the process of the run.
    pub name: String,
    /// What it is asked for.
    pub cell: Cell,
    /// What the run's endpoints share.
    pub board: Arc<Board>,
    /// Which of its kind an endpoint is.
    pub nth: usize,
}

/// All that a run leaves behind when it is killed begins so.
pub const PREFIX: &str = "handover-compare";

/// What the maker keeps until all have ended, and what it hands to each endpoint.
pub struct Made {
    /// Dropped at the end.
    pub keep: Box<dyn Any>,
    /// Inherited.
    pub descriptors: Vec<OwnedFd>,
}

/// A queue between processes.
pub trait Across<L: Load> {
    /// So many descriptors are handed to each endpoint.
    const DESCRIPTORS: usize = 0;
    /// Its sending end.
    type Put: Put<L>;
    /// Its receiving end.
    type Take: Take<L>;

    /// Makes it, or says why that can't be done here.
    fn make(place: &Place) -> Result<Made, String>;
    /// Opens an end of it, in another process.
    fn put(place: &Place, descriptors: Vec<OwnedFd>) -> Self::Put;
    /// Opens the other end.
    fn take(place: &Place, descriptors: Vec<OwnedFd>) -> Self::Take;
}
