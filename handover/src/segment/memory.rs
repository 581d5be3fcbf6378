//! Shared memory on its own, for those who need no queue.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::copy::{copy_in, copy_out};
use super::{Header, Kind, Making, Place, Segment};
use crate::Error;

/// Memory that processes share, all zeroes at first.
///
/// It has a name on this machine (`create`), a path in a file system (`create_at`), or neither, and is then shared by
/// handing over a descriptor (`anonymous`). It is there whole or not at all: a creator that is killed leaves nothing. The
/// memory is reserved when it is created, so that no write to it fails later. It stays until it is removed, or, without a
/// name, until nobody has it open.
///
/// Other processes may change the bytes at any time, so nothing here hands out a reference to them: a [`View`] copies
/// values in and out. For words that processes count or signal with, there are [`atomic_u32`](SharedMemory::atomic_u32)
/// and [`atomic_u64`](SharedMemory::atomic_u64). Nothing here blocks; a process that dies in the midst of a `set` leaves
/// some bytes old and some new.
///
/// A file can be cut off by anyone who may write it, and touching memory beyond its new end ends the process (`SIGBUS`).
/// Only anonymous memory is protected from that.
///
/// ```
/// use handover::SharedMemory;
///
/// # let name = format!("doc-memory-{}", std::process::id());
/// # let name = name.as_str();
/// let memory = SharedMemory::create(name, 4096)?;
/// memory.view::<u64>(16)?.set(0, &42);
///
/// // In any other process:
/// let same = SharedMemory::open(name)?;
/// assert_eq!(same.view::<u64>(16)?.get(0), 42);
///
/// SharedMemory::remove(name)?;
/// # Ok::<(), handover::Error>(())
/// ```
pub struct SharedMemory {
    segment: Segment,
}

/// Shared memory that this process can read and not write. It takes the permission to read, and no other.
///
/// ```
/// use handover::{ReadOnlyMemory, SharedMemory};
///
/// # let name = format!("doc-read-only-{}", std::process::id());
/// # let name = name.as_str();
/// let memory = SharedMemory::create(name, 64)?;
/// let reader = ReadOnlyMemory::open(name)?;
/// memory.view_slice::<u32>(0, 4)?.write_from(&[1, 2, 3, 4]);
/// assert_eq!(reader.view::<u32>(12)?.get(0), 4);
///
/// SharedMemory::remove(name)?;
/// # Ok::<(), handover::Error>(())
/// ```
///
/// Nothing can be written through it:
///
/// ```compile_fail,E0599
/// # fn with(reader: handover::ReadOnlyMemory) -> Result<(), handover::Error> {
/// reader.view::<u32>(0)?.set(0, &1);
/// # Ok(())
/// # }
/// ```
pub struct ReadOnlyMemory {
    segment: Segment,
}

/// Of a [`View`] that can be written through.
#[derive(Debug)]
pub enum Writable {}

/// Of a [`View`] that can only be read.
#[derive(Debug)]
pub enum ReadOnly {}

/// Values of plain data in shared memory, copied in and out one by one or all together.
///
/// What is read while another process or thread writes may be partly old and partly new; it is never anything else. To
/// tell whether a value is whole is up to its users, with an atomic word beside it, say.
///
/// ```
/// use handover::SharedMemory;
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[derive(FromBytes, IntoBytes, Immutable)]
/// #[repr(C)]
/// struct Point {
///     x: f32,
///     y: f32,
/// }
///
/// let memory = SharedMemory::anonymous(1000)?;
/// let points = memory.view_slice::<Point>(8, 100)?;
/// points.set(99, &Point { x: 1.0, y: 2.0 });
/// assert_eq!(points.get(99).y, 2.0);
///
/// assert!(memory.view_slice::<Point>(8, 125).is_err()); // beyond the end
/// assert!(memory.view::<Point>(2).is_err()); // not aligned
/// # Ok::<(), handover::Error>(())
/// ```
pub struct View<'a, T, Access = Writable> {
    bytes: &'a [AtomicU8],
    count: usize,
    /// A view stands for values that are made from bytes as they are asked for, and holds none.
    values: PhantomData<fn() -> (T, Access)>,
}

/// A [`View`] that can only be read, as [`ReadOnlyMemory`] gives it.
///
/// ```
/// use handover::{ReadOnlyMemory, SharedMemory};
///
/// let memory = SharedMemory::anonymous(64)?;
/// memory.view::<u16>(2)?.set(0, &7);
///
/// let reader = ReadOnlyMemory::from_fd(memory.share()?)?;
/// let values: handover::ReadView<'_, u16> = reader.view_slice(0, 2)?;
/// assert_eq!((values.get(0), values.get(1)), (0, 7));
/// # Ok::<(), handover::Error>(())
/// ```
pub type ReadView<'a, T> = View<'a, T, ReadOnly>;

