//! What can be handed over: plain data, bytes, any serde type, and between threads anything that is `Send`.
//!
//! The kinds differ in how a message gets into a slot and out of it. Everything else is written once, above.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::Error;
use crate::segment::{Header, copy};

/// A type, or marker of a type, whose messages a queue can carry.
///
/// * any plain data type (zerocopy's [`FromBytes`], [`IntoBytes`] and [`Immutable`], all derivable): itself;
/// * `[u8]`: bytes of any length up to a maximum named at creation;
/// * [`Postcard<T>`](crate::Postcard): any serde type;
/// * [`Owned<T>`]: anything that is `Send`, between threads only.
///
/// It can't be implemented elsewhere.
pub trait Message: Sealed {}

/// Messages that may lie in shared memory.
pub trait Shareable: Message {
    /// What a [`View`](crate::View) of a message in its slot is made of.
    #[doc(hidden)]
    type Cell: FromBytes + IntoBytes + Immutable;
    /// As `Sealed::write`, into a slot that others may read meanwhile.
    /// # Safety
    /// As `Sealed::write`; the slot is aligned to a word, and others only read it, by atomics.
    #[doc(hidden)]
    unsafe fn share(message: &Self::Push<'_>, scratch: &Self::Scratch, slot: *mut u8);
    /// As `Sealed::read`, from a slot that others may write meanwhile.
    /// # Safety
    /// As `Sealed::read`; others write the slot by atomics only.
    #[doc(hidden)]
    unsafe fn snapshot(slot: *const u8, max: usize) -> Self::Taken;
    /// The message's cells in its slot: the first, and how many. Bounded, though others may write meanwhile.
    /// # Safety
    /// As `snapshot`.
    #[doc(hidden)]
    unsafe fn cells(slot: *const u8, max: usize) -> Result<(*const u8, usize), Error>;
}

impl<M: Sealed + ?Sized> Message for M {}

/// How a message type is laid out in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(hidden)]
pub struct Shape {
    pub size: usize,
    pub align: usize,
    pub fingerprint: u64,
    pub name: String,
}

mod sealed {
    use super::*;

    /// How a message gets into a slot and out of it.
    #[doc(hidden)]
    pub trait Sealed {
        /// What `push` takes.
        type Push<'a>;
        /// What `pop` returns.
        type Pop;
        /// What is moved out of a slot, to become what `pop` returns once the slot is free.
        type Taken;
        /// What a handle keeps for encoding.
        type Scratch: Send;
        /// What a receipt shows.
        type View: ?Sized;
        /// What a receipt keeps to show it.
        type Opened;

