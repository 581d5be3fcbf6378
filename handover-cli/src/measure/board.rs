//! Words that all endpoints of a run share, whether threads or processes: how they start together and end, and how far
//! each of them is.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::thread;
use std::time::Duration;

use handover::{Error, SharedMemory};

/// Each word has lines of its own.
const LINE: usize = 128;
/// What is waited for here takes milliseconds.
const LOOK: Duration = Duration::from_micros(50);

const READY: usize = 0;
const ORDER: usize = 1;
const GONE: usize = 2;
/// The first of the words that endpoints count in.
const COUNTS: usize = 3;

const GO: u64 = 1;
const STOP: u64 = 2;

pub(crate) struct Board(SharedMemory);

impl Board {
    pub(crate) fn new(endpoints: usize) -> Result<Board, Error> {
        Ok(Board(SharedMemory::anonymous((COUNTS + endpoints) * LINE)?))
    }

    pub(crate) fn over(memory: SharedMemory) -> Board {
        Board(memory)
    }

    pub(crate) fn memory(&self) -> &SharedMemory {
        &self.0
    }

    fn word(&self, nth: usize) -> &AtomicU64 {
        self.0.atomic_u64(nth * LINE).expect("the board has that word")
    }

    /// How many messages that endpoint has handed over or taken.
    pub(crate) fn count(&self, endpoint: usize) -> &AtomicU64 {
        self.word(COUNTS + endpoint)
    }

    pub(crate) fn counted(&self, endpoints: std::ops::Range<usize>) -> u64 {
        endpoints.map(|endpoint| self.count(endpoint).load(Relaxed)).sum()
    }

    /// An endpoint is ready; returns when all are told to go.
    pub(crate) fn arrive(&self) {
        self.word(READY).fetch_add(1, SeqCst);
        while self.word(ORDER).load(Acquire) == 0 {
            thread::sleep(LOOK);
        }
    }

    pub(crate) fn ready(&self) -> usize {
        self.word(READY).load(SeqCst) as usize
    }

    pub(crate) fn go(&self) {
        self.word(ORDER).store(GO, Release);
    }

    pub(crate) fn stop(&self) {
        self.word(ORDER).store(STOP, Release);
    }

    #[inline(always)]
    pub(crate) fn is_stopped(&self) -> bool {
        self.word(ORDER).load(Relaxed) == STOP
    }

    /// One of so many is done. Whether it was the last.
    pub(crate) fn leave(&self, of: usize) -> bool {
        self.word(GONE).fetch_add(1, SeqCst) + 1 == of as u64
    }
}
