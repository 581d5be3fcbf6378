//! What is run: of which kind, for how many, with which measures, under which load.

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::units;

/// What messages are handed through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// First in, first out; each message to one.
    Queue,
    /// One writer, and readers that it waits for; each message to every reader.
    Broadcast,
    /// Work: each task is submitted, taken, and done.
    Tasks,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Queue => "queue",
            Kind::Broadcast => "broadcast",
            Kind::Tasks => "tasks",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Between {
    Threads,
    Processes,
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Between::Threads { "threads" } else { "processes" })
    }
}

/// How messages lie in their slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// Bytes, of any length up to a maximum.
    Bytes,
    /// A plain type of whole words.
    Plain,
    /// A plain type that begins a cache line of its own.
    Line,
}

/// [`handover::Wait`], as it is written on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    Spin,
    Balanced,
    Park,
}

impl Wait {
    pub(crate) const ALL: [Wait; 3] = [Wait::Spin, Wait::Balanced, Wait::Park];
}

impl From<Wait> for handover::Wait {
    fn from(wait: Wait) -> handover::Wait {
        match wait {
            Wait::Spin => handover::Wait::Spin,
            Wait::Balanced => handover::Wait::Balanced,
            Wait::Park => handover::Wait::Park,
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", handover::Wait::from(*self))
    }
}

#[derive(Args, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Case {
    #[arg(long)]
    pub(crate) kind: Kind,
    #[arg(long)]
    pub(crate) between: Between,
    /// Declared for one producer and one consumer.
    #[arg(long)]
    pub(crate) one: bool,
    #[arg(long)]
    pub(crate) producers: usize,
    #[arg(long)]
    pub(crate) consumers: usize,
    #[arg(long)]
    pub(crate) capacity: usize,
    /// Bytes of a message.
    #[arg(long)]
    pub(crate) size: usize,
    #[arg(long)]
    pub(crate) layout: Layout,
    /// Messages in a batch; 1 is handed over singly.
    #[arg(long)]
    pub(crate) batch: usize,
    #[arg(long)]
    pub(crate) wait: Wait,
    /// Messages a second of all producers together; 0 is as many as can be.
    #[arg(long)]
    pub(crate) rate: u64,
    /// How many of them come at once.
    #[arg(long)]
    pub(crate) burst: u64,
    /// For how long a consumer works on each message.
    #[arg(long, value_parser = units::duration)]
    pub(crate) work: Duration,
    /// For how long a consumer stands still now and then.
    #[arg(long, value_parser = units::duration)]
    pub(crate) pause: Duration,
    /// The memory node that it is put on; where the system likes, if none is named.
    #[arg(long)]
    pub(crate) node: Option<u32>,
    /// On huge pages, if there are any.
    #[arg(long)]
    pub(crate) huge: bool,
}

impl Case {
    /// As many words as can be, one to one, by a plain queue.
    pub(crate) fn new(kind: Kind, between: Between) -> Case {
        Case {
            kind,
            between,
            one: false,
            producers: 1,
            consumers: 1,
            capacity: 1024,
            size: 8,
            layout: Layout::Plain,
            batch: 1,
            wait: Wait::Balanced,
            rate: 0,
            burst: 1,
            work: Duration::ZERO,
            pause: Duration::ZERO,
            node: None,
            huge: false,
        }
    }

    pub(crate) fn endpoints(&self) -> usize {
        self.producers + self.consumers
    }

    /// How many of what is put in come out, for each.
    pub(crate) fn copies(&self) -> u64 {
        if self.kind == Kind::Broadcast { self.consumers as u64 } else { 1 }
    }

    pub(crate) fn is_paced(&self) -> bool {
        self.rate > 0
    }

    /// The same, as a child process is told.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let named =
            |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| v.get_name().into());
        let nanoseconds = |time: Duration| format!("{}ns", time.as_nanos());
        let mut arguments = Vec::new();
        for (option, value) in [
            ("kind", named(self.kind.to_possible_value())),
            ("between", named(self.between.to_possible_value())),
            ("producers", self.producers.to_string()),
            ("consumers", self.consumers.to_string()),
            ("capacity", self.capacity.to_string()),
            ("size", self.size.to_string()),
            ("layout", named(self.layout.to_possible_value())),
            ("batch", self.batch.to_string()),
            ("wait", named(self.wait.to_possible_value())),
            ("rate", self.rate.to_string()),
            ("burst", self.burst.to_string()),
            ("work", nanoseconds(self.work)),
            ("pause", nanoseconds(self.pause)),
        ] {
            arguments.extend([format!("--{option}"), value]);
        }
        arguments.extend(self.node.into_iter().flat_map(|node| ["--node".into(), node.to_string()]));
        let said = [("--one", self.one), ("--huge", self.huge)];
        arguments.extend(said.into_iter().filter(|(_, said)| *said).map(|(option, _)| option.to_owned()));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Told {
        #[command(flatten)]
        case: Case,
    }

    #[test]
    fn a_child_is_told_the_very_case() {
        let plain = Case::new(Kind::Tasks, Between::Threads);
        let other = Case {
            one: true,
            producers: 2,
            consumers: 3,
            layout: Layout::Line,
            wait: Wait::Park,
            rate: 5,
            burst: 6,
            work: Duration::from_nanos(1234),
            pause: Duration::from_millis(7),
            node: Some(1),
            huge: true,
            ..Case::new(Kind::Queue, Between::Processes)
        };
        for case in [plain, other] {
            let words = ["told".to_owned()].into_iter().chain(case.arguments());
            assert_eq!(Told::try_parse_from(words).unwrap().case, case);
        }
    }
}
