//! New files for segments: made without a name, reserved, named in one step.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, MemfdFlags, Mode, OFlags, SealFlags, fchmod, fcntl_add_seals, ftruncate, linkat, memfd_create, openat,
};
use rustix::io::Errno;

use super::file::{by_descriptor, flags, in_memory, reserve};
use super::lock_file::LockFile;
use super::mapping::Mapping;
use crate::os::{Access, Location, Refusal, Wishes};

/// A new segment's file of that length, all zeroes, reserved and mapped. It has no name yet; `location` says which it is
/// to be given.
pub(crate) fn create(location: Option<&Location>, bytes: u64, wishes: &Wishes) -> Result<(LockFile, Mapping), Refusal> {
    let lock_file = match location {
        Some(path) => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            LockFile::new(|| create_unnamed(folder)).map_err(|refusal| match refusal {
                Refusal::Missing => Refusal::NoFolder(folder.into()),
                other => other,
            })?
        }
        None => LockFile::new(create_anonymous)?,
    };
    let make = |file: BorrowedFd<'_>| {
        set_length(file, bytes)?;
        // Before the mode: it may be one that does not let even its owner open the file. And before the memory is
        // reserved, which is when it is decided where that lies.
        let mapping = Mapping::new(file, bytes as usize, Access::ReadWrite)?;
        if let Some(node) = wishes.numa_node {
            stays_where_it_is_put(file)?;
            mapping.bind(node)?;
        }
        if wishes.huge_pages {
            mapping.wish_for_huge_pages();
        }
        reserve(file, bytes)?;
        if wishes.huge_pages {
            mapping.gather_on_huge_pages();
        }
        match location {
            Some(_) => set_mode(file, wishes.mode)?,
            None => {
                set_mode(file, 0o666)?;
                seal_length(file)?;
            }
        }
        Ok::<_, Refusal>(mapping)
    };
    let mapping = lock_file.lend(make)??;
    Ok((lock_file, mapping))
}

/// A file without a name, which is gone with its last descriptor unless `give_name` comes first.
fn create_unnamed(folder: &Path) -> Result<OwnedFd, Refusal> {
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
fn create_anonymous() -> Result<OwnedFd, Refusal> {
    Ok(memfd_create("handover", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?)
}

/// Sets exactly this mode, whatever the process's mask of modes says.
fn set_mode(file: BorrowedFd<'_>, mode: u32) -> Result<(), Refusal> {
    Ok(fchmod(file, Mode::from_raw_mode(mode & 0o777))?)
}

fn set_length(file: BorrowedFd<'_>, length: u64) -> Result<(), Refusal> {
    // More than the kernel's signed number can say is more than there is.
    if i64::try_from(length).is_err() {
        return Err(Refusal::NoRoom);
    }
    Ok(ftruncate(file, length)?)
}

/// Refuses a file on a disk: it is in memory only for a time, and anew each time it is read.
fn stays_where_it_is_put(file: BorrowedFd<'_>) -> Result<(), Refusal> {
    if in_memory(file)? {
        return Ok(());
    }
    let why = "a file on a disk lies on no NUMA node for good; leave the node out, or choose a place in memory (tmpfs, as /dev/shm is)";
    Err(Refusal::Other(io::Error::new(io::ErrorKind::Unsupported, why)))
}

/// From now on nobody can cut the anonymous file off under those who have it mapped.
fn seal_length(file: BorrowedFd<'_>) -> Result<(), Refusal> {
    Ok(fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW)?)
}

/// Gives an unnamed file its name in one step. Refused if the name is taken, be it by a dangling symbolic link.
pub(crate) fn give_name(lock_file: &LockFile, path: &Path) -> Result<(), Refusal> {
    lock_file.lend(|file| Ok(linkat(CWD, by_descriptor(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?))?
}
