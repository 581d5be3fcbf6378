//! Random kills: producers and consumers are killed, stopped and begun again all the time, and a ledger that lies
//! outside of the queue says afterwards what has to have come out of it.
//!
//! A *driver* process forks the workers. Every worker is an *incarnation* with a number of its own; a message is its
//! producer's number and a sequence number. What a producer does it writes into the ledger before and after, what a
//! consumer gets before the message is committed (where the queue lets it) and after. So only these may be in doubt:
//!
//! * of a killed producer, what it was pushing: a beginning of that, and no more, may come out;
//! * of a killed consumer, what it was popping: it wrote down what it saw, and only that may be gone. A plain `pop`
//!   shows nothing before it returns: one message for each consumer killed in one.
//!
//! Everything else has to balance. `HANDOVER_TORTURE_SECONDS` makes it longer, for each of the four tests.

mod common;

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic;
use std::process;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use common::{Child, Name, say, task};
use handover::{Consumer, Error, Options, Producer, Queue, SharedMemory, Wait};

/// A number, a check of it, its complement, and a check of that: half a message is no message.
type Message = [u64; 4];

const PRODUCERS: usize = 2500;
const CONSUMERS: usize = 2500;
/// So many messages a producer pushes before it ends.
const LAST: u64 = 2000;
const BATCH: usize = 64;

const CAPACITIES: [usize; 6] = [1, 2, 3, 64, 1000, 20_000];

/// What a loan that is not sent says: nobody may ever see it.
const POISON: u64 = u64::MAX;

/// Nobody may be stuck for so long.
const STUCK: Duration = Duration::from_secs(5);

fn message(number: u64) -> Message {
    [number, check(number), !number, check(!number)]
}

