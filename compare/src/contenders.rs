//! Who takes part, in which setting, and in which cells.

use std::fmt;

use crate::plan::{Cell, Size, Work};
use crate::queues::processes::boost_version;

/// Everybody. Its place in the list is its number, for children.
#[allow(missing_docs, reason = "`ALL` says what each is")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    Threads,
    ThreadsSpin,
    ThreadsPark,
    OneThreads,
    OneThreadsSpin,
    OneThreadsPark,
    SegmentThreads,
    Crossbeam,
    Crossfire,
    CrossfireOne,
    Kanal,
    Flume,
    Std,
    AsyncChannel,
    Thingbuf,
    Guarded,
    Rtrb,
    Disruptor,
    SpunOn,
    SleptOn,
    Stream,
    Processes,
    ProcessesSpin,
    ProcessesPark,
    OneProcesses,
    OneProcessesSpin,
    OneProcessesPark,
    Iceoryx,
    Cloudtoid,
    IpcChannel,
    DisruptorMp,
    ShmemIpc,
    Boost,
    Mq,
    Pipe,
    Socket,
    Semaphores,
    Tasks,
    TasksSpin,
    Redis,
    Nats,
    AllThreads,
    AllThreadsSpin,
    AllThreadsPark,
    AllThreadsOrdinary,
    Tokio,
    DisruptorAll,
    AllProcesses,
    AllProcessesSpin,
    AllProcessesPark,
    AllProcessesOrdinary,
    IceoryxAll,
    DisruptorMpAll,
}

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Handover.
    Ours,
    /// Somebody else's queue.
    Peer,
    /// A server for tasks, or our queue of them: only among tasks.
    Broker,
    /// Hands every message to every receiver: only among its like. One of them is Handover's.
    Broadcast,
    /// What the machine can do.
    Machine,
}

/// What it does while it can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Sleeps, after spinning for a while if it does.
    Blocks,
    /// Lets others run, and never sleeps.
    Yields,
    /// Spins.
    Spins,
}

/// How many endpoints it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any number of each.
    Many,
    /// Any number of producers, one consumer.
    ToOne,
    /// One of each.
    One,
    /// One producer, any number of consumers, who all get everything.
    ToAll,
}

/// A contender, for the tables.
#[derive(Debug)]
pub struct Entry {
    /// Who.
    pub contender: Contender,
    /// In the tables.
    pub name: &'static str,
    /// The crate whose version `Cargo.lock` has, if it is one.
    package: &'static str,
    /// Threads or processes.
    pub processes: bool,
    /// Whose.
    pub side: Side,
    /// While it can't go on.
    pub waits: Waits,
    /// Its endpoints.
    pub shape: Shape,
    /// What has been chosen for it.
    pub setting: &'static str,
}

const fn entry(
    contender: Contender,
    name: &'static str,
    package: &'static str,
    (processes, side, waits, shape): (bool, Side, Waits, Shape),
    setting: &'static str,
) -> Entry {
    Entry { contender, name, package, processes, side, waits, shape, setting }
}

use Contender as C;
use Shape::{Many, One, ToAll, ToOne};
use Side::{Broadcast, Broker, Machine, Ours, Peer};
use Waits::{Blocks, Spins, Yields};

const T: bool = false;
const P: bool = true;

const BALANCED: &str = "Options::new(capacity), Wait::Balanced";
const SPIN: &str = "Options::new(capacity), Wait::Spin";
const PARK: &str = "Options::new(capacity), Wait::Park";
const ONE_BALANCED: &str = "one_producer().one_consumer(), Wait::Balanced";
const ONE_SPIN: &str = "one_producer().one_consumer(), Wait::Spin";
const ONE_PARK: &str = "one_producer().one_consumer(), Wait::Park";
const GATING: &str = "gating_reader, Wait::Balanced: the writer waits for the slowest";
const GATING_SPIN: &str = "gating_reader, Wait::Spin";
const GATING_PARK: &str = "gating_reader, Wait::Park";
const TASKS: &str =
    "tasks::Options: submit, take and done, each task by itself, with its times counted; Wait::Balanced";
