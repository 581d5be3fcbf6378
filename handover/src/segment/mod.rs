//! A piece of memory that processes share: created whole or not at all, validated before it is believed, and known to
//! be in use for as long as anyone has it open.
//!
//! This part knows the header and nothing of what stands in the body. It promises that `body_length` bytes from `body`
//! on can be read and written without a fault, for as long as nobody cuts the file off.

pub(crate) mod copy;
mod header;
mod listing;
mod making;
mod memory;
mod name;
mod placement;

use std::time::Duration;

use zerocopy::IntoBytes;

pub(crate) use header::Header;
pub use header::Kind;
pub use listing::{NamedSegment, kind, kind_at, segment, segment_at, segments};
pub(crate) use making::Making;
pub use memory::{ReadOnly, ReadOnlyMemory, ReadView, SharedMemory, View, Writable};
pub(crate) use name::{Place, check as check_name};
pub use placement::{Placement, placement, placement_at};

use self::header::GOES_WITH_LAST_USER;
use crate::Error;
use crate::os::{self, Access, HandedOver, Lent, Location, LockFile, Mapping, Refusal, Wishes};

/// The byte on which every user of a segment holds a shared lock. The bytes after it are the roster's, one for each
/// member.
const PRESENCE: u64 = 0;

/// A mapped segment. To have one is to be its user, unless it is only looked at: see [`segments`].
#[derive(Debug)]
pub(crate) struct Segment {
    header: Header,
    place: Place,
    /// None for one without a name.
    location: Option<Location>,
    mapping: Mapping,
    lock_file: LockFile,
}

/// What somebody wants who opens a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Use,
    /// To read it once. Who looks is not present: the segment may go meanwhile, and does not go because of it.
    Look,
}

impl Segment {
    /// Makes a segment, has `init` fill in its body (all zeroes before; address and length), and gives it its name.
    ///
    /// Killed at any instruction, it leaves nothing or the whole segment. The mode is set as it is; an anonymous segment
    /// has none, for to hold its descriptor is the permission.
    pub(crate) fn create(
        place: &Place,
        header: Header,
        making: &Making,
        init: impl FnOnce(*mut u8, usize),
    ) -> Result<Segment, Error> {
        let location = place.location()?;
        let goes = making.goes_with_last_user || matches!(&location, Some(location) if os::goes_by_itself(location));
        let features = if goes { GOES_WITH_LAST_USER } else { 0 };
        let header = Header { features: header.features | features, ..header }.sealed()?;
        let bytes = if making.huge_pages { whole_huge_pages(header.total_size) } else { header.total_size };
        if let Some(why) = making.numa_node.and_then(os::unfit_node) {
            return Err(Error::Unfit { why: format!("{place}: {why}") });
        }
        let refuse = |refusal| refused(&place.to_string(), "create", bytes, refusal);

        // The name decides at the end. This spares a great deal of memory when it is taken already.
        if let Some(location) = &location
            && os::facts_at(location).is_ok()
        {
            return Err(Error::AlreadyExists { place: place.to_string() });
        }
        let wishes = Wishes { mode: making.mode, numa_node: making.numa_node, huge_pages: making.huge_pages };
        let (lock_file, mapping) = os::create(location.as_ref(), bytes, &wishes).map_err(refuse)?;
        let mut segment = Segment { header, place: place.clone(), location: None, mapping, lock_file };
        let bytes_of_header = header.as_bytes();
        // SAFETY: the mapping is writable and holds the header; nobody else can have it mapped, as it has no name yet.
        unsafe {
            segment.mapping.base().as_ptr().copy_from_nonoverlapping(bytes_of_header.as_ptr(), bytes_of_header.len())
        };
        init(segment.body(), segment.body_length());

        // Present before it can be found, so that nobody can take it for abandoned.
        let present = segment.lock_file.try_lock_shared(PRESENCE);
        if !present.map_err(|error| refuse(Refusal::Other(error)))? {
            return Err(refuse(Refusal::Other(std::io::Error::other("somebody has locked it"))));
        }
        if let Some(location) = &location {
            os::give_name(&segment.lock_file, location).map_err(refuse)?;
        }
        // Only now: had it failed, what is there would be somebody else's to remove.
        segment.location = location;
        Ok(segment)
    }

    /// Opens a segment for reading and writing, after validating it.
    pub(crate) fn open(place: &Place) -> Result<Segment, Error> {
        Segment::open_as(place, Access::ReadWrite)
    }