        /// The slot, for messages of at most `max` bytes (where their length varies). `None` if it overflows.
        fn shape(max: usize) -> Option<Shape>;
        fn scratch(max: usize) -> Self::Scratch;
        /// What can fail about a message is done before a slot is claimed for it.
        fn prepare(message: &Self::Push<'_>, max: usize, scratch: &mut Self::Scratch) -> Result<(), Error>;
        /// # Safety
        /// `slot` is valid for the shape's size and alignment, held by the caller; `prepare` went well.
        unsafe fn write(message: Self::Push<'_>, scratch: &Self::Scratch, slot: *mut u8);
        /// Moves the message out. Runs no code of the user's, which could panic.
        /// # Safety
        /// `slot` is held by the caller and was written by `write` (or, in shared memory, by anybody).
        unsafe fn read(slot: *mut u8, max: usize) -> Self::Taken;
        fn decode(taken: Self::Taken) -> Result<Self::Pop, Error>;
        /// May run the user's code.
        /// # Safety
        /// As `read`; the slot stays held as long as what this returns is used.
        unsafe fn open(slot: *mut u8, max: usize) -> Result<Self::Opened, Error>;
        /// # Safety
        /// The slot is still held.
        unsafe fn view(opened: &Self::Opened) -> &Self::View;
        /// Drops the message in place: the user's code.
        /// # Safety
        /// As `read`.
        unsafe fn discard(slot: *mut u8) {
            let _ = slot;
        }
    }
}
pub(crate) use sealed::Sealed;

/// Kinds that can be written in place.
pub trait InPlace: Message {
    /// What a loan lets one write to.
    #[doc(hidden)]
    type Place: ?Sized;
    /// # Safety
    /// As `Sealed::write`.
    #[doc(hidden)]
    unsafe fn place(slot: *mut u8, length: usize) -> *mut Self::Place;
    /// # Safety
    /// As `Sealed::write`.
    #[doc(hidden)]
    unsafe fn finish(slot: *mut u8, length: usize);
    /// How many cells a place of that length has.
    #[doc(hidden)]
    fn cell_count(length: usize) -> usize;
    /// As `finish`, in a slot that others may read meanwhile.
    /// # Safety
    /// As `Shareable::share`.
    #[doc(hidden)]
    unsafe fn share_length(slot: *mut u8, length: usize);
}

/// FNV-1a, 64 bits: for checks, not for secrets.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().copied().flatten();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// A type's name without the paths: two programs that each declare the same `Quote` agree on it.
fn short_name<T: ?Sized>() -> String {
    let mut short = String::new();
    let mut word = String::new();
    for character in type_name::<T>().chars() {
        if character.is_alphanumeric() || character == '_' {
            word.push(character);
        } else if character == ':' {
            word.clear();
        } else {
            short.push_str(&word);
            word.clear();
            short.push(character);
        }
    }
    short + &word
}

fn shape_of<T>(size: usize, align: usize, kind: &str) -> Shape {
    let name = short_name::<T>();
    let numbers = [(size as u64).to_le_bytes(), (align as u64).to_le_bytes()];
    let fingerprint = fingerprint(&[kind.as_bytes(), name.as_bytes(), &numbers[0], &numbers[1]]);
    Shape { size, align, fingerprint, name }
}

/// The alignment of plain data as segments have it, the same for all processes that share one: where words of 64 bits are
/// aligned to 4, as in some processes of 32 bits, and where they are aligned to 8. What may be made of such words is taken
/// to be; that moves nothing, as its size is a multiple of 8 either way.
fn align_for_all<T>() -> usize {
    if align_of::<T>() == 4 && size_of::<T>().is_multiple_of(8) { 8 } else { align_of::<T>() }
}

impl<T: FromBytes + IntoBytes + Immutable + Send + 'static> Sealed for T {
    type Push<'a> = T;
    type Pop = T;
    type Taken = T;
    type Scratch = ();
    type View = T;
    type Opened = NonNull<T>;

    fn shape(_max: usize) -> Option<Shape> {
        Some(shape_of::<T>(size_of::<T>(), align_for_all::<T>(), "plain"))
    }

    fn scratch(_max: usize) {}

    #[inline]
    fn prepare(_message: &T, _max: usize, _scratch: &mut ()) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    unsafe fn write(message: T, _scratch: &(), slot: *mut u8) {
        // SAFETY: by the caller's contract.
        unsafe { slot.cast::<T>().write(message) }
    }

    #[inline]
    unsafe fn read(slot: *mut u8, _max: usize) -> T {
        // SAFETY: by the caller's contract; every bit pattern is a `T`.
        unsafe { slot.cast::<T>().read() }
    }

    #[inline]
    fn decode(taken: T) -> Result<T, Error> {
        Ok(taken)
    }

    unsafe fn open(slot: *mut u8, _max: usize) -> Result<NonNull<T>, Error> {
        // SAFETY: slots are never at address zero.
        Ok(unsafe { NonNull::new_unchecked(slot.cast::<T>()) })
    }

    unsafe fn view(opened: &NonNull<T>) -> &T {
        // SAFETY: by the caller's contract; every bit pattern is a `T`.
        unsafe { opened.as_ref() }
    }
}

impl<T: FromBytes + IntoBytes + Immutable + Send + 'static> Shareable for T {
    type Cell = T;

