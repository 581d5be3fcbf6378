//! One queue of tasks, its submitters, workers and administrators, and what is done to them.
//!
//! Each task has a number, and a word in the ledger outside. A submitter writes there before and after it submits, a
//! worker before and after it says that the task is done. In doubt is only what somebody was killed in.

use std::mem::forget;
use std::process;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use handover::Shrink;
use handover::tasks::{Lease, Options, Tasks, Ticket};
use handover::{Error, SharedMemory};

use super::Tally;
use super::crowd::{self, Crowd};
use super::ledger::{Message, message};
use super::round::STUCK;
use super::workers::{a_time, a_wait, attached, leave, wrong};
use crate::random::Random;

/// Tasks that there may be in a round.
const TASKS: u64 = 1 << 20;

/// In a task's word: somebody begins to submit it.
const BEGUN: u32 = 1;
/// Its submit has returned.
const SUBMITTED: u32 = 2;
/// It was not taken in.
const REFUSED: u32 = 4;
/// It was done, and whoever did it was told so.
const DONE: u32 = 8;
/// How many are about to say that it is done, or have been killed in it.
const DOING: u32 = 1 << 8;

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Submit,
    Work,
    Administer,
}

/// What happened, in memory that the queue does not know.
struct Ledger(SharedMemory);

impl Ledger {
    fn new() -> Ledger {
        Ledger(SharedMemory::anonymous(16 + 4 * TASKS as usize).expect("room for the ledger"))
    }

    /// The number of the next task.
    fn next(&self) -> &AtomicU64 {
        self.0.atomic_u64(0).expect("within the ledger")
    }

    /// How much was submitted and done: stands still if everybody is stuck.
    fn progress(&self) -> &AtomicU64 {
        self.0.atomic_u64(8).expect("within the ledger")
    }

    fn task(&self, number: u64) -> &AtomicU32 {
        self.0.atomic_u32(16 + 4 * number as usize).expect("within the ledger")
    }

    fn all(&self) -> impl Iterator<Item = (u64, u32)> {
        (0..self.next().load(SeqCst).min(TASKS)).map(|number| (number, self.task(number).load(SeqCst)))
    }
}

/// Submits in every way.
fn submit(tasks: &Tasks<Message>, ledger: &Ledger, random: &mut Random) {
    let submitter = attached(|| tasks.submitter());
    submitter.set_wait(a_wait(random));
    let mut tickets: Vec<(Ticket, u64)> = Vec::new();
    for _ in 0..1 + random.below(3000) {
        let number = ledger.next().fetch_add(1, SeqCst);
        if number >= TASKS {
            return;
        }
        ledger.task(number).fetch_or(BEGUN, SeqCst);
        let draft = submitter.task(message(number)).priority(random.below(8) as usize).tries(1 + random.below(6) as u8);
        let key = [random.below(4) as u8];
        let submitted = match random.below(12) {
            0..=2 => submitter.submit(message(number)).map(drop_id),
            3 | 4 => draft.submit().map(drop_id),
            5 => draft.try_submit().map(drop_id),
            6 => draft.delay(Duration::from_micros(random.below(3000))).submit_timeout(a_time(random)).map(drop_id),
            7 => draft.deadline(Duration::from_micros(random.below(20_000))).submit().map(drop_id),
            8 => draft.key(&key).submit().map(drop_id),
            _ => draft.request().map(|ticket| tickets.push((ticket, number))),
        };
        match submitted.map_err(|refused| refused.error) {
            Ok(()) => ledger.task(number).fetch_or(SUBMITTED, SeqCst),
            Err(Error::Full | Error::Duplicate { .. }) => ledger.task(number).fetch_or(REFUSED, SeqCst),
            Err(error) => wrong(&format!("submitting failed: {error}")),
        };
        ledger.progress().fetch_add(1, SeqCst);
        if tickets.len() > random.below(4) as usize {
            let (mut ticket, number) = tickets.swap_remove(random.below(tickets.len() as u64) as usize);
            match ticket.wait_timeout(Duration::from_micros(random.below(2000))) {
                Ok(result) if result == number.to_le_bytes() => {}
                // Or it is not wanted any more.
                Err(Error::Empty | Error::Dead { .. }) => {}
                other => wrong(&format!("who asked for task {number} got {other:?}")),
            }
        }
    }
}

fn drop_id<T>(_: T) {}

/// The number of a task that came.
fn came(lease: &Lease<Message>, ledger: &Ledger) -> u64 {
    let task = *lease.task();
    if task[0] >= TASKS || task != message(task[0]) {
        wrong(&format!("half a task: {task:x?}"));
    }
    let word = ledger.task(task[0]).load(SeqCst);
    if word & BEGUN == 0 || word & (DONE | REFUSED) != 0 {
        wrong(&format!("task {} came as try {}, whose word is {word:x}", task[0], lease.tries()));
    }
    task[0]
}

