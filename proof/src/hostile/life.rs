//! What is done with a segment that is scribbled over: everything that the library offers, each call with a bound, and
//! scribbles between the calls.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;
use std::{env, mem, process};

use handover::{
    Consumer, Error, Options, Producer, Queue, ReadOnlyMemory, Shareable, SharedMemory, Wait, inspect, peek, segments,
};

use super::body::Body;
use super::choices::Choices;
use super::messages::{LONGEST, Tried};
use super::tally::Tally;
use super::watch::Watch;

/// How long a call may block.
const SHORT: Duration = Duration::from_micros(100);

/// What one who uses a segment needs: choices to make, somebody to watch, and a place to note what came of it.
pub struct User<'a, 'c> {
    /// What to do next.
    pub choices: Choices<'c>,
    /// Told after each call.
    pub watch: &'a Watch,
    /// What came of it.
    pub tally: Tally,
}

impl<'a, 'c> User<'a, 'c> {
    /// One who has done nothing so far.
    pub fn new(choices: Choices<'c>, watch: &'a Watch) -> User<'a, 'c> {
        User { choices, watch, tally: Tally::default() }
    }

    /// A call came back, as it must; fails if with an error that is not for this.
    pub fn call<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        use Error::{Closed, Corrupt, Empty, Full, Message, Taken, TooLong, TooManyMembers};
        self.watch.beat();
        self.tally.calls += 1;
        match result {
            Ok(value) => Some(value),
            // Too long for what a header was forged into.
            Err(Full | Empty | Closed | Taken { .. } | TooManyMembers { .. } | TooLong { .. }) => None,
            Err(Corrupt { .. } | Message { .. }) => {
                self.tally.corrupt += 1;
                None
            }
            Err(error) => panic!("not an error for this call: {error}"),
        }
    }

    /// As `call`, for what opens a segment.
    pub fn open<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        use Error::{ByteOrder, Corrupt, CorruptHeader, Kind, MessageType, NotASegment, Settings, Truncated, Version};
        self.watch.beat();
        match result {
            Ok(value) => {
                self.tally.opened += 1;
                Some(value)
            }
            Err(
                CorruptHeader { .. }
                | NotASegment { .. }
                | Version { .. }
                | ByteOrder { .. }
                | Truncated { .. }
                | Kind { .. }
                | MessageType { .. }
                | Settings { .. }
                | Corrupt { .. },
            ) => {
                self.tally.refused += 1;
                None
            }
            Err(error) => panic!("not an error for opening: {error}"),
        }
    }

    fn scribble(&mut self, body: &Body) {
        body.scribble(&mut self.choices);
        self.tally.edits += 1;
    }
}

/// Where a segment is; removed when this goes.
pub enum Place {
    /// A name of this machine's.
    Named(String),
    /// A file.
    Path(PathBuf),
    /// Known by its descriptor only.
    Anonymous,
}

impl Place {
    /// A name that nobody else uses.
    pub fn name() -> String {
        static USED: Mutex<Option<HashSet<u64>>> = Mutex::new(None);
        let mut used = USED.lock().expect("nobody panics with it");
        let used = used.get_or_insert_with(HashSet::new);
        loop {
            let number = RandomState::new().build_hasher().finish() >> 32;
            if used.insert(number) {
                return format!("hostile-{}-{number:x}", process::id());
            }
        }
    }

    /// One of the three. A name mostly: what has one can be listed and inspected.
    pub fn any(choices: &mut Choices) -> Place {
        match choices.below(4) {
            2 => Place::Anonymous,
            3 => Place::Path(env::temp_dir().join(Place::name())),
            _ => Place::Named(Place::name()),
        }
    }

    fn create<M: Shareable + ?Sized>(&self, options: &Options) -> Result<Queue<M>, Error> {
        match self {
            Place::Named(name) => options.create(name),
            Place::Path(path) => options.create_at(path),
            Place::Anonymous => options.anonymous(),
        }
    }

