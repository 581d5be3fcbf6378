//! A file's bytes as memory, for as long as the value lives.

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::file::reopen;
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
        // SAFETY: no address is asked for, so the kernel picks one where nothing is mapped yet.
        let base = unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, file, 0) }?;
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

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is what mmap returned; everything that points into it borrows from the owner of this value.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast::<c_void>(), self.length) };
        debug_assert!(unmapped.is_ok());
    }
}
