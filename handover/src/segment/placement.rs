//! Where a segment's memory lies: told without becoming its user.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Header, Place, mapped_length, refused};
use crate::Error;
use crate::os::{self, Access, Mapping, Refusal};

/// Where a segment's memory lies, as [`placement`] found it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// How many bytes of memory it takes.
    pub bytes: u64,
    /// How many of them lie on each NUMA node. Empty where the system does not tell.
    pub nodes: BTreeMap<u32, u64>,
    /// How many of them lie on huge pages.
    pub on_huge_pages: u64,
}

/// Where the memory of the segment of that name lies. It only looks, at every page of it, which takes a while if there
/// are many; and the system may move them at any time.
///
/// ```
/// use handover::{Options, placement};
///
/// # let name = format!("doc-placement-{}", std::process::id());
/// let _queue = Options::new(100_000).huge_pages().create::<u64>(&name)?;
/// let found = placement(&name)?;
/// println!("{} of {} bytes on huge pages; on nodes {:?}", found.on_huge_pages, found.bytes, found.nodes);
/// handover::remove(&name)?;
/// # Ok::<(), handover::Error>(())
/// ```
pub fn placement(name: &str) -> Result<Placement, Error> {
    placed(&Place::Named(name.into()))
}

/// Where the memory of the segment in that file lies; as [`placement`].
pub fn placement_at(path: impl AsRef<Path>) -> Result<Placement, Error> {
    placed(&Place::Path(path.as_ref().into()))
}

fn placed(place: &Place) -> Result<Placement, Error> {
    let refuse = |refusal| refused(&place.to_string(), "open", 0, refusal);
    let location = place.location()?.ok_or_else(|| refuse(Refusal::Missing))?;
    let file = os::open(&location, Access::ReadOnly).map_err(refuse)?;
    let facts = os::facts(os::lend(&file)).map_err(refuse)?;
    let mut beginning = [0; size_of::<Header>()];
    let have = os::read_beginning(os::lend(&file), &mut beginning).map_err(refuse)?;
    let header = Header::validated(&beginning[..have], facts.length, place)?;
    os::takes_no_memory_to_read(os::lend(&file), &facts).map_err(refuse)?;
    let bytes = mapped_length(&header, facts.length);
    let mapping = Mapping::new(os::lend(&file), bytes as usize, Access::ReadOnly).map_err(refuse)?;
    Ok(Placement { bytes, nodes: mapping.nodes(), on_huge_pages: mapping.bytes_on_huge_pages() })
}
