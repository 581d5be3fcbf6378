//! Messages that are counted and summed, and what of them came across.

use std::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A message that carries a number.
pub trait Load: Copy + Default + Send + Sync + FromBytes + IntoBytes + Immutable + 'static {
    fn of(number: u64) -> Self;
    /// Of every word of it, so that all of it has to come across.
    fn sum(&self) -> u64;
}

impl Load for u64 {
    #[inline(always)]
    fn of(number: u64) -> u64 {
        number
    }

    #[inline(always)]
    fn sum(&self) -> u64 {
        *self
    }
}

/// Messages of so many words that begin a cache line of their own: each queue then shows its best.
macro_rules! blocks {
    ($($(#[$about:meta])* $name:ident: $words:literal;)+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
        #[repr(C, align(64))]
        pub struct $name([u64; $words]);

        impl Default for $name {
            fn default() -> $name {
                $name([0; $words])
            }
        }

        impl Load for $name {
            #[inline(always)]
            fn of(number: u64) -> $name {
                $name([number; $words])
            }

            #[inline(always)]
            fn sum(&self) -> u64 {
                self.0.iter().fold(0, |sum, word| sum.wrapping_add(*word))
            }
        }
    )+};
}

blocks! {
    /// One of a cache line, 64 bytes.
    Line: 8;
}

/// What came across.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub sum: u64,
}

impl Tally {
    /// Of the messages that carry these numbers.
    pub fn of<L: Load>(numbers: Range<u64>) -> Tally {
        let count = numbers.end - numbers.start;
        let sum = (u128::from(numbers.start) + u128::from(numbers.end)).wrapping_sub(1) * u128::from(count) / 2;
        Tally { count, sum: (sum as u64).wrapping_mul(L::of(1).sum()) }
    }

    pub fn with(self, other: Tally) -> Tally {
        Tally { count: self.count + other.count, sum: self.sum.wrapping_add(other.sum) }
    }

    #[inline(always)]
    pub fn add(&mut self, message: &impl Load) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(message.sum());
    }
}
