//! Linux: tmpfs files, open-file-description locks, futex, membarrier.

mod clock;
mod file;
mod lock_file;
mod mapping;
mod placing;
mod signals;
mod sleep;

pub(crate) use clock::{last_tick, now};
pub(crate) use file::{
    create_anonymous, create_unnamed, facts, facts_at, give_name, in_memory, named, names, open, read_beginning,
    remove, reopen, reserve, seal_length, set_length, set_mode,
};
pub(crate) use lock_file::{LockFile, forks, is_locked};
pub(crate) use mapping::Mapping;
pub(crate) use placing::{huge_page, unfit_node};
pub(crate) use signals::Signals;
pub(crate) use sleep::{barrier, barrier_available};
// A model checker has its own.
#[cfg_attr(loom, allow(unused_imports))]
pub(crate) use sleep::{wait, wake};