fn named(name: &str) -> Place {
    Place::Named(name.to_owned())
}

fn at(path: impl AsRef<Path>) -> Place {
    Place::Path(path.as_ref().to_owned())
}

impl<'a, T> View<'a, T, ReadOnly> {
    /// Of cells that lie one after the other.
    ///
    /// # Safety
    /// `start` is aligned for `T` and valid for `count` of them for as long as `'a`, while others write by atomics only.
    pub(crate) unsafe fn over(start: *const u8, count: usize) -> Self {
        // SAFETY: by the caller's contract.
        View { bytes: unsafe { super::copy::as_shared(start, count * size_of::<T>()) }, count, values: PhantomData }
    }
}

impl<'a, T> View<'a, T, Writable> {
    /// As the read-only one.
    ///
    /// # Safety
    /// The same, and the cells may be written.
    pub(crate) unsafe fn over_writable(start: *const u8, count: usize) -> Self {
        // SAFETY: by the caller's contract.
        View { bytes: unsafe { super::copy::as_shared(start, count * size_of::<T>()) }, count, values: PhantomData }
    }
}

impl SharedMemory {
    /// Creates memory of that many bytes, for this user alone (mode 0600).
    ///
    /// Fails if the name is taken or can't be one, if `bytes` is 0, and if that much can't be reserved.
    pub fn create(name: &str, bytes: usize) -> Result<SharedMemory, Error> {
        SharedMemory::make(&named(name), bytes)
    }

    /// As [`create`](SharedMemory::create), as a file of any path, on a file system that has unnamed files (`tmpfs`,
    /// ext4, xfs, btrfs and others).
    pub fn create_at(path: impl AsRef<Path>, bytes: usize) -> Result<SharedMemory, Error> {
        SharedMemory::make(&at(path), bytes)
    }

    /// Creates memory without a name. Other processes get at it by [`share`](SharedMemory::share).
    pub fn anonymous(bytes: usize) -> Result<SharedMemory, Error> {
        SharedMemory::make(&Place::Anonymous, bytes)
    }

    fn make(place: &Place, bytes: usize) -> Result<SharedMemory, Error> {
        if bytes == 0 {
            return Err(Error::Unfit {
                why: format!("{place}: shared memory of 0 bytes can't be had; ask for 1 or more"),
            });
        }
        let mut header = Header::new(Kind::Memory, bytes as u64)?;
        header.capacity = bytes as u64;
        Ok(SharedMemory { segment: Segment::create(place, header, &Making::default(), |_, _| {})? })
    }

    /// Opens the memory of that name for reading and writing.
    ///
    /// Fails if there is none, if this user may not, and if it is something else than shared memory.
    pub fn open(name: &str) -> Result<SharedMemory, Error> {
        SharedMemory::of(Segment::open(&named(name))?)
    }

    /// As [`open`](SharedMemory::open), for a file of any path. A symbolic link is not followed.
    pub fn open_at(path: impl AsRef<Path>) -> Result<SharedMemory, Error> {
        SharedMemory::of(Segment::open(&at(path))?)
    }

    /// Opens the memory behind a descriptor that another process made with [`share`](SharedMemory::share). The descriptor
    /// stays the caller's and may be closed at once.
    #[cfg(unix)]
    pub fn from_fd(file: impl std::os::fd::AsFd) -> Result<SharedMemory, Error> {
        SharedMemory::of(Segment::handed_over(file.as_fd())?)
    }

    /// Opens the memory behind a handle that another process made with [`share`](SharedMemory::share). The handle stays the
    /// caller's and may be closed at once.
    #[cfg(windows)]
    pub fn from_handle(handle: impl std::os::windows::io::AsHandle) -> Result<SharedMemory, Error> {
        SharedMemory::of(Segment::handed_over(handle.as_handle())?)
    }

    fn of(segment: Segment) -> Result<SharedMemory, Error> {
        segment.expect(Kind::Memory)?;
        Ok(SharedMemory { segment })
    }

    /// A new descriptor of this memory, to hand to another process. It is closed on `exec`: pass it as a child's standard
    /// stream or over a Unix socket, or clear its flag first.
    ///
    /// ```
    /// use handover::SharedMemory;
    ///
    /// let memory = SharedMemory::anonymous(64)?;
    /// let same = SharedMemory::from_fd(memory.share()?)?;
    /// same.view::<u8>(63)?.set(0, &1);
    /// assert_eq!(memory.view::<u8>(63)?.get(0), 1);
    /// # Ok::<(), handover::Error>(())
    /// ```
    #[cfg(unix)]
    pub fn share(&self) -> Result<std::os::fd::OwnedFd, Error> {
        self.segment.share()
    }

