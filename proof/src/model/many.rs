//! The ring of many, the roster and the gates, step by step.
//!
//! Each access to a shared word is one step, and so is each question to the kernel, each futex call and each half of a
//! message's writing. A step first does its access, then decides what comes next: such decisions are local, and local
//! steps may be merged with the access before them, because nobody can see whether they have been made.
//!
//! What is left out, and why that hides nothing:
//!
//! - *Spinning.* A glance is the beginning of a claim and changes nothing unless it succeeds.
//! - *When a search is due.* A search for the dead may begin whenever a member waits and somebody is dead; entries
//!   are independent of each other, so it may begin at any of them. What a search reads of an entry before its member dies could
//!   only matter if the entry was used again meanwhile: that is for the members that search at any time ([`Op::Search`]).
//! - *Counters, process ids, laps that come round.* Nothing is decided by the first two, and no run is so long.
//! - *Weak memory.* Steps follow each other. Whether the orderings in the code make them do so is not shown here.

use std::{fmt, mem};

use std::hash::{Hash, Hasher};

use stateright::{Model, Property};

use super::words::{
    Entry, Frame, Gate, Gather, MEMBERS, MESSAGES, NOT_EMPTY, NOT_FULL, Refusal, Run, SLOTS, Side, Slot, Stack, Stamp,
    Ticket,
};
use super::{Broken, Fair, Mutant};

/// One thing that a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Becomes a member. All others are members from the beginning.
    Attach,
    /// Pushes so many messages, as many at once as there is room for.
    Push(u8),
    /// Takes a slot to write in place, and gives it up.
    Loan,
    /// Pops at most so many with one claim.
    Pop(u8),
    /// Receives a message in place, and is done with it.
    Receive,
    /// Receives a message in place, and drops the receipt.
    HandBack,
    /// Pops until told that the queue is closed.
    Drain,
    /// Closes the queue.
    Close,
    /// Looks for the dead, at any time.
    Search,
    /// Leaves.
    Detach,
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What the tables call it.
    pub name: &'static str,
    /// Slots.
    pub capacity: u8,
    /// What each member does.
    pub scripts: &'static [&'static [Op]],
    /// How many members may die, each between any two steps.
    pub deaths: u8,
    /// Whether who waits goes to sleep; else it looks again and again.
    pub gates: bool,
    /// Whether a sleep may end by itself.
    pub time_outs: bool,
}

/// A scenario, under the protocol as it is or with one thing broken.
#[derive(Debug, Clone, Copy)]
pub struct Many {
    /// What is tried.
    pub scenario: Scenario,
    /// What is broken.
    pub mutant: Option<Mutant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Life {
    #[default]
    Alive,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Member {
    life: Life,
    number: u8,
    /// Its place in its script.
    at: u8,
    stack: Stack,
    side: Side,
    /// Of its operation, how many messages are still to be pushed.
    left: u8,
    /// Messages pushed or given up so far.
    named: u8,
    run: Run,
    orphans_seen: u8,
    slept: bool,
    asked: bool,
    /// The sequence it read when it announced itself, while it looks once more.
    announced: Option<u8>,
    /// It sleeps only because the queue is being drained.
    draining: bool,
    /// What it settled and has not told the sleepers.
    voided: bool,
    orphaned: bool,
    /// Of what it reaps, something was left because the number lives.
    spared: bool,
}

/// What has become of a message. Not in shared memory: this is what the promises are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Message {
    committed: bool,
    /// Its pop can't be undone any more.
    taken: bool,
    reads: u8,
}

/// What a slot holds beside its stamp, and who may touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Content {
    message: u8,
    whole: bool,
    /// Not in shared memory: who made the claim that is not finished.
    holder: Option<u8>,
}

/// A state of the model: shared memory, the kernel's locks, all members, and what became of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    tail: Ticket,
    head: Ticket,
    stamps: [Stamp; SLOTS],
    contents: [Content; SLOTS],
    notice: u8,
    gates: [Gate; 2],
    entries: [Entry; MEMBERS],
    /// Only in the mutant that keeps it apart.
    closed_apart: bool,
    members: [Member; MEMBERS],
    messages: [Message; MESSAGES],
    told_closed: bool,
    deaths: u8,
    broken: Option<Broken>,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let State {
            tail,
            head,
            stamps,
            contents,
            notice,
            gates,
            entries,
            closed_apart,
            members,
            messages,
            told_closed,
            deaths,
            broken,
        } = self;
        let words = (tail, head, stamps, contents, notice, gates, entries);
        let rest = (closed_apart, members, messages, told_closed, deaths, broken);
        Gather::hash(&(words, rest), hasher);
    }
}

/// One step of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The next access; the number chooses where there is a choice.
    Step(u8, u8),
    /// The bounded sleep is over.
    TimeOut(u8),
    /// While it waits: looks whether the member in this entry is dead.
    Search(u8, u8),
    /// Is killed.
    Die(u8),
}

