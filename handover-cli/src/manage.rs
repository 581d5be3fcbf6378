//! `create`, `rm`, `close`, `resize`: what is done to a segment as a whole.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use handover::{Broadcast, Error, Kind, Queue, Shrink, Tasks, broadcast, tasks};

use crate::interrupt::{self, Interrupt, LOOK};
use crate::screen::Screen;
use crate::system::lifetime;
use crate::target::Target;
use crate::trouble::Trouble;
use crate::units;

#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Its name; with a slash in it, the path of its file.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<Target>,
    /// The path of its file, instead of a name.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// What to make.
    #[arg(long, value_enum, default_value_t = Kinds::Queue)]
    kind: Kinds,
    /// How many messages it holds at most; of a broadcast, how many it keeps for readers that lag: 500, 20k, 1M.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = units::number::<usize>)]
    capacity: usize,
    /// To how many it can be resized while it is used. Memory for as many is taken at once.
    #[arg(long, value_name = "N", value_parser = units::number::<usize>)]
    max_capacity: Option<usize>,
    /// The longest message: 4096, 64K, 1M.
    #[arg(long, value_name = "BYTES", default_value = "1024", value_parser = units::size)]
    message_size: usize,
    /// `one`: at most one producer at a time (queues). With `--consumers one` much faster.
    #[arg(long, value_enum, value_name = "HOW MANY")]
    producers: Option<Crowd>,
    /// `one`: at most one consumer at a time (queues).
    #[arg(long, value_enum, value_name = "HOW MANY")]
    consumers: Option<Crowd>,
    /// How many may be attached at a time; of a broadcast, how many readers.
    #[arg(long, value_name = "N", default_value = "64", value_parser = units::count::<u32>)]
    members: u32,
    /// How often a task is tried before it becomes a dead letter: 5 if nothing is said (tasks).
    #[arg(long, value_name = "N")]
    tries: Option<u8>,
    /// For how long a worker is given a task: 30s, 5m. As long as it lives, if nothing is said (tasks).
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    lease: Option<Duration>,
    /// Put its memory on that NUMA node. (handover stat shows where it is.)
    #[arg(long, value_name = "NODE")]
    numa: Option<u32>,
    /// Ask for huge pages. The system gives as many as it has.
    #[arg(long)]
    huge: bool,
}

pub(crate) const CREATE_EXAMPLE: &str = "\
What has a name stays until it is removed, or the machine is started anew; what has a file stays as files do. On Windows
a name goes with the last who has it open: so there create stays too, and keeps it, until Ctrl-C or rm.

Examples:
  handover create lines
  handover create prices --kind broadcast --capacity 8192 --message-size 64
  handover create jobs --kind tasks --message-size 64K --tries 3 --lease 5m
  handover create ticks --capacity 1M --numa 0 --huge
  handover create ./jobs.segment --kind tasks";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kinds {
    /// First in, first out; each message to one.
    Queue,
    /// One writer; each message to every reader.
    Broadcast,
    /// Work, with priorities, retries and dead letters.
    Tasks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Crowd {
    One,
    Many,
}

impl Create {
    /// What was asked for that this kind does not have.
    fn check(&self) -> Result<(), Trouble> {
        let queue = self.kind == Kinds::Queue;
        let tasks = self.kind == Kinds::Tasks;
        for (given, fits, option, whose) in [
            (self.producers.is_some(), queue, "--producers", "queues"),
            (self.consumers.is_some(), queue, "--consumers", "queues"),
            (self.tries.is_some(), tasks, "--tries", "task queues"),
            (self.lease.is_some(), tasks, "--lease", "task queues"),
            (self.max_capacity.is_some(), queue || tasks, "--max-capacity", "queues and task queues"),
        ] {
            if given && !fits {
                return Err(Trouble::Usage(format!("{option} is for {whose}; leave it out, or choose another --kind")));
            }
        }
        if self.lease == Some(Duration::ZERO) {
            return Err(Trouble::Usage(
                "--lease of no time would be over at once; leave it out for leases without end".into(),
            ));
        }
        Ok(())
    }
}

pub(crate) fn create(wanted: &Create) -> Result<(), Trouble> {
    wanted.check()?;
    let target = match (&wanted.name, &wanted.file) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) => Target::File(file.clone()),
        (None, None) => unreachable!("one of them is required"),
    };
    let made = make(wanted, &target).map_err(|error| match error {
        // Of what is to be made, nothing but its folder can be missing.
        Error::NotFound { place } => Trouble::Failed(format!("{place}: does not exist; make the folder first (mkdir)")),
        other => other.into(),
    })?;
    match &target {
        Target::Name(name) if !lifetime::NAMES_STAY => keep(name, made),
        _ => Ok(()),
    }
}

/// Where a name goes with the last who has it open: is one of them, until asked to end or until it is removed.
fn keep(name: &str, _made: Made) -> Result<(), Trouble> {
    let interrupt = Interrupt::listen()?;
    Screen::new().line(&format!(
        "{name}: stays as long as this runs or anybody else has it open; Ctrl-C ends this, and handover rm {name} both"
    ))?;
    while !interrupt.asked() && !matches!(handover::kind(name), Err(Error::NotFound { .. })) {
        thread::sleep(LOOK);
    }
    Ok(())
}