    #[inline(always)]
    unsafe fn share(message: &T, _scratch: &(), slot: *mut u8) {
        // SAFETY: by the caller's contract.
        unsafe { copy::value_in(message, slot) }
    }

    #[inline(always)]
    unsafe fn snapshot(slot: *const u8, _max: usize) -> T {
        // SAFETY: by the caller's contract.
        unsafe { copy::value_out(slot) }
    }

    unsafe fn cells(slot: *const u8, _max: usize) -> Result<(*const u8, usize), Error> {
        Ok((slot, 1))
    }
}

impl<T: FromBytes + IntoBytes + Immutable + Send + 'static> InPlace for T {
    type Place = T;

    unsafe fn place(slot: *mut u8, _length: usize) -> *mut T {
        slot.cast()
    }

    unsafe fn finish(_slot: *mut u8, _length: usize) {}

    fn cell_count(_length: usize) -> usize {
        1
    }

    unsafe fn share_length(_slot: *mut u8, _length: usize) {}
}

/// Bytes lie in the slot behind their length.
const LENGTH: usize = size_of::<u32>();

/// The length in the slot is anybody's number: bounded before it is used.
unsafe fn bytes_in(slot: *mut u8, max: usize) -> Result<(*mut u8, usize), Error> {
    // SAFETY: the slot begins with the length, by the shape; aligned by it.
    let length = unsafe { slot.cast::<u32>().read() } as usize;
    if length > max {
        return Err(Error::Corrupt { what: format!("a message of {length} bytes where {max} fit") });
    }
    // SAFETY: the slot is longer than the length's field.
    Ok((unsafe { slot.add(LENGTH) }, length))
}

unsafe fn write_bytes(bytes: &[u8], slot: *mut u8) {
    // SAFETY: the caller holds the slot; `prepare` bounded the length by what it takes.
    unsafe {
        slot.cast::<u32>().write(bytes.len() as u32);
        ptr::copy_nonoverlapping(bytes.as_ptr(), slot.add(LENGTH), bytes.len());
    }
}

fn bytes_shape(max: usize) -> Option<(usize, usize)> {
    u32::try_from(max).ok()?;
    Some((LENGTH.checked_add(max)?, align_of::<u32>()))
}

fn fits(length: usize, max: usize) -> Result<(), Error> {
    if length > max { Err(Error::TooLong { length, max }) } else { Ok(()) }
}

impl Sealed for [u8] {
    type Push<'a> = &'a [u8];
    type Pop = Vec<u8>;
    type Taken = Result<Vec<u8>, Error>;
    type Scratch = ();
    type View = [u8];
    type Opened = NonNull<[u8]>;

    fn shape(max: usize) -> Option<Shape> {
        let (size, align) = bytes_shape(max)?;
        Some(Shape { size, align, fingerprint: fingerprint(&[b"bytes"]), name: "bytes".into() })
    }

    fn scratch(_max: usize) {}

    fn prepare(message: &&[u8], max: usize, _scratch: &mut ()) -> Result<(), Error> {
        fits(message.len(), max)
    }

    unsafe fn write(message: &[u8], _scratch: &(), slot: *mut u8) {
        // SAFETY: by the caller's contract.
        unsafe { write_bytes(message, slot) }
    }

    unsafe fn read(slot: *mut u8, max: usize) -> Result<Vec<u8>, Error> {
        // SAFETY: by the caller's contract.
        let (start, length) = unsafe { bytes_in(slot, max)? };
        let mut message = Vec::with_capacity(length);
        // SAFETY: within the slot; the vector has room for it.
        unsafe {
            ptr::copy_nonoverlapping(start, message.as_mut_ptr(), length);
            message.set_len(length);
        }
        Ok(message)
    }

    #[inline]
    fn decode(taken: Result<Vec<u8>, Error>) -> Result<Vec<u8>, Error> {
        taken
    }

