//! The processes that live on: they prepare the queue, and when another one has died in it they check every promise.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use handover::{Consumer, Error, Producer, Queue, Role};

use crate::scenes::{Content, MEMBERS, Operation, Ring, State, Wide, number, options, wide};
use crate::step::Shared;

/// Nobody may be held up by the dead for longer.
pub const HOLD_UP: Duration = Duration::from_millis(10);
/// So long something is waited for before it counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than anybody sleeps before searching for the dead.
pub const LONG_ENOUGH: Duration = Duration::from_millis(6);
/// The numbers of the survivors' own messages begin here.
const OWN: u64 = 1 << 40;

/// What a check found.
#[derive(Debug, Clone)]
pub enum Broken {
    /// It took too long, which a busy machine can cause, too: to be tried again.
    Late(String),
    /// A promise was broken.
    Promise(String),
}

/// A promise was broken.
pub fn broken<T>(what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken::Promise(what.into()))
}

/// The shared memory as a number, to tell its states apart. Process ids say nothing.
pub fn shared_state(memory: &Shared) -> u64 {
    const ROSTER: usize = 4096 + 1024;
    let table = ROSTER..ROSTER + 128 * (MEMBERS as usize + 2);
    memory.digest(|offset, _| table.contains(&offset) && (offset - ROSTER) % 128 == 8)
}

/// Does something that may not be held up for long, and remembers what took longest.
pub fn timed<R>(longest: &mut Duration, what: &str, act: impl FnOnce() -> R) -> Result<R, Broken> {
    let begun = Instant::now();
    let result = act();
    let took = begun.elapsed();
    *longest = (*longest).max(took);
    if took > HOLD_UP { Err(Broken::Late(format!("{what} took {took:?}"))) } else { Ok(result) }
}

/// How the survivors find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// A newcomer attaches, which searches for the dead.
    Newcomer,
    /// Those who were there before go on, and are held up or search by themselves.
    Old,
}

enum Handle {
    Producer(Producer<Wide>),
    Consumer(Consumer<Wide>),
}

/// A message with its deliveries, or why there is none.
type Got = Result<(u64, u32), String>;

/// A survivor that is asleep while the other one dies.
struct Sleeper {
    side: Side,
    /// Gives its handle back.
    thread: JoinHandle<Handle>,
    /// What it got, with the number of deliveries, or 0; and when.
    woken: mpsc::Receiver<(Got, Instant)>,
    asleep_since: Instant,
}

enum Side {
    Popping,
    /// Pushing that message.
    Pushing(u64),
}

/// What went in, and what came out with how many deliveries before.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The messages whose push returned.
    pub pushed: Vec<u64>,
    /// The messages that came.
    pub popped: Vec<(u64, u32)>,
}

impl Ledger {
    /// Each came once, and so many of them marked.
    pub fn balance(&mut self, marked: usize) -> Result<(), Broken> {
        let mut came: Vec<u64> = self.popped.iter().map(|(number, _)| *number).collect();
        came.sort_unstable();
        self.pushed.sort_unstable();
        if came != self.pushed {
            return broken(format!("{:?} went in and {came:?} came out", self.pushed));
        }
        let found = self.popped.iter().filter(|(_, deliveries)| *deliveries > 0).count();
        if found == marked {
            Ok(())
        } else {
            broken(format!("{found} came marked, and not {marked}: {:?}", self.popped))
        }
    }
}

/// A queue and those who survive.
pub struct Stage {
    /// The queue.
    pub queue: Queue<Wide>,
    ring: Ring,
    capacity: usize,
    /// At most two.
    pub producers: Vec<Producer<Wide>>,
    /// At most two.
    pub consumers: Vec<Consumer<Wide>>,
    /// What is in the queue.
    pub content: Content,
    /// Where the tail is.
    position: usize,
    next: u64,
    sleeper: Option<Sleeper>,
    /// The longest that a survivor was held up.
    pub longest: Duration,
}

impl Stage {
    /// The number of the first message that is pushed.
    pub const FIRST: u64 = OWN + 1;

    /// A new queue, with two producers and consumers, or one.
    pub fn new(ring: Ring, capacity: usize) -> Stage {
        let queue = options(ring, capacity).anonymous::<Wide>().expect("a new queue");
        Stage::over(queue, ring, capacity)
    }

