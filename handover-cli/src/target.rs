//! Which segment a command is about.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use handover::{Broadcast, Error, Kind, Peeked, Placement, Queue, Tasks, broadcast, tasks};

use crate::system::paths::is_path;

/// What `NAME` stands for. No name has a slash in it: so with one it is the path of a file.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Name(String),
    File(PathBuf),
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Target, Infallible> {
        Ok(if is_path(text.as_bytes()) { Target::File(text.into()) } else { Target::Name(text.into()) })
    }
}

impl Target {
    /// As the terminal is told.
    pub(crate) fn shown(&self) -> String {
        match self {
            Target::Name(name) => name.clone(),
            Target::File(path) => path.display().to_string(),
        }
    }

    pub(crate) fn kind(&self) -> Result<Kind, Error> {
        match self {
            Target::Name(name) => handover::kind(name),
            Target::File(path) => handover::kind_at(path),
        }
    }

    pub(crate) fn queue(&self) -> Result<Queue<[u8]>, Error> {
        match self {
            Target::Name(name) => Queue::open(name),
            Target::File(path) => Queue::open_at(path),
        }
    }

    pub(crate) fn broadcast(&self) -> Result<Broadcast<[u8]>, Error> {
        match self {
            Target::Name(name) => Broadcast::open(name),
            Target::File(path) => Broadcast::open_at(path),
        }
    }

    pub(crate) fn tasks(&self) -> Result<Tasks<[u8]>, Error> {
        match self {
            Target::Name(name) => Tasks::open(name),
            Target::File(path) => Tasks::open_at(path),
        }
    }

    /// Makes a queue of bytes.
    pub(crate) fn create(&self, options: &handover::Options) -> Result<Queue<[u8]>, Error> {
        match self {
            Target::Name(name) => options.create(name),
            Target::File(path) => options.create_at(path),
        }
    }

    pub(crate) fn placement(&self) -> Result<Placement, Error> {
        match self {
            Target::Name(name) => handover::placement(name),
            Target::File(path) => handover::placement_at(path),
        }
    }

    pub(crate) fn remove(&self) -> Result<(), Error> {
        match self {
            Target::Name(name) => handover::remove(name),
            Target::File(path) => handover::remove_at(path),
        }
    }

    pub(crate) fn peek_queue(&self, most: usize) -> Result<Vec<Peeked>, Error> {
        match self {
            Target::Name(name) => handover::peek(name, most),
            Target::File(path) => handover::peek_at(path, most),
        }
    }

    pub(crate) fn peek_broadcast(&self, most: usize) -> Result<Vec<Peeked>, Error> {
        match self {
            Target::Name(name) => broadcast::peek(name, most),
            Target::File(path) => broadcast::peek_at(path, most),
        }
    }

    pub(crate) fn peek_tasks(&self, most: usize) -> Result<Vec<tasks::Peeked>, Error> {
        match self {
            Target::Name(name) => tasks::peek(name, most),
            Target::File(path) => tasks::peek_at(path, most),
        }
    }

    pub(crate) fn queue_report(&self) -> Result<handover::Report, Error> {
        match self {
            Target::Name(name) => handover::inspect(name),
            Target::File(path) => handover::inspect_at(path),
        }
    }

    pub(crate) fn broadcast_report(&self) -> Result<broadcast::Report, Error> {
        match self {
            Target::Name(name) => broadcast::inspect(name),
            Target::File(path) => broadcast::inspect_at(path),
        }
    }

    pub(crate) fn tasks_report(&self) -> Result<tasks::Report, Error> {
        match self {
            Target::Name(name) => tasks::inspect(name),
            Target::File(path) => tasks::inspect_at(path),
        }
    }
}