    unsafe fn open(slot: *mut u8, max: usize) -> Result<NonNull<[u8]>, Error> {
        // SAFETY: by the caller's contract.
        let (start, length) = unsafe { bytes_in(slot, max)? };
        // SAFETY: slots are never at address zero.
        Ok(NonNull::slice_from_raw_parts(unsafe { NonNull::new_unchecked(start) }, length))
    }

    unsafe fn view(opened: &NonNull<[u8]>) -> &[u8] {
        // SAFETY: by the caller's contract; the length was bounded and is not read again.
        unsafe { opened.as_ref() }
    }
}

/// The length and the bytes, into a slot that others may read meanwhile.
unsafe fn share_bytes(bytes: &[u8], slot: *mut u8) {
    // SAFETY: the caller's slot holds the length, aligned to a word, and so many bytes: `prepare` saw to that.
    unsafe {
        AtomicU32::from_ptr(slot.cast()).store(bytes.len() as u32, Relaxed);
        copy::copy_in(bytes, copy::as_shared(slot.add(LENGTH), bytes.len()));
    }
}

/// Where the bytes in a slot lie that others may write meanwhile, bounded.
unsafe fn shared_bytes(slot: *const u8, max: usize) -> Result<(*const u8, usize), Error> {
    // SAFETY: the caller's slot begins with the length.
    let length = unsafe { AtomicU32::from_ptr(slot.cast_mut().cast()).load(Relaxed) } as usize;
    if length > max {
        return Err(Error::Corrupt { what: format!("a message of {length} bytes where {max} fit") });
    }
    // SAFETY: the slot is longer than the length's field.
    Ok((unsafe { slot.add(LENGTH) }, length))
}

impl Shareable for [u8] {
    type Cell = u8;

    unsafe fn share(message: &&[u8], _scratch: &(), slot: *mut u8) {
        // SAFETY: by the caller's contract.
        unsafe { share_bytes(message, slot) }
    }

    unsafe fn snapshot(slot: *const u8, max: usize) -> Result<Vec<u8>, Error> {
        // SAFETY: by the caller's contract.
        let (start, length) = unsafe { shared_bytes(slot, max)? };
        let mut message = vec![0; length];
        // SAFETY: within the slot.
        copy::copy_out(unsafe { copy::as_shared(start, length) }, &mut message);
        Ok(message)
    }

    unsafe fn cells(slot: *const u8, max: usize) -> Result<(*const u8, usize), Error> {
        // SAFETY: by the caller's contract.
        unsafe { shared_bytes(slot, max) }
    }
}

impl InPlace for [u8] {
    type Place = [u8];

    unsafe fn place(slot: *mut u8, length: usize) -> *mut [u8] {
        // SAFETY: the slot is longer than the length's field.
        ptr::slice_from_raw_parts_mut(unsafe { slot.add(LENGTH) }, length)
    }

    unsafe fn finish(slot: *mut u8, length: usize) {
        // SAFETY: by the caller's contract.
        unsafe { slot.cast::<u32>().write(length as u32) }
    }

    fn cell_count(length: usize) -> usize {
        length
    }

    unsafe fn share_length(slot: *mut u8, length: usize) {
        // SAFETY: by the caller's contract; the slot begins with the length.
        unsafe { AtomicU32::from_ptr(slot.cast()).store(length as u32, Relaxed) }
    }
}

/// Marks a queue between threads whose messages are moved: any `T: Send`, see [`crate::threads`].
pub struct Owned<T>(PhantomData<T>);

impl<T: Send> Sealed for Owned<T> {
    type Push<'a> = T;
    type Pop = T;
    type Taken = T;
    type Scratch = ();
    type View = T;
    type Opened = NonNull<T>;

    fn shape(_max: usize) -> Option<Shape> {
        Some(shape_of::<T>(size_of::<T>(), align_of::<T>(), "owned"))
    }