    /// A queue that is there, and empty.
    pub fn over(queue: Queue<Wide>, ring: Ring, capacity: usize) -> Stage {
        let count = if ring == Ring::Many { 2 } else { 1 };
        let producers = (0..count).map(|_| queue.producer().expect("a place for a producer")).collect();
        let consumers = (0..count).map(|_| queue.consumer().expect("a place for a consumer")).collect();
        Stage {
            queue,
            ring,
            capacity,
            producers,
            consumers,
            content: Content::default(),
            position: 0,
            next: OWN,
            sleeper: None,
            longest: Duration::ZERO,
        }
    }

    /// A descriptor for another process.
    pub fn descriptor(&self) -> OwnedFd {
        self.queue.share().expect("a descriptor")
    }

    /// Others have pushed and popped so many.
    pub fn passed(&mut self, count: usize) {
        self.position += count;
    }

    /// Where there may be one producer or one consumer only, makes place for another process.
    pub fn make_place(&mut self, role: Option<Role>) {
        if self.ring == Ring::One {
            match role {
                Some(Role::Producer) => self.producers.clear(),
                Some(Role::Consumer) => self.consumers.clear(),
                _ => {}
            }
        }
    }

    /// Pushes one that must find room.
    pub fn push_one(&mut self) {
        let number = self.fresh();
        let which = number as usize % self.producers.len();
        self.producers[which].try_push(wide(number)).expect("room for a message");
        self.content.waiting.push_back((number, 0));
        self.position += 1;
    }