const TASKS_SPIN: &str = "as handover tasks, Wait::Spin";
const ORDINARY: &str = "reader, Wait::Balanced: who lags misses messages, and is told how many";

/// In the order of `Contender`.
pub static ALL: [Entry; 53] = [
    entry(C::Threads, "handover", "handover", (T, Ours, Blocks, Many), BALANCED),
    entry(C::ThreadsSpin, "handover, Spin", "handover", (T, Ours, Spins, Many), SPIN),
    entry(C::ThreadsPark, "handover, Park", "handover", (T, Ours, Blocks, Many), PARK),
    entry(C::OneThreads, "handover 1:1", "handover", (T, Ours, Blocks, One), ONE_BALANCED),
    entry(C::OneThreadsSpin, "handover 1:1, Spin", "handover", (T, Ours, Spins, One), ONE_SPIN),
    entry(C::OneThreadsPark, "handover 1:1, Park", "handover", (T, Ours, Blocks, One), ONE_PARK),
    entry(
        C::SegmentThreads,
        "handover in a segment",
        "handover",
        (T, Ours, Blocks, Many),
        "a queue between processes whose members are threads of one: the same ring with its records of who holds what",
    ),
    entry(C::Crossbeam, "crossbeam-channel", "crossbeam-channel", (T, Peer, Blocks, Many), "bounded(capacity)"),
    entry(
        C::Crossfire,
        "crossfire mpmc",
        "crossfire",
        (T, Peer, Blocks, Many),
        "mpmc::bounded_blocking(capacity), after detect_backoff_cfg()",
    ),
    entry(
        C::CrossfireOne,
        "crossfire spsc",
        "crossfire",
        (T, Peer, Blocks, One),
        "spsc::bounded_blocking(capacity), after detect_backoff_cfg()",
    ),
    entry(C::Kanal, "kanal", "kanal", (T, Peer, Blocks, Many), "bounded(capacity)"),
    entry(C::Flume, "flume", "flume", (T, Peer, Blocks, Many), "bounded(capacity)"),
    entry(C::Std, "std sync_channel", "", (T, Peer, Blocks, ToOne), "sync_channel(capacity)"),
    entry(
        C::AsyncChannel,
        "async-channel",
        "async-channel",
        (T, Peer, Blocks, Many),
        "bounded(capacity), send_blocking and recv_blocking",
    ),
    entry(C::Thingbuf, "thingbuf", "thingbuf", (T, Peer, Blocks, ToOne), "mpsc::blocking::channel(capacity)"),
    entry(
        C::Guarded,
        "mutex and condvars",
        "",
        (T, Peer, Blocks, Many),
        "std's Mutex around a VecDeque, two Condvars, notify_one outside the lock",
    ),
    entry(
        C::Rtrb,
        "rtrb, yielding",
        "rtrb",
        (T, Peer, Yields, One),
        "RingBuffer::new(capacity); yields when refused; chunks as batches",
    ),
    entry(
        C::Disruptor,
        "disruptor, spinning",
        "disruptor",
        (T, Peer, Spins, One),
        "build_single_producer with BusySpin; its reader polls, and takes all there is as one batch",
    ),
    entry(C::SpunOn, "two cache lines, spun on", "", (T, Machine, Spins, One), "a word in a line each way"),
    entry(C::SleptOn, "two futexes", "", (T, Machine, Blocks, One), "a futex each way, slept on at once"),
    entry(
        C::Stream,
        "raw stream",
        "",
        (T, Machine, Spins, One),
        "one writer and one reader of an array, both spinning, positions published once a batch; keeps no promise",
    ),
    entry(C::Processes, "handover", "handover", (P, Ours, Blocks, Many), BALANCED),
    entry(C::ProcessesSpin, "handover, Spin", "handover", (P, Ours, Spins, Many), SPIN),
    entry(C::ProcessesPark, "handover, Park", "handover", (P, Ours, Blocks, Many), PARK),
    entry(C::OneProcesses, "handover 1:1", "handover", (P, Ours, Blocks, One), ONE_BALANCED),
    entry(C::OneProcessesSpin, "handover 1:1, Spin", "handover", (P, Ours, Spins, One), ONE_SPIN),
    entry(C::OneProcessesPark, "handover 1:1, Park", "handover", (P, Ours, Blocks, One), ONE_PARK),
    entry(
        C::Iceoryx,
        "iceoryx2",
        "iceoryx2",
        (P, Peer, Yields, ToOne),
        "publish_subscribe, no overflow, buffer of the capacity, RetryUntilDelivered, loaned samples; the subscriber polls and \
         yields (it has no blocking receive). One subscriber: each gets everything, so it is no work queue",
    ),
    entry(
        C::Cloudtoid,
        "cloudtoid-interprocess",
        "cloudtoid-interprocess",
        (P, Peer, Blocks, Many),
        "capacity in bytes for as many messages; try_send yielding when full (there is no blocking send), try_recv_into, then recv",
    ),
    entry(
        C::IpcChannel,
        "ipc-channel",
        "ipc-channel",
        (P, Peer, Blocks, ToOne),
        "bytes_channel(), without serialization; the kernel's socket buffers are its capacity",
    ),
    entry(
        C::DisruptorMp,
        "disruptor-mp, spinning",
        "disruptor-mp",
        (P, Peer, Spins, One),
        "build_shared_single_producer, publish; try_consume_next, spinning. Each consumer gets everything, so one of each",
    ),
    entry(
        C::ShmemIpc,
        "shmem-ipc",
        "shmem-ipc",
        (P, Peer, Blocks, One),
        "sharedring of as many bytes, send_raw and receive_raw, blocking on its eventfds",
    ),
    entry(
        C::Boost,
        "Boost message_queue",
        "",
        (P, Peer, Blocks, Many),
        "message_queue(create_only, capacity, size), through five C functions",
    ),
    entry(
        C::Mq,
        "POSIX mq",
        "",
        (P, Peer, Blocks, Many),
        "mq_maxmsg = capacity, or msg_max where the system does not allow that: often 10",
    ),
    entry(
        C::Pipe,
        "pipe",
        "",
        (P, Peer, Blocks, Many),
        "as large as capacity messages, from 4 KiB to 1 MiB; one write, one read each",
    ),
    entry(
        C::Socket,
        "Unix socket",
        "",
        (P, Peer, Blocks, Many),
        "a SEQPACKET pair; the kernel's default buffers are its capacity",
    ),
    entry(
        C::Semaphores,
        "three semaphores",
        "",
        (P, Peer, Blocks, Many),
        "the classic exercise, in C: two counting semaphores and a mutex",
    ),
    entry(C::Tasks, "handover tasks", "handover", (P, Broker, Blocks, Many), TASKS),
    entry(C::TasksSpin, "handover tasks, Spin", "handover", (P, Broker, Spins, Many), TASKS_SPIN),
    entry(
        C::Redis,
        "Redis list",
        "",
        (P, Broker, Blocks, Many),
        "RPUSH and BLPOP over a Unix socket, each task confirmed; nothing saved to disk; no capacity",
    ),
    entry(
        C::Nats,
        "NATS queue group",
        "",
        (P, Broker, Blocks, Many),
        "core NATS over loopback TCP, PUB without confirmation, one queue group; no capacity",
    ),
    entry(C::AllThreads, "handover broadcast, gating", "handover", (T, Broadcast, Blocks, ToAll), GATING),
    entry(C::AllThreadsSpin, "handover broadcast, Spin", "handover", (T, Broadcast, Spins, ToAll), GATING_SPIN),
    entry(C::AllThreadsPark, "handover broadcast, Park", "handover", (T, Broadcast, Blocks, ToAll), GATING_PARK),
    entry(C::AllThreadsOrdinary, "handover broadcast, ordinary", "handover", (T, Broadcast, Blocks, ToAll), ORDINARY),
    entry(
        C::Tokio,
        "tokio broadcast",
        "tokio",
        (T, Broadcast, Blocks, ToAll),
        "broadcast::channel(capacity), blocking_recv; who lags misses messages, which are counted",
    ),
    entry(
        C::DisruptorAll,
        "disruptor, spinning, to all",
        "disruptor",
        (T, Broadcast, Spins, ToAll),
        "build_single_producer with BusySpin, a polling reader each; the writer waits for the slowest",
    ),
    entry(C::AllProcesses, "handover broadcast, gating", "handover", (P, Broadcast, Blocks, ToAll), GATING),
    entry(C::AllProcessesSpin, "handover broadcast, Spin", "handover", (P, Broadcast, Spins, ToAll), GATING_SPIN),
    entry(C::AllProcessesPark, "handover broadcast, Park", "handover", (P, Broadcast, Blocks, ToAll), GATING_PARK),
    entry(C::AllProcessesOrdinary, "handover broadcast, ordinary", "handover", (P, Broadcast, Blocks, ToAll), ORDINARY),
    entry(
        C::IceoryxAll,
        "iceoryx2, to all",
        "iceoryx2",
        (P, Broadcast, Yields, ToAll),
        "as the queue, with a subscriber for each receiver; the publisher waits for the slowest",
    ),
    entry(
        C::DisruptorMpAll,
        "disruptor-mp, spinning, to all",
        "disruptor-mp",
        (P, Broadcast, Spins, ToAll),
        "as the queue, with a consumer for each receiver; batches by try_batch_publish and process_available",
    ),
];

