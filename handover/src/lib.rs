//! Handover hands messages from one thread or process to another, through memory, and keeps its promises when a
//! process is killed at any instruction.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]
#![expect(dead_code, reason = "what stands on segments comes next")]

#[cfg(not(target_os = "linux"))]
compile_error!("this platform is not supported yet: Handover runs on Linux");

mod error;
mod os;
mod segment;

pub use error::{Error, PushError};
pub use segment::{ReadOnly, ReadOnlyMemory, ReadView, SharedMemory, View, Writable};
/// The traits that make a type plain data, to derive.
pub use zerocopy;
