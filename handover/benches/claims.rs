//! What it costs that a claim says whose it is: the designs that ARCHITECTURE.md weighs, side by side.
//!
//! ```text
//! cargo bench -p handover --bench claims [-- --quick]
//! ```
//!
//! Each design is here as the least ring that works, with all that its working path pays for repairs and with no repair.
//! They have the same slots (a stamp and a `u64`), the same waiting and no prefetching, and finish runs in the same
//! order, first slot last: what differs is the record alone. Beside them runs the library's own queue in shared memory,
//! which waits in its own way, prefetches, and does everything else that it promises.
//!
//! All endpoints are threads, and keep records as if they could die. In each round every cell runs every ring once.
//! Every run is verified: how many came, their sum, and that each producer's messages came to each consumer in order.

mod queue {
    // The other benchmark uses the rest of it.
    #[allow(dead_code)]
    pub mod machine;
    pub mod statistics;
}

use std::cell::UnsafeCell;
use std::hint;
use std::sync::Barrier;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;
use std::time::{Duration, Instant};

use handover::{Consumer, Error, Options, Producer, Queue, Wait};
use queue::machine::Usage;
use queue::statistics::{Sample, geometric_mean, show};

/// A word in two cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Line(AtomicU64);

#[repr(C)]
struct Slot {
    stamp: AtomicU64,
    message: UnsafeCell<u64>,
}

const _: () = assert!(size_of::<Slot>() == 16);

// As in the library: 44 bits of position (a lap, and the bits of the index below it), then owner, count and state.
const POSITION: u64 = (1 << 44) - 1;
const OWNER_AT: u32 = 44;
const COUNT_AT: u32 = 54;
const STATE_AT: u32 = 60;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Writing,
    Full,
    Reading,
    Releasing,
}

fn stamp(state: State, lap: u64) -> u64 {
    (state as u64) << STATE_AT | lap
}

/// Some neighbouring positions that one member has claimed.
#[derive(Clone, Copy)]
struct Run {
    first: u64,
    count: u64,
}

/// The slots, and what all designs do with them.
struct Slots {
    slots: Box<[Slot]>,
    capacity: u64,
}

// SAFETY: a message is accessed only by the holder of a claim of its slot, and stamps order one holder after the other.
unsafe impl Sync for Slots {}

impl Slots {
    /// `capacity` is a power of two.
    fn new(capacity: u64) -> Slots {
        assert!(capacity.is_power_of_two());
        let free = |_| Slot { stamp: AtomicU64::new(stamp(State::Free, 0)), message: UnsafeCell::new(0) };
        Slots { slots: (0..capacity).map(free).collect(), capacity }
    }

    fn index(&self, position: u64) -> u64 {
        position & (self.capacity - 1)
    }

    fn lap(&self, position: u64) -> u64 {
        position & POSITION & !(self.capacity - 1)
    }

    #[inline(always)]
    fn slot(&self, position: u64) -> &Slot {
        &self.slots[self.index(position) as usize]
    }

    #[inline(always)]
    fn stamp(&self, position: u64) -> &AtomicU64 {
        &self.slot(position).stamp
    }

    #[inline(always)]
    fn is_ready(&self, position: u64, ready: State) -> bool {
        // Acquire: what the member before did in the slot has happened before we touch it.
        self.stamp(position).load(Acquire) == stamp(ready, self.lap(position))
    }

    /// How many slots from `first` on, at most `want`, are ready in their lap.
    #[inline(always)]
    fn stretch(&self, first: u64, want: u64, ready: State) -> Option<u64> {
        // What is said of the first slot is only a branch, which the processor guesses: the claim does not wait for it.
        if !self.is_ready(first, ready) {
            return None;
        }
        if want == 1 {
            return Some(1);
        }
        let most = want.min(self.capacity);
        Some((1..most).find(|nth| !self.is_ready(first + nth, ready)).unwrap_or(most))
    }

    /// # Safety
    /// The caller holds the run, for writing.
    #[inline(always)]
    unsafe fn write(&self, run: Run, message: u64) {
        for nth in 0..run.count {
            // SAFETY: the caller alone may touch the message.
            unsafe { *self.slot(run.first + nth).message.get() = message + nth };
        }
    }

