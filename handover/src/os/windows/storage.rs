//! What holds a segment's bytes: a mapping backed by the page file, or a file.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::path::PathBuf;
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{DuplicateHandle, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_DISK, GetFileType};
use windows_sys::Win32::System::Memory::{CreateFileMappingW, PAGE_READWRITE, SEC_COMMIT};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::card;
pub(crate) use super::card::unfit_in_a_name;
use super::file;
use super::mapping::{bytes_in, read_page};
use super::object::{Key, PAGE, Wide, owned, random};
use super::security::Security;
use crate::os::{Access, Refusal};

/// Where a segment is that can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In the page file, under that name.
    Named(String),
    File(PathBuf),
}

pub(crate) fn named(name: &str) -> Location {
    Location::Named(name.to_owned())
}

/// The place of the segment in that file.
pub(crate) fn at_path(path: PathBuf) -> Location {
    Location::File(path)
}

/// Whether a segment there is gone when nobody uses it any more, whatever was asked for.
pub(crate) fn goes_by_itself(location: &Location) -> bool {
    matches!(location, Location::Named(_))
}

/// The names of the segments in the page file that this session can find.
pub(crate) fn names() -> io::Result<Vec<String>> {
    card::names()
}

/// A segment that is open.
pub(crate) struct Storage {
    pub(super) bytes: Bytes,
    key: Key,
    /// What its name lasts with.
    card: OnceLock<OwnedHandle>,
}

pub(super) enum Bytes {
    Mapping(OwnedHandle, u64),
    File(File),
}

/// An open segment, lent.
pub(crate) type Lent<'a> = &'a Storage;
/// What a segment is handed over to another process as.
pub(crate) type Shared = OwnedHandle;
/// The same, lent by its owner.
pub(crate) type HandedOver<'a> = BorrowedHandle<'a>;

/// Lends what `open` opened.
pub(crate) fn lend(storage: &Storage) -> Lent<'_> {
    storage
}

/// What the system knows about a segment.
pub(crate) struct Facts {
    /// The same for the same segment, whatever it is called.
    pub(crate) identity: (u64, u64),
    pub(crate) length: u64,
    /// Bytes for which memory or disk is set aside.
    pub(crate) reserved: u64,
    /// Who may open it, as it was made.
    pub(crate) mode: u32,
}

impl Storage {
    /// A new one in the page file, which only its handles keep.
    pub(super) fn in_page_file(name: Option<&str>, bytes: u64, mode: u32) -> Result<Storage, Refusal> {
        let key = Key { id: random()?, file: None, mode: mode & 0o777 };
        let name = name.map(|name| card::mapping_name(name, key.id));
        let security = Security::of_memory(mode)?;
        // SAFETY: all that is pointed to lives until the call returns, and the handle is ours. All of it is set aside now,
        // so that no write can fail later.
        let handle = unsafe {
            owned(CreateFileMappingW(
                INVALID_HANDLE_VALUE,
                &security.attributes(),
                PAGE_READWRITE | SEC_COMMIT,
                (bytes >> 32) as u32,
                bytes as u32,
                name.as_ref().map_or(ptr::null(), Wide::as_ptr),
            ))
        }?;
        Ok(Storage { bytes: Bytes::Mapping(handle, bytes), key, card: OnceLock::new() })
    }

    /// A new one in that file, which is empty.
    pub(super) fn in_new_file(file: File, mode: u32) -> Result<Storage, Refusal> {
        let identity = file::facts(&file)?.identity;
        let key = Key { id: random()?, file: Some(identity), mode: mode & 0o777 };
        Ok(Storage { bytes: Bytes::File(file), key, card: OnceLock::new() })
    }

    /// One in a file that was opened.
    fn in_file(file: File) -> Result<Storage, Refusal> {
        let identity = file::regular(&file)?.identity;
        let mut page = [0; PAGE];
        let have = file::read_beginning(&file, &mut page)?;
        let key = Key::of(&page[..have], Some(identity));
        Ok(Storage { bytes: Bytes::File(file), key, card: OnceLock::new() })
    }

    fn in_mapping(handle: OwnedHandle, card: Option<OwnedHandle>) -> Result<Storage, Refusal> {
        let length = bytes_in(&handle)?;
        let mut page = [0; PAGE];
        read_page(handle.as_handle(), &mut page)?;
        let storage =
            Storage { key: Key::of(&page, None), bytes: Bytes::Mapping(handle, length), card: OnceLock::new() };
        if let Some(card) = card {
            storage.keep(card);
        }
        Ok(storage)
    }

    /// Keeps a card as long as this lives.
    pub(super) fn keep(&self, card: OwnedHandle) {
        // One that has a name is given no other.
        let _ = self.card.set(card);
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn handle(&self) -> BorrowedHandle<'_> {
        match &self.bytes {
            Bytes::Mapping(handle, _) => handle.as_handle(),
            Bytes::File(file) => file.as_handle(),
        }
    }
}

