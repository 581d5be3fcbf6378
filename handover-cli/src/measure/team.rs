//! Runs a case: starts its endpoints, in threads or as processes, lets them work for a time, and adds up what they did.

use std::io::Read;
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use clap::Args;
use handover::{Broadcast, Error, Queue, Tasks};

use super::board::Board;
use super::case::{Between, Case, Kind, Layout};
use super::effort::{Effort, drain, feed};
use super::ends::{Entry, Exit, OnHeap, Stage};
use super::load::{Line64, Line128, Line256, Line512, Line1024};
use super::trip;
use crate::interrupt::{Interrupt, LOOK};
use crate::system::child::{self, Bond, Found, Handed, Parent};
use crate::system::clock::now;
use crate::system::signals;
use crate::trouble::Trouble;

/// Endpoints that are not there by then never will be.
const STUCK: Duration = Duration::from_secs(20);

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Messages a second, of those that each consumer or all of them got.
    pub(crate) rate: f64,
    /// What all producers did.
    pub(crate) put: Effort,
    /// What all consumers did.
    pub(crate) taken: Effort,
}

impl Run {
    /// Nanoseconds of processor time for each message, of all endpoints.
    pub(crate) fn processor_time(&self) -> f64 {
        (self.put.processor_time + self.taken.processor_time) as f64 / self.put.count.max(1) as f64
    }

    /// Which share of the messages found no room at first.
    pub(crate) fn waited(&self) -> f64 {
        self.put.waited as f64 / self.put.count.max(1) as f64
    }
}

/// What a child process is told, beside the case.
#[derive(Args, Clone, Debug)]
pub(crate) struct Job {
    /// It hands over the board, then one or two segments.
    #[command(flatten)]
    parent: Parent,
    #[arg(long)]
    endpoint: usize,
    #[command(flatten)]
    case: Case,
}

/// Calls a function for the stage that a case is played on.
macro_rules! on_stage {
    ($case:expr, $call:ident($($argument:expr),*)) => {{
        let case: &Case = $case;
        match (case.kind, case.between, case.layout, case.size) {
            (Kind::Queue, Between::Threads, Layout::Plain, 8) => $call::<OnHeap<[u64; 1]>>($($argument),*),
            (Kind::Queue, Between::Threads, Layout::Line, 64) => $call::<OnHeap<Line64>>($($argument),*),
            (Kind::Queue, _, Layout::Plain, 8) => $call::<Queue<[u64; 1]>>($($argument),*),
            (Kind::Queue, _, Layout::Plain, 16) => $call::<Queue<[u64; 2]>>($($argument),*),
            (Kind::Queue, _, Layout::Plain, 32) => $call::<Queue<[u64; 4]>>($($argument),*),
            (Kind::Queue, _, Layout::Plain, 64) => $call::<Queue<[u64; 8]>>($($argument),*),
            (Kind::Queue, _, Layout::Plain, 128) => $call::<Queue<[u64; 16]>>($($argument),*),
            (Kind::Queue, _, Layout::Plain, 256) => $call::<Queue<[u64; 32]>>($($argument),*),
            (Kind::Queue, _, Layout::Plain, 512) => $call::<Queue<[u64; 64]>>($($argument),*),
            (Kind::Queue, _, Layout::Plain, 1024) => $call::<Queue<[u64; 128]>>($($argument),*),
            (Kind::Queue, _, Layout::Line, 64) => $call::<Queue<Line64>>($($argument),*),
            (Kind::Queue, _, Layout::Line, 128) => $call::<Queue<Line128>>($($argument),*),
            (Kind::Queue, _, Layout::Line, 256) => $call::<Queue<Line256>>($($argument),*),
            (Kind::Queue, _, Layout::Line, 512) => $call::<Queue<Line512>>($($argument),*),
            (Kind::Queue, _, Layout::Line, 1024) => $call::<Queue<Line1024>>($($argument),*),
            (Kind::Queue, ..) => $call::<Queue<[u8]>>($($argument),*),
            (Kind::Broadcast, _, Layout::Plain, 8) => $call::<Broadcast<[u64; 1]>>($($argument),*),
            (Kind::Broadcast, _, Layout::Line, 64) => $call::<Broadcast<Line64>>($($argument),*),
            (Kind::Broadcast, ..) => $call::<Broadcast<[u8]>>($($argument),*),
            (Kind::Tasks, _, Layout::Plain, 8) => $call::<Tasks<[u64; 1]>>($($argument),*),
            (Kind::Tasks, _, Layout::Line, 64) => $call::<Tasks<Line64>>($($argument),*),
            (Kind::Tasks, ..) => $call::<Tasks<[u8]>>($($argument),*),
        }
    }};
}