    /// A new handle of this memory, to be given to another process: as a standard stream, or by `DuplicateHandle`. No child
    /// inherits it unasked.
    ///
    /// ```
    /// use handover::SharedMemory;
    ///
    /// let memory = SharedMemory::anonymous(64)?;
    /// let same = SharedMemory::from_handle(memory.share()?)?;
    /// same.view::<u8>(63)?.set(0, &1);
    /// assert_eq!(memory.view::<u8>(63)?.get(0), 1);
    /// # Ok::<(), handover::Error>(())
    /// ```
    #[cfg(windows)]
    pub fn share(&self) -> Result<std::os::windows::io::OwnedHandle, Error> {
        self.segment.share()
    }

    /// Removes the memory of that name, whatever is in it. Those who have it open keep it.
    pub fn remove(name: &str) -> Result<(), Error> {
        super::remove(&named(name))
    }

    /// As [`remove`](SharedMemory::remove), for a file of any path.
    pub fn remove_at(path: impl AsRef<Path>) -> Result<(), Error> {
        super::remove(&at(path))
    }

    /// Its size in bytes, as it was created with.
    pub fn len(&self) -> usize {
        self.segment.body_length()
    }

    /// Always false: there is no memory of 0 bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One value, `offset` bytes from the beginning. Fails if it does not lie inside or is not aligned for its type.
    pub fn view<T: FromBytes + IntoBytes + Immutable>(&self, offset: usize) -> Result<View<'_, T>, Error> {
        View::new(&self.segment, offset, 1)
    }

    /// `count` values, one after the other, from `offset` on. Fails as [`view`](SharedMemory::view) does.
    pub fn view_slice<T: FromBytes + IntoBytes + Immutable>(
        &self,
        offset: usize,
        count: usize,
    ) -> Result<View<'_, T>, Error> {
        View::new(&self.segment, offset, count)
    }

    /// A word for counting and signalling between processes. Fails as [`view`](SharedMemory::view) does.
    ///
    /// ```
    /// use handover::SharedMemory;
    /// use std::sync::atomic::Ordering;
    ///
    /// let memory = SharedMemory::anonymous(64)?;
    /// memory.atomic_u32(4)?.fetch_add(1, Ordering::Relaxed);
    /// assert_eq!(memory.view::<u32>(4)?.get(0), 1);
    /// # Ok::<(), handover::Error>(())
    /// ```
    pub fn atomic_u32(&self, offset: usize) -> Result<&AtomicU32, Error> {
        let bytes = bytes(&self.segment, offset, 1, size_of::<AtomicU32>(), align_of::<AtomicU32>())?;
        // SAFETY: the bytes are mapped for writing while `self` lives, aligned, and everything in this library that
        // touches them is atomic.
        Ok(unsafe { AtomicU32::from_ptr(bytes.as_ptr().cast_mut().cast()) })
    }

    /// A word for counting and signalling between processes. Fails as [`view`](SharedMemory::view) does.
    pub fn atomic_u64(&self, offset: usize) -> Result<&AtomicU64, Error> {
        let bytes = bytes(&self.segment, offset, 1, size_of::<AtomicU64>(), align_of::<AtomicU64>())?;
        // SAFETY: as in `atomic_u32`.
        Ok(unsafe { AtomicU64::from_ptr(bytes.as_ptr().cast_mut().cast()) })
    }
}

// There is no empty one.
#[allow(clippy::len_without_is_empty)]
impl ReadOnlyMemory {
    /// Opens the memory of that name for reading.
    ///
    /// Fails if there is none, if this user may not, and if it is something else than shared memory.
    pub fn open(name: &str) -> Result<ReadOnlyMemory, Error> {
        ReadOnlyMemory::of(Segment::open_read_only(&named(name))?)
    }

    /// As [`open`](ReadOnlyMemory::open), for a file of any path. A symbolic link is not followed.
    pub fn open_at(path: impl AsRef<Path>) -> Result<ReadOnlyMemory, Error> {
        ReadOnlyMemory::of(Segment::open_read_only(&at(path))?)
    }

    /// Opens the memory behind a descriptor, which stays the caller's and need not be open for writing.
    #[cfg(unix)]
    pub fn from_fd(file: impl std::os::fd::AsFd) -> Result<ReadOnlyMemory, Error> {
        ReadOnlyMemory::of(Segment::handed_over_read_only(file.as_fd())?)
    }

    /// Opens the memory behind a handle, which stays the caller's and need not allow writing.
    #[cfg(windows)]
    pub fn from_handle(handle: impl std::os::windows::io::AsHandle) -> Result<ReadOnlyMemory, Error> {
        ReadOnlyMemory::of(Segment::handed_over_read_only(handle.as_handle())?)
    }

