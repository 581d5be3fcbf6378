//! One broadcast, its writer, gating and ordinary readers, and what is done to them.
//!
//! Every writer that is let in has a number, and writes down outside of the broadcast where it begins. A message is its
//! writer's number and its own; so each reader can tell by itself whether what it got is what was published there.

use std::process;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use handover::broadcast::{Broadcast, Numbered, Options, Patience, Reader, Start};
use handover::{Error, SharedMemory};

use super::Tally;
use super::crowd::{self, Crowd};
use super::ledger::{BATCH, Message, POISON, message};
use super::round::STUCK;
use super::workers::{a_time, a_wait, attached, leave, wrong};
use crate::random::Random;

/// Readers at a time.
const READERS: u32 = 16;
/// Writers that may be let in, one after the other.
const WRITERS: usize = 1 << 16;
/// A message's number in its first word; above: its writer.
const NUMBER: u64 = (1 << 44) - 1;

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Write,
    Read,
    Gate,
}

/// What happened, in memory that the broadcast does not know.
struct Ledger(SharedMemory);

impl Ledger {
    fn new() -> Ledger {
        Ledger(SharedMemory::anonymous(8 * (8 + WRITERS)).expect("room for the ledger"))
    }

    fn word(&self, nth: usize) -> &AtomicU64 {
        self.0.atomic_u64(8 * nth).expect("within the ledger")
    }

    /// How many writers were let in.
    fn writers(&self) -> &AtomicU64 {
        self.word(0)
    }

    /// The publishing of all messages before this has returned.
    fn returned(&self) -> &AtomicU64 {
        self.word(1)
    }

    /// How much was published and read: stands still if everybody is stuck.
    fn progress(&self) -> &AtomicU64 {
        self.word(2)
    }

    /// Not zero: the writer is to close it.
    fn closing(&self) -> &AtomicU64 {
        self.word(3)
    }

    /// How many messages readers were told that they missed, and how many they read.
    fn missed(&self) -> &AtomicU64 {
        self.word(4)
    }

    fn read(&self) -> &AtomicU64 {
        self.word(5)
    }

    /// One more than the number of a writer's first message; 0 until it is let in.
    fn first(&self, writer: u64) -> &AtomicU64 {
        self.word(8 + writer as usize)
    }
}

/// A reader's account of what it was told.
struct Account<'a> {
    ring: &'a Broadcast<Message>,
    ledger: &'a Ledger,
    /// The number of the message that has to come next.
    position: u64,
    /// The writer waits for it.
    misses_nothing: bool,
}

impl Account<'_> {
    fn came(&mut self, came: &Numbered<Message>, how: &str) {
        let Numbered { number, message: content } = *came;
        if number != self.position {
            wrong(&format!("{how}: message {number} came, and not {}", self.position));
        }
        if content != message(content[0]) {
            wrong(&format!("{how}: half a message as number {number}: {content:x?}"));
        }
        let (writer, published_as) = (content[0] >> 44, content[0] & NUMBER);
        let first = |writer: u64| self.ledger.first(writer).load(SeqCst);
        // Those of a killed writer that were not published have a successor's in their place.
        let (began, ended) = if (writer as usize) < WRITERS - 1 { (first(writer), first(writer + 1)) } else { (0, 0) };
        if content[0] == POISON || published_as != number || began == 0 || number + 1 < began {
            wrong(&format!("{how}: what came as number {number} was never published: {content:x?}"));
        }
        if ended != 0 && number + 1 >= ended {
            wrong(&format!("{how}: message {number} of writer {writer}, whose successor began with {}", ended - 1));
        }
        self.position += 1;
    }

    fn missed(&mut self, count: u64, how: &str) {
        self.position += count;
        if self.misses_nothing || count == 0 {
            wrong(&format!("{how}: missed {count}, up to {}", self.position));
        }
        if self.position + self.ring.capacity() as u64 > self.ring.published() {
            wrong(&format!("{how}: missed {count} up to {}, which were still kept", self.position));
        }
        self.ledger.missed().fetch_add(count, SeqCst);
    }

    fn closed(&self) {
        if self.position != self.ring.published() {
            wrong(&format!("told of the close at {}, of {}", self.position, self.ring.published()));
        }
    }
}

