//! Torture: producers and consumers are killed, stopped and begun again all the time, and a ledger that lies outside
//! of the queue says afterwards what has to have come out of it.
//!
//! Every worker is an *incarnation* with a number of its own; a message is its producer's number and a sequence
//! number. What a producer does it writes into the ledger before and after, what a consumer gets before the message is
//! committed (where the queue lets it) and after. So only these may be in doubt:
//!
//! * of a killed producer, what it was pushing: a beginning of that, and no more, may come out;
//! * of a killed consumer, what it was popping: it wrote down what it saw, and only that may be gone. A plain `pop`
//!   shows nothing before it returns: one message for each consumer killed in one.
//!
//! Everything else has to balance. The readers of a broadcast each balance their own account, see `broadcast`;
//! of tasks each is accounted for by itself, see `tasks`. Besides, the queue is removed and made anew under its name while they come and go, and
//! all of `/dev/shm` is filled for moments: for that the whole run has a small one of its own.

mod balance;
mod broadcast;
mod crowd;
mod ledger;
mod memory;
mod round;
mod tasks;
mod workers;

use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::panic;
use std::time::{Duration, Instant};

use self::broadcast::BroadcastRound;
use self::round::Round;
use self::tasks::TasksRound;
use crate::random::{Random, seed_of_the_hour};
use crate::report::Verdict;

/// What is tortured.
#[derive(Clone, Copy)]
enum Kind {
    /// Whether it has one producer, and one consumer.
    Queue(bool, bool),
    Broadcast,
    Tasks,
}

const KINDS: [(&str, Kind); 6] = [
    ("many", Kind::Queue(false, false)),
    ("one-to-one", Kind::Queue(true, true)),
    ("one-to-many", Kind::Queue(true, false)),
    ("many-to-one", Kind::Queue(false, true)),
    ("broadcast", Kind::Broadcast),
    ("tasks", Kind::Tasks),
];

const CAPACITIES: [usize; 6] = [1, 2, 3, 64, 1000, 20_000];

/// How a run is made.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How long, all in all.
    pub seconds: f64,
    /// The same deeds again; what they meet is another matter.
    pub seed: Option<u64>,
    /// Only this kind of queue, or the broadcast.
    pub kind: Option<String>,
    /// Only this capacity.
    pub capacity: Option<usize>,
}

/// The names of the kinds of queue, and the broadcast's.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.0)
}

/// What happened in all rounds of a kind.
#[derive(Default)]
struct Tally {
    rounds: u64,
    kills: u64,
    massacres: u64,
    stops: u64,
    renewed: u64,
    filled: u64,
    messages: u64,
    redelivered: u64,
    died_with_who_popped: u64,
    lost: u64,
    doubled: u64,
    leaked: u64,
    /// Of broadcasts: what readers that had left by themselves were given, and all were told that they missed.
    read: u64,
    missed: u64,
    longest: Duration,
    violations: Vec<String>,
}

/// What stands in a column.
type Figure = fn(&Tally) -> u64;

/// The columns of the table.
const COLUMNS: [(&str, Figure); 14] = [
    ("rounds", |tally| tally.rounds),
    ("kills", |tally| tally.kills),
    ("of all at once", |tally| tally.massacres),
    ("stops", |tally| tally.stops),
    ("made anew", |tally| tally.renewed),
    ("memory full", |tally| tally.filled),
    ("messages", |tally| tally.messages),
    ("redelivered", |tally| tally.redelivered),
    ("died with who popped", |tally| tally.died_with_who_popped),
    ("lost", |tally| tally.lost),
    ("doubled unmarked", |tally| tally.doubled),
    ("leaked slots", |tally| tally.leaked),
    ("read by readers", |tally| tally.read),
    ("missed and told", |tally| tally.missed),
];

/// Tortures all kinds of queue and the broadcast, and balances.
pub fn run(settings: &Settings) -> Verdict {
    let seed = settings.seed.unwrap_or_else(seed_of_the_hour);
    let columns = COLUMNS.iter().map(|(name, _)| *name);
    let head: Vec<&str> = ["torture of"].into_iter().chain(columns).chain(["longest stall"]).collect();
    let mut verdict = Verdict::new(
        format!("Torture: everybody is killed and stopped at random, and all messages accounted for (seed {seed:x})"),
        head.into_iter().map(str::to_owned).collect(),
    );
    // In a process of its own, for it gets another /dev/shm.
    match apart(|| drive(settings, seed)) {
        Ok(lines) => {
            for line in lines.lines() {
                match line.split_once('\t') {
                    Some(("row", cells)) => verdict.rows.push(cells.split('\t').map(str::to_owned).collect()),
                    Some(("violation", told)) => verdict.violations.push(told.replace('\u{1}', "\n")),
                    Some(("note", told)) => verdict.title += &format!("; {told}"),
                    _ => verdict.violations.push(format!("the run said: {line}")),
                }
            }
        }
        Err(error) => verdict.violations.push(format!("the run could not be made: {error}; seed {seed:x}")),
    }
    if verdict.rows.is_empty() && verdict.violations.is_empty() {
        verdict.violations.push(format!("the run ended without a word; seed {seed:x}"));
    }
    verdict
}