    /// # Safety
    /// The caller holds the run, for reading.
    #[inline(always)]
    unsafe fn read(&self, run: Run, tally: &mut Tally) {
        for nth in 0..run.count {
            // SAFETY: the caller alone may touch the message.
            tally.add(unsafe { *self.slot(run.first + nth).message.get() });
        }
    }

    /// Last slot first. Release: the messages were written before anybody sees them.
    #[inline(always)]
    fn publish(&self, run: Run) {
        for position in (run.first..run.first + run.count).rev() {
            self.stamp(position).store(stamp(State::Full, self.lap(position)), Release);
        }
    }

    /// Last slot first. Release: the messages were read before anybody writes over them.
    #[inline(always)]
    fn free(&self, run: Run) {
        for position in (run.first..run.first + run.count).rev() {
            self.stamp(position).store(stamp(State::Free, self.lap(position + self.capacity)), Release);
        }
    }
}

/// One endpoint of a ring, and what only it knows.
struct Member {
    /// From 1.
    number: u64,
    /// The position after its last claim.
    next: u64,
}

/// A design. Both calls try once; zero says that nothing was claimed.
trait Ring: Sync {
    fn new(capacity: u64, members: u64) -> Self;

    /// Pushes the first of `want` messages that count up from `message`, and says how many.
    fn try_push(&self, me: &mut Member, message: u64, want: u64) -> u64;

    /// Pops up to `want` messages.
    fn try_pop(&self, me: &mut Member, want: u64, tally: &mut Tally) -> u64;
}

/// The reference: Vyukov's queue, which keeps no record. A death leaves it stuck for ever.
struct NoRecord {
    slots: Slots,
    tail: Line,
    head: Line,
}

impl NoRecord {
    #[inline(always)]
    fn try_claim(&self, ticket: &Line, want: u64, ready: State) -> Option<Run> {
        let first = ticket.0.load(Acquire);
        let count = self.slots.stretch(first, want, ready)?;
        // SeqCst, here and in the others: in a real queue the look for sleepers follows.
        ticket.0.compare_exchange(first, first + count, SeqCst, Relaxed).ok()?;
        Some(Run { first, count })
    }
}

impl Ring for NoRecord {
    fn new(capacity: u64, _: u64) -> NoRecord {
        NoRecord { slots: Slots::new(capacity), tail: Line::default(), head: Line::default() }
    }

    #[inline(always)]
    fn try_push(&self, _: &mut Member, message: u64, want: u64) -> u64 {
        let Some(run) = self.try_claim(&self.tail, want, State::Free) else { return 0 };
        // SAFETY: claimed.
        unsafe { self.slots.write(run, message) };
        self.slots.publish(run);
        run.count
    }

    #[inline(always)]
    fn try_pop(&self, _: &mut Member, want: u64, tally: &mut Tally) -> u64 {
        let Some(run) = self.try_claim(&self.head, want, State::Full) else { return 0 };
        // SAFETY: claimed.
        unsafe { self.slots.read(run, tally) };
        self.slots.free(run);
        run.count
    }
}

/// Each member has a line, in which it says what it is about to claim, that it got it, and that it is done.
struct Intents {
    slots: Slots,
    tail: Line,
    head: Line,
    intents: Box<[Line]>,
}

/// What an intent says of its run; zero is no intent.
#[derive(Clone, Copy)]
enum Intent {
    Push = 1,
    Pop = 2,
    PushHeld = 3,
    PopHeld = 4,
    /// A run whose messages were all copied out: if its holder dies now, none of them comes again.
    Releasing = 5,
}

impl Intents {
    #[inline(always)]
    fn intent(&self, me: &Member) -> &AtomicU64 {
        &self.intents[me.number as usize - 1].0
    }

    #[inline(always)]
    fn say(&self, me: &Member, what: Intent, run: Run) {
        // Release: before this, the member did what it said it would.
        self.intent(me).store((what as u64) << 61 | run.count << COUNT_AT | run.first & POSITION, Release);
    }