/// Says that it is done. False if the lease was over.
fn done(lease: Lease<Message>, ledger: &Ledger, number: u64) -> bool {
    let word = ledger.task(number);
    word.fetch_add(DOING, SeqCst);
    let done = lease.done_with(&number.to_le_bytes());
    if done.is_ok() {
        word.fetch_or(DONE, SeqCst);
    }
    word.fetch_sub(DOING, SeqCst);
    ledger.progress().fetch_add(1, SeqCst);
    match done {
        Ok(()) => true,
        Err(Error::LeaseLost) => false,
        Err(error) => wrong(&format!("done with task {number}: {error}")),
    }
}

/// Takes, and does, fails, drops or forgets.
fn work(tasks: &Tasks<Message>, ledger: &Ledger, timed: bool, random: &mut Random) {
    let worker = attached(|| tasks.worker());
    worker.set_wait(a_wait(random));
    for _ in 0..1 + random.below(3000) {
        let taken = match random.below(4) {
            0 => worker.try_take(),
            1 => worker.take_timeout(a_time(random)),
            _ => worker.take_timeout(Duration::from_millis(20)),
        };
        let lease = match taken {
            Ok(lease) => lease,
            Err(Error::Empty) => continue,
            Err(error) => wrong(&format!("taking failed: {error}")),
        };
        let number = came(&lease, ledger);
        if random.below(60) == 0 {
            thread::sleep(Duration::from_micros(random.below(2000)));
        }
        let lost = match random.below(32) {
            0 => matches!(lease.fail("at random"), Err(Error::LeaseLost)),
            1 => {
                drop(lease);
                false
            }
            2 => {
                let extended = lease.extend(Duration::from_millis(5));
                matches!(extended, Err(Error::LeaseLost)) | !done(lease, ledger, number)
            }
            3 if random.below(20) == 0 => {
                forget(lease);
                false
            }
            _ => !done(lease, ledger, number),
        };
        if lost && !timed {
            wrong(&format!("the lease on task {number} was lost by one who lives"));
        }
    }
}

/// Resizes, and gives dead letters their tries again.
fn administer(tasks: &Tasks<Message>, most: usize, random: &mut Random) {
    for _ in 0..1 + random.below(300) {
        thread::sleep(Duration::from_micros(random.below(3000)));
        if random.below(3) == 0 {
            let shrink = match random.below(2) {
                0 => Shrink::Refuse,
                _ => Shrink::WaitFor(Duration::from_micros(random.below(2000))),
            };
            match tasks.resize(1 + random.below(most as u64) as usize, shrink) {
                Ok(()) | Err(Error::Full | Error::TooManyMembers { .. }) => {}
                Err(error) => wrong(&format!("resizing failed: {error}")),
            }
            continue;
        }
        let letters = tasks.dead_letters();
        for letter in letters.into_iter().take(100) {
            match tasks.requeue(letter.id) {
                Ok(()) | Err(Error::NoTask { .. } | Error::TooManyMembers { .. }) => {}
                Err(error) => wrong(&format!("requeue failed: {error}")),
            }
        }
    }
}

pub(super) struct TasksRound<'a> {
    tally: &'a mut Tally,
    random: Random,
    name: String,
    tasks: Tasks<Message>,
    capacity: usize,
    timed: bool,
    ledger: Ledger,
    crowd: Crowd<Job>,
    begun: usize,
    what: String,
}

impl<'a> TasksRound<'a> {
    /// A new queue of tasks. Without a capacity: of any.
    pub(super) fn new(tally: &'a mut Tally, capacity: Option<usize>, mut random: Random, what: String) -> Self {
        let capacity = capacity.unwrap_or_else(|| 1 + random.below(100) as usize);
        let name = format!("torture-tasks-{}", process::id());
        let _ = handover::remove(&name);
        let timed = random.below(3) == 0;
        let backoff = Duration::from_micros(random.below(2) * 1000);
        let mut options =
            Options::new().capacity(capacity).max_capacity(2 * capacity).result_max(8).backoff(backoff, 4 * backoff);
        if timed {
            options = options.lease(Duration::from_millis(2 + random.below(10)));
        }
        if random.below(3) == 0 {
            options = options.weights([1, 1, 2, 3, 5, 8, 13, 21]);
        }
        let tasks = options.create(&name).expect("a new name");
        let (ledger, crowd) = (Ledger::new(), Crowd::new(&what));
        TasksRound { tally, random, name, tasks, capacity, timed, ledger, crowd, begun: 0, what }
    }

    fn begin(&mut self, job: Job) {
        let random = &mut Random::new(self.random.number());
        let (name, ledger, timed, most) = (&self.name, &self.ledger, self.timed, 2 * self.capacity);
        let pid = crowd::begin(|| {
            let tasks = Tasks::open(name).unwrap_or_else(|error| wrong(&format!("could not open: {error}")));
            match job {
                Job::Submit => submit(&tasks, ledger, random),
                Job::Work => work(&tasks, ledger, timed, random),
                Job::Administer => administer(&tasks, most, random),
            }
            leave()
        });
        self.crowd.add(pid, job, self.begun);
        self.begun += 1;
    }

