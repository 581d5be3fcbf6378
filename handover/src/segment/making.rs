//! How a segment is made, whatever is in it.

/// What a user may ask for of a segment that is to be made, of any kind.
#[derive(Debug, Clone)]
pub(crate) struct Making {
    /// Who may open it, as file permissions.
    pub(crate) mode: u32,
    /// Whether it is removed when its last user leaves.
    pub(crate) goes_with_last_user: bool,
    /// The NUMA node that all of it is to lie on.
    pub(crate) numa_node: Option<u32>,
    /// Whether it is to lie on huge pages, if the system has some to give.
    pub(crate) huge_pages: bool,
}

/// For its user alone, until it is removed.
impl Default for Making {
    fn default() -> Making {
        Making { mode: 0o600, goes_with_last_user: false, numa_node: None, huge_pages: false }
    }
}
