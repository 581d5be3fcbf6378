//! A segment that somebody scribbles over, before it is opened and while it is in use: errors or messages come of it,
//! and never a panic, a crash or a hang.
//!
//! The scribbler writes to the segment's file, which is the same memory, at random places: random bytes, and numbers
//! like those that belong there (tickets, stamps and counts of near laps, of all states and owners). The random numbers
//! are the same at each run. `HANDOVER_HOSTILE_SECONDS` makes it longer.

mod common;

use std::env;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use common::Name;
use handover::{Consumer, Error, Message, Options, Producer, Queue, Shareable, Wait, inspect};

const CONTROL: u64 = 1024;
const ENTRY: u64 = 128;
const ENTRIES: u64 = 8;

/// Small and repeatable.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(32)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    /// Small, near the end, or anything.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(8),
            1 => u64::MAX - self.below(8),
            2 => 1 << self.below(64),
            _ => self.next(),
        }
    }
}

/// Ends the process if nothing moves for long: a test that hangs is not told from one that is slow.
struct Watch {
    beats: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watcher: Option<thread::JoinHandle<()>>,
}

impl Watch {
    fn new(what: &'static str) -> Watch {
        let (beats, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, ended) = (Arc::clone(&beats), Arc::clone(&over));
        let watcher = thread::spawn(move || {
            let (mut last, mut moved) = (seen.load(SeqCst), Instant::now());
            while !ended.load(SeqCst) {
                thread::sleep(Duration::from_millis(20));
                let now = seen.load(SeqCst);
                if now != last {
                    (last, moved) = (now, Instant::now());
                }
                if moved.elapsed() > Duration::from_secs(5) {
                    eprintln!("{what}: hangs at step {now}");
                    process::abort();
                }
            }
        });
        Watch { beats, over, watcher: Some(watcher) }
    }

    fn beat(&self) -> u64 {
        self.beats.fetch_add(1, SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        if let Some(watcher) = self.watcher.take() {
            watcher.join().expect("the watcher only watches");
        }
    }
}

/// A segment's file and its measures.
struct Body {
    file: File,
    start: u64,
    length: u64,
    slots: u64,
    stride: u64,
    capacity: u64,
}

impl Body {
    fn of(name: &str) -> Body {
        let path = format!("/dev/shm/handover.{name}");
        let file = OpenOptions::new().read(true).write(true).open(path).expect("the segment");
        let word = |offset| {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, offset).expect("within the header");
            u64::from_le_bytes(bytes)
        };
        let (capacity, stride, start, total) = (word(24), word(64), word(72), word(80));
        let slots = total - stride * capacity;
        Body { file, start, length: total - start, slots, stride, capacity }
    }

    fn word(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, offset).expect("within the segment");
        u64::from_le_bytes(bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset).expect("within the segment");
    }

    fn set(&self, offset: u64, word: u64) {
        self.write(offset, &word.to_le_bytes());
    }

    fn clear(&self) {
        self.write(self.start, &vec![0; self.length as usize]);
    }

    /// A position: one that stands in a ticket or near it, or any.
    fn position(&self, random: &mut Random) -> u64 {
        let index_bits = if self.capacity == 1 { 0 } else { 64 - (self.capacity - 1).leading_zeros() };
        match random.below(4) {
            0 => (random.below(4) << index_bits | random.below(self.capacity)) & ((1 << 46) - 1),
            1 => random.next() & ((1 << 46) - 1),
            _ => {
                let ticket = self.word(self.start + 128 * random.below(2)) & ((1 << 46) - 1);
                ticket.wrapping_add(random.below(5)).wrapping_sub(2) & ((1 << 46) - 1)
            }
        }
    }

    /// A ticket as a member might have written it, or nearly.
    fn ticket(&self, random: &mut Random) -> u64 {
        let closed = u64::from(random.below(16) == 0);
        let owner = [random.below(ENTRIES + 4), random.below(1024)][random.below(2) as usize];
        let count = [random.below(4), random.below(128)][random.below(2) as usize];
        closed << 63 | count << 56 | owner << 46 | self.position(random)
    }

    /// A stamp as a member might have written it, or nearly.
    fn stamp(&self, random: &mut Random) -> u64 {
        let index_bits = if self.capacity == 1 { 0 } else { 64 - (self.capacity - 1).leading_zeros() };
        let state = [random.below(8), random.below(16)][random.below(2) as usize];
        let lap = (self.position(random) >> index_bits).wrapping_sub(random.below(2)) & ((1 << 44) - 1);
        let owner = [0, random.below(ENTRIES + 4)][random.below(2) as usize];
        let count = [0, random.below(64)][random.below(2) as usize];
        state << 60 | count << 54 | owner << 44 | lap
    }

    /// One scribble.
    fn scribble(&self, random: &mut Random) {
        match random.below(16) {
            0 => {
                let length = 1 + random.below(64.min(self.length));
                let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
                self.write(self.start + random.below(self.length - length + 1), &bytes);
            }
            1 => {
                // A bit.
                let at = self.start + random.below(self.length / 8) * 8;
                self.set(at, self.word(at) ^ 1 << random.below(64));
            }
            2 => self.set(self.start + random.below(CONTROL / 8) * 8, random.number()),
            3 => self.set(self.start + 128 * random.below(8) + 8 * random.below(2), random.number()),
            4 | 5 => self.set(self.start + 128 * random.below(2), self.ticket(random)),
            6 => {
                // Ticket or count: a little on or back.
                let at = self.start + 128 * random.below(2);
                self.set(at, self.word(at).wrapping_add(random.below(7)).wrapping_sub(3));
            }
            7 => {
                let entry = self.start + CONTROL + ENTRY * random.below(ENTRIES);
                self.set(entry, [random.below(4), random.next()][random.below(2) as usize]);
            }
            8 => {
                let entry = self.start + CONTROL + ENTRY * random.below(ENTRIES);
                self.set(entry + 8 * random.below(ENTRY / 8), random.number());
            }
            _ => {
                let slot = self.slots + self.stride * random.below(self.capacity);
                self.set(slot & !7, self.stamp(random));
            }
        }
    }
}

