//! Files that hold segments: made without a name, reserved, named in one step; opened with care.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, MemfdFlags, Mode, OFlags, SealFlags, fallocate, fchmod, fcntl_add_seals,
    fstat, fstatfs, ftruncate, linkat, memfd_create, openat, statat, unlinkat,
};
use rustix::io::{Errno, pread};

use crate::os::{Access, Refusal};

/// Where named segments are: a file system in memory on every Linux.
const FOLDER: &str = "/dev/shm";
const PREFIX: &str = "handover.";

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Refusal {
        match error {
            Errno::NOENT | Errno::NOTDIR => Refusal::Missing,
            Errno::EXIST => Refusal::Exists,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Refusal::NotPermitted,
            Errno::NOSPC | Errno::NOMEM | Errno::FBIG | Errno::DQUOT => Refusal::NoRoom,
            Errno::LOOP => Refusal::NotRegular("it is a symbolic link"),
            Errno::ISDIR => Refusal::NotRegular("it is a folder"),
            Errno::NXIO | Errno::NODEV => Refusal::NotRegular("it is not a regular file"),
            other => Refusal::Other(other.into()),
        }
    }
}

/// The file of the segment of that name.
pub(crate) fn named(name: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{PREFIX}{name}"))
}

/// The names of this machine's segments, and of whatever else has a file name like one.
pub(crate) fn names() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        if let Some(name) = entry?.file_name().to_str().and_then(|file| file.strip_prefix(PREFIX)) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What the system knows about a file.
pub(crate) struct Facts {
    /// Device and number: the same for the same file, whatever it is called.
    pub(crate) identity: (u64, u64),
    /// How many names it has.
    pub(crate) names: u64,
    pub(crate) length: u64,
    /// Bytes for which memory or disk is set aside.
    pub(crate) reserved: u64,
    pub(crate) regular: bool,
    /// Who may open it.
    pub(crate) mode: u32,
}

// The system's record has other widths on other processors.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
fn facts_from(status: &rustix::fs::Stat) -> Facts {
    Facts {
        identity: (status.st_dev as u64, status.st_ino as u64),
        names: status.st_nlink as u64,
        length: status.st_size as u64,
        reserved: (status.st_blocks as u64).saturating_mul(512),
        regular: FileType::from_raw_mode(status.st_mode) == FileType::RegularFile,
        mode: status.st_mode as u32 & 0o777,
    }
}

pub(crate) fn facts(file: BorrowedFd<'_>) -> Result<Facts, Refusal> {
    Ok(facts_from(&fstat(file)?))
}

/// Of what has that name now; of a symbolic link itself.
pub(crate) fn facts_at(path: &Path) -> Result<Facts, Refusal> {
    Ok(facts_from(&statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?))
}

fn flags(access: Access) -> OFlags {
    let access = match access {
        Access::ReadWrite => OFlags::RDWR,
        Access::ReadOnly => OFlags::RDONLY,
    };
    access | OFlags::CLOEXEC
}

/// Opens a regular file, and neither follows a symbolic link nor waits for the other end of a pipe.
pub(crate) fn open(path: &Path, access: Access) -> Result<OwnedFd, Refusal> {
    let file = openat(CWD, path, flags(access) | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
    regular(file)
}

fn regular(file: OwnedFd) -> Result<OwnedFd, Refusal> {
    if facts(file.as_fd())?.regular { Ok(file) } else { Err(Refusal::NotRegular("it is not a regular file")) }
}

/// The path by which the kernel finds what a descriptor of this process stands for.
fn by_descriptor(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Opens the same file once more. A duplicated descriptor would share its locks with the first; this one does not.
pub(crate) fn reopen(file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, Refusal> {
    // Asked before opening: to open a device or a pipe may do something.
    if !facts(file)?.regular {
        return Err(Refusal::NotRegular("it is not a regular file"));
    }
    Ok(openat(CWD, by_descriptor(file), flags(access), Mode::empty())?)
}

/// A file without a name, which is gone with its last descriptor unless `give_name` comes first.
pub(crate) fn create_unnamed(folder: &Path) -> Result<OwnedFd, Refusal> {
    match openat(CWD, folder, flags(Access::ReadWrite) | OFlags::TMPFILE, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file),
        // What a kernel says that takes the flag for a plain open of the folder is the second of these.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Err(Refusal::Other(io::Error::new(
            io::ErrorKind::Unsupported,
            "the file system there can't make a file without a name (O_TMPFILE); choose a place on tmpfs, ext4, xfs or btrfs",
        ))),
        Err(error) => Err(error.into()),
    }
}

