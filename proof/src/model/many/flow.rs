//! What comes next: decisions that a member makes with what it knows, which touch no shared word.
//!
//! Where a decision says what has become of a message, or whom a repair has robbed, that is the promises' book-keeping
//! and not a part of the protocol.

use super::super::words::{Frame, NOT_EMPTY, NOT_FULL, Refusal, Run, Side, Slot, Stamp, Ticket};
use super::super::{Broken, Mutant};
use super::{Content, Life, Many, Member, Op, State};

impl Many {
    /// Goes on to the next operation when the last is done.
    pub(super) fn advance(&self, state: &mut State, m: usize) {
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

    pub(super) fn op(&self, state: &State, m: usize) -> Option<Op> {
        self.script(m).get(usize::from(state.members[m].at).wrapping_sub(1)).copied()
    }

    pub(super) fn begin_claim(&self, state: &mut State, m: usize) {
        let closed_apart = self.has(Mutant::ClosedApart);
        let member = &mut state.members[m];
        member.stack.push(match member.side {
            Side::Pop => Frame::Notice,
            Side::Push if closed_apart => Frame::ClosedApart,
            Side::Push => Frame::LoadTicket,
        });
    }

    /// Once more from the ticket.
    pub(super) fn again(&self, state: &mut State, m: usize) {
        let closed_apart = self.has(Mutant::ClosedApart);
        let member = &mut state.members[m];
        member.stack.push(match member.side {
            Side::Push if closed_apart => Frame::ClosedApart,
            _ => Frame::LoadTicket,
        });
    }

    pub(super) fn pass_on(&self, state: &mut State, m: usize) {
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
    pub(super) fn claimed(&self, state: &mut State, m: usize, run: Run) {
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

    pub(super) fn try_claim(&self, state: &mut State, m: usize, ticket: Ticket, count: u8) {
        let member = &mut state.members[m];
        member.stack.push(Frame::ClaimSwap { ticket, count });
        let of_another = ticket.owner != member.number && ticket.count != 0;
        if of_another && !self.has(Mutant::RecordLeftOut) && !self.has(Mutant::RecordAfterSwap) {
            member.stack.push(Frame::RecordLoad { ticket, side: member.side });
        }
    }

    pub(super) fn closed(&self, state: &State) -> bool {
        state.tail.closed || state.closed_apart
    }

    /// Told that the queue is closed: the operation is over.
    pub(super) fn told_closed(&self, state: &mut State, m: usize) {
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
    pub(super) fn refused(&self, state: &mut State, m: usize, refusal: Refusal) {
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

    pub(super) fn resume(&self, state: &mut State, m: usize) {
        (state.members[m].asked, state.members[m].draining) = (false, false);
        self.begin_claim(state, m);
    }

    pub(super) fn step_over(&self, state: &mut State, m: usize, head: Ticket) {
        let member = &mut state.members[m];
        member.stack.push(Frame::StepSwap { head });
        if head.count != 0 && !self.has(Mutant::VoidNotRecorded) {
            member.stack.push(Frame::RecordLoad { ticket: head, side: Side::Pop });
        }
    }

    pub(super) fn refuse_push(&self, state: &mut State, m: usize, ticket: Ticket, stamp: Stamp, head: Ticket) {
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

    pub(super) fn refuse_pop(&self, state: &mut State, m: usize, ticket: Ticket, stamp: Stamp, tail: Ticket) {
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

    pub(super) fn raise_notice(&self, state: &mut State) {
        state.notice += 1;
    }

    /// A repair changed a slot.
    pub(super) fn settled(&self, state: &mut State, index: usize) {
        if let Some(holder) = state.contents[index].holder.take()
            && state.members[usize::from(holder)].life == Life::Alive
        {
            state.broken = Some(Broken::Robbed);
        }
    }

    pub(super) fn commit(&self, state: &mut State, m: usize) {
        let run = state.members[m].run;
        for nth in 0..run.count {
            let message = self.message(state, m, nth);
            state.messages[usize::from(message)].committed = true;
        }
        if state.told_closed {
            state.broken = Some(Broken::ClosedEarly);
        }
    }

    pub(super) fn take(&self, state: &mut State, m: usize) {
        let run = state.members[m].run;
        for nth in 0..run.count {
            let content = state.contents[self.index(run.first + nth)];
            state.messages[usize::from(content.message)].taken = true;
        }
    }

    pub(super) fn reap(&self, state: &mut State, m: usize, number: u8, generation: u8, mine: bool) {
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

    /// What a process holds itself it knows to be alive, whatever the kernel says.
    pub(super) fn lives_here(&self, state: &State, m: usize, owner: u8) -> bool {
        state.entries.get(usize::from(owner)).is_some_and(|entry| entry.lock == Some(m as u8))
    }

    pub(super) fn wake(&self, state: &mut State, woken: usize) {
        state.members[woken].stack.pop();
        self.resume(state, woken);
    }

    pub(super) fn next_orphan(&self, state: &mut State, m: usize, notice: u8, start: u8, nth: u8) {
        if nth + 1 < self.scenario.capacity {
            state.members[m].stack.push(Frame::OrphanStamp { notice, start, nth: nth + 1 });
        } else {
            state.members[m].orphans_seen = notice;
            state.members[m].stack.push(Frame::LoadTicket);
        }
    }

    pub(super) fn free_slot(&self, state: &mut State, m: usize, nth: u8) {
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

    pub(super) fn record_last_claims(&self, state: &mut State, m: usize, tail: Ticket, head: Ticket) {
        for (ticket, side) in [(head, Side::Pop), (tail, Side::Push)] {
            if ticket.count != 0 {
                state.members[m].stack.push(Frame::RecordLoad { ticket, side });
            }
        }
    }

    pub(super) fn settle_rest(&self, state: &mut State, m: usize, index: u8, stamp: Stamp) {
        let count = stamp.slot.run();
        if count > 1 {
            state.members[m].stack.push(Frame::SettleRest { index, stamp, nth: count - 1, second: false });
        } else {
            self.settle_first(state, m, index, stamp);
        }
    }

    pub(super) fn settle_first(&self, state: &mut State, m: usize, index: u8, stamp: Stamp) {
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
}