    #[inline(always)]
    fn try_claim(&self, me: &Member, ticket: &Line, want: u64, ready: State) -> Option<Run> {
        let (about_to, held) =
            if ready == State::Free { (Intent::Push, Intent::PushHeld) } else { (Intent::Pop, Intent::PopHeld) };
        let first = ticket.0.load(Acquire);
        let count = self.slots.stretch(first, want, ready)?;
        let run = Run { first, count };
        self.say(me, about_to, run);
        // Its release half: whoever sees the ticket taken sees the intent.
        if ticket.0.compare_exchange(first, first + count, SeqCst, Relaxed).is_err() {
            self.intent(me).store(0, Release);
            return None;
        }
        self.say(me, held, run);
        Some(run)
    }
}

impl Ring for Intents {
    fn new(capacity: u64, members: u64) -> Intents {
        let intents = (0..members).map(|_| Line::default()).collect();
        Intents { slots: Slots::new(capacity), tail: Line::default(), head: Line::default(), intents }
    }

    #[inline(always)]
    fn try_push(&self, me: &mut Member, message: u64, want: u64) -> u64 {
        let Some(run) = self.try_claim(me, &self.tail, want, State::Free) else { return 0 };
        // SAFETY: claimed.
        unsafe { self.slots.write(run, message) };
        self.slots.publish(run);
        // Release: who sees the intent gone sees the stamps moved.
        self.intent(me).store(0, Release);
        run.count
    }

    #[inline(always)]
    fn try_pop(&self, me: &mut Member, want: u64, tally: &mut Tally) -> u64 {
        let Some(run) = self.try_claim(me, &self.head, want, State::Full) else { return 0 };
        // SAFETY: claimed.
        unsafe { self.slots.read(run, tally) };
        if run.count > 1 {
            self.say(me, Intent::Releasing, run);
        }
        self.slots.free(run);
        self.intent(me).store(0, Release);
        run.count
    }
}

/// The claim is a compare-and-swap of the slot's own stamp. Tail and head only say where to begin.
struct OwnerInSlot {
    slots: Slots,
    tail: Line,
    head: Line,
}

impl OwnerInSlot {
    /// Claims the first slot that nobody has claimed, if it is ready: from where the hint says, or the member knows.
    ///
    /// All claims go to the first unclaimed position, and the walk passes a position only when it was seen claimed: so
    /// messages keep their order, whatever the hint says. A hint may have been set back by a slow member.
    #[inline(always)]
    fn try_claim(&self, me: &mut Member, hint: &Line, ready: State) -> Option<Run> {
        let holding = if ready == State::Free { State::Writing } else { State::Reading };
        let mut first = hint.0.load(Relaxed).max(me.next);
        loop {
            let (lap, slot) = (self.slots.lap(first), self.slots.stamp(first));
            let seen = slot.load(Acquire);
            if seen == stamp(ready, lap) {
                let mine = stamp(holding, lap) | me.number << OWNER_AT;
                if slot.compare_exchange(seen, mine, SeqCst, Relaxed).is_err() {
                    return None;
                }
                me.next = first + 1;
                return Some(Run { first, count: 1 });
            }
            first = self.after_claimed(first, seen, ready)?;
        }
    }

    /// Where to look on, from a position whose stamp is not ready; `None` if it is not claimed either.
    fn after_claimed(&self, position: u64, seen: u64, ready: State) -> Option<u64> {
        let (lap, state) = (seen & POSITION, seen >> STATE_AT);
        // What the stamp says of its own lap: whether this side has claimed the slot in it.
        let claimed = if ready == State::Free { state != State::Free as u64 } else { state == State::Reading as u64 };
        let latest = lap | self.slots.index(position);
        // In every lap before, it was claimed by both sides.
        let after = if claimed { latest + 1 } else { (latest + 1).checked_sub(self.slots.capacity)? };
        (after > position).then_some(after)
    }
}