    fn of(segment: Segment) -> Result<ReadOnlyMemory, Error> {
        segment.expect(Kind::Memory)?;
        Ok(ReadOnlyMemory { segment })
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.segment.body_length()
    }

    /// One value, `offset` bytes from the beginning. Fails if it does not lie inside or is not aligned for its type.
    pub fn view<T: FromBytes + IntoBytes + Immutable>(&self, offset: usize) -> Result<ReadView<'_, T>, Error> {
        View::new(&self.segment, offset, 1)
    }

    /// `count` values, one after the other, from `offset` on. Fails as [`view`](ReadOnlyMemory::view) does.
    pub fn view_slice<T: FromBytes + IntoBytes + Immutable>(
        &self,
        offset: usize,
        count: usize,
    ) -> Result<ReadView<'_, T>, Error> {
        View::new(&self.segment, offset, count)
    }
}

/// `count` times `size` bytes of the segment's body, if they are all inside and aligned.
fn bytes(segment: &Segment, offset: usize, count: usize, size: usize, align: usize) -> Result<&[AtomicU8], Error> {
    let (place, have) = (segment.place(), segment.body_length());
    let length = count.checked_mul(size);
    let end = length.and_then(|length| length.checked_add(offset)).filter(|end| *end <= have);
    let (Some(length), Some(_)) = (length, end) else {
        let why = format!("{place}: {count} times {size} bytes at {offset} asked for, of {have}; stay inside");
        return Err(Error::OutOfBounds { why });
    };
    let start = segment.body().wrapping_add(offset);
    // The address, and not the offset: nothing says that a type is aligned to a page at most.
    if !start.addr().is_multiple_of(align) {
        let why = format!(
            "{place}: byte {offset} is not aligned for a type that needs a multiple of {align}; choose another"
        );
        return Err(Error::OutOfBounds { why });
    }
    // SAFETY: the range was just checked to lie inside the body, which is mapped as long as the segment lives, and
    // everything in this library that touches a body of plain memory is atomic. That of a read-only segment is only
    // loaded from, one word at most at a time, which needs no permission to write.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU8>(), length) })
}

impl<'a, T: FromBytes + IntoBytes + Immutable, Access> View<'a, T, Access> {
    /// Whoever asks for a writable view has a writable segment.
    fn new(segment: &'a Segment, offset: usize, count: usize) -> Result<Self, Error> {
        let bytes = bytes(segment, offset, count, size_of::<T>(), align_of::<T>())?;
        Ok(View { bytes, count, values: PhantomData })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[track_caller]
    fn bytes_of(&self, index: usize) -> &'a [AtomicU8] {
        assert!(index < self.count, "value {index} asked for, in a view of {}", self.count);
        &self.bytes[index * size_of::<T>()..][..size_of::<T>()]
    }

    /// A copy of one value.
    ///
    /// # Panics
    ///
    /// If there are not so many values, as a slice does.
    #[track_caller]
    pub fn get(&self, index: usize) -> T {
        let mut value = T::new_zeroed();
        copy_out(self.bytes_of(index), value.as_mut_bytes());
        value
    }

    /// Copies all values into a slice of the same length.
    ///
    /// # Panics
    ///
    /// If the lengths differ, as `copy_from_slice` does.
    #[track_caller]
    pub fn read_into(&self, values: &mut [T]) {
        assert_eq!(values.len(), self.count, "the slice and the view differ in length");
        copy_out(self.bytes, values.as_mut_bytes());
    }
}

impl<T: FromBytes + IntoBytes + Immutable> View<'_, T, Writable> {
    /// Overwrites one value.
    ///
    /// # Panics
    ///
    /// If there are not so many values, as a slice does.
    #[track_caller]
    pub fn set(&self, index: usize, value: &T) {
        copy_in(value.as_bytes(), self.bytes_of(index));
    }

    /// Overwrites all values from a slice of the same length.
    ///
    /// # Panics
    ///
    /// If the lengths differ, as `copy_from_slice` does.
    #[track_caller]
    pub fn write_from(&self, values: &[T]) {
        assert_eq!(values.len(), self.count, "the slice and the view differ in length");
        copy_in(values.as_bytes(), self.bytes);
    }
}

impl<T, Access> Clone for View<'_, T, Access> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, Access> Copy for View<'_, T, Access> {}

impl<T, Access> fmt::Debug for View<'_, T, Access> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View of {} times {}", self.count, std::any::type_name::<T>())
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMemory({}, {} bytes)", self.segment.place(), self.len())
    }
}

impl fmt::Debug for ReadOnlyMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadOnlyMemory({}, {} bytes)", self.segment.place(), self.len())
    }
}
