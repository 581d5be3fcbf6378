//! Handover hands messages from one thread or process to another, through memory, and keeps its promises when a
//! process is killed at any instruction.
//!
//! Between threads, messages are anything that is `Send`:
//!
//! ```
//! use std::thread;
//!
//! let queue = handover::Options::new(1000).threads::<String>()?;
//! let mut producer = queue.producer()?;
//! thread::spawn(move || {
//!     for number in 0..3 {
//!         producer.push(format!("message {number}")).unwrap();
//!     }
//!     producer.close();
//! });
//! for message in queue.consumer()?.messages() {
//!     println!("{}", message?);
//! }
//! # Ok::<(), handover::Error>(())
//! ```
//!
//! Between processes, they are plain data, bytes, or any serde type, in a segment of shared memory that has a name, a
//! path, or neither: see [`Options`] and [`Queue`]. [`SharedMemory`] is there without any queue, too.
//!
//! The promises, and what shows that they hold, are in `docs/GUARANTEES.md`; how it works, in `ARCHITECTURE.md`.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

mod blocking;
pub mod broadcast;
mod error;
mod fences;
mod gate;
mod message;
mod os;
mod peek;
mod places;
mod queue;
mod ring;
mod roster;
mod segment;
mod slots;
mod sync;
pub mod tasks;
pub mod threads;
mod upkeep;
#[cfg(all(loom, test))]
mod weak;

pub use blocking::Shrink;
pub use broadcast::Broadcast;
pub use error::{Error, PushError};
pub use gate::Wait;
#[cfg(feature = "serde")]
pub use message::Postcard;
pub use message::{InPlace, Message, Owned, Shareable};
pub use peek::Peeked;
pub use queue::{
    Consumer, Loan, Messages, Options, Producer, Queue, Received, Report, inspect, inspect_at, peek, peek_at, remove,
    remove_at,
};
pub use roster::{Counts, Member, Role};
pub use segment::{
    Kind, NamedSegment, Placement, ReadOnly, ReadOnlyMemory, ReadView, SharedMemory, View, Writable, kind, kind_at,
    placement, placement_at, segment, segment_at, segments,
};
pub use tasks::Tasks;
pub use upkeep::{reap, reap_at, remove_if_stale, remove_if_stale_at};
/// The traits that make a type plain data, to derive.
pub use zerocopy;
