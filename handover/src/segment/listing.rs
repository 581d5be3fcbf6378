//! What segments there are, and of what kind: told without becoming the user of any.

use std::path::Path;

use super::{Header, Kind, PRESENCE, Place, names, refused};
use crate::Error;
use crate::os::{self, Access, Refusal};

/// A segment of this machine that has a name, as [`segments`] found it.
#[derive(Debug)]
#[non_exhaustive]
pub struct NamedSegment {
    /// Its name.
    pub name: String,
    /// What it holds, or why that can't be told.
    pub kind: Result<Kind, Error>,
    /// The length of its file. 0 if it can't be told.
    pub bytes: u64,
    /// Whether it is removed when its last user leaves. If it is there and nobody has it open, they were all killed. False if
    /// it can't be told.
    pub goes_with_last_user: bool,
    /// Who may open it, as file permissions.
    pub mode: u32,
    /// Whether any process has it open. If none has, it was left behind, or waits for its next user. False if it can't be
    /// told.
    pub in_use: bool,
}

/// The segments of this machine that have names, of every kind, in alphabetical order: queues, broadcasts, task queues
/// and plain memory, and whatever else bears such a name.
///
/// It only looks: a segment that goes with its last user stays where it is.
///
/// ```
/// use handover::{Kind, Options, segments};
///
/// # let name = format!("doc-segments-{}", std::process::id());
/// let _queue = Options::new(8).create::<u64>(&name)?;
/// let found = segments()?.into_iter().find(|segment| segment.name == name).expect("it is there");
/// assert_eq!((found.kind?, found.in_use), (Kind::Queue, true));
/// handover::remove(&name)?;
/// # Ok::<(), handover::Error>(())
/// ```
pub fn segments() -> Result<Vec<NamedSegment>, Error> {
    let mut all = Vec::new();
    for name in names()? {
        match told(name.clone(), &Place::Named(name)) {
            // Gone since its name was read.
            Err(Error::NotFound { .. }) => {}
            segment => all.push(segment?),
        }
    }
    Ok(all)
}

/// The segment of that name, as [`segments`] would list it. Fails only if there is none.
pub fn segment(name: &str) -> Result<NamedSegment, Error> {
    told(name.to_owned(), &Place::Named(name.into()))
}

/// The segment in that file, as [`segments`] would list it, with the path for its name. Fails only if there is none.
pub fn segment_at(path: impl AsRef<Path>) -> Result<NamedSegment, Error> {
    told(path.as_ref().display().to_string(), &Place::Path(path.as_ref().into()))
}

fn told(name: String, place: &Place) -> Result<NamedSegment, Error> {
    Ok(match look(place) {
        Err(error @ (Error::NotFound { .. } | Error::Name { .. })) => return Err(error),
        Err(error) => {
            NamedSegment { name, kind: Err(error), bytes: 0, in_use: false, goes_with_last_user: false, mode: 0 }
        }
        Ok(Looked { header, bytes, mode, in_use }) => NamedSegment {
            name,
            goes_with_last_user: header.as_ref().is_ok_and(Header::goes_with_last_user),
            kind: header.map(|header| header.kind()),
            bytes,
            mode,
            in_use,
        },
    })
}

/// What the segment of that name holds.
pub fn kind(name: &str) -> Result<Kind, Error> {
    look(&Place::Named(name.into()))?.header.map(|header| header.kind())
}

/// What the segment in that file holds.
pub fn kind_at(path: impl AsRef<Path>) -> Result<Kind, Error> {
    look(&Place::Path(path.as_ref().into()))?.header.map(|header| header.kind())
}

pub(super) struct Looked {
    header: Result<Header, Error>,
    bytes: u64,
    mode: u32,
    pub(super) in_use: bool,
}

pub(super) fn look(place: &Place) -> Result<Looked, Error> {
    let refuse = |refusal| refused(&place.to_string(), "open", 0, refusal);
    let location = place.location()?.ok_or_else(|| refuse(Refusal::Missing))?;
    let file = os::open(&location, Access::ReadOnly).map_err(refuse)?;
    let facts = os::facts(os::lend(&file)).map_err(refuse)?;
    let in_use = os::is_locked(os::lend(&file), PRESENCE).map_err(|error| refuse(Refusal::Other(error)))?;
    let mut beginning = [0; size_of::<Header>()];
    let have = os::read_beginning(os::lend(&file), &mut beginning).map_err(refuse)?;
    let header = Header::validated(&beginning[..have], facts.length, place);
    Ok(Looked { header, bytes: facts.length, mode: facts.mode, in_use })
}