impl Ring for OwnerInSlot {
    fn new(capacity: u64, _: u64) -> OwnerInSlot {
        OwnerInSlot { slots: Slots::new(capacity), tail: Line::default(), head: Line::default() }
    }

    #[inline(always)]
    fn try_push(&self, me: &mut Member, message: u64, want: u64) -> u64 {
        let mut pushed = 0;
        while pushed < want
            && let Some(run) = self.try_claim(me, &self.tail, State::Free)
        {
            // SAFETY: claimed.
            unsafe { self.slots.write(run, message + pushed) };
            self.slots.publish(run);
            pushed += 1;
        }
        if pushed > 0 {
            // Last: to set it before the message is handed over made most singles slower by a quarter or more.
            self.tail.0.store(me.next, Relaxed);
        }
        pushed
    }

    #[inline(always)]
    fn try_pop(&self, me: &mut Member, want: u64, tally: &mut Tally) -> u64 {
        let mut popped = 0;
        while popped < want
            && let Some(run) = self.try_claim(me, &self.head, State::Full)
        {
            // SAFETY: claimed.
            unsafe { self.slots.read(run, tally) };
            self.slots.free(run);
            popped += 1;
        }
        if popped > 0 {
            self.head.0.store(me.next, Relaxed);
        }
        popped
    }
}

/// What was built: the ticket says who made the last claim, and whoever replaces it writes that into the slot first.
struct OwnerInTicket {
    slots: Slots,
    tail: Line,
    head: Line,
}

impl OwnerInTicket {
    #[inline(always)]
    fn try_claim(&self, me: &Member, ticket: &Line, want: u64, ready: State) -> Option<Run> {
        let bits = ticket.0.load(Acquire);
        let first = bits & POSITION;
        let count = self.slots.stretch(first, want, ready)?;
        if bits >> OWNER_AT & 1023 != me.number {
            self.remember(bits, ready);
        }
        let next = count << COUNT_AT | me.number << OWNER_AT | (first + count) & POSITION;
        // Its release half: whoever sees this claim sees the record of the one before.
        ticket.0.compare_exchange(bits, next, SeqCst, Relaxed).ok()?;
        Some(Run { first, count })
    }

    fn remember(&self, bits: u64, unmoved: State) {
        let count = bits >> COUNT_AT & 127;
        if count == 0 {
            return;
        }
        let first = (bits & POSITION) - count;
        let (slot, lap) = (self.slots.stamp(first), self.slots.lap(first));
        if slot.load(Relaxed) == stamp(unmoved, lap) {
            let holding = if unmoved == State::Free { State::Writing } else { State::Reading };
            let record = stamp(holding, lap) | (count - 1) << COUNT_AT | (bits >> OWNER_AT & 1023) << OWNER_AT;
            // Fails if the holder has moved on.
            let _ = slot.compare_exchange(stamp(unmoved, lap), record, AcqRel, Relaxed);
        }
    }
}

impl Ring for OwnerInTicket {
    fn new(capacity: u64, _: u64) -> OwnerInTicket {
        OwnerInTicket { slots: Slots::new(capacity), tail: Line::default(), head: Line::default() }
    }

    #[inline(always)]
    fn try_push(&self, me: &mut Member, message: u64, want: u64) -> u64 {
        let Some(run) = self.try_claim(me, &self.tail, want, State::Free) else { return 0 };
        // SAFETY: claimed.
        unsafe { self.slots.write(run, message) };
        self.slots.publish(run);
        run.count
    }

    #[inline(always)]
    fn try_pop(&self, me: &mut Member, want: u64, tally: &mut Tally) -> u64 {
        let Some(run) = self.try_claim(me, &self.head, want, State::Full) else { return 0 };
        // SAFETY: claimed.
        unsafe { self.slots.read(run, tally) };
        if run.count > 1 {
            let lap = self.slots.lap(run.first);
            let mark = stamp(State::Releasing, lap) | (run.count - 1) << COUNT_AT | me.number << OWNER_AT;
            self.slots.stamp(run.first).store(mark, Release);
        }
        self.slots.free(run);
        run.count
    }
}

