//! A process is killed, or stopped, at every instruction of an operation, and those who live on check every promise.
//!
//! A *row* is an operation in a state. It is set up anew for each of its points, the process is led there, the deed is
//! done, and what the row says must hold is checked.

pub mod broadcast;
mod named;
mod queue;
mod rows;
pub mod tasks;
mod way;

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use self::way::{Walk, Way};
use crate::report::Verdict;
use crate::step::{Stepped, stay_on};
use crate::survivors::{Broken, Discovery, HOLD_UP};

/// How much is tried.
#[derive(Debug, Clone)]
pub struct Extent {
    /// Only rows that contain this.
    pub only: Option<String>,
    /// Only this instruction.
    pub at: Option<u64>,
    /// Only the rows that matter most, for the tests.
    pub short: bool,
    /// How many are stepped at a time, each on a processor of its own.
    pub jobs: usize,
}

/// What is done to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// It is killed.
    Kill,
    /// It is stopped, others go on beside it, and then it goes on.
    Stop,
}

/// Every instruction up to some, then each of so many, and the last.
#[derive(Debug, Clone, Copy)]
struct Spacing {
    every: u64,
    stride: u64,
}

impl Spacing {
    const EVERY: Spacing = Spacing { every: u64::MAX, stride: 1 };

    fn includes(self, at: u64, length: u64) -> bool {
        at <= self.every || (at - self.every).is_multiple_of(self.stride) || at == length
    }
}

/// One place in an operation, and how it is tried there.
struct Point<'a> {
    at: u64,
    /// Along this way, if it is to go fast.
    way: Option<&'a Way>,
    discovery: Discovery,
    /// So many have to be handed over as in a new ring afterwards.
    messages: usize,
}

impl Point<'_> {
    /// Leads a process there. False if it took another way.
    fn reach(&self, walk: &mut impl Walk) -> bool {
        match self.way {
            Some(way) => walk.advance_along(way, self.at),
            None => walk.advance(self.at),
        }
    }
}

/// An operation, in a ring, in a state.
trait Row: Sync {
    /// Operation, ring, capacity and state in words.
    fn cells(&self) -> [String; 4];

    fn name(&self) -> String {
        self.cells().join(" ")
    }

    fn spacing(&self) -> Spacing {
        Spacing::EVERY
    }

    fn capacity(&self) -> usize;

    fn can_be_stopped(&self) -> bool {
        true
    }

    /// The ways in which survivors find out that it was killed.
    fn discoveries(&self) -> &[Discovery] {
        &[Discovery::Newcomer, Discovery::Old]
    }

    /// The undisturbed way through the operation.
    fn way(&self) -> Way;

    /// Does the deed at a point, and says whether all promises held. `None`: the operation took another way.
    fn attempt(&self, deed: Deed, point: &Point, outcome: &mut Outcome) -> Option<Result<(), Broken>>;
}

/// What one row came to.
#[derive(Debug, Default)]
struct Outcome {
    length: u64,
    points: u64,
    /// The different contents of the shared memory that the points left, as numbers.
    states: HashSet<u64>,
    again: u64,
    late: u64,
    longest: Duration,
    broken: Vec<String>,
}

/// What a busy machine made late is tried again so often.
const AGAIN: u32 = 12;
/// A ring is as good as new if it hands over so many.
const MANY_MESSAGES: usize = 10_000;
/// Without optimisation the ways are some ten times as long, and not those that are used.
const DEBUG: bool = cfg!(debug_assertions);
/// In the short form, one of so many instructions where not all are tried.
const SHORT_STRIDE: u64 = if DEBUG { 61 } else { 7 };