impl Many {
    fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn script(&self, member: usize) -> &'static [Op] {
        self.scenario.scripts.get(member).copied().unwrap_or(&[])
    }

    fn members(&self) -> usize {
        self.scenario.scripts.len()
    }

    /// Entries: as many as there are members at the beginning, so that who comes later gets a number that was used.
    fn entries(&self) -> u8 {
        self.scenario.scripts.iter().filter(|script| script.first() != Some(&Op::Attach)).count() as u8
    }

    fn index(&self, position: u8) -> usize {
        usize::from(position % self.scenario.capacity)
    }

    fn lap(&self, position: u8) -> u8 {
        position / self.scenario.capacity
    }

    fn plain(&self, position: u8, slot: Slot) -> Stamp {
        Stamp { lap: self.lap(position), slot }
    }

    /// The name of the member's next message, also of the one who looks at the end.
    fn message(&self, state: &State, member: usize, nth: u8) -> u8 {
        let before: u8 = (0..member)
            .flat_map(|other| self.script(other))
            .map(|op| match op {
                Op::Push(count) => *count,
                Op::Loan => 1,
                _ => 0,
            })
            .sum();
        before + state.members[member].named + nth
    }

    fn is_dead(&self, state: &State, number: u8) -> bool {
        self.has(Mutant::ReapByTimeOut) || state.entries.get(usize::from(number)).is_none_or(|e| e.lock.is_none())
    }

    /// Whether what a member is to do next can be done.
    fn is_ready(&self, state: &State, member: usize) -> bool {
        state.members[member].life == Life::Alive
            && state.members[member].stack.top().is_some_and(|frame| match frame {
                Frame::Asleep { .. } => false,
                Frame::TakeNumber => self.free_numbers(state).next().is_some(),
                _ => true,
            })
    }

    fn free_numbers<'a>(&self, state: &'a State) -> impl Iterator<Item = u8> + use<'a> {
        (0..self.entries()).filter(|number| state.entries[usize::from(*number)].lock.is_none())
    }

    fn sleepers<'a>(&self, state: &'a State, gate: u8) -> impl Iterator<Item = u8> + use<'a> {
        (0..MEMBERS)
            .filter(move |member| {
                let member = &state.members[*member];
                matches!(member.stack.top(), Some(Frame::Asleep { .. })) && own_gate(member.side) == gate
            })
            .map(|member| member as u8)
    }

    /// Goes on to the next operation when the last is done.
    fn advance(&self, state: &mut State, m: usize) {
        // Nobody announces itself where nobody sleeps: to look at a word that is never written is no step.
        while !self.scenario.gates
            && matches!(state.members[m].stack.top(), Some(Frame::LookNote { .. } | Frame::TakeNote { .. }))
        {
            state.members[m].stack.pop();
        }
        loop {
            while state.members[m].stack.top() == Some(Frame::Settled) {
                state.members[m].stack.pop();
                let member = &mut state.members[m];
                if member.voided {
                    member.stack.push(Frame::TakeNote { gate: NOT_FULL });
                }
                if member.voided || member.orphaned {
                    member.stack.push(Frame::TakeNote { gate: NOT_EMPTY });
                }
                (member.voided, member.orphaned) = (false, false);
            }
            let entries = self.entries();
            let member = &mut state.members[m];
            if !member.stack.is_empty() {
                return;
            }
            let Some(op) = self.script(m).get(usize::from(member.at)) else {
                if m < self.members() {
                    // What it remembers is of no use to anybody.
                    *member = Member { number: member.number, ..Member::default() };
                    member.at = self.script(m).len() as u8;
                }
                return;
            };
            member.at += 1;
            (member.slept, member.asked, member.announced, member.left) = (false, false, None, 0);
            member.run = Run::default();
            match *op {
                Op::Attach => member.stack.push(Frame::TakeNumber),
                Op::Push(_) | Op::Loan => {
                    member.side = Side::Push;
                    member.left = if let Op::Push(count) = *op { count } else { 1 };
                    self.begin_claim(state, m);
                }
                Op::Pop(_) | Op::Receive | Op::HandBack | Op::Drain => {
                    member.side = Side::Pop;
                    member.left = if let Op::Pop(count) = *op { count } else { 1 };
                    self.begin_claim(state, m);
                }
                Op::Close => {
                    for gate in [NOT_FULL, NOT_EMPTY] {
                        member.stack.push(Frame::AllNote { gate });
                    }
                    member.stack.push(Frame::SetClosed);
                }
                Op::Search => (0..entries).rev().for_each(|number| member.stack.push(Frame::SweepLoad { number })),
                Op::Detach => {
                    member.stack.push(Frame::DetachUnlock);
                    member.stack.push(Frame::DetachStore);
                }
            }
        }
    }

    fn op(&self, state: &State, m: usize) -> Option<Op> {
        self.script(m).get(usize::from(state.members[m].at).wrapping_sub(1)).copied()
    }

    fn begin_claim(&self, state: &mut State, m: usize) {
        let closed_apart = self.has(Mutant::ClosedApart);
        let member = &mut state.members[m];
        member.stack.push(match member.side {
            Side::Pop => Frame::Notice,
            Side::Push if closed_apart => Frame::ClosedApart,
            Side::Push => Frame::LoadTicket,
        });
    }

    /// Once more from the ticket.
    fn again(&self, state: &mut State, m: usize) {
        let closed_apart = self.has(Mutant::ClosedApart);
        let member = &mut state.members[m];
        member.stack.push(match member.side {
            Side::Push if closed_apart => Frame::ClosedApart,
            _ => Frame::LoadTicket,
        });
    }

    fn pass_on(&self, state: &mut State, m: usize) {
        let member = &mut state.members[m];
        if member.slept {
            member.slept = false;
            member.stack.push(if member.side == Side::Pop { Frame::PassNotice } else { Frame::PassHead });
            if !self.has(Mutant::NoNoteLeft) {
                member.stack.push(Frame::PassNote);
            }
        }
    }

    /// A claim was made.
    fn claimed(&self, state: &mut State, m: usize, run: Run) {
        for nth in 0..run.count {
            let content = &mut state.contents[self.index(run.first + nth)];
            if content.holder.is_some_and(|other| state.members[usize::from(other)].life == Life::Alive) {
                state.broken = Some(Broken::Robbed);
            }
            content.holder = Some(m as u8);
        }
        let op = self.op(state, m);
        let member = &mut state.members[m];
        member.run = run;
        (member.asked, member.announced) = (false, None);
        let own = run.deliveries == 0;
        match (member.side, op) {
            (Side::Push, Some(Op::Loan)) => {
                member.stack.push(Frame::Publish { nth: run.count - 1, give_up: true });
                member.stack.push(Frame::RecordOwn);
            }
            (Side::Push, _) => {
                let nth = if self.has(Mutant::FirstSlotFirst) { 0 } else { run.count - 1 };
                member.stack.push(Frame::Publish { nth, give_up: false });
                member.stack.push(Frame::Write { nth: 0 });
            }
            (Side::Pop, op) => {
                member.stack.push(if op == Some(Op::HandBack) { Frame::HandBack } else { Frame::Release });
                member.stack.push(Frame::Read { nth: 0 });
                if own && matches!(op, Some(Op::Receive | Op::HandBack)) {
                    member.stack.push(Frame::RecordOwn);
                }
            }
        }
        self.pass_on(state, m);
    }

    fn try_claim(&self, state: &mut State, m: usize, ticket: Ticket, count: u8) {
        let member = &mut state.members[m];
        member.stack.push(Frame::ClaimSwap { ticket, count });
        let of_another = ticket.owner != member.number && ticket.count != 0;
        if of_another && !self.has(Mutant::RecordLeftOut) && !self.has(Mutant::RecordAfterSwap) {
            member.stack.push(Frame::RecordLoad { ticket, side: member.side });
        }
    }

    fn closed(&self, state: &State) -> bool {
        state.tail.closed || state.closed_apart
    }

    /// Told that the queue is closed: the operation is over.
    fn told_closed(&self, state: &mut State, m: usize) {
        if state.members[m].side == Side::Pop {
            state.told_closed = true;
            if state.messages.iter().any(|message| message.committed && !message.taken) {
                state.broken = Some(Broken::ClosedEarly);
            }
        }
        state.members[m].left = 0;
        self.pass_on(state, m);
    }

    /// Refused: what a blocked call does next.
    fn refused(&self, state: &mut State, m: usize, refusal: Refusal) {
        let sleeps = self.scenario.gates && m < self.members();
        let member = &mut state.members[m];
        if let Some(sequence) = member.announced.take() {
            member.draining = refusal == Refusal::Draining;
            member.stack.push(Frame::FutexWait { sequence });
        } else if refusal == Refusal::Held && !member.asked {
            member.asked = true;
            self.begin_claim(state, m);
            state.members[m].stack.push(Frame::HolderTail);
        } else {
            member.stack.push(if sleeps { Frame::Announce } else { Frame::Idle });
        }
    }

    fn resume(&self, state: &mut State, m: usize) {
        (state.members[m].asked, state.members[m].draining) = (false, false);
        self.begin_claim(state, m);
    }

    fn step_over(&self, state: &mut State, m: usize, head: Ticket) {
        let member = &mut state.members[m];
        member.stack.push(Frame::StepSwap { head });
        if head.count != 0 && !self.has(Mutant::VoidNotRecorded) {
            member.stack.push(Frame::RecordLoad { ticket: head, side: Side::Pop });
        }
    }

    fn refuse_push(&self, state: &mut State, m: usize, ticket: Ticket, stamp: Stamp, head: Ticket) {
        let (capacity, position) = (self.scenario.capacity, ticket.position);
        let lap = self.lap(position);
        if state.tail != ticket || stamp == self.plain(position, Slot::Free) {
            return self.again(state, m);
        }
        let queued = position.checked_sub(head.position).filter(|queued| *queued <= capacity);
        if stamp.lap + 1 != lap || queued.is_none() {
            state.broken = Some(Broken::Corrupt);
            return;
        }
        match (queued == Some(capacity), stamp.slot) {
            (true, Slot::Void) => {
                self.again(state, m);
                self.step_over(state, m, head);
            }
            (true, Slot::Full) => self.refused(state, m, Refusal::Nothing),
            (_, Slot::Void) => {
                self.again(state, m);
                state.members[m].stack.push(Frame::FreeVoid { position: position - capacity });
            }
            _ => self.refused(state, m, Refusal::Held),
        }
    }

    fn refuse_pop(&self, state: &mut State, m: usize, ticket: Ticket, stamp: Stamp, tail: Ticket) {
        let position = ticket.position;
        let lap = self.lap(position);
        if state.head != ticket {
            return self.again(state, m);
        }
        let before = stamp.lap + 1 == lap && tail.position == position;
        match stamp.slot {
            Slot::Void if before => {
                self.again(state, m);
                state.members[m].stack.push(Frame::FreeVoid { position: position - self.scenario.capacity });
            }
            Slot::Full if stamp.lap == lap => self.again(state, m),
            Slot::Void if stamp.lap == lap => {
                self.again(state, m);
                self.step_over(state, m, ticket);
            }
            Slot::Free | Slot::Writing(..) if stamp.lap == lap => {
                if tail.position != position {
                    self.refused(state, m, Refusal::Held);
                } else if !tail.closed {
                    self.refused(state, m, Refusal::Nothing);
                } else {
                    state.members[m].stack.push(Frame::AnythingLeft { index: 0 });
                }
            }
            _ if before && tail.closed => self.refused(state, m, Refusal::Draining),
            _ if before => self.refused(state, m, Refusal::Nothing),
            _ => state.members[m].stack.push(Frame::RefuseLook { stamp, index: self.index(position) as u8 }),
        }
    }

    fn raise_notice(&self, state: &mut State) {
        state.notice += 1;
    }

    /// A repair changed a slot.
    fn settled(&self, state: &mut State, index: usize) {
        if let Some(holder) = state.contents[index].holder.take()
            && state.members[usize::from(holder)].life == Life::Alive
        {
            state.broken = Some(Broken::Robbed);
        }
    }

    fn commit(&self, state: &mut State, m: usize) {
        let run = state.members[m].run;
        for nth in 0..run.count {
            let message = self.message(state, m, nth);
            state.messages[usize::from(message)].committed = true;
        }
        if state.told_closed {
            state.broken = Some(Broken::ClosedEarly);
        }
    }

    fn take(&self, state: &mut State, m: usize) {
        let run = state.members[m].run;
        for nth in 0..run.count {
            let content = state.contents[self.index(run.first + nth)];
            state.messages[usize::from(content.message)].taken = true;
        }
    }

    fn reap(&self, state: &mut State, m: usize, number: u8, generation: u8, mine: bool) {
        let free = Frame::FreeEntry { number, generation };
        let reap = Frame::ReapTail { number, mine };
        let stack = &mut state.members[m].stack;
        if self.has(Mutant::FreedBeforeSettling) {
            stack.push(reap);
            stack.push(free);
        } else {
            stack.push(free);
            stack.push(reap);
        }
    }

    /// Does the next access of a member.
    #[expect(clippy::too_many_lines, reason = "one arm for each access; each is short")]
    fn step(&self, state: &mut State, m: usize, choice: u8) {
        let me = state.members[m].number;
        let side = state.members[m].side;
        let run = state.members[m].run;
        let capacity = self.scenario.capacity;
        let frame = state.members[m].stack.pop();
        macro_rules! next {
            ($frame:expr) => {
                state.members[m].stack.push($frame)
            };
        }
        let own = |state: &State| if side == Side::Push { state.tail } else { state.head };
        match frame {
            Frame::Nothing | Frame::Settled | Frame::Asleep { .. } => unreachable!("never carried out"),

            // ---- orphans: the look at the notice of every pop; then look_for_orphans
            Frame::Notice if state.notice == state.members[m].orphans_seen => next!(Frame::LoadTicket),
            Frame::Notice => next!(Frame::NoticeAgain),
            Frame::NoticeAgain => next!(Frame::OrphanTail { notice: state.notice }),
            Frame::OrphanTail { notice } => next!(Frame::OrphanStamp { notice, start: state.tail.position, nth: 0 }),
            Frame::OrphanStamp { notice, start, nth } => {
                let stamp = state.stamps[self.index(start + nth)];
                if matches!(stamp.slot, Slot::Orphan(_)) {
                    next!(Frame::OrphanSwap { notice, start, nth, stamp });
                } else {
                    self.next_orphan(state, m, notice, start, nth);
                }
            }
            Frame::OrphanSwap { notice, start, nth, stamp } => {
                let index = self.index(start + nth);
                let Slot::Orphan(deliveries) = stamp.slot else { unreachable!("looked at") };
                if state.stamps[index] == stamp {
                    state.stamps[index].slot = Slot::Rereading(me, deliveries);
                    let first = stamp.lap * capacity + index as u8;
                    self.claimed(state, m, Run { first, count: 1, deliveries });
                } else {
                    self.next_orphan(state, m, notice, start, nth);
                }
            }

            // ---- claims
            Frame::ClosedApart if state.closed_apart => self.told_closed(state, m),
            Frame::ClosedApart => next!(Frame::LoadTicket),
            Frame::LoadTicket if side == Side::Push && state.tail.closed => self.told_closed(state, m),
            Frame::LoadTicket => next!(Frame::LoadStamp { ticket: own(state), nth: 0 }),
            Frame::LoadStamp { ticket, nth } => {
                let ready = if side == Side::Push { Slot::Free } else { Slot::Full };
                let position = ticket.position + nth;
                let more = nth + 1 < state.members[m].left.min(capacity);
                match (state.stamps[self.index(position)] == self.plain(position, ready), nth) {
                    (true, _) if more => next!(Frame::LoadStamp { ticket, nth: nth + 1 }),
                    (true, _) => self.try_claim(state, m, ticket, nth + 1),
                    // The code looks at the ticket once more first. It does so again at the end of the refusal; tickets
                    // don't come back, so the first of these looks decides nothing that the second does not.
                    (false, 0) => next!(Frame::RefuseStamp { ticket }),
                    (false, _) => self.try_claim(state, m, ticket, nth),
                }
            }
            Frame::ClaimSwap { ticket, count } => {
                if own(state) == ticket {
                    let next = Ticket { position: ticket.position + count, owner: me, count, ..ticket };
                    *(if side == Side::Push { &mut state.tail } else { &mut state.head }) = next;
                    self.claimed(state, m, Run { first: ticket.position, count, deliveries: 0 });
                    if self.has(Mutant::RecordAfterSwap) && ticket.owner != me && ticket.count != 0 {
                        next!(Frame::RecordLoad { ticket, side });
                    }
                } else {
                    // The second look at the ticket would find it changed: tickets don't come back.
                    self.again(state, m);
                }
            }

            // ---- record
            Frame::RecordLoad { ticket, side } => {
                let first = ticket.position - ticket.count;
                let unmoved = if side == Side::Push { Slot::Free } else { Slot::Full };
                let seen = state.stamps[self.index(first)];
                if seen == self.plain(first, unmoved) {
                    next!(Frame::RecordSwap { ticket, side });
                } else if side == Side::Pop && seen == self.plain(first, Slot::Void) {
                    next!(Frame::FreeVoid { position: first });
                }
            }
            Frame::RecordSwap { ticket, side } => {
                let first = ticket.position - ticket.count;
                let (unmoved, record) = match side {
                    Side::Push => (Slot::Free, Slot::Writing(ticket.owner, ticket.count)),
                    Side::Pop => (Slot::Full, Slot::Reading(ticket.owner, ticket.count)),
                };
                if state.stamps[self.index(first)] == self.plain(first, unmoved) {
                    state.stamps[self.index(first)].slot = record;
                }
            }
            Frame::FreeVoid { position } => {
                let stamp = &mut state.stamps[self.index(position)];
                if *stamp == self.plain(position, Slot::Void) {
                    *stamp = self.plain(position + capacity, Slot::Free);
                }
            }

            // ---- refusals
            Frame::RefuseStamp { ticket } => {
                next!(Frame::RefuseOther { ticket, stamp: state.stamps[self.index(ticket.position)] });
            }
            Frame::RefuseOther { ticket, stamp } => {
                let mut other = if side == Side::Push { state.head } else { state.tail };
                other.closed = side == Side::Pop && self.closed(state);
                next!(Frame::RefuseAgain { ticket, stamp, other });
            }
            Frame::RefuseAgain { ticket, stamp, other } => match side {
                Side::Push => self.refuse_push(state, m, ticket, stamp, other),
                Side::Pop => self.refuse_pop(state, m, ticket, stamp, other),
            },
            Frame::RefuseLook { stamp, index } => {
                if state.stamps[usize::from(index)] == stamp {
                    state.broken = Some(Broken::Corrupt);
                } else {
                    self.again(state, m);
                }
            }
            Frame::AnythingLeft { index } => match state.stamps[usize::from(index)].slot {
                Slot::Free | Slot::Void if index + 1 < capacity => next!(Frame::AnythingLeft { index: index + 1 }),
                Slot::Free | Slot::Void => self.told_closed(state, m),
                _ => self.refused(state, m, Refusal::Draining),
            },
            Frame::StepSwap { head } => {
                if state.head == head {
                    state.head = Ticket { count: 1, position: head.position + 1, ..head };
                    next!(Frame::FreeVoid { position: head.position });
                }
            }

            // ---- a claim's work
            Frame::RecordOwn => {
                let record = match side {
                    Side::Push => Slot::Writing(me, run.count),
                    Side::Pop => Slot::Reading(me, run.count),
                };
                state.stamps[self.index(run.first)] = self.plain(run.first, record);
            }
            // Half of the message. The other half comes with the stamp: nobody may look in between, and who does is seen
            // to look at what is not committed.
            Frame::Write { nth } => {
                let message = self.message(state, m, nth);
                let content = &mut state.contents[self.index(run.first + nth)];
                if content.holder != Some(m as u8) {
                    state.broken = Some(Broken::Robbed);
                }
                (content.message, content.whole) = (message, false);
                if nth + 1 < run.count {
                    next!(Frame::Write { nth: nth + 1 });
                }
            }
            Frame::Publish { nth, give_up } => {
                let position = run.first + nth;
                let index = self.index(position);
                state.stamps[index] = self.plain(position, if give_up { Slot::Void } else { Slot::Full });
                state.contents[index].holder = None;
                state.contents[index].whole = !give_up;
                let first_first = self.has(Mutant::FirstSlotFirst) && !give_up;
                let (last, following) = match first_first {
                    true => (nth + 1 == run.count, nth + 1),
                    false => (nth == 0, nth.wrapping_sub(1)),
                };
                if !last {
                    next!(Frame::Publish { nth: following, give_up });
                    return;
                }
                if !give_up {
                    self.commit(state, m);
                }
                let member = &mut state.members[m];
                member.named += run.count;
                member.left -= run.count;
                member.run = Run::default();
                if member.left > 0 {
                    self.begin_claim(state, m);
                }
                next!(Frame::LookNote { gate: NOT_EMPTY });
            }
            Frame::Read { nth } => {
                let content = state.contents[self.index(run.first + nth)];
                let message = &mut state.messages[usize::from(content.message)];
                state.broken = if content.holder != Some(m as u8) {
                    Some(Broken::Robbed)
                } else if !content.whole || !message.committed {
                    Some(Broken::HalfMade)
                } else if message.taken || message.reads > 0 && run.deliveries == 0 {
                    Some(Broken::Twice)
                } else {
                    state.broken
                };
                message.reads = 1;
                if nth + 1 < run.count {
                    next!(Frame::Read { nth: nth + 1 });
                }
            }
            Frame::Release => {
                if run.count > 1 && !self.has(Mutant::NoReleasing) {
                    state.stamps[self.index(run.first)] = self.plain(run.first, Slot::Releasing(me, run.count));
                    self.take(state, m);
                    next!(Frame::FreeSlot { nth: run.count - 1 });
                } else {
                    self.free_slot(state, m, run.count - 1);
                }
            }
            Frame::FreeSlot { nth } => self.free_slot(state, m, nth),
            Frame::HandBack => {
                // Alone in its run: a receipt is for one message.
                let index = self.index(run.first);
                let before = self.has(Mutant::NoticeBefore);
                next!(Frame::LookNote { gate: NOT_EMPTY });
                if before {
                    next!(Frame::HandBackNotice);
                    // In the mutant the two change places.
                    self.raise_notice(state);
                } else {
                    state.stamps[index] = self.plain(run.first, Slot::Orphan(run.deliveries + 1));
                    state.contents[index].holder = None;
                    next!(Frame::HandBackNotice);
                }
            }
            Frame::HandBackNotice if self.has(Mutant::NoticeBefore) => {
                let index = self.index(run.first);
                state.stamps[index] = self.plain(run.first, Slot::Orphan(run.deliveries + 1));
                state.contents[index].holder = None;
            }
            Frame::HandBackNotice => self.raise_notice(state),

            // ---- waiting and waking
            Frame::Idle => self.resume(state, m),
            Frame::Announce => next!(Frame::Note { sequence: state.gates[usize::from(own_gate(side))].sequence }),
            Frame::Note { sequence } => {
                state.gates[usize::from(own_gate(side))].note = true;
                if self.has(Mutant::NoSecondLook) {
                    next!(Frame::FutexWait { sequence });
                } else {
                    state.members[m].announced = Some(sequence);
                    self.begin_claim(state, m);
                }
            }
            Frame::FutexWait { sequence } => {
                state.members[m].slept = true;
                if state.gates[usize::from(own_gate(side))].sequence == sequence {
                    next!(Frame::Asleep { draining: state.members[m].draining });
                } else {
                    self.resume(state, m);
                }
            }
            Frame::PassNote => state.gates[usize::from(own_gate(side))].note = true,
            Frame::PassNotice if state.notice != state.members[m].orphans_seen => {
                next!(Frame::TakeNote { gate: NOT_EMPTY });
            }
            Frame::PassNotice => next!(Frame::PassHead),
            Frame::PassHead => next!(Frame::PassTail { head: state.head.position }),
            Frame::PassTail { head } => {
                let queued = state.tail.position - head;
                if queued > capacity {
                    next!(Frame::PassHead);
                } else if if side == Side::Push { queued < capacity } else { queued > 0 } {
                    next!(Frame::TakeNote { gate: own_gate(side) });
                }
            }
            Frame::LookNote { gate } => {
                if state.gates[usize::from(gate)].note {
                    next!(if gate == NOT_FULL { Frame::RoomHead } else { Frame::TakeNote { gate } });
                }
            }
            Frame::RoomHead => next!(Frame::RoomTail { head: state.head.position }),
            Frame::RoomTail { head } => {
                let queued = state.tail.position - head;
                if queued > capacity {
                    next!(Frame::RoomHead);
                } else if queued <= capacity - capacity.div_ceil(4) {
                    next!(Frame::TakeNote { gate: NOT_FULL });
                }
            }
            Frame::TakeNote { gate } => {
                if mem::take(&mut state.gates[usize::from(gate)].note) {
                    next!(Frame::MoveSequence { gate });
                }
            }
            Frame::MoveSequence { gate } => {
                state.gates[usize::from(gate)].sequence += 1;
                next!(Frame::FutexWake { gate });
            }
            Frame::FutexWake { gate } => {
                let woken = self.sleepers(state, gate).nth(usize::from(choice));
                if let Some(woken) = woken {
                    self.wake(state, usize::from(woken));
                }
            }
            Frame::AllNote { gate } => {
                state.gates[usize::from(gate)].note = false;
                next!(Frame::AllSequence { gate });
            }
            Frame::AllSequence { gate } => {
                state.gates[usize::from(gate)].sequence += 1;
                next!(Frame::AllWake { gate });
            }
            Frame::AllWake { gate } => {
                while let Some(woken) = { self.sleepers(state, gate).next() } {
                    self.wake(state, usize::from(woken));
                }
            }
            Frame::SetClosed if self.has(Mutant::ClosedApart) => state.closed_apart = true,
            Frame::SetClosed => state.tail.closed = true,

            // ---- settling
            Frame::HolderTail => next!(Frame::HolderHead { tail: state.tail }),
            Frame::HolderHead { tail } => {
                let head = state.head;
                let held = if side == Side::Push { tail } else { head };
                next!(Frame::Settled);
                next!(Frame::SettleLoad { index: self.index(held.position) as u8, mine: false, all: false });
                self.record_last_claims(state, m, tail, head);
            }
            Frame::SettleLoad { index, mine, all } => {
                let stamp = state.stamps[usize::from(index)];
                if stamp.slot.holder().is_some() {
                    next!(Frame::SettleAsk { index, stamp, mine, all });
                }
            }
            Frame::SettleAsk { index, stamp, mine, all } => {
                let owner = stamp.slot.holder().expect("looked at");
                let not_asked = all && self.has(Mutant::NumberNotAsked);
                if not_asked || mine && owner == me || self.is_dead(state, owner) && !self.lives_here(state, m, owner) {
                    if self.has(Mutant::SettleUnchecked) {
                        self.settle_rest(state, m, index, stamp);
                    } else {
                        next!(Frame::SettleRecheck { index, stamp });
                    }
                } else {
                    state.members[m].spared |= all;
                }
            }
            Frame::SettleRecheck { index, stamp } => {
                if state.stamps[usize::from(index)] == stamp {
                    self.settle_rest(state, m, index, stamp);
                }
            }
            Frame::SettleRest { index, stamp, nth, second } => {
                let position = stamp.lap * capacity + index + nth;
                let (from, to) = match (stamp.slot, second) {
                    (Slot::Writing(..), false) => (Slot::Free, self.plain(position, Slot::Void)),
                    (Slot::Writing(..), true) => (Slot::Full, self.plain(position, Slot::Void)),
                    (Slot::Reading(..), _) => (Slot::Full, self.plain(position, Slot::Orphan(1))),
                    _ => (Slot::Full, self.plain(position + capacity, Slot::Free)),
                };
                let at = self.index(position);
                if state.stamps[at] == self.plain(position, from) || self.has(Mutant::SettleByStore) {
                    state.stamps[at] = to;
                    self.settled(state, at);
                }
                if matches!(stamp.slot, Slot::Writing(..)) && !second {
                    next!(Frame::SettleRest { index, stamp, nth, second: true });
                } else if nth > 1 {
                    next!(Frame::SettleRest { index, stamp, nth: nth - 1, second: false });
                } else {
                    self.settle_first(state, m, index, stamp);
                }
            }
            Frame::SettleFirst { index, stamp } => {
                let at = usize::from(index);
                if state.stamps[at] == stamp || self.has(Mutant::SettleByStore) {
                    let to = match stamp.slot {
                        Slot::Writing(..) => Stamp { lap: stamp.lap, slot: Slot::Void },
                        Slot::Reading(..) => Stamp { lap: stamp.lap, slot: Slot::Orphan(1) },
                        Slot::Rereading(_, deliveries) => Stamp { lap: stamp.lap, slot: Slot::Orphan(deliveries + 1) },
                        _ => Stamp { lap: stamp.lap + 1, slot: Slot::Free },
                    };
                    state.stamps[at] = to;
                    state.members[m].voided |= to.slot == Slot::Void;
                    state.members[m].orphaned |= matches!(to.slot, Slot::Orphan(_));
                    self.settled(state, at);
                }
            }
            Frame::SettleNotice => self.raise_notice(state),

            // ---- the roster
            Frame::SweepLoad { number } => {
                let entry = state.entries[usize::from(number)];
                if entry.taken && entry.lock != Some(m as u8) {
                    next!(Frame::SweepAsk { number, generation: entry.generation });
                }
            }
            Frame::SweepAsk { number, generation } => {
                if self.is_dead(state, number) {
                    self.reap(state, m, number, generation, false);
                }
            }
            Frame::ReapTail { number, mine } => next!(Frame::ReapHead { number, mine, tail: state.tail }),
            Frame::ReapHead { number, mine, tail } => {
                next!(Frame::TakeNote { gate: NOT_FULL });
                next!(Frame::TakeNote { gate: NOT_EMPTY });
                if !self.has(Mutant::ReaperSilent) {
                    next!(Frame::ReapNotice);
                }
                next!(Frame::Settled);
                next!(Frame::ReapSlot { number, mine, index: 0 });
                self.record_last_claims(state, m, tail, state.head);
            }
            Frame::ReapSlot { number, mine, index } => {
                let held = state.stamps[usize::from(index)].slot.holder() == Some(number);
                if index + 1 < capacity {
                    next!(Frame::ReapSlot { number, mine, index: index + 1 });
                }
                if held {
                    next!(Frame::SettleLoad { index, mine, all: true });
                }
            }
            Frame::ReapNotice => self.raise_notice(state),
            Frame::FreeEntry { number, generation } => {
                let spared = mem::take(&mut state.members[m].spared) && !self.has(Mutant::FreedUnsettled);
                let entry = &mut state.entries[usize::from(number)];
                if entry.taken && entry.generation == generation && !spared {
                    entry.taken = false;
                }
            }
            Frame::TakeNumber => {
                let number = self.free_numbers(state).nth(usize::from(choice)).expect("chosen from these");
                state.entries[usize::from(number)].lock = Some(m as u8);
                state.members[m].number = number;
                next!(Frame::AttachLoad);
            }
            Frame::AttachLoad => {
                let entry = state.entries[usize::from(me)];
                next!(Frame::AttachStore { generation: entry.generation });
                if entry.taken {
                    self.reap(state, m, me, entry.generation, true);
                }
            }
            Frame::AttachStore { generation } => {
                let entry = &mut state.entries[usize::from(me)];
                (entry.taken, entry.generation) = (true, generation + 1);
                next!(Frame::AttachNotice);
                for number in (0..self.entries()).rev() {
                    next!(Frame::SweepLoad { number });
                }
                next!(Frame::AllNote { gate: NOT_EMPTY });
            }
            Frame::AttachNotice => state.members[m].orphans_seen = state.notice.wrapping_sub(1),
            Frame::DetachStore => state.entries[usize::from(me)].taken = false,
            Frame::DetachUnlock => state.entries[usize::from(me)].lock = None,
        }
    }

    /// What a process holds itself it knows to be alive, whatever the kernel says.
    fn lives_here(&self, state: &State, m: usize, owner: u8) -> bool {
        state.entries.get(usize::from(owner)).is_some_and(|entry| entry.lock == Some(m as u8))
    }

    fn wake(&self, state: &mut State, woken: usize) {
        state.members[woken].stack.pop();
        self.resume(state, woken);
    }

    fn next_orphan(&self, state: &mut State, m: usize, notice: u8, start: u8, nth: u8) {
        if nth + 1 < self.scenario.capacity {
            state.members[m].stack.push(Frame::OrphanStamp { notice, start, nth: nth + 1 });
        } else {
            state.members[m].orphans_seen = notice;
            state.members[m].stack.push(Frame::LoadTicket);
        }
    }

    fn free_slot(&self, state: &mut State, m: usize, nth: u8) {
        let run = state.members[m].run;
        let position = run.first + nth;
        if nth == 0 {
            self.take(state, m);
        }
        state.stamps[self.index(position)] = self.plain(position + self.scenario.capacity, Slot::Free);
        // Whatever is read from here before it is written again is nobody's message.
        state.contents[self.index(position)] = Content::default();
        let drains = self.op(state, m) == Some(Op::Drain);
        let member = &mut state.members[m];
        if nth > 0 {
            member.stack.push(Frame::FreeSlot { nth: nth - 1 });
            return;
        }
        member.run = Run::default();
        if drains {
            self.begin_claim(state, m);
        }
        state.members[m].stack.push(Frame::LookNote { gate: NOT_FULL });
    }

    fn record_last_claims(&self, state: &mut State, m: usize, tail: Ticket, head: Ticket) {
        for (ticket, side) in [(head, Side::Pop), (tail, Side::Push)] {
            if ticket.count != 0 {
                state.members[m].stack.push(Frame::RecordLoad { ticket, side });
            }
        }
    }

    fn settle_rest(&self, state: &mut State, m: usize, index: u8, stamp: Stamp) {
        let count = stamp.slot.run();
        if count > 1 {
            state.members[m].stack.push(Frame::SettleRest { index, stamp, nth: count - 1, second: false });
        } else {
            self.settle_first(state, m, index, stamp);
        }
    }

    fn settle_first(&self, state: &mut State, m: usize, index: u8, stamp: Stamp) {
        let stack = &mut state.members[m].stack;
        let first = Frame::SettleFirst { index, stamp };
        if !matches!(stamp.slot, Slot::Reading(..) | Slot::Rereading(..)) {
            stack.push(first);
        } else if self.has(Mutant::NoticeBefore) {
            stack.push(first);
            stack.push(Frame::SettleNotice);
        } else {
            stack.push(Frame::SettleNotice);
            stack.push(first);
        }
    }

    fn owed(&self, state: &State) -> usize {
        state.messages.iter().filter(|message| message.committed && !message.taken).count()
    }

    /// Whether there is no room for a push until somebody receives: the slot at the tail holds a message that nobody
    /// has. That may be an orphan in a ring that has room elsewhere: positions are not passed over.
    fn is_full(&self, state: &State) -> bool {
        let index = self.index(state.tail.position);
        match state.stamps[index].slot {
            Slot::Orphan(_) => true,
            Slot::Full => state.tail.position - state.head.position == self.scenario.capacity,
            _ => false,
        }
    }

    /// Whether everybody alive is done, or waits for what can't be had.
    fn is_over(&self, state: &State) -> bool {
        state.members[..self.members()].iter().all(|member| {
            member.life == Life::Dead
                || match member.stack.top() {
                    None => true,
                    Some(Frame::TakeNumber) => self.free_numbers(state).next().is_none(),
                    Some(Frame::Idle | Frame::Asleep { .. }) => {
                        let in_vain =
                            if member.side == Side::Pop { self.owed(state) == 0 } else { self.is_full(state) };
                        !self.closed(state) && in_vain
                    }
                    Some(_) => false,
                }
        })
    }

    /// At the end somebody comes and looks: what was committed and not taken is there, once, and the ring is whole.
    fn look_at_the_end(&self, state: &State) -> Option<Broken> {
        let mut state = *state;
        let m = self.members();
        let member = &mut state.members[m];
        member.number = MEMBERS as u8;
        member.orphans_seen = state.notice.wrapping_sub(1);
        (0..self.entries()).for_each(|number| member.stack.push(Frame::SweepLoad { number }));
        self.alone(&mut state, m);
        for _ in 0..MESSAGES {
            self.alone_do(&mut state, m, Side::Pop);
        }
        let capacity = self.scenario.capacity;
        if state.broken.is_none() && self.owed(&state) > 0 {
            state.broken = Some(Broken::Lost);
        }
        if !self.closed(&state) {
            for nth in 0..=capacity {
                let pushed = self.alone_do(&mut state, m, Side::Push);
                if state.broken.is_none() && pushed != (nth < capacity) {
                    state.broken = Some(Broken::Leak);
                }
            }
            for nth in 0..=capacity {
                let popped = self.alone_do(&mut state, m, Side::Pop);
                if state.broken.is_none() && popped != (nth < capacity) {
                    state.broken = Some(Broken::Leak);
                }
            }
        }
        state.broken
    }

    /// One operation of the one who looks at the end; whether it succeeded.
    fn alone_do(&self, state: &mut State, m: usize, side: Side) -> bool {
        let before = self.owed(state);
        let member = &mut state.members[m];
        (member.side, member.left, member.asked) = (side, 1, false);
        self.begin_claim(state, m);
        self.alone(state, m);
        before != self.owed(state)
    }

    /// Goes on until nothing is left to do, or nothing can be done.
    fn alone(&self, state: &mut State, m: usize) {
        for _ in 0..1000 {
            self.advance(state, m);
            match state.members[m].stack.top() {
                _ if state.broken.is_some() => return,
                None => return,
                Some(Frame::Idle) => {
                    state.members[m].stack.pop();
                    return;
                }
                Some(_) => self.step(state, m, 0),
            }
        }
        state.broken = Some(Broken::Stuck);
    }
}

