//! What each member writes down about its calls, in shared memory that the queue does not know, so that it survives the
//! member. What a call was is written before it begins; a call without an end was under way when its member died.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use handover::SharedMemory;

use super::history::{Moment, NEVER, Operation, Outcome, What};

/// The most messages in one call.
pub const BATCH: usize = 8;

/// A record's words: invoked, returned, what, how many, outcome, how many, redeliveries; then messages asked, and got.
const WORDS: usize = 7 + 2 * BATCH;

/// The logs of all members of a queue, and the counter they draw their moments from.
pub struct Log {
    memory: SharedMemory,
    members: usize,
    records: usize,
}

impl Log {
    /// Room for so many calls of so many members.
    pub fn new(members: usize, records: usize) -> Log {
        // A line of its own for the counter.
        let bytes = 128 + 8 * members * (1 + records * WORDS);
        Log { memory: SharedMemory::anonymous(bytes).expect("room for the log"), members, records }
    }

    /// The next moment. One counter for all: whoever draws after another has drawn sees all that came before, so what
    /// the numbers say of order is what the members could know.
    pub fn moment(&self) -> Moment {
        self.memory.atomic_u64(0).expect("inside").fetch_add(1, SeqCst) + 1
    }

    fn word(&self, member: usize, word: usize) -> &AtomicU64 {
        assert!(member < self.members && word < 1 + self.records * WORDS);
        self.memory.atomic_u64(128 + 8 * (member * (1 + self.records * WORDS) + word)).expect("inside")
    }

    /// The log of one member.
    pub fn of(&self, member: usize) -> Diary<'_> {
        Diary { log: self, member, next: self.word(member, 0).load(SeqCst) as usize, end: self.records }
    }

    /// All calls that were written down.
    pub fn operations(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        for member in 0..self.members {
            for record in 0..self.word(member, 0).load(SeqCst) as usize {
                all.extend(self.read(member, record));
            }
        }
        all
    }

    fn read(&self, member: usize, record: usize) -> Option<Operation> {
        let at = 1 + record * WORDS;
        let word = |nth: usize| self.word(member, at + nth).load(SeqCst);
        let messages = |words: Range<usize>| words.map(word).collect::<Vec<u64>>();
        let asked = word(3) as usize;
        let what = match word(2) {
            1 => What::Push(messages(7..7 + asked)),
            2 => What::Loan,
            3 => What::Send(word(7)),
            4 => What::GiveUp,
            5 => What::Pop { most: asked, keep: word(7) as usize },
            6 => What::Receive,
            7 => What::Done,
            8 => What::HandBack,
            9 => What::Close,
            other => unreachable!("record of kind {other}"),
        };
        let (invoked, returned) = (word(0), word(1));
        // Written down and not begun.
        if invoked == 0 {
            return None;
        }
        let got = word(5) as usize;
        let outcome = match word(4) {
            _ if returned == 0 => Outcome::Pending,
            1 => Outcome::Done,
            2 => Outcome::Pushed(got),
            3 => Outcome::Got(messages(7 + BATCH..7 + BATCH + got), word(6) as u32),
            4 => Outcome::Full,
            5 => Outcome::Empty,
            6 => Outcome::Closed,
            other => unreachable!("outcome of kind {other}"),
        };
        let returned = if returned == 0 { NEVER } else { returned };
        Some(Operation { member: member as u16, invoked, returned, what, outcome })
    }
}

/// One member's log.
pub struct Diary<'a> {
    log: &'a Log,
    member: usize,
    next: usize,
    end: usize,
}

impl Diary<'_> {
    /// The same, for so many calls.
    pub fn at_most(self, calls: usize) -> Self {
        Diary { end: calls.min(self.end), ..self }
    }

    /// How many more calls it has room for.
    pub fn room(&self) -> usize {
        self.end - self.next
    }

    /// A call begins now.
    pub fn begin(&mut self, what: &What) {
        let at = 1 + self.next * WORDS;
        let set = |nth: usize, value: u64| self.log.word(self.member, at + nth).store(value, SeqCst);
        let (kind, asked) = match what {
            What::Push(messages) => {
                for (nth, message) in messages.iter().enumerate() {
                    set(7 + nth, *message);
                }
                (1, messages.len())
            }
            What::Loan => (2, 0),
            What::Send(message) => {
                set(7, *message);
                (3, 0)
            }
            What::GiveUp => (4, 0),
            What::Pop { most, keep } => {
                set(7, *keep as u64);
                (5, *most)
            }
            What::Receive => (6, 0),
            What::Done => (7, 0),
            What::HandBack => (8, 0),
            What::Close => (9, 0),
        };
        set(2, kind);
        set(3, asked as u64);
        self.next += 1;
        self.log.word(self.member, 0).store(self.next as u64, SeqCst);
        set(0, self.log.moment());
    }

    /// The call that began last is over.
    pub fn end(&mut self, outcome: &Outcome) {
        let returned = self.log.moment();
        let at = 1 + (self.next - 1) * WORDS;
        let set = |nth: usize, value: u64| self.log.word(self.member, at + nth).store(value, SeqCst);
        let kind = match outcome {
            Outcome::Pending => unreachable!("it is over"),
            Outcome::Done => 1,
            Outcome::Pushed(count) => {
                set(5, *count as u64);
                2
            }
            Outcome::Got(messages, redeliveries) => {
                for (nth, message) in messages.iter().enumerate() {
                    set(7 + BATCH + nth, *message);
                }
                set(5, messages.len() as u64);
                set(6, u64::from(*redeliveries));
                3
            }
            Outcome::Full => 4,
            Outcome::Empty => 5,
            Outcome::Closed => 6,
        };
        set(4, kind);
        // Last: with this the record is whole.
        set(1, returned);
    }
}