    /// Opens a segment to look at it, without becoming its user.
    pub(crate) fn look(place: &Place) -> Result<Segment, Error> {
        let refuse = |refusal| refused(&place.to_string(), "open", 0, refusal);
        let location = place.location()?.ok_or_else(|| refuse(Refusal::Missing))?;
        let lock_file = LockFile::new(|| os::open(&location, Access::ReadOnly)).map_err(refuse)?;
        Segment::attach(place.clone(), None, Access::ReadOnly, lock_file, Purpose::Look)
    }

    /// Opens a segment whose body must not be written to: the processor refuses it, and ends the process.
    pub(crate) fn open_read_only(place: &Place) -> Result<Segment, Error> {
        Segment::open_as(place, Access::ReadOnly)
    }

    fn open_as(place: &Place, access: Access) -> Result<Segment, Error> {
        let Some(location) = place.location()? else {
            return Err(Error::NotFound { place: place.to_string() });
        };
        let lock_file = LockFile::new(|| os::open(&location, access))
            .map_err(|refusal| refused(&place.to_string(), "open", 0, refusal))?;
        Segment::attach(place.clone(), Some(location), access, lock_file, Purpose::Use)
    }

    /// Opens a segment that was handed over, by what stays the caller's and may be closed. The segment does not learn its
    /// name, so it can't remove itself as its last user.
    pub(crate) fn handed_over(segment: HandedOver<'_>) -> Result<Segment, Error> {
        Segment::adopt(segment, Access::ReadWrite)
    }

    /// As `handed_over`, for reading only.
    pub(crate) fn handed_over_read_only(segment: HandedOver<'_>) -> Result<Segment, Error> {
        Segment::adopt(segment, Access::ReadOnly)
    }

    fn adopt(segment: HandedOver<'_>, access: Access) -> Result<Segment, Error> {
        let place = Place::Anonymous;
        let lock_file = LockFile::new(|| os::adopt(segment, access))
            .map_err(|refusal| refused(&place.to_string(), "open", 0, refusal))?;
        Segment::attach(place, None, access, lock_file, Purpose::Use)
    }

    fn attach(
        place: Place,
        location: Option<Location>,
        access: Access,
        lock_file: LockFile,
        purpose: Purpose,
    ) -> Result<Segment, Error> {
        let refuse = |refusal| refused(&place.to_string(), "open", 0, refusal);
        let missing = || Error::NotFound { place: place.to_string() };

        let validate = |file: Lent<'_>| -> Result<(Header, u64), Error> {
            let mut beginning = [0; size_of::<Header>()];
            let facts = os::facts(file).map_err(refuse)?;
            let have = os::read_beginning(file, &mut beginning).map_err(refuse)?;
            let header = Header::validated(&beginning[..have], facts.length, &place)?;
            match access {
                Access::ReadOnly => os::takes_no_memory_to_read(file, &facts).map_err(refuse)?,
                Access::ReadWrite if facts.has_holes() => {
                    // A copy of a segment may have holes, and a write to one can fail when memory is short.
                    os::reserve(file, header.total_size)
                        .map_err(|refusal| refused(&place.to_string(), "open", header.total_size, refusal))?;
                }
                Access::ReadWrite => {}
            }
            Ok((header, mapped_length(&header, facts.length)))
        };
        let (header, length) = lock_file.lend(validate).map_err(refuse)??;

