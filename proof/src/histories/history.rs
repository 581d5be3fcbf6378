//! What was done to one queue, by whom and when: what both checkers judge.

use std::fmt;

/// A moment: a number drawn from a counter that all members share, so that of two operations one of which had
/// returned before the other was invoked, this is what the numbers say.
pub type Moment = u64;

/// What was asked of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// To push these, with one call.
    Push(Vec<u64>),
    /// To lend a slot.
    Loan,
    /// To send what was lent, as this message.
    Send(u64),
    /// To give up what was lent.
    GiveUp,
    /// To pop at most so many with one call. Of them only the first `keep` are taken; the rest is left where it is.
    Pop {
        /// The most that is asked for.
        most: usize,
        /// The most that is taken.
        keep: usize,
    },
    /// To receive in place.
    Receive,
    /// To finish what was received.
    Done,
    /// To hand back what was received.
    HandBack,
    /// To close the queue.
    Close,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It never returned: its member died in it. It may have taken effect or not.
    Pending,
    /// Nothing but that it was done.
    Done,
    /// So many were pushed.
    Pushed(usize),
    /// These came, handed out so often before.
    Got(Vec<u64>, u32),
    /// There was no room.
    Full,
    /// There was no message.
    Empty,
    /// The queue was closed.
    Closed,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Whose. A member makes one call at a time.
    pub member: u16,
    /// When it began.
    pub invoked: Moment,
    /// When it was over; of a pending one, never.
    pub returned: Moment,
    /// What was asked.
    pub what: What,
    /// What came of it.
    pub outcome: Outcome,
}

/// The end of a member that was killed.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// Who.
    pub member: u16,
    /// Before this it lived.
    pub killed: Moment,
    /// After this it did nothing any more.
    pub gone: Moment,
}

/// All that was done to one queue.
#[derive(Debug, Clone)]
pub struct History {
    /// How many messages the queue holds.
    pub capacity: usize,
    /// Whether it is the ring for one producer and one consumer.
    pub one_to_one: bool,
    /// In the order of invocation.
    pub operations: Vec<Operation>,
    /// Those who were killed.
    pub deaths: Vec<Death>,
}

/// Never.
pub const NEVER: Moment = Moment::MAX;

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation { member, invoked, returned, what, outcome } = self;
        if *returned == NEVER {
            write!(f, "member {member}, from {invoked}: {what:x?} -> {outcome:x?}")
        } else {
            write!(f, "member {member}, {invoked}..{returned}: {what:x?} -> {outcome:x?}")
        }
    }
}

impl History {
    /// Brings the operations into the order in which they were invoked.
    pub fn sort(&mut self) {
        self.operations.sort_by_key(|operation| operation.invoked);
    }

    /// What went on around a moment, for people to read.
    pub fn around(&self, moment: Moment) -> String {
        let at = self.operations.partition_point(|operation| operation.invoked <= moment);
        let mut lines = String::new();
        for operation in &self.operations[at.saturating_sub(24)..(at + 4).min(self.operations.len())] {
            lines += &format!("\n      {operation}");
        }
        for death in &self.deaths {
            lines += &format!("\n      member {} killed at {}, gone at {}", death.member, death.killed, death.gone);
        }
        lines
    }
}
