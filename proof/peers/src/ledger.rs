//! What was sent and what arrived, in memory that every process of a run shares. The same for all peers.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};

use handover::{Error, SharedMemory};

/// The most messages of one run.
pub const MOST: u64 = 24 << 20;
/// Processes at a time.
pub const SEATS: usize = 4;

const NEXT: usize = 0;
const OVER: usize = 8;
const SEAT: usize = 64;
const ENTRIES: usize = 4096;

const BEGUN: u32 = 1;
const SENT: u32 = 2;
const UNMARKED: u32 = 1 << 8;
const MARKED: u32 = 1 << 20;

/// What a process is at.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum At {
    /// It has not got to work yet.
    Beginning = 0,
    /// In a call of the peer's.
    Inside = 1,
    /// Between two calls: everything that came of the last one is in the ledger.
    Between = 2,
}

/// The ledger.
pub struct Ledger(SharedMemory);

/// What the ledger says in the end.
#[derive(Default)]
pub struct Balance {
    /// Sending returned.
    pub sent: u64,
    /// Sent, and not received by anybody.
    pub missing: u64,
    /// Received more than once without a mark.
    pub doubled: u64,
    /// Received more than once, the later ones marked.
    pub redelivered: u64,
}

impl Ledger {
    /// A new one.
    pub fn create(name: &str) -> Result<Ledger, Error> {
        SharedMemory::create(name, ENTRIES + 4 * MOST as usize).map(Ledger)
    }

    /// Another process's.
    pub fn open(name: &str) -> Result<Ledger, Error> {
        SharedMemory::open(name).map(Ledger)
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        self.0.atomic_u64(at).expect("within the ledger")
    }

    fn entry(&self, message: u64) -> Option<&AtomicU32> {
        (message < MOST).then(|| self.0.atomic_u32(ENTRIES + 4 * message as usize).expect("within the ledger"))
    }

    /// The next message to send; none when it is over.
    pub fn begin(&self) -> Option<u64> {
        if self.word(OVER).load(SeqCst) != 0 {
            return None;
        }
        let message = self.word(NEXT).fetch_add(1, SeqCst);
        self.entry(message)?.fetch_or(BEGUN, SeqCst);
        Some(message)
    }

    /// Sending it returned.
    pub fn sent(&self, message: u64) {
        if let Some(entry) = self.entry(message) {
            entry.fetch_or(SENT, SeqCst);
        }
    }

    /// It was received. False if nobody ever sent such a thing.
    pub fn received(&self, message: u64, marked: bool) -> bool {
        let Some(entry) = self.entry(message) else { return false };
        entry.fetch_add(if marked { MARKED } else { UNMARKED }, SeqCst) & BEGUN != 0
    }

    /// Nothing more is to be sent.
    pub fn end(&self) {
        self.word(OVER).store(1, SeqCst);
    }

    /// Nothing more can be sent.
    pub fn is_full(&self) -> bool {
        self.word(NEXT).load(SeqCst) >= MOST
    }

    /// Counts a receipt, or garbage.
    pub fn count(&self, seat: usize, garbage: bool) {
        self.word(SEAT * (seat + 1) + if garbage { 16 } else { 8 }).fetch_add(1, SeqCst);
    }

    /// Receipts, and garbage, of all seats.
    pub fn counts(&self) -> (u64, u64) {
        let sum = |at: usize| (0..SEATS).map(|seat| self.word(SEAT * (seat + 1) + at).load(SeqCst)).sum();
        (sum(8), sum(16))
    }

    /// Says what the process on a seat is at.
    pub fn is_at(&self, seat: usize, at: At) {
        self.word(SEAT * (seat + 1)).store(at as u64, SeqCst);
    }

    /// What the process on a seat is at, or was when it died.
    pub fn at(&self, seat: usize) -> At {
        match self.word(SEAT * (seat + 1)).load(SeqCst) {
            1 => At::Inside,
            2 => At::Between,
            _ => At::Beginning,
        }
    }

    /// Adds everything up. `all_get_all`: a message that several receive is not doubled.
    pub fn balance(&self, all_get_all: bool) -> Balance {
        let mut balance = Balance::default();
        for message in 0..self.word(NEXT).load(SeqCst).min(MOST) {
            let entry = self.entry(message).expect("within").load(SeqCst);
            let (unmarked, marked) = (entry >> 8 & 0xfff, entry >> 20);
            balance.sent += u64::from(entry & SENT != 0);
            balance.missing += u64::from(entry & SENT != 0 && unmarked + marked == 0);
            balance.doubled += u64::from(!all_get_all && unmarked > 1);
            balance.redelivered += u64::from(marked > 0);
        }
        balance
    }
}