/// What was made, open.
enum Made {
    Queue { _open: Queue<[u8]> },
    Broadcast { _open: Broadcast<[u8]> },
    Tasks { _open: Tasks<[u8]> },
}

fn make(wanted: &Create, target: &Target) -> Result<Made, Error> {
    // The same for all kinds, whose settings are types of their own.
    macro_rules! made {
        ($made:ident, $options:expr) => {{
            let mut options = $options;
            if let Some(node) = wanted.numa {
                options = options.numa_node(node);
            }
            if wanted.huge {
                options = options.huge_pages();
            }
            let _open = match target {
                Target::Name(name) => options.create(name),
                Target::File(path) => options.create_at(path),
            }?;
            Ok(Made::$made { _open })
        }};
    }
    let capacity = wanted.capacity;
    match wanted.kind {
        Kinds::Queue => {
            let mut options = handover::Options::new(capacity).message_max(wanted.message_size).members(wanted.members);
            if let Some(most) = wanted.max_capacity {
                options = options.max_capacity(most);
            }
            if wanted.producers == Some(Crowd::One) {
                options = options.one_producer();
            }
            if wanted.consumers == Some(Crowd::One) {
                options = options.one_consumer();
            }
            made!(Queue, options)
        }
        Kinds::Broadcast => {
            let options = broadcast::Options::new(capacity).message_max(wanted.message_size).readers(wanted.members);
            made!(Broadcast, options)
        }
        Kinds::Tasks => {
            let mut options =
                tasks::Options::new().capacity(capacity).message_max(wanted.message_size).members(wanted.members);
            if let Some(most) = wanted.max_capacity {
                options = options.max_capacity(most);
            }
            if let Some(tries) = wanted.tries {
                options = options.tries(tries);
            }
            if let Some(lease) = wanted.lease {
                options = options.lease(lease);
            }
            made!(Tasks, options)
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Rm {
    /// The name of a queue, broadcast or task queue; with a slash in it, the path of its file.
    name: Target,
}

pub(crate) const RM_EXAMPLE: &str = "\
Who has it open goes on using it, unseen by others, as with files.

Example:
  handover rm lines";

pub(crate) fn rm(wanted: &Rm) -> Result<(), Trouble> {
    if let Target::File(_) = wanted.name {
        // Any file can have a path: what is no segment stays.
        wanted.name.kind()?;
    }
    Ok(wanted.name.remove()?)
}

#[derive(Args, Debug)]
pub(crate) struct Close {
    /// The name of a queue, broadcast or task queue; with a slash in it, the path of its file.
    name: Target,
}

pub(crate) const CLOSE_EXAMPLE: &str = "\
Nothing more is taken in. What is left is still handed out; then those who wait for more are told. It stays closed.
A broadcast is closed by its publisher as long as that lives.

Example:
  handover close lines";

pub(crate) fn close(wanted: &Close) -> Result<(), Trouble> {
    let target = &wanted.name;
    match target.kind()? {
        Kind::Broadcast => match target.broadcast()?.close() {
            // As with the others, to close what is closed is no mistake.
            Ok(()) | Err(Error::Closed) => {}
            Err(error) => return Err(error.into()),
        },
        Kind::Tasks => target.tasks()?.close(),
        _ => target.queue()?.close(),
    }
    Ok(())
}

#[derive(Args, Debug)]
pub(crate) struct Resize {
    /// The name of a queue or task queue; with a slash in it, the path of its file.
    name: Target,
    /// How many messages it shall hold from now on: 500, 20k, 1M.
    #[arg(value_parser = units::number::<usize>)]
    capacity: usize,
    /// If more are in it, wait until there are less; so it is if nothing is said.
    #[arg(long, conflicts_with_all = ["timeout", "no_wait"])]
    wait: bool,
    /// If more are in it, wait for at most so long, then leave it as it was: 250ms, 2s, 5m.
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with = "no_wait")]
    timeout: Option<Duration>,
    /// If more are in it, leave it as it was.
    #[arg(long)]
    no_wait: bool,
}

pub(crate) const RESIZE_EXAMPLE: &str = "\
It is resized while it is used, up to the --max-capacity that it was made with.

Examples:
  handover resize lines 5k
  handover resize lines 10 --timeout 2s";

pub(crate) fn resize(wanted: &Resize) -> Result<(), Trouble> {
    let shrink = match *wanted {
        Resize { wait: true, .. } => Shrink::Wait,
        Resize { no_wait: true, .. } => Shrink::Refuse,
        Resize { timeout, .. } => timeout.map_or(Shrink::Wait, Shrink::WaitFor),
    };
    let target = &wanted.name;
    // Who dies in it leaves it whole, with either of the two capacities.
    interrupt::end_at_once()?;
    let resized = match target.kind()? {
        Kind::Broadcast => {
            let why = format!("{}: is a broadcast, which keeps its capacity; make another one", target.shown());
            return Err(Trouble::Failed(why));
        }
        Kind::Tasks => target.tasks()?.resize(wanted.capacity, shrink),
        _ => target.queue()?.resize(wanted.capacity, shrink),
    };
    match resized {
        Err(Error::Full) => Err(Trouble::Full(format!(
            "{}: more than {} are in it, so it was left as it was; take some out, or wait longer",
            target.shown(),
            wanted.capacity
        ))),
        other => Ok(other?),
    }
}
