//! What a message of the load begins with: its number, when it was due, who made it, and a check by which no other message
//! is taken for one.

use std::process;

use crate::system::clock;

/// The shortest message of the load.
pub(super) const SIZE: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Counts from 0 for each producer.
    pub(super) sequence: u64,
    /// By the clock that all processes share.
    pub(super) due: u64,
    pub(super) producer: u64,
}

/// A number for this producer that no other one has: its process, and when it began.
pub(super) fn producer() -> u64 {
    u64::from(process::id()) << 32 | clock::now() >> 10 & 0xffff_ffff
}

/// The process that a producer's number names.
pub(super) fn process_of(producer: u64) -> u64 {
    producer >> 32
}

impl Stamp {
    pub(super) fn write(self, message: &mut [u8]) {
        for (place, word) in message.chunks_exact_mut(8).zip([self.sequence, self.due, self.producer, self.check()]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    /// None for a message that is none of the load.
    pub(super) fn read(message: &[u8]) -> Option<Stamp> {
        let mut words =
            message.get(..SIZE)?.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8")));
        let mut word = || words.next().expect("there are four");
        let stamp = Stamp { sequence: word(), due: word(), producer: word() };
        (word() == stamp.check()).then_some(stamp)
    }

    fn check(self) -> u64 {
        let spread = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        [self.sequence, self.due, self.producer].into_iter().fold(0x6861_6e64_6f76_6572, spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_nothing_else_is_one() {
        let stamp = Stamp { sequence: 7, due: u64::MAX, producer: producer() };
        let mut message = [0xaa; 40];
        stamp.write(&mut message);
        assert_eq!(Stamp::read(&message), Some(stamp));
        assert_eq!(message[SIZE..], [0xaa; 8]);
        assert_eq!(process_of(stamp.producer), u64::from(process::id()));
        assert_eq!(Stamp::read(&message[..SIZE - 1]), None);
        for at in 0..SIZE {
            let mut other = message;
            other[at] ^= 1;
            assert_eq!(Stamp::read(&other), None, "{at}");
        }
        for foreign in [&[0; SIZE][..], b"", b"a line of thirty-two characters!"] {
            assert_eq!(Stamp::read(foreign), None);
        }
    }
}
