//! What the command asks of the system beyond the standard library: few things, each in a file that knows nothing else, and
//! each with the same name and surface for every system. Nothing else in the command names one.

#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub(crate) use unix::{
    child, clock, companion, machine, paths, processes, processors, programs, room, signals, standard,
};
