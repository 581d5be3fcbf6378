//! One queue, those who work with it, and what is done to them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use handover::{Error, Options, Queue};

use super::crowd::{self, Crowd, Worker};
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
    /// Producers, and others.
    crowd: Crowd<bool>,
    pub(super) what: String,
}

impl<'a> Round<'a> {
    /// A new queue. Without a capacity: of any, removed and made anew all the time.
    pub(super) fn new(
        tally: &'a mut Tally,
        (one_producer, one_consumer): (bool, bool),
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
            crowd: Crowd::new(&what),
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
        let pid = crowd::begin(|| self.work(produces, me, &mut Random::new(seed)));
        self.crowd.add(pid, produces, me);
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

    /// One random deed, and another process for each that is gone.
    fn torment(&mut self, replace: bool) {
        let killed = self.crowd.torment(&mut self.random, self.tally);
        if replace {
            killed.into_iter().for_each(|produces| self.begin(produces));
        }
    }

    /// Those who ended by themselves are replaced.
    fn replace(&mut self, replace: bool) {
        let ended = self.crowd.ended();
        if replace {
            ended.into_iter().for_each(|produces| self.begin(produces));
        }
    }

    /// Deeds that concern all.
    fn torment_all(&mut self) {
        match self.random.below(120) {
            0 => {
                self.crowd.kill_all(self.tally);
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
            if now != progress || used_up || self.crowd.anybody_stopped() {
                progress = now;
                moved = Instant::now();
            }
            self.tally.longest = self.tally.longest.max(moved.elapsed());
            if moved.elapsed() > STUCK {
                self.stuck("nothing moves");
            }
        }
        self.crowd.resume_all();
        for (_, queue) in std::mem::take(&mut self.to_close) {
            self.queues[queue].close();
        }
        if self.random.below(2) == 0 {
            self.close();
        }
        self.crowd.kill_all(self.tally);
        for queue in 0..self.queues.len() {
            self.balance(queue);
        }
    }

    /// Closes while they work: all have to end, with kills going on among them.
    fn close(&mut self) {
        self.queue().close();
        let start = Instant::now();
        while self.crowd.workers.iter().any(|worker| worker.job) || self.crowd.workers.len() > 1 {
            thread::sleep(Duration::from_micros(200 + self.random.below(800)));
            self.replace(false);
            if self.random.below(16) == 0 && self.crowd.workers.len() > 2 {
                self.torment(false);
            }
            self.crowd.resume(Instant::now());
            if start.elapsed() > STUCK {
                self.stuck("closed, and not all have left");
            }
        }
        self.crowd.resume_all();
        while !self.crowd.workers.is_empty() {
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
        for worker in &self.crowd.workers {
            let ledger = &self.ledgers[self.queues.len() - 1];
            let doing = if worker.job { 0 } else { ledger.doing(worker.number, 0).load(SeqCst) };
            let Worker { pid, job: produces, number, stopped } = worker;
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
        self.tally.doubled += self.ledgers.iter().map(|ledger| ledger.doubled().load(SeqCst)).sum::<u64>();
        let _ = handover::remove(&self.name);
    }
}