    /// `share` makes the descriptor that an anonymous one is opened by.
    fn open<M: Shareable + ?Sized>(&self, share: impl FnOnce() -> OwnedFd) -> Result<Queue<M>, Error> {
        match self {
            Place::Named(name) => Queue::open(name),
            Place::Path(path) => Queue::open_at(path),
            Place::Anonymous => Queue::from_fd(share()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = match self {
            Place::Named(name) => handover::remove(name),
            Place::Path(path) => handover::remove_at(path),
            Place::Anonymous => Ok(()),
        };
    }
}

/// A ring: how many slots, and for how many producers and consumers.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Slots.
    pub capacity: usize,
    /// For one producer only.
    pub one_producer: bool,
    /// For one consumer only.
    pub one_consumer: bool,
}

impl Shape {
    /// Of all that differ in how they work: small and odd capacities, powers of two, and more than a claim takes.
    pub fn any(choices: &mut Choices) -> Shape {
        let capacity = choices.of(&[1, 2, 3, 5, 8, 64, 100, 129]);
        let ends = choices.below(4);
        Shape { capacity, one_producer: ends & 1 != 0, one_consumer: ends & 2 != 0 }
    }

    /// The settings of a new queue.
    pub fn options(&self) -> Options {
        let mut options = Options::new(self.capacity).members(6).message_max(LONGEST);
        if self.one_producer {
            options = options.one_producer();
        }
        if self.one_consumer {
            options = options.one_consumer();
        }
        options
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |one| if one { "one" } else { "many" };
        write!(f, "{} to {}, {} slots", count(self.one_producer), count(self.one_consumer), self.capacity)
    }
}

/// A segment's whole time: made, scribbled over, opened, used, scribbled over meanwhile, and so again.
pub fn queue<M: Tried + ?Sized>(user: &mut User) {
    let place = Place::any(&mut user.choices);
    let shape = Shape::any(&mut user.choices);
    let made = place.create::<M>(&shape.options()).expect("a new name");
    let body = Body::of(made.share().expect("its creator may"));
    user.tally.segments += 1;
    for _ in 0..1 + user.choices.below(4) {
        if user.choices.one_in(3) {
            body.clear();
        }
        for _ in 0..user.choices.below(4) {
            user.scribble(&body);
        }
        if user.choices.one_in(3) {
            // Shared before: one who opens it by descriptor may be handed it at any time.
            headers::<M>(user, &place, &body, &made);
        }
        if let Ok(queue) = place.open::<M>(|| made.share().expect("as above")) {
            user.tally.opened += 1;
            use_queue(user, &place, &body, &queue);
        } else {
            panic!("the header is as it was");
        }
        if user.choices.over() {
            break;
        }
    }
    body.check_beyond();
}

/// The header is scribbled over, and the segment is opened as what it was made for and as anything else.
fn headers<M: Tried + ?Sized>(user: &mut User, place: &Place, body: &Body, made: &Queue<M>) {
    let share = || made.share().expect("what is open can be shared");
    for _ in 0..1 + user.choices.below(3) {
        body.scribble_header(&mut user.choices);
        user.tally.edits += 1;
    }
    let before = body.header();
    if let Some(queue) = user.open(place.open::<M>(share)) {
        use_queue(user, place, body, &queue);
    }
    others(user, place, share);
    look_from_outside(user, place);
    assert_eq!(before, body.header(), "opening changes no header");
    body.restore_header();
    // With the header as it was: what it was made for, and nothing else.
    if !others_are_refused::<M>(place, share) {
        panic!("opened as what it was not made for");
    }
}

fn others(user: &mut User, place: &Place, share: impl Fn() -> OwnedFd + Copy) {
    match user.choices.below(6) {
        0 => other::<u32>(user, place, share),
        1 => other::<[u8; 80]>(user, place, share),
        2 => other::<[u8]>(user, place, share),
        3 => other::<handover::Postcard<String>>(user, place, share),
        4 => {
            let memory = match place {
                Place::Named(name) => SharedMemory::open(name),
                Place::Path(path) => SharedMemory::open_at(path),
                Place::Anonymous => SharedMemory::from_fd(share()),
            };
            if let Some(memory) = user.open(memory) {
                super::memory::use_memory(user, &memory);
            }
        }
        _ => {
            let memory = match place {
                Place::Named(name) => ReadOnlyMemory::open(name),
                Place::Path(path) => ReadOnlyMemory::open_at(path),
                Place::Anonymous => ReadOnlyMemory::from_fd(share()),
            };
            if let Some(memory) = user.open(memory) {
                let _ = memory.view_slice::<u8>(0, memory.len()).map(|view| view.get(view.len() - 1));
            }
        }
    }
}

/// One that opens is for messages of its type, or was forged to be: then it is used as that.
fn other<M: Shareable + ?Sized>(user: &mut User, place: &Place, share: impl Fn() -> OwnedFd) {
    if let Some(queue) = user.open(place.open::<M>(share)) {
        look(user, &queue);
        let Some(mut consumer) = user.call(queue.consumer()) else { return };
        let popped = consumer.try_pop();
        user.call(popped);
    }
}

fn others_are_refused<M: Tried + ?Sized>(place: &Place, share: impl Fn() -> OwnedFd + Copy) -> bool {
    fn refused<T>(result: Result<T, Error>) -> bool {
        matches!(result, Err(Error::MessageType { .. } | Error::Kind { .. }))
    }
    refused(place.open::<u32>(share))
        && refused(place.open::<[u8; 80]>(share))
        && refused(place.open::<handover::Postcard<String>>(share))
        && match place {
            Place::Named(name) => refused(SharedMemory::open(name)),
            Place::Path(path) => refused(SharedMemory::open_at(path)),
            Place::Anonymous => refused(SharedMemory::from_fd(share())),
        }
        && place.open::<M>(share).is_ok()
}

/// What can be seen of a segment without opening it as anything.
fn look_from_outside(user: &mut User, place: &Place) {
    if let Place::Named(name) = place {
        let report = inspect(name);
        if let Some(report) = user.open(report) {
            assert!(report.len <= report.capacity);
            if let Some(seen) = user.open(peek(name, usize::MAX)) {
                assert!(seen.len() <= 2 * report.max_capacity, "each slot is looked at twice at most");
            }
        }
        if user.choices.one_in(4) {
            // Others' segments are listed, too, and come and go.
            let listed = segments();
            assert!(listed.is_ok(), "{:?}", listed.err());
            user.watch.beat();
        }
    }
}

fn look<M: Shareable + ?Sized>(user: &mut User, queue: &Queue<M>) {
    assert!(queue.len() <= queue.capacity());
    let _ = (queue.is_closed(), queue.is_empty(), queue.counts(), queue.members(), format!("{queue:?}"));
    user.watch.beat();
    user.tally.calls += 1;
}

/// A short life with a queue, with scribbles between the calls.
fn use_queue<M: Tried + ?Sized>(user: &mut User, place: &Place, body: &Body, queue: &Queue<M>) {
    look(user, queue);
    let Some(mut producer) = user.call(queue.producer()) else { return };
    let Some(mut consumer) = user.call(queue.consumer()) else { return };
    for _ in 0..40 {
        if user.choices.over() {
            break;
        }
        match user.choices.below(9) {
            0..=2 => user.scribble(body),
            3 | 4 => push_somehow(user, &mut producer),
            5 | 6 => pop_somehow(user, &mut consumer),
            7 => look(user, queue),
            // Others come and go.
            _ => match user.choices.below(4) {
                0 => drop(user.call(queue.producer())),
                1 => drop(user.call(queue.consumer())),
                _ => look_from_outside(user, place),
            },
        }
    }
    if user.choices.one_in(4) {
        queue.close();
        for _ in 0..3 {
            let popped = consumer.pop_timeout(SHORT);
            let _ = user.call(popped).map(M::check);
            user.scribble(body);
        }
    }
    if user.choices.one_in(2) {
        drop(producer);
        user.scribble(body);
    }
}

/// One of the ways to push.
pub fn push_somehow<M: Tried + ?Sized>(user: &mut User, producer: &mut Producer<M>) {
    producer.set_wait(user.choices.of(&[Wait::Spin, Wait::Balanced, Wait::Park]));
    let message = M::make(&mut user.choices);
    match user.choices.below(7) {
        0 | 1 => drop(user.call(producer.try_push(message).map_err(Error::from))),
        2 => drop(user.call(producer.push_timeout(message, SHORT).map_err(Error::from))),
        3 => {
            let messages: Vec<_> = (0..1 + user.choices.below(70)).map(|_| M::make(&mut user.choices)).collect();
            let count = messages.len();
            if let Some(pushed) = user.call(producer.try_push_batch(&mut messages.into_iter().peekable())) {
                assert!(pushed <= count, "{pushed} of {count} pushed");
            }
        }
        4 | 5 => {
            let loan = if user.choices.one_in(2) { producer.try_loan() } else { producer.loan_timeout(SHORT) };
            if let Some(loan) = user.call(loan) {
                match user.choices.below(8) {
                    0 => mem::forget(loan),
                    1 | 2 => drop(loan),
                    3 | 4 => drop(user.call(loan.put(message))),
                    _ => M::fill(loan, &mut user.choices),
                }
            }
        }
        _ => {
            let loan = producer.try_loan().map(drop);
            user.call(loan);
        }
    }
}

/// One of the ways to pop.
pub fn pop_somehow<M: Tried + ?Sized>(user: &mut User, consumer: &mut Consumer<M>) {
    consumer.set_wait(user.choices.of(&[Wait::Spin, Wait::Balanced, Wait::Park]));
    match user.choices.below(7) {
        0 | 1 => check_popped::<M>(user, |consumer| consumer.try_pop(), consumer),
        2 => check_popped::<M>(user, |consumer| consumer.pop_timeout(SHORT), consumer),
        way @ (3 | 4) => {
            let most = 1 + user.choices.below(70) as usize;
            let mut batch = Vec::new();
            let popped = if way == 3 {
                consumer.try_pop_batch(&mut batch, most)
            } else {
                consumer.pop_batch_timeout(&mut batch, most, SHORT)
            };
            if let Some(popped) = user.call(popped) {
                assert!(popped == batch.len() && popped <= most, "{popped} said, {} taken of {most}", batch.len());
            }
            user.tally.messages += batch.len() as u64;
            batch.into_iter().for_each(M::check);
        }
        _ => {
            let received =
                if user.choices.one_in(2) { consumer.try_receive() } else { consumer.receive_timeout(SHORT) };
            if let Some(receipt) = user.call(received) {
                M::check_in_place(&receipt);
                user.tally.messages += 1;
                match user.choices.below(8) {
                    // A sanitizer would be right to call it a leak where there is something to leak.
                    0 if !M::RECEIPT_OWNS => mem::forget(receipt),
                    0..=2 => drop(receipt),
                    3 => drop(user.call(receipt.take()).map(M::check)),
                    _ => receipt.done(),
                }
            }
        }
    }
    let _ = consumer.redeliveries();
}

fn check_popped<M: Tried + ?Sized>(
    user: &mut User,
    pop: impl FnOnce(&mut Consumer<M>) -> Result<M::Pop, Error>,
    consumer: &mut Consumer<M>,
) {
    if let Some(message) = user.call(pop(consumer)) {
        user.tally.messages += 1;
        M::check(message);
    }
}
