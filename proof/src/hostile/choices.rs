//! Where everything that is left to chance comes from: a seed, or the bytes that a fuzzer makes up.

/// A source of choices. The same seed, or the same bytes, make the same choices.
#[derive(Debug, Clone)]
pub struct Choices<'a>(Source<'a>);

#[derive(Debug, Clone)]
enum Source<'a> {
    Seeded(u64),
    Given(&'a [u8]),
}

impl<'a> Choices<'a> {
    /// Without end.
    pub fn seeded(seed: u64) -> Choices<'static> {
        // Neighbouring seeds are to have nothing in common, and none may be zero.
        let spread = (seed ^ seed >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Choices(Source::Seeded((spread ^ spread >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1))
    }

    /// Until the bytes are used up; from then on every choice is the first one.
    pub fn given(bytes: &'a [u8]) -> Choices<'a> {
        Choices(Source::Given(bytes))
    }

    /// Whether there is nothing left to choose from.
    pub fn over(&self) -> bool {
        matches!(self.0, Source::Given(bytes) if bytes.is_empty())
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.bytes(8)
    }

    /// A number of so many bytes.
    fn bytes(&mut self, most: usize) -> u64 {
        match &mut self.0 {
            Source::Seeded(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                state.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(32) >> (64 - 8 * most)
            }
            Source::Given(bytes) => {
                let (taken, rest) = bytes.split_at(most.min(bytes.len()));
                *bytes = rest;
                taken.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
        }
    }

    /// A number below `end`, which is not zero. A fuzzer pays no more bytes for it than it needs.
    pub fn below(&mut self, end: u64) -> u64 {
        let bytes = match end {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 8,
        };
        // Of a seed there is enough: a remainder of few bits would favour the small.
        match self.0 {
            Source::Seeded(_) => self.bytes(8) % end,
            Source::Given(_) => self.bytes(bytes) % end,
        }
    }

    /// One in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        // The last and not the first: a fuzzer that has no bytes left chooses zero.
        self.below(times) == times - 1
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Small, near the end, a power of two, or anything.
    pub fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(8),
            1 => u64::MAX - self.below(8),
            2 => 1 << self.below(64),
            _ => self.any(),
        }
    }
}