/// Publishes in every way until it is to close the broadcast, or somebody has.
fn write(ring: &Broadcast<Message>, ledger: &Ledger, patience: Patience, random: &mut Random) {
    loop {
        let mut writer = match attached(|| ring.writer().map(Some).or_else(closed_is_nobody)) {
            Some(writer) => writer,
            None => return,
        };
        writer.set_wait(a_wait(random));
        writer.set_patience(patience);
        let mut next = ring.published();
        if next < ledger.returned().load(SeqCst) {
            wrong(&format!("begins with {next}, and {} were published", ledger.returned().load(SeqCst)));
        }
        let me = ledger.writers().fetch_add(1, SeqCst);
        if me as usize + 2 >= WRITERS {
            return writer.close();
        }
        ledger.first(me).store(next + 1, SeqCst);
        for _ in 0..1 + random.below(20_000) {
            if ledger.closing().load(SeqCst) != 0 {
                return writer.close();
            }
            let mine = |number: u64| message(me << 44 | number);
            let published = match random.below(10) {
                0..=2 => writer.publish(mine(next)).map_err(Error::from).map(|number| number + 1),
                3 => writer.try_publish(mine(next)).map_err(Error::from).map(|number| number + 1),
                4 => writer.publish_timeout(mine(next), a_time(random)).map_err(Error::from).map(|number| number + 1),
                5 => {
                    let most = 1 + random.below(BATCH as u64);
                    writer.publish_batch((next..next + most).map(mine)).map(|count| next + count as u64)
                }
                6 | 7 => writer.loan().and_then(|mut loan| {
                    loan.view().set(0, &message(POISON));
                    loan.view().set(0, &mine(next));
                    loan.publish().map(|number| number + 1)
                }),
                8 => writer.try_loan().map(|mut loan| {
                    loan.view().set(0, &message(POISON));
                    next
                }),
                _ => {
                    thread::sleep(Duration::from_micros(random.below(100)));
                    Ok(next)
                }
            };
            match published {
                Ok(end) if end >= next && end == ring.published() => {
                    ledger.progress().fetch_add(end - next, SeqCst);
                    ledger.returned().store(end, SeqCst);
                    next = end;
                }
                Ok(end) => wrong(&format!("published {next} and then {end}, of {}", ring.published())),
                Err(Error::Full) => {}
                Err(error) => wrong(&format!("publishing failed: {error}")),
            }
        }
    }
}

/// There is no writer any more, and that is well.
fn closed_is_nobody<T>(error: Error) -> Result<Option<T>, Error> {
    if matches!(error, Error::Closed) { Ok(None) } else { Err(error) }
}

