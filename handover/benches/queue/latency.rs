//! Round trips: one asks, the other answers, each through a queue of its own. Next to them, what the machine itself
//! takes: two cache lines that are spun on, and two futexes that are slept on.
//!
//! Asked at once after each answer, whoever spins at all never sleeps. So what is parked is measured with a pause before
//! each question, in which the other end falls asleep, whatever it is.
//!
//! Left alone, the system puts the two ends on one processor or on two, and changes its mind: a futex's round trip then
//! takes 2 microseconds or 50. So all of it is measured twice, left alone and with each end on a processor of its own,
//! and the latter is what the aims are held against.

use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

use handover::{Consumer, Producer, Queue, Wait};
use hdrhistogram::Histogram;

use super::aims::{Aims, Bound};
use super::board::Board;
use super::cases::{Between, options};
use super::machine;
use super::processes::{self, Team};
use super::report::{Report, Table};
use super::roles::Role;
use super::settings::Settings;
use super::statistics::{Sample, show};

const CAPACITY: usize = 64;
/// The question that has no answer and ends the answerer.
const END: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Lines,
    Futexes,
    Handover { one: bool, wait: Wait },
    Crossbeam,
    Crossfire,
}

const fn handover(one: bool, wait: Wait) -> Means {
    Means::Handover { one, wait }
}

/// How questions follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// At once.
    Rapid,
    /// After `PAUSE`.
    Calm,
}

/// Longer than anybody spins.
const PAUSE: Duration = Duration::from_micros(100);

/// Those that can be between processes, too.
const RAPID: [Means; 5] = [
    Means::Lines,
    handover(false, Wait::Spin),
    handover(true, Wait::Spin),
    handover(false, Wait::Balanced),
    handover(true, Wait::Balanced),
];
const CALM: [Means; 5] = [
    Means::Futexes,
    handover(false, Wait::Park),
    handover(true, Wait::Park),
    handover(false, Wait::Balanced),
    handover(true, Wait::Balanced),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    between: Between,
    means: Means,
    pace: Pace,
    /// Each on a processor of its own.
    apart: bool,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placed = if self.apart { "apart" } else { "left alone" };
        write!(f, "{placed}, {}: {}", self.between, name(self.means))
    }
}

fn pairs(pin: bool) -> Vec<Pair> {
    let mut all = Vec::new();
    for (pace, shared) in [(Pace::Rapid, RAPID), (Pace::Calm, CALM)] {
        for apart in if pin { &[true][..] } else { &[true, false] } {
            let pair = |between| move |means| Pair { between, means, pace, apart: *apart };
            all.extend(shared.map(pair(Between::Threads)));
            all.extend([Means::Crossbeam, Means::Crossfire].map(pair(Between::Threads)));
            all.extend(shared.map(pair(Between::Processes)));
        }
    }
    all
}

fn name(means: Means) -> String {
    match means {
        Means::Lines => "two cache lines, spun on".into(),
        Means::Futexes => "two futexes".into(),
        Means::Handover { one, wait } => {
            format!("handover{}, {wait:?}", if one { " declared 1:1" } else { "" })
        }
        Means::Crossbeam => "crossbeam-channel".into(),
        Means::Crossfire => "crossfire mpmc".into(),
    }
}

/// One end: a way to send, and a way to wait for what the other sends.
trait Line: Send {
    fn send(&mut self, number: u32);
    fn wait(&mut self) -> u32;
}

/// Of nanoseconds, to three digits, up to a minute.
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds")
}

/// How one run asks.
#[derive(Clone, Copy)]
struct Asking {
    pace: Pace,
    apart: bool,
    time: Duration,
}

fn ask(mut line: impl Line, asking: Asking) -> Histogram<u64> {
    if asking.apart {
        machine::pin_to(0);
    }
    let (pause, warm_up) = match asking.pace {
        Pace::Rapid => (Duration::ZERO, 200),
        Pace::Calm => (PAUSE, 10),
    };
    let mut trips = empty();
    let begun = Instant::now();
    let mut now = begun;
    for number in 1.. {
        // Not asleep: a processor that has to be woken would be part of the figure.
        while now.elapsed() < pause {
            std::hint::spin_loop();
        }
        let start = Instant::now();
        line.send(number);
        let answer = line.wait();
        now = Instant::now();
        assert_eq!(answer, number, "the answer to another question");
        if number > warm_up || now - begun > asking.time / 2 {
            trips.record((now - start).as_nanos() as u64).expect("within the bounds");
        }
        if now - begun > asking.time {
            break;
        }
    }
    line.send(END);
    trips
}

fn answer(mut line: impl Line, apart: bool) {
    if apart {
        machine::pin_to(1);
    }
    loop {
        match line.wait() {
            END => return,
            number => line.send(number),
        }
    }
}

/// Two words: one is written here, the other there.
struct Words<'a> {
    mine: &'a AtomicU32,
    theirs: &'a AtomicU32,
    seen: u32,
}

