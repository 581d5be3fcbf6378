//! What can be seen to be wrong by looking at few messages at a time: quick for histories of any length and width.
//!
//! Messages are unique, so a history of a queue is wrong only if one of a few things is to be found in it (Henzinger,
//! Sezgin and Vafeiadis call them aspects): a message out of nowhere, one that came twice, two in the wrong order, an
//! *empty* while something was there, a *full* while there was room. With the weaker *empty* and *full* of this queue
//! (see `linear`), and with members that die, each of these is sound here, and not complete: what is reported is
//! wrong, and `linear` finds what is not reported.

use std::collections::HashMap;

use super::history::{History, Moment, NEVER, Operation, Outcome, What};

/// What came of one message.
#[derive(Default)]
struct Life {
    /// The operation that claimed its place, and which of its messages it was.
    nth: (usize, usize),
    claim: (Moment, Moment),
    commit: (Moment, Moment),
    deliveries: Vec<Delivery>,
    taken: Vec<(Moment, Moment)>,
    /// When, and how often it had been handed out before the time that ended so.
    given_back: Vec<(Moment, u32)>,
}

struct Delivery {
    /// The operation, and which of its messages.
    nth: (usize, usize),
    when: (Moment, Moment),
    times: u32,
}

/// A place in the queue that may have been claimed, and from when on nobody had it any more.
struct Place {
    claim: (Moment, Moment),
    /// A message was there, or never would be.
    settled: Moment,
    free: Moment,
}

struct Lives<'a> {
    history: &'a History,
    of: HashMap<u64, Life>,
    /// Loans that were given up or never settled.
    empty_places: Vec<Place>,
    wrong: Vec<(Moment, String)>,
}

/// What is wrong, and when it was seen.
pub fn faults(history: &History) -> Vec<(Moment, String)> {
    let mut lives = Lives { history, of: HashMap::new(), empty_places: Vec::new(), wrong: Vec::new() };
    lives.gather_pushes();
    lives.gather_pops();
    lives.each_alone();
    lives.order();
    lives.closed();
    lives.empty();
    lives.full();
    lives.wrong.sort();
    lives.wrong
}