const MOST_PRODUCERS: usize = 4;
const PRODUCER_AT: u32 = 48;

/// The nth message of a producer.
fn message(producer: usize, nth: u64) -> u64 {
    (producer as u64) << PRODUCER_AT | nth
}

/// What came to one consumer.
#[derive(Default)]
struct Tally {
    count: u64,
    sum: u64,
    /// The number after the last that came, of each producer.
    next: [u64; MOST_PRODUCERS],
    disorder: bool,
}

impl Tally {
    #[inline(always)]
    fn add(&mut self, message: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(message);
        let (producer, nth) = ((message >> PRODUCER_AT) as usize % MOST_PRODUCERS, message & ((1 << PRODUCER_AT) - 1));
        self.disorder |= nth < self.next[producer];
        self.next[producer] = nth + 1;
    }
}

impl Extend<u64> for Tally {
    #[inline(always)]
    fn extend<I: IntoIterator<Item = u64>>(&mut self, messages: I) {
        messages.into_iter().for_each(|message| self.add(message));
    }
}

/// How all but the library wait: a short pause before each new try, and now and then a yield.
struct Waiting {
    times: u32,
    since: Instant,
}

const PAUSES: u32 = 16;
const YIELD_EVERY: u32 = 32;
/// Nothing moves for so long only if a message was lost.
const HANG: Duration = Duration::from_secs(10);

impl Waiting {
    fn new() -> Waiting {
        Waiting { times: 0, since: Instant::now() }
    }

    fn over(&mut self) {
        self.times = 0;
    }

    #[cold]
    fn pause(&mut self) {
        if self.times == 0 {
            self.since = Instant::now();
        }
        self.times += 1;
        for _ in 0..PAUSES {
            hint::spin_loop();
        }
        if self.times.is_multiple_of(YIELD_EVERY) {
            assert!(self.since.elapsed() < HANG, "nothing comes any more: a message was lost");
            thread::yield_now();
        }
    }
}

#[derive(Clone, Copy)]
struct Cell {
    producers: usize,
    consumers: usize,
    capacity: u64,
    batch: u64,
}

impl Cell {
    fn all() -> Vec<Cell> {
        let mut all = Vec::new();
        for batch in [1, 32] {
            for each in [1, 2, 4] {
                for capacity in [64, 1024] {
                    all.push(Cell { producers: each, consumers: each, capacity, batch });
                }
            }
        }
        all
    }

    fn name(&self) -> String {
        let Cell { producers, consumers, capacity, batch } = self;
        let what = if *batch == 1 { "singles".into() } else { format!("batches of {batch}") };
        format!("{producers}p{consumers}c, {capacity} slots, {what}")
    }
}

/// What a run sends: each producer so many messages.
#[derive(Clone, Copy)]
struct Load {
    cell: Cell,
    each: u64,
}

/// What an endpoint calls when it is ready to work: waits for the others, and starts its clock.
type Ready<'a> = Box<dyn FnOnce() + 'a>;

