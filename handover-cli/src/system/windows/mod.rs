//! Windows.

pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod companion;
pub(crate) mod lifetime;
pub(crate) mod machine;
pub(crate) mod paths;
pub(crate) mod processes;
pub(crate) mod processors;
pub(crate) mod programs;
pub(crate) mod room;
pub(crate) mod signals;
pub(crate) mod standard;
pub(crate) mod terminal;
pub(crate) mod words;