fn words(board: &Board, asks: bool) -> Words<'_> {
    let (mine, theirs) = if asks { (0, 1) } else { (1, 0) };
    Words { mine: board.word(mine), theirs: board.word(theirs), seen: 0 }
}

struct Spun<'a>(Words<'a>);

impl Line for Spun<'_> {
    fn send(&mut self, number: u32) {
        self.0.mine.store(number, Release);
    }

    fn wait(&mut self) -> u32 {
        loop {
            let found = self.0.theirs.load(Acquire);
            if found != self.0.seen {
                self.0.seen = found;
                return found;
            }
            std::hint::spin_loop();
        }
    }
}

struct SleptOn<'a> {
    words: Words<'a>,
    shared: bool,
}

impl Line for SleptOn<'_> {
    fn send(&mut self, number: u32) {
        self.words.mine.store(number, Release);
        machine::wake_all(self.words.mine, self.shared);
    }

    fn wait(&mut self) -> u32 {
        loop {
            let found = self.words.theirs.load(Acquire);
            if found != self.words.seen {
                self.words.seen = found;
                return found;
            }
            machine::sleep_on(self.words.theirs, found, None, self.shared);
        }
    }
}

struct Queues<P, C>(P, C);

/// Between threads a number is pushed as it is moved, between processes as it is copied: two types of handles.
macro_rules! handover_line {
    ($message:ty) => {
        impl Line for Queues<Producer<$message>, Consumer<$message>> {
            fn send(&mut self, number: u32) {
                self.0.push(number).expect("a push");
            }

            fn wait(&mut self) -> u32 {
                self.1.pop().expect("a pop")
            }
        }
    };
}
handover_line!(u32);
handover_line!(handover::Owned<u32>);

impl Line for Queues<crossbeam_channel::Sender<u32>, crossbeam_channel::Receiver<u32>> {
    fn send(&mut self, number: u32) {
        self.0.send(number).expect("a push");
    }

    fn wait(&mut self) -> u32 {
        self.1.recv().expect("a pop")
    }
}

type CrossfireSender = crossfire::MTx<crossfire::mpmc::Array<u32>>;
type CrossfireReceiver = crossfire::MRx<crossfire::mpmc::Array<u32>>;

impl Line for Queues<CrossfireSender, CrossfireReceiver> {
    fn send(&mut self, number: u32) {
        self.0.send(number).expect("a push");
    }

    fn wait(&mut self) -> u32 {
        self.1.recv().expect("a pop")
    }
}

fn ends<M: handover::Message + ?Sized>(from: &Queue<M>, to: &Queue<M>, wait: Wait) -> Queues<Producer<M>, Consumer<M>> {
    let mut ends = Queues(to.producer().expect("a producer"), from.consumer().expect("a consumer"));
    ends.0.set_wait(wait);
    ends.1.set_wait(wait);
    ends
}

fn between_threads(asking: Asking, asker: impl Line, answerer: impl Line) -> Histogram<u64> {
    thread::scope(|scope| {
        scope.spawn(move || answer(answerer, asking.apart));
        scope.spawn(move || ask(asker, asking)).join().expect("an asker")
    })
}

fn in_threads(means: Means, asking: Asking) -> Histogram<u64> {
    let board = Board::new();
    let (asks, answers) = (words(&board, true), words(&board, false));
    match means {
        Means::Lines => between_threads(asking, Spun(asks), Spun(answers)),
        Means::Futexes => {
            let line = |words| SleptOn { words, shared: false };
            between_threads(asking, line(asks), line(answers))
        }
        Means::Handover { one, wait } => {
            let queue = || options(CAPACITY, one).threads::<u32>().expect("a queue");
            let (there, back) = (queue(), queue());
            between_threads(asking, ends(&back, &there, wait), ends(&there, &back, wait))
        }
        Means::Crossbeam => {
            let (there, asked) = crossbeam_channel::bounded(CAPACITY);
            let (back, answered) = crossbeam_channel::bounded(CAPACITY);
            between_threads(asking, Queues(there, answered), Queues(back, asked))
        }
        Means::Crossfire => {
            let (there, asked) = crossfire::mpmc::bounded_blocking(CAPACITY);
            let (back, answered) = crossfire::mpmc::bounded_blocking(CAPACITY);
            between_threads(asking, Queues(there, answered), Queues(back, asked))
        }
    }
}

fn shared_means() -> Vec<Means> {
    RAPID.into_iter().chain(CALM).collect()
}

/// What a child is told.
fn number_of(means: Means) -> u64 {
    shared_means().iter().position(|shared| *shared == means).expect("one that is shared") as u64
}

