//! Files that hold segments: found, opened with care, reserved, removed while they are in use.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Foundation::{
    ERROR_CALL_NOT_IMPLEMENTED, ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED, GENERIC_READ, GENERIC_WRITE,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, DELETE, FILE_ALLOCATION_INFO, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT,
    FILE_DISPOSITION_FLAG_DELETE, FILE_DISPOSITION_FLAG_POSIX_SEMANTICS, FILE_DISPOSITION_INFO,
    FILE_DISPOSITION_INFO_EX, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_DELETE_ON_CLOSE, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_INFO_BY_HANDLE_CLASS, FILE_READ_ATTRIBUTES, FILE_RENAME_INFO, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, FILE_STANDARD_INFO, FILE_TYPE_DISK, FileAllocationInfo, FileDispositionInfo,
    FileDispositionInfoEx, FileRenameInfo, FileStandardInfo, GetFileInformationByHandle, GetFileInformationByHandleEx,
    GetFileType, SetFileInformationByHandle,
};

use super::object::{Wide, random};
use super::refusal::last;
use super::storage::Facts;
use crate::os::{Access, Refusal};

/// Nobody is kept out by having a file open.
pub(super) const WITH_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

pub(super) fn rights(access: Access) -> u32 {
    match access {
        Access::ReadWrite => GENERIC_READ | GENERIC_WRITE,
        Access::ReadOnly => GENERIC_READ,
    }
}

/// Opens what has that name: neither what a link there points to, nor in a way that keeps others out.
fn open_as(path: &Path, rights: u32) -> Result<File, Refusal> {
    let mut options = OpenOptions::new();
    options.access_mode(rights).share_mode(WITH_ALL);
    // The second lets folders be opened, so that they can be told from what is not permitted.
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS);
    Ok(options.open(path)?)
}

pub(super) fn open(path: &Path, access: Access) -> Result<File, Refusal> {
    let file = open_as(path, rights(access))?;
    regular(&file)?;
    Ok(file)
}

fn information(file: &File) -> Result<BY_HANDLE_FILE_INFORMATION, Refusal> {
    let mut information = MaybeUninit::zeroed();
    // SAFETY: fills in a record of ours.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), information.as_mut_ptr()) } == 0 {
        return Err(last());
    }
    // SAFETY: filled in; it is numbers, for which zeroes would do.
    Ok(unsafe { information.assume_init() })
}

/// Refuses all that is not a plain file.
pub(super) fn regular(file: &File) -> Result<Facts, Refusal> {
    // SAFETY: the handle is open.
    if unsafe { GetFileType(file.as_raw_handle()) } != FILE_TYPE_DISK {
        return Err(Refusal::NotRegular("it is not a regular file"));
    }
    let attributes = information(file)?.dwFileAttributes;
    if attributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        return Err(Refusal::NotRegular("it is a symbolic link"));
    }
    if attributes & FILE_ATTRIBUTE_DIRECTORY != 0 {
        return Err(Refusal::NotRegular("it is a folder"));
    }
    facts(file)
}

pub(super) fn facts(file: &File) -> Result<Facts, Refusal> {
    let found = information(file)?;
    let mut standard = FILE_STANDARD_INFO::default();
    // SAFETY: fills in a record of ours, of the size that is named.
    let told = unsafe {
        GetFileInformationByHandleEx(
            file.as_raw_handle(),
            FileStandardInfo,
            (&raw mut standard).cast(),
            size_of_val(&standard) as u32,
        )
    };
    if told == 0 {
        return Err(last());
    }
    let number = u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow);
    Ok(Facts {
        identity: (u64::from(found.dwVolumeSerialNumber), number),
        length: standard.EndOfFile as u64,
        reserved: standard.AllocationSize as u64,
        mode: 0,
    })
}

pub(super) fn facts_at(path: &Path) -> Result<Facts, Refusal> {
    facts(&open_as(path, FILE_READ_ATTRIBUTES)?)
}

pub(super) fn read_beginning(file: &File, buffer: &mut [u8]) -> Result<usize, Refusal> {
    let mut have = 0;
    while have < buffer.len() {
        match file.seek_read(&mut buffer[have..], have as u64)? {
            0 => break,
            more => have += more,
        }
    }
    Ok(have)
}

