//! Those who live on beside a killed or stopped process in a queue of tasks, and check its promises.

use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use handover::Error;
use handover::tasks::{Lease, Options, Submitter, TaskId, Tasks, Worker};

use super::scenes::{DELAY, GROWTH, KEY, Operation, RESULT, State};
use crate::scenes::{MEMBERS, Wide, number, wide};
use crate::step::Shared;
use crate::survivors::{Broken, Discovery, HOLD_UP, LONG_ENOUGH, PATIENCE, broken, timed};

/// The numbers of the survivors' own tasks begin here.
const OWN: u64 = 1 << 40;
/// Where leases are given for a time: longer than anybody is stepped, or so short that it is soon over.
const TIMED: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(30);
/// The longest that a task that failed waits for its next try.
const PAUSE: Duration = Duration::from_millis(2);
/// What a survivor says came of a task.
const OTHER_RESULT: &[u8] = b"another";

/// What may have become of a task.
#[derive(Debug, Clone)]
pub struct Known {
    pub number: u64,
    /// If it comes: as which try, at least and at most.
    pub tries: RangeInclusive<u32>,
    /// It may come.
    pub comes: bool,
    /// It may be a dead letter.
    pub letter: bool,
    /// It may be neither.
    pub gone: bool,
    /// Nobody who died had to do with it: it keeps its turn.
    pub untouched: bool,
    /// It and its like were submitted in one batch: none comes without those before.
    pub batch: bool,
}

impl Known {
    /// A task that waits.
    pub fn waiting(number: u64) -> Known {
        Known { number, tries: 1..=1, comes: true, letter: false, gone: false, untouched: true, batch: false }
    }

    fn must_come(&self) -> bool {
        self.comes && !self.gone && !self.letter
    }

    /// It is a dead letter.
    pub fn bury(&mut self) {
        *self = Known { comes: false, letter: true, untouched: false, tries: 0..=1, ..Known::waiting(self.number) };
    }
}

/// What came: a task's number, and as which try.
type Came = Vec<(u64, u32)>;

/// What somebody who asked for a result was told, and its handle.
type Told = (Result<Vec<u8>, Error>, Submitter<Wide>);

/// Somebody who asked for a result, and waits for it.
struct Requester {
    thread: JoinHandle<Told>,
}

/// A queue of tasks and those who survive.
pub struct Stage {
    pub queue: Tasks<Wide>,
    capacity: usize,
    submitters: Vec<Submitter<Wide>>,
    workers: Vec<Worker<Wide>>,
    requester: Option<Requester>,
    /// The tasks there are.
    pub known: Vec<Known>,
    next: u64,
    /// The longest that a survivor was held up.
    pub longest: Duration,
}

/// How a queue is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub capacity: usize,
    /// Leases are given for a time.
    pub timed: bool,
    /// And that is soon over.
    pub short: bool,
}

impl Stage {
    /// A new queue, with two submitters and two workers.
    pub fn new(made: Made) -> Stage {
        let mut options = Options::new()
            .capacity(made.capacity)
            .max_capacity(made.capacity + GROWTH)
            .members(MEMBERS)
            .result_max(16)
            .tries(3)
            .backoff(Duration::from_millis(1), Duration::from_millis(1));
        if made.timed {
            options = options.lease(if made.short { SHORT } else { TIMED });
        }
        let queue = options.anonymous::<Wide>().expect("a new queue");
        let submitters = (0..2).map(|_| queue.submitter().expect("a place for a submitter")).collect();
        let workers = (0..2).map(|_| queue.worker().expect("a place for a worker")).collect();
        Stage {
            queue,
            capacity: made.capacity,
            submitters,
            workers,
            requester: None,
            known: Vec::new(),
            next: OWN,
            longest: Duration::ZERO,
        }
    }