/// Runs something in a child of this process, and returns what it said.
fn apart(work: impl FnOnce() -> String) -> std::io::Result<String> {
    let mut ends = [0; 2];
    // SAFETY: two numbers are written.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the program has one thread.
    let pid = unsafe { libc::fork() };
    // SAFETY: the descriptors are ours alone.
    let (mut hears, mut says) = unsafe { (std::fs::File::from_raw_fd(ends[0]), std::fs::File::from_raw_fd(ends[1])) };
    if pid == 0 {
        drop(hears);
        // SAFETY: asks to be killed when the parent dies.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let said = panic::catch_unwind(panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| told(&*panic));
        let _ = says.write_all(said.as_bytes());
        // SAFETY: leaves without running what the fork copied from the parent.
        unsafe { libc::_exit(0) }
    }
    drop(says);
    if pid < 0 {
        return Err(std::io::Error::last_os_error());
    }
    let mut said = String::new();
    let heard = hears.read_to_string(&mut said);
    // SAFETY: waits for the child.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    heard.map(|_| said)
}

/// What a panic said.
fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a word".into())
}

fn drive(settings: &Settings, seed: u64) -> String {
    panic::set_hook(Box::new(|info| {
        let told = info.to_string();
        if !told.contains(workers::THROWN) {
            let line = format!("\n{told}\n");
            // SAFETY: writes a string to the standard error stream.
            unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
        }
    }));
    let small = memory::own();
    let mut said = match &small {
        Ok(()) => String::new(),
        Err(error) => format!("note\tno /dev/shm of its own could be had, so it was never full: {error}\n"),
    };
    let begun = Instant::now();
    let mut spoke = begun;
    let mut random = Random::new(seed);
    let kinds: Vec<_> = KINDS.iter().filter(|kind| settings.kind.as_ref().is_none_or(|only| only == kind.0)).collect();
    let capacities = settings.capacity.map_or(CAPACITIES.to_vec(), |one| vec![one]);
    let mut tallies: Vec<Tally> = kinds.iter().map(|_| Tally::default()).collect();
    // A long run goes around many times, rather than through the kinds one after the other.
    let share = settings.seconds / (kinds.len() * (capacities.len() + 1)) as f64;
    let share = Duration::from_secs_f64(share.clamp(0.1, 2.0));
    let over = |tallies: &[Tally]| {
        begun.elapsed().as_secs_f64() >= settings.seconds || tallies.iter().any(|tally| !tally.violations.is_empty())
    };
    'all: for rounds in 0.. {
        for (kind, tally) in kinds.iter().zip(&mut tallies) {
            // Of the capacities each, and then one that is removed and made anew all the time.
            let nth = rounds % (capacities.len() + 1);
            let capacity = capacities.get(nth).copied();
            tally.rounds += 1;
            let what = format!(
                "{}, capacity {}, round {}, seed {seed:x}",
                kind.0,
                capacity.map_or("any".into(), |one| one.to_string()),
                tally.rounds
            );
            let seed = random.number();
            let one = panic::AssertUnwindSafe(|| {
                let random = Random::new(seed);
                match kind.1 {
                    Kind::Queue(one_producer, one_consumer) => {
                        let ones = (one_producer, one_consumer);
                        Round::new(tally, ones, capacity, random, small.is_ok(), what.clone()).run(share)
                    }
                    Kind::Broadcast => BroadcastRound::new(tally, capacity, random, what.clone()).run(share),
                    Kind::Tasks => TasksRound::new(tally, capacity, random, what.clone()).run(share),
                }
            });
            if let Err(panic) = panic::catch_unwind(one) {
                tally.violations.push(told(&*panic));
            }
        }
        if rounds >= capacities.len() && over(&tallies) || tallies.iter().any(|tally| !tally.violations.is_empty()) {
            break 'all;
        }
        if spoke.elapsed() > Duration::from_secs(60) {
            spoke = Instant::now();
            let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
            eprintln!(
                "torture: {} s, {} kills, {} messages, all accounted for",
                begun.elapsed().as_secs(),
                sum(|tally| tally.kills),
                sum(|tally| tally.messages)
            );
        }
    }
    for (kind, tally) in kinds.iter().zip(&tallies) {
        let figures: Vec<String> = COLUMNS.iter().map(|(_, figure)| figure(tally).to_string()).collect();
        said += &format!("row\t{}\t{}\t{} ms\n", kind.0, figures.join("\t"), tally.longest.as_millis());
        for violation in &tally.violations {
            said += &format!("violation\t{}\n", violation.replace('\n', "\u{1}"));
        }
    }
    said
}
