//! Which messages of a producer came, and which did not.

use std::collections::BTreeMap;

/// So many messages are noted together.
const CHUNK: u64 = 1 << 16;
/// So many chunks are kept of a producer, 32 MiB: of what lies further back it is not known any more whether it came.
const KEPT: usize = 4096;

/// A producer's messages.
#[derive(Default)]
pub(super) struct Seen {
    /// A bit for each message.
    chunks: BTreeMap<u64, Box<Chunk>>,
    /// The last chunk that was forgotten: so were all before it.
    forgotten: Option<u64>,
    first: Option<u64>,
    last: u64,
    /// How many came, each counted once.
    pub(super) came: u64,
}

const WORDS: usize = (CHUNK / 64) as usize;

type Chunk = [u64; WORDS];

/// What is known of a message that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    First,
    Again,
    /// It lies too far back.
    Unknown,
}

impl Seen {
    pub(super) fn note(&mut self, sequence: u64) -> Came {
        let (number, bit) = (sequence / CHUNK, sequence % CHUNK);
        if self.forgotten.is_some_and(|forgotten| number <= forgotten) {
            return Came::Unknown;
        }
        let chunk = self.chunks.entry(number).or_insert_with(|| Box::new([0; WORDS]));
        let (word, mask) = (&mut chunk[(bit / 64) as usize], 1 << (bit % 64));
        if *word & mask != 0 {
            return Came::Again;
        }
        *word |= mask;
        self.came += 1;
        self.first = Some(self.first.map_or(sequence, |first| first.min(sequence)));
        self.last = self.last.max(sequence);
        if self.chunks.len() > KEPT
            && let Some((forgotten, _)) = self.chunks.pop_first()
        {
            self.forgotten = Some(forgotten);
        }
        Came::First
    }

    /// How many did not come, of those between the first and the last that did.
    pub(super) fn absent(&self) -> u64 {
        self.first.map_or(0, |first| self.last - first + 1 - self.came)
    }

    pub(super) fn span(&self) -> Option<(u64, u64)> {
        self.first.map(|first| (first, self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_did_not_is_known() {
        let mut seen = Seen::default();
        assert_eq!((seen.absent(), seen.span()), (0, None));
        for sequence in [10, 11, 13, 9, CHUNK + 5] {
            assert_eq!(seen.note(sequence), Came::First, "{sequence}");
        }
        assert_eq!((seen.note(11), seen.note(CHUNK + 5)), (Came::Again, Came::Again));
        assert_eq!((seen.came, seen.span()), (5, Some((9, CHUNK + 5))));
        assert_eq!(seen.absent(), CHUNK + 5 - 9 + 1 - 5);
        assert_eq!((seen.note(12), seen.came), (Came::First, 6));
    }

    #[test]
    fn what_lies_too_far_back_is_not_taken_for_known() {
        let mut seen = Seen::default();
        for chunk in 0..=KEPT as u64 {
            assert_eq!(seen.note(chunk * CHUNK), Came::First);
        }
        assert_eq!((seen.note(0), seen.note(1)), (Came::Unknown, Came::Unknown));
        assert_eq!(seen.note(CHUNK), Came::Again);
        assert_eq!(seen.chunks.len(), KEPT);
    }
}
