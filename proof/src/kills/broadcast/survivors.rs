//! Those who live on beside a killed or stopped process in a broadcast, and check its promises.

use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use handover::Error;
use handover::broadcast::{Broadcast, Options, Reader, Start, Writer};

use crate::scenes::{MEMBERS, Wide, number, wide};
use crate::survivors::{Broken, Discovery, HOLD_UP, LONG_ENOUGH, PATIENCE, broken, timed};

/// The numbers in the survivors' own messages begin here.
const OWN: u64 = 1 << 40;

/// A surviving reader, and what it was told.
pub struct Witness {
    reader: Reader<Wide>,
    gating: bool,
    /// The number of the message it is to be given next.
    position: u64,
}

impl Witness {
    fn new(reader: Reader<Wide>, gating: bool) -> Witness {
        Witness { position: reader.position(), reader, gating }
    }

    /// Reads all that is there, and compares it with what was published. Returns whether the broadcast is closed.
    fn read_all(&mut self, contents: &[u64], wait: Duration) -> Result<bool, Broken> {
        let mut wait = wait;
        loop {
            match self.reader.next_timeout(wait) {
                Ok(message) => self.came(message.number, &message.message, contents)?,
                Err(Error::Missed { count }) if !self.gating => self.position += count,
                Err(Error::Empty) if wait.is_zero() => break,
                Err(Error::Empty) => wait = Duration::ZERO,
                Err(Error::Closed) => return Ok(true),
                Err(error) => return broken(format!("a reader before message {}: {error}", self.position)),
            }
        }
        Ok(false)
    }

    fn came(&mut self, nth: u64, message: &Wide, contents: &[u64]) -> Result<(), Broken> {
        if nth != self.position {
            return broken(format!("message {nth} came, and not {}", self.position));
        }
        self.position += 1;
        let Some(content) = number(message) else {
            return broken(format!("message {nth} is not whole: {message:x?}"));
        };
        if contents.get(nth as usize) != Some(&content) {
            let published = contents.get(nth as usize);
            return broken(format!("message {nth} is {content:x}, and {published:x?} was published"));
        }
        Ok(())
    }
}

/// A survivor that is asleep while the other one dies. It gives its handle back.
enum Sleeper {
    Reading(JoinHandle<(Result<(), Broken>, Witness)>),
    /// Publishing that message.
    Publishing(u64, JoinHandle<(Result<u64, String>, Writer<Wide>)>),
}

/// A broadcast and those who survive.
pub struct Stage {
    broadcast: Broadcast<Wide>,
    capacity: usize,
    /// The writer, if it is a survivor.
    pub writer: Option<Writer<Wide>>,
    readers: Vec<Witness>,
    /// What was published: the number in each message.
    pub contents: Vec<u64>,
    next: u64,
    sleeper: Option<Sleeper>,
    woken: (mpsc::Sender<Instant>, mpsc::Receiver<Instant>),
    /// The longest that a survivor was held up.
    pub longest: Duration,
}

/// How many slots there are.
pub fn slots(capacity: usize) -> usize {
    capacity + (capacity / 8).clamp(1, 64)
}

impl Stage {
    /// A new broadcast, with an ordinary reader, and maybe a gating one.
    pub fn new(capacity: usize, gating: bool) -> Stage {
        let broadcast = Options::new(capacity).readers(MEMBERS).anonymous::<Wide>().expect("a new broadcast");
        let mut readers = vec![Witness::new(broadcast.reader(Start::Oldest).expect("a place"), false)];
        if gating {
            readers.push(Witness::new(broadcast.gating_reader(Start::Oldest).expect("a place"), true));
        }
        Stage {
            broadcast,
            capacity,
            writer: None,
            readers,
            contents: Vec::new(),
            next: OWN,
            sleeper: None,
            woken: mpsc::channel(),
            longest: Duration::ZERO,
        }
    }

    /// A descriptor for another process.
    pub fn descriptor(&self) -> OwnedFd {
        self.broadcast.share().expect("a descriptor")
    }

    /// How many were published, by whomever.
    pub fn published(&self) -> usize {
        self.broadcast.published() as usize
    }

    /// A survivor becomes the writer, and publishes so many.
    pub fn publish_first(&mut self, count: usize) {
        let writer = || self.broadcast.writer().expect("the only writer");
        self.writer = Some(self.writer.take().unwrap_or_else(writer));
        for _ in 0..count {
            self.publish_one(Duration::ZERO).expect("nobody is in the way");
        }
    }

