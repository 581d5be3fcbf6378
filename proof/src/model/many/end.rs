//! When it is over, and what must be found then.

use super::super::Broken;
use super::super::words::{Frame, MEMBERS, MESSAGES, Side, Slot};
use super::{Life, Many, State};

impl Many {
    pub(super) fn owed(&self, state: &State) -> usize {
        state.messages.iter().filter(|message| message.committed && !message.taken).count()
    }

    /// Whether there is no room for a push until somebody receives: the slot at the tail holds a message that nobody
    /// has. That may be an orphan in a ring that has room elsewhere: positions are not passed over.
    pub(super) fn is_full(&self, state: &State) -> bool {
        let index = self.index(state.tail.position);
        match state.stamps[index].slot {
            Slot::Orphan(_) => true,
            Slot::Full => state.tail.position - state.head.position == self.scenario.capacity,
            _ => false,
        }
    }

    /// Whether everybody alive is done, or waits for what can't be had.
    pub(super) fn is_over(&self, state: &State) -> bool {
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
    pub(super) fn look_at_the_end(&self, state: &State) -> Option<Broken> {
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
    pub(super) fn alone_do(&self, state: &mut State, m: usize, side: Side) -> bool {
        let before = self.owed(state);
        let member = &mut state.members[m];
        (member.side, member.left, member.asked) = (side, 1, false);
        self.begin_claim(state, m);
        self.alone(state, m);
        before != self.owed(state)
    }

    /// Goes on until nothing is left to do, or nothing can be done.
    pub(super) fn alone(&self, state: &mut State, m: usize) {
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
