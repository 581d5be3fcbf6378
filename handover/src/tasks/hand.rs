//! Taking blocks from state to state, in one member's name; and putting right what the dead have left.

use std::process;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;
use std::thread;
use std::time::Duration;

use super::block::{Hint, State, Word};
use super::core::{Core, FREE, LEVEL, LEVELS, RETURNED};
use super::desk::{Desk, exactly};
use crate::error::Error;
use crate::os;
use crate::ring::{Fault, Owner, Refusal, Run};
use crate::roster::count;

/// Alarms are looked at once in so many nanoseconds at most.
pub(super) const ALARMS: u64 = 1_000_000;

/// A ring that is full for so many looks, most of them 100 microseconds apart, will be so for ever.
const MOST_LOOKS: u32 = 10_000;

/// A member's number, and what it works on.
#[derive(Clone, Copy)]
pub(super) struct Hand<'a> {
    pub(super) core: &'a Core,
    pub(super) me: Owner,
}

/// Why a task is given back.
#[derive(Clone, Copy)]
pub(super) enum Why<'a> {
    /// Its worker, in that process, died or dropped it.
    Returned(&'a str, u32),
    /// Its worker said so.
    Failed(&'a str),
}

pub(super) const TOO_LATE: &str = "its deadline passed before a worker took it";
const DIED: &str = "its worker died";
const OVER: &str = "its lease was over";

/// The level, and the most tries.
pub(super) fn terms(bits: u32) -> (usize, u8) {
    ((bits & 0xff) as usize % LEVELS, (bits >> 8) as u8)
}

pub(super) fn pack_terms(level: usize, most: u8) -> u32 {
    level as u32 | u32::from(most) << 8
}

impl Hand<'_> {
    pub(super) fn desk(&self) -> &Desk {
        self.core.desk(self.me)
    }

    fn word_of(&self, block: u32) -> &std::sync::atomic::AtomicU64 {
        &self.core.head(block).word
    }

    /// The block, which is this member's, is there for others: says so in its word, and puts a hint of it into the ring.
    #[inline(always)]
    pub(super) fn announce(&self, block: u32, word: Word, ring: usize) -> Result<(), Error> {
        let (desk, hint) = (self.desk(), Hint::new(block, word.generation()));
        desk.owe(hint);
        self.word_of(block).store(word.0, Release);
        self.push(ring, hint)?;
        desk.paid();
        let control = self.core.control();
        let gate = if ring == FREE { &control.room } else { &control.work };
        if gate.has_sleepers() {
            gate.wake(true);
        }
        Ok(())
    }

    /// Puts a hint into a ring. There is room: a ring has more slots than there are blocks. Waits for one that was
    /// stopped while it had its hand on the very slot.
    #[inline(always)]
    fn push(&self, ring: usize, hint: Hint) -> Result<(), Error> {
        let many = &self.core.rings[ring];
        let run = match many.claim_push_at_once(self.me, 1) {
            Some(run) => run,
            None => self.claim_slowly(ring)?,
        };
        self.core.write_hint(many.message(&run, 0), hint);
        many.publish(&run, 1);
        Ok(())
    }

    #[cold]
    fn claim_slowly(&self, ring: usize) -> Result<Run, Error> {
        let many = &self.core.rings[ring];
        for looks in 0_u32.. {
            match many.claim_push(self.me, 1) {
                Ok(run) => return Ok(run),
                Err(Refusal::Corrupt(fault)) => return Err(self.fault(fault)),
                Err(Refusal::Held) => {
                    let processes = self.core.processes();
                    if let Err(Refusal::Corrupt(fault)) = many.settle_tail(&mut |owner| processes.is_dead(owner)) {
                        return Err(self.fault(fault));
                    }
                }
                // Full: of hints that the dead have left, and that are dropped as they come out; or somebody scribbled.
                Err(_) if looks > MOST_LOOKS => return Err(self.corrupt("a ring of hints is full")),
                Err(_) => {}
            }
            if looks < 100 { thread::yield_now() } else { thread::sleep(Duration::from_micros(100)) }
        }
        unreachable!("it waits for ever")
    }

    pub(super) fn corrupt(&self, what: &str) -> Error {
        Error::Corrupt { what: format!("{}: {what}", self.core.place()) }
    }

    #[cold]
    pub(super) fn fault(&self, fault: Fault) -> Error {
        self.corrupt(fault.what())
    }

    /// The block, which is this member's, is free. `word` is as it was in its hands.
    #[inline(always)]
    pub(super) fn free(&self, block: u32, word: Word) -> Result<(), Error> {
        self.announce(block, word.next().tried(0).to(State::Free), FREE)
    }

    /// Sets the time at which somebody has to look at the block, which is this member's; 0: never.
    pub(super) fn set_alarm(&self, block: u32, time: u64) {
        self.core.alarm(block).store(time, SeqCst);
        if time != 0 {
            self.core.control().next_alarm.0.fetch_min(time, SeqCst);
        }
    }

    /// The block's task, which is in this member's hands, waits for another try; or becomes a dead letter if it had all.
    pub(super) fn give_back(&self, block: u32, word: Word, why: Why<'_>) -> Result<(), Error> {
        let (head, tail, desk) = (self.core.head(block), self.core.tail(block), self.desk());
        let (level, most) = terms(head.terms.load(Relaxed));
        let (reason, pid) = match why {
            Why::Returned(reason, pid) => (reason, pid),
            Why::Failed(reason) => (reason, process::id()),
        };
        let now = os::now();
        tail.set_reason(reason);
        tail.pid.store(pid, Relaxed);
        tail.failed.store(now, Relaxed);
        head.failures.store(head.failures.load(Relaxed).saturating_add(1), Relaxed);
        if word.tries() >= most {
            return self.bury(block, word);
        }
        count(&desk.retried, 1);
        let again = word.next().to(State::Waiting);
        let pause = if matches!(why, Why::Failed(_)) { self.pause(word, now) } else { 0 };
        if pause > 0 {
            self.set_alarm(block, now.saturating_add(pause));
            self.word_of(block).store(again.to(State::Delayed).0, SeqCst);
            // Somebody who sleeps may have to wake up earlier than it thinks.
            self.core.control().work.wake(true);
            return Ok(());
        }
        self.set_alarm(block, head.deadline.load(Relaxed));
        head.submitted.store(exactly(now), Relaxed);
        let ring = match why {
            Why::Returned(..) => {
                count(&desk.redelivered, 1);
                RETURNED
            }
            Why::Failed(_) => LEVEL + level,
        };
        self.announce(block, again, ring)
    }

    /// Nanoseconds before the next try: twice as long each time, and anywhere from half to one and a half of that, as
    /// those that failed together must not come back together.
    fn pause(&self, word: Word, now: u64) -> u64 {
        let settings = self.core.settings();
        let doublings = u32::from(word.tries().saturating_sub(1)).min(63);
        let pause = u128::from(settings.backoff.load(Relaxed)) << doublings;
        let pause = pause.min(u128::from(settings.backoff_most.load(Relaxed))) as u64;
        let mut random = now ^ word.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for _ in 0..2 {
            random = (random ^ random >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        if pause == 0 { 0 } else { pause / 2 + random % pause }
    }

    /// The block, which is this member's, becomes a dead letter. Why is written.
    fn bury(&self, block: u32, word: Word) -> Result<(), Error> {
        count(&self.desk().dead, 1);
        self.set_alarm(block, 0);
        self.word_of(block).store(word.next().to(State::Dead).0, SeqCst);
        self.tell_awaiter(block);
        Ok(())
    }

    /// As [`bury`](Self::bury), for one whose deadline has passed. `counted`: it was a dead letter already.
    pub(super) fn bury_late(&self, block: u32, word: Word, counted: bool) -> Result<(), Error> {
        let tail = self.core.tail(block);
        tail.set_reason(TOO_LATE);
        tail.failed.store(self.core.head(block).deadline.load(Relaxed), Relaxed);
        if counted {
            self.word_of(block).store(word.next().to(State::Dead).0, SeqCst);
            return Ok(());
        }
        self.bury(block, word)
    }

    /// The block has come to an end that somebody may wait for.
    fn tell_awaiter(&self, block: u32) {
        if self.core.head(block).awaiter.load(SeqCst) != 0 {
            self.core.control().results.wake_all(true);
        }
    }

    /// The block's task is done, and its result is there: for the submitter that waits for it, unless that is gone.
    pub(super) fn finish(&self, block: u32, word: Word) -> Result<(), Error> {
        let head = self.core.head(block);
        let finished = word.next().tried(0).to(State::Finished);
        self.set_alarm(block, 0);
        self.word_of(block).store(finished.0, SeqCst);
        // Who gives up waiting says so first, and then looks whether it is finished: one of the two sees the other.
        if head.awaiter.load(SeqCst) == 0 {
            return self.free_finished(block, finished);
        }
        self.core.control().results.wake_all(true);
        Ok(())
    }

    fn free_finished(&self, block: u32, word: Word) -> Result<(), Error> {
        let mine = word.next().held(State::Busy, self.me);
        if word.state() == Some(State::Finished) && self.core.change(block, word, mine) {
            return self.free(block, mine);
        }
        Ok(())
    }

    /// The submitter of that number waits for the block's result no longer.
    pub(super) fn forget_result(&self, block: u32, awaiter: Owner) {
        let head = self.core.head(block);
        if head.awaiter.compare_exchange(u32::from(awaiter.0) + 1, 0, SeqCst, Relaxed).is_ok() {
            // A ring that is corrupt is reported to whoever works with it.
            let _ = self.free_finished(block, self.core.word(block));
        }
    }

    /// Looks at what is due: tasks whose time has come or gone, leases whose time is over.
    pub(super) fn ring_alarms(&self) {
        let next = &self.core.control().next_alarm.0;
        let now = os::now();
        if now < next.load(SeqCst) {
            return;
        }
        // Whoever sets an alarm says so here afterwards.
        next.store(u64::MAX, SeqCst);
        let mut soonest = u64::MAX;
        for block in 0..self.core.measures.blocks {
            let time = self.core.alarm(block).load(SeqCst);
            if time > now {
                soonest = soonest.min(time);
            } else if time != 0 {
                // A ring that is corrupt is reported to whoever works with it.
                let _ = self.due(block, now);
            }
        }
        next.fetch_min(soonest.max(now + ALARMS), SeqCst);
    }

    fn due(&self, block: u32, now: u64) -> Result<(), Error> {
        let (head, word) = (self.core.head(block), self.core.word(block));
        // As it was before the word became what it is: a lease has its own.
        if !(1..=now).contains(&self.core.alarm(block).load(SeqCst)) {
            return Ok(());
        }
        let mine = word.next().held(State::Busy, self.me);
        let deadline = head.deadline.load(Relaxed);
        let late = deadline != 0 && deadline <= now;
        match word.state() {
            Some(State::Delayed) if self.core.change(block, word, mine) => {
                if late {
                    return self.bury_late(block, mine, false);
                }
                self.set_alarm(block, deadline);
                head.submitted.store(exactly(now), Relaxed);
                let (level, _) = terms(head.terms.load(Relaxed));
                self.announce(block, mine.next().to(State::Waiting), LEVEL + level)
            }
            // Its hint is in a ring, and there must not come to be two of one block.
            Some(State::Waiting) if late && self.core.change(block, word, word.to(State::Expired)) => {
                count(&self.desk().dead, 1);
                self.tell_awaiter(block);
                Ok(())
            }
            Some(State::Leased) if self.core.change(block, word, mine) => {
                count(&self.desk().lost, 1);
                let pid = self.core.processes().pid(word.owner());
                self.give_back(block, mine, Why::Returned(OVER, pid))
            }
            _ => Ok(()),
        }
    }

    /// What a dead member left. `mine`: the caller holds the lock on its number, which nobody can ask the kernel about,
    /// and works under that number itself. Of all others the kernel is asked again, *after* a word was read: the number
    /// may have a new, living owner by now. Returns whether all is settled. Every step may be made by any number of
    /// members at once, and left off at any instruction.
    pub(super) fn reap(&self, dead: Owner, mine: bool) -> bool {
        let core = self.core;
        let is_dead = |other: Owner| mine && other == dead || core.processes().is_dead(other);
        let mut all = true;
        for (number, ring) in core.rings.iter().enumerate() {
            match ring.settle_all(dead, &mut |other| is_dead(other)) {
                Ok(settled) => all &= !settled.spared,
                // A ring that is corrupt is reported to whoever works with it.
                Err(_) => continue,
            }
            // A hint whose taker died goes back. Nobody but the reapers looks for orphans.
            while let Ok(Some(run)) = ring.claim_orphan(self.me) {
                let hint = core.read_hint(ring.message(&run, 0));
                let _ = self.push(if number == FREE { FREE } else { RETURNED }, hint);
                ring.release(self.me, &run);
            }
        }
        let owed = core.desk(dead).owed.load(Acquire);
        if owed != 0 {
            if is_dead(dead) {
                self.pay_for(dead, owed);
            } else {
                all = false;
            }
        }
        let pid = core.processes().pid(dead);
        for (block, word) in core.blocks() {
            let holds = matches!(word.state(), Some(State::Filling | State::Leased | State::Busy));
            let held = holds && word.owner() == dead;
            let awaited = core.head(block).awaiter.load(SeqCst) == u32::from(dead.0) + 1;
            if !held && !awaited {
                continue;
            }
            if !is_dead(dead) {
                all = false;
                continue;
            }
            // Behind the kernel's answer.
            fence(SeqCst);
            if awaited {
                self.forget_result(block, dead);
            }
            let taken = word.next().held(State::Busy, self.me);
            if held && core.change(block, word, taken) {
                let _ = if word.state() == Some(State::Filling) {
                    self.free(block, taken)
                } else {
                    self.give_back(block, taken, Why::Returned(DIED, pid))
                };
            }
        }
        let resizing = &core.settings().resizing;
        if resizing.holder() == Some(dead) && is_dead(dead) && resizing.take_over(dead, self.me) {
            self.settle_capacity();
            resizing.leave();
        }
        // It may have died between two looks at what is due, or with a wake-up in its hands.
        core.control().next_alarm.0.store(0, SeqCst);
        core.control().room.wake(true);
        core.control().work.wake(true);
        core.control().results.wake_all(true);
        all
    }

    /// Puts the hint that a dead member owes into a ring: perhaps once more.
    fn pay_for(&self, dead: Owner, owed: u64) {
        let hint = Hint(owed);
        if hint.block() < self.core.measures.blocks {
            let word = self.core.word(hint.block());
            let ring = match word.state() {
                Some(State::Free) => Some(FREE),
                Some(State::Waiting | State::Expired | State::Purged) => Some(RETURNED),
                _ => None,
            };
            if let Some(ring) = ring.filter(|_| word.generation() == hint.generation()) {
                let _ = self.push(ring, hint);
            }
        }
        let _ = self.core.desk(dead).owed.compare_exchange(owed, 0, Release, Relaxed);
    }

    /// Takes a block out of service that is free now. Whether there was one.
    pub(super) fn retire_one(&self) -> Result<bool, Error> {
        let many = &self.core.rings[FREE];
        loop {
            let run = match many.claim_pop(self.me, 1) {
                Ok(run) => run,
                Err(Refusal::Corrupt(fault)) => return Err(self.fault(fault)),
                Err(_) => return Ok(false),
            };
            let hint = self.core.read_hint(many.message(&run, 0));
            let free = Word::new(State::Free, Owner(0), 0, hint.generation());
            let retired = hint.block() < self.core.measures.blocks
                && self.core.change(hint.block(), free, free.next().to(State::Retired));
            many.release(self.me, &run);
            if retired {
                return Ok(true);
            }
        }
    }

    /// Takes retired blocks into service, at most so many. How many there were.
    pub(super) fn employ(&self, most: u32) -> Result<u32, Error> {
        let mut employed = 0;
        for (block, word) in self.core.blocks() {
            if employed == most {
                break;
            }
            let mine = word.next().held(State::Filling, self.me);
            if word.state() == Some(State::Retired) && self.core.change(block, word, mine) {
                self.free(block, mine)?;
                employed += 1;
            }
        }
        Ok(employed)
    }

    pub(super) fn in_service(&self) -> u32 {
        self.core.blocks().filter(|(_, word)| word.state() != Some(State::Retired)).count() as u32
    }

    /// Whoever resized died: as many blocks are brought back as it had taken away, or kept as it had added.
    pub(super) fn settle_capacity(&self) {
        let capacity = &self.core.settings().capacity;
        let (wanted, there) = (capacity.load(Relaxed), self.in_service());
        if there < wanted {
            let _ = self.employ(wanted - there);
        }
        capacity.store(self.in_service(), Relaxed);
    }
}
