//! The ring of one, step by step: a producer and a consumer, a successor for each, and somebody who closes.
//!
//! Each access to a word that the other side may touch is one step. A side's own count is read back from memory in the
//! code; nobody else writes it, so here it is read together with the access that follows. The fences and `membarrier`
//! are what makes the steps of both sides follow each other; that they do is taken for granted here.

use std::mem;

use stateright::{Model, Property};

use super::words::{Gate, Gathered, NOT_EMPTY, NOT_FULL};
use super::{Broken, Fair, Mutant, promises};

const SLOTS: usize = 2;
const MESSAGES: usize = 6;
const MEMBERS: usize = 5;
/// In [`Plan::scripts`]: producer, its successor, consumer, its successor, and who closes.
const PRODUCERS: usize = 2;

/// One thing that a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Pushes so many messages, as many at once as there is room for.
    Push(u8),
    /// Pops one.
    Pop,
    /// Pops at most two, which are shown to the user's collection before they are released.
    Batch,
    /// Receives one in place, and is done with it.
    Receive,
    /// Receives one in place, and drops the receipt.
    HandBack,
    /// Pops until told that the ring is closed.
    Drain,
    /// Closes.
    Close,
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What the tables call it.
    pub name: &'static str,
    /// Slots.
    pub capacity: u8,
    /// Producer, its successor, consumer, its successor, who closes. A successor comes when the one before is dead.
    pub scripts: [&'static [Op]; MEMBERS],
    /// How many may die.
    pub deaths: u8,
    /// Whether who waits goes to sleep.
    pub gates: bool,
    /// Whether a sleep may end by itself.
    pub time_outs: bool,
}

