//! How long segments are there.

/// Whether what has a name stays without anybody who has it open.
pub(crate) const NAMES_STAY: bool = true;