    /// Publishes one. It must get the next number.
    pub fn publish_one(&mut self, wait: Duration) -> Result<(), Broken> {
        self.try_publish(wait)?.map_err(|error| Broken::Promise(format!("publish: {error}")))
    }

    fn try_publish(&mut self, wait: Duration) -> Result<Result<(), Error>, Broken> {
        self.next += 1;
        let writer = self.writer.as_mut().expect("a writer");
        match writer.publish_timeout(wide(self.next), wait) {
            Ok(number) if number == self.contents.len() as u64 => {
                self.contents.push(self.next);
                Ok(Ok(()))
            }
            Ok(number) => broken(format!("{number} was published, behind {} others", self.contents.len())),
            Err(refused) => Ok(Err(refused.error)),
        }
    }

    /// All survivors read all that is there.
    pub fn read_all(&mut self) -> Result<(), Broken> {
        self.readers.iter_mut().try_for_each(|reader| reader.read_all(&self.contents, Duration::ZERO).map(drop))
    }

    /// The same for the gating one only: others stay behind.
    pub fn read_gating(&mut self) -> Result<(), Broken> {
        let gating = self.readers.iter_mut().filter(|reader| reader.gating);
        gating.into_iter().try_for_each(|reader| reader.read_all(&self.contents, Duration::ZERO).map(drop))
    }

    /// Puts a survivor to sleep: the writer, which is held up, or an ordinary reader, which has read all. `next` is what
    /// may be published behind.
    pub fn put_to_sleep(&mut self, next: &[u64]) {
        let said = self.woken.0.clone();
        self.sleeper = Some(if let Some(mut writer) = self.writer.take() {
            self.next += 1;
            let message = self.next;
            let sleep = move || {
                let published = writer.publish_timeout(wide(message), 4 * PATIENCE);
                let _ = said.send(Instant::now());
                (published.map_err(|refused| refused.error.to_string()), writer)
            };
            Sleeper::Publishing(message, thread::spawn(sleep))
        } else {
            let mut witness = self.readers.remove(0);
            witness.read_all(&self.contents, Duration::ZERO).expect("all is there");
            // What its successor publishes is the next that survivors do.
            let contents = [&self.contents[..], next].concat();
            let (position, own) = (self.contents.len(), self.next + 1);
            let sleep = move || {
                let came = witness.reader.next_timeout(4 * PATIENCE);
                let _ = said.send(Instant::now());
                let result = match came {
                    Ok(message) => witness.came(message.number, &message.message, &contents).or_else(|found| {
                        witness.position = message.number;
                        let other = [&contents[..position], &[own]].concat();
                        witness.came(message.number, &message.message, &other).map_err(|_| found)
                    }),
                    Err(Error::Closed) => Ok(()),
                    Err(error) => broken(format!("a sleeper was told: {error}")),
                };
                (result, witness)
            };
            Sleeper::Reading(thread::spawn(sleep))
        });
        // Until it has left its note, and sleeps.
        thread::sleep(Duration::from_micros(300));
    }

    /// Whether the sleeper has woken; it has to, if `must`, within the time that nobody may be held up.
    fn await_sleeper(&mut self, since: Instant, must: bool) -> Result<(), Broken> {
        if self.sleeper.is_none() {
            return Ok(());
        }
        let woken = self.woken.1.recv_timeout(if must { PATIENCE } else { Duration::ZERO });
        let when = match woken {
            Ok(when) => when,
            Err(_) if must => return broken("a sleeper never woke"),
            Err(_) => return Ok(()),
        };
        match self.sleeper.take() {
            Some(Sleeper::Reading(thread)) => {
                let (result, witness) = thread.join().expect("a sleeper that does not panic");
                self.readers.insert(0, witness);
                result?;
            }
            Some(Sleeper::Publishing(message, thread)) => {
                let (result, writer) = thread.join().expect("a sleeper that does not panic");
                self.writer = Some(writer);
                match result {
                    Ok(number) if number == self.contents.len() as u64 => self.contents.push(message),
                    other => return broken(format!("a sleeping writer was told: {other:?}")),
                }
            }
            None => {}
        }
        self.took("a sleeper's wake-up", when.saturating_duration_since(since))
    }