    fn scratch(_max: usize) {}

    #[inline]
    fn prepare(_message: &T, _max: usize, _scratch: &mut ()) -> Result<(), Error> {
        Ok(())
    }

    #[inline]
    unsafe fn write(message: T, _scratch: &(), slot: *mut u8) {
        // SAFETY: by the caller's contract.
        unsafe { slot.cast::<T>().write(message) }
    }

    #[inline]
    unsafe fn read(slot: *mut u8, _max: usize) -> T {
        // SAFETY: by the caller's contract a `T` was written there, and it is moved out once.
        unsafe { slot.cast::<T>().read() }
    }

    #[inline]
    fn decode(taken: T) -> Result<T, Error> {
        Ok(taken)
    }

    unsafe fn open(slot: *mut u8, _max: usize) -> Result<NonNull<T>, Error> {
        // SAFETY: slots are never at address zero.
        Ok(unsafe { NonNull::new_unchecked(slot.cast::<T>()) })
    }

    unsafe fn view(opened: &NonNull<T>) -> &T {
        // SAFETY: by the caller's contract a `T` was written there.
        unsafe { opened.as_ref() }
    }

    unsafe fn discard(slot: *mut u8) {
        // SAFETY: by the caller's contract a `T` was written there, and it is dropped once.
        unsafe { slot.cast::<T>().drop_in_place() }
    }
}

/// Marks a queue of messages of a serde type, written with postcard.
///
/// `push` takes `&T`, `pop` returns a `T`. The longest encoding is named at creation, as for bytes.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Job { name: String, tries: Vec<u32> }
///
/// let queue = handover::Options::new(8).message_max(256).anonymous::<handover::Postcard<Job>>()?;
/// let job = Job { name: "index".into(), tries: vec![1, 2] };
/// queue.producer()?.push(&job)?;
/// assert_eq!(queue.consumer()?.pop()?, job);
/// # Ok::<(), handover::Error>(())
/// ```
#[cfg(feature = "serde")]
pub struct Postcard<T>(PhantomData<T>);

#[cfg(feature = "serde")]
impl<T: serde::Serialize + serde::de::DeserializeOwned + 'static> Sealed for Postcard<T> {
    type Push<'a> = &'a T;
    type Pop = T;
    type Taken = Result<Vec<u8>, Error>;
    /// The encoded message: the buffer, and how much of it.
    type Scratch = (Vec<u8>, usize);
    type View = T;
    type Opened = T;

    fn shape(max: usize) -> Option<Shape> {
        let (size, align) = bytes_shape(max)?;
        let name = format!("Postcard<{}>", short_name::<T>());
        Some(Shape { size, align, fingerprint: fingerprint(&[b"postcard", name.as_bytes()]), name })
    }

    fn scratch(max: usize) -> (Vec<u8>, usize) {
        (vec![0; max], 0)
    }

    fn prepare(message: &&T, max: usize, scratch: &mut (Vec<u8>, usize)) -> Result<(), Error> {
        match postcard::to_slice(*message, &mut scratch.0) {
            Ok(written) => scratch.1 = written.len(),
            Err(postcard::Error::SerializeBufferFull) => {
                let length = postcard::experimental::serialized_size(*message).unwrap_or(max + 1);
                return Err(Error::TooLong { length, max });
            }
            Err(error) => return Err(Error::Message { why: error.to_string() }),
        }
        Ok(())
    }

    unsafe fn write(_message: &T, scratch: &(Vec<u8>, usize), slot: *mut u8) {
        // SAFETY: by the caller's contract; the buffer is as long as the longest message.
        unsafe { write_bytes(&scratch.0[..scratch.1], slot) }
    }

    unsafe fn read(slot: *mut u8, max: usize) -> Result<Vec<u8>, Error> {
        // SAFETY: by the caller's contract.
        unsafe { <[u8]>::read(slot, max) }
    }

    fn decode(taken: Result<Vec<u8>, Error>) -> Result<T, Error> {
        postcard::from_bytes(&taken?).map_err(|error| Error::Message { why: error.to_string() })
    }

    unsafe fn open(slot: *mut u8, max: usize) -> Result<T, Error> {
        // Copied out before it is looked at: others could change it meanwhile.
        // SAFETY: by the caller's contract.
        Self::decode(unsafe { Self::read(slot, max) })
    }

    unsafe fn view(opened: &T) -> &T {
        opened
    }
}

