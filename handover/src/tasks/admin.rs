//! What can be told of a task queue, and done to it as a whole.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::fence;
use std::thread;
use std::time::Duration;

use super::block::{State, Word};
use super::core::{Core, LEVEL, LEVELS, Measures};
use super::desk::{Times, exactly};
use super::hand::{TOO_LATE, terms};
use super::member::TaskMember;
use super::{TaskId, Tasks};
use crate::blocking::{Shrink, block};
use crate::error::Error;
use crate::gate::{Limit, Rhythm, Wait};
use crate::message::Shareable;
use crate::os;
use crate::places::ways_to_look;
use crate::ring::Owner;
use crate::roster::Role;
use crate::segment::{Place, Segment};

/// What can be told of a task queue without knowing its tasks' type.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many tasks it holds at most, now.
    pub capacity: usize,
    /// To how many it can be resized.
    pub max_capacity: usize,
    /// A task's size in its block; for kinds whose length varies, that of the longest with its length.
    pub message_size: usize,
    /// Whether it was closed.
    pub closed: bool,
    /// How many tasks wait for a worker, by priority, from the lowest.
    pub waiting: [usize; LEVELS],
    /// How many wait for their time, or for another try.
    pub delayed: usize,
    /// How many are worked on.
    pub leased: usize,
    /// How many are dead letters.
    pub dead_letters: usize,
    /// How many are done and have a result that nobody has collected.
    pub finished: usize,
    /// How long the oldest of those that wait for a worker has waited.
    pub oldest: Option<Duration>,
    /// Tasks ever submitted.
    pub submitted: u64,
    /// Times a task was taken by a worker.
    pub taken: u64,
    /// Tasks done.
    pub done: u64,
    /// Times a worker said that a task had failed.
    pub failed: u64,
    /// Times a task was given another try.
    pub retried: u64,
    /// Times a task became a dead letter.
    pub dead: u64,
    /// Times a task was given back by a worker that dropped it, was killed, or had its time.
    pub redelivered: u64,
    /// Leases that were over before their worker was done.
    pub leases_lost: u64,
    /// Deaths of members noticed.
    pub deaths: u64,
    /// How long tasks waited for a worker: all that come slowly, and of those that come faster than the system's clock
    /// ticks (each few milliseconds) one in sixteen.
    pub waiting_times: Times,
    /// How long these were worked on.
    pub working_times: Times,
    /// Who is attached as a worker.
    pub workers: Vec<WorkerReport>,
    /// The processes that are attached as submitters, and whether they live.
    pub submitters: Vec<(u32, bool)>,
}

/// A worker as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Its number in the roster.
    pub number: u32,
    /// The process that attached it, for people to read.
    pub pid: u32,
    /// Whether it lives. The kernel says so.
    pub alive: bool,
    /// What it works on.
    pub leases: Vec<Leased>,
    /// Times a task was taken under its number, by it and by those who had that number before: two looks tell how fast
    /// it is.
    pub taken: u64,
    /// Tasks done under its number, as above.
    pub done: u64,
    /// Times it was said under its number that a task had failed, as above.
    pub failed: u64,
}

/// A task that is worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leased {
    /// The task's number.
    pub id: TaskId,
    /// Since when.
    pub since: Duration,
    /// Which try it is.
    pub tries: u32,
}

/// A task that was tried too often, or came too late.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeadLetter<T> {
    /// The task's number.
    pub id: TaskId,
    /// What was to be done; or why it can't be decoded, which may be what it died of.
    pub task: Result<T, Error>,
    /// Its priority.
    pub priority: usize,
    /// Its key, if it had one.
    pub key: Option<Vec<u8>>,
    /// How often it was taken.
    pub tries: u32,
    /// How often it failed, was dropped or lost by its worker.
    pub failures: u32,
    /// Why it failed last.
    pub reason: String,
    /// The process in which it failed last, for people to read. 0 if it never was in any.
    pub pid: u32,
    /// How long ago it failed last.
    pub failed: Duration,
}

ways_to_look! {
    /// What can be told of the task queue of that name, whatever its tasks' type.
    inspect, inspect_at() -> Report: inspected
}

fn inspected(segment: Segment) -> Result<Report, Error> {
    let measures = Measures::of(&segment)?;
    Ok(report(&Core::new(segment, measures)))
}

