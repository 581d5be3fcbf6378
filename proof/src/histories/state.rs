//! The specification itself: a state of the queue, and what may be done to it.

use super::history::Moment;

/// A place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Free,
    Writing {
        by: u16,
        message: u64,
    },
    /// A message. It was handed out at least `low` and at most `high` times, the last of which was over at `back`.
    Ready {
        message: u64,
        low: u32,
        high: u32,
        back: Moment,
    },
    Held {
        by: u16,
        message: u64,
        low: u32,
        high: u32,
    },
    Void,
}

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Stage {
    /// Its claim is made and not finished.
    pub(super) claimed: bool,
    /// Messages pushed.
    pub(super) pushed: usize,
    pub(super) over: bool,
}

/// A state the queue may be in, and how far those under way have come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The last places up to the tail, as many as there are slots: the first is where the next push goes.
    pub(super) slots: Vec<Slot>,
    /// Of the first place that was not claimed by a pop; void ones may come before the next message.
    pub(super) head: usize,
    pub(super) closed: bool,
    pub(super) under_way: Vec<(usize, Stage)>,
}

impl State {
    /// Of an empty queue.
    pub(super) fn new(capacity: usize) -> State {
        State { slots: vec![Slot::Free; capacity], head: capacity, closed: false, under_way: Vec::new() }
    }

    /// Whether the next push's slot is neither free nor void (which whoever pushes steps over).
    pub(super) fn is_full(&self) -> bool {
        !matches!(self.slots[0], Slot::Free | Slot::Void)
    }

    pub(super) fn claim_push(&mut self, by: u16, message: u64) -> bool {
        if self.closed || self.is_full() {
            return false;
        }
        self.slots.remove(0);
        self.slots.push(Slot::Writing { by, message });
        // A void in the first place is passed by the head now, if it was not before.
        self.head = self.head.saturating_sub(1);
        true
    }

    pub(super) fn commit(&mut self, by: u16, as_message: Option<u64>) -> usize {
        let mut count = 0;
        for slot in &mut self.slots {
            if let Slot::Writing { by: other, message } = *slot
                && other == by
            {
                *slot = Slot::Ready { message: as_message.unwrap_or(message), low: 0, high: 0, back: 0 };
                count += 1;
            }
        }
        count
    }

    /// Gives up what a member has claimed to write. One to one, a place is only had by committing.
    pub(super) fn void(&mut self, by: u16, one_to_one: bool) {
        for at in 0..self.slots.len() {
            if !matches!(self.slots[at], Slot::Writing { by: other, .. } if other == by) {
                continue;
            }
            if one_to_one {
                self.slots.remove(at);
                self.slots.insert(0, Slot::Free);
                self.head += 1;
            } else {
                self.slots[at] = Slot::Void;
            }
        }
    }

    /// Where the next message is, or would be.
    fn next(&self) -> usize {
        let voids = self.slots[self.head..].iter().take_while(|slot| **slot == Slot::Void);
        self.head + voids.count()
    }

    pub(super) fn is_empty(&self) -> bool {
        !matches!(self.slots.get(self.next()), Some(Slot::Ready { .. }))
    }

    /// Whether a message before that place has been there again since before `began`.
    pub(super) fn left_waiting(&self, before: usize, began: Moment) -> bool {
        self.slots[..self.head.min(before)].iter().any(|slot| matches!(slot, Slot::Ready { back, .. } if *back < began))
    }

    pub(super) fn hold(&mut self, by: u16, at: usize) -> bool {
        let Slot::Ready { message, low, high, .. } = self.slots[at] else { return false };
        self.slots[at] = Slot::Held { by, message, low, high };
        true
    }

    /// Claims just these messages, handed out so often before.
    pub(super) fn claim_pop(&mut self, by: u16, messages: &[u64], times: u32) -> bool {
        self.head = self.next();
        for wanted in messages {
            match self.slots.get(self.head) {
                Some(Slot::Ready { message, low, high, .. })
                    if message == wanted && (*low..=*high).contains(&times) =>
                {
                    // From here on it is known how often.
                    self.slots[self.head] = Slot::Held { by, message: *wanted, low: times, high: times };
                    self.head += 1;
                }
                _ => return false,
            }
        }
        true
    }

    /// Claims whatever messages come next.
    pub(super) fn claim_any(&mut self, by: u16, count: usize) -> bool {
        if count > 0 {
            self.head = self.next();
        }
        for _ in 0..count {
            if self.head == self.slots.len() || !self.hold(by, self.head) {
                return false;
            }
            self.head += 1;
        }
        true
    }

    /// Claims a message that is there again.
    pub(super) fn claim_again(&mut self, by: u16, wanted: u64, times: u32, began: Moment) -> bool {
        let found = self.slots[..self.head].iter().position(|slot| {
            matches!(slot, Slot::Ready { message, low, high, .. }
                if *message == wanted && (*low..=*high).contains(&times))
        });
        found.is_some_and(|at| !self.left_waiting(at, began) && self.hold(by, at))
    }

    /// Frees the first of what a member holds.
    pub(super) fn free(&mut self, by: u16, count: usize) {
        let held = self.slots.iter_mut().filter(|slot| matches!(slot, Slot::Held { by: other, .. } if *other == by));
        for slot in held.take(count) {
            *slot = Slot::Free;
        }
    }

    /// All that a member holds is there again.
    pub(super) fn hand_back(&mut self, by: u16, more: (u32, u32), back: Moment, one_to_one: bool) {
        let mut first = None;
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if let Slot::Held { by: other, message, low, high } = *slot
                && other == by
            {
                *slot = Slot::Ready { message, low: low + more.0, high: high + more.1, back };
                first = first.or(Some(at));
            }
        }
        if let Some(first) = first
            && one_to_one
        {
            self.head = first;
        }
    }
}
