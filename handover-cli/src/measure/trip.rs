//! Round trips: one asks, the other answers, each end on a processor of its own.
//!
//! Asked at once after each answer, whoever spins at all never sleeps. So what is parked is measured with a pause before
//! each question, in which the other end falls asleep.

use std::hint;
use std::thread;
use std::time::Duration;

use handover::tasks::{Submitter, Worker};
use handover::{Broadcast, Error, Queue, Tasks};
use hdrhistogram::Histogram;

use super::board::Board;
use super::case::{Between, Case, Kind, Wait};
use super::effort::empty_histogram;
use super::ends::{Entry, Exit, OnHeap, Stage};
use super::team::{Crew, Processes};
use crate::system::child::{self, Found, Handed};
use crate::system::clock::now;
use crate::system::processors::pin_to;
use crate::trouble::Trouble;

type Word = [u64; 1];

/// Longer than anybody spins before it sleeps.
const PAUSE: Duration = Duration::from_micros(100);
/// Questions that are not counted.
const WARM_UP: u64 = 20;
/// How often it is looked whether the other end lives.
const LOOK: Duration = Duration::from_millis(5);

/// How questions follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    AtOnce,
    /// The other end asleep.
    Calm,
}

/// Asks for so long; the function returns when the answer is there. In nanoseconds.
pub(super) fn ask(
    pace: Pace,
    time: Duration,
    mut question: impl FnMut(u64) -> Result<(), Error>,
) -> Result<Histogram<u64>, Error> {
    pin_to(0);
    let mut trips = empty_histogram();
    let (begun, time, pause) = (now(), time.as_nanos() as u64, PAUSE.as_nanos() as u64);
    for number in 1.. {
        if pace == Pace::Calm {
            let from = now();
            while now() - from < pause {
                hint::spin_loop();
            }
        }
        let asked = now();
        question(number)?;
        let answered = now();
        if number > WARM_UP {
            trips.saturating_record((answered - asked).max(1));
            if answered - begun > time {
                break;
            }
        }
    }
    Ok(trips)
}

/// Answers one question after the other, until the way is closed.
pub(super) fn answer(mut one: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
    pin_to(1);
    loop {
        match one() {
            Err(Error::Closed) => return Ok(()),
            other => other?,
        }
    }
}

/// Round trips of a case for so long, in nanoseconds.
pub(crate) fn measure(case: &Case, time: Duration) -> Result<Histogram<u64>, Trouble> {
    match (case.kind, case.between) {
        (Kind::Queue, Between::Threads) => by_two::<OnHeap<Word>>(case, time),
        (Kind::Queue, Between::Processes) => by_two::<Queue<Word>>(case, time),
        (Kind::Broadcast, _) => by_two::<Broadcast<Word>>(case, time),
        (Kind::Tasks, _) => by_results(case, time),
    }
}

/// What a child that answers does.
pub(super) fn answer_in_child(case: &Case, there: Found, back: Found, board: &Board) -> Result<(), Trouble> {
    match case.kind {
        Kind::Queue => answer_on::<Queue<Word>>(case, there, back, board),
        Kind::Broadcast => answer_on::<Broadcast<Word>>(case, there, back, board),
        Kind::Tasks => {
            let worker = worker(&child::tasks(there)?, case)?;
            board.arrive();
            answer(|| finish_one(&worker))
        }
    }?;
    Ok(())
}

fn answer_on<S: Stage>(case: &Case, there: Found, back: Found, board: &Board) -> Result<(), Error> {
    let (there, back) = (S::open(there)?, S::open(back)?);
    let ends = (back.entry(case)?, there.exit(case)?);
    board.arrive();
    answer_through(ends)
}

fn answer_through((mut entry, mut exit): (impl Entry, impl Exit)) -> Result<(), Error> {
    answer(|| {
        let mut received = 0;
        exit.take(1, |number| received = number)?;
        entry.put(received)
    })
}

/// A way there, and a way back.
fn by_two<S: Stage + Sync>(case: &Case, time: Duration) -> Result<Histogram<u64>, Trouble> {
    let (there, back) = (S::make(case)?, S::make(case)?);
    let segments = match (there.share()?, back.share()?) {
        (Some(there), Some(back)) => vec![Handed::new(there), Handed::new(back)],
        _ => Vec::new(),
    };
    let asks = || {
        let (mut entry, mut exit) = (there.entry(case)?, back.exit(case)?);
        let trips = ask(pace(case), time, |question| {
            entry.put(question)?;
            exit.take(1, |_| ())
        });
        entry.close();
        trips
    };
    let answers = || answer_through((back.entry(case)?, there.exit(case)?));
    let close = || {
        there.close();
        back.close();
    };
    hold(case, segments, asks, answers, close)
}

/// A task, and its result.
fn by_results(case: &Case, time: Duration) -> Result<Histogram<u64>, Trouble> {
    let tasks = Tasks::<Word>::make(case)?;
    let asks = || {
        let submitter: Submitter<Word> = tasks.submitter()?;
        submitter.set_wait(case.wait.into());
        let trips = ask(pace(case), time, |question| {
            submitter.task([question]).request()?.wait()?;
            Ok(())
        });
        submitter.close();
        trips
    };
    let answers = || {
        let worker = worker(&tasks, case)?;
        answer(|| finish_one(&worker))
    };
    // A child looks for as many as others have.
    let segments = vec![Handed::new(Tasks::share(&tasks)?), Handed::new(Tasks::share(&tasks)?)];
    hold(case, segments, asks, answers, || tasks.close())
}

fn worker(tasks: &Tasks<Word>, case: &Case) -> Result<Worker<Word>, Error> {
    let worker = tasks.worker()?;
    worker.set_wait(case.wait.into());
    Ok(worker)
}

fn finish_one(worker: &Worker<Word>) -> Result<(), Error> {
    let lease = worker.take()?;
    let result = lease.task()[0].to_ne_bytes();
    lease.done_with(&result)
}

fn pace(case: &Case) -> Pace {
    if case.wait == Wait::Park { Pace::Calm } else { Pace::AtOnce }
}

/// Has the one end ask, and the other, in a thread or in a child, answer.
fn hold(
    case: &Case,
    segments: Vec<Handed>,
    asks: impl FnOnce() -> Result<Histogram<u64>, Error> + Send,
    answers: impl FnOnce() -> Result<(), Error> + Send,
    close: impl Fn() + Sync,
) -> Result<Histogram<u64>, Trouble> {
    if case.between == Between::Threads {
        return thread::scope(|scope| {
            let answerer = scope.spawn(|| {
                let answered = answers();
                close();
                answered
            });
            let trips = scope.spawn(asks).join().expect("askers don't panic");
            close();
            answerer.join().expect("answerers don't panic")?;
            Ok(trips?)
        });
    }
    let board = Board::new(1)?;
    let mut crew = Processes::new([Handed::new(board.memory().share()?)].into_iter().chain(segments).collect())?;
    // By this thread, which stays; who asks is pinned, and forgotten.
    crew.enlist(case, 0)?;
    while board.ready() < 1 {
        if crew.ended_early()? {
            crew.results()?;
        }
        thread::sleep(Duration::from_micros(100));
    }
    board.go();
    let trips = thread::scope(|scope| {
        let asker = scope.spawn(asks);
        while !asker.is_finished() {
            thread::sleep(LOOK);
            if crew.ended_early()? && !asker.is_finished() {
                close();
            }
        }
        Ok::<_, Trouble>(asker.join().expect("askers don't panic"))
    })?;
    crew.results()?;
    Ok(trips?)
}
