//! What the command asks of the system beyond the standard library: few things, each in a file that knows nothing else, and
//! each with the same name and surface for every system. Nothing else in the command names one.

mod process;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as here;
#[cfg(windows)]
use windows as here;

pub(crate) use here::{
    child, clock, companion, lifetime, machine, paths, processes, processors, programs, room, signals, standard,
    terminal, words,
};