    /// A descriptor for another process.
    pub fn descriptor(&self) -> OwnedFd {
        self.queue.share().expect("a descriptor")
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Submits one that must find room.
    pub fn submit_one(&mut self) {
        let number = self.fresh();
        let which = number as usize % self.submitters.len();
        self.submitters[which].try_submit(wide(number)).expect("room for a task");
        self.known.push(Known::waiting(number));
    }

    /// Takes one that must be there, and does it.
    pub fn do_one(&mut self) {
        let worker = &self.workers[0];
        let lease = worker.take_timeout(PATIENCE).expect("a task");
        let done = number(lease.task()).expect("a whole one");
        lease.done_with(RESULT).expect("a lease that lasts");
        self.known.retain(|known| known.number != done);
    }

    /// Brings the queue into a state, from empty, for an operation.
    pub fn prepare(&mut self, state: State, operation: Operation) {
        let rest = |stage: &mut Stage| {
            if stage.capacity > 1 {
                stage.submit_one();
            }
        };
        match (state, operation) {
            (State::One, Operation::DoneWith) => self.request_one(),
            (State::One, Operation::FailLast) => {
                let number = self.fresh();
                self.submitters[0].task(wide(number)).tries(1).submit().expect("room for a task");
                self.known.push(Known::waiting(number));
            }
            (State::Empty, _) => {}
            (State::One, _) => self.submit_one(),
            (State::OneShort, _) => (1..self.capacity).for_each(|_| self.submit_one()),
            (State::Full, _) => (0..self.capacity).for_each(|_| self.submit_one()),
            (State::Letter, _) => {
                let number = self.fresh();
                self.submitters[0].task(wide(number)).tries(1).submit().expect("room for a task");
                self.workers[0].try_take().and_then(|lease| lease.fail("no reason")).expect("a task");
                self.known.push(Known::waiting(number));
                self.known[0].bury();
                self.known[0].tries = 1..=1;
                rest(self);
            }
            (State::Late | State::Expired, _) => {
                let number = self.fresh();
                let submitter = &self.submitters[0];
                submitter.task(wide(number)).deadline(Duration::from_micros(100)).submit().expect("room for a task");
                self.known.push(Known::waiting(number));
                self.known[0].bury();
                rest(self);
                thread::sleep(Duration::from_millis(2));
                if state == State::Expired {
                    // Who comes looks at what is due.
                    drop(self.queue.worker().expect("a place for a worker"));
                }
            }
            (State::Due, _) => {
                for _ in 0..self.capacity.min(2) {
                    let number = self.fresh();
                    let submitter = &self.submitters[0];
                    submitter.task(wide(number)).delay(Duration::from_micros(300)).submit().expect("room for a task");
                    self.known.push(Known { untouched: false, ..Known::waiting(number) });
                }
                thread::sleep(Duration::from_millis(2));
            }
            (State::Over, _) => {
                self.submit_one();
                std::mem::forget(self.workers[0].try_take().expect("a task"));
                self.known[0].tries = 2..=2;
                self.known[0].untouched = false;
                thread::sleep(SHORT + Duration::from_millis(2));
            }
        }
    }

    /// A survivor asks for a task's result, and waits for it.
    fn request_one(&mut self) {
        let number = self.fresh();
        let submitter = self.submitters.pop().expect("a submitter");
        let (said, heard) = mpsc::channel::<TaskId>();
        let wait = move || {
            let mut ticket = submitter.task(wide(number)).request().expect("room for a task");
            let _ = said.send(ticket.id());
            let result = ticket.wait_timeout(4 * PATIENCE);
            drop(ticket);
            (result, submitter)
        };
        self.requester = Some(Requester { thread: thread::spawn(wait) });
        heard.recv().expect("it asks");
        self.known.push(Known::waiting(number));
        // Until it has left its note, and sleeps.
        thread::sleep(Duration::from_micros(300));
    }

    fn await_requester(&mut self) -> Result<(), Broken> {
        let Some(requester) = self.requester.take() else { return Ok(()) };
        let (result, submitter) = requester.thread.join().expect("it does not panic");
        self.submitters.push(submitter);
        match result {
            Ok(result) if result == RESULT || result == OTHER_RESULT => Ok(()),
            other => broken(format!("who asked for a result got {other:?}")),
        }
    }

    /// Does with the queue whatever can be done while another process is stopped in an operation: nothing may fail, but
    /// for want of room or tasks. What came.
    pub fn go_on_beside(&mut self, operation: Operation) -> Result<Came, Broken> {
        // Who comes searches for the dead, and must not find any.
        self.attach_worker()?;
        for turn in 0..2 {
            let number = self.fresh();
            let which = turn % self.submitters.len();
            match self.submitters[which].submit_timeout(wide(number), LONG_ENOUGH).map_err(|refused| refused.error) {
                Ok(_) => self.known.push(Known { untouched: false, ..Known::waiting(number) }),
                Err(Error::Full) => break,
                Err(Error::Closed) if self.queue.is_closed() => break,
                Err(error) => return broken(format!("submit beside a stopped process: {error}")),
            }
        }
        let mut came = Came::new();
        loop {
            let which = came.len() % self.workers.len();
            match self.workers[which].take_timeout(LONG_ENOUGH) {
                Ok(lease) => came.push(finish(lease)?),
                Err(Error::Empty) => break,
                Err(Error::Closed) if self.queue.is_closed() => break,
                Err(error) => return broken(format!("take beside a stopped process: {error}")),
            }
        }
        let report = self.queue.report();
        // The stopped one may have what was due, or the hint to it, which is why it waits; docs/GUARANTEES.md says so.
        let held = report.leased + report.waiting.iter().sum::<usize>();
        if operation == Operation::RingAlarms && came.is_empty() && (held == 0 || report.delayed > 0) {
            return broken("beside one who is stopped, nobody sees to what is due");
        }
        if report.deaths > 0 || report.workers.iter().any(|worker| !worker.alive) {
            return broken("a stopped process is listed as dead");
        }
        self.workers.pop();
        if operation.takes() {
            // When it goes on, it needs something to take; if it has it already, there may be no room for more.
            let number = self.fresh();
            match self.submitters[0].try_submit(wide(number)).map_err(|refused| refused.error) {
                Ok(_) => self.known.push(Known::waiting(number)),
                Err(Error::Full) => {}
                Err(error) => return broken(format!("submit for a stopped process: {error}")),
            }
        }
        Ok(came)
    }

    fn attach_worker(&mut self) -> Result<(), Broken> {
        let worker = timed(&mut self.longest, "attaching a worker", || self.queue.worker())?;
        self.workers.push(worker.map_err(|error| Broken::Promise(format!("no worker is let in: {error}")))?);
        Ok(())
    }

    /// Another process has died in it. Checks that all that is known is there, and that the queue is as good as new for
    /// `more` tasks.
    pub fn check(&mut self, after: &After) -> Result<(), Broken> {
        let closed = self.queue.is_closed();
        if !after.closes.contains(&closed) {
            return broken(if closed { "closed by nobody" } else { "a close that returned is not seen" });
        }
        if after.discovery == Discovery::Newcomer {
            self.attach_worker()?;
        }
        if after.key && !closed {
            self.submit_the_key(after)?;
        }
        let came = self.drain(after, closed)?;
        self.compare(&came)?;
        self.await_requester()?;
        let report = self.queue.report();
        let nothing = report.waiting.iter().sum::<usize>() + report.delayed + report.leased + report.finished;
        if nothing + report.dead_letters > 0 {
            return broken(format!("all is done, and there is something left: {report:?}"));
        }
        if !after.capacities.contains(&report.capacity) {
            return broken(format!("a capacity of {}, and not of {:?}", report.capacity, after.capacities));
        }
        if !closed {
            self.fill_and_empty(report.capacity)?;
            self.laps(report.capacity, after.more)?;
        }
        self.count_members()
    }

    /// The key of one who was killed is taken if its task waits, and not if there is none; and nobody waits long to be
    /// told.
    fn submit_the_key(&mut self, after: &After) -> Result<(), Broken> {
        let own = self.fresh();
        let submitter = &self.submitters[0];
        let submit = || submitter.task(wide(own)).key(KEY).submit_timeout(LONG_ENOUGH).map_err(|refused| refused.error);
        let submitted = timed(&mut self.longest, "submitting the same key", submit)?;
        let the_one = self.known.iter_mut().find(|known| known.number == after.first).expect("it is known");
        match submitted {
            Ok(_) if the_one.gone => {
                the_one.comes = false;
                self.known.push(Known { untouched: false, ..Known::waiting(own) });
                Ok(())
            }
            Ok(_) => broken("a second task of the same key was taken in"),
            Err(Error::Duplicate { .. }) if the_one.comes => {
                the_one.gone = false;
                Ok(())
            }
            // The task is there, or a block that one has in its hands who is dead is not found yet.
            Err(Error::Full) => Ok(()),
            Err(error) => broken(format!("submitting the same key: {error}")),
        }
    }

    /// Takes out everything that is there.
    fn drain(&mut self, after: &After, closed: bool) -> Result<Came, Broken> {
        let strict = after.discovery == Discovery::Newcomer && !after.delayed;
        let mut came = Came::new();
        let mut late = None;
        loop {
            let left = self
                .known
                .iter()
                .any(|known| known.must_come() && !came.iter().any(|(number, _)| *number == known.number));
            let wait = match (left || !strict && self.anything_left(), strict) {
                (true, _) => PATIENCE,
                (false, true) => Duration::ZERO,
                (false, false) => 2 * LONG_ENOUGH,
            };
            let which = came.len() % self.workers.len();
            let begun = Instant::now();
            let worker = &self.workers[which];
            let taken = if wait.is_zero() { worker.try_take() } else { worker.take_timeout(wait) };
            let took = begun.elapsed();
            match taken {
                Ok(lease) => {
                    came.push(finish(lease)?);
                    let held_up = took.saturating_sub(if after.delayed { DELAY.max(PAUSE) } else { Duration::ZERO });
                    self.longest = self.longest.max(held_up);
                    if held_up > HOLD_UP {
                        late = Some(format!("{:?} came after {took:?}", came.last()));
                    }
                    if came.len() > self.known.len() + 4 {
                        return broken(format!("more than was submitted came: {came:?}, of {:?}", self.known));
                    }
                }
                Err(Error::Empty) => break,
                Err(Error::Closed) if closed => break,
                Err(error) => return broken(format!("take: {error}; had {came:?}, of {:?}", self.known)),
            }
        }
        late.map_or(Ok(came), |late| Err(Broken::Late(late)))
    }

    /// Whether anything is there that will come, if late.
    fn anything_left(&self) -> bool {
        let report = self.queue.report();
        report.waiting.iter().sum::<usize>() + report.delayed + report.leased > 0
    }

    /// Each task is where it may be, and nothing is anywhere else. The dead letters are thrown away.
    fn compare(&mut self, came: &Came) -> Result<(), Broken> {
        let letters = self.queue.dead_letters();
        let mut left: Came = came.clone();
        let mut buried: Came = letters
            .iter()
            .map(|one| (one.task.as_ref().ok().and_then(number).unwrap_or(u64::MAX), one.tries))
            .collect();
        let told = |what: &str, known: &Known| {
            let report = self.queue.report();
            let left = (report.waiting, report.delayed, report.leased, report.deaths);
            broken(format!("{what}: {known:?}; {came:?} came, {letters:?} are dead letters, and {left:?} is left"))
        };
        let take_out = |list: &mut Came, known: &Known| {
            let at = list.iter().position(|(number, _)| *number == known.number)?;
            Some(list.remove(at).1)
        };
        let mut batch_ended = false;
        for known in &self.known {
            let (comes, letter) = (take_out(&mut left, known), take_out(&mut buried, known));
            match (comes, letter) {
                (Some(_), Some(_)) => return told("delivered, and a dead letter", known),
                (Some(_), None) if !known.comes => return told("delivered", known),
                (None, Some(_)) if !known.letter => return told("a dead letter", known),
                (None, None) if !known.gone => return told("lost", known),
                (Some(tries), None) | (None, Some(tries)) if !known.tries.contains(&tries) => {
                    return told("tries are counted wrongly", known);
                }
                _ => {}
            }
            if known.batch {
                if comes.is_some() && batch_ended {
                    return told("without those before it in its batch", known);
                }
                batch_ended |= comes.is_none();
            }
        }
        if !left.is_empty() || !buried.is_empty() {
            return broken(format!(
                "delivered once more, or by nobody submitted: {left:?} {buried:?}, {:?}",
                self.known
            ));
        }
        let turns = |number: &u64| self.known.iter().position(|known| known.untouched && known.number == *number);
        let order: Vec<usize> = came.iter().filter_map(|(number, _)| turns(number)).collect();
        if !order.is_sorted() {
            return broken(format!("out of turn: {came:?}, of {:?}", self.known));
        }
        for letter in letters {
            self.queue.purge(letter.id).map_err(|error| Broken::Promise(format!("purge: {error}")))?;
        }
        self.known.clear();
        Ok(())
    }

    /// Every block takes a task, at once.
    fn fill_and_empty(&mut self, capacity: usize) -> Result<(), Broken> {
        let begun = Instant::now();
        let numbers: Vec<u64> = (0..capacity).map(|_| self.fresh()).collect();
        for (nth, &number) in numbers.iter().enumerate() {
            let which = nth % self.submitters.len();
            if let Err(refused) = self.submitters[which].try_submit(wide(number)) {
                return broken(format!("block {nth} of {capacity} is lost: {}", refused.error));
            }
        }
        let number = self.fresh();
        match self.submitters[0].try_submit(wide(number)).map_err(|refused| refused.error) {
            Err(Error::Full) => {}
            other => return broken(format!("a submit into the full queue: {other:?}")),
        }
        for &number in &numbers {
            self.expect(number)?;
        }
        match self.workers[0].try_take() {
            Err(Error::Empty) => {}
            other => return broken(format!("a take from the empty queue: {other:?}")),
        }
        let took = begun.elapsed();
        if took > HOLD_UP { Err(Broken::Late(format!("filling and emptying took {took:?}"))) } else { Ok(()) }
    }

    fn expect(&mut self, expected: u64) -> Result<(), Broken> {
        let which = expected as usize % self.workers.len();
        match self.workers[which].try_take().map_err(|error| error.to_string()) {
            Ok(lease) => match finish(lease)? {
                (number, 1) if number == expected => Ok(()),
                other => broken(format!("{other:?} came, and not {expected:x}")),
            },
            Err(error) => broken(format!("take, when {expected:x} was there: {error}")),
        }
    }

    /// Tasks to and fro, as in a new queue.
    fn laps(&mut self, capacity: usize, more: usize) -> Result<(), Broken> {
        let burst = capacity.div_ceil(2);
        for _ in 0..more.div_ceil(burst) {
            let numbers: Vec<u64> = (0..burst).map(|_| self.fresh()).collect();
            for &number in &numbers {
                let which = number as usize % self.submitters.len();
                if let Err(refused) = self.submitters[which].try_submit(wide(number)) {
                    return broken(format!("submit afterwards: {}", refused.error));
                }
            }
            for &number in &numbers {
                self.expect(number)?;
            }
        }
        Ok(())
    }

    /// No place in the roster is lost.
    fn count_members(&mut self) -> Result<(), Broken> {
        let attached = self.submitters.len() + self.workers.len();
        let mut more = Vec::new();
        for place in attached..MEMBERS as usize {
            match self.queue.submitter() {
                Ok(submitter) => more.push(submitter),
                Err(error) => return broken(format!("place {place} of {MEMBERS} in the roster is lost: {error}")),
            }
        }
        match self.queue.submitter() {
            Err(Error::TooManyMembers { .. }) => {}
            other => return broken(format!("one member too many: {other:?}")),
        }
        drop(more);
        let report = self.queue.report();
        let dead =
            report.workers.iter().any(|worker| !worker.alive) || report.submitters.iter().any(|(_, alive)| !alive);
        if dead { broken(format!("the dead are still members: {report:?}")) } else { Ok(()) }
    }
}

/// What is to be checked when somebody was killed.
pub struct After {
    pub discovery: Discovery,
    pub closes: &'static [bool],
    pub capacities: RangeInclusive<usize>,
    /// Something may come only after a while.
    pub delayed: bool,
    /// What was submitted has the key.
    pub key: bool,
    /// The number of the first task that the victim submits.
    pub first: u64,
    pub more: usize,
}

/// A task is done. Its number, and which try it was.
fn finish(lease: Lease<Wide>) -> Result<(u64, u32), Broken> {
    let (done, tries) = (number(lease.task()), lease.tries());
    let Some(done) = done else { return broken(format!("a task that is not whole: {:x?}", lease.task())) };
    match lease.done_with(OTHER_RESULT) {
        Ok(()) => Ok((done, tries)),
        // On a busy machine.
        Err(Error::LeaseLost) => Err(Broken::Late("a lease was over".into())),
        Err(error) => broken(format!("done with {done:x}: {error}")),
    }
}

/// The shared memory as a number, to tell its states apart. Times and process ids say nothing, and what is counted little.
pub fn shared_state(memory: &Shared) -> u64 {
    const ENTRIES: usize = MEMBERS as usize + 2;
    const ROSTER: usize = 4096 + 1024 + 10 * 384;
    const DESKS: usize = ROSTER + 128 * ENTRIES;
    const DESK: usize = 128 + 2 * 1024;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills in a plain value.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    let times = now.saturating_sub(600_000_000_000)..now + 7_200_000_000_000;
    memory.digest(|offset, word| {
        let pid = (ROSTER..DESKS).contains(&offset) && (offset - ROSTER) % 128 == 8;
        let counter = (DESKS..DESKS + DESK * ENTRIES).contains(&offset) && !(offset - DESKS).is_multiple_of(DESK);
        pid || counter || times.contains(&word)
    })
}
