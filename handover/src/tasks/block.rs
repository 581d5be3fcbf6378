//! Blocks: the memory of one task each, whose words are the truth about it.
//!
//! A block's *word* says what state it is in, who holds it, how often it was tried, and its *generation*, which rises
//! whenever it changes hands. Everything else in a block is written by its holder alone. A word is changed by
//! compare-and-swap from what was read, so a member that was stopped in between changes nothing that has gone on.
//!
//! A *hint* names a block and a generation. Rings of hints say which blocks are free and which wait to be worked on, in
//! which order. A hint whose generation is not the block's any more is dropped. A block that is free or waits has a hint
//! in a ring, or one is in the hands of a living member, or of a dead one that nobody has reaped yet.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use crate::ring::Owner;
use crate::segment::copy;

/// What a block is.
///
/// ```text
///          submit              commit                  take              done
/// Free ------------> Filling ----------> Waiting ---------------> Leased -----> Free, or Finished until its
///   ^                   |      delayed:   ^   |                     |           result is collected
///   |   holder dead     |      Delayed ---+   | past its deadline   | given back, holder dead, time over: Waiting
///   +-------------------+                     v                     | failed: Delayed; too often: Dead
///                                          Expired                  v
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Not in service: beyond the capacity as it is now.
    Retired = 0,
    Free = 1,
    /// A member fills it, or empties it: free, if that one dies.
    Filling = 2,
    /// For a worker; a hint of this generation is in a ring.
    Waiting = 3,
    /// For a time, which stands in its alarm.
    Delayed = 4,
    /// A worker works on it.
    Leased = 5,
    /// Its holder moves its task from one state to another: given back, if that one dies.
    Busy = 6,
    Dead = 7,
    /// Done, and its result is there for the one who waits for it.
    Finished = 8,
    /// Waiting, past its deadline: a dead letter whose hint is still in a ring.
    Expired = 9,
    /// An expired one that was purged: free as soon as its hint comes out of the ring.
    Purged = 10,
    /// An expired one that was requeued: it waits again, as if it had no deadline and was never tried.
    Requeued = 11,
}

/// ```text
/// 63..28       27..20   19..4   3..0
/// generation   tries    owner   state
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

const OWNER_AT: u32 = 4;
const TRIES_AT: u32 = 20;
const GENERATION_AT: u32 = 28;
const GENERATIONS: u64 = 1 << 36;

impl Word {
    pub(crate) fn new(state: State, owner: Owner, tries: u8, generation: u64) -> Word {
        Word(
            (generation % GENERATIONS) << GENERATION_AT
                | u64::from(tries) << TRIES_AT
                | u64::from(owner.0) << OWNER_AT
                | state as u64,
        )
    }

    /// `None` for a number that no correct member writes.
    pub(crate) fn state(self) -> Option<State> {
        Some(match self.0 & 15 {
            0 => State::Retired,
            1 => State::Free,
            2 => State::Filling,
            3 => State::Waiting,
            4 => State::Delayed,
            5 => State::Leased,
            6 => State::Busy,
            7 => State::Dead,
            8 => State::Finished,
            9 => State::Expired,
            10 => State::Purged,
            11 => State::Requeued,
            _ => return None,
        })
    }

    pub(crate) fn owner(self) -> Owner {
        Owner((self.0 >> OWNER_AT) as u16)
    }

    pub(crate) fn tries(self) -> u8 {
        (self.0 >> TRIES_AT) as u8
    }

    pub(crate) fn generation(self) -> u64 {
        self.0 >> GENERATION_AT
    }

    /// The same in another state and in nobody's hands.
    pub(crate) fn to(self, state: State) -> Word {
        Word::new(state, Owner(0), self.tries(), self.generation())
    }

    /// The same in somebody's hands.
    pub(crate) fn held(self, state: State, owner: Owner) -> Word {
        Word::new(state, owner, self.tries(), self.generation())
    }

    pub(crate) fn tried(self, tries: u8) -> Word {
        Word::new(self.state().unwrap_or(State::Busy), self.owner(), tries, self.generation())
    }

    /// The same in the next generation.
    pub(crate) fn next(self) -> Word {
        Word::new(self.state().unwrap_or(State::Busy), self.owner(), self.tries(), self.generation().wrapping_add(1))
    }
}

/// A block's number and a generation: what stands in the rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hint(pub(crate) u64);

const BLOCK_AT: u32 = 36;
/// Blocks that a hint can name.
pub(crate) const MOST_BLOCKS: u64 = 1 << (64 - BLOCK_AT);