fn check(number: u64) -> u64 {
    (number ^ number >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Small and repeatable.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// What happened, in memory that the queue does not know.
struct Ledger(SharedMemory);

/// One message's word: counts of eight bits each.
const FRESH: u32 = 1;
const MARKED: u32 = 1 << 8;
const TAKEN: u32 = 1 << 16;
const TAKEN_ANY: u32 = 0xff << 16;

/// What a consumer is doing.
const IDLE: u64 = 0;
const POPPING: u64 = 1;
/// What it has seen stands in its list.
const SEEING: u64 = 2;

/// A consumer's words: what it does, how much it saw, what it saw.
const CONSUMER_WORDS: usize = 2 + BATCH;

impl Ledger {
    const BEGUN: usize = 8 * 16;
    const RETURNED: usize = Self::BEGUN + 8 * PRODUCERS;
    const DOING: usize = Self::RETURNED + 8 * PRODUCERS;
    const MESSAGES: usize = Self::DOING + 8 * CONSUMERS * CONSUMER_WORDS;
    const SIZE: usize = Self::MESSAGES + 4 * PRODUCERS * LAST as usize;

    fn new() -> Ledger {
        Ledger(SharedMemory::anonymous(Self::SIZE).expect("room for the ledger"))
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        self.0.atomic_u64(offset).expect("within the ledger")
    }

    /// How much was pushed and taken: stands still if everybody is stuck.
    fn progress(&self) -> &AtomicU64 {
        self.word(0)
    }

    fn redelivered(&self) -> &AtomicU64 {
        self.word(8)
    }

    /// A producer is about to push all before this.
    fn begun(&self, producer: usize) -> &AtomicU64 {
        self.word(Self::BEGUN + 8 * producer)
    }

    /// A producer's pushes of all before this have returned.
    fn returned(&self, producer: usize) -> &AtomicU64 {
        self.word(Self::RETURNED + 8 * producer)
    }

    fn doing(&self, consumer: usize, word: usize) -> &AtomicU64 {
        self.word(Self::DOING + 8 * (consumer * CONSUMER_WORDS + word))
    }

    fn message(&self, producer: usize, sequence: u64) -> &AtomicU32 {
        self.0
            .atomic_u32(Self::MESSAGES + 4 * (producer * LAST as usize + sequence as usize))
            .expect("within the ledger")
    }
}

/// Says it past the test harness, which might hold a lock that the fork copied, and ends.
fn wrong(what: &str) -> ! {
    let line = format!("\nworker {}: {what}\n", process::id());
    // SAFETY: writes a string to the standard error stream and leaves.
    unsafe {
        libc::write(2, line.as_ptr().cast(), line.len());
        libc::_exit(3)
    }
}

fn leave() -> ! {
    // SAFETY: leaves without running what the fork copied from the driver.
    unsafe { libc::_exit(0) }
}

fn a_wait(random: &mut Random) -> Wait {
    [Wait::Balanced, Wait::Balanced, Wait::Park, Wait::Spin][random.below(4) as usize]
}

fn a_time(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(3000))
}

/// Attaches; a place for one may still be taken, and a table full of the dead is cleared by attaching.
fn attached<H>(attach: impl Fn() -> Result<H, Error>) -> H {
    loop {
        match attach() {
            Ok(handle) => return handle,
            Err(Error::Taken { .. } | Error::TooManyMembers { .. }) => thread::sleep(Duration::from_micros(100)),
            Err(error) => wrong(&format!("could not attach: {error}")),
        }
    }
}

/// Numbers that promise nothing of their length.
fn unforeseen(range: impl Iterator<Item = Message>) -> impl Iterator<Item = Message> {
    range.filter(|_| true)
}

fn produce(queue: &Queue<Message>, ledger: &Ledger, me: usize, random: &mut Random) -> ! {
    let mut producer: Producer<Message> = attached(|| queue.producer());
    producer.set_wait(a_wait(random));
    let (begun, returned) = (ledger.begun(me), ledger.returned(me));
    let number = |sequence: u64| message((me as u64) << 32 | sequence);
    let mut next = 0;
    while next < LAST {
        let most = (LAST - next).min(1 + random.below(BATCH as u64));
        let way = random.below(12);
        begun.store(if (3..=6).contains(&way) { next + most } else { next + 1 }, SeqCst);
        let messages = (next..next + most).map(number);
        let pushed = match way {
            0 => producer.push(number(next)).map(|()| 1).map_err(Error::from),
            1 => producer.try_push(number(next)).map(|()| 1).map_err(Error::from),
            2 => producer.push_timeout(number(next), a_time(random)).map(|()| 1).map_err(Error::from),
            3 => producer.push_batch(messages).map(|all| all as u64),
            4 => producer.push_batch(unforeseen(messages)).map(|all| all as u64),
            5 => producer.try_push_batch(&mut messages.peekable()).map(|some| some as u64),
            6 => {
                let messages = messages.chain(std::iter::once_with(|| panic!("an iterator's panic")));
                let caught = panic::catch_unwind(panic::AssertUnwindSafe(|| producer.push_batch(messages)));
                match caught {
                    Err(_) => Ok(most),
                    Ok(Err(error)) => Err(error),
                    Ok(Ok(_)) => wrong("a panic got lost"),
                }
            }
            7 => producer.loan().map(|mut loan| {
                *loan = number(next);
                loan.send();
                1
            }),
            8 => producer.loan_timeout(a_time(random)).map(|mut loan| {
                *loan = message(POISON);
                drop(loan);
                0
            }),
            9 => producer.try_loan().map(|mut loan| {
                *loan = message(POISON);
                *loan = number(next);
                loan.send();
                1
            }),
            10 if random.below(8) == 0 => {
                let forgotten = producer.loan_timeout(a_time(random)).map(|mut loan| {
                    *loan = message(POISON);
                    std::mem::forget(loan);
                    0
                });
                drop(producer);
                producer = attached(|| queue.producer());
                producer.set_wait(a_wait(random));
                forgotten
            }
            _ => {
                if random.below(8) == 0 {
                    drop(producer);
                    producer = attached(|| queue.producer());
                    producer.set_wait(a_wait(random));
                }
                Ok(0)
            }
        };
        match pushed {
            Ok(pushed) => {
                next += pushed;
                returned.store(next, SeqCst);
                ledger.progress().fetch_add(pushed, SeqCst);
            }
            Err(Error::Full) => {}
            // Of a batch a part may have been pushed: that stays open, as if we had been killed.
            Err(Error::Closed) => leave(),
            Err(error) => wrong(&format!("a push failed: {error}")),
        }
    }
    leave()
}

/// Writes down what it is shown before the queue lets go of it.
struct Seeing<'a> {
    ledger: &'a Ledger,
    me: usize,
    all: Vec<Message>,
}

