//! A file's bytes as memory, for as long as the value lives.

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::file::reopen;
use super::placing::huge_page;
use crate::os::{Access, Refusal};

/// The first `length` bytes of a file, shared with every other process that maps them.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    length: usize,
    writable: bool,
}

// SAFETY: a Mapping is only an address range. It hands out no references; whoever reads or writes through the
// pointer owes the reason why that is sound, in whatever thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method changes anything.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(file: BorrowedFd<'_>, length: usize, access: Access) -> Result<Mapping, Refusal> {
        let writable = access == Access::ReadWrite;
        // A mapping keeps the open file that it was made from. It must not be one that carries locks: a forked child
        // inherits the mapping, and would keep its parent's locks alive with it.
        let file = reopen(file, access)?;
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        let huge_page = huge_page().filter(|size| length >= *size && length.is_multiple_of(*size));
        let base = match huge_page.and_then(|size| Room::new(length, size)) {
            Some(room) => {
                let flags = MapFlags::SHARED | MapFlags::FIXED;
                // SAFETY: what lies there is the room alone, and nobody but us knows it.
                let mapped = unsafe { mmap(room.inside, length, protection, flags, file, 0) };
                // If it failed, the middle of the room is not given back: part of it may be somebody else's by now.
                room.leave(length);
                mapped?
            }
            // SAFETY: no address is asked for, so the kernel picks one where nothing is mapped yet.
            None => unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, file, 0) }?,
        };
        let base =
            NonNull::new(base.cast()).ok_or_else(|| Refusal::Other(std::io::Error::other("mapped at address zero")))?;
        Ok(Mapping { base, length, writable })
    }

    /// Where it begins, aligned to a page.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Whether a write through `base` is allowed or ends the process.
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }
}

/// Addresses that are kept free, among them enough from a multiple of a huge page's size on. The kernel shows a file's huge
/// pages as such only where they are mapped at such addresses, and picks those by itself only with some of its settings.
struct Room {
    start: *mut c_void,
    length: usize,
    inside: *mut c_void,
}

impl Room {
    /// None if there are not that many addresses: then any will do.
    fn new(length: usize, size: usize) -> Option<Room> {
        let with_margin = length.checked_add(size)?;
        // SAFETY: no address is asked for, so the kernel picks one where nothing is mapped yet.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), with_margin, ProtFlags::empty(), MapFlags::PRIVATE) }.ok()?;
        let to_multiple = start.addr().next_multiple_of(size) - start.addr();
        Some(Room { start, length: with_margin, inside: start.wrapping_byte_add(to_multiple) })
    }

    /// Gives back what lies before and behind those bytes.
    fn leave(self, length: usize) {
        let before = self.inside.addr() - self.start.addr();
        let behind = (self.inside.wrapping_byte_add(length), self.length - before - length);
        for (start, length) in [(self.start, before), behind] {
            if length > 0 {
                // SAFETY: ours since `new`, and nothing was put there.
                let unmapped = unsafe { munmap(start, length) };
                debug_assert!(unmapped.is_ok());
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is what mmap returned; everything that points into it borrows from the owner of this value.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast::<c_void>(), self.length) };
        debug_assert!(unmapped.is_ok());
    }
}