/// What may come of a scribbled segment; everything else is too much.
fn expected(error: &Error) -> bool {
    use Error::{Closed, Corrupt, Empty, Full, Message, Taken, TooManyMembers};
    matches!(error, Full | Empty | Closed | Corrupt { .. } | Message { .. } | Taken { .. } | TooManyMembers { .. })
}

fn check<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if expected(&error) => None,
        Err(error) => panic!("not an error for this: {error}"),
    }
}

fn fine<T>(result: Result<T, Error>) {
    check(result);
}

const SHORT: Duration = Duration::from_micros(300);

fn push_somehow<'m, M: Message + ?Sized>(
    producer: &mut Producer<M>,
    random: &mut Random,
    message: &mut dyn FnMut() -> M::Push<'m>,
) {
    producer.set_wait([Wait::Spin, Wait::Balanced, Wait::Park][random.below(3) as usize]);
    match random.below(6) {
        0 | 1 => fine(producer.try_push(message()).map_err(Error::from)),
        2 => fine(producer.push_timeout(message(), SHORT).map_err(Error::from)),
        3 => {
            let messages: Vec<_> = (0..1 + random.below(70)).map(|_| message()).collect();
            fine(producer.try_push_batch(&mut messages.into_iter().peekable()));
        }
        4 => {
            if let Some(loan) = check(producer.loan_timeout(SHORT)) {
                match random.below(8) {
                    0 => std::mem::forget(loan),
                    1..=3 => drop(loan),
                    _ => fine(loan.put(message())),
                }
            }
        }
        _ => fine(producer.try_loan().map(drop)),
    }
}

fn pop_somehow<M: Message + ?Sized>(consumer: &mut Consumer<M>, random: &mut Random) {
    consumer.set_wait([Wait::Spin, Wait::Balanced, Wait::Park][random.below(3) as usize]);
    match random.below(6) {
        0 | 1 => fine(consumer.try_pop()),
        2 => fine(consumer.pop_timeout(SHORT)),
        3 => fine(consumer.try_pop_batch(&mut Vec::new(), 1 + random.below(70) as usize)),
        4 => fine(consumer.pop_batch_timeout(&mut Vec::new(), 64, SHORT)),
        _ => {
            if let Some(receipt) = check(consumer.receive_timeout(SHORT)) {
                match random.below(8) {
                    0 => std::mem::forget(receipt),
                    1 | 2 => drop(receipt),
                    3 => fine(receipt.take()),
                    _ => receipt.done(),
                }
            }
        }
    }
    let _ = consumer.redeliveries();
}

fn look<M: Message + ?Sized>(queue: &Queue<M>) {
    assert!(queue.len() <= queue.capacity());
    let _ = (queue.is_closed(), queue.is_empty(), queue.counts(), queue.members(), format!("{queue:?}"));
}