impl Contender {
    /// The one of that number.
    pub fn numbered(number: usize) -> &'static Entry {
        &ALL[number]
    }

    /// What the tables say of it.
    pub fn entry(self) -> &'static Entry {
        let entry = &ALL[self as usize];
        assert_eq!(entry.contender, self, "the list is in order");
        entry
    }
}

impl Entry {
    /// Whether it can do that, by what it is. Whether it does is seen when it runs.
    pub fn fits(&self, cell: &Cell, work: &Work) -> bool {
        let shape = match self.shape {
            Many => true,
            ToOne => cell.consumers == 1,
            One => cell.is_one_to_one(),
            ToAll => cell.producers == 1,
        };
        let special = match self.contender {
            C::SpunOn | C::SleptOn => matches!(work, Work::Trips { .. }),
            C::Stream => matches!(work, Work::Stream { .. }),
            // A write is whole up to a page.
            C::Pipe => cell.is_one_to_one() || cell.size < Size::Large,
            _ => true,
        };
        shape && special
    }

    /// Of the version that runs here.
    pub fn version(&self) -> String {
        if !self.package.is_empty() {
            let head = format!("name = \"{}\"\nversion = \"", self.package);
            let lock = include_str!("../Cargo.lock");
            let found = lock.split_once(&head).and_then(|(_, rest)| rest.split('"').next());
            return found.unwrap_or("not in Cargo.lock").to_owned();
        }
        let said = |program: &str| {
            let out = std::process::Command::new(program).arg("--version").output().ok()?;
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let version = |word: &str| word.chars().any(|c| c.is_ascii_digit()) && word.contains('.');
            text.split(|c: char| c.is_whitespace() || c == '=')
                .find(|word| version(word))
                .map(|word| word.trim_start_matches('v').to_owned())
        };
        match self.contender {
            C::Boost => boost_version().unwrap_or("not built".into()),
            C::Redis => said("redis-server").unwrap_or("not installed".into()),
            C::Nats => said("nats-server").unwrap_or("not installed".into()),
            C::Std | C::Guarded => format!("Rust {}", said("rustc").unwrap_or_default()),
            C::Mq | C::Pipe | C::Socket | C::SleptOn => {
                let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
                format!("Linux {}", release.split('-').next().unwrap_or_default().trim())
            }
            _ => "ours".into(),
        }
    }

    /// Whether it is Handover's: what fails there is a fault.
    pub fn is_ours(&self) -> bool {
        self.package == "handover"
    }

    /// Whether it is one of ours with another way to wait than the default, which only matters for latency.
    pub fn waits_otherwise(&self) -> bool {
        self.is_ours() && (self.name.ends_with(", Spin") || self.name.ends_with(", Park"))
    }

    /// Threads or processes.
    pub fn between(&self) -> &'static str {
        if self.processes { "processes" } else { "threads" }
    }

    /// With what it is between: for lists that have both.
    pub fn full_name(&self) -> String {
        format!("{}: {}", self.between(), self.name)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