/// Reads in every way, in one attachment after the other, until the broadcast is closed and all is read.
fn read(ring: &Broadcast<Message>, ledger: &Ledger, gating: bool, thrown_out: bool, random: &mut Random) {
    loop {
        let start = match random.below(3) {
            0 => Start::Oldest,
            1 => Start::Newest,
            _ => Start::At(ring.published().saturating_sub(random.below(2 * ring.capacity() as u64 + 2))),
        };
        let attach = || if gating { ring.gating_reader(start) } else { ring.reader(start) };
        let mut reader: Reader<Message> = attached(attach);
        reader.set_wait(a_wait(random));
        let position = reader.position();
        // One that asked for what is gone begins later, and does not miss it.
        let misses_nothing = gating && !thrown_out;
        let mut account = Account { ring, ledger, position, misses_nothing };
        for _ in 0..1 + random.below(3000) {
            let way = random.below(12);
            let result = match way {
                0..=2 => reader.next().map(|came| account.came(&came, "next")),
                3 => reader.try_next().map(|came| account.came(&came, "try_next")),
                4 => reader.next_timeout(a_time(random)).map(|came| account.came(&came, "next_timeout")),
                5..=8 => {
                    let mut batch = Vec::with_capacity(BATCH);
                    let most = 1 + random.below(BATCH as u64) as usize;
                    let count = if way == 5 {
                        reader.try_next_batch(&mut batch, most)
                    } else {
                        reader.next_batch(&mut batch, most)
                    };
                    batch.iter().for_each(|came| account.came(came, "next_batch"));
                    count.map(|count| {
                        if count != batch.len() || count == 0 {
                            wrong(&format!("a batch of {count}, shown {}", batch.len()));
                        }
                    })
                }
                9 | 10 => reader.read_in_place(|view| view.get(0)).map(|came| account.came(&came, "read_in_place")),
                _ => {
                    if random.below(50) == 0 {
                        thread::sleep(Duration::from_micros(random.below(1000)));
                    }
                    Ok(())
                }
            };
            let read = account.position - position;
            match result {
                Ok(()) | Err(Error::Empty) => {}
                Err(Error::Missed { count }) => account.missed(count, "a reader"),
                Err(Error::Closed) => return account.closed(),
                Err(error) => wrong(&format!("a read failed behind {read}: {error}")),
            }
            if reader.position() != account.position {
                wrong(&format!("is at {}, and was told of {}", reader.position(), account.position));
            }
            ledger.progress().fetch_add(1, SeqCst);
        }
        ledger.read().fetch_add(account.position - position, SeqCst);
    }
}

pub(super) struct BroadcastRound<'a> {
    tally: &'a mut Tally,
    random: Random,
    name: String,
    ring: Broadcast<Message>,
    ledger: Ledger,
    patience: Patience,
    crowd: Crowd<Job>,
    begun: usize,
    what: String,
}

impl<'a> BroadcastRound<'a> {
    /// A new broadcast. Without a capacity: of any.
    pub(super) fn new(tally: &'a mut Tally, capacity: Option<usize>, mut random: Random, what: String) -> Self {
        let capacity = capacity.unwrap_or_else(|| 1 + random.below(100) as usize);
        let name = format!("torture-broadcast-{}", process::id());
        let _ = handover::remove(&name);
        let ring = Options::new(capacity).readers(READERS).create(&name).expect("a new name");
        let patience = match random.below(3) {
            0 => Patience::Until(Duration::from_millis(1 + random.below(10))),
            _ => Patience::Endless,
        };
        let (ledger, crowd) = (Ledger::new(), Crowd::new(&what));
        BroadcastRound { tally, random, name, ring, ledger, patience, crowd, begun: 0, what }
    }

    fn begin(&mut self, job: Job) {
        let random = &mut Random::new(self.random.number());
        let (name, ledger, patience) = (&self.name, &self.ledger, self.patience);
        let pid = crowd::begin(|| {
            let ring = Broadcast::open(name).unwrap_or_else(|error| wrong(&format!("could not open: {error}")));
            match job {
                Job::Write => write(&ring, ledger, patience, random),
                Job::Read => read(&ring, ledger, false, false, random),
                Job::Gate => read(&ring, ledger, true, patience != Patience::Endless, random),
            }
            leave()
        });
        self.crowd.add(pid, job, self.begun);
        self.begun += 1;
    }

