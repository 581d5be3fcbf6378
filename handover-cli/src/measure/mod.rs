//! Measuring what this machine does with a queue: the loops that run, in threads and in processes, and what came of them.
//!
//! A [`case::Case`] says what is run, [`team`] runs it, and an [`effort::Effort`] is what one endpoint did. What the
//! machine itself can do is in [`limits`]. Nothing here knows who asks, or how it is shown.

pub(crate) mod board;
pub(crate) mod case;
pub(crate) mod effort;
pub(crate) mod ends;
pub(crate) mod limits;
pub(crate) mod load;
pub(crate) mod pauses;
pub(crate) mod sample;
pub(crate) mod team;
pub(crate) mod trip;