/// Runs all endpoints at once, verifies what came, and returns million messages a second.
fn race(
    name: &str,
    load: Load,
    produce: impl Fn(usize, Ready<'_>) + Sync,
    consume: impl Fn(usize, Ready<'_>) -> Tally + Sync,
) -> f64 {
    let Load { cell, each } = load;
    let start = Barrier::new(cell.producers + cell.consumers);
    let timed = |work: &dyn Fn(Ready<'_>) -> Tally| {
        let mut begun = Instant::now();
        let tally = work(Box::new(|| {
            start.wait();
            begun = Instant::now();
        }));
        (begun, Instant::now(), tally)
    };
    let efforts: Vec<(Instant, Instant, Tally)> = thread::scope(|scope| {
        let (timed, produce, consume) = (&timed, &produce, &consume);
        let producers = (0..cell.producers).map(|nth| {
            scope.spawn(move || {
                timed(&|ready| {
                    produce(nth, ready);
                    Tally::default()
                })
            })
        });
        let mut running: Vec<_> = producers.collect();
        running.extend((0..cell.consumers).map(|nth| scope.spawn(move || timed(&|ready| consume(nth, ready)))));
        running.into_iter().map(|thread| thread.join().expect("an endpoint fails")).collect()
    });

    let what = || format!("{name}, {}", cell.name());
    let messages = each * cell.producers as u64;
    let sent = |producer| (0..each).fold(0, |sum: u64, nth| sum.wrapping_add(message(producer, nth)));
    let sent = (0..cell.producers).map(sent).fold(0, u64::wrapping_add);
    let came = |of: fn(&Tally) -> u64| efforts.iter().map(|(_, _, tally)| of(tally)).fold(0, u64::wrapping_add);
    assert_eq!(came(|tally| tally.count), messages, "{}: how many came", what());
    assert_eq!(came(|tally| tally.sum), sent, "{}: the sum of what came", what());
    assert!(!efforts.iter().any(|(_, _, tally)| tally.disorder), "{}: out of order", what());

    let begun = efforts.iter().map(|effort| effort.0).min().expect("endpoints");
    let ended = efforts.iter().map(|effort| effort.1).max().expect("endpoints");
    messages as f64 / (ended - begun).as_secs_f64() / 1e6
}

fn run_ring<R: Ring>(name: &str, load: Load) -> f64 {
    let Load { cell, each } = load;
    let ring = R::new(cell.capacity, (cell.producers + cell.consumers) as u64);
    let messages = each * cell.producers as u64;
    let (producing, arrived) = (AtomicUsize::new(cell.producers), AtomicU64::new(0));
    let produce = |nth: usize, ready: Ready<'_>| {
        let mut me = Member { number: nth as u64 + 1, next: 0 };
        let (mut waiting, mut sent) = (Waiting::new(), 0);
        ready();
        while sent < each {
            match ring.try_push(&mut me, message(nth, sent), cell.batch.min(each - sent)) {
                0 => waiting.pause(),
                count => {
                    waiting.over();
                    sent += count;
                }
            }
        }
        producing.fetch_sub(1, AcqRel);
    };
    let consume = |nth: usize, ready: Ready<'_>| {
        let mut me = Member { number: (cell.producers + nth) as u64 + 1, next: 0 };
        let (mut waiting, mut tally, mut reported) = (Waiting::new(), Tally::default(), 0);
        ready();
        loop {
            if ring.try_pop(&mut me, cell.batch, &mut tally) != 0 {
                waiting.over();
                continue;
            }
            // A refusal need not mean that nothing is left. At the end consumers tell each other what they have.
            if producing.load(Acquire) == 0 {
                let new = tally.count - reported;
                reported = tally.count;
                if arrived.fetch_add(new, AcqRel) + new >= messages {
                    return tally;
                }
            }
            waiting.pause();
        }
    };
    race(name, load, produce, consume)
}

fn run_library(name: &str, load: Load) -> f64 {
    let Load { cell, each } = load;
    let queue: Queue<u64> = Options::new(cell.capacity as usize).anonymous().expect("there is shared memory");
    let producing = AtomicUsize::new(cell.producers);
    let produce = |nth: usize, ready: Ready<'_>| {
        let mut producer: Producer<u64> = queue.producer().expect("there is an entry");
        producer.set_wait(Wait::Spin);
        ready();
        let mut sent = 0;
        while sent < each {
            if cell.batch == 1 {
                producer.push(message(nth, sent)).expect("it is open");
                sent += 1;
            } else {
                let end = (sent + cell.batch).min(each);
                sent += producer.push_batch(message(nth, sent)..message(nth, end)).expect("it is open") as u64;
            }
        }
        if producing.fetch_sub(1, AcqRel) == 1 {
            producer.close();
        }
    };
    let consume = |_: usize, ready: Ready<'_>| {
        let mut consumer: Consumer<u64> = queue.consumer().expect("there is an entry");
        consumer.set_wait(Wait::Spin);
        ready();
        let mut tally = Tally::default();
        loop {
            let popped = if cell.batch == 1 {
                consumer.pop().map(|message| tally.add(message))
            } else {
                consumer.pop_batch(&mut tally, cell.batch as usize).map(|_| ())
            };
            match popped {
                Ok(()) => {}
                Err(Error::Closed) => return tally,
                Err(error) => panic!("{error}"),
            }
        }
    };
    race(name, load, produce, consume)
}

