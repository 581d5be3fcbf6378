//! Messages that carry a number, in each of the layouts.

use std::ops::Range;

use handover::Owned;
use handover::zerocopy::{FromBytes, Immutable, IntoBytes};

/// The most messages in a batch.
pub(crate) const BATCH_MOST: usize = 64;

/// A type of messages, each of which carries a number.
pub(crate) trait Load: handover::Message {
    /// What messages are made in.
    type Mould: Send;

    fn mould(size: usize) -> Self::Mould;

    /// Messages that carry these numbers, at most [`BATCH_MOST`].
    fn make(mould: &mut Self::Mould, numbers: Range<u64>) -> impl ExactSizeIterator<Item = Self::Push<'_>>;

    /// What a message carries. 0 if it was not whole.
    fn number(message: &Self::Pop) -> u64;
}

/// Plain types: all their words carry the number, so that all of them have to come across.
pub(crate) trait Words: Copy + Send + 'static {
    fn of(number: u64) -> Self;
    fn first_and_last(&self) -> (u64, u64);
}

impl<const WORDS: usize> Words for [u64; WORDS] {
    #[inline(always)]
    fn of(number: u64) -> [u64; WORDS] {
        [number; WORDS]
    }

    #[inline(always)]
    fn first_and_last(&self) -> (u64, u64) {
        (self[0], self[WORDS - 1])
    }
}

macro_rules! lines {
    ($($name:ident: $words:literal)+) => {$(
        /// A message that begins a cache line of its own.
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
        #[repr(C, align(64))]
        #[zerocopy(crate = "handover::zerocopy")]
        pub(crate) struct $name([u64; $words]);

        impl Words for $name {
            #[inline(always)]
            fn of(number: u64) -> $name {
                $name([number; $words])
            }

            #[inline(always)]
            fn first_and_last(&self) -> (u64, u64) {
                self.0.first_and_last()
            }
        }

        words_are_loads!($name);
    )+};
}

/// Between threads they lie on the heap as what they are.
macro_rules! words_are_loads {
    ($($message:ty),+) => {$(
        words_are_loads!(@ $message, $message);
        words_are_loads!(@ Owned<$message>, $message);
    )+};
    (@ $load:ty, $words:ty) => {
        impl Load for $load {
            type Mould = ();

            fn mould(_size: usize) {}

            #[inline(always)]
            fn make((): &mut (), numbers: Range<u64>) -> impl ExactSizeIterator<Item = $words> {
                let (first, count) = (numbers.start, (numbers.end - numbers.start) as u32);
                (0..count).map(move |nth| <$words>::of(first + u64::from(nth)))
            }

            #[inline(always)]
            fn number(message: &$words) -> u64 {
                let (first, last) = message.first_and_last();
                if first == last { first } else { 0 }
            }
        }
    };
}

words_are_loads!([u64; 1], [u64; 2], [u64; 4], [u64; 8], [u64; 16], [u64; 32], [u64; 64], [u64; 128]);
lines! { Line64: 8 Line128: 16 Line256: 32 Line512: 64 Line1024: 128 }

/// The sizes that there are plain types of, in bytes.
pub(crate) const PLAIN_SIZES: [usize; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];

impl Load for [u8] {
    type Mould = Vec<Vec<u8>>;

    fn mould(size: usize) -> Vec<Vec<u8>> {
        // The number stands at both ends.
        vec![vec![0; size.max(size_of::<u64>())]; BATCH_MOST]
    }

    #[inline(always)]
    fn make(mould: &mut Vec<Vec<u8>>, numbers: Range<u64>) -> impl ExactSizeIterator<Item = &[u8]> {
        let count = (numbers.end - numbers.start) as usize;
        for (message, number) in mould.iter_mut().zip(numbers) {
            let end = message.len() - size_of::<u64>();
            message[..size_of::<u64>()].copy_from_slice(&number.to_ne_bytes());
            message[end..].copy_from_slice(&number.to_ne_bytes());
        }
        mould[..count].iter().map(Vec::as_slice)
    }

    #[inline(always)]
    fn number(message: &Vec<u8>) -> u64 {
        match (message.first_chunk(), message.last_chunk()) {
            (Some(first), Some(last)) if first == last => u64::from_ne_bytes(*first),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_number_and_is_seen_not_to_be_whole() {
        let mut mould = <[u8]>::mould(20);
        let made: Vec<Vec<u8>> = <[u8]>::make(&mut mould, 7..9).map(<[u8]>::to_vec).collect();
        assert_eq!(made.iter().map(<[u8] as Load>::number).collect::<Vec<_>>(), [7, 8]);
        let mut torn = made[0].clone();
        torn[19] ^= 1;
        assert_eq!(<[u8] as Load>::number(&torn), 0);
        assert_eq!(<[u8] as Load>::number(&vec![1; 7]), 0);
        assert_eq!(<[u64; 4] as Load>::number(&[9; 4]), 9);
        assert_eq!(<[u64; 4] as Load>::number(&[9, 9, 9, 8]), 0);
        assert_eq!(Line64::of(5).first_and_last(), (5, 5));
    }
}