/// Sets what the system knows about a file.
///
/// # Safety
/// `what` is the record that belongs to the class.
unsafe fn set<T: ?Sized>(file: &File, class: FILE_INFO_BY_HANDLE_CLASS, what: &T) -> io::Result<()> {
    // SAFETY: the record lives until the call returns.
    let done = unsafe {
        SetFileInformationByHandle(file.as_raw_handle(), class, (&raw const *what).cast(), size_of_val(what) as u32)
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets disk aside for the first `length` bytes, so that no write to them can fail later.
pub(super) fn reserve(file: &File, length: u64) -> Result<(), Refusal> {
    let Ok(bytes) = i64::try_from(length) else { return Err(Refusal::NoRoom) };
    if facts(file)?.reserved >= length {
        return Ok(());
    }
    // SAFETY: the record of that class.
    match unsafe { set(file, FileAllocationInfo, &FILE_ALLOCATION_INFO { AllocationSize: bytes }) } {
        Err(error) => match error.raw_os_error().map(|number| number as u32) {
            // A file system, or a system, that can't be told this.
            Some(ERROR_NOT_SUPPORTED | ERROR_INVALID_FUNCTION | ERROR_CALL_NOT_IMPLEMENTED) => Ok(()),
            _ => Err(error.into()),
        },
        Ok(()) => Ok(()),
    }
}

/// Gives the file that name. Refused if it is taken, be it by a link to nothing.
pub(super) fn rename(file: &File, path: &Path) -> Result<(), Refusal> {
    let name = Wide::path(path);
    let name = name.units();
    // The record ends with the name, however long, and a zero.
    let bytes = size_of::<FILE_RENAME_INFO>() + size_of_val(name);
    let mut record = vec![0_u64; bytes.div_ceil(8)];
    let head = record.as_mut_ptr().cast::<FILE_RENAME_INFO>();
    // SAFETY: zeroed and aligned memory that is large enough for all that is written to it. All zero: nothing is replaced.
    unsafe {
        (*head).FileNameLength = size_of_val(name) as u32;
        (&raw mut (*head).FileName).cast::<u16>().copy_from_nonoverlapping(name.as_ptr(), name.len());
        set(file, FileRenameInfo, record.as_slice())?;
    }
    Ok(())
}

/// What a file is called until it is given its name, and after that was taken away. Whoever makes or removes one of the
/// same name in the same folder sweeps away those that nobody has open.
pub(super) fn unnamed(path: &Path) -> Result<PathBuf, Refusal> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}{UNNAMED}", random()?));
    Ok(path.with_file_name(name))
}

const UNNAMED: &str = ".handover";

/// Removes what makers of a file of that name left behind who were killed.
pub(super) fn sweep(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let (file, name) = (file.to_string_lossy(), name.to_string_lossy());
        let middle = file.strip_prefix(&*name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(UNNAMED));
        if middle.is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            let mut options = OpenOptions::new();
            // Refused while anyone has it open, for nobody is let in at the same time.
            options.access_mode(DELETE).share_mode(0).custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
            drop(options.open(entry.path()));
        }
    }
}

/// Takes the file's name away at once. The file itself goes with the last who has it open.
pub(super) fn remove(path: &Path) -> Result<(), Refusal> {
    let file = open_as(path, DELETE | FILE_READ_ATTRIBUTES)?;
    if information(&file)?.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY != 0 {
        return Err(Refusal::NotRegular("it is a folder"));
    }
    let flags = FILE_DISPOSITION_FLAG_DELETE | FILE_DISPOSITION_FLAG_POSIX_SEMANTICS;
    // SAFETY: the record of that class.
    let gone = unsafe { set(&file, FileDispositionInfoEx, &FILE_DISPOSITION_INFO_EX { Flags: flags }) };
    // Systems and file systems that don't know the other way keep the name as long as the file is open anywhere.
    if gone.is_err() {
        rename(&file, &unnamed(path)?)?;
        // SAFETY: as above.
        let _ = unsafe { set(&file, FileDispositionInfo, &FILE_DISPOSITION_INFO { DeleteFile: true }) };
    }
    drop(file);
    sweep(path);
    Ok(())
}
