//! One queue, those who work with it, and what is done to them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic;
use std::process;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use handover::{Error, Options, Queue};

use super::ledger::{Ledger, Message};
use super::workers::{consume, leave, produce, wrong};
use super::{Tally, memory};
use crate::random::Random;

/// Nobody may be stuck for so long.
pub(super) const STUCK: Duration = Duration::from_secs(5);

/// The most producers, and consumers, of a round.
const WORKERS: usize = 2500;
/// Where the queue is made anew all the time, of each queue.
const WORKERS_OF_EACH: usize = 400;
/// So often it is made anew. Each time with a capacity of its own, which tells workers which one they opened.
const QUEUES: usize = 12;

struct Worker {
    pid: i32,
    produces: bool,
    number: usize,
    stopped: Option<Instant>,
}

pub(super) struct Round<'a> {
    pub(super) tally: &'a mut Tally,
    random: Random,
    name: String,
    options: Box<dyn Fn(usize) -> Options>,
    /// The capacity of the first queue.
    capacity: usize,
    /// All there have been under the name; one only, unless it is made anew.
    pub(super) queues: Vec<Queue<Message>>,
    pub(super) ledgers: Vec<Ledger>,
    /// Queues that were removed and not closed: those who work with them have to be told.
    to_close: Vec<(Instant, usize)>,
    small_memory: bool,
    begin_with: (usize, usize),
    pub(super) producers: usize,
    pub(super) consumers: usize,
    workers: Vec<Worker>,
    zombies: Vec<i32>,
    pub(super) what: String,
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: the pid is that of a child which was not waited for.
    unsafe { libc::kill(pid, signal) };
}

/// Waits for the child and sees to its good end.
fn wait_for(pid: i32, flags: i32, what: &str) -> bool {
    let mut status = 0;
    // SAFETY: waits for a child.
    let got = unsafe { libc::waitpid(pid, &raw mut status, flags) };
    if got == 0 {
        return false;
    }
    assert_eq!(got, pid, "{what}: a child can be waited for");
    let good = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL
        || libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
    assert!(good, "{what}: worker {pid} ended with status {status:x}; what it said stands above");
    true
}

