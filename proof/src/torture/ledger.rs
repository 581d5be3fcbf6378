//! What was done and what came of it, in memory that the queue does not know.

use std::sync::atomic::{AtomicU32, AtomicU64};

use handover::SharedMemory;

/// A number, a check of it, its complement, and a check of that: half a message is no message.
pub(super) type Message = [u64; 4];

/// So many messages a producer pushes before it ends.
pub(super) const LAST: u64 = 2000;
/// The most messages in one call.
pub(super) const BATCH: usize = 64;

/// What a loan that is not sent says: nobody may ever see it.
pub(super) const POISON: u64 = u64::MAX;

pub(super) fn message(number: u64) -> Message {
    [number, check(number), !number, check(!number)]
}

fn check(number: u64) -> u64 {
    (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What happened, in memory that the queue does not know.
pub(super) struct Ledger {
    memory: SharedMemory,
    /// The most producers, and the most consumers.
    pub(super) workers: usize,
}

/// One message's word: counts of eight bits each.
pub(super) const FRESH: u32 = 1;
pub(super) const MARKED: u32 = 1 << 8;
pub(super) const TAKEN: u32 = 1 << 16;
pub(super) const TAKEN_ANY: u32 = 0xff << 16;

/// What a consumer is doing.
pub(super) const IDLE: u64 = 0;
pub(super) const POPPING: u64 = 1;
/// What it has seen stands in its list.
pub(super) const SEEING: u64 = 2;

/// A consumer's words: what it does, how much it saw, what it saw.
pub(super) const CONSUMER_WORDS: usize = 2 + BATCH;

impl Ledger {
    const BEGUN: usize = 8 * 16;

    pub(super) fn new(workers: usize) -> Ledger {
        let bytes = Self::BEGUN + workers * (2 * 8 + 8 * CONSUMER_WORDS + 4 * LAST as usize);
        Ledger { memory: SharedMemory::anonymous(bytes).expect("room for the ledger"), workers }
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        self.memory.atomic_u64(offset).expect("within the ledger")
    }

    /// How much was pushed and taken: stands still if everybody is stuck.
    pub(super) fn progress(&self) -> &AtomicU64 {
        self.word(0)
    }

    pub(super) fn redelivered(&self) -> &AtomicU64 {
        self.word(8)
    }

    /// How many were seen to come twice unmarked, or after they were taken.
    pub(super) fn doubled(&self) -> &AtomicU64 {
        self.word(16)
    }

    /// A producer is about to push all before this.
    pub(super) fn begun(&self, producer: usize) -> &AtomicU64 {
        self.word(Self::BEGUN + 8 * producer)
    }

    /// A producer's pushes of all before this have returned.
    pub(super) fn returned(&self, producer: usize) -> &AtomicU64 {
        self.word(Self::BEGUN + 8 * (self.workers + producer))
    }

    pub(super) fn doing(&self, consumer: usize, word: usize) -> &AtomicU64 {
        self.word(Self::BEGUN + 8 * (2 * self.workers + consumer * CONSUMER_WORDS + word))
    }

    pub(super) fn message(&self, producer: usize, sequence: u64) -> &AtomicU32 {
        let messages = Self::BEGUN + 8 * self.workers * (2 + CONSUMER_WORDS);
        self.memory
            .atomic_u32(messages + 4 * (producer * LAST as usize + sequence as usize))
            .expect("within the ledger")
    }
}