impl Hint {
    pub(crate) fn new(block: u32, generation: u64) -> Hint {
        Hint((u64::from(block) << BLOCK_AT) | (generation % GENERATIONS))
    }

    pub(crate) fn block(self) -> u32 {
        (self.0 >> BLOCK_AT) as u32
    }

    pub(crate) fn generation(self) -> u64 {
        self.0 % GENERATIONS
    }
}

/// The submitter that waits for a block's result, and in which generation it began to: so nobody takes it for another that
/// has the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaiter(pub(crate) u64);

impl Awaiter {
    pub(crate) const NONE: Awaiter = Awaiter(0);

    pub(crate) fn new(owner: Owner, generation: u64) -> Awaiter {
        Awaiter((generation % GENERATIONS) << 16 | (u64::from(owner.0) + 1))
    }

    pub(crate) fn is(self, owner: Owner) -> bool {
        self.0 & 0xffff == u64::from(owner.0) + 1
    }
}

/// The longest key.
pub(crate) const KEY_MAX: usize = 64;
/// The longest reason that is kept.
pub(crate) const REASON_MAX: usize = 160;

/// The first line of a block; the message follows it. Times are nanoseconds of the system's monotonic clock, 0 for none.
#[repr(C, align(64))]
pub(crate) struct Head {
    pub(crate) word: AtomicU64,
    pub(crate) id: AtomicU64,
    pub(crate) submitted: AtomicU64,
    pub(crate) deadline: AtomicU64,
    /// When the lease began.
    pub(crate) taken: AtomicU64,
    /// The level, and above it the most tries.
    pub(crate) terms: AtomicU32,
    pub(crate) result_length: AtomicU32,
    /// Who waits for the result: see [`Awaiter`].
    pub(crate) awaiter: AtomicU64,
    pub(crate) failures: AtomicU32,
    pub(crate) key_length: AtomicU32,
}

const _: () = assert!(size_of::<Head>() == 64);

/// What lies behind the message: seldom looked at.
#[repr(C, align(64))]
pub(crate) struct Tail {
    /// When it failed last.
    pub(crate) failed: AtomicU64,
    /// The process in which it failed last, for people to read.
    pub(crate) pid: AtomicU32,
    pub(crate) reason_length: AtomicU32,
    pub(crate) key: [AtomicU8; KEY_MAX],
    pub(crate) reason: [AtomicU8; REASON_MAX],
}

const _: () = assert!(size_of::<Tail>() == 256);

impl Tail {
    pub(crate) fn set_reason(&self, reason: &str) {
        let mut length = reason.len().min(REASON_MAX);
        while !reason.is_char_boundary(length) {
            length -= 1;
        }
        copy::copy_in(&reason.as_bytes()[..length], &self.reason[..length]);
        self.reason_length.store(length as u32, Relaxed);
    }

    pub(crate) fn reason(&self) -> String {
        let mut bytes = vec![0; (self.reason_length.load(Relaxed) as usize).min(REASON_MAX)];
        copy::copy_out(&self.reason[..bytes.len()], &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn set_key(&self, head: &Head, key: &[u8]) {
        copy::copy_in(key, &self.key[..key.len()]);
        head.key_length.store(key.len() as u32, Relaxed);
    }

    pub(crate) fn key(&self, head: &Head) -> Vec<u8> {
        let mut bytes = vec![0; (head.key_length.load(Relaxed) as usize).min(KEY_MAX)];
        copy::copy_out(&self.key[..bytes.len()], &mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_hints_come_back_as_they_were_packed() {
        let word = Word::new(State::Leased, Owner(1022), 255, GENERATIONS - 1);
        assert_eq!((word.state(), word.owner(), word.tries()), (Some(State::Leased), Owner(1022), 255));
        assert_eq!(word.generation(), GENERATIONS - 1);
        assert_eq!(word.next().generation(), 0, "after the last comes the first");
        let hint = Hint::new(MOST_BLOCKS as u32 - 1, GENERATIONS - 1);
        assert_eq!((hint.block(), hint.generation()), (MOST_BLOCKS as u32 - 1, GENERATIONS - 1));
        assert_eq!(Word(u64::MAX).state(), None);
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        // SAFETY: all zero is a tail.
        let tail: Tail = unsafe { std::mem::zeroed() };
        tail.set_reason(&"é".repeat(REASON_MAX));
        assert_eq!(tail.reason(), "é".repeat(REASON_MAX / 2));
    }
}