    fn begin_all(&mut self) {
        for _ in 0..1 + self.random.below(3) {
            self.begin(Job::Submit);
        }
        for _ in 0..2 + self.random.below(2) {
            self.begin(Job::Work);
        }
        self.begin(Job::Administer);
    }

    pub(super) fn run(mut self, time: Duration) {
        self.begin_all();
        let start = Instant::now();
        let (mut progress, mut moved) = (0, Instant::now());
        while start.elapsed() < time {
            thread::sleep(Duration::from_micros(200 + self.random.below(2800)));
            let mut gone = self.crowd.ended();
            gone.extend(self.crowd.torment(&mut self.random, self.tally));
            gone.into_iter().for_each(|job| self.begin(job));
            if self.random.below(120) == 0 {
                self.crowd.kill_all(self.tally);
                self.begin_all();
            }
            let now = self.ledger.progress().load(SeqCst);
            // One who is stopped in the midst of it may have what all others wait for.
            if now != progress || self.crowd.anybody_stopped() || self.ledger.next().load(SeqCst) >= TASKS {
                (progress, moved) = (now, Instant::now());
            }
            self.tally.longest = self.tally.longest.max(moved.elapsed());
            if moved.elapsed() > STUCK {
                self.stuck("nothing moves");
            }
        }
        self.crowd.resume_all();
        self.crowd.kill_all(self.tally);
        self.drain();
        self.account();
        self.whole();
    }

    /// Everybody is dead: a successor does what is left, and gives each dead letter its tries again.
    fn drain(&mut self) {
        let worker = self.tasks.worker().expect("let in");
        let begun = Instant::now();
        loop {
            match worker.take_timeout(Duration::from_millis(10)) {
                Ok(lease) => {
                    let number = came(&lease, &self.ledger);
                    done(lease, &self.ledger, number);
                }
                Err(Error::Empty) => {
                    let letters = self.tasks.dead_letters();
                    if letters.is_empty() && self.tasks.report().delayed == 0 {
                        break;
                    }
                    letters.iter().for_each(|letter| self.tasks.requeue(letter.id).expect("it is there"));
                }
                Err(error) => panic!("{}: the rest ended with {error}", self.what),
            }
            if begun.elapsed() > STUCK {
                self.stuck("what is left does not come");
            }
        }
    }

    /// Each task that was taken in was done.
    fn account(&mut self) {
        self.tally.redelivered += self.tasks.report().redelivered;
        let mut lost = Vec::new();
        for (number, word) in self.ledger.all() {
            let taken_in = word & SUBMITTED != 0;
            self.tally.messages += u64::from(taken_in);
            // Who was killed while saying that it is done may have said it.
            let in_doubt = word >= DOING;
            self.tally.died_with_who_popped += u64::from(taken_in && word & DONE == 0 && in_doubt);
            if taken_in && word & DONE == 0 && !in_doubt {
                lost.push((number, word));
            }
        }
        if !lost.is_empty() {
            self.tally.lost += lost.len() as u64;
            lost.truncate(20);
            self.stuck(&format!("what was submitted is gone: {lost:x?}"));
        }
    }

    /// As it was at first: every block, and every place in the roster.
    fn whole(&mut self) {
        self.tasks.resize(self.capacity, Shrink::Refuse).expect("it is empty");
        let submitter = self.tasks.submitter().expect("let in");
        let worker = self.tasks.worker().expect("let in");
        for _ in 0..2 {
            let room = (0..).take_while(|number| submitter.try_submit(message(*number)).is_ok()).count();
            if room != self.capacity {
                self.tally.leaked += self.capacity.saturating_sub(room) as u64;
                self.stuck(&format!("{room} found room"));
            }
            for number in 0..room as u64 {
                let lease = worker.try_take().expect("it is there");
                assert_eq!((*lease.task(), lease.tries()), (message(number), 1), "{}", self.what);
                lease.done().expect("a lease that lasts");
            }
            assert!(matches!(worker.try_take(), Err(Error::Empty)), "{}: all was done", self.what);
        }
        let report = self.tasks.report();
        let left = report.leased + report.finished + report.delayed + report.dead_letters;
        if left > 0 || report.workers.len() != 1 || report.submitters.len() != 1 {
            self.tally.leaked += left as u64;
            self.stuck("something is left");
        }
    }

    /// Shows what the segment says, and gives up.
    fn stuck(&self, how: &str) -> ! {
        let mut told = format!("{}: {how}\n{:?}\n", self.what, self.tasks.report());
        for worker in &self.crowd.workers {
            told += &format!("pid {}: {:?}, stopped {:?}\n", worker.pid, worker.job, worker.stopped);
        }
        panic!("{told}");
    }
}

impl Drop for TasksRound<'_> {
    fn drop(&mut self) {
        let _ = handover::remove(&self.name);
    }
}
