//! Histories: many threads and processes call one queue in every way, each call is written down, and afterwards it is
//! asked whether what came of them can be explained by the queue's specification. Processes are killed meanwhile.

pub mod aspects;
pub mod history;
pub mod linear;
pub mod log;
mod state;
pub mod work;

#[cfg(test)]
mod tests;

use std::panic;
use std::process;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use handover::{Options, Queue};

use self::history::{Death, History, What};
use self::linear::Answer;
use self::log::Log;
use self::work::Number;
use crate::random::{Random, seed_of_the_hour};
use crate::report::Verdict;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// Threads, on the heap.
    Threads,
    /// Threads, with a queue in a segment.
    Segment,
    /// Processes, some of which are killed.
    Processes,
}

const GROUNDS: [(Ground, &str); 3] = [
    (Ground::Threads, "threads"),
    (Ground::Segment, "threads, in a segment"),
    (Ground::Processes, "processes, killed"),
];

/// The four kinds of queue: whether one producer, one consumer.
const KINDS: [(bool, bool, &str); 4] = [
    (false, false, "many to many"),
    (true, true, "one to one"),
    (true, false, "one to many"),
    (false, true, "many to one"),
];

/// Nobody may take longer for a round.
const STUCK: Duration = Duration::from_secs(10);

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long, all in all.
    pub seconds: f64,
    /// The same again: with threads and processes at their own pace, only the calls are the same.
    pub seed: Option<u64>,
    /// Histories of this many calls for each member; short ones of many members, if none is named.
    pub calls: Option<usize>,
}

#[derive(Default)]
struct Tally {
    histories: u64,
    calls: u64,
    kills: u64,
    pending: u64,
    states: u64,
    too_many: u64,
}

struct Round<'a> {
    random: &'a mut Random,
    capacity: usize,
    sole: (bool, bool),
    producers: usize,
    consumers: usize,
    /// Calls of a member.
    calls: usize,
}

/// Tries everything and judges.
pub fn run(settings: &Settings) -> Verdict {
    let seed = settings.seed.unwrap_or_else(seed_of_the_hour);
    let head = ["history of", "histories", "calls", "kills", "pending at death", "states searched", "given up"];
    let mut verdict = Verdict::new(
        format!("Histories: every call explained by the specification (seed {seed:x})"),
        head.map(str::to_owned).to_vec(),
    );
    let share = Duration::from_secs_f64(settings.seconds / (GROUNDS.len() * KINDS.len()) as f64);
    for (ground, where_) in GROUNDS {
        for (nth, (one_producer, one_consumer, kind)) in KINDS.into_iter().enumerate() {
            let mut random = Random::new(seed ^ (nth as u64) << 8 ^ (ground as u64) << 16);
            let mut tally = Tally::default();
            let begun = Instant::now();
            while begun.elapsed() < share && verdict.violations.len() < 10 {
                let mut round = Round::any(&mut random, (one_producer, one_consumer), settings.calls);
                let mut history = match round.play(ground) {
                    Ok(history) => history,
                    Err(stuck) => {
                        verdict.violations.push(format!("{where_}, {kind}: {stuck}; seed {seed:x}"));
                        break;
                    }
                };
                history.sort();
                for (moment, wrong) in tally.judge(&history) {
                    verdict.violations.push(format!(
                        "{where_}, {kind}, capacity {}: at {moment}, {wrong}; seed {seed:x}{}",
                        history.capacity,
                        history.around(moment)
                    ));
                }
            }
            let Tally { histories, calls, kills, pending, states, too_many } = tally;
            let figures = [histories, calls, kills, pending, states, too_many].map(|figure| figure.to_string());
            verdict.rows.push([format!("{where_}, {kind}")].into_iter().chain(figures).collect());
        }
    }
    verdict
}

