//! What is run: a contender, in a cell.

use std::fmt;
use std::sync::Arc;

use handover::{Options, Queue};

use super::board::Board;
use super::endpoints::{Batch, Handover};
use super::load::{Line, Load, Tally};
use super::processes::{self, Team};
use super::race::{Drain, Effort, Feed, Outcome, between_threads, share_of};
use super::roles::Role;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Word,
    Line,
}

impl Size {
    pub const ALL: [Size; 2] = [Size::Word, Size::Line];

    pub fn bytes(self) -> u64 {
        match self {
            Size::Word => 8,
            Size::Line => 64,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Size::Word { "u64" } else { "64-byte" })
    }
}

pub const CAPACITIES: [usize; 3] = [64, 1024, 8192];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub size: Size,
    pub producers: usize,
    pub consumers: usize,
    pub capacity: usize,
}

impl Cell {
    pub fn is_one_to_one(&self) -> bool {
        (self.producers, self.consumers) == (1, 1)
    }

    /// Without the size, which has a table of its own.
    pub fn short(&self) -> String {
        format!("{}p{}c {}", self.producers, self.consumers, self.capacity)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.short())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    Threads,
    Processes,
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Between::Threads { "threads" } else { "processes" })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// `one`: declared for one producer and one consumer.
    Handover {
        between: Between,
        one: bool,
        batch: Batch,
    },
    Crossbeam,
    Crossfire,
    CrossfireOne,
    Rtrb,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contender::Handover { between, one, .. } => {
                write!(f, "handover {between}{}", if *one { ", declared 1:1" } else { "" })
            }
            Contender::Crossbeam => f.write_str("crossbeam-channel"),
            Contender::Crossfire => f.write_str("crossfire mpmc"),
            Contender::CrossfireOne => f.write_str("crossfire spsc"),
            Contender::Rtrb => f.write_str("rtrb, yielding"),
        }
    }
}

pub fn run(cell: Cell, contender: Contender, messages: u64, pin: bool) -> Outcome {
    let what = format!("{cell}, {contender}, {messages} messages");
    super::machine::runs(what.clone());
    match cell.size {
        Size::Word => run_with::<u64>(&what, cell, contender, messages, pin),
        Size::Line => run_with::<Line>(&what, cell, contender, messages, pin),
    }
}

fn run_with<L: Load>(what: &str, cell: Cell, contender: Contender, messages: u64, pin: bool) -> Outcome {
    let board = Arc::new(Board::new());
    let Cell { producers, consumers, capacity, .. } = cell;
    let efforts = match contender {
        Contender::Handover { between: Between::Threads, one, batch } => {
            let queue = options(capacity, one).threads::<L>().expect("a queue");
            let feeders = handles(producers, producers, batch, &board, || queue.producer().expect("a producer"));
            let drainers = handles(consumers, producers, batch, &board, || queue.consumer().expect("a consumer"));
            between_threads(feeders, drainers, &board, messages, pin)
        }
        Contender::Handover { between: Between::Processes, one, batch } => {
            let queue = options(capacity, one).anonymous::<L>().expect("a queue");
            between_processes(&queue, cell, batch, &board, messages, pin)
        }
        Contender::Crossbeam => {
            let (sender, receiver) = crossbeam_channel::bounded::<L>(capacity);
            between_threads(spread(sender, producers), spread(receiver, consumers), &board, messages, pin)
        }
        Contender::Crossfire => {
            let (sender, receiver) = crossfire::mpmc::bounded_blocking::<L>(capacity);
            between_threads(spread(sender, producers), spread(receiver, consumers), &board, messages, pin)
        }
        Contender::CrossfireOne => {
            let (sender, receiver) = crossfire::spsc::bounded_blocking::<L>(capacity);
            between_threads(vec![sender], vec![receiver], &board, messages, pin)
        }
        Contender::Rtrb => {
            let (producer, consumer) = rtrb::RingBuffer::<L>::new(capacity);
            between_threads(vec![producer], vec![consumer], &board, messages, pin)
        }
    };
    Outcome::settle::<L>(what, &efforts, messages)
}

pub fn options(capacity: usize, one: bool) -> Options {
    let options = Options::new(capacity);
    if one { options.one_producer().one_consumer() } else { options }
}

fn handles<E>(
    count: usize,
    producers: usize,
    batch: Batch,
    board: &Arc<Board>,
    make: impl Fn() -> E,
) -> Vec<Handover<E>> {
    (0..count).map(|_| Handover { end: make(), batch, producers, board: Arc::clone(board) }).collect()
}

/// So many handles and no more: the channel ends with the last of them.
fn spread<H: Clone>(handle: H, count: usize) -> Vec<H> {
    std::iter::repeat_n(handle, count).collect()
}

fn between_processes<L: Load>(
    queue: &Queue<L>,
    cell: Cell,
    batch: Batch,
    board: &Board,
    messages: u64,
    pin: bool,
) -> Vec<Effort> {
    let mut team = Team::new(vec![queue.share().expect("a descriptor"), board.share()]);
    let (producers, all) = (cell.producers, cell.producers + cell.consumers);
    for nth in 0..all {
        let numbers = if nth < producers { share_of(messages, producers, nth) } else { 0..0 };
        let [nth, batch, producers] = [nth, batch, producers].map(|number| number as u64);
        let job = [cell.size.bytes(), nth, pin.into(), batch, producers, numbers.start, numbers.end];
        team.enlist(Role::Endpoint, &job);
    }
    board.start(all);
    team.results().iter().map(|line| Effort::from_line(line).expect("an endpoint's line")).collect()
}

/// Attaches, starts with the others, works, and prints what it did.
pub fn work_in_child(job: &[u64]) {
    if job[0] == Size::Word.bytes() { work_with::<u64>(job) } else { work_with::<Line>(job) }
}

fn work_with<L: Load>(job: &[u64]) {
    let &[_, nth, pin, batch, producers, from, to] = job else { panic!("the numbers of an endpoint's job") };
    let [nth, batch, producers] = [nth, batch, producers].map(|number| number as usize);
    let [queue, board] = processes::handed_over();
    let queue = Queue::<L>::from_fd(queue).expect("the run's queue");
    let board = Arc::new(Board::from_fd(board));
    let effort = if nth < producers {
        let end = queue.producer().expect("a producer");
        let feeder = Handover { end, batch, producers, board: Arc::clone(&board) };
        Effort::of(nth, pin != 0, &board, || {
            feeder.feed(from..to);
            Tally::default()
        })
    } else {
        let end = queue.consumer().expect("a consumer");
        let drainer = Handover { end, batch, producers, board: Arc::clone(&board) };
        Effort::of(nth, pin != 0, &board, || drainer.drain())
    };
    println!("{}", effort.to_line());
}
