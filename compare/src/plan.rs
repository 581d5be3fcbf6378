//! What one run is: a contender, a cell, and what its endpoints do.

use std::fmt;

use crate::contenders::{Contender, Entry};

/// How long messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// A u64.
    Word,
    /// 64 bytes, aligned to as many.
    Line,
    /// 1 KiB.
    Kilobyte,
    /// 64 KiB.
    Large,
}

impl Size {
    /// All of them.
    pub const ALL: [Size; 4] = [Size::Word, Size::Line, Size::Kilobyte, Size::Large];

    /// The capacities that are measured: longer messages would fill the memory with nothing learned.
    pub fn capacities(self) -> &'static [usize] {
        match self {
            Size::Word | Size::Line => &[64, 1024, 8192],
            Size::Kilobyte => &[64, 1024],
            Size::Large => &[64],
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["u64", "64 B", "1 KiB", "64 KiB"][*self as usize])
    }
}

/// What is asked of a queue, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Of the messages.
    pub size: Size,
    /// Endpoints that push.
    pub producers: usize,
    /// Endpoints that pop.
    pub consumers: usize,
    /// Messages that the queue holds.
    pub capacity: usize,
}

impl Cell {
    /// One producer and one consumer.
    pub fn is_one_to_one(&self) -> bool {
        (self.producers, self.consumers) == (1, 1)
    }

    /// `2p2c 1024`
    pub fn short(&self) -> String {
        format!("{}p{}c {}", self.producers, self.consumers, self.capacity)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.short())
    }
}

/// What the endpoints of a run do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// So many messages, as fast as they go.
    Stream { messages: u64 },
    /// As many as go in so many nanoseconds, counted for each endpoint.
    Fair { time: u64 },
    /// So many, `gap` nanoseconds from one to the next, each with the time at which it was sent.
    Paced { messages: u64, gap: u64 },
    /// Questions and answers through two queues, for `time`, each question `pause` after the answer (nanoseconds).
    Trips { time: u64, pause: u64 },
    /// Nothing for so many nanoseconds: what do receivers use meanwhile?
    Idle { time: u64 },
    /// So many published, while all receivers are there and none of them receives.
    Alone { messages: u64 },
    /// Made and opened so many times.
    Start { times: u64 },
    /// Made and filled to three quarters.
    Weigh,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Who.
    pub entry: &'static Entry,
    /// Where.
    pub cell: Cell,
    /// Messages in a batch; 1 is pushed and popped singly.
    pub batch: usize,
    /// Endpoints are pinned to the processors in turn.
    pub pin: bool,
    /// What.
    pub work: Work,
}

impl Plan {
    /// For a child.
    pub fn to_numbers(self) -> Vec<u64> {
        let Cell { size, producers, consumers, capacity } = self.cell;
        let (kind, a, b) = match self.work {
            Work::Stream { messages } => (0, messages, 0),
            Work::Fair { time } => (1, time, 0),
            Work::Paced { messages, gap } => (2, messages, gap),
            Work::Trips { time, pause } => (3, time, pause),
            Work::Idle { time } => (4, time, 0),
            Work::Start { times } => (5, times, 0),
            Work::Weigh => (6, 0, 0),
            Work::Alone { messages } => (7, messages, 0),
        };
        let head = [self.entry.contender as usize, size as usize, producers, consumers, capacity, self.batch];
        let head = head.into_iter().map(|number| number as u64);
        head.chain([self.pin.into(), kind, a, b]).collect()
    }

    /// How many numbers a plan is.
    pub const NUMBERS: usize = 10;

    /// In a child.
    pub fn from_numbers(numbers: &[u64]) -> Plan {
        let &[contender, size, producers, consumers, capacity, batch, pin, kind, a, b] = numbers else {
            panic!("the numbers of a plan")
        };
        let work = match kind {
            0 => Work::Stream { messages: a },
            1 => Work::Fair { time: a },
            2 => Work::Paced { messages: a, gap: b },
            3 => Work::Trips { time: a, pause: b },
            4 => Work::Idle { time: a },
            5 => Work::Start { times: a },
            7 => Work::Alone { messages: a },
            _ => Work::Weigh,
        };
        let [producers, consumers, capacity, batch] =
            [producers, consumers, capacity, batch].map(|number| number as usize);
        let cell = Cell { size: Size::ALL[size as usize], producers, consumers, capacity };
        let entry = Contender::numbered(contender as usize);
        Plan { entry, cell, batch, pin: pin != 0, work }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = if self.batch > 1 { format!(", batches of {}", self.batch) } else { String::new() };
        let pin = if self.pin { ", pinned" } else { "" };
        write!(f, "{}, {}{batch}{pin}, {:?}", self.entry.name, self.cell, self.work)
    }
}