struct Contender {
    name: &'static str,
    run: fn(&str, Load) -> f64,
}

/// The reference first.
const CONTENDERS: [Contender; 5] = [
    Contender { name: "no record", run: run_ring::<NoRecord> },
    Contender { name: "intents", run: run_ring::<Intents> },
    Contender { name: "owner in slot", run: run_ring::<OwnerInSlot> },
    Contender { name: "owner in ticket", run: run_ring::<OwnerInTicket> },
    Contender { name: "the library", run: run_library },
];

/// One contender in one cell.
#[derive(Clone, Default)]
struct Measured {
    rates: Sample,
    /// To the reference, in the same round.
    ratios: Sample,
    /// How many messages each producer sends, so that a run takes about [`RUN_TIME`].
    each: u64,
}

/// In the first run, which only warms up.
const FIRST: u64 = 20_000;
const RUN_TIME: Duration = Duration::from_millis(55);

fn main() {
    let given = |name: &str| std::env::args().any(|argument| argument == name);
    let rounds = if given("--quick") { 3 } else { 11 };
    let (begun, usage, cells) = (Instant::now(), Usage::now(), Cell::all());
    let mut all = vec![vec![Measured { each: FIRST, ..Measured::default() }; CONTENDERS.len()]; cells.len()];
    for round in 0..=rounds {
        for (cell, measured) in cells.iter().zip(&mut all) {
            let mut rates = [0.0; CONTENDERS.len()];
            for turn in 0..CONTENDERS.len() {
                // Nobody is always first.
                let nth = (round + turn) % CONTENDERS.len();
                let (contender, measured) = (&CONTENDERS[nth], &mut measured[nth]);
                rates[nth] = (contender.run)(contender.name, Load { cell: *cell, each: measured.each });
                let each = rates[nth] * 1e6 * RUN_TIME.as_secs_f64() / cell.producers as f64;
                measured.each = each as u64 + 1000;
            }
            if round > 0 {
                for (measured, rate) in measured.iter_mut().zip(rates) {
                    measured.rates.add(rate);
                    measured.ratios.add(rate / rates[0]);
                }
            }
        }
    }
    tell(&cells, &all);
    let seconds = begun.elapsed().as_secs_f64();
    println!("\n{rounds} rounds in {seconds:.0} s; every run verified by count, sum and order.");
    println!("Meanwhile other programs kept {:.2} processors busy.", usage.others_since());
}

fn tell(cells: &[Cell], all: &[Vec<Measured>]) {
    println!(
        "\nMillion messages a second: the median [least..greatest] of the rounds, and the ratio to \"no record\"\n"
    );
    let columns: Vec<String> = CONTENDERS.iter().map(|contender| contender.name.into()).collect();
    println!("| cell | {} |\n|---|{}", columns.join(" | "), "--:|".repeat(columns.len()));
    for (cell, measured) in cells.iter().zip(all) {
        let shown = |(nth, measured): (usize, &Measured)| {
            let ratio = if nth == 0 { String::new() } else { format!(", {}", show(measured.ratios.median())) };
            measured.rates.show() + &ratio
        };
        let row: Vec<String> = measured.iter().enumerate().map(shown).collect();
        println!("| {} | {} |", cell.name(), row.join(" | "));
    }
    for (what, is_in) in
        [("singles", (|cell| cell.batch == 1) as fn(&Cell) -> bool), ("batches", |cell| cell.batch > 1)]
    {
        let mean = |nth: usize| {
            let of = cells.iter().zip(all).filter(|(cell, _)| is_in(cell));
            show(geometric_mean(of.map(|(_, measured)| measured[nth].ratios.median())))
        };
        let means: Vec<String> = (0..CONTENDERS.len()).map(mean).collect();
        println!("| {what}: mean of the ratios | {} |", means.join(" | "));
    }
}
