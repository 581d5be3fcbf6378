//! Short names for queues between threads, made by [`Options::threads`](crate::Options::threads).

use crate::message::Owned;

/// A queue between threads, of any `T: Send`.
pub type Queue<T> = crate::Queue<Owned<T>>;
/// A handle that pushes to it.
pub type Producer<T> = crate::Producer<Owned<T>>;
/// A handle that pops from it.
pub type Consumer<T> = crate::Consumer<Owned<T>>;
