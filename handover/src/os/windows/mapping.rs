//! A segment's bytes as memory, for as long as the value lives.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, PAGE_READONLY, PAGE_READWRITE, UnmapViewOfFile,
    VirtualQuery,
};

use super::card::rights;
use super::object::{Key, owned};
use super::refusal::last;
use super::storage::{Bytes, Storage};
use crate::os::{Access, Refusal};

/// A view of some mapping. It goes with the value; the mapping itself stays as long as there is a view.
#[derive(Debug)]
struct View(NonNull<u8>);

impl View {
    /// `length` 0 means all of it.
    fn new(mapping: HANDLE, length: usize, access: Access) -> Result<View, Refusal> {
        // SAFETY: no address is asked for, so the system picks one where nothing is mapped yet.
        let view = unsafe { MapViewOfFile(mapping, rights(access), 0, 0, length) };
        NonNull::new(view.Value.cast()).map(View).ok_or_else(last)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: what `MapViewOfFile` returned; everything that points into it borrows from the owner of this value.
        let unmapped =
            unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.0.as_ptr().cast::<c_void>() }) };
        debug_assert!(unmapped != 0);
    }
}

/// How many bytes a mapping has, in whole pages.
pub(super) fn bytes_in(mapping: &OwnedHandle) -> Result<u64, Refusal> {
    let view = View::new(mapping.as_raw_handle(), 0, Access::ReadOnly)?;
    let mut region = MaybeUninit::zeroed();
    // SAFETY: fills in a record of ours, of the size that is named.
    let told = unsafe { VirtualQuery(view.0.as_ptr().cast(), region.as_mut_ptr(), size_of_val(&region)) };
    if told == 0 {
        return Err(last());
    }
    // SAFETY: filled in; it is numbers and pointers, for which zeroes would do.
    Ok(unsafe { region.assume_init() }.RegionSize as u64)
}

/// Copies the beginning of a mapping, a page at most, and says how many bytes that were.
pub(super) fn read_page(mapping: BorrowedHandle<'_>, buffer: &mut [u8]) -> Result<usize, Refusal> {
    let have = buffer.len().min(super::object::PAGE);
    let view = View::new(mapping.as_raw_handle(), have, Access::ReadOnly)?;
    for (at, byte) in buffer[..have].iter_mut().enumerate() {
        // SAFETY: within the view. Others may write there at the same time, so nothing is taken for granted about what is
        // read: each byte once.
        *byte = unsafe { view.0.as_ptr().add(at).read_volatile() };
    }
    Ok(have)
}

/// The first `length` bytes of a segment, shared with every other process that maps them.
#[derive(Debug)]
pub(crate) struct Mapping {
    view: View,
    writable: bool,
}

// SAFETY: a Mapping is only an address range. It hands out no references; whoever reads or writes through the
// pointer owes the reason why that is sound, in whatever thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method changes anything.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(storage: &Storage, length: usize, access: Access) -> Result<Mapping, Refusal> {
        let writable = access == Access::ReadWrite;
        let view = match &storage.bytes {
            Bytes::Mapping(handle, _) => View::new(handle.as_raw_handle(), length, access)?,
            Bytes::File(file) => {
                let protection = if writable { PAGE_READWRITE } else { PAGE_READONLY };
                let bytes = length as u64;
                // SAFETY: without a name; the handle is ours, and not needed once there is a view.
                let mapping = unsafe {
                    owned(CreateFileMappingW(
                        file.as_raw_handle(),
                        ptr::null(),
                        protection,
                        (bytes >> 32) as u32,
                        bytes as u32,
                        ptr::null(),
                    ))
                }?;
                View::new(mapping.as_raw_handle(), length, access)?
            }
        };
        let base = view.0.as_ptr().addr();
        regions()
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(base, Region::new(base, length, *storage.key()));
        Ok(Mapping { view, writable })
    }

    /// Where it begins, aligned to a page.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.view.0
    }

    /// Whether a write through `base` is allowed or ends the process.
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before the addresses can be another's.
        regions().write().unwrap_or_else(PoisonError::into_inner).remove(&self.view.0.as_ptr().addr());
    }
}

/// A mapping of this process: what its gates' objects are called, and those that were used already.
pub(super) struct Region {
    base: usize,
    length: usize,
    key: Key,
    gates: Mutex<BTreeMap<usize, Arc<OwnedHandle>>>,
}

impl Region {
    fn new(base: usize, length: usize, key: Key) -> Arc<Region> {
        Arc::new(Region { base, length, key, gates: Mutex::default() })
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<OwnedHandle>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object of the gate whose word is at that address, made by `open` where it was not used yet.
    pub(super) fn gate<E>(
        &self,
        address: usize,
        open: impl FnOnce(&Key, usize) -> Result<OwnedHandle, E>,
    ) -> Result<Arc<OwnedHandle>, E> {
        let offset = address - self.base;
        if let Some(known) = self.gates().get(&offset) {
            return Ok(Arc::clone(known));
        }
        let opened = Arc::new(open(&self.key, offset)?);
        Ok(Arc::clone(self.gates().entry(offset).or_insert(opened)))
    }
}

fn regions() -> &'static RwLock<BTreeMap<usize, Arc<Region>>> {
    static REGIONS: RwLock<BTreeMap<usize, Arc<Region>>> = RwLock::new(BTreeMap::new());
    &REGIONS
}

/// The mapping that has that address in it.
pub(super) fn region(address: usize) -> Option<Arc<Region>> {
    let regions = regions().read().unwrap_or_else(PoisonError::into_inner);
    let (_, region) = regions.range(..=address).next_back()?;
    (address - region.base < region.length).then(|| Arc::clone(region))
}
