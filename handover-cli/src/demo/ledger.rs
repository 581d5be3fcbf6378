//! The demo's ledger: what every process did, written down in shared memory *beside* the queue, so that the queue can't
//! be wrong about itself.
//!
//! It has a line of words for each process, which survives that process, and a bit for each message that may be sent.
//! A producer counts a message once its push has returned. A consumer sets a message's bit while it holds the
//! message, before it tells the queue that it is done: killed in between, it gets the bit set and the message
//! delivered again, which has to be marked.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use handover::SharedMemory;
use handover::zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) const PRODUCERS: usize = 4;
pub(super) const CONSUMERS: usize = 4;
pub(super) const WORKERS: usize = PRODUCERS + CONSUMERS;
/// How many processes are killed.
pub(super) const KILLS: usize = 4;

/// Lines are as far apart as processors fetch memory.
const LINE: usize = 128;
const BITS_OFFSET: usize = LINE * (1 + WORKERS);

/// One message: whose it is, which of them, and words by which a message that was not written whole is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
#[zerocopy(crate = "handover::zerocopy")]
pub(super) struct Message {
    pub(super) producer: u64,
    pub(super) sequence: u64,
    pub(super) rest: [u64; 6],
}

impl Message {
    pub(super) fn new(producer: usize, sequence: u64) -> Message {
        let producer = producer as u64;
        Message { producer, sequence, rest: std::array::from_fn(|place| check_word(producer, sequence, place)) }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.rest.iter().enumerate().all(|(place, word)| *word == check_word(self.producer, self.sequence, place))
    }
}

fn check_word(producer: u64, sequence: u64, place: usize) -> u64 {
    (sequence ^ producer << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7 * place as u32)
}

/// What the demo wants a process to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Order {
    Work = 0,
    /// Stop in the midst of a push, or with a message in hand.
    Hold = 1,
    Pause = 2,
}

/// What a process says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum State {
    Working = 0,
    Holding = 1,
    Paused = 2,
}

pub(super) struct Ledger {
    memory: SharedMemory,
    /// How many messages of one producer it has bits for.
    most: u64,
}

impl Ledger {
    pub(super) fn new(messages_each: u64) -> Result<Ledger, handover::Error> {
        let most = messages_each.next_multiple_of(64);
        let memory = SharedMemory::anonymous(BITS_OFFSET + PRODUCERS * (most / 8) as usize)?;
        Ok(Ledger { memory, most })
    }

    pub(super) fn over(memory: SharedMemory) -> Ledger {
        let words = memory.len().saturating_sub(BITS_OFFSET) / PRODUCERS / 8;
        Ledger { memory, most: words as u64 * 64 }
    }

    pub(super) fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        self.memory.atomic_u64(offset).expect("the ledger has that word")
    }

    /// How many kills there have been.
    pub(super) fn kills(&self) -> &AtomicU64 {
        self.word(0)
    }

    pub(super) fn line(&self, worker: usize) -> Line<'_> {
        assert!(worker < WORKERS);
        Line { ledger: self, offset: LINE * (1 + worker) }
    }

    fn bits(&self, producer: usize, word: u64) -> &AtomicU64 {
        assert!(producer < PRODUCERS && word < self.most / 64);
        self.word(BITS_OFFSET + (producer as u64 * self.most / 8 + word * 8) as usize)
    }

    /// Notes that a message came, and says whether it had come before. `None` if nobody can have sent it.
    pub(super) fn came(&self, message: &Message) -> Option<bool> {
        let producer = usize::try_from(message.producer).ok().filter(|producer| *producer < PRODUCERS)?;
        if message.sequence >= self.most || !message.is_whole() {
            return None;
        }
        let bit = 1 << (message.sequence % 64);
        Some(self.bits(producer, message.sequence / 64).fetch_or(bit, SeqCst) & bit != 0)
    }

    /// How many messages of a producer came, below and from `sent` on.
    pub(super) fn arrived(&self, producer: usize, sent: u64) -> (u64, u64) {
        let (mut below, mut above) = (0, 0);
        for word in 0..self.most / 64 {
            let bits = self.bits(producer, word).load(SeqCst);
            let of_sent = match sent.saturating_sub(word * 64) {
                64.. => u64::MAX,
                some => (1 << some) - 1,
            };
            below += u64::from((bits & of_sent).count_ones());
            above += u64::from((bits & !of_sent).count_ones());
        }
        (below, above)
    }

    /// Whether that message came.
    pub(super) fn has(&self, producer: usize, sequence: u64) -> bool {
        sequence < self.most && self.bits(producer, sequence / 64).load(SeqCst) >> (sequence % 64) & 1 == 1
    }
}