    fn took(&mut self, what: &str, time: Duration) -> Result<(), Broken> {
        self.longest = self.longest.max(time);
        if time > HOLD_UP { Err(Broken::Late(format!("{what} took {time:?}"))) } else { Ok(()) }
    }

    fn attach_reader(&mut self, gating: bool) -> Result<(), Broken> {
        let attach = || match gating {
            true => self.broadcast.gating_reader(Start::Oldest),
            false => self.broadcast.reader(Start::Oldest),
        };
        let reader = timed(&mut self.longest, "attaching a reader", attach)?;
        let reader = reader.map_err(|error| Broken::Promise(format!("no reader is let in: {error}")))?;
        let oldest = self.broadcast.published().saturating_sub(self.capacity as u64);
        let began = reader.position();
        self.readers.push(Witness::new(reader, gating));
        if began < oldest || began > oldest + (slots(self.capacity) - self.capacity) as u64 {
            return broken(format!("a new reader begins with {began}, and {oldest} is the oldest"));
        }
        Ok(())
    }

    /// Goes on beside a stopped writer: what it has published by now is some of `published`, and nothing else is read.
    pub fn go_on_beside_writer(&mut self, published: &[u64], refused: bool) -> Result<(), Broken> {
        let contents = [&self.contents[..], published].concat();
        self.attach_reader(false)?;
        for witness in &mut self.readers {
            witness.read_all(&contents, LONG_ENOUGH)?;
        }
        if refused && !matches!(self.broadcast.writer(), Err(Error::Taken { .. })) {
            return broken("a second writer was let in beside a stopped one");
        }
        self.nobody_is_dead()
    }

    /// Goes on beside a stopped reader. A gating one, which is done with all before `holds`, is waited for; where it
    /// comes or goes, it may be.
    pub fn go_on_beside_reader(&mut self, holds: Option<u64>, may_hold: bool) -> Result<(), Broken> {
        self.attach_reader(false)?;
        let (capacity, slots) = (self.capacity as u64, slots(self.capacity) as u64);
        let mut full = false;
        for _ in 0..=2 * slots {
            match self.try_publish(LONG_ENOUGH)? {
                Ok(()) => {}
                Err(Error::Full) if holds.is_some() || may_hold => {
                    full = true;
                    break;
                }
                Err(error) => return broken(format!("publish beside a stopped reader: {error}")),
            }
            self.read_gating()?;
        }
        let published = self.contents.len() as u64;
        if let Some(position) = holds
            && (!full || !(position + capacity..=position + slots).contains(&published))
        {
            return broken(format!("{published} were published beside a stopped reader that holds {position}"));
        }
        self.read_all()?;
        self.nobody_is_dead()
    }

    fn nobody_is_dead(&self) -> Result<(), Broken> {
        let report = self.broadcast.report();
        if report.readers.iter().any(|reader| !reader.alive) || report.writer.is_some_and(|(_, alive)| !alive) {
            return broken(format!("somebody is listed as dead, and nobody is: {report:?}"));
        }
        Ok(())
    }

    /// What a reader that was stopped says it was given, and that it missed: from where it began to the end, in order.
    pub fn compare(&self, began: Option<u64>, told: &[(u64, u64)], missed: u64) -> Result<(), Broken> {
        // Where it began only now, it says with its first message, and what it missed before that.
        let first = told.first().map_or(self.contents.len() as u64, |told| told.0);
        let mut expected = began.unwrap_or(first.saturating_sub(missed));
        let mut skipped = 0;
        for &(nth, content) in told {
            if nth < expected {
                return broken(format!("the stopped reader was given {nth}, and was at {expected}"));
            }
            skipped += nth - expected;
            expected = nth + 1;
            if self.contents.get(nth as usize) != Some(&content) {
                return broken(format!("the stopped reader was given {content:x} as message {nth}"));
            }
        }
        skipped += self.contents.len() as u64 - expected;
        if skipped != missed {
            return broken(format!("the stopped reader missed {skipped} and was told {missed}: {told:?}"));
        }
        Ok(())
    }

