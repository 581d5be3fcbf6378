//! Windows: mappings backed by the page file or by files, named objects that go with their last handle.
//!
//! Everything that a segment needs beside its bytes is a named kernel object: its name, its locks, what its gates sleep
//! on. The kernel keeps such an object for as long as any process has a handle of it, and closes a process's handles when
//! its last thread is gone, whatever ended it. All that is said here of deaths rests on that.

mod card;
mod clock;
mod create;
mod file;
mod lock_file;
mod mapping;
mod object;
mod placing;
mod refusal;
mod security;
mod signals;
mod sleep;
mod storage;

pub(crate) use clock::{last_tick, now};
pub(crate) use create::{create, give_name};
pub(crate) use lock_file::{LockFile, forks, is_locked};
pub(crate) use mapping::Mapping;
pub(crate) use placing::{huge_page, unfit_node};
pub(crate) use signals::Signals;
pub(crate) use sleep::{barrier, barrier_available};
// A model checker has its own.
#[cfg_attr(loom, allow(unused_imports))]
pub(crate) use sleep::{wait, wake};
pub(crate) use storage::{
    HandedOver, Lent, Location, Shared, adopt, at_path, facts, facts_at, goes_by_itself, lend, named, names, open,
    read_beginning, remove, reopen, reserve, share, still_named, takes_no_memory_to_read, unfit_in_a_name,
};