/// Lets a case run for so long.
pub(crate) fn run(case: &Case, time: Duration, interrupt: &Interrupt) -> Result<Run, Trouble> {
    on_stage!(case, run_on(case, time, interrupt))
}

/// Messages a second that one producer puts into an empty queue of that case, while nobody takes any.
pub(crate) fn fill(case: &Case) -> Result<f64, Trouble> {
    Ok(on_stage!(case, fill_on(case))?)
}

fn fill_on<S: Stage>(case: &Case) -> Result<f64, Error> {
    let stage = S::make(case)?;
    let (mut entry, mut exit) = (stage.entry(case)?, stage.exit(case)?);
    let mut best = f64::MAX;
    // The first time memory is only got.
    for _ in 0..4 {
        let begun = now();
        for number in 1..=case.capacity as u64 {
            entry.put(number)?;
        }
        best = best.min((now() - begun).max(1) as f64);
        for _ in 0..case.capacity {
            exit.take(1, |_| ())?;
        }
    }
    Ok(case.capacity as f64 * 1e9 / best)
}

fn run_on<S: Stage + Sync>(case: &Case, time: Duration, interrupt: &Interrupt) -> Result<Run, Trouble> {
    let board = Board::new(case.endpoints())?;
    let stage = S::make(case)?;
    let (rate, efforts) = match case.between {
        Between::Threads => thread::scope(|scope| {
            let mut crew = Threads { crew: Vec::new(), board: &board, close: &|| stage.close() };
            for endpoint in 0..case.producers {
                let entry = stage.entry(case)?;
                crew.crew.push(scope.spawn({
                    let board = &board;
                    move || feed(entry, case, endpoint, board)
                }));
            }
            for endpoint in case.producers..case.endpoints() {
                let exit = stage.exit(case)?;
                crew.crew.push(scope.spawn({
                    let board = &board;
                    move || drain(exit, case, endpoint, board)
                }));
            }
            let rate = conduct(&mut crew, case, &board, time, interrupt)?;
            Ok::<_, Trouble>((rate, crew.results()?))
        })?,
        Between::Processes => {
            let shared = stage.share()?.ok_or_else(|| Trouble::Failed("this kind is between threads only".into()))?;
            let mut crew = Processes::new(vec![Handed::new(board.memory().share()?), Handed::new(shared)])?;
            for endpoint in 0..case.endpoints() {
                crew.enlist(case, endpoint)?;
            }
            let rate = conduct(&mut crew, case, &board, time, interrupt)?;
            (rate, crew.results()?)
        }
    };
    let add = |range: Range<usize>| efforts[range].iter().fold(Effort::none(), Effort::and);
    let (put, taken) = (add(0..case.producers), add(case.producers..case.endpoints()));
    let copies = case.copies();
    if (taken.count, taken.sum) != (put.count * copies, put.sum.wrapping_mul(copies)) {
        let what = format!("{} messages were put in, {} came out, or others than those", put.count, taken.count);
        return Err(Trouble::PromiseBroken(what));
    }
    Ok(Run { rate, put, taken })
}

/// Those who work in a run. Dropped, they are made to end.
pub(super) trait Crew {
    /// Whether one of them has ended by itself.
    fn ended_early(&mut self) -> Result<bool, Trouble>;
    /// What each of them did, producers first.
    fn results(&mut self) -> Result<Vec<Effort>, Trouble>;
}

/// Starts all, measures the rate in mid-flight, and tells them to stop.
fn conduct(
    crew: &mut impl Crew,
    case: &Case,
    board: &Board,
    time: Duration,
    interrupt: &Interrupt,
) -> Result<f64, Trouble> {
    let asked = || {
        if interrupt.asked() { Err(Trouble::Interrupted("nothing is left behind")) } else { Ok(()) }
    };
    let begun = Instant::now();
    while board.ready() < case.endpoints() {
        asked()?;
        if crew.ended_early()? {
            // It is about to say why.
            crew.results()?;
        }
        if begun.elapsed() > STUCK {
            return Err(Trouble::Failed(
                "what is to be measured does not start; look at the load of the machine".into(),
            ));
        }
        thread::sleep(Duration::from_micros(100));
    }
    board.go();
    let mut pass = |time: Duration| {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            asked()?;
            thread::sleep(left.min(LOOK));
            if crew.ended_early()? {
                crew.results()?;
            }
        }
        Ok::<(), Trouble>(())
    };
    // Until caches, predictions and frequencies are what they will be.
    if !case.is_paced() {
        pass(time / 4)?;
    }
    let count = || (Instant::now(), board.counted(case.producers..case.endpoints()));
    let (from, before) = count();
    pass(time)?;
    // On a machine that is busy with other things nobody may have had a processor yet.
    while count().1 == before && from.elapsed() < 10 * time {
        pass(time)?;
    }
    let (to, after) = count();
    board.stop();
    Ok((after - before) as f64 / case.copies() as f64 / (to - from).as_secs_f64())
}

