//! What the command asks of the system beyond the standard library. Few things, each in a file that knows nothing else.

pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod companion;
pub(crate) mod machine;
pub(crate) mod processes;
pub(crate) mod processors;
pub(crate) mod signals;
pub(crate) mod standard;