/// What one process writes down. Only the process itself writes it, but for `order`.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    ledger: &'a Ledger,
    offset: usize,
}

impl<'a> Line<'a> {
    fn field(self, number: usize) -> &'a AtomicU64 {
        assert!(number < LINE / 8);
        self.ledger.word(self.offset + 8 * number)
    }

    /// Messages pushed, or received and done with.
    pub(super) fn done(self) -> &'a AtomicU64 {
        self.field(0)
    }

    fn order_word(self) -> &'a AtomicU64 {
        self.field(1)
    }

    fn state_word(self) -> &'a AtomicU64 {
        self.field(2)
    }

    /// Messages that came marked as redelivered.
    pub(super) fn redelivered(self) -> &'a AtomicU64 {
        self.field(3)
    }

    /// Messages that came once more and were not marked.
    pub(super) fn doubled(self) -> &'a AtomicU64 {
        self.field(4)
    }

    /// Messages that were not whole, or that nobody sent.
    pub(super) fn torn(self) -> &'a AtomicU64 {
        self.field(5)
    }

    /// When the next message got through after that kill, in nanoseconds of the monotonic clock; 0: none yet.
    pub(super) fn through(self, kill: usize) -> &'a AtomicU64 {
        assert!(kill < KILLS);
        self.field(8 + kill)
    }

    pub(super) fn give(self, order: Order) {
        self.order_word().store(order as u64, Release);
    }

    pub(super) fn order(self) -> Order {
        match self.order_word().load(Relaxed) {
            0 => Order::Work,
            1 => Order::Hold,
            _ => Order::Pause,
        }
    }

    pub(super) fn say(self, state: State) {
        self.state_word().store(state as u64, Release);
    }

    pub(super) fn state(self) -> State {
        match self.state_word().load(Acquire) {
            0 => State::Working,
            1 => State::Holding,
            _ => State::Paused,
        }
    }
}

/// Adds to a word that only this process writes.
pub(super) fn add(word: &AtomicU64, more: u64) {
    word.store(word.load(Relaxed) + more, Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::child;

    #[test]
    fn every_message_has_a_bit_of_its_own() {
        let ledger = Ledger::new(200).unwrap();
        for producer in 0..PRODUCERS {
            for sequence in [0, 63, 64, 199] {
                assert_eq!(ledger.came(&Message::new(producer, sequence)), Some(false));
                assert_eq!(ledger.came(&Message::new(producer, sequence)), Some(true));
            }
            assert_eq!(ledger.arrived(producer, 64), (2, 2));
            assert_eq!(ledger.arrived(producer, 256), (4, 0));
            assert!(ledger.has(producer, 63) && !ledger.has(producer, 62));
        }
    }

    #[test]
    fn a_message_that_is_not_whole_is_found_out() {
        let ledger = Ledger::new(200).unwrap();
        let mut half = Message::new(1, 5);
        half.rest[5] = Message::new(1, 4).rest[5];
        assert_eq!(ledger.came(&half), None);
        assert_eq!(ledger.came(&Message::new(PRODUCERS, 0)), None);
        assert_eq!(ledger.came(&Message::new(0, 256)), None);
    }

    #[test]
    fn a_childs_ledger_is_the_parents() {
        let ledger = Ledger::new(1000).unwrap();
        let other = Ledger::over(child::memory(ledger.memory().share().unwrap().into()).unwrap());
        assert_eq!(other.most(), ledger.most());
        other.came(&Message::new(3, 999));
        assert!(ledger.has(3, 999));
    }
}
