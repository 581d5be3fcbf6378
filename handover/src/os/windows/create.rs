//! New segments: made under a name that nobody knows, and given their own in one step.

use std::fs::File;
use std::os::windows::io::FromRawHandle;
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_PATH_NOT_FOUND, GENERIC_READ, GENERIC_WRITE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::{CREATE_NEW, CreateFileW, DELETE, FILE_ATTRIBUTE_NORMAL};

use super::file::{self, WITH_ALL};
use super::lock_file::LockFile;
use super::mapping::Mapping;
use super::object::{ID_OFFSET, MODE_OFFSET, PAGE, Wide};
use super::security::Security;
use super::storage::{Bytes, Location, Storage};
use super::{card, storage};
use crate::os::{Access, Refusal, Wishes};

/// A new segment of that length, all zeroes but for what its objects' names are made of, reserved and mapped. It can't be
/// found yet; `location` says where it is to be.
pub(crate) fn create(location: Option<&Location>, bytes: u64, wishes: &Wishes) -> Result<(LockFile, Mapping), Refusal> {
    let lock_file = LockFile::new(|| match location {
        None => Storage::in_page_file(None, bytes, wishes.mode),
        Some(Location::Named(name)) => Storage::in_page_file(Some(name), bytes, wishes.mode),
        Some(Location::File(path)) => {
            file::sweep(path);
            let file = new_file(path, wishes.mode)?;
            let storage = Storage::in_new_file(file, wishes.mode)?;
            set_length(&storage, bytes)?;
            Ok(storage)
        }
    })?;
    let mapping = lock_file.lend(|storage| Mapping::new(storage, bytes as usize, Access::ReadWrite))??;
    lock_file.lend(|storage| {
        let key = storage.key();
        let page = mapping.base().as_ptr();
        const { assert!(MODE_OFFSET + 4 <= PAGE) };
        // SAFETY: a segment has its first page at least, which is ours alone, as it can't be found yet.
        unsafe {
            page.add(ID_OFFSET).copy_from_nonoverlapping(key.id.to_le_bytes().as_ptr(), 8);
            page.add(MODE_OFFSET).copy_from_nonoverlapping(key.mode.to_le_bytes().as_ptr(), 4);
        }
    })?;
    Ok((lock_file, mapping))
}

/// Gives a new segment its name in one step. Refused if the name is taken.
pub(crate) fn give_name(lock_file: &LockFile, location: &Location) -> Result<(), Refusal> {
    lock_file.lend(|storage| match (location, &storage.bytes) {
        (Location::Named(name), _) => {
            storage.keep(card::give(name, storage.key().id, storage.key().mode)?);
            Ok(())
        }
        (Location::File(path), Bytes::File(file)) => file::rename(file, path),
        (Location::File(_), Bytes::Mapping(..)) => Err(Refusal::NotRegular("it is in the page file")),
    })?
}

/// An empty file beside the one it is to become, for whom the mode lets in.
fn new_file(path: &Path, mode: u32) -> Result<File, Refusal> {
    let name = file::unnamed(path)?;
    let security = Security::of_memory(mode)?;
    // SAFETY: all that is pointed to lives until the call returns.
    let handle = unsafe {
        CreateFileW(
            Wide::path(&name).as_ptr(),
            GENERIC_READ | GENERIC_WRITE | DELETE,
            WITH_ALL,
            &security.attributes(),
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            ptr::null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        let error = std::io::Error::last_os_error();
        if error.raw_os_error() == Some(ERROR_PATH_NOT_FOUND as i32) {
            return Err(Refusal::NoFolder(path.parent().unwrap_or(path).into()));
        }
        return Err(error.into());
    }
    // SAFETY: a new handle, and ours.
    Ok(unsafe { File::from_raw_handle(handle) })
}

fn set_length(storage: &Storage, bytes: u64) -> Result<(), Refusal> {
    let Bytes::File(file) = &storage.bytes else { return Ok(()) };
    // More than the system's signed number can say is more than there is.
    if i64::try_from(bytes).is_err() {
        return Err(Refusal::NoRoom);
    }
    file.set_len(bytes)?;
    storage::reserve(storage, bytes)
}
