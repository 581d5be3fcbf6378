//! Copies in and out of memory that others write at the same time.
//!
//! A plain copy of bytes that change meanwhile is undefined. These go through relaxed atomics: each word or byte is one
//! that somebody wrote, though they need not belong together.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use zerocopy::{FromBytes, Immutable, IntoBytes};

const WORD: usize = size_of::<usize>();

/// The shared bytes up to the first aligned word, the words, and the bytes after the last.
fn split(shared: &[AtomicU8]) -> (&[AtomicU8], &[AtomicUsize], &[AtomicU8]) {
    // SAFETY: an atomic word is valid for all bytes, aligned as `align_to` makes it, and no wider than the bytes it
    // covers, which are atomic too. Accesses of both widths to the same memory happen (two views of different types):
    // the compiler's memory model is by the byte, where each byte read atomically comes from some atomic write, and no
    // processor that can run this tears otherwise.
    unsafe { shared.align_to::<AtomicUsize>() }
}

/// Fills `own` from shared memory of the same length.
pub(crate) fn copy_out(shared: &[AtomicU8], own: &mut [u8]) {
    assert_eq!(shared.len(), own.len());
    let (before, words, after) = split(shared);
    let (own_before, own) = own.split_at_mut(before.len());
    let (own_words, own_after) = own.split_at_mut(words.len() * WORD);
    for (from, to) in before.iter().zip(own_before).chain(after.iter().zip(own_after)) {
        *to = from.load(Ordering::Relaxed);
    }
    for (from, to) in words.iter().zip(own_words.chunks_exact_mut(WORD)) {
        to.copy_from_slice(&from.load(Ordering::Relaxed).to_ne_bytes());
    }
}

/// Fills shared memory, which must be writable, from `own` of the same length.
pub(crate) fn copy_in(own: &[u8], shared: &[AtomicU8]) {
    assert_eq!(shared.len(), own.len());
    let (before, words, after) = split(shared);
    let (own_before, own) = own.split_at(before.len());
    let (own_words, own_after) = own.split_at(words.len() * WORD);
    for (from, to) in own_before.iter().zip(before).chain(own_after.iter().zip(after)) {
        to.store(*from, Ordering::Relaxed);
    }
    for (from, to) in own_words.chunks_exact(WORD).zip(words) {
        let mut word = [0; WORD];
        word.copy_from_slice(from);
        to.store(usize::from_ne_bytes(word), Ordering::Relaxed);
    }
}

/// A value from shared memory, as `copy_out` would fill it.
///
/// # Safety
/// `shared` is valid for the value's size while others write to it by atomics only, and aligned to a word.
#[inline(always)]
pub(crate) unsafe fn value_out<T: FromBytes>(shared: *const u8) -> T {
    let mut own = MaybeUninit::<T>::uninit();
    let to = own.as_mut_ptr().cast::<u8>();
    let words = size_of::<T>() / WORD;
    for nth in 0..words {
        // SAFETY: within the value, by the caller's contract; `to` is ours.
        unsafe {
            let word = AtomicUsize::from_ptr(shared.cast_mut().cast::<usize>().add(nth)).load(Ordering::Relaxed);
            to.cast::<usize>().add(nth).write_unaligned(word);
        }
    }
    for nth in words * WORD..size_of::<T>() {
        // SAFETY: as above.
        unsafe { to.add(nth).write(AtomicU8::from_ptr(shared.cast_mut().add(nth)).load(Ordering::Relaxed)) };
    }
    // SAFETY: every byte was written, and every pattern of bytes is a value.
    unsafe { own.assume_init() }
}

/// A value into shared memory, as `copy_in` would put it there.
///
/// # Safety
/// As [`value_out`], and writable.
#[inline(always)]
pub(crate) unsafe fn value_in<T: IntoBytes + Immutable>(own: &T, shared: *mut u8) {
    let from = (&raw const *own).cast::<u8>();
    let words = size_of::<T>() / WORD;
    for nth in 0..words {
        // SAFETY: within the value; it has no padding, and the shared side is the caller's.
        unsafe {
            let word = from.cast::<usize>().add(nth).read_unaligned();
            AtomicUsize::from_ptr(shared.cast::<usize>().add(nth)).store(word, Ordering::Relaxed);
        }
    }
    for nth in words * WORD..size_of::<T>() {
        // SAFETY: as above.
        unsafe { AtomicU8::from_ptr(shared.add(nth)).store(from.add(nth).read(), Ordering::Relaxed) };
    }
}

/// Memory that others write as bytes that can be copied.
///
/// # Safety
/// `start` is valid for `length` bytes for as long as the result is used, while others write there by atomics only.
pub(crate) unsafe fn as_shared<'a>(start: *const u8, length: usize) -> &'a [AtomicU8] {
    // SAFETY: by the caller's contract; an atomic byte is laid out as a byte.
    unsafe { std::slice::from_raw_parts(start.cast::<AtomicU8>(), length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_and_length_is_copied_whole_and_nothing_beside_it() {
        for start in 0..2 * WORD {
            for length in 0..4 * WORD {
                let shared: Vec<AtomicU8> = (0..8 * WORD).map(|_| AtomicU8::new(0xee)).collect();
                let own: Vec<u8> = (1..=length as u8).collect();
                copy_in(&own, &shared[start..start + length]);
                let mut back = vec![0; length];
                copy_out(&shared[start..start + length], &mut back);
                assert_eq!(back, own);
                let touched = shared.iter().filter(|byte| byte.load(Ordering::Relaxed) != 0xee).count();
                assert_eq!(touched, length);
            }
        }
    }
}