/// Tries all points of a row.
fn attempt_row(row: &dyn Row, deed: Deed, extent: &Extent) -> Outcome {
    let way = row.way();
    let mut outcome = Outcome { length: way.length(), ..Outcome::default() };
    let spacing = match deed {
        Deed::Kill if extent.short && DEBUG => Spacing { every: 0, stride: SHORT_STRIDE },
        Deed::Kill => row.spacing(),
        Deed::Stop if extent.short => Spacing { every: 0, stride: SHORT_STRIDE },
        // Where the way is long, most of it is waiting or searching, in loops.
        Deed::Stop => Spacing { every: 300, stride: 7 },
    };
    let is_point = |at: &u64| spacing.includes(*at, way.length()) || way.calls.contains(at);
    let points: Vec<u64> = (0..=way.length()).filter(is_point).collect();
    for &at in points.iter().filter(|at| extent.at.is_none_or(|only| only == **at)) {
        let all = row.discoveries();
        let discoveries = match deed {
            // In the short form they take turns.
            Deed::Kill if extent.short => &all[at as usize % all.len()..][..1],
            Deed::Kill => all,
            Deed::Stop => &[Discovery::Newcomer],
        };
        for &discovery in discoveries {
            let first = all.len() > 1 && discovery == Discovery::Newcomer;
            let through = deed == Deed::Kill && (first || at == way.length());
            let lap_and_a_half = row.capacity() + row.capacity().div_ceil(2);
            let messages = if through { MANY_MESSAGES } else { lap_and_a_half };
            attempt_point(row, deed, Point { at, way: Some(&way), discovery, messages }, &mut outcome);
        }
        outcome.points += 1;
        if outcome.broken.len() > 10 {
            break;
        }
    }
    if extent.at.is_none() && outcome.points < points.len() as u64 {
        let (tried, all) = (outcome.points, points.len());
        outcome.broken.push(format!("narrowed: {}: {tried} of {all} points tried", row.name()));
    }
    outcome
}

/// Tries one point, again if something came late or the operation took another way.
fn attempt_point(row: &dyn Row, deed: Deed, mut point: Point, outcome: &mut Outcome) {
    for left in (0..AGAIN).rev() {
        if left + 2 < AGAIN {
            point.way = None;
        }
        let broken = match row.attempt(deed, &point, outcome) {
            Some(Ok(())) => return,
            Some(Err(Broken::Promise(what))) => what,
            Some(Err(Broken::Late(what))) if left == 0 => what,
            // It would not be tried at all.
            None if left == 0 => "narrowed: the operation goes another way each time".into(),
            // The time that something took differed: a loop went round once more, or a machine was busy.
            other => {
                outcome.again += 1;
                outcome.late += u64::from(other.is_some());
                continue;
            }
        };
        let how = match deed {
            Deed::Kill => format!("killed at {}, {:?}", point.at, point.discovery),
            Deed::Stop => format!("stopped at {}", point.at),
        };
        outcome.broken.push(format!("{} {how}: {broken}", row.name()));
        return;
    }
}