/// A file in memory that never has a name. Whoever is given its descriptor may open it.
pub(crate) fn create_anonymous() -> Result<OwnedFd, Refusal> {
    Ok(memfd_create("handover", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?)
}

/// Sets exactly this mode, whatever the process's mask of modes says.
pub(crate) fn set_mode(file: BorrowedFd<'_>, mode: u32) -> Result<(), Refusal> {
    Ok(fchmod(file, Mode::from_raw_mode(mode & 0o777))?)
}

pub(crate) fn set_length(file: BorrowedFd<'_>, length: u64) -> Result<(), Refusal> {
    // More than the kernel's signed number can say is more than there is.
    if i64::try_from(length).is_err() {
        return Err(Refusal::NoRoom);
    }
    Ok(ftruncate(file, length)?)
}

/// Whether the file lies in memory, and not on a disk.
pub(crate) fn in_memory(file: BorrowedFd<'_>) -> Result<bool, Refusal> {
    const TMPFS: u64 = 0x0102_1994;
    #[allow(clippy::unnecessary_cast)] // the field has other widths on other processors
    Ok(fstatfs(file)?.f_type as u64 == TMPFS)
}

/// Sets memory or disk aside for the first `length` bytes, so that no write to them can fail later.
pub(crate) fn reserve(file: BorrowedFd<'_>, length: u64) -> Result<(), Refusal> {
    // In memory the kernel would take page after page, and end some process when there are no more.
    if in_memory(file)? && available_memory().is_some_and(|available| length > available) {
        return Err(Refusal::NoRoom);
    }
    // A signal makes the kernel undo the call it interrupts. Small pieces get done even where a profiler's timer ticks.
    const PIECE: u64 = 8 << 20;
    let mut start = 0;
    while start < length {
        let bytes = PIECE.min(length - start);
        match fallocate(file, FallocateFlags::empty(), start, bytes) {
            Ok(()) => start += bytes,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What programs can still get, swap included, without ending others. None where the system does not say.
fn available_memory() -> Option<u64> {
    let report = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name| report.lines().find_map(|line| kilobytes(line, name));
    Some(field("MemAvailable")?.saturating_add(field("SwapFree").unwrap_or(0)))
}

/// The bytes that a line of the kernel's tells, if it is that field's: `MemFree:  1024 kB`.
pub(super) fn kilobytes(line: &str, field: &str) -> Option<u64> {
    let number = line.strip_prefix(field)?.strip_prefix(':')?.trim().strip_suffix("kB")?;
    number.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// From now on nobody can cut the anonymous file off under those who have it mapped.
pub(crate) fn seal_length(file: BorrowedFd<'_>) -> Result<(), Refusal> {
    Ok(fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW)?)
}

/// Gives an unnamed file its name in one step. Refused if the name is taken, be it by a dangling symbolic link.
pub(crate) fn give_name(file: BorrowedFd<'_>, path: &Path) -> Result<(), Refusal> {
    Ok(linkat(CWD, by_descriptor(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

pub(crate) fn remove(path: &Path) -> Result<(), Refusal> {
    Ok(unlinkat(CWD, path, AtFlags::empty())?)
}

/// Reads the file's beginning until `buffer` is full or the file ends, and says how many bytes that were.
pub(crate) fn read_beginning(file: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Refusal> {
    let mut have = 0;
    while have < buffer.len() {
        match pread(file, &mut buffer[have..], have as u64) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(have)
}
