//! Words that all endpoints of a run share, whether threads or processes: how they start together, and what they tell
//! each other besides messages.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use handover::SharedMemory;

use super::machine;

/// Each word has lines of its own.
const LINE: usize = 128;
const LINES: usize = 8;

const READY: usize = 0;
const GO: usize = 1;
const GONE: usize = 2;
/// The first of the words that are for the run's own use.
const FREE: usize = 3;

pub struct Board(SharedMemory);

impl Board {
    pub fn new() -> Board {
        Board(SharedMemory::anonymous(LINES * LINE).expect("shared memory"))
    }

    pub fn from_fd(fd: impl AsFd) -> Board {
        Board(SharedMemory::from_fd(fd).expect("a board"))
    }

    pub fn share(&self) -> OwnedFd {
        self.0.share().expect("a descriptor")
    }

    fn line(&self, line: usize) -> &AtomicU32 {
        self.0.atomic_u32(line * LINE).expect("inside the board")
    }

    pub fn word(&self, nth: usize) -> &AtomicU32 {
        self.line(FREE + nth)
    }

    pub fn long_word(&self, nth: usize) -> &AtomicU64 {
        self.0.atomic_u64((FREE + nth) * LINE).expect("inside the board")
    }

    /// An endpoint is ready; returns when all are told to start.
    pub fn arrive(&self) {
        self.line(READY).fetch_add(1, SeqCst);
        machine::wake_all(self.line(READY), true);
        self.await_word(self.line(GO), 1);
    }

    /// Starts everybody as soon as so many are ready.
    pub fn start(&self, endpoints: usize) {
        self.await_word(self.line(READY), endpoints as u32);
        self.set(self.line(GO), 1);
    }

    /// One of so many is done. Whether it was the last.
    pub fn leave(&self, of: usize) -> bool {
        self.line(GONE).fetch_add(1, SeqCst) + 1 == of as u32
    }

    pub fn set(&self, word: &AtomicU32, value: u32) {
        word.store(value, SeqCst);
        machine::wake_all(word, true);
    }

    pub fn await_word(&self, word: &AtomicU32, value: u32) {
        loop {
            let found = word.load(SeqCst);
            if found >= value {
                return;
            }
            machine::sleep_on(word, found, Some(Duration::from_millis(100)), true);
        }
    }
}