fn own_gate(side: Side) -> u8 {
    if side == Side::Push { NOT_FULL } else { NOT_EMPTY }
}

impl Model for Many {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            tail: Ticket::default(),
            head: Ticket::default(),
            stamps: Default::default(),
            contents: Default::default(),
            notice: 1,
            gates: Default::default(),
            entries: Default::default(),
            closed_apart: false,
            members: Default::default(),
            messages: Default::default(),
            told_closed: false,
            deaths: 0,
            broken: None,
        };
        let mut number = 0;
        for m in 0..self.members() {
            if self.script(m).first() != Some(&Op::Attach) {
                state.entries[usize::from(number)] = Entry { taken: true, generation: 1, lock: Some(m as u8) };
                state.members[m].number = number;
                number += 1;
            }
            // It has looked for orphans once and found none.
            state.members[m].orphans_seen = state.notice;
            self.advance(&mut state, m);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for m in 0..self.members() {
            let member = &state.members[m];
            let name = m as u8;
            if member.life == Life::Dead {
                continue;
            }
            if self.is_ready(state, m) {
                let choices = match member.stack.top() {
                    Some(Frame::FutexWake { gate }) => self.sleepers(state, gate).count().max(1),
                    Some(Frame::TakeNumber) => self.free_numbers(state).count(),
                    _ => 1,
                };
                actions.extend((0..choices).map(|choice| Action::Step(name, choice as u8)));
            }
            let asleep = match member.stack.top() {
                Some(Frame::Asleep { draining }) => draining || self.scenario.time_outs,
                _ => false,
            };
            if asleep {
                actions.push(Action::TimeOut(name));
            }
            if asleep && self.scenario.time_outs || member.stack.top() == Some(Frame::Idle) {
                let dead = (0..self.entries()).filter(|number| {
                    let entry = &state.entries[usize::from(*number)];
                    entry.taken && (entry.lock.is_none() || self.has(Mutant::ReapByTimeOut))
                });
                actions.extend(dead.map(|number| Action::Search(name, number)));
            }
            if state.deaths < self.scenario.deaths && !member.stack.is_empty() {
                actions.push(Action::Die(name));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        let m = match action {
            Action::Step(m, choice) => {
                self.step(&mut state, usize::from(m), choice);
                usize::from(m)
            }
            Action::TimeOut(m) => {
                self.wake(&mut state, usize::from(m));
                usize::from(m)
            }
            Action::Search(m, number) => {
                let m = usize::from(m);
                state.members[m].stack.pop();
                self.resume(&mut state, m);
                state.members[m].stack.push(Frame::SweepLoad { number });
                m
            }
            Action::Die(m) => {
                state.members[usize::from(m)] = Member { life: Life::Dead, ..Member::default() };
                state.deaths += 1;
                // The kernel lets go of its lock; nothing else is done for the dead.
                for entry in &mut state.entries {
                    if entry.lock == Some(m) {
                        entry.lock = None;
                    }
                }
                usize::from(m)
            }
        };
        if state.members[m].life == Life::Alive && state.broken.is_none() {
            self.advance(&mut state, m);
        }
        if state.broken.is_none() && self.is_over(&state) {
            state.broken = self.look_at_the_end(&state);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(Broken::Lost.promise(), |_, state: &State| state.broken != Some(Broken::Lost)),
            Property::always(Broken::Twice.promise(), |_, state: &State| state.broken != Some(Broken::Twice)),
            Property::always(Broken::HalfMade.promise(), |_, state: &State| state.broken != Some(Broken::HalfMade)),
            Property::always(Broken::Leak.promise(), |_, state: &State| state.broken != Some(Broken::Leak)),
            Property::always(Broken::Robbed.promise(), |_, state: &State| state.broken != Some(Broken::Robbed)),
            Property::always(Broken::ClosedEarly.promise(), |_, state: &State| {
                state.broken != Some(Broken::ClosedEarly)
            }),
            Property::always(Broken::Corrupt.promise(), |_, state: &State| state.broken != Some(Broken::Corrupt)),
            Property::always(Broken::Stuck.promise(), |_, state: &State| state.broken != Some(Broken::Stuck)),
        ]
    }
}

impl Fair for Many {
    fn is_death(action: &Action) -> bool {
        matches!(action, Action::Die(_))
    }

    fn describe(&self, state: &State, action: &Action) -> String {
        match *action {
            Action::Step(m, _) => format!("{m} {:?}", state.members[usize::from(m)].stack.top().expect("a step")),
            ref other => format!("{other:?}"),
        }
    }

    fn is_broken(&self, state: &State) -> bool {
        state.broken.is_some()
    }

    fn is_good_end(&self, state: &State) -> bool {
        state.broken.is_none() && self.is_over(state)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