impl Extend<Message> for Seeing<'_> {
    fn extend<I: IntoIterator<Item = Message>>(&mut self, messages: I) {
        for message in messages {
            self.ledger.doing(self.me, 2 + self.all.len()).store(message[0], SeqCst);
            self.all.push(message);
            self.ledger.doing(self.me, 1).store(self.all.len() as u64, SeqCst);
        }
    }
}

struct Eater<'a> {
    ledger: &'a Ledger,
    me: usize,
    /// Of each producer, what came last unmarked.
    last: HashMap<u64, u64>,
}

impl Eater<'_> {
    /// A message came; its word, and whether all is as it should be.
    fn came(&mut self, came: Message, redeliveries: u32, how: &str) -> &AtomicU32 {
        if came != message(came[0]) {
            wrong(&format!("{how}: half a message: {came:x?}"));
        }
        let (producer, sequence) = (came[0] >> 32, came[0] & 0xffff_ffff);
        if came[0] == POISON {
            wrong(&format!("{how}: a loan that was not sent came out"));
        }
        if producer as usize >= PRODUCERS || sequence >= self.ledger.begun(producer as usize).load(SeqCst) {
            wrong(&format!("{how}: message {sequence} of producer {producer} was never pushed"));
        }
        let word = self.ledger.message(producer as usize, sequence);
        let before = word.fetch_add(if redeliveries == 0 { FRESH } else { MARKED }, SeqCst);
        let told =
            || format!("message {sequence} of producer {producer}, redeliveries {redeliveries}, word {before:x}");
        if before & TAKEN_ANY != 0 {
            wrong(&format!("{how}: comes after it was taken: {}", told()));
        }
        if redeliveries == 0 {
            if before != 0 {
                wrong(&format!("{how}: comes twice unmarked: {}", told()));
            }
            if let Some(last) = self.last.insert(producer, sequence)
                && last >= sequence
            {
                wrong(&format!("{how}: comes after {last}: {}", told()));
            }
        } else {
            self.ledger.redelivered().fetch_add(1, SeqCst);
        }
        word
    }

    fn took(&mut self, came: Message, redeliveries: u32, how: &str) {
        self.came(came, redeliveries, how).fetch_add(TAKEN, SeqCst);
        self.ledger.progress().fetch_add(1, SeqCst);
    }

    fn doing(&self, what: u64) {
        if what != IDLE {
            self.ledger.doing(self.me, 1).store(0, SeqCst);
        }
        self.ledger.doing(self.me, 0).store(what, SeqCst);
    }
}

fn consume(queue: &Queue<Message>, ledger: &Ledger, me: usize, random: &mut Random) -> ! {
    let mut consumer: Consumer<Message> = attached(|| queue.consumer());
    consumer.set_wait(a_wait(random));
    let mut eater = Eater { ledger, me, last: HashMap::new() };
    loop {
        let way = random.below(16);
        let most = 1 + random.below(BATCH as u64) as usize;
        let time = a_time(random);
        eater.doing(if way < 3 { POPPING } else { SEEING });
        let result = match way {
            0..=2 => {
                let popped = match way {
                    0 => consumer.pop(),
                    1 => consumer.try_pop(),
                    _ => consumer.pop_timeout(time),
                };
                popped.map(|message| eater.took(message, consumer.redeliveries(), "pop"))
            }
            3..=8 => {
                let mut seeing = Seeing { ledger, me, all: Vec::with_capacity(BATCH) };
                let popped = match way {
                    3 => consumer.try_pop_batch(&mut seeing, most),
                    4 => consumer.pop_batch_timeout(&mut seeing, most, time),
                    5 | 6 => consumer.pop_batch(&mut seeing, 1),
                    _ => consumer.pop_batch(&mut seeing, most),
                };
                popped.map(|count| {
                    if count != seeing.all.len() || count == 0 || consumer.redeliveries() > 0 && count > 1 {
                        wrong(&format!("a batch of {count}, shown {}", seeing.all.len()));
                    }
                    for message in seeing.all {
                        eater.took(message, consumer.redeliveries(), "pop_batch");
                    }
                })
            }
            _ => {
                let received = match way {
                    9 | 10 => consumer.try_receive(),
                    11 | 12 => consumer.receive_timeout(time),
                    _ => consumer.receive(),
                };
                let mut forgotten = false;
                let done = received.map(|receipt| {
                    let message = *receipt;
                    let seeing = &mut Seeing { ledger, me, all: Vec::new() };
                    let end = random.below(16);
                    if end < 13 {
                        seeing.extend([message]);
                    }
                    let word = eater.came(message, receipt.redeliveries(), "receive");
                    match end {
                        0..=8 => receipt.done(),
                        9..=12 => match receipt.take() {
                            Ok(taken) if taken == message => {}
                            other => wrong(&format!("took {other:x?}, was {message:x?}")),
                        },
                        13 => {
                            forgotten = true;
                            return std::mem::forget(receipt);
                        }
                        _ => return drop(receipt),
                    }
                    word.fetch_add(TAKEN, SeqCst);
                    ledger.progress().fetch_add(1, SeqCst);
                });
                if forgotten {
                    drop(consumer);
                    consumer = attached(|| queue.consumer());
                    consumer.set_wait(a_wait(random));
                }
                done
            }
        };
        eater.doing(IDLE);
        match result {
            Ok(()) | Err(Error::Empty) => {}
            Err(Error::Closed) => leave(),
            Err(error) => wrong(&format!("a pop failed: {error}")),
        }
        if random.below(200) == 0 {
            drop(consumer);
            consumer = attached(|| queue.consumer());
            consumer.set_wait(a_wait(random));
        }
    }
}