/// This process asks, a child answers.
fn in_processes(means: Means, asking: Asking) -> Histogram<u64> {
    let board = Board::new();
    let one = matches!(means, Means::Handover { one: true, .. });
    let queue = || options(CAPACITY, one).anonymous::<u32>().expect("a queue");
    let (there, back) = (queue(), queue());
    let descriptors = vec![board.share(), there.share().expect("a descriptor"), back.share().expect("a descriptor")];
    let mut team = Team::new(descriptors);
    team.enlist(Role::Answerer, &[number_of(means), asking.apart.into()]);
    board.start(1);
    let asks = words(&board, true);
    // In a thread, which can be pinned and then forgotten.
    let trips = thread::scope(|scope| {
        let asker = scope.spawn(move || match means {
            Means::Lines => ask(Spun(asks), asking),
            Means::Futexes => ask(SleptOn { words: asks, shared: true }, asking),
            Means::Handover { wait, .. } => ask(ends(&back, &there, wait), asking),
            Means::Crossbeam | Means::Crossfire => unreachable!("they are between threads only"),
        });
        asker.join().expect("an asker")
    });
    team.results();
    trips
}

pub fn answer_in_child(job: &[u64]) {
    let &[number, apart] = job else { panic!("the numbers of an answerer's job") };
    let [board, there, back] = processes::handed_over();
    let board = Board::from_fd(board);
    let queue = |descriptor| Queue::<u32>::from_fd(descriptor).expect("the run's queue");
    let words = words(&board, false);
    match shared_means()[number as usize] {
        Means::Handover { wait, .. } => {
            let ends = ends(&queue(there), &queue(back), wait);
            board.arrive();
            answer(ends, apart != 0);
        }
        Means::Lines => {
            board.arrive();
            answer(Spun(words), apart != 0);
        }
        _ => {
            board.arrive();
            answer(SleptOn { words, shared: true }, apart != 0);
        }
    }
}

struct Measured {
    pair: Pair,
    trips: Histogram<u64>,
    medians: Sample,
}

impl Measured {
    fn run(&mut self, settings: &Settings, counts: bool) {
        let Pair { between, means, pace, apart } = self.pair;
        machine::runs(format!("round trip, {}", self.pair));
        let time = if pace == Pace::Rapid { settings.run_time / 2 } else { settings.run_time };
        let asking = Asking { pace, apart, time };
        let trips = match between {
            Between::Threads => in_threads(means, asking),
            Between::Processes => in_processes(means, asking),
        };
        if counts {
            self.medians.add(trips.value_at_quantile(0.5) as f64 / 1000.0);
            self.trips.add(&trips).expect("the same bounds");
        }
    }

    /// What the machine takes for the same.
    fn base(&self) -> Option<Pair> {
        let means = match self.pair.means {
            Means::Handover { wait: Wait::Spin, .. } => Means::Lines,
            Means::Handover { wait: Wait::Park, .. } => Means::Futexes,
            _ => return None,
        };
        Some(Pair { means, ..self.pair })
    }
}

pub fn measure(settings: &Settings, report: &mut Report, aims: &mut Aims) {
    let make = |pair| Measured { pair, trips: empty(), medians: Sample::default() };
    let mut all: Vec<Measured> = pairs(settings.pin).into_iter().map(make).collect();
    let count = all.len();
    for round in 0..=settings.rounds {
        for nth in 0..count {
            all[(nth + round) % count].run(settings, round > 0);
        }
    }

    let median = |pair| all.iter().find(|run| run.pair == pair).expect("every pair ran").medians.median();
    let ratio = |run: &Measured| Some(run.medians.median() / median(run.base()?));
    for (pace, how) in [
        (Pace::Rapid, "each question at once after the answer".to_owned()),
        (Pace::Calm, format!("each question {} us after the answer, the other end asleep", PAUSE.as_micros())),
    ] {
        let title = format!("Round trips, {how} (microseconds; p50 of the rounds, the others over all of them)");
        let mut table = Table::new(title, ["means", "p50", "p99", "p99.9", "x bare machine", "trips"]);
        for run in all.iter().filter(|run| run.pair.pace == pace) {
            let at = |quantile| show(run.trips.value_at_quantile(quantile) as f64 / 1000.0);
            let times_bare = ratio(run).map_or_else(String::new, show);
            let trips = run.trips.len().to_string();
            table.row([run.pair.to_string(), run.medians.show(), at(0.99), at(0.999), times_bare, trips]);
        }
        report.table(&table);
    }

    for (wait, most, what) in [
        (Wait::Park, 1.15, "a parked round trip within 15 % of a bare futex ping-pong, ends apart"),
        (Wait::Spin, 1.5, "a spinning round trip within 1.5 times a two-line cache trip, ends apart"),
    ] {
        let held = |run: &&Measured| {
            run.pair.apart && matches!(run.pair.means, Means::Handover { wait: with, .. } if with == wait)
        };
        let cells: Vec<(String, f64)> = all
            .iter()
            .filter(held)
            .map(|run| (format!("{}, {}", run.pair.between, name(run.pair.means)), ratio(run).expect("a base")))
            .collect();
        aims.ratios(what, Bound::AtMost(most), &cells);
    }
}