fn in_parallel<T: Send>(jobs: usize, count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for job in 0..jobs.max(1) {
            let (next, done, act) = (&next, &done, &act);
            scope.spawn(move || {
                stay_on(job);
                loop {
                    let nth = next.fetch_add(1, Relaxed);
                    if nth >= count {
                        return;
                    }
                    let result = act(nth);
                    done.lock().expect("nobody panics with it").push((nth, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|(nth, _)| *nth);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Does it in all rows, and says how long all of it took.
fn attempt_rows(rows: &[Box<dyn Row>], deed: Deed, extent: &Extent) -> (Vec<Outcome>, Duration) {
    let begun = Instant::now();
    let outcomes = in_parallel(extent.jobs, rows.len(), |nth| {
        let outcome = attempt_row(&*rows[nth], deed, extent);
        progress(&*rows[nth], &outcome, begun);
        outcome
    });
    (outcomes, begun.elapsed())
}

/// The rows that are wanted.
fn rows(deed: Deed, extent: &Extent) -> Vec<Box<dyn Row>> {
    fn boxed<R: Row + 'static>(rows: Vec<R>) -> impl Iterator<Item = Box<dyn Row>> {
        rows.into_iter().map(|row| Box::new(row) as Box<dyn Row>)
    }
    let mut all: Vec<Box<dyn Row>> = boxed(rows::scenes(extent.short)).collect();
    all.extend(boxed(broadcast::rows::scenes(extent.short)));
    all.extend(boxed(tasks::rows::scenes(extent.short)));
    if deed == Deed::Kill && !extent.short {
        all.extend(boxed(broadcast::rows::successors()));
        all.extend(boxed(tasks::rows::reapers()));
        all.extend(boxed(rows::named()));
        all.extend(boxed(rows::reapers()));
    }
    let wanted = |row: &dyn Row| extent.only.as_ref().is_none_or(|only| row.name().contains(only));
    all.retain(|row| wanted(&**row) && (deed == Deed::Kill || row.can_be_stopped()));
    all
}

fn sum(outcomes: &[Outcome], of: impl Fn(&Outcome) -> u64) -> u64 {
    outcomes.iter().map(of).sum()
}

/// What is said where a process can't be stepped.
fn untried(title: &str) -> Option<Vec<Verdict>> {
    Stepped::refused().map(|why| vec![Verdict::untried(title, why)])
}

/// Kills a process after every instruction of every operation.
pub fn kills(extent: &Extent) -> Vec<Verdict> {
    if let Some(untried) = untried("Killed after every instruction") {
        return untried;
    }
    let rows = rows(Deed::Kill, extent);
    let (outcomes, took) = attempt_rows(&rows, Deed::Kill, extent);
    let late = sum(&outcomes, |outcome| outcome.late);
    let longest = outcomes.iter().map(|outcome| outcome.longest).max().unwrap_or_default();
    let title = format!(
        "Killed after {}: {} points in {} s, each {}: found by a newcomer, and by those who were \
         there. {MANY_MESSAGES} messages follow each of the first kind and the last of the second, one and a half laps \
         each other one. Of create, open, open-or-create and leave: each of the first 100, both sides of each system \
         call, and each 499th, once; of attaching behind a killed one: each of the first 100, then each fifth; \
         behind a killed one that reaped: each 23rd. Tried again: {late} times since something came later than \
         {HOLD_UP:?}, {} since the operation went another way. Longest hold-up: {:.1} ms",
        if extent.short && DEBUG {
            format!("each {SHORT_STRIDE}th instruction, as this is not a release build")
        } else {
            "every instruction".into()
        },
        sum(&outcomes, |outcome| outcome.points),
        took.as_secs(),
        if extent.short { "once, in turns" } else { "twice" },
        sum(&outcomes, |outcome| outcome.again) - late,
        longest.as_secs_f64() * 1e3,
    );
    vec![table(title, "kill points", &rows, outcomes)]
}

/// Stops a process after every instruction, goes on beside it, and lets it go on.
pub fn stops(extent: &Extent) -> Vec<Verdict> {
    if let Some(untried) = untried("Stopped after every instruction") {
        return untried;
    }
    let rows = rows(Deed::Stop, extent);
    let (outcomes, took) = attempt_rows(&rows, Deed::Stop, extent);
    let title = format!(
        "Stopped after {}, while others go on: {} points in {} s. Tried again: {}",
        if extent.short {
            format!("each {SHORT_STRIDE}th instruction")
        } else {
            "each of the first 300 instructions, then each seventh".into()
        },
        sum(&outcomes, |outcome| outcome.points),
        took.as_secs(),
        sum(&outcomes, |outcome| outcome.again),
    );
    vec![table(title, "stops", &rows, outcomes)]
}

fn progress(row: &dyn Row, outcome: &Outcome, begun: Instant) {
    if std::io::stderr().is_terminal() || std::env::var_os("PROOF_PROGRESS").is_some() {
        let took = begun.elapsed().as_secs();
        let (points, broken) = (outcome.points, outcome.broken.len());
        let _ = writeln!(std::io::stderr(), "{took} s: {}: {points} points, {broken} broken", row.name());
        for broken in &outcome.broken {
            let _ = writeln!(std::io::stderr(), "  {broken}");
        }
    }
}

fn table(title: String, points: &str, rows: &[Box<dyn Row>], outcomes: Vec<Outcome>) -> Verdict {
    let head = ["operation", "ring", "capacity", "state", "instructions", points, "left", "again", "longest", "broken"];
    let head = head.map(String::from).to_vec();
    let mut verdict = Verdict::new(title, head);
    if rows.is_empty() {
        verdict.untried = Some("no row contains what was asked for".into());
    }
    for (row, outcome) in rows.iter().zip(outcomes) {
        let figures = [
            outcome.length.to_string(),
            outcome.points.to_string(),
            outcome.states.len().to_string(),
            outcome.again.to_string(),
            format!("{:.1} ms", outcome.longest.as_secs_f64() * 1e3),
            outcome.broken.len().to_string(),
        ];
        verdict.rows.push(row.cells().into_iter().chain(figures).collect());
        verdict.violations.extend(outcome.broken);
    }
    verdict
}