impl<'a> Lives<'a> {
    fn operations(&self) -> impl Iterator<Item = (usize, &'a Operation)> + use<'a> {
        self.history.operations.iter().enumerate()
    }

    fn gather_pushes(&mut self) {
        let mut loans: HashMap<u16, (usize, &Operation)> = HashMap::new();
        for (index, operation) in self.operations() {
            let when = (operation.invoked, operation.returned);
            match &operation.what {
                What::Push(messages) => {
                    let (sure, perhaps) = match operation.outcome {
                        Outcome::Pushed(count) => (count, count),
                        Outcome::Full => (0, 0),
                        Outcome::Closed => (0, messages.len() - 1),
                        _ => (0, messages.len()),
                    };
                    for (nth, message) in messages[..perhaps].iter().enumerate() {
                        let commit = (when.0, if nth < sure { when.1 } else { NEVER });
                        let life = Life { nth: (index, nth), claim: when, commit, ..Life::default() };
                        self.of.insert(*message, life);
                    }
                }
                What::Loan if matches!(operation.outcome, Outcome::Done | Outcome::Pending) => {
                    loans.insert(operation.member, (index, operation));
                }
                What::Send(message) => {
                    if let Some((loan, lent)) = loans.remove(&operation.member) {
                        let claim = (lent.invoked, lent.returned);
                        let life = Life { nth: (loan, 0), claim, commit: when, ..Life::default() };
                        self.of.insert(*message, life);
                    }
                }
                What::GiveUp => {
                    if let Some((_, lent)) = loans.remove(&operation.member) {
                        let claim = (lent.invoked, lent.returned);
                        self.empty_places.push(Place { claim, settled: when.1, free: when.1 });
                    }
                }
                _ => {}
            }
        }
        let left = loans.into_values().map(|(_, lent)| Place {
            claim: (lent.invoked, lent.returned),
            settled: NEVER,
            free: NEVER,
        });
        self.empty_places.extend(left);
    }

    fn gather_pops(&mut self) {
        let mut received: HashMap<u16, (u64, u32)> = HashMap::new();
        for (index, operation) in self.operations() {
            let when = (operation.invoked, operation.returned);
            match (&operation.what, &operation.outcome) {
                (What::Pop { .. } | What::Receive, Outcome::Got(messages, times)) => {
                    for (nth, message) in messages.iter().enumerate() {
                        let Some(life) = self.of.get_mut(message) else {
                            self.wrong.push((when.1, format!("{message:x} came out of nowhere")));
                            continue;
                        };
                        life.deliveries.push(Delivery { nth: (index, nth), when, times: *times });
                        if operation.what == What::Receive {
                            received.insert(operation.member, (*message, *times));
                        } else {
                            life.taken.push(when);
                        }
                    }
                }
                (What::Done, _) => {
                    if let Some((message, _)) = received.remove(&operation.member)
                        && let Some(life) = self.of.get_mut(&message)
                    {
                        life.taken.push(when);
                    }
                }
                (What::HandBack, _) => {
                    if let Some((message, times)) = received.remove(&operation.member)
                        && let Some(life) = self.of.get_mut(&message)
                    {
                        life.given_back.push((when.1, times));
                    }
                }
                _ => {}
            }
        }
        for life in self.of.values_mut() {
            life.deliveries.sort_by_key(|delivery| delivery.when.0);
        }
    }

    /// How many messages may have been taken by those who died before they could say so.
    fn in_doubt(&self) -> usize {
        let pending = self.history.operations.iter().filter(|operation| operation.outcome == Outcome::Pending);
        pending
            .map(|operation| match operation.what {
                What::Pop { most, .. } => most,
                What::Receive | What::Done => 1,
                _ => 0,
            })
            .sum()
    }

    fn each_alone(&mut self) {
        let in_doubt = self.in_doubt();
        // Batches of which a part was left: nobody wrote down what was in that part.
        let unseen = |operation: &&Operation| matches!((&operation.what, &operation.outcome), (What::Pop { most, keep }, Outcome::Got(..)) if keep < most);
        let unseen = self.history.operations.iter().filter(unseen).count();
        let closing = self
            .history
            .operations
            .iter()
            .filter(|operation| matches!(operation.what, What::Pop { .. } | What::Receive));
        let drained =
            closing.max_by_key(|operation| operation.invoked).is_some_and(|last| last.outcome == Outcome::Closed);
        let mut lost = Vec::new();
        let mut wrong = Vec::new();
        for (message, life) in &self.of {
            let fresh = life.deliveries.iter().filter(|delivery| delivery.times == 0).count();
            if fresh > 1 && !(self.history.one_to_one && (in_doubt > 0 || unseen > 0)) {
                wrong.push((life.deliveries[1].when.1, format!("{message:x} came twice unmarked")));
            }
            let taken = life.taken.iter().filter(|taken| taken.1 != NEVER).count();
            if taken > 1 {
                wrong.push((life.taken[1].1, format!("{message:x} was taken twice")));
            }
            for delivery in &life.deliveries {
                // But for itself.
                let before = life.deliveries.iter().filter(|other| other.when.0 < delivery.when.1).count() - 1;
                if delivery.when.1 < life.commit.0 {
                    wrong.push((delivery.when.1, format!("{message:x} came before it was pushed")));
                }
                if life.taken.iter().any(|taken| taken.1 < delivery.when.0) {
                    wrong.push((delivery.when.1, format!("{message:x} came after it was taken")));
                }
                let most = before + self.history.deaths.len() + unseen;
                if delivery.times as usize > most {
                    let told = format!("{message:x} came marked {} times, handed out {before} times", delivery.times);
                    wrong.push((delivery.when.1, told));
                }
                let least = life.given_back.iter().filter(|back| back.0 < delivery.when.0).count();
                if (delivery.times as usize) < least {
                    let told = format!("{message:x} came marked {} times, handed back {least} times", delivery.times);
                    wrong.push((delivery.when.1, told));
                }
            }
            if drained && taken == 0 && life.commit.1 != NEVER {
                lost.push((life.commit.1, format!("{message:x} was lost")));
            }
        }
        lost.sort();
        self.wrong.append(&mut wrong);
        self.wrong.extend(lost.into_iter().skip(in_doubt));
    }

    /// A place claimed wholly before another, and its message had wholly after the other's.
    fn order(&mut self) {
        let mut all: Vec<(&u64, &Life, &Delivery)> = self
            .of
            .iter()
            .filter_map(|(message, life)| {
                // If it came marked first, somebody had it before who did not say when.
                let first = life.deliveries.first().filter(|first| first.times == 0)?;
                Some((message, life, first))
            })
            .collect();
        let mut wrong = Vec::new();
        all.sort_by_key(|(_, life, _)| life.claim.0);
        let mut earlier = all.clone();
        earlier.sort_by_key(|(_, life, _)| life.claim.1);
        let mut earlier = earlier.into_iter().peekable();
        let mut last: Option<(&u64, &Delivery)> = None;
        for (message, life, delivery) in &all {
            while let Some((other, _, had)) = earlier.next_if(|(_, earlier, _)| earlier.claim.1 < life.claim.0) {
                if last.is_none_or(|(_, last)| last.when.0 < had.when.0) {
                    last = Some((other, had));
                }
            }
            if let Some((other, had)) = last
                && delivery.when.1 < had.when.0
            {
                wrong.push((had.when.1, format!("{other:x} was pushed before {message:x} and came after it")));
            }
        }
        // And those of one call.
        all.sort_by_key(|(_, life, _)| life.nth);
        for pair in all.windows(2) {
            let [(message, life, had), (next, later, had_next)] = pair else { unreachable!("of two") };
            let same_pop = had.nth.0 == had_next.nth.0 && had_next.nth.1 < had.nth.1;
            if life.nth.0 == later.nth.0 && (same_pop || had_next.when.1 < had.when.0) {
                wrong.push((
                    had.when.1,
                    format!("{message:x} was pushed before {next:x} in one batch and came after it"),
                ));
            }
        }
        self.wrong.append(&mut wrong);
    }

    fn closed(&mut self) {
        let closing = self.history.operations.iter().filter(|operation| operation.what == What::Close);
        let first = closing.clone().map(|close| close.invoked).min().unwrap_or(NEVER);
        let done = closing.map(|close| close.returned).min().unwrap_or(NEVER);
        for operation in &self.history.operations {
            if operation.outcome == Outcome::Closed && operation.returned < first {
                self.wrong.push((operation.returned, format!("nobody had closed it: {operation}")));
            }
            let pushed = match (&operation.what, &operation.outcome) {
                (What::Push(_), Outcome::Pushed(count)) => *count > 0,
                (What::Loan, Outcome::Done) => true,
                _ => false,
            };
            if pushed && done < operation.invoked {
                self.wrong.push((operation.returned, format!("it was closed: {operation}")));
            }
        }
    }

    fn places(&self) -> Vec<Place> {
        let lives = self.of.values().map(|life| Place {
            claim: life.claim,
            settled: life.commit.1,
            free: life.taken.iter().map(|taken| taken.1).min().unwrap_or(NEVER),
        });
        let empty = self.empty_places.iter().map(|place| Place { ..*place });
        let mut all: Vec<Place> = lives.chain(empty).collect();
        all.sort_by_key(|place| place.claim.0);
        all
    }

    /// *Empty*, although a message was there all the time, and nobody could still be pushing one before it.
    fn empty(&mut self) {
        let places = self.places();
        let mut unsettled_before = Vec::with_capacity(places.len());
        for place in &places {
            let last = unsettled_before.last().copied().unwrap_or(0);
            unsettled_before.push(place.settled.max(last));
        }
        // From when till when it was there for sure; and until when there was a place before it without a message.
        let mut there: Vec<(Moment, Moment, Moment, u64)> = Vec::new();
        for (message, life) in &self.of {
            let before = places.partition_point(|place| place.claim.0 < life.claim.1);
            let blocked = if before == 0 { 0 } else { unsettled_before[before - 1] };
            match life.deliveries.first() {
                Some(first) if first.times == 0 => there.push((life.commit.1, first.when.0, blocked, *message)),
                None if self.history.deaths.is_empty() => there.push((life.commit.1, NEVER, blocked, *message)),
                _ => {}
            }
            for (back, times) in &life.given_back {
                // The next to have it knows of all who had it before.
                if let Some(next) = life.deliveries.iter().find(|delivery| delivery.times == times + 1) {
                    there.push((*back, next.when.0, 0, *message));
                }
            }
        }
        there.sort();
        let mut there = there.into_iter().peekable();
        let mut now: Vec<(Moment, Moment, Moment, u64)> = Vec::new();
        for operation in &self.history.operations {
            now.extend(std::iter::from_fn(|| there.next_if(|one| one.0 < operation.invoked)));
            now.retain(|one| one.1 > operation.invoked);
            if !matches!(operation.outcome, Outcome::Empty | Outcome::Closed)
                || !matches!(operation.what, What::Pop { .. } | What::Receive)
            {
                continue;
            }
            if let Some(one) = now.iter().find(|one| one.1 > operation.returned && one.2 < operation.invoked) {
                self.wrong.push((operation.returned, format!("{:x} was there: {operation}", one.3)));
            }
        }
    }

    /// *Full*, although the slot that was next had been free all the time.
    fn full(&mut self) {
        let places = self.places();
        let mut ends: Vec<Moment> = places.iter().map(|place| place.claim.1).collect();
        ends.sort_unstable();
        let mut busy_until = Vec::with_capacity(places.len());
        for place in &places {
            busy_until.push(place.free.max(busy_until.last().copied().unwrap_or(0)));
        }
        for operation in &self.history.operations {
            let met_full = match (&operation.what, &operation.outcome) {
                (_, Outcome::Full) => true,
                (What::Push(messages), Outcome::Pushed(count)) => *count < messages.len(),
                _ => false,
            };
            if !met_full {
                continue;
            }
            // The oldest that may still have been in its slot.
            let oldest = busy_until.partition_point(|until| *until < operation.invoked);
            let begun = places.partition_point(|place| place.claim.0 < operation.returned);
            let spanned =
                if oldest < begun { begun - ends.partition_point(|end| *end < places[oldest].claim.0) } else { 0 };
            if spanned < self.history.capacity {
                self.wrong.push((operation.returned, format!("only {spanned} places were taken: {operation}")));
            }
        }
    }
}