impl<'a> Round<'a> {
    /// A new queue. Without a capacity: of any, removed and made anew all the time.
    pub(super) fn new(
        tally: &'a mut Tally,
        &(_, one_producer, one_consumer): &(&str, bool, bool),
        capacity: Option<usize>,
        mut random: Random,
        small_memory: bool,
        what: String,
    ) -> Round<'a> {
        let options = move |capacity| {
            let options = Options::new(capacity).members(16);
            let options = if one_producer { options.one_producer() } else { options };
            if one_consumer { options.one_consumer() } else { options }
        };
        let ledgers = match capacity {
            Some(_) => vec![Ledger::new(WORKERS)],
            None => (0..QUEUES).map(|_| Ledger::new(WORKERS_OF_EACH)).collect(),
        };
        let capacity = capacity.unwrap_or_else(|| 1 + random.below(100) as usize);
        let name = format!("torture-{}", process::id());
        let _ = handover::remove(&name);
        let queue = options(capacity).create(&name).expect("a new name");
        // Of a kind that there may be one of, a second waits to be let in.
        let producers = if one_producer { 2 } else { 1 + random.below(4) as usize };
        let consumers = if one_consumer { 2 } else { 1 + random.below(4) as usize };
        Round {
            tally,
            random,
            name,
            options: Box::new(options),
            capacity,
            queues: vec![queue],
            ledgers,
            to_close: Vec::new(),
            small_memory,
            begin_with: (producers, consumers),
            producers: 0,
            consumers: 0,
            workers: Vec::new(),
            zombies: Vec::new(),
            what,
        }
    }

    fn queue(&self) -> &Queue<Message> {
        self.queues.last().expect("the first")
    }

    /// Whether the queue is made anew all the time.
    fn renews(&self) -> bool {
        self.ledgers.len() > 1
    }

    fn progress(&self) -> u64 {
        self.ledgers.iter().map(|ledger| ledger.progress().load(SeqCst)).sum()
    }

    fn begin(&mut self, produces: bool) {
        let number = if produces { &mut self.producers } else { &mut self.consumers };
        // The last number is that of who takes out the rest.
        if *number + 1 == self.ledgers[0].workers {
            return;
        }
        let me = *number;
        *number += 1;
        let seed = self.random.number();
        // SAFETY: this process has one thread.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "a fork");
        if pid == 0 {
            // SAFETY: asks to be killed when the driver dies.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let work = panic::AssertUnwindSafe(|| self.work(produces, me, &mut Random::new(seed)));
            let _ = panic::catch_unwind(work);
            wrong("panicked");
        }
        self.workers.push(Worker { pid, produces, number: me, stopped: None });
    }

    /// What a worker does.
    fn work(&self, produces: bool, me: usize, random: &mut Random) -> ! {
        let mut worked_with = None;
        let mut begun = Instant::now();
        // For the next queue of that name it waits a little.
        while worked_with.is_none() || self.renews() && begun.elapsed() < Duration::from_millis(20) {
            let queue = match Queue::<Message>::open(&self.name) {
                Ok(queue) if worked_with != Some(queue.capacity()) => queue,
                Ok(_) => {
                    thread::sleep(Duration::from_micros(200));
                    continue;
                }
                Err(Error::NotFound { .. }) if self.renews() => continue,
                Err(error) => wrong(&format!("could not open: {error}")),
            };
            let Some(ledger) = queue.capacity().checked_sub(self.capacity).and_then(|nth| self.ledgers.get(nth)) else {
                wrong(&format!("opened a queue that nobody made: {queue:?}"));
            };
            if produces {
                produce(&queue, ledger, me, random);
            } else {
                consume(&queue, ledger, me, random);
            }
            if !queue.is_closed() {
                break;
            }
            worked_with = Some(queue.capacity());
            begun = Instant::now();
        }
        leave()
    }

    /// Those who ended by themselves are replaced.
    fn replace(&mut self, replace: bool) {
        let mut at = 0;
        while at < self.workers.len() {
            if wait_for(self.workers[at].pid, libc::WNOHANG, &self.what) {
                let worker = self.workers.swap_remove(at);
                if replace {
                    self.begin(worker.produces);
                }
            } else {
                at += 1;
            }
        }
    }

    fn kill(&mut self, at: usize) -> Worker {
        let worker = self.workers.swap_remove(at);
        signal(worker.pid, libc::SIGKILL);
        self.tally.kills += 1;
        self.zombies.push(worker.pid);
        // Some stay zombies for a while.
        if self.zombies.len() > 6 {
            let at = self.random.below(self.zombies.len() as u64) as usize;
            wait_for(self.zombies.swap_remove(at), 0, &self.what);
        }
        worker
    }

    fn kill_all(&mut self) {
        // Nobody has the time to do anything about anybody.
        for worker in &self.workers {
            signal(worker.pid, libc::SIGKILL);
        }
        self.tally.kills += self.workers.len() as u64;
        self.tally.massacres += 1;
        let all = self.workers.drain(..).map(|worker| worker.pid);
        for pid in all.chain(self.zombies.drain(..)) {
            wait_for(pid, 0, &self.what);
        }
    }

    /// One random deed.
    fn torment(&mut self, replace: bool) {
        let Some(last) = self.workers.len().checked_sub(1) else { return };
        let at = self.random.below(last as u64 + 1) as usize;
        match self.random.below(8) {
            0..=2 if self.workers[at].stopped.is_none() => {
                signal(self.workers[at].pid, libc::SIGSTOP);
                self.tally.stops += 1;
                self.workers[at].stopped = Some(Instant::now() + Duration::from_micros(self.random.below(15_000)));
            }
            _ => {
                let worker = self.kill(at);
                if replace {
                    self.begin(worker.produces);
                }
            }
        }
        self.resume(Instant::now());
    }

    fn resume(&mut self, now: Instant) {
        for worker in &mut self.workers {
            if worker.stopped.is_some_and(|until| until <= now) {
                worker.stopped = None;
                signal(worker.pid, libc::SIGCONT);
            }
        }
    }

    /// Deeds that concern all.
    fn torment_all(&mut self) {
        match self.random.below(120) {
            0 => {
                self.kill_all();
                self.begin_all();
            }
            1 | 2 if self.small_memory => {
                let time = Duration::from_micros(self.random.below(3000));
                if let Err(wrong) = memory::fill_for_a_moment(time) {
                    self.broken(wrong);
                }
                self.tally.filled += 1;
            }
            3..12 if self.renews() && self.queues.len() < QUEUES => self.renew(),
            _ => {}
        }
        let now = Instant::now();
        let queues = &self.queues;
        self.to_close.retain(|(when, queue)| {
            let due = *when <= now;
            if due {
                queues[*queue].close();
            }
            !due
        });
    }

    /// Removes the queue, closed or not, and makes another of that name.
    fn renew(&mut self) {
        let old = self.queues.len() - 1;
        let later = Instant::now() + Duration::from_micros(self.random.below(20_000));
        if self.random.below(2) == 0 {
            self.queues[old].close();
        } else {
            self.to_close.push((later, old));
        }
        thread::sleep(Duration::from_micros(self.random.below(300)));
        if let Err(error) = handover::remove(&self.name) {
            return self.broken(format!("could not be removed: {error}"));
        }
        thread::sleep(Duration::from_micros(self.random.below(300)));
        match (self.options)(self.capacity + self.queues.len()).create(&self.name) {
            Ok(queue) => self.queues.push(queue),
            Err(error) => panic!("{}: could not be made anew: {error}", self.what),
        }
        self.tally.renewed += 1;
    }

    fn begin_all(&mut self) {
        let (producers, consumers) = self.begin_with;
        for _ in 0..producers {
            self.begin(true);
        }
        for _ in 0..consumers {
            self.begin(false);
        }
    }

    pub(super) fn run(mut self, time: Duration) {
        self.begin_all();
        let start = Instant::now();
        let (mut progress, mut moved) = (0, Instant::now());
        while start.elapsed() < time {
            thread::sleep(Duration::from_micros(200 + self.random.below(2800)));
            self.replace(true);
            self.torment(true);
            self.torment_all();
            let now = self.progress();
            // A stopped worker may hold everybody up; and with the numbers used up there are no more workers.
            let most = self.ledgers[0].workers - 1;
            let used_up = self.producers == most || self.consumers == most;
            if now != progress || used_up || self.workers.iter().any(|worker| worker.stopped.is_some()) {
                progress = now;
                moved = Instant::now();
            }
            self.tally.longest = self.tally.longest.max(moved.elapsed());
            if moved.elapsed() > STUCK {
                self.stuck("nothing moves");
            }
        }
        self.resume(Instant::now() + Duration::from_secs(1));
        for (_, queue) in std::mem::take(&mut self.to_close) {
            self.queues[queue].close();
        }
        if self.random.below(2) == 0 {
            self.close();
        }
        self.kill_all();
        for queue in 0..self.queues.len() {
            self.balance(queue);
        }
    }

    /// Closes while they work: all have to end, with kills going on among them.
    fn close(&mut self) {
        self.queue().close();
        let start = Instant::now();
        while self.workers.iter().any(|worker| worker.produces) || self.workers.len() > 1 {
            thread::sleep(Duration::from_micros(200 + self.random.below(800)));
            self.replace(false);
            if self.random.below(16) == 0 && self.workers.len() > 2 {
                self.torment(false);
            }
            self.resume(Instant::now());
            if start.elapsed() > STUCK {
                self.stuck("closed, and not all have left");
            }
        }
        self.resume(Instant::now() + Duration::from_secs(1));
        while !self.workers.is_empty() {
            thread::sleep(Duration::from_micros(200));
            self.replace(false);
            if start.elapsed() > 2 * STUCK {
                self.stuck("closed, and the last has not left");
            }
        }
    }

    pub(super) fn broken(&mut self, wrong: String) {
        self.tally.violations.push(format!("{}: {wrong}", self.what));
    }

    /// Shows what the segment says, and gives up.
    pub(super) fn stuck(&self, how: &str) -> ! {
        let queue = self.queue();
        let mut told = format!("{}: {how}\n{queue:?}, {:?}\n", self.what, queue.counts());
        for member in queue.members() {
            told += &format!("{member:?}\n");
        }
        for worker in &self.workers {
            let ledger = &self.ledgers[self.queues.len() - 1];
            let doing = if worker.produces { 0 } else { ledger.doing(worker.number, 0).load(SeqCst) };
            let Worker { pid, produces, number, stopped } = worker;
            let pushed = if *produces { ledger.returned(*number).load(SeqCst) } else { 0 };
            told += &format!(
                "pid {pid} produces {produces} number {number} pushed {pushed} doing {doing} stopped {stopped:?}\n"
            );
        }
        told += &self.bytes().unwrap_or_else(|error| format!("the segment can't be read: {error}\n"));
        panic!("{told}");
    }

    /// The words of the segment that matter; see docs/FORMAT.md.
    fn bytes(&self) -> std::io::Result<String> {
        let file = File::open(format!("/dev/shm/handover.{}", self.name))?;
        let word = |offset: u64| {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, offset).map(|()| u64::from_le_bytes(bytes))
        };
        let members = word(56)? & 0xffff_ffff;
        let (stride, body) = (word(64)?, word(72)?);
        let mut told = String::new();
        for (line, name) in ["tail", "head", "notice", "pushing", "not empty", "not full", "sweeps"].iter().enumerate()
        {
            let at = body + 128 * line as u64;
            told += &format!("{name}: {:016x} {:016x}\n", word(at)?, word(at + 8)?);
        }
        let slots = body + 1024 + (members + 2) * 128;
        for index in 0..self.queue().capacity().min(80) as u64 {
            let at = slots + index * stride;
            told += &format!("slot {index}: {:016x} {:016x} {:016x}\n", word(at)?, word(at + 8)?, word(at + 16)?);
        }
        Ok(told)
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        for pid in self.workers.drain(..).map(|worker| worker.pid).chain(self.zombies.drain(..)) {
            signal(pid, libc::SIGKILL);
            // SAFETY: waits for a child.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        }
        self.tally.doubled += self.ledgers.iter().map(|ledger| ledger.doubled().load(SeqCst)).sum::<u64>();
        let _ = handover::remove(&self.name);
    }
}