    fn begin_all(&mut self) {
        // There may be one writer: a second waits to be let in.
        [Job::Write; 2].into_iter().for_each(|job| self.begin(job));
        for _ in 0..1 + self.random.below(3) {
            self.begin(Job::Read);
        }
        for _ in 0..self.random.below(3) {
            self.begin(Job::Gate);
        }
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
            // A stopped gating reader holds everybody up.
            if now != progress || self.crowd.anybody_stopped() {
                (progress, moved) = (now, Instant::now());
            }
            self.tally.longest = self.tally.longest.max(moved.elapsed());
            if moved.elapsed() > STUCK {
                self.stuck("nothing moves");
            }
        }
        self.crowd.resume_all();
        if self.random.below(2) == 0 {
            self.close();
        }
        self.crowd.kill_all(self.tally);
        self.tally.messages += self.ledger.returned().load(SeqCst);
        self.tally.read += self.ledger.read().load(SeqCst);
        self.tally.missed += self.ledger.missed().load(SeqCst);
        self.whole();
    }

    /// The writer closes while they work: all have to end, with kills going on among them.
    fn close(&mut self) {
        self.ledger.closing().store(1, SeqCst);
        let start = Instant::now();
        while !self.crowd.workers.is_empty() {
            thread::sleep(Duration::from_micros(200 + self.random.below(800)));
            self.crowd.ended();
            if self.random.below(16) == 0
                && let Some(job) = self.crowd.torment(&mut self.random, self.tally)
                && job == Job::Write
            {
                // Somebody has to close it.
                self.begin(job);
            }
            self.crowd.resume(Instant::now());
            if start.elapsed() > STUCK {
                self.stuck("closed, and not all have left");
            }
        }
    }

    /// Everybody is dead: a successor goes on, and the ring and its roster are as they were at first.
    fn whole(&mut self) {
        let (capacity, returned) = (self.ring.capacity() as u64, self.ledger.returned().load(SeqCst));
        let length = capacity + (capacity / 8).clamp(1, 64);
        let published = self.ring.published();
        if published < returned {
            self.tally.lost += returned - published;
            self.stuck("what was published is gone");
        }
        let mut reader = self.ring.reader(Start::Oldest).expect("let in");
        let position = reader.position();
        let (ring, ledger) = (&self.ring, &self.ledger);
        let mut account = Account { ring, ledger, position, misses_nothing: true };
        let end = loop {
            match reader.try_next() {
                Ok(came) => account.came(&came, "the rest"),
                Err(error) => break error,
            }
        };
        assert_eq!(account.position, published, "{}: the rest ended with {end}", self.what);
        match self.ring.writer() {
            Err(Error::Closed) if self.ring.is_closed() => {}
            Ok(mut writer) if !self.ring.is_closed() => {
                let mut gate = self.ring.gating_reader(Start::Newest).expect("let in");
                for _ in 0..2 {
                    let began = self.ring.published();
                    while writer.try_publish(message(self.ring.published())).is_ok() {}
                    let room = self.ring.published() - began;
                    if !(capacity..=length).contains(&room) {
                        self.tally.leaked += capacity.saturating_sub(room);
                        self.stuck(&format!("{room} found room"));
                    }
                    for number in began..began + room {
                        let came = gate.try_next().expect("it is there");
                        assert_eq!((came.number, came.message), (number, message(number)), "{}", self.what);
                    }
                    assert!(matches!(gate.try_next(), Err(Error::Empty)), "{}: all was read", self.what);
                }
            }
            other => panic!("{}: a writer at the end: {other:?}", self.what),
        }
        drop(reader);
        let all: Vec<_> = (0..READERS).map_while(|_| self.ring.reader(Start::Newest).ok()).collect();
        if all.len() as u32 != READERS {
            self.tally.leaked += u64::from(READERS) - all.len() as u64;
            self.stuck(&format!("only {} readers are let in", all.len()));
        }
    }

    /// Shows what the segment says, and gives up.
    fn stuck(&self, how: &str) -> ! {
        let mut told = format!("{}: {how}\n{:#?}\n", self.what, self.ring.report());
        for worker in &self.crowd.workers {
            told += &format!("pid {}: {:?}, stopped {:?}\n", worker.pid, worker.job, worker.stopped);
        }
        panic!("{told}");
    }
}

impl Drop for BroadcastRound<'_> {
    fn drop(&mut self) {
        let _ = handover::remove(&self.name);
    }
}