pub(crate) fn open(location: &Location, access: Access) -> Result<Storage, Refusal> {
    match location {
        Location::Named(name) => {
            let found = card::find(name, access)?;
            Storage::in_mapping(found.mapping, Some(found.card))
        }
        Location::File(path) => Storage::in_file(file::open(path, access)?),
    }
}

/// The segment behind a handle, which stays the caller's.
pub(crate) fn adopt(handle: BorrowedHandle<'_>, access: Access) -> Result<Storage, Refusal> {
    // Only a mapping can be looked into.
    if read_page(handle, &mut [0]).is_ok() {
        return Storage::in_mapping(duplicate(handle, card::rights(access))?, None);
    }
    // SAFETY: the handle is open.
    match unsafe { GetFileType(handle.as_raw_handle()) } {
        FILE_TYPE_DISK => Storage::in_file(File::from(duplicate(handle, file::rights(access))?)),
        _ => Err(Refusal::NotRegular("it is neither a regular file nor shared memory")),
    }
}

/// The same segment, opened once more. It shares no locks with the first.
pub(crate) fn reopen(storage: Lent<'_>, access: Access) -> Result<Storage, Refusal> {
    adopt(storage.handle(), access)
}

/// A handle to be given to another process. It carries no locks and no name, and closing it harms nobody.
pub(crate) fn share(storage: Lent<'_>, access: Access) -> Result<OwnedHandle, Refusal> {
    duplicate(
        storage.handle(),
        match &storage.bytes {
            Bytes::Mapping(..) => card::rights(access),
            Bytes::File(_) => file::rights(access),
        },
    )
}

/// Another handle of the same, which allows that and no more. No child inherits it.
fn duplicate(handle: BorrowedHandle<'_>, rights: u32) -> Result<OwnedHandle, Refusal> {
    let mut new = ptr::null_mut();
    // SAFETY: from this process to itself; the new handle is put where we say.
    unsafe {
        let this = GetCurrentProcess();
        if DuplicateHandle(this, handle.as_raw_handle(), this, &raw mut new, rights, 0, 0) == 0 {
            return Err(io::Error::last_os_error().into());
        }
        Ok(owned(new)?)
    }
}

pub(crate) fn facts(storage: Lent<'_>) -> Result<Facts, Refusal> {
    match &storage.bytes {
        Bytes::Mapping(_, length) => {
            Ok(Facts { identity: (storage.key.id, 0), length: *length, reserved: *length, mode: storage.key.mode })
        }
        Bytes::File(file) => Ok(Facts { mode: storage.key.mode, ..file::facts(file)? }),
    }
}

/// Of what can be found there now.
pub(crate) fn facts_at(location: &Location) -> Result<Facts, Refusal> {
    match location {
        Location::Named(name) => {
            let found = card::find(name, Access::ReadOnly)?;
            let length = bytes_in(&found.mapping)?;
            Ok(Facts { identity: (found.id, 0), length, reserved: length, mode: 0 })
        }
        Location::File(path) => file::facts_at(path),
    }
}

/// Whether the open segment is still to be found where it was opened.
pub(crate) fn still_named(storage: Lent<'_>, location: &Location) -> Result<bool, Refusal> {
    match facts_at(location) {
        Ok(now) => Ok(now.identity == facts(storage)?.identity),
        Err(Refusal::Missing) => Ok(false),
        Err(other) => Err(other),
    }
}

impl Facts {
    /// Whether disk is still to be set aside for some of its bytes.
    pub(crate) fn has_holes(&self) -> bool {
        self.reserved < self.length
    }
}

/// Whether it can be read without taking memory for it: always, as what lies in memory is set aside for when it is made.
pub(crate) fn takes_no_memory_to_read(_storage: Lent<'_>, _facts: &Facts) -> Result<(), Refusal> {
    Ok(())
}

/// Sets disk aside for the first `length` bytes. Of the page file all was, when it was made.
pub(crate) fn reserve(storage: Lent<'_>, length: u64) -> Result<(), Refusal> {
    match &storage.bytes {
        Bytes::Mapping(..) => Ok(()),
        Bytes::File(file) => file::reserve(file, length),
    }
}

pub(crate) fn remove(location: &Location) -> Result<(), Refusal> {
    match location {
        Location::Named(name) => card::take_away(name),
        Location::File(path) => file::remove(path),
    }
}

/// Reads the beginning until `buffer`, of a page at most, is full or there is no more, and says how many bytes that were.
pub(crate) fn read_beginning(storage: Lent<'_>, buffer: &mut [u8]) -> Result<usize, Refusal> {
    match &storage.bytes {
        Bytes::Mapping(handle, _) => read_page(handle.as_handle(), buffer),
        Bytes::File(file) => file::read_beginning(file, buffer),
    }
}
