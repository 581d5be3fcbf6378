//! Taking blocks from state to state, in one member's name; and putting right what the dead have left.

use std::process;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};
use std::thread;
use std::time::{Duration, Instant};

use super::block::{Awaiter, Hint, State, Word};
use super::core::{Alarms, Core, FREE, LEVEL, LEVELS, RETURNED};
use super::desk::{Desk, exactly};
use crate::error::Error;
use crate::os;
use crate::ring::{Fault, Owner, Refusal, Run};
use crate::roster::count;

/// Alarms are looked at once in so many nanoseconds at most.
pub(super) const ALARMS: u64 = 1_000_000;
/// If whoever looks at them is stopped or dies, somebody else does after so many.
const ALARMS_AT_LEAST: u64 = 10_000_000;

/// A ring that is full for so long, or has a slot that is nobody's and not free, was scribbled over.
const FULL: Duration = Duration::from_secs(1);

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

/// The sooner of two times, 0 being never.
pub(super) fn sooner(one: u64, other: u64) -> u64 {
    if one == 0 || other == 0 { one.max(other) } else { one.min(other) }
}

impl Hand<'_> {
    pub(super) fn desk(&self) -> &Desk {
        self.core.desk(self.me)
    }

    fn word_of(&self, block: u32) -> &AtomicU64 {
        &self.core.head(block).word
    }

    /// Says in its word what the block, which is this member's, is from now on; and when somebody has to look at it, 0
    /// being never. In this order: whoever sees the word sees the alarm, and who is called finds the word.
    #[inline(always)]
    pub(super) fn put(&self, block: u32, word: Word, alarm: u64) {
        if self.core.alarm(block).load(Relaxed) != alarm {
            self.core.alarm(block).store(alarm, Relaxed);
        }
        self.word_of(block).store(word.0, Release);
        if alarm != 0 {
            self.call(alarm);
        }
    }

    /// Somebody has to look at the alarms at that time.
    #[cold]
    fn call(&self, time: u64) {
        let control = self.core.control();
        // Who sleeps may have to wake up earlier than it thinks.
        if time < control.alarms.0.next.fetch_min(time, SeqCst) {
            control.work.wake_all(true);
        }
    }

    /// The block, which is this member's, is there for others: says so in its word, and puts a hint of it into the ring.
    #[inline(always)]
    pub(super) fn announce(&self, block: u32, word: Word, alarm: u64, ring: usize) -> Result<(), Error> {
        self.put(block, word, alarm);
        self.push(ring, Hint::new(block, word.generation()))
    }

    /// Puts a hint into a ring, and wakes one who may wait for it. There is room: a ring has more slots than there are
    /// blocks. Waits for one that was stopped while it had its hand on the very slot.
    #[inline(always)]
    fn push(&self, ring: usize, hint: Hint) -> Result<(), Error> {
        let many = &self.core.rings[ring];
        let used = &self.core.settings().used;
        // SeqCst: before the hint is pushed, as a sleeper looks here after it announced itself.
        if used.load(Relaxed) & 1 << ring == 0 {
            used.fetch_or(1 << ring, SeqCst);
        }
        let run = match many.claim_push_at_once(self.me, 1) {
            Some(run) => run,
            None => self.claim_slowly(ring)?,
        };
        self.core.write_hint(many.message(&run, 0), hint);
        many.publish(&run, 1);
        let control = self.core.control();
        let gate = if ring == FREE { &control.room } else { &control.work };
        if gate.has_sleepers() {
            gate.wake(true);
        }
        Ok(())
    }

    #[cold]
    fn claim_slowly(&self, ring: usize) -> Result<Run, Error> {
        let many = &self.core.rings[ring];
        let mut since = None;
        let mut for_long = || since.get_or_insert_with(Instant::now).elapsed() > FULL;
        for looks in 0_u32.. {
            match many.claim_push(self.me, 1) {
                Ok(run) => return Ok(run),
                Err(Refusal::Corrupt(fault)) => return Err(self.fault(fault)),
                Err(Refusal::Held) => {
                    let processes = self.core.processes();
                    match many.settle_tail(&mut |owner| processes.is_dead(owner)) {
                        Err(Refusal::Corrupt(fault)) => return Err(self.fault(fault)),
                        // A living one has its hand on it.
                        Ok(settled) if settled.spared => {}
                        _ if for_long() => {
                            return Err(self.corrupt("a slot for a hint is nobody's, and not free"));
                        }
                        _ => {}
                    }
                    self.drop_orphans(ring);
                }
                // Full of hints that nobody needs, and that are dropped as they come out.
                Err(_) if for_long() => return Err(self.corrupt("there are more hints than blocks")),
                Err(_) => {}
            }
            if looks < 100 { thread::yield_now() } else { thread::sleep(Duration::from_micros(100)) }
        }
        unreachable!("it waits for ever")
    }

    /// Hints whose takers died are dropped, and found to be missing by whoever reaps these: see [`Self::find_lost`].
    fn drop_orphans(&self, ring: usize) {
        let many = &self.core.rings[ring];
        while let Ok(Some(run)) = many.claim_orphan(self.me) {
            many.release(self.me, &run);
        }
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
        let freed = self.announce(block, word.next().tried(0).to(State::Free), 0, FREE);
        self.ended();
        freed
    }

    /// A task has come to its end: of a closed queue that may have been the last.
    #[inline(always)]
    fn ended(&self) {
        if self.core.is_closed() {
            self.core.control().work.wake_all(true);
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
        let (again, deadline) = (word.next().to(State::Waiting), head.deadline.load(Relaxed));
        let pause = if matches!(why, Why::Failed(_)) { self.pause(word, now) } else { 0 };
        let due = now.saturating_add(pause);
        head.submitted.store(exactly(due), Relaxed);
        if pause > 0 {
            self.put(block, again.to(State::Delayed), sooner(due, deadline));
            return Ok(());
        }
        let ring = match why {
            Why::Returned(..) => {
                count(&desk.redelivered, 1);
                RETURNED
            }
            Why::Failed(_) => LEVEL + level,
        };
        self.announce(block, again, deadline, ring)
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
        if pause == 0 { 0 } else { (pause / 2).saturating_add(random % pause) }
    }

    /// The block, which is this member's, becomes a dead letter. Why is written.
    fn bury(&self, block: u32, word: Word) -> Result<(), Error> {
        count(&self.desk().dead, 1);
        self.put(block, word.next().to(State::Dead), 0);
        self.tell_awaiter(block);
        self.ended();
        Ok(())
    }

    /// As [`bury`](Self::bury), for one whose deadline has passed. `counted`: it was a dead letter already.
    pub(super) fn bury_late(&self, block: u32, word: Word, counted: bool) -> Result<(), Error> {
        let tail = self.core.tail(block);
        tail.set_reason(TOO_LATE);
        tail.failed.store(self.core.head(block).deadline.load(Relaxed), Relaxed);
        if counted {
            self.put(block, word.next().to(State::Dead), 0);
            return Ok(());
        }
        self.bury(block, word)
    }

    /// The block has come to an end that somebody may wait for.
    fn tell_awaiter(&self, block: u32) {
        if self.awaiter(block) != Awaiter::NONE {
            self.core.control().results.wake_all(true);
        }
    }

    fn awaiter(&self, block: u32) -> Awaiter {
        Awaiter(self.core.head(block).awaiter.load(SeqCst))
    }

    /// The block's task is done, and its result is there: for the submitter that waits for it, unless that is gone.
    pub(super) fn finish(&self, block: u32, word: Word) -> Result<(), Error> {
        let finished = word.next().tried(0).to(State::Finished);
        self.put(block, finished, 0);
        // Who gives up waiting says so first, and then looks whether it is finished: one of the two sees the other.
        fence(SeqCst);
        self.ended();
        if self.awaiter(block) == Awaiter::NONE {
            return self.free_finished(block, finished);
        }
        self.core.control().results.wake_all(true);
        Ok(())
    }

    fn free_finished(&self, block: u32, word: Word) -> Result<(), Error> {
        let mine = word.next().held(State::Filling, self.me);
        if word.state() == Some(State::Finished) && self.core.change(block, word, mine) {
            return self.free(block, mine);
        }
        Ok(())
    }

    /// That one waits for the block's result no longer.
    pub(super) fn forget_result(&self, block: u32, awaiter: Awaiter) {
        let head = self.core.head(block);
        if head.awaiter.compare_exchange(awaiter.0, 0, SeqCst, Relaxed).is_ok() {
            // A ring that is corrupt is reported to whoever works with it.
            let _ = self.free_finished(block, Word(head.word.load(SeqCst)));
        }
    }

    /// Looks at what is due: tasks whose time has come or gone, leases whose time is over.
    pub(super) fn ring_alarms(&self) {
        let Alarms { next, again } = &self.core.control().alarms.0;
        let now = os::now();
        let looking = again.load(SeqCst);
        if now < next.load(SeqCst) && (looking == 0 || now < looking) {
            return;
        }
        // Unique enough: another one that looks has a time of its own.
        let until = now + ALARMS_AT_LEAST;
        if again.compare_exchange(looking, until, SeqCst, Relaxed).is_err() {
            return;
        }
        if self.take_alarms(until) {
            self.look_at_alarms(now, until);
        }
    }

    /// For who has taken them, and looks until then.
    pub(super) fn look_at_alarms(&self, now: u64, until: u64) {
        let mut soonest = u64::MAX;
        for block in 0..self.core.measures.blocks {
            let time = self.core.alarm(block).load(SeqCst);
            if time > now {
                soonest = soonest.min(time);
            } else if time != 0 {
                // A ring that is corrupt is reported to whoever works with it.
                let _ = self.due(block, time, now);
            }
        }
        if soonest != u64::MAX {
            // Who went to sleep meanwhile was not told of it.
            self.call(soonest.max(now + ALARMS));
        }
        let _ = self.core.control().alarms.0.again.compare_exchange(until, 0, SeqCst, Relaxed);
    }

    /// Takes over from `next` what is due, for who looks until then: whoever sets an alarm from now on says so there, and that
    /// is not taken back. False if another one looks since: this one was stopped, and what it would take away is what that
    /// one may have found to come next.
    pub(super) fn take_alarms(&self, until: u64) -> bool {
        let Alarms { next, again } = &self.core.control().alarms.0;
        loop {
            // In this order: if it is still this one's turn, no other had put anything there when it was read.
            let time = next.load(SeqCst);
            if again.load(SeqCst) != until {
                return false;
            }
            // By compare-and-swap also for what it reads: the alarms of those who said so before are seen behind it.
            if next.compare_exchange(time, u64::MAX, SeqCst, Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// `time` is what the block's alarm said.
    fn due(&self, block: u32, time: u64, now: u64) -> Result<(), Error> {
        let (head, word, alarm) = (self.core.head(block), self.core.word(block), self.core.alarm(block));
        // Read once more: whoever sees the word sees the alarm that belongs to it.
        if alarm.load(SeqCst) != time {
            return Ok(());
        }
        let mine = word.next().held(State::Busy, self.me);
        let deadline = head.deadline.load(Relaxed);
        let late = deadline != 0 && deadline <= now;
        match word.state() {
            Some(State::Delayed) if !late => {
                let (level, _) = terms(head.terms.load(Relaxed));
                let waiting = word.next().to(State::Waiting);
                if self.core.change(block, word, waiting) {
                    // Unless somebody has it already, who found its hint to be missing.
                    if alarm.compare_exchange(time, deadline, SeqCst, Relaxed).is_ok() && deadline != 0 {
                        self.call(deadline);
                    }
                    return self.push(LEVEL + level, Hint::new(block, waiting.generation()));
                }
            }
            Some(State::Delayed) if self.core.change(block, word, mine) => {
                return self.bury_late(block, mine, false);
            }
            // Whoever let it wait died before it had set the alarm to the deadline.
            Some(State::Waiting)
                if !late && alarm.compare_exchange(time, deadline, SeqCst, Relaxed).is_ok() && deadline != 0 =>
            {
                self.call(deadline);
            }
            // Its hint is in a ring, and there must not come to be two of one block.
            Some(State::Waiting) if late && self.core.change(block, word, word.to(State::Expired)) => {
                let _ = alarm.compare_exchange(time, 0, SeqCst, Relaxed);
                count(&self.desk().dead, 1);
                self.tell_awaiter(block);
                self.ended();
            }
            Some(State::Leased)
                if self.core.settings().lease.load(Relaxed) != 0 && self.core.change(block, word, mine) =>
            {
                count(&self.desk().lost, 1);
                let pid = self.core.processes().pid(word.owner());
                return self.give_back(block, mine, Why::Returned(OVER, pid));
            }
            _ => {}
        }
        Ok(())
    }

    /// What a dead member left, whose process was `pid`. `mine`: the caller holds the lock on its number, which nobody can
    /// ask the kernel about, and works under that number itself. Of all others the kernel is asked again, *after* a word
    /// was read: the number may have a new, living owner by now. Returns whether all is settled. Every step may be made by
    /// any number of members at once, and left off at any instruction.
    pub(super) fn reap(&self, dead: Owner, pid: u32, mine: bool) -> bool {
        let core = self.core;
        let is_dead = |other: Owner| mine && other == dead || core.processes().is_dead(other);
        let mut all = true;
        // All of them before this member, whose number it may be, claims anything itself.
        for ring in &core.rings {
            // A ring that is corrupt is reported to whoever works with it.
            all &= !ring.settle_all(dead, &mut |other| is_dead(other)).is_ok_and(|settled| settled.spared);
        }
        (0..core.rings.len()).for_each(|ring| self.drop_orphans(ring));
        all &= core.leave_latches_of(dead, self.me, &is_dead);
        let resizing = &core.settings().resizing;
        let held = resizing.held();
        if held.by() == Some(dead) {
            if !is_dead(dead) {
                all = false;
            } else if resizing.change(held, self.me) {
                self.settle_capacity();
                resizing.leave();
            }
        }
        for (block, word) in core.blocks() {
            let awaiter = self.awaiter(block);
            let state = word.state();
            if state == Some(State::Finished) && awaiter == Awaiter::NONE {
                // Whoever was about to free it died, perhaps.
                let _ = self.free_finished(block, word);
            }
            let holds = matches!(state, Some(State::Filling | State::Leased | State::Busy));
            let held = holds && word.owner() == dead;
            if !held && !awaiter.is(dead) {
                continue;
            }
            if !is_dead(dead) {
                all = false;
                continue;
            }
            // Behind the kernel's answer.
            fence(SeqCst);
            if awaiter.is(dead) {
                self.forget_result(block, awaiter);
            }
            if !held {
                continue;
            }
            let to = if state == Some(State::Filling) { State::Filling } else { State::Busy };
            let taken = word.next().held(to, self.me);
            if core.change(block, word, taken) {
                let _ = match to {
                    State::Filling => self.free(block, taken),
                    _ => self.give_back(block, taken, Why::Returned(DIED, pid)),
                };
            }
        }
        let _ = self.find_lost();
        // It may have died between two looks at what is due, or with a wake-up in its hands.
        core.control().alarms.0.next.store(0, SeqCst);
        core.control().room.wake(true);
        core.control().work.wake(true);
        core.control().results.wake_all(true);
        all
    }

    /// Puts a hint into a ring for each block that should have one there and has not: whoever had it in its hands died.
    /// If it is in the hands of a living member that is about to push it, there come to be two; the second is dropped when it
    /// comes out.
    fn find_lost(&self) -> Result<(), Error> {
        let core = self.core;
        // In this order: words, rings, words. A hint that was in its ring when the word was read, and is not seen there
        // afterwards, was taken; and then the word is another by now, or the hint is in somebody's hands.
        let mut words: Vec<(Word, bool)> = core.blocks().map(|(_, word)| (word, false)).collect();
        for (number, ring) in core.rings.iter().enumerate() {
            ring.visit_messages(&mut |message| {
                let hint = core.read_hint(message);
                if let Some((word, seen)) = words.get_mut(hint.block() as usize) {
                    *seen |= word.generation() == hint.generation() && ring_of(*word) == Some(number == FREE);
                }
            });
        }
        for (block, (word, seen)) in (0..).zip(words) {
            if let Some(free) = ring_of(word)
                && !seen
                && core.word(block) == word
            {
                self.push(if free { FREE } else { RETURNED }, Hint::new(block, word.generation()))?;
            }
        }
        Ok(())
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

    fn in_service(&self) -> u32 {
        self.core.blocks().filter(|(_, word)| word.state() != Some(State::Retired)).count() as u32
    }

    /// Whoever resized died, or gave up: as many blocks are brought back as it had taken away, or kept as it had added.
    pub(super) fn settle_capacity(&self) {
        let capacity = &self.core.settings().capacity;
        let (wanted, there) = (capacity.load(Relaxed), self.in_service());
        if there < wanted {
            let _ = self.employ(wanted - there);
        }
        capacity.store(self.in_service(), Relaxed);
    }
}

/// Whether a block with that word has a hint in the ring of those that are free, or in one of the others, or in none.
fn ring_of(word: Word) -> Option<bool> {
    match word.state()? {
        State::Free => Some(true),
        State::Waiting | State::Expired | State::Purged | State::Requeued => Some(false),
        _ => None,
    }
}