        if purpose == Purpose::Use {
            be_present(&lock_file, location.as_ref()).map_err(refuse)?;
        }
        // Opened while its last user was about to remove it: that user found nobody present, or a plain removal came
        // between. What has no name any more would be a segment that nobody else can come to.
        if let Some(location) = &location
            && !lock_file.lend(|file| os::still_named(file, location)).and_then(|result| result).map_err(refuse)?
        {
            return Err(missing());
        }
        let mapping = lock_file
            .lend(|file| Mapping::new(file, length as usize, access))
            .and_then(|result| result)
            .map_err(refuse)?;
        Ok(Segment { header, place, location, mapping, lock_file })
    }

    /// What the segment is handed to another process as, which opens it with `handed_over`. It carries no locks, and
    /// closing it harms nobody. No child inherits it unasked.
    pub(crate) fn share(&self) -> Result<os::Shared, Error> {
        let shared = self.lock_file.lend(|file| os::share(file, self.access())).and_then(|result| result);
        shared.map_err(|refusal| refused(&self.place.to_string(), "share", 0, refusal))
    }

    fn access(&self) -> Access {
        if self.mapping.writable() { Access::ReadWrite } else { Access::ReadOnly }
    }

    /// As it was when the segment was opened.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The file whose bytes from 1 on are the roster's to lock.
    pub(crate) fn lock_file(&self) -> &LockFile {
        &self.lock_file
    }

    /// The body's first byte, aligned to 4096. Others change these bytes at any time. To be written only through a
    /// segment opened for writing.
    pub(crate) fn body(&self) -> *mut u8 {
        // SAFETY: the mapping has at least the bytes before the body; `Header` saw to that.
        unsafe { self.mapping.base().as_ptr().add(Header::BODY_OFFSET) }
    }

    pub(crate) fn body_length(&self) -> usize {
        self.header.total_size as usize - Header::BODY_OFFSET
    }

    /// An error unless the segment is of that kind.
    pub(crate) fn expect(&self, wanted: Kind) -> Result<(), Error> {
        let found = self.header.kind();
        if found == wanted {
            return Ok(());
        }
        Err(Error::Kind { place: self.place.to_string(), found: found.name(), wanted: wanted.name() })
    }

    /// What is said of a header that a segment of this kind can't have.
    pub(crate) fn corrupt(&self, why: String) -> Error {
        Error::CorruptHeader { place: self.place.to_string(), why }
    }

    /// Removes the file if nobody else is present.
    ///
    /// Everybody gives up their presence *before* trying for the lock. So of two who leave at once the one who tries
    /// later finds the other gone, unless the other has the lock already and removes the file; never do both miss it.
    /// Who comes in between is refused by the lock, or is found by it.
    fn leave(&self, location: &Location) -> Result<(), Refusal> {
        self.lock_file.unlock(PRESENCE).map_err(Refusal::Other)?;
        let identity = self.lock_file.lend(os::facts)??.identity;
        let reopened;
        let lock_file = match self.access() {
            Access::ReadWrite => &self.lock_file,
            // A lock against all others takes a file that is open for writing. Who has no permission to that leaves the
            // segment where it is.
            Access::ReadOnly => {
                reopened = LockFile::new(|| os::open(location, Access::ReadWrite))?;
                &reopened
            }
        };
        if lock_file.lend(os::facts)??.identity != identity {
            return Ok(());
        }
        // Held until the descriptor is closed, by which time the name is gone.
        if lock_file.try_lock(PRESENCE).map_err(Refusal::Other)? && os::facts_at(location)?.identity == identity {
            os::remove(location)?;
        }
        Ok(())
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // A forked child was never present: it only unmaps.
        if self.lock_file.forked() || !self.header.goes_with_last_user() {
            return;
        }
        if let Some(location) = &self.location {
            // Nobody is there to be told. A segment that could not be removed stays, as after a death.
            let _ = self.leave(location);
        }
    }
}

/// So many bytes, and what is missing from the last huge page.
fn whole_huge_pages(bytes: u64) -> u64 {
    os::huge_page().and_then(|size| bytes.checked_next_multiple_of(size as u64)).unwrap_or(bytes)
}

/// How much of a file of that length is mapped: the segment, and if it was made for huge pages all of the last one, for
/// without its end that would not be mapped as one. A mapping can have as many bytes as a valid header says; if not as many
/// as are asked for here, the system refuses.
fn mapped_length(header: &Header, file_length: u64) -> u64 {
    let whole = whole_huge_pages(header.total_size);
    if file_length >= whole { whole } else { header.total_size }
}

/// Takes the lock that every user has. Refused if somebody is about to remove the segment, and does not come to an end with
/// it: whether it is there can't be told.
fn be_present(lock_file: &LockFile, location: Option<&Location>) -> Result<(), Refusal> {
    // Who leaves holds the byte alone for the time of a removal, or for less if the file is no longer the named one; who
    // removes what is stale, for as long as it takes to see once more whether it is.
    for _ in 0..400 {
        if lock_file.try_lock_shared(PRESENCE).map_err(Refusal::Other)? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(250));
    }
    if let Some(location) = location
        && !lock_file.lend(|file| os::still_named(file, location))??
    {
        return Err(Refusal::Missing);
    }
    let why = "a process has been about to remove it for a tenth of a second; if that one is stopped, let it go on, or kill it";
    Err(Refusal::Other(std::io::Error::new(std::io::ErrorKind::ResourceBusy, why)))
}