#[cfg(feature = "serde")]
impl<T: serde::Serialize + serde::de::DeserializeOwned + 'static> Shareable for Postcard<T> {
    type Cell = u8;

    unsafe fn share(_message: &&T, scratch: &(Vec<u8>, usize), slot: *mut u8) {
        // SAFETY: by the caller's contract.
        unsafe { share_bytes(&scratch.0[..scratch.1], slot) }
    }

    unsafe fn snapshot(slot: *const u8, max: usize) -> Result<Vec<u8>, Error> {
        // SAFETY: by the caller's contract.
        unsafe { <[u8]>::snapshot(slot, max) }
    }

    unsafe fn cells(slot: *const u8, max: usize) -> Result<(*const u8, usize), Error> {
        // SAFETY: by the caller's contract.
        unsafe { shared_bytes(slot, max) }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (messages of {} bytes, aligned to {})", self.name, self.size, self.align)
    }
}

/// The longest message of a kind whose length varies, where none is named.
const MAX: usize = 1024;

/// What messages of that kind need, if the longest has so many bytes.
pub(crate) fn shape<M: Message + ?Sized>(max: Option<usize>) -> Result<Shape, Error> {
    let max = max.unwrap_or(MAX);
    let why = || format!("messages of up to {max} bytes are too long; 4 GiB is the most");
    M::shape(max).ok_or_else(|| Error::Unfit { why: why() })
}

/// The longest message of a kind whose length varies, in a slot for that many bytes.
#[inline]
pub(crate) fn max_in(size: usize) -> usize {
    size.saturating_sub(LENGTH)
}

/// Whether a segment whose messages have that size and alignment was made for messages of this kind.
pub(crate) fn check<M: Message + ?Sized>(
    header: &Header,
    (size, align): (usize, usize),
    place: &str,
) -> Result<(), Error> {
    let too_long = || Error::CorruptHeader { place: place.into(), why: "its messages are too long".into() };
    let shape = M::shape(max_in(size)).ok_or_else(too_long)?;
    let same = (shape.size, shape.align) == (size, align);
    if same && header.fingerprint == shape.fingerprint {
        return Ok(());
    }
    let other = if same { " of another type" } else { "" };
    let made = format!("messages{other} of {size} bytes, aligned to {align}");
    Err(Error::MessageType { place: place.into(), made, opened: shape.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_short_name_has_no_paths() {
        assert_eq!(short_name::<Option<std::string::String>>(), "Option<String>");
        assert_eq!(short_name::<[u8; 4]>(), "[u8; 4]");
    }

    #[test]
    fn plain_data_has_one_alignment_for_processes_of_32_and_64_bits() {
        fn align<T: Shareable>() -> usize {
            T::shape(0).map_or(0, |shape| shape.align)
        }
        assert_eq!((align::<u64>(), align::<f64>(), align::<[i64; 3]>(), align::<[u32; 2]>()), (8, 8, 8, 8));
        assert_eq!((align::<u32>(), align::<[u32; 3]>(), align::<u16>(), align::<[u8; 16]>()), (4, 4, 2, 1));
    }

    #[test]
    fn a_length_beyond_the_slot_is_an_error() {
        let mut slot = [u32::MAX, 0, 0];
        // SAFETY: the slot is ours.
        let read = unsafe { <[u8]>::read(slot.as_mut_ptr().cast(), 8) };
        assert!(matches!(read, Err(Error::Corrupt { .. })));
    }
}
