//! How long segments are there.

/// Whether what has a name stays without anybody who has it open: here it lies in the page file, and goes with its last
/// handle.
pub(crate) const NAMES_STAY: bool = false;