/// Lives a short life with the queue, scribbling between the calls.
fn live<M: Shareable + ?Sized>(
    name: &str,
    body: &Body,
    random: &mut Random,
    watch: &Watch,
    message: &mut dyn FnMut() -> M::Push<'static>,
) {
    let queue = Queue::<M>::open(name).expect("the header is as it was");
    look(&queue);
    let Some(mut producer) = check(queue.producer()) else { return };
    let Some(mut consumer) = check(queue.consumer()) else { return };
    for _ in 0..40 {
        match random.below(8) {
            0..=2 => body.scribble(random),
            3 | 4 => push_somehow(&mut producer, random, message),
            5 | 6 => pop_somehow(&mut consumer, random),
            _ => look(&queue),
        }
        watch.beat();
    }
    if random.below(4) == 0 {
        queue.close();
        for _ in 0..3 {
            check(consumer.pop_timeout(SHORT));
            body.scribble(random);
            watch.beat();
        }
    }
    let _ = inspect(name).map_err(|error| assert!(expected(&error), "{error}"));
    if random.below(2) == 0 {
        drop(producer);
        body.scribble(random);
    }
}

fn seconds() -> Duration {
    let seconds = env::var("HANDOVER_HOSTILE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(1.5))
}

fn all_kinds() -> Vec<Options> {
    let mut all = Vec::new();
    for capacity in [1, 2, 3, 5, 64, 100] {
        let options = Options::new(capacity).members(ENTRIES as u32 - 2).message_max(20);
        all.extend([
            options.clone(),
            options.clone().one_producer(),
            options.clone().one_consumer(),
            options.one_producer().one_consumer(),
        ]);
    }
    all
}

fn scribbled<M: Shareable + ?Sized>(what: &'static str, seed: u64, message: &mut dyn FnMut() -> M::Push<'static>) {
    let watch = Watch::new(what);
    let start = Instant::now();
    let mut random = Random(seed);
    let queues: Vec<_> = all_kinds()
        .iter()
        .map(|options| {
            let name = Name::new();
            let queue = options.create::<M>(&name).expect("a new name");
            let body = Body::of(&name);
            (name, queue, body)
        })
        .collect();
    while start.elapsed() < seconds() {
        for (name, _queue, body) in &queues {
            if random.below(3) == 0 {
                body.clear();
            }
            for _ in 0..random.below(4) {
                body.scribble(&mut random);
            }
            live::<M>(name, body, &mut random, &watch, message);
        }
    }
}

#[test]
fn plain_messages_in_a_scribbled_queue_are_errors_or_messages() {
    scribbled::<u64>("plain", 0x1234_5678_9abc_def1, &mut || 7);
}

#[test]
fn bytes_in_a_scribbled_queue_are_errors_or_messages() {
    scribbled::<[u8]>("bytes", 0x0f0f_1e1e_2d2d_3c3d, &mut || b"some bytes");
}

#[test]
fn empty_messages_in_a_scribbled_queue_are_errors_or_messages() {
    scribbled::<()>("empty", 0x7777_1111_3333_5555, &mut || ());
}

#[cfg(feature = "serde")]
#[test]
fn encoded_messages_in_a_scribbled_queue_are_errors_or_messages() {
    static WORDS: [&str; 2] = ["some", "words"];
    static OWNED: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let words: &'static Vec<String> = OWNED.get_or_init(|| WORDS.map(str::to_owned).into());
    scribbled::<handover::Postcard<Vec<String>>>("encoded", 0x2468_ace0_1357_9bdf, &mut || words);
}

#[test]
fn a_scribbler_at_work_while_others_push_and_pop_harms_nobody() {
    let watch = Watch::new("at work");
    for (nth, options) in all_kinds().iter().enumerate() {
        let name = Name::new();
        let queue = options.create::<u64>(&name).expect("a new name");
        let body = Body::of(&name);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for worker in 0..4 {
                let (queue, watch, over) = (&queue, &watch, &over);
                scope.spawn(move || {
                    let mut random = Random((0x11_2222_3333_4441 + nth as u64) << 8 | worker);
                    while !over.load(SeqCst) {
                        if worker % 2 == 0 {
                            let Some(mut producer) = check(queue.producer()) else { continue };
                            for _ in 0..50 {
                                push_somehow(&mut producer, &mut random, &mut || 7);
                                watch.beat();
                            }
                        } else {
                            let Some(mut consumer) = check(queue.consumer()) else { continue };
                            for _ in 0..50 {
                                pop_somehow(&mut consumer, &mut random);
                                watch.beat();
                            }
                        }
                    }
                });
            }
            let start = Instant::now();
            let mut random = Random(0x9999_2222_3333_4441 + nth as u64);
            while start.elapsed() < seconds() / 24 {
                body.scribble(&mut random);
                if random.below(50) == 0 {
                    body.clear();
                }
                thread::sleep(Duration::from_micros(random.below(200)));
            }
            over.store(true, SeqCst);
        });
    }
}
