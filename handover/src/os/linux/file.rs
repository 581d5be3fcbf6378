//! Files that hold segments: found, opened with care, reserved.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags, fallocate, fstat, fstatfs, openat, statat, unlinkat,
};
use rustix::io::{Errno, pread};

use crate::os::{Access, Refusal};

/// Where a segment is that can be found.
pub(crate) type Location = PathBuf;
/// The open file of a segment, lent.
pub(crate) type Lent<'a> = BorrowedFd<'a>;
/// What a segment is handed over to another process as.
pub(crate) type Shared = OwnedFd;
/// The same, lent by its owner.
pub(crate) type HandedOver<'a> = BorrowedFd<'a>;

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
pub(crate) fn named(name: &str) -> Location {
    Path::new(FOLDER).join(format!("{PREFIX}{name}"))
}

/// The place of the segment in that file.
pub(crate) fn at_path(path: PathBuf) -> Location {
    path
}

/// Whether a segment there is gone when nobody uses it any more, whatever was asked for.
pub(crate) fn goes_by_itself(_location: &Path) -> bool {
    false
}

/// What is wrong with a name on this system that is not on others, if anything is.
pub(crate) fn unfit_in_a_name(_name: &str) -> Option<&'static str> {
    None
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

/// Lends a file that `open` opened.
pub(crate) fn lend(file: &OwnedFd) -> Lent<'_> {
    file.as_fd()
}

/// What the system knows about a file.
pub(crate) struct Facts {
    /// Device and number: the same for the same file, whatever it is called.
    pub(crate) identity: (u64, u64),
    /// How many names it has.
    names: u64,
    pub(crate) length: u64,
    /// Bytes for which memory or disk is set aside.
    pub(crate) reserved: u64,
    pub(crate) regular: bool,
    /// Who may open it.
    pub(crate) mode: u32,
}

impl Facts {
    /// Whether memory or disk is still to be set aside for some of its bytes.
    pub(crate) fn has_holes(&self) -> bool {
        self.reserved < self.length
    }
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

/// Refuses a file in memory with holes in it: to read there takes memory, and if there is none the system ends the process.
pub(crate) fn takes_no_memory_to_read(file: Lent<'_>, facts: &Facts) -> Result<(), Refusal> {
    if !facts.has_holes() || !in_memory(file)? {
        return Ok(());
    }
    let why =
        "it has holes, and can't be read without taking memory for them; open it for writing once, which fills them";
    Err(Refusal::Other(io::Error::new(io::ErrorKind::Unsupported, why)))
}

/// Whether the open file is still to be found where it was opened.
pub(crate) fn still_named(file: BorrowedFd<'_>, _location: &Path) -> Result<bool, Refusal> {
    Ok(facts(file)?.names > 0)
}

pub(super) fn flags(access: Access) -> OFlags {
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
pub(super) fn by_descriptor(file: BorrowedFd<'_>) -> String {
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

/// The open file of the segment behind a descriptor, which stays the caller's.
pub(crate) fn adopt(descriptor: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, Refusal> {
    reopen(descriptor, access)
}

/// A descriptor to be handed over. It is an open file of its own, so it carries no locks, and closing it harms nobody.
pub(crate) fn share(file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, Refusal> {
    reopen(file, access)
}

/// Whether the file lies in memory, and not on a disk.
pub(super) fn in_memory(file: BorrowedFd<'_>) -> Result<bool, Refusal> {
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