struct Worker {
    pid: i32,
    produces: bool,
    number: usize,
    stopped: Option<Instant>,
}

struct Driver {
    kind: String,
    random: Random,
    kills: u64,
    stops: u64,
    messages: u64,
    redelivered: u64,
    lost_in_doubt: u64,
    longest: Duration,
}

struct Round<'a> {
    driver: &'a mut Driver,
    name: Name,
    queue: Queue<Message>,
    ledger: Ledger,
    producers: usize,
    consumers: usize,
    workers: Vec<Worker>,
    zombies: Vec<i32>,
    what: String,
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
    assert!(good, "{what}: worker {pid} ended with status {status:x}");
    true
}

impl Round<'_> {
    fn begin(&mut self, produces: bool) {
        let number = if produces { &mut self.producers } else { &mut self.consumers };
        if *number == if produces { PRODUCERS } else { CONSUMERS } {
            return;
        }
        let me = *number;
        *number += 1;
        let seed = self.driver.random.next() | 1;
        // SAFETY: the child uses nothing that another thread of this process may have left in the midst of a change.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "a fork");
        if pid == 0 {
            // SAFETY: asks to be killed when the driver dies.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let ledger = &self.ledger;
            let name = &*self.name;
            let work = panic::AssertUnwindSafe(|| {
                let queue = match Queue::<Message>::open(name) {
                    Ok(queue) => queue,
                    Err(error) => wrong(&format!("could not open: {error}")),
                };
                let random = &mut Random(seed);
                if produces { produce(&queue, ledger, me, random) } else { consume(&queue, ledger, me, random) }
            });
            let _ = panic::catch_unwind(work);
            wrong("panicked");
        }
        self.workers.push(Worker { pid, produces, number: me, stopped: None });
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
        self.driver.kills += 1;
        self.zombies.push(worker.pid);
        // Some stay zombies for a while.
        if self.zombies.len() > 6 {
            let at = self.driver.random.below(self.zombies.len() as u64) as usize;
            wait_for(self.zombies.swap_remove(at), 0, &self.what);
        }
        worker
    }

    /// One random deed.
    fn torment(&mut self, replace: bool) {
        let Some(last) = self.workers.len().checked_sub(1) else { return };
        let at = self.driver.random.below(last as u64 + 1) as usize;
        match self.driver.random.below(8) {
            0..=2 if self.workers[at].stopped.is_none() => {
                signal(self.workers[at].pid, libc::SIGSTOP);
                self.driver.stops += 1;
                self.workers[at].stopped =
                    Some(Instant::now() + Duration::from_micros(self.driver.random.below(15_000)));
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

    fn run(&mut self, time: Duration, producers: usize, consumers: usize) {
        for _ in 0..producers {
            self.begin(true);
        }
        for _ in 0..consumers {
            self.begin(false);
        }
        let start = Instant::now();
        let (mut progress, mut moved) = (0, Instant::now());
        while start.elapsed() < time {
            let pause = 200 + self.driver.random.below(2800);
            thread::sleep(Duration::from_micros(pause));
            self.replace(true);
            self.torment(true);
            let now = self.ledger.progress().load(SeqCst);
            // A stopped worker may hold everybody up; and with the numbers used up there are no more workers.
            let used_up = self.producers == PRODUCERS || self.consumers == CONSUMERS;
            if now != progress || used_up || self.workers.iter().any(|worker| worker.stopped.is_some()) {
                progress = now;
                moved = Instant::now();
            }
            self.driver.longest = self.driver.longest.max(moved.elapsed());
            if moved.elapsed() > STUCK {
                self.stuck("nothing moves");
            }
        }
        self.resume(Instant::now() + Duration::from_secs(1));
        if self.driver.random.below(2) == 0 {
            self.close();
        }
        while !self.workers.is_empty() {
            self.kill(0);
        }
        while let Some(pid) = self.zombies.pop() {
            wait_for(pid, 0, &self.what);
        }
        self.balance();
    }

    /// Closes while they work: all have to end, with kills going on among them.
    fn close(&mut self) {
        self.queue.close();
        let start = Instant::now();
        while self.workers.iter().any(|worker| worker.produces) || self.workers.len() > 1 {
            thread::sleep(Duration::from_micros(200 + self.driver.random.below(800)));
            self.replace(false);
            if self.driver.random.below(16) == 0 && self.workers.len() > 2 {
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

    /// Everybody is dead: takes out what is left, and sees whether all of it balances.
    fn balance(&mut self) {
        let what = self.what.clone();
        let closed = self.queue.is_closed();
        let mut consumer = self.queue.consumer().unwrap_or_else(|error| panic!("{what}: let in: {error}"));
        let mut eater = Eater { ledger: &self.ledger, me: CONSUMERS - 1, last: HashMap::new() };
        let start = Instant::now();
        loop {
            match consumer.try_pop() {
                Ok(message) => eater.took(message, consumer.redeliveries(), "the rest"),
                Err(Error::Empty) if !closed => break,
                Err(Error::Closed) if closed => break,
                Err(Error::Empty) => thread::sleep(Duration::from_micros(500)),
                Err(error) => panic!("{what}: emptying it: {error}"),
            }
            if start.elapsed() > STUCK {
                self.stuck("the rest does not come out");
            }
        }
        drop(consumer);
        let (mut in_doubt, mut unseen) = (Vec::new(), 0);
        for consumer in 0..self.consumers {
            match self.ledger.doing(consumer, 0).load(SeqCst) {
                POPPING => unseen += 1,
                SEEING => {
                    let count = self.ledger.doing(consumer, 1).load(SeqCst) as usize;
                    in_doubt.extend((0..count).map(|nth| self.ledger.doing(consumer, 2 + nth).load(SeqCst)));
                }
                _ => {}
            }
        }
        let mut lost = 0;
        for producer in 0..self.producers {
            let (begun, returned) =
                (self.ledger.begun(producer).load(SeqCst), self.ledger.returned(producer).load(SeqCst));
            let mut missing = None;
            for sequence in 0..begun {
                let word = self.ledger.message(producer, sequence).load(SeqCst);
                let number = (producer as u64) << 32 | sequence;
                let taken = (word & TAKEN_ANY) / TAKEN;
                let told = || {
                    format!(
                        "message {sequence} of producer {producer} ({returned} returned, {begun} begun), word {word:x}"
                    )
                };
                assert!(taken <= 1, "{what}: taken twice: {}", told());
                if taken == 1 || in_doubt.contains(&number) {
                    if let Some(missing) = missing {
                        panic!("{what}: came, but {missing} before it in the same claim did not: {}", told());
                    }
                } else if sequence < returned && unseen > lost {
                    lost += 1;
                } else if sequence < returned {
                    self.stuck(&format!("lost: {}; {lost} others may be, of {unseen}", told()));
                } else if lost == unseen {
                    // Else it may be one of those that a killed pop took.
                    missing = missing.or(Some(sequence));
                }
            }
            self.driver.messages += returned;
        }
        self.driver.lost_in_doubt += lost;
        self.driver.redelivered += self.ledger.redelivered().load(SeqCst);
        if !closed {
            self.whole();
        }
        assert_eq!(self.queue.len(), 0, "{what}: nothing is left");
    }

    /// The queue has its full capacity, and its order.
    fn whole(&self) {
        let what = &self.what;
        let (mut producer, mut consumer) =
            (self.queue.producer().expect("let in"), self.queue.consumer().expect("let in"));
        for round in 0..2 {
            for number in 0..self.queue.capacity() as u64 {
                if producer.try_push(message(round << 32 | number)).is_err() {
                    self.stuck(&format!("only {number} go in"));
                }
            }
            assert!(
                matches!(producer.try_push(message(0)).map_err(Error::from), Err(Error::Full)),
                "{what}: then full"
            );
            for number in 0..self.queue.capacity() as u64 {
                match consumer.try_pop() {
                    Ok(popped) if popped == message(round << 32 | number) => {}
                    other => self.stuck(&format!("{other:x?} came as number {number} of {round}")),
                }
            }
            assert!(matches!(consumer.try_pop(), Err(Error::Empty)), "{what}: then empty");
        }
    }

    /// Shows what the segment says, and gives up.
    fn stuck(&self, how: &str) -> ! {
        eprintln!("{}: {how}; seed {:x}", self.what, self.driver.random.0);
        eprintln!("{:?}, counts {:?}", self.queue, self.queue.counts());
        for member in self.queue.members() {
            eprintln!("{member:?}");
        }
        for worker in &self.workers {
            let doing = if worker.produces { 0 } else { self.ledger.doing(worker.number, 0).load(SeqCst) };
            let Worker { pid, produces, number, stopped } = worker;
            let pushed = if *produces { self.ledger.returned(*number).load(SeqCst) } else { 0 };
            eprintln!(
                "pid {pid} produces {produces} number {number} pushed {pushed} doing {doing} stopped {stopped:?}"
            );
        }
        let file = File::open(format!("/dev/shm/handover.{}", &*self.name)).expect("the segment");
        let word = |offset: u64| {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, offset).expect("within the segment");
            u64::from_le_bytes(bytes)
        };
        let mut header = [0; 4];
        file.read_exact_at(&mut header, 56).expect("the header");
        let members = u64::from(u32::from_le_bytes(header));
        let (stride, body) = (word(64), word(72));
        for (line, name) in ["tail", "head", "notice", "pushing", "not empty", "not full", "sweeps"].iter().enumerate()
        {
            eprintln!("{name}: {:016x} {:016x}", word(body + 128 * line as u64), word(body + 128 * line as u64 + 8));
        }
        let slots = body + 1024 + (members + 2) * 128;
        for index in 0..self.queue.capacity().min(80) as u64 {
            let at = slots + index * stride;
            eprintln!("slot {index}: {:016x} {:016x} {:016x}", word(at), word(at + 8), word(at + 16));
        }
        panic!("{}: {how}", self.what);
    }
}

fn drive(kind: &str, seconds: f64, capacities: &[usize]) {
    panic::set_hook(Box::new(|info| {
        let told = info.to_string();
        if !told.contains("an iterator's panic") {
            let line = format!("\n{told}\n");
            // SAFETY: writes a string to the standard error stream.
            unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
        }
    }));
    // SAFETY: asks to be killed when the test dies.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let clock =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed =
        env::var("HANDOVER_TORTURE_SEED").ok().and_then(|seed| u64::from_str_radix(&seed, 16).ok()).unwrap_or(clock);
    let mut driver = Driver {
        kind: kind.to_owned(),
        random: Random(seed | 1),
        kills: 0,
        stops: 0,
        messages: 0,
        redelivered: 0,
        lost_in_doubt: 0,
        longest: Duration::ZERO,
    };
    let start = Instant::now();
    let share = (seconds / capacities.len() as f64).clamp(0.1, 2.0);
    let mut rounds = 0;
    for capacity in capacities.iter().cycle() {
        if rounds >= capacities.len() && start.elapsed().as_secs_f64() >= seconds {
            break;
        }
        rounds += 1;
        let mut options = Options::new(*capacity).members(16);
        let (one_producer, one_consumer) = (driver.kind.contains("one-producer"), driver.kind.contains("one-consumer"));
        if one_producer {
            options = options.one_producer();
        }
        if one_consumer {
            options = options.one_consumer();
        }
        let name = Name::new();
        let queue = options.create(&name).expect("a new name");
        let (workers, zombies) = (Vec::new(), Vec::new());
        let what = format!("{kind}, capacity {capacity}, round {rounds}, seed {seed:x}");
        // Of a kind that there may be one of, a second waits to be let in.
        let producers = if one_producer { 2 } else { 1 + driver.random.below(4) as usize };
        let consumers = if one_consumer { 2 } else { 1 + driver.random.below(4) as usize };
        let driver = &mut driver;
        let ledger = Ledger::new();
        let mut round = Round { driver, name, queue, ledger, producers: 0, consumers: 0, workers, zombies, what };
        round.run(Duration::from_secs_f64(share), producers, consumers);
    }
    let Driver { kind, kills, stops, messages, redelivered, lost_in_doubt, longest, .. } = driver;
    eprintln!(
        "{kind}: {rounds} rounds, {kills} kills, {stops} stops, {messages} messages, {redelivered} redelivered, \
         {lost_in_doubt} died with who popped them, held up {longest:?} at most"
    );
}

#[test]
fn child() {
    let Some((task, words)) = task() else { return };
    if task == "be-a-member" {
        let queue = Queue::<Message>::open(&words[0]).expect("the parent made it");
        let mut consumer = queue.consumer().expect("room for a member");
        say("attached");
        // It looks for the dead whenever it has waited for a while.
        while consumer.pop().is_ok() {}
        return;
    }
    let capacities = env::var("HANDOVER_TORTURE_CAPACITY").ok().and_then(|one| one.parse().ok());
    let capacities = capacities.map_or(CAPACITIES.to_vec(), |one| vec![one]);
    drive(&task, words[0].parse().expect("a time"), &capacities);
    say("balanced");
}

#[test]
fn a_member_that_is_stopped_while_it_reaps_robs_nobody_who_came_since() {
    let name = Name::new();
    // So long that to look through all slots takes a while, and the messages of the test lie at the end of it.
    let queue = Options::new(1 << 19).members(8).create::<Message>(&name).expect("a new name");
    let mut producer = queue.producer().expect("let in");
    let mut consumer = queue.consumer().expect("let in");
    let mut popped = Vec::with_capacity(BATCH);
    for _ in 0..(1 << 19) / BATCH - 8 {
        producer.push_batch((0..BATCH as u64).map(message)).expect("room");
        popped.clear();
        consumer.pop_batch(&mut popped, BATCH).expect("messages");
    }
    drop(consumer);
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut reaper = Child::start(&format!("be-a-member {}", &*name));
    assert_eq!(reaper.hear(), "attached");
    for round in 0..40 {
        let mut dead = Child::start(&format!("be-a-member {}", &*name));
        assert_eq!(dead.hear(), "attached");
        dead.kill();
        dead.wait();
        thread::sleep(Duration::from_micros(2000 + random.below(8000)));
        reaper.signal(libc::SIGSTOP);
        thread::sleep(Duration::from_millis(1));
        // Whoever comes now is given the dead one's number.
        let mut consumer = queue.consumer().expect("let in");
        producer.push(message(round)).expect("room");
        let receipt = consumer.receive_timeout(Duration::from_secs(2)).expect("the other consumer is stopped");
        reaper.signal(libc::SIGCONT);
        thread::sleep(Duration::from_millis(15));
        receipt.done();
        assert_eq!(queue.counts().redelivered, 0, "a message was taken from a living member's hands (round {round})");
    }
}

fn torture(kind: &str) {
    let seconds = env::var("HANDOVER_TORTURE_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(2.0);
    let mut driver = Child::start(&format!("{kind} {seconds}"));
    assert_eq!(driver.hear(), "balanced");
    driver.finish();
}

#[test]
fn with_many_producers_and_consumers_everything_balances_whoever_is_killed() {
    torture("many");
}

#[test]
fn with_one_producer_and_one_consumer_everything_balances_whoever_is_killed() {
    torture("one-producer-one-consumer");
}

#[test]
fn with_one_producer_and_many_consumers_everything_balances_whoever_is_killed() {
    torture("one-producer");
}

#[test]
fn with_many_producers_and_one_consumer_everything_balances_whoever_is_killed() {
    torture("one-consumer");
}
