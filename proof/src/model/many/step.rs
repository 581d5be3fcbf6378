//! The accesses: one arm for each.

use std::mem;

use super::super::words::{Frame, NOT_EMPTY, NOT_FULL, Refusal, Run, Side, Slot, Stamp, Ticket};
use super::super::{Broken, Mutant};
use super::{Many, State, own_gate};

impl Many {
    /// Does the next access of a member.
    #[expect(clippy::too_many_lines, reason = "one arm for each access; each is short")]
    pub(super) fn step(&self, state: &mut State, m: usize, choice: u8) {
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
}