/// A plan, under the protocol as it is or with one thing broken.
#[derive(Debug, Clone, Copy)]
pub struct One {
    /// What is tried.
    pub plan: Plan,
    /// What is broken.
    pub mutant: Option<Mutant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum At {
    /// Nothing left to do.
    #[default]
    Done,
    /// A successor waits for the lock.
    TakeLock,
    // producing(), consuming()
    AttachCease,
    AttachHead,
    AttachHeld,
    AttachShown,
    AttachNote,
    AttachSequence,
    AttachWake,
    // claim_push, publish
    Pushing,
    LoadClosed,
    LoadHead,
    Cease {
        closed: bool,
    },
    Write {
        nth: u8,
        half: bool,
    },
    StoreTail,
    CeasePublished,
    // claim_pop, leave, release
    LoadTail {
        leaving: Option<bool>,
    },
    LoadClosedEmpty {
        leaving: Option<bool>,
    },
    AskProducer,
    LoadPushing,
    LoadTailPushing {
        pushing: u8,
    },
    NoteHeld,
    NoteShown,
    Read {
        nth: u8,
    },
    StoreHead,
    // waiting and waking
    Idle,
    Announce,
    Note {
        sequence: u8,
    },
    FutexWait {
        sequence: u8,
        draining: bool,
    },
    /// Not carried out: woken, or over by itself. In a closed ring that is being drained always the latter.
    Asleep {
        draining: bool,
    },
    LookNote,
    RoomHead,
    RoomTail {
        head: u8,
    },
    TakeNote,
    MoveSequence,
    Wake,
    // close: the two gates one after the other
    SetClosed,
    AllNote {
        gate: u8,
    },
    AllSequence {
        gate: u8,
    },
    AllWake {
        gate: u8,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Member {
    dead: bool,
    at: At,
    op: u8,
    left: u8,
    named: u8,
    /// Of a claim: how many.
    run: u8,
    announced: Option<u8>,
    // Producing: head as last seen. Consuming: tail as last seen.
    other: u8,
    deliveries: u8,
    shown: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Message {
    committed: bool,
    shown: bool,
    taken: bool,
}

/// A state of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State {
    tail: u8,
    pushing: u8,
    head: u8,
    /// The message, and how often it was handed out.
    held: Option<(u8, u8)>,
    shown: u8,
    closed: bool,
    gates: [Gate; 2],
    contents: [(u8, bool); SLOTS],
    /// The locks of the two entries.
    locks: [Option<u8>; 2],
    members: [Member; MEMBERS],
    messages: [Message; MESSAGES],
    told_closed: bool,
    deaths: u8,
    broken: Option<Broken>,
}

/// One step of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The next access.
    Step(u8),
    /// The bounded sleep is over.
    TimeOut(u8),
    /// Is killed.
    Die(u8),
}

impl One {
    fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn op(&self, state: &State, m: usize) -> Option<Op> {
        self.plan.scripts[m].get(usize::from(state.members[m].op).wrapping_sub(1)).copied()
    }

    /// Which of the two entries a member takes.
    fn side(m: usize) -> usize {
        usize::from(m >= PRODUCERS)
    }

    fn gate(m: usize) -> u8 {
        if m < PRODUCERS { NOT_FULL } else { NOT_EMPTY }
    }

    fn message(&self, state: &State, m: usize, nth: u8) -> usize {
        let before: u8 = self.plan.scripts[..m]
            .iter()
            .flat_map(|script| script.iter())
            .map(|op| if let Op::Push(count) = op { *count } else { 0 })
            .sum();
        usize::from(before + state.members[m].named + nth)
    }

    fn next_op(&self, state: &mut State, m: usize) {
        let member = &mut state.members[m];
        let op = self.plan.scripts[m].get(usize::from(member.op)).copied();
        member.op += u8::from(op.is_some());
        (member.run, member.announced) = (0, None);
        member.left = if let Some(Op::Push(count)) = op { count } else { 0 };
        match op {
            None => member.at = At::Done,
            Some(Op::Close) => member.at = At::SetClosed,
            Some(_) => self.begin(state, m),
        }
    }

    fn begin(&self, state: &mut State, m: usize) {
        if m < PRODUCERS {
            state.members[m].at = if self.has(Mutant::PushingNotSaid) { At::LoadClosed } else { At::Pushing };
        } else {
            self.claim_pop(state, m, None);
        }
    }

    /// What of a claim needs no access.
    fn claim_pop(&self, state: &mut State, m: usize, leaving: Option<bool>) {
        if state.members[m].other == state.head {
            state.members[m].at = At::LoadTail { leaving };
        } else {
            self.popping(state, m);
        }
    }

    fn popping(&self, state: &mut State, m: usize) {
        let op = self.op(state, m);
        let member = &mut state.members[m];
        let ready = member.other - state.head;
        let want = if op == Some(Op::Batch) && member.deliveries == 0 { 2 } else { 1 };
        member.run = ready.min(want);
        member.announced = None;
        member.at = match op {
            Some(Op::Receive | Op::HandBack) => {
                member.deliveries += 1;
                if self.has(Mutant::HeldNotNoted) { At::Read { nth: 0 } } else { At::NoteHeld }
            }
            Some(Op::Batch) if !self.has(Mutant::ShownNotNoted) => At::NoteShown,
            _ if self.is_head_first(op) => At::StoreHead,
            _ => At::Read { nth: 0 },
        };
    }

    /// In the mutant: of what is shown in place, the head moves last all the same.
    fn is_head_first(&self, op: Option<Op>) -> bool {
        self.has(Mutant::HeadFirst) && matches!(op, Some(Op::Pop | Op::Drain))
    }

    fn writing(&self, state: &mut State, m: usize) {
        let member = &mut state.members[m];
        let room = self.plan.capacity - (state.tail - member.other);
        member.run = member.left.min(room);
        member.announced = None;
        member.at = if self.has(Mutant::TailFirst) { At::StoreTail } else { At::Write { nth: 0, half: true } };
    }

    fn refused(&self, state: &mut State, m: usize, draining: bool) {
        let member = &mut state.members[m];
        member.at = match member.announced.take() {
            Some(sequence) => At::FutexWait { sequence, draining },
            None if self.plan.gates => At::Announce,
            None => At::Idle,
        };
    }

    fn told_closed(&self, state: &mut State, m: usize) {
        if m >= PRODUCERS {
            state.told_closed = true;
            if self.owed(state) > 0 {
                state.broken = Some(Broken::ClosedEarly);
            }
        }
        self.next_op(state, m);
    }

    fn owed(&self, state: &State) -> usize {
        state.messages.iter().filter(|message| message.committed && !message.taken).count()
    }

    fn commit(&self, state: &mut State, m: usize) {
        for nth in 0..state.members[m].run {
            let message = self.message(state, m, nth);
            state.messages[message].committed = true;
        }
        if state.told_closed {
            state.broken = Some(Broken::ClosedEarly);
        }
    }

    /// A claim's work is done: what is next, after the look for sleepers.
    fn finished(&self, state: &mut State, m: usize) {
        let drains = self.op(state, m) == Some(Op::Drain);
        let member = &mut state.members[m];
        if m < PRODUCERS && member.left > 0 || drains {
            self.begin(state, m);
        } else {
            self.next_op(state, m);
        }
    }

    fn take(&self, state: &mut State, first: u8, run: u8) {
        for nth in 0..run {
            let (message, _) = state.contents[usize::from((first + nth) % self.plan.capacity)];
            state.messages[usize::from(message)].taken = true;
        }
    }

    fn wake(&self, state: &mut State, gate: u8) {
        for m in 0..MEMBERS {
            if matches!(state.members[m].at, At::Asleep { .. }) && Self::gate(m) == gate {
                self.begin(state, m);
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each access; each is short")]
    fn step(&self, state: &mut State, m: usize) {
        let capacity = self.plan.capacity;
        let at = state.members[m].at;
        macro_rules! next {
            ($at:expr) => {
                state.members[m].at = $at
            };
        }
        match at {
            At::Done | At::Asleep { .. } => unreachable!("never carried out"),
            At::TakeLock => {
                state.locks[Self::side(m)] = Some(m as u8);
                next!(At::AttachNote);
            }
            At::AttachNote => {
                state.gates[usize::from(NOT_EMPTY)].note = false;
                next!(At::AttachSequence);
            }
            At::AttachSequence => {
                state.gates[usize::from(NOT_EMPTY)].sequence += 1;
                next!(At::AttachWake);
            }
            At::AttachWake => {
                self.wake(state, NOT_EMPTY);
                next!(if m < PRODUCERS { At::AttachCease } else { At::AttachHead });
            }
            At::AttachCease => {
                state.pushing = state.tail;
                next!(At::AttachHead);
            }
            At::AttachHead => {
                state.members[m].other = state.head;
                if m < PRODUCERS {
                    self.next_op(state, m);
                } else {
                    next!(At::AttachHeld);
                }
            }
            At::AttachHeld => {
                let held = state.held.filter(|(message, _)| *message == state.head);
                state.members[m].deliveries = held.map_or(0, |(_, deliveries)| deliveries);
                next!(At::AttachShown);
            }
            At::AttachShown => {
                let shown = state.shown.saturating_sub(state.head);
                let member = &mut state.members[m];
                member.deliveries = if shown > 0 { member.deliveries.max(1) } else { member.deliveries };
                member.shown = shown.saturating_sub(1);
                self.next_op(state, m);
            }

            At::Pushing => {
                state.pushing = state.tail + 1;
                next!(At::LoadClosed);
            }
            At::LoadClosed if state.closed => next!(At::Cease { closed: true }),
            At::LoadClosed => {
                let member = &state.members[m];
                if state.tail - member.other > capacity.saturating_sub(member.left) {
                    next!(At::LoadHead);
                } else {
                    self.writing(state, m);
                }
            }
            At::LoadHead => {
                state.members[m].other = state.head;
                if state.tail - state.head == capacity {
                    next!(At::Cease { closed: false });
                } else {
                    self.writing(state, m);
                }
            }
            At::Cease { closed } => {
                state.pushing = state.tail;
                if closed {
                    self.told_closed(state, m);
                } else {
                    self.refused(state, m, false);
                }
            }
            At::Write { nth, half } => {
                let first = if self.has(Mutant::TailFirst) { state.tail - state.members[m].run } else { state.tail };
                let message = self.message(state, m, nth);
                let content = &mut state.contents[usize::from((first + nth) % capacity)];
                let before = state.messages[usize::from(content.0)];
                if half && content.1 && before.committed && !before.taken {
                    state.broken = Some(Broken::Lost);
                }
                *content = (message as u8, !half);
                let run = state.members[m].run;
                next!(match (half, nth + 1 < run) {
                    (true, _) => At::Write { nth, half: false },
                    (false, true) => At::Write { nth: nth + 1, half: true },
                    (false, false) if self.has(Mutant::TailFirst) => At::CeasePublished,
                    (false, false) => At::StoreTail,
                });
                if self.has(Mutant::TailFirst) && state.members[m].at == At::CeasePublished {
                    self.commit(state, m);
                }
            }
            At::StoreTail => {
                state.tail += state.members[m].run;
                if self.has(Mutant::TailFirst) {
                    next!(At::Write { nth: 0, half: true });
                    return;
                }
                self.commit(state, m);
                if state.members[m].run == 1 {
                    self.published(state, m);
                } else {
                    next!(At::CeasePublished);
                }
            }
            At::CeasePublished => {
                state.pushing = state.tail;
                self.published(state, m);
            }

            At::LoadTail { leaving } => {
                state.members[m].other = state.tail;
                if state.tail == state.head {
                    next!(At::LoadClosedEmpty { leaving });
                } else {
                    self.popping(state, m);
                }
            }
            At::LoadClosedEmpty { leaving } => match (state.closed, leaving) {
                (false, _) => self.refused(state, m, false),
                (true, Some(false)) => self.refused(state, m, true),
                (true, None) => next!(At::AskProducer),
                (true, Some(true)) => self.told_closed(state, m),
            },
            At::AskProducer if state.locks[0].is_none() => self.claim_pop(state, m, Some(true)),
            At::AskProducer => next!(At::LoadPushing),
            At::LoadPushing => next!(At::LoadTailPushing { pushing: state.pushing }),
            At::LoadTailPushing { pushing } => {
                let may_leave = pushing == state.tail;
                self.claim_pop(state, m, Some(may_leave));
            }
            At::NoteHeld => {
                state.held = Some((state.head, state.members[m].deliveries));
                next!(At::Read { nth: 0 });
            }
            At::NoteShown => {
                // What was shown with the first of these by one that died stays noted.
                let member = &state.members[m];
                let known = if self.has(Mutant::ShownForgotten) { 0 } else { member.shown + 1 };
                state.shown = state.head + member.run.max(known);
                next!(At::Read { nth: 0 });
            }
            At::Read { nth } => self.read(state, m, nth),
            At::StoreHead => {
                let run = state.members[m].run;
                if self.is_head_first(self.op(state, m)) {
                    state.head += run;
                    next!(At::Read { nth: 0 });
                } else {
                    self.take(state, state.head, run);
                    state.head += run;
                    self.released(state, m);
                }
            }

            At::Idle => self.begin(state, m),
            At::Announce => next!(At::Note { sequence: state.gates[usize::from(Self::gate(m))].sequence }),
            At::Note { sequence } => {
                state.gates[usize::from(Self::gate(m))].note = true;
                if self.has(Mutant::NoSecondLook) {
                    next!(At::FutexWait { sequence, draining: false });
                } else {
                    state.members[m].announced = Some(sequence);
                    self.begin(state, m);
                }
            }
            At::FutexWait { sequence, draining } => {
                if state.gates[usize::from(Self::gate(m))].sequence == sequence {
                    next!(At::Asleep { draining });
                } else {
                    self.begin(state, m);
                }
            }
            At::LookNote => {
                let gate = NOT_EMPTY + NOT_FULL - Self::gate(m);
                if !state.gates[usize::from(gate)].note {
                    self.finished(state, m);
                } else {
                    next!(if gate == NOT_FULL { At::RoomHead } else { At::TakeNote });
                }
            }
            At::RoomHead => next!(At::RoomTail { head: state.head }),
            At::RoomTail { head } => {
                if state.tail - head <= capacity - capacity.div_ceil(4) {
                    next!(At::TakeNote);
                } else {
                    self.finished(state, m);
                }
            }
            At::TakeNote => {
                let gate = NOT_EMPTY + NOT_FULL - Self::gate(m);
                if mem::take(&mut state.gates[usize::from(gate)].note) {
                    next!(At::MoveSequence);
                } else {
                    self.finished(state, m);
                }
            }
            At::MoveSequence => {
                state.gates[usize::from(NOT_EMPTY + NOT_FULL - Self::gate(m))].sequence += 1;
                next!(At::Wake);
            }
            At::Wake => {
                // One sleeper at most: there is one of each side.
                self.wake(state, NOT_EMPTY + NOT_FULL - Self::gate(m));
                self.finished(state, m);
            }

            At::SetClosed => {
                state.closed = true;
                next!(At::AllNote { gate: NOT_EMPTY });
            }
            At::AllNote { gate } => {
                state.gates[usize::from(gate)].note = false;
                next!(At::AllSequence { gate });
            }
            At::AllSequence { gate } => {
                state.gates[usize::from(gate)].sequence += 1;
                next!(At::AllWake { gate });
            }
            At::AllWake { gate } => {
                self.wake(state, gate);
                if gate == NOT_EMPTY {
                    next!(At::AllNote { gate: NOT_FULL });
                } else {
                    self.next_op(state, m);
                }
            }
        }
    }

    fn published(&self, state: &mut State, m: usize) {
        let member = &mut state.members[m];
        member.named += member.run;
        member.left -= member.run;
        member.run = 0;
        member.at = At::LookNote;
    }

    fn read(&self, state: &mut State, m: usize, nth: u8) {
        let run = state.members[m].run;
        let op = self.op(state, m);
        let first = if self.is_head_first(op) { state.head - run } else { state.head };
        let (message, whole) = state.contents[usize::from((first + nth) % self.plan.capacity)];
        let in_place = matches!(op, Some(Op::Receive | Op::HandBack));
        // In place, this delivery is counted already.
        let marked = state.members[m].deliveries > u8::from(in_place);
        let seen = &mut state.messages[usize::from(message)];
        if !whole || !seen.committed {
            state.broken = Some(Broken::HalfMade);
        } else if seen.taken || seen.shown && !marked {
            state.broken = Some(Broken::Twice);
        }
        seen.shown |= in_place || op == Some(Op::Batch);
        let member = &mut state.members[m];
        if nth + 1 < run {
            member.at = At::Read { nth: nth + 1 };
        } else if op == Some(Op::HandBack) {
            // It is where it was, and its deliveries are known.
            member.run = 0;
            self.next_op(state, m);
        } else if self.is_head_first(op) {
            self.take(state, first, run);
            self.released(state, m);
        } else {
            member.at = At::StoreHead;
        }
    }

    fn released(&self, state: &mut State, m: usize) {
        let member = &mut state.members[m];
        if member.deliveries != 0 {
            member.deliveries = u8::from(member.shown > 0);
            member.shown = member.shown.saturating_sub(1);
        }
        member.run = 0;
        member.at = At::LookNote;
    }

    fn is_over(&self, state: &State) -> bool {
        state.members.iter().enumerate().all(|(m, member)| {
            member.dead
                || match member.at {
                    At::Done => true,
                    At::TakeLock => state.locks[Self::side(m)].is_some(),
                    At::Idle | At::Asleep { .. } => {
                        let full = usize::from(self.plan.capacity);
                        !state.closed && self.owed(state) == if m < PRODUCERS { full } else { 0 }
                    }
                    _ => false,
                }
        })
    }

    /// At the end a new consumer looks: what was committed and not taken is there, whole, and marked where it was shown.
    fn look_at_the_end(&self, state: &State) -> Option<Broken> {
        if self.owed(state) != usize::from(state.tail - state.head) {
            return Some(Broken::Lost);
        }
        let held = state.held.filter(|(message, _)| *message == state.head).map_or(0, |(_, deliveries)| deliveries);
        // Whoever lives knows it by itself.
        let known = state.members[PRODUCERS..].iter().any(|member| !member.dead && member.deliveries > 0);
        for position in state.head..state.tail {
            let (message, whole) = state.contents[usize::from(position % self.plan.capacity)];
            let seen = state.messages[usize::from(message)];
            if !whole || !seen.committed {
                return Some(Broken::HalfMade);
            }
            let marked = position < state.shown || position == state.head && held > 0;
            if seen.taken || seen.shown && !marked && !known {
                return Some(Broken::Twice);
            }
        }
        None
    }
}

impl Model for One {
    type State = Gathered<State>;
    type Action = Action;

    fn init_states(&self) -> Vec<Gathered<State>> {
        let mut state = State { locks: [Some(0), Some(PRODUCERS as u8)], ..State::default() };
        for m in 0..MEMBERS {
            let successor = m == 1 || m == PRODUCERS + 1;
            if successor && !self.plan.scripts[m].is_empty() {
                state.members[m].at = At::TakeLock;
            } else {
                self.next_op(&mut state, m);
            }
        }
        vec![Gathered(state)]
    }

    fn actions(&self, state: &Gathered<State>, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for (m, member) in state.members.iter().enumerate() {
            let name = m as u8;
            match member.at {
                At::Done => continue,
                At::Asleep { draining } if draining || self.plan.time_outs => actions.push(Action::TimeOut(name)),
                At::Asleep { .. } => {}
                At::TakeLock if state.locks[Self::side(m)].is_some() => continue,
                _ => actions.push(Action::Step(name)),
            }
            if state.deaths < self.plan.deaths {
                actions.push(Action::Die(name));
            }
        }
    }

    fn next_state(&self, last: &Gathered<State>, action: Action) -> Option<Gathered<State>> {
        let mut state = *last;
        match action {
            Action::Step(m) => self.step(&mut state, usize::from(m)),
            Action::TimeOut(m) => self.begin(&mut state, usize::from(m)),
            Action::Die(m) => {
                state.members[usize::from(m)] = Member { dead: true, ..Member::default() };
                state.deaths += 1;
                for lock in &mut state.locks {
                    if *lock == Some(m) {
                        *lock = None;
                    }
                }
            }
        }
        if state.broken.is_none() && self.is_over(&state) {
            state.broken = self.look_at_the_end(&state);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises()
    }
}

impl Fair for One {
    fn is_death(action: &Action) -> bool {
        matches!(action, Action::Die(_))
    }

    fn describe(&self, state: &Gathered<State>, action: &Action) -> String {
        match *action {
            Action::Step(m) => format!("{m} {:?}", state.members[usize::from(m)].at),
            ref other => format!("{other:?}"),
        }
    }

    fn broken(state: &Self::State) -> Option<Broken> {
        state.broken
    }

    fn is_good_end(&self, state: &Gathered<State>) -> bool {
        state.broken.is_none() && self.is_over(state)
    }
}
