//! Where memory lies: Windows decides that by itself, and is asked for nothing yet.

use std::collections::BTreeMap;

use super::mapping::Mapping;

/// Why no memory can be had on that node, if so.
pub(crate) fn unfit_node(_node: u32) -> Option<String> {
    Some("on Windows memory can't be put on a NUMA node yet; leave the node out".into())
}

/// The size of a huge page. None: they take a privilege that hardly anyone has.
pub(crate) fn huge_page() -> Option<usize> {
    None
}

impl Mapping {
    /// How many bytes lie on each NUMA node. Empty: the system does not tell.
    pub(crate) fn nodes(&self) -> BTreeMap<u32, u64> {
        BTreeMap::new()
    }

    /// How many bytes lie on huge pages.
    pub(crate) fn bytes_on_huge_pages(&self) -> u64 {
        0
    }
}