impl Tally {
    /// What both checkers say.
    fn judge(&mut self, history: &History) -> Vec<(u64, String)> {
        self.histories += 1;
        self.calls += history.operations.len() as u64;
        self.kills += history.deaths.len() as u64;
        self.pending += history.operations.iter().filter(|call| call.returned == history::NEVER).count() as u64;
        let mut wrong = aspects::faults(history);
        wrong.truncate(3);
        match linear::explain(history) {
            Answer::Explained(states) => self.states += states as u64,
            Answer::Wrong(moment, what) => wrong.push((moment, what)),
            Answer::TooMany => self.too_many += 1,
        }
        wrong
    }
}

impl<'a> Round<'a> {
    fn any(random: &'a mut Random, sole: (bool, bool), calls: Option<usize>) -> Round<'a> {
        let producers = if sole.0 { 1 } else { 1 + random.below(3) as usize };
        let consumers = if sole.1 { 1 } else { 1 + random.below(3) as usize };
        let calls = calls.unwrap_or(8 + random.below(40) as usize);
        Round { capacity: 1 + random.below(8) as usize, sole, producers, consumers, calls, random }
    }

    fn options(&self) -> Options {
        let mut options = Options::new(self.capacity).members(16);
        if self.sole.0 {
            options = options.one_producer();
        }
        if self.sole.1 {
            options = options.one_consumer();
        }
        options
    }

    fn play(&mut self, ground: Ground) -> Result<History, String> {
        let options = self.options();
        match ground {
            Ground::Threads => self.with_threads(&options.threads::<u64>().expect("a queue of few numbers")),
            Ground::Segment => self.with_threads(&options.anonymous::<u64>().expect("a queue of few numbers")),
            Ground::Processes => self.with_processes(&options),
        }
    }

    fn history(&self, log: &Log, deaths: Vec<Death>) -> History {
        History { capacity: self.capacity, one_to_one: self.sole == (true, true), operations: log.operations(), deaths }
    }

    /// The members' logs, and those of who closes and who drains.
    fn log(&self, members: usize) -> Log {
        Log::new(members + 2, (2 * self.calls).max(2 * self.capacity + 400))
    }

    fn with_threads<M>(&mut self, queue: &Queue<M>) -> Result<History, String>
    where
        M: Number + ?Sized,
    {
        let members = self.producers + self.consumers;
        let log = &self.log(members);
        let calls = self.calls;
        let seeds: Vec<u64> = (0..members).map(|_| self.random.number()).collect();
        let pause = Duration::from_micros(self.random.below(calls as u64 * 20));
        let (producers, left) = (self.producers, &AtomicU64::new(members as u64));
        let begun = Instant::now();
        thread::scope(|scope| {
            for (me, seed) in seeds.into_iter().enumerate() {
                scope.spawn(move || {
                    let random = &mut Random::new(seed);
                    if me < producers {
                        work::produce(queue, me, log.of(me).at_most(calls), random);
                    } else {
                        work::consume(queue, log.of(me).at_most(calls), random);
                    }
                    left.fetch_sub(1, Relaxed);
                });
            }
            thread::sleep(pause);
            close(queue, log, members);
            while left.load(Relaxed) > 0 {
                thread::sleep(Duration::from_micros(50));
                if begun.elapsed() > STUCK {
                    // Threads that hang can't be ended: say so, and end the run.
                    let told = self.history(log, Vec::new());
                    eprintln!("stuck: {queue:?}{}", told.around(log.moment()));
                    process::abort();
                }
            }
        });
        work::drain(queue, log.of(members + 1));
        Ok(self.history(log, Vec::new()))
    }

    fn with_processes(&mut self, options: &Options) -> Result<History, String> {
        const MEMBERS: usize = 12;
        let name = format!("proof-histories-{}", process::id());
        let queue = options.create::<u64>(&name).map_err(|error| format!("could not be made: {error}"))?;
        let log = self.log(MEMBERS);
        let mut deaths = Vec::new();
        let mut workers: Vec<(usize, bool, i32)> = Vec::new();
        let mut members = 0;
        let begin = |produces: bool, members: &mut usize, random: &mut Random, calls: usize| {
            let (me, seed) = (*members, random.number());
            *members += 1;
            (
                me,
                produces,
                fork(|| {
                    let queue = Queue::<u64>::open(&name).expect("it is there");
                    let (diary, random) = (log.of(me).at_most(calls), &mut Random::new(seed));
                    if produces {
                        work::produce(&queue, me, diary, random)
                    } else {
                        work::consume(&queue, diary, random)
                    }
                }),
            )
        };
        for _ in 0..self.producers {
            workers.push(begin(true, &mut members, self.random, self.calls));
        }
        for _ in 0..self.consumers {
            workers.push(begin(false, &mut members, self.random, self.calls));
        }
        let mut kills = self.random.below(5);
        // They take a while to come.
        thread::sleep(Duration::from_micros(300 + self.random.below(700)));
        let start = Instant::now();
        let mut closed = false;
        let mut stuck = None;
        while !workers.is_empty() {
            thread::sleep(Duration::from_micros(self.random.below(400)));
            if kills > 0 {
                kills -= 1;
                let (member, produces, pid) = workers.swap_remove(self.random.below(workers.len() as u64) as usize);
                let killed = log.moment();
                if kill_and_wait(pid)? {
                    deaths.push(Death { member: member as u16, killed, gone: log.moment() });
                }
                if members < MEMBERS {
                    workers.push(begin(produces, &mut members, self.random, self.calls));
                }
            } else if !closed {
                closed = true;
                close(&queue, &log, MEMBERS);
            }
            let mut ended = Vec::new();
            for (at, (_, _, pid)) in workers.iter().enumerate() {
                if ended_well(*pid)? {
                    ended.push(at);
                }
            }
            for at in ended.into_iter().rev() {
                workers.swap_remove(at);
            }
            if workers.is_empty() && !closed {
                closed = true;
                close(&queue, &log, MEMBERS);
            }
            if start.elapsed() > STUCK {
                let told = self.history(&log, Vec::new()).around(log.moment());
                stuck = Some(format!("closed, and {} members did not leave: {queue:?}{told}", workers.len()));
                for (_, _, pid) in workers.drain(..) {
                    let _ = kill_and_wait(pid);
                }
            }
        }
        if stuck.is_none() {
            work::drain(&queue, log.of(MEMBERS + 1));
        }
        let _ = handover::remove(&name);
        stuck.map_or_else(|| Ok(self.history(&log, deaths)), Err)
    }
}

fn close<M: Number + ?Sized>(queue: &Queue<M>, log: &Log, member: usize) {
    let mut diary = log.of(member);
    diary.begin(&What::Close);
    queue.close();
    diary.end(&history::Outcome::Done);
}

/// A child of this process, which has no other threads now.
fn fork(work: impl FnOnce()) -> i32 {
    // SAFETY: no other thread is there that could hold a lock the child needs.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "a fork");
    if pid == 0 {
        // SAFETY: asks to be killed when the parent dies.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let good = panic::catch_unwind(panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: leaves without running what the fork copied from the parent.
        unsafe { libc::_exit(if good { 0 } else { 3 }) }
    }
    pid
}

/// Waits for a child; says whether it ended by itself (`Some(true)`) or was killed. `None`: it lives.
fn wait_for(pid: i32, flags: i32) -> Result<Option<bool>, String> {
    let mut status = 0;
    // SAFETY: waits for a child that was not waited for.
    let got = unsafe { libc::waitpid(pid, &raw mut status, flags) };
    match got {
        0 => Ok(None),
        _ if got != pid => Err("a child was lost".into()),
        _ if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL => Ok(Some(false)),
        _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 => Ok(Some(true)),
        _ => Err(format!("a member ended with status {status:x}; see what it wrote")),
    }
}

fn ended_well(pid: i32) -> Result<bool, String> {
    Ok(wait_for(pid, libc::WNOHANG)?.is_some())
}

/// Whether the kill came before its end.
fn kill_and_wait(pid: i32) -> Result<bool, String> {
    // SAFETY: the pid is that of a child that was not waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    Ok(wait_for(pid, 0)? == Some(false))
}