    /// Pops one that must be there.
    pub fn pop_one(&mut self) {
        let expected = self.content.waiting.pop_front().expect("a message that waits");
        let which = self.position % self.consumers.len();
        let message = self.consumers[which].try_pop().expect("a message");
        assert_eq!((number(&message), self.consumers[which].redeliveries()), (Some(expected.0), expected.1));
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Brings the queue into a state, from empty.
    pub fn prepare(&mut self, state: State, operation: Operation) {
        match state {
            State::Empty => {}
            State::Single => self.push_one(),
            State::AlmostFull => (1..self.capacity).for_each(|_| self.push_one()),
            State::Full => (0..self.capacity).for_each(|_| self.push_one()),
            State::Wrapping => {
                while self.position % self.capacity != self.capacity - 1 {
                    self.push_one();
                    self.pop_one();
                }
                if operation.role() == Some(Role::Consumer) {
                    (0..2.min(self.capacity)).for_each(|_| self.push_one());
                }
            }
            State::Orphan => {
                (0..2.min(self.capacity)).for_each(|_| self.push_one());
                drop(self.consumers[0].try_receive().expect("a message"));
                self.content.waiting[0].1 = 1;
            }
            State::Void => {
                let [first, second] = &mut self.producers[..] else { panic!("a void takes two producers") };
                let loan = first.try_loan().expect("room for a loan");
                self.next += 1;
                second.try_push(wide(self.next)).expect("room for a message");
                self.content.waiting.push_back((self.next, 0));
                drop(loan);
                self.position += 2;
            }
            State::Voids => {
                for slot in 0..self.capacity {
                    let which = slot % self.producers.len();
                    drop(self.producers[which].try_loan().expect("room for a loan"));
                    self.position += 1;
                }
            }
        }
    }

    /// Puts a survivor to sleep: a consumer in an empty queue, or a producer in a full one.
    pub fn put_to_sleep(&mut self) {
        let (said, woken) = mpsc::channel();
        let (side, thread) = if self.content.waiting.is_empty() {
            let mut consumer = self.consumers.pop().expect("a consumer");
            let sleep = move || {
                let popped = consumer.pop_timeout(4 * PATIENCE);
                let what = match popped {
                    Ok(message) => number(&message)
                        .map(|number| (number, consumer.redeliveries()))
                        .ok_or_else(|| format!("a message that is not whole: {message:x?}")),
                    Err(error) => Err(error.to_string()),
                };
                let _ = said.send((what, Instant::now()));
                Handle::Consumer(consumer)
            };
            (Side::Popping, thread::spawn(sleep))
        } else {
            let number = self.fresh();
            let mut producer = self.producers.pop().expect("a producer");
            let sleep = move || {
                let pushed = producer.push_timeout(wide(number), 4 * PATIENCE);
                let what = pushed.map(|()| (number, 0)).map_err(|refused| refused.error.to_string());
                let _ = said.send((what, Instant::now()));
                Handle::Producer(producer)
            };
            (Side::Pushing(number), thread::spawn(sleep))
        };
        // Until it has left its note, and sleeps.
        thread::sleep(Duration::from_micros(300));
        self.sleeper = Some(Sleeper { side, thread, woken, asleep_since: Instant::now() });
    }

    /// Does with the queue whatever can be done while another process is stopped in an operation: nothing may fail, but
    /// for want of room or messages.
    pub fn go_on_beside(&mut self, stopped: Operation, ledger: &mut Ledger) -> Result<(), Broken> {
        self.push_all(LONG_ENOUGH, ledger)?;
        if self.ring == Ring::Many {
            // Who comes searches for the dead, and must not find any.
            self.attach_consumer()?;
        }
        self.pop_all(LONG_ENOUGH, ledger)?;
        if self.ring == Ring::Many {
            self.consumers.pop();
        }
        if self.queue.members().iter().any(|member| !member.alive) {
            return broken("a stopped process is listed as dead");
        }
        let attaches = matches!(
            stopped,
            Operation::AttachProducer
                | Operation::AttachConsumer
                | Operation::DetachProducer
                | Operation::DetachConsumer
        );
        if self.ring == Ring::One && !attaches {
            let refused = match stopped.role() {
                Some(Role::Producer) => matches!(self.queue.producer(), Err(Error::Taken { .. })),
                Some(Role::Consumer) => matches!(self.queue.consumer(), Err(Error::Taken { .. })),
                None => true,
            };
            if !refused {
                return broken("a second one was let in beside a stopped one");
            }
        }
        // When it goes on, it needs room, or something to take.
        if stopped.role() == Some(Role::Consumer) {
            self.push_all(Duration::ZERO, ledger)?;
        }
        Ok(())
    }

    fn push_all(&mut self, wait: Duration, ledger: &mut Ledger) -> Result<(), Broken> {
        for turn in 0..=self.capacity {
            if self.producers.is_empty() {
                break;
            }
            let number = self.fresh();
            let which = turn % self.producers.len();
            match self.producers[which].push_timeout(wide(number), wait).map_err(|refused| refused.error) {
                Ok(()) => ledger.pushed.push(number),
                Err(Error::Full) => break,
                Err(Error::Closed) if self.queue.is_closed() => break,
                Err(error) => return broken(format!("push beside a stopped process: {error}")),
            }
        }
        Ok(())
    }

    fn pop_all(&mut self, wait: Duration, ledger: &mut Ledger) -> Result<(), Broken> {
        let mut wait = wait;
        for turn in 0.. {
            if self.consumers.is_empty() {
                break;
            }
            let which = turn % self.consumers.len();
            match self.consumers[which].pop_timeout(wait) {
                Ok(message) => {
                    let Some(number) = number(&message) else {
                        return broken(format!("a message that is not whole: {message:x?}"));
                    };
                    ledger.popped.push((number, self.consumers[which].redeliveries()));
                }
                Err(Error::Empty) if wait.is_zero() => break,
                Err(Error::Empty) => wait = Duration::ZERO,
                Err(Error::Closed) if self.queue.is_closed() => break,
                Err(error) => return broken(format!("pop beside a stopped process: {error}")),
            }
        }
        Ok(())
    }

    /// Takes out what is left when the other one is gone.
    pub fn take_the_rest(&mut self, ledger: &mut Ledger) -> Result<(), Broken> {
        if self.consumers.is_empty() || self.ring == Ring::Many {
            self.attach_consumer()?;
        }
        self.pop_all(Duration::ZERO, ledger)
    }

    /// Checks that what is left is one of `possible`, and that the queue is as good as new for `more` messages.
    pub fn check(&mut self, possible: &[Content], discovery: Discovery, more: usize) -> Result<(), Broken> {
        let closed = self.queue.is_closed();
        let mut possible: Vec<Content> = possible.iter().filter(|content| content.closed == closed).cloned().collect();
        if possible.is_empty() {
            return broken(if closed { "closed by nobody" } else { "a close that returned is not seen" });
        }
        let dead = Instant::now();
        // The only one of a kind may be the one that sleeps.
        let asleep = self.sleeper.as_ref().map(|sleeper| &sleeper.side);
        let (pushing, popping) = (matches!(asleep, Some(Side::Pushing(_))), matches!(asleep, Some(Side::Popping)));
        if self.producers.is_empty() && !pushing && (popping || discovery == Discovery::Newcomer) {
            self.attach_producer()?;
        }
        if self.consumers.is_empty() && !popping {
            self.attach_consumer()?;
        } else if self.ring == Ring::Many && discovery == Discovery::Newcomer {
            self.attach_consumer()?;
            let newcomer = self.consumers.len() - 1;
            self.consumers.swap(0, newcomer);
        }
        let mut drained = Vec::new();
        let mut sleeper = self.sleeper.take();
        if let Some(asleep) = &sleeper {
            let still_asleep = self.await_sleeper(asleep, dead, &mut drained, &mut possible)?;
            if !still_asleep {
                self.take_back(sleeper.take());
            } else if self.consumers.is_empty() {
                // The only consumer: nothing had come, and it wakes when something does.
                let number = self.fresh();
                self.producers[0]
                    .try_push(wide(number))
                    .map_err(|refused| Broken::Promise(format!("push for a sleeper: {}", refused.error)))?;
                possible.iter_mut().for_each(|content| content.waiting.push_back((number, 0)));
                if self.await_sleeper(asleep, Instant::now(), &mut drained, &mut possible)? {
                    return Err(Broken::Late("a sleeper did not wake for a message".into()));
                }
                if drained[0].0 != number {
                    return Err(Broken::Late("a consumer slept on though a message waited".into()));
                }
                self.take_back(sleeper.take());
            }
        }
        if let Some(Sleeper { side: Side::Pushing(number), .. }) = &sleeper {
            // It gets room by the drain, and its message may come in the same.
            let with = possible.iter().map(|content| content.with([*number])).collect::<Vec<_>>();
            possible.extend(with);
        }
        let sure = self.drain(&possible, &mut drained, closed, discovery)?;
        if let Some(sleeper) = sleeper {
            self.wake_sleeper(sleeper, &drained)?;
        }
        if self.producers.is_empty() {
            self.attach_producer()?;
        }
        self.content = Content::default();
        if closed {
            return self.check_closed();
        }
        self.fill_and_empty().map_err(|found| match found {
            // It was not looked for longer than it may take, and may be there all the same.
            Broken::Promise(what) if !sure => Broken::Late(what),
            other => other,
        })?;
        self.laps(more)?;
        self.count_members()
    }

    fn attach_producer(&mut self) -> Result<(), Broken> {
        let producer = timed(&mut self.longest, "attaching a producer", || self.queue.producer())?;
        self.producers.push(producer.map_err(|error| Broken::Promise(format!("no producer is let in: {error}")))?);
        Ok(())
    }

    fn attach_consumer(&mut self) -> Result<(), Broken> {
        let consumer = timed(&mut self.longest, "attaching a consumer", || self.queue.consumer())?;
        self.consumers.push(consumer.map_err(|error| Broken::Promise(format!("no consumer is let in: {error}")))?);
        Ok(())
    }

    /// A sleeper that has got something says so at once. Returns whether it sleeps on.
    fn await_sleeper(
        &mut self,
        sleeper: &Sleeper,
        dead: Instant,
        drained: &mut Vec<(u64, u32)>,
        possible: &mut [Content],
    ) -> Result<bool, Broken> {
        let Ok((what, when)) = sleeper.woken.recv_timeout(HOLD_UP) else { return Ok(true) };
        let what = what.map_err(|error| Broken::Promise(format!("a sleeper was told: {error}")))?;
        let took = when.saturating_duration_since(dead.max(sleeper.asleep_since));
        self.longest = self.longest.max(took);
        if took > HOLD_UP {
            return Err(Broken::Late(format!("a sleeper woke after {took:?}")));
        }
        match sleeper.side {
            Side::Popping => drained.push(what),
            Side::Pushing(number) => {
                possible.iter_mut().for_each(|content| content.waiting.push_back((number, 0)));
            }
        }
        Ok(false)
    }

    /// The handle of a sleeper that has woken.
    fn take_back(&mut self, sleeper: Option<Sleeper>) {
        match sleeper.map(|sleeper| sleeper.thread.join().expect("a sleeper that does not panic")) {
            Some(Handle::Producer(producer)) => self.producers.push(producer),
            Some(Handle::Consumer(consumer)) => self.consumers.push(consumer),
            None => {}
        }
    }

    /// Behind the drain: whoever still slept had no reason to wake, and wakes as soon as it has one.
    fn wake_sleeper(&mut self, sleeper: Sleeper, drained: &[(u64, u32)]) -> Result<(), Broken> {
        let lost = match sleeper.side {
            Side::Popping => !drained.is_empty(),
            Side::Pushing(own) => {
                let others = drained.iter().filter(|(number, _)| *number != own).count();
                drained.iter().all(|(_, deliveries)| *deliveries == 0) && others < self.capacity
            }
        };
        if matches!(sleeper.side, Side::Popping) {
            self.push_one();
        }
        let begun = Instant::now();
        let woken = sleeper.woken.recv_timeout(PATIENCE);
        let (what, when) = match woken {
            Ok(woken) => woken,
            Err(_) => return broken("a sleeper never woke"),
        };
        let what = what.map_err(|error| Broken::Promise(format!("a sleeper was told: {error}")))?;
        if let Side::Pushing(number) = sleeper.side {
            if drained.last() != Some(&(number, 0)) {
                self.content.waiting = VecDeque::from([(number, 0)]);
                self.pop_one();
            }
        } else if self.content.waiting.back() != Some(&what) {
            return broken(format!("a sleeper got {what:?}"));
        }
        self.take_back(Some(sleeper));
        if lost {
            return Err(Broken::Late(format!("a survivor slept on for {HOLD_UP:?} though it could go on")));
        }
        let took = when.saturating_duration_since(begun);
        self.longest = self.longest.max(took);
        if took > HOLD_UP { Err(Broken::Late(format!("a sleeper woke after {took:?}"))) } else { Ok(()) }
    }

    /// Takes out everything that is there, and compares. Returns whether nothing more can come.
    fn drain(
        &mut self,
        possible: &[Content],
        drained: &mut Vec<(u64, u32)>,
        closed: bool,
        discovery: Discovery,
    ) -> Result<bool, Broken> {
        let strict = discovery == Discovery::Newcomer;
        let complete = |drained: &[(u64, u32)]| possible.iter().any(|content| agrees(content, drained, strict));
        let most = possible.iter().map(|content| content.waiting.len()).max().unwrap_or(0);
        let mut late = None;
        let mut turn = 0;
        let mut sure;
        loop {
            // Where more may come it is waited for.
            let wait = if drained.len() >= most && complete(drained) && !closed {
                Duration::ZERO
            } else if complete(drained) {
                if strict && !closed { Duration::ZERO } else { HOLD_UP }
            } else {
                PATIENCE
            };
            sure = wait.is_zero() || closed;
            let which = turn % self.consumers.len();
            turn += usize::from(!strict);
            let begun = Instant::now();
            let popped = self.consumers[which].pop_timeout(wait);
            let took = begun.elapsed();
            match popped {
                Ok(message) => {
                    let Some(number) = number(&message) else {
                        return broken(format!("a message that is not whole: {message:x?}"));
                    };
                    drained.push((number, self.consumers[which].redeliveries()));
                    self.longest = self.longest.max(took);
                    if took > HOLD_UP {
                        late = Some(format!("{number} came after {took:?}"));
                    }
                    if drained.len() > most {
                        return broken(format!("more than was pushed came: {drained:?}, of {possible:?}"));
                    }
                }
                Err(Error::Empty) if !closed => break,
                Err(Error::Closed) if closed => break,
                Err(error) => return broken(format!("pop: {error}; had {drained:?}, of {possible:?}")),
            }
        }
        if !complete(drained) {
            return broken(format!("{drained:?} came, and not any of {possible:?}"));
        }
        late.map_or(Ok(sure), |late| Err(Broken::Late(late)))
    }

    fn check_closed(&mut self) -> Result<(), Broken> {
        let number = self.fresh();
        for producer in &mut self.producers {
            match producer.try_push(wide(number)).map_err(|refused| refused.error) {
                Err(Error::Closed) => {}
                other => return broken(format!("a push into the closed queue: {other:?}")),
            }
        }
        for consumer in &mut self.consumers {
            match consumer.pop() {
                Err(Error::Closed) => {}
                other => return broken(format!("a pop from the closed and drained queue: {other:?}")),
            }
        }
        Ok(())
    }

    /// Every slot takes a message, at once.
    fn fill_and_empty(&mut self) -> Result<(), Broken> {
        let begun = Instant::now();
        let numbers: Vec<u64> = (0..self.capacity).map(|_| self.fresh()).collect();
        for (slot, &number) in numbers.iter().enumerate() {
            let which = slot % self.producers.len();
            if let Err(refused) = self.producers[which].try_push(wide(number)) {
                return broken(format!("slot {slot} of {} is lost: {}", self.capacity, refused.error));
            }
        }
        let number = self.fresh();
        match self.producers[0].try_push(wide(number)).map_err(|refused| refused.error) {
            Err(Error::Full) => {}
            other => return broken(format!("a push into the full queue: {other:?}")),
        }
        for &number in &numbers {
            self.expect_pop(number)?;
        }
        match self.consumers[0].try_pop() {
            Err(Error::Empty) => {}
            other => return broken(format!("a pop from the empty queue: {other:?}")),
        }
        let took = begun.elapsed();
        if took > HOLD_UP { Err(Broken::Late(format!("filling and emptying took {took:?}"))) } else { Ok(()) }
    }

    fn expect_pop(&mut self, expected: u64) -> Result<(), Broken> {
        let which = expected as usize % self.consumers.len();
        match self.consumers[which].try_pop() {
            Ok(message) if number(&message) == Some(expected) && self.consumers[which].redeliveries() == 0 => Ok(()),
            Ok(message) => broken(format!(
                "{message:x?} ({} times before) came, and not {expected:x}",
                self.consumers[which].redeliveries()
            )),
            Err(error) => broken(format!("pop, when {expected:x} was in the queue: {error}")),
        }
    }

    /// Messages to and fro, as in a new queue.
    fn laps(&mut self, messages: usize) -> Result<(), Broken> {
        let burst = self.capacity.div_ceil(2);
        let mut done = 0;
        while done < messages {
            let numbers: Vec<u64> = (0..burst).map(|_| self.fresh()).collect();
            for &number in &numbers {
                let which = number as usize % self.producers.len();
                if let Err(refused) = self.producers[which].try_push(wide(number)) {
                    return broken(format!("push of message {done} afterwards: {}", refused.error));
                }
            }
            for &number in &numbers {
                self.expect_pop(number)?;
            }
            done += burst;
        }
        Ok(())
    }

    /// No place in the roster is lost.
    fn count_members(&mut self) -> Result<(), Broken> {
        if self.ring == Ring::One {
            return Ok(());
        }
        let mut more = Vec::new();
        let attached = self.producers.len() + self.consumers.len();
        for place in attached..MEMBERS as usize {
            match self.queue.producer() {
                Ok(producer) => more.push(producer),
                Err(error) => return broken(format!("place {place} of {MEMBERS} in the roster is lost: {error}")),
            }
        }
        match self.queue.producer() {
            Err(Error::TooManyMembers { .. }) => {}
            other => return broken(format!("one member too many: {other:?}")),
        }
        drop(more);
        let dead: Vec<_> = self.queue.members().into_iter().filter(|member| !member.alive).collect();
        if dead.is_empty() { Ok(()) } else { broken(format!("the dead are still members: {dead:?}")) }
    }
}

/// Whether that is what was drained. In order; where the dead were not searched for first, those that they had held
/// may come later.
fn agrees(content: &Content, drained: &[(u64, u32)], strict: bool) -> bool {
    if strict {
        return content.waiting.iter().eq(drained);
    }
    let marked = |all: &mut dyn Iterator<Item = (u64, u32)>| {
        let (mut marked, new): (Vec<_>, Vec<_>) = all.partition(|(_, deliveries)| *deliveries > 0);
        marked.sort_unstable();
        (marked, new)
    };
    marked(&mut content.waiting.iter().copied()) == marked(&mut drained.iter().copied())
}