    /// Another process has died in it. It may have published some of `next`, as many as `allowed`, and may have closed it,
    /// as `closes` says. Checks that, and that the broadcast is as good as new for `more` messages.
    pub fn check(
        &mut self,
        next: &[u64],
        allowed: &RangeInclusive<usize>,
        closes: &[bool],
        discovery: Discovery,
        more: usize,
    ) -> Result<(), Broken> {
        let dead = Instant::now();
        if matches!(self.sleeper, Some(Sleeper::Publishing(..))) {
            // Nobody living is in its way.
            self.read_gating()?;
            self.await_sleeper(dead, true)?;
        }
        let closed = self.broadcast.is_closed();
        if !closes.contains(&closed) {
            return broken(if closed { "closed by nobody" } else { "a close that returned is not seen" });
        }
        let published = (self.broadcast.published() as usize).checked_sub(self.contents.len());
        let Some(published) = published.filter(|count| allowed.contains(count)) else {
            return broken(format!("{published:?} were published, and not any of {allowed:?}"));
        };
        self.contents.extend(&next[..published]);
        self.await_sleeper(dead, published > 0 || closed)?;
        if discovery == Discovery::Newcomer {
            self.attach_reader(false)?;
        }
        let all_closed = self.readers.iter_mut().map(|reader| reader.read_all(&self.contents, Duration::ZERO));
        for (nth, told) in all_closed.collect::<Result<Vec<bool>, Broken>>()?.into_iter().enumerate() {
            if told != closed {
                return broken(format!("reader {nth} was told closed: {told}, and it is: {closed}"));
            }
        }
        if closed {
            return match self.broadcast.writer() {
                Err(Error::Closed) => self.count_members(),
                other => broken(format!("a writer of the closed broadcast: {other:?}")),
            };
        }
        self.go_on()?;
        self.fill()?;
        self.laps(more)?;
        self.count_members()
    }

    /// A successor goes on with the next number, and nobody dead is in its way.
    fn go_on(&mut self) -> Result<(), Broken> {
        if self.writer.is_none() {
            let writer = timed(&mut self.longest, "attaching a writer", || self.broadcast.writer())?;
            self.writer = Some(writer.map_err(|error| Broken::Promise(format!("no writer is let in: {error}")))?);
        }
        for turn in 0..slots(self.capacity) + self.capacity {
            let begun = Instant::now();
            self.publish_one(PATIENCE)?;
            self.took("publishing", begun.elapsed())?;
            if turn == 0 {
                self.await_sleeper(begun, true)?;
            }
            self.read_gating()?;
        }
        self.read_all()
    }

    /// A gating reader that does not read holds the writer up, as far from it as in a new ring.
    fn fill(&mut self) -> Result<(), Broken> {
        if self.readers.iter().all(|reader| !reader.gating) {
            self.attach_reader(true)?;
        }
        self.read_all()?;
        let before = self.contents.len();
        let most = slots(self.capacity);
        let full = loop {
            match self.try_publish(Duration::ZERO)? {
                Ok(()) if self.contents.len() - before > most => break false,
                Ok(()) => {}
                Err(Error::Full) => break true,
                Err(error) => return broken(format!("publish into the ring: {error}")),
            }
        };
        let room = self.contents.len() - before;
        if !full || room < self.capacity {
            return broken(format!("{room} found room, of {} to {most}", self.capacity));
        }
        self.read_all()
    }

    /// Messages to all, as in a new ring.
    fn laps(&mut self, messages: usize) -> Result<(), Broken> {
        let burst = self.capacity.div_ceil(2);
        for _ in 0..messages.div_ceil(burst) {
            for _ in 0..burst {
                self.publish_one(Duration::ZERO)?;
            }
            let before: Vec<u64> = self.readers.iter().map(|reader| reader.position).collect();
            self.read_all()?;
            let read = self.readers.iter().zip(before).all(|(reader, before)| reader.position == before + burst as u64);
            if !read {
                return broken("somebody did not get all that was published");
            }
        }
        Ok(())
    }

    /// No place in the roster is lost.
    fn count_members(&mut self) -> Result<(), Broken> {
        let mut more = Vec::new();
        for place in self.readers.len()..MEMBERS as usize {
            match self.broadcast.reader(Start::Newest) {
                Ok(reader) => more.push(reader),
                Err(error) => return broken(format!("place {place} of {MEMBERS} in the roster is lost: {error}")),
            }
        }
        match self.broadcast.reader(Start::Newest) {
            Err(Error::TooManyMembers { .. }) => {}
            other => return broken(format!("one reader too many: {other:?}")),
        }
        self.nobody_is_dead()
    }
}