struct Threads<'scope, 'run> {
    crew: Vec<ScopedJoinHandle<'scope, Result<Effort, Error>>>,
    board: &'run Board,
    close: &'run dyn Fn(),
}

impl Crew for Threads<'_, '_> {
    fn ended_early(&mut self) -> Result<bool, Trouble> {
        Ok(self.crew.iter().any(ScopedJoinHandle::is_finished))
    }

    fn results(&mut self) -> Result<Vec<Effort>, Trouble> {
        let joined = self.crew.drain(..).map(|thread| thread.join().expect("endpoints don't panic"));
        Ok(joined.collect::<Result<_, _>>()?)
    }
}

impl Drop for Threads<'_, '_> {
    fn drop(&mut self) {
        self.board.stop();
        if !self.crew.is_empty() {
            // Whoever is blocked is told.
            (self.close)();
        }
    }
}

/// Child processes. Dropped, they are killed: none outlives its run, however that ends.
pub(super) struct Processes {
    handed: Vec<Handed>,
    children: Vec<Child>,
    _bond: Bond,
}

impl Processes {
    pub(super) fn new(handed: Vec<Handed>) -> Result<Processes, Trouble> {
        Ok(Processes { handed, children: Vec::new(), _bond: Bond::tie()? })
    }

    /// To be called by the main thread only: children end with the thread that started them.
    pub(super) fn enlist(&mut self, case: &Case, endpoint: usize) -> Result<(), Trouble> {
        let mut command = Command::new(child::this_program()?);
        command.arg(NAME).stdin(Stdio::null()).stdout(Stdio::piped());
        child::hand_over(&mut command, &self.handed)?;
        command.args(["--endpoint", &endpoint.to_string()]).args(case.arguments());
        self.children.push(command.spawn()?);
        Ok(())
    }
}

/// The hidden command that a child is.
pub(crate) const NAME: &str = "measure-process";

impl Crew for Processes {
    fn ended_early(&mut self) -> Result<bool, Trouble> {
        for child in &mut self.children {
            if child.try_wait()?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn results(&mut self) -> Result<Vec<Effort>, Trouble> {
        let mut efforts = Vec::with_capacity(self.children.len());
        for child in &mut self.children {
            let mut told = String::new();
            if let Some(mut pipe) = child.stdout.take() {
                pipe.read_to_string(&mut told)?;
            }
            let status = child.wait()?;
            // Who only answers has nothing to tell.
            let effort = if told.is_empty() { Some(Effort::none()) } else { Effort::from_json(&told) };
            let effort = effort.filter(|_| status.success());
            efforts
                .push(effort.ok_or_else(|| Trouble::Ended(format!("a process that was measured ended ({status})")))?);
        }
        Ok(efforts)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that has ended already needs neither.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a child process does.
pub(crate) fn play(job: &Job) -> Result<(), Trouble> {
    // Nobody would end us if the one that measures were killed.
    if !job.parent.end_with()? {
        return Ok(());
    }
    // Ctrl-C reaches every process of the terminal: the one that measures, which ends the others, sees to it.
    signals::leave_to_others(signals::REQUESTS)?;
    let handed = |nth: usize| job.parent.handed(nth);
    let board = Board::over(child::memory(handed(0)?)?);
    if job.parent.count() > 2 {
        return trip::answer_in_child(&job.case, handed(1)?, handed(2)?, &board);
    }
    let effort = on_stage!(&job.case, play_on(handed(1)?, job, &board))?;
    println!("{}", effort.to_json());
    Ok(())
}

fn play_on<S: Stage>(found: Found, job: &Job, board: &Board) -> Result<Effort, Trouble> {
    let (case, endpoint) = (&job.case, job.endpoint);
    let stage = S::open(found)?;
    let effort = if endpoint < case.producers {
        feed(stage.entry(case)?, case, endpoint, board)
    } else {
        drain(stage.exit(case)?, case, endpoint, board)
    };
    Ok(effort?)
}