/// Opens the segment of that place, or creates it.
pub(crate) fn open_or_create<R>(
    place: &Place,
    open: impl Fn(Segment) -> Result<R, Error>,
    create: impl Fn() -> Result<R, Error>,
) -> Result<R, Error> {
    loop {
        match Segment::open(place) {
            Ok(segment) => return open(segment),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        // Another one may create it, or remove it, between the two.
        match create() {
            Err(Error::AlreadyExists { .. }) => {}
            other => return other,
        }
    }
}

/// Removes the segment's name. Those who have it open keep it.
///
/// Who removes a segment that nobody has open looks first whether the name is still that segment's. For it to stay so until
/// it is removed, nobody else may remove it meanwhile, as then another one could get the name: hence the presence.
pub(crate) fn remove(place: &Place) -> Result<(), Error> {
    let refuse = |refusal| refused(&place.to_string(), "remove", 0, refusal);
    let location = place.location()?.ok_or_else(|| refuse(Refusal::Missing))?;
    loop {
        let lock_file = match LockFile::new(|| os::open(&location, Access::ReadOnly)) {
            Ok(lock_file) => lock_file,
            Err(Refusal::Missing) => return Err(refuse(Refusal::Missing)),
            // No segment, or none that this process could look at.
            Err(_) => return os::remove(&location).map_err(refuse),
        };
        match be_present(&lock_file, Some(&location)) {
            Ok(()) => {}
            // Another one may have the name by now.
            Err(Refusal::Missing) => continue,
            Err(refusal) => return Err(refuse(refusal)),
        }
        let identity = lock_file.lend(os::facts).and_then(|facts| facts).map_err(refuse)?.identity;
        if os::facts_at(&location).map_err(refuse)?.identity == identity {
            return os::remove(&location).map_err(refuse);
        }
    }
}

/// Removes the segment if nobody has it open and `stale` says so of it. Returns whether it did.
///
/// Who opens it at this moment either is there already, and it stays, or finds that it does not exist. `stale` is asked
/// twice, the second time while nobody is there who could change anything.
pub(crate) fn remove_unused(place: &Place, stale: impl Fn(Segment) -> Result<bool, Error>) -> Result<bool, Error> {
    let refuse = |refusal| refused(&place.to_string(), "remove", 0, refusal);
    let location = place.location()?.ok_or_else(|| refuse(Refusal::Missing))?;
    // First without keeping anybody waiting.
    if !stale(Segment::look(place)?)? {
        return Ok(false);
    }
    let lock_file = LockFile::new(|| os::open(&location, Access::ReadWrite)).map_err(refuse)?;
    if !lock_file.try_lock(PRESENCE).map_err(|error| refuse(Refusal::Other(error)))? {
        return Ok(false);
    }
    // It may be another one than a moment ago. What is looked at is what is locked.
    let again = LockFile::new(|| lock_file.lend(|file| os::reopen(file, Access::ReadOnly))?).map_err(refuse)?;
    if !stale(Segment::attach(place.clone(), None, Access::ReadOnly, again, Purpose::Look)?)? {
        return Ok(false);
    }
    let identity = lock_file.lend(os::facts).and_then(|facts| facts).map_err(refuse)?.identity;
    if os::facts_at(&location).map_err(refuse)?.identity != identity {
        return Ok(false);
    }
    os::remove(&location).map_err(refuse)?;
    Ok(true)
}

/// The names of this machine's segments, sorted. Files that are named like segments are listed whatever they hold.
pub(crate) fn names() -> Result<Vec<String>, Error> {
    let mut names = os::names()
        .map_err(|source| Error::System { doing: "list the segments of this machine".to_owned(), source })?;
    names.retain(|name| check_name(name).is_ok());
    Ok(names)
}

/// What users are told. `bytes` is what was asked for, where something was.
fn refused(place: &str, doing: &'static str, bytes: u64, refusal: Refusal) -> Error {
    let place = place.to_owned();
    match refusal {
        Refusal::Missing => Error::NotFound { place },
        Refusal::NoFolder(folder) => Error::NotFound { place: format!("the folder {}", folder.display()) },
        Refusal::Exists => Error::AlreadyExists { place },
        Refusal::NotPermitted => Error::Permission { place, doing },
        Refusal::NoRoom => Error::NoMemory { place, bytes },
        Refusal::NotRegular(why) => Error::NotASegment { place, why: why.to_owned() },
        Refusal::Forked => Error::Forked,
        Refusal::Other(source) => Error::System { doing: format!("{doing} {place}"), source },
    }
}

#[cfg(test)]
mod tests;
