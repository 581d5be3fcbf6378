//! Linux: tmpfs files, open-file-description locks, futex, membarrier.

mod clock;
mod create;
mod file;
mod lock_file;
mod mapping;
mod placing;
mod signals;
mod sleep;

pub(crate) use clock::{last_tick, now};
pub(crate) use create::{create, give_name};
pub(crate) use file::{
    HandedOver, Lent, Location, Shared, adopt, at_path, facts, facts_at, goes_by_itself, lend, named, names, open,
    read_beginning, remove, reopen, reserve, share, still_named, takes_no_memory_to_read, unfit_in_a_name,
};
pub(crate) use lock_file::{LockFile, forks, is_locked};
pub(crate) use mapping::Mapping;
pub(crate) use placing::{huge_page, unfit_node};
pub(crate) use signals::Signals;
pub(crate) use sleep::{barrier, barrier_available};
// A model checker has its own.
#[cfg_attr(loom, allow(unused_imports))]
pub(crate) use sleep::{wait, wake};