/// Settles what dead members have left, whatever the tasks' type, and says how many they were.
pub(crate) fn reap(segment: Segment) -> Result<usize, Error> {
    let measures = Measures::of(&segment)?;
    let core = Arc::new(Core::new(segment, measures));
    let dead = core.members().iter().filter(|member| !member.alive).count();
    match TaskMember::administer(&core) {
        Ok(_) => Ok(dead),
        // All places are taken, by the living: they do it.
        Err(Error::Taken { .. } | Error::TooManyMembers { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Whether it is closed, and nothing is left in it or in anybody's hands.
pub(crate) fn is_finished(segment: Segment) -> Result<bool, Error> {
    let report = inspected(segment)?;
    let left =
        report.waiting.iter().sum::<usize>() + report.delayed + report.leased + report.dead_letters + report.finished;
    // What is on its way from one to the other, a member has.
    Ok(report.closed && report.workers.is_empty() && report.submitters.is_empty() && left == 0)
}

fn since(time: u64, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(time))
}

fn report(core: &Core) -> Report {
    let (settings, now) = (core.settings(), os::now());
    let members = core.members();
    let (workers, submitters): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.role == Role::Consumer);
    let worker = |member: &&crate::roster::Member| {
        let desk = core.desk(Owner(member.number as u16));
        WorkerReport {
            number: member.number,
            pid: member.pid,
            alive: member.alive,
            leases: Vec::new(),
            taken: desk.taken.load(Relaxed),
            done: desk.done.load(Relaxed),
            failed: desk.failed.load(Relaxed),
        }
    };
    let mut report = Report {
        capacity: settings.capacity.load(Relaxed) as usize,
        max_capacity: core.measures.blocks as usize,
        message_size: core.measures.size,
        closed: core.is_closed(),
        deaths: core.roster.counts().deaths,
        workers: workers.iter().map(worker).collect(),
        submitters: submitters.iter().map(|member| (member.pid, member.alive)).collect(),
        ..Report::default()
    };
    for (block, word) in core.blocks() {
        let head = core.head(block);
        match word.state() {
            Some(State::Waiting | State::Requeued) => {
                report.waiting[terms(head.terms.load(Relaxed)).0] += 1;
                let age = since(head.submitted.load(Relaxed), now);
                report.oldest = Some(report.oldest.map_or(age, |oldest| oldest.max(age)));
            }
            Some(State::Delayed) => report.delayed += 1,
            Some(State::Leased) => {
                report.leased += 1;
                let number = u32::from(word.owner().0);
                if let Some(worker) = report.workers.iter_mut().find(|worker| worker.number == number) {
                    worker.leases.push(Leased {
                        id: TaskId(head.id.load(Relaxed)),
                        since: since(head.taken.load(Relaxed), now),
                        tries: word.tries().into(),
                    });
                }
            }
            Some(State::Dead | State::Expired) => report.dead_letters += 1,
            Some(State::Finished) => report.finished += 1,
            _ => {}
        }
    }
    for desk in core.desks() {
        for (sum, counter) in [
            (&mut report.submitted, &desk.submitted),
            (&mut report.taken, &desk.taken),
            (&mut report.done, &desk.done),
            (&mut report.failed, &desk.failed),
            (&mut report.retried, &desk.retried),
            (&mut report.dead, &desk.dead),
            (&mut report.redelivered, &desk.redelivered),
            (&mut report.leases_lost, &desk.lost),
        ] {
            *sum = sum.wrapping_add(counter.load(Relaxed));
        }
        desk.waiting.add_to(&mut report.waiting_times);
        desk.working.add_to(&mut report.working_times);
    }
    report
}

impl<M: Shareable + ?Sized> Tasks<M> {
    /// What can be told of it, its workers and its tasks.
    pub fn report(&self) -> Report {
        report(&self.core)
    }

    /// How many tasks it holds at most, now.
    pub fn capacity(&self) -> usize {
        self.core.settings().capacity.load(Relaxed) as usize
    }

    /// Lets it hold more tasks or fewer, up to the [largest](super::Options::max_capacity) it was made for, while it is
    /// used. Waits for another who resizes it as it waits for room.
    ///
    /// ```
    /// use handover::Shrink;
    /// use handover::tasks::Options;
    ///
    /// let jobs = Options::new().capacity(10).max_capacity(100).anonymous::<u64>()?;
    /// jobs.resize(100, Shrink::Refuse)?;
    /// jobs.submitter()?.submit_batch(0..50)?;
    /// assert!(jobs.resize(10, Shrink::Refuse).is_err());
    /// jobs.resize(50, Shrink::Refuse)?;
    /// # Ok::<(), handover::Error>(())
    /// ```
    pub fn resize(&self, capacity: usize, shrink: Shrink) -> Result<(), Error> {
        let most = self.core.measures.blocks;
        let wanted = match u32::try_from(capacity) {
            Ok(wanted) if (1..=most).contains(&wanted) => wanted,
            _ => {
                let why = format!(
                    "the queue can be resized to 1 to {most} tasks, not {capacity}; create it with a larger maximum"
                );
                return Err(Error::Unfit { why });
            }
        };
        let member = TaskMember::administer(&self.core)?;
        let (settings, hand, limit) = (self.core.settings(), member.hand(), shrink.limit());
        if settings.resizing.take(&self.core, member.membership.owner, limit)? {
            hand.settle_capacity();
        }
        let result = self.resize_alone(&member, wanted, limit);
        if result.is_err() {
            hand.settle_capacity();
        }
        settings.resizing.leave();
        // Blocked submitters may have room now.
        self.core.control().room.wake_all(true);
        result
    }

    fn resize_alone(&self, member: &TaskMember, wanted: u32, limit: Limit) -> Result<(), Error> {
        let (capacity, hand) = (&self.core.settings().capacity, member.hand());
        let now = capacity.load(Relaxed);
        if wanted >= now {
            hand.employ(wanted - now)?;
            capacity.store(wanted, Relaxed);
            return Ok(());
        }
        for _ in wanted..now {
            if hand.retire_one()? {
                continue;
            }
            // Only the dead may be in the way.
            member.sweep();
            if hand.retire_one()? {
                continue;
            }
            let attempt = || Ok(hand.retire_one()?.then_some(()));
            let gate = &self.core.control().room;
            block(member, gate, (Wait::Park, limit), (&mut Rhythm::slow(), 0), Error::Full, attempt)?;
        }
        capacity.store(wanted, Relaxed);
        Ok(())
    }

    /// The dead letters, the oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter<M::Pop>> {
        let (core, now) = (&*self.core, os::now());
        let mut letters: Vec<DeadLetter<M::Pop>> = Vec::new();
        for (block, word) in core.blocks() {
            let expired = word.state() == Some(State::Expired);
            if word.state() != Some(State::Dead) && !expired {
                continue;
            }
            let (head, tail) = (core.head(block), core.tail(block));
            // SAFETY: the block has a message; others write it by atomics only.
            let task = unsafe { M::snapshot(core.message(block), core.message_max()) };
            let failed = if expired { head.deadline.load(Relaxed) } else { tail.failed.load(Relaxed) };
            let key = tail.key(head);
            let failures = head.failures.load(Relaxed);
            let id = TaskId(head.id.load(Relaxed));
            let (priority, _) = terms(head.terms.load(Relaxed));
            let reason = if expired { TOO_LATE.into() } else { tail.reason() };
            let pid = if failures == 0 { 0 } else { tail.pid.load(Relaxed) };
            // What was read counts only if it is still the same dead letter.
            fence(Acquire);
            if core.word(block) != word {
                continue;
            }
            letters.push(DeadLetter {
                id,
                task: M::decode(task),
                priority,
                key: (!key.is_empty()).then_some(key),
                tries: word.tries().into(),
                failures,
                reason,
                pid,
                failed: since(failed, now),
            });
        }
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.failed));
        letters
    }

    /// Gives a dead letter all its tries anew, and no deadline.
    pub fn requeue(&self, id: TaskId) -> Result<(), Error> {
        let member = TaskMember::administer(&self.core)?;
        self.requeue_as(&member, id)
    }

    /// Requeues all dead letters that there are; returns how many.
    pub fn requeue_all(&self) -> Result<usize, Error> {
        self.with_all(|member, id| self.requeue_as(member, id))
    }

    /// Throws a dead letter away.
    pub fn purge(&self, id: TaskId) -> Result<(), Error> {
        let member = TaskMember::administer(&self.core)?;
        self.purge_as(&member, id)
    }

    /// Throws all dead letters away that there are; returns how many.
    pub fn purge_all(&self) -> Result<usize, Error> {
        self.with_all(|member, id| self.purge_as(member, id))
    }

    /// Takes a task out that no worker has yet, or that waits for another try. Who waits for its result is told that there
    /// is no such task.
    pub fn cancel(&self, id: TaskId) -> Result<(), Error> {
        let member = TaskMember::administer(&self.core)?;
        self.change(id, |block, word| match word.state() {
            // Free when its hint comes out of the ring.
            Some(State::Waiting | State::Requeued) => {
                self.core.change(block, word, word.to(State::Purged)).then_some(Ok(()))
            }
            Some(State::Delayed) => self.empty(&member, block, word),
            _ => Some(Err(Error::NoTask { id: id.0 })),
        })
    }

    fn with_all(&self, act: impl Fn(&TaskMember, TaskId) -> Result<(), Error>) -> Result<usize, Error> {
        let member = TaskMember::administer(&self.core)?;
        let mut acted = 0;
        for (block, word) in self.core.blocks() {
            if !matches!(word.state(), Some(State::Dead | State::Expired)) {
                continue;
            }
            match act(&member, TaskId(self.core.head(block).id.load(Relaxed))) {
                Ok(()) => acted += 1,
                // Another was faster.
                Err(Error::NoTask { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(acted)
    }

    fn requeue_as(&self, member: &TaskMember, id: TaskId) -> Result<(), Error> {
        let (core, hand) = (&*self.core, member.hand());
        self.change(id, |block, word| match word.state() {
            Some(State::Dead) => {
                let mine = word.next().tried(0).held(State::Busy, member.membership.owner);
                core.change(block, word, mine).then(|| {
                    let head = core.head(block);
                    head.deadline.store(0, Relaxed);
                    head.submitted.store(exactly(os::now()), Relaxed);
                    let (level, _) = terms(head.terms.load(Relaxed));
                    hand.announce(block, mine.next().to(State::Waiting), 0, LEVEL + level)
                })
            }
            // Its hint is still where it was.
            Some(State::Expired) => core.change(block, word, word.to(State::Requeued)).then_some(Ok(())),
            _ => Some(Err(Error::NoTask { id: id.0 })),
        })
    }

    fn purge_as(&self, member: &TaskMember, id: TaskId) -> Result<(), Error> {
        self.change(id, |block, word| match word.state() {
            Some(State::Dead) => self.empty(member, block, word),
            // Free when its hint comes out of the ring.
            Some(State::Expired) => self.core.change(block, word, word.to(State::Purged)).then_some(Ok(())),
            _ => Some(Err(Error::NoTask { id: id.0 })),
        })
    }

    /// Frees a block that is nobody's. `None`: it has changed since.
    fn empty(&self, member: &TaskMember, block: u32, word: Word) -> Option<Result<(), Error>> {
        let mine = word.next().held(State::Filling, member.membership.owner);
        self.core.change(block, word, mine).then(|| member.hand().free(block, mine))
    }

    /// Does something to the block of a task, until it was done to what was looked at.
    fn change(&self, id: TaskId, mut attempt: impl FnMut(u32, Word) -> Option<Result<(), Error>>) -> Result<(), Error> {
        let missing = || Error::NoTask { id: id.0 };
        let block = u32::try_from(id.0 >> 36).ok().filter(|block| *block < self.core.measures.blocks);
        let block = block.ok_or_else(missing)?;
        for looks in 0.. {
            let word = self.core.word(block);
            // After the word: if that is still the same when it is changed, so is this.
            if self.core.head(block).id.load(Relaxed) != id.0 {
                return Err(missing());
            }
            fence(Acquire);
            // On its way from one state to another.
            if word.state() == Some(State::Busy) && looks < 1000 {
                thread::yield_now();
            } else if let Some(done) = attempt(block, word) {
                // Somebody may wait for its result.
                self.core.control().results.wake_all(true);
                return done;
            }
        }
        unreachable!("it looks for ever")
    }
}
