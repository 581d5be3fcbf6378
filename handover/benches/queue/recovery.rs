//! From the kill of a process that holds something to a blocked peer going on. Every run kills another process; the
//! peer that is blocked is one process, and nobody else does anything meanwhile.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use handover::{Options, Queue};

use super::aims::{Aims, Bound};
use super::board::Board;
use super::machine;
use super::processes::{self, Team};
use super::report::{Report, Table};
use super::roles::Role;
use super::settings::Settings;
use super::statistics::show;

/// The words on the board.
const HOLDING: usize = 0;
const MAY_POP: usize = 1;
const POPPING: usize = 2;
const WENT_ON: usize = 3;
const AT: usize = 4;

const LIMIT_MS: f64 = 10.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Loan,
    Receipt,
}

impl Held {
    fn describe(self) -> &'static str {
        match self {
            Held::Loan => "a producer killed with a loan, a message behind it",
            Held::Receipt => "a receiver killed with a receipt, the queue empty otherwise",
        }
    }
}

/// Milliseconds of each run.
fn runs_of(held: Held, runs: u32) -> Vec<f64> {
    let queue = Options::new(64).anonymous::<u64>().expect("a queue");
    let mut producer = queue.producer().expect("a producer");
    let board = Board::new();
    let shared = || vec![queue.share().expect("a descriptor"), board.share()];
    let mut survivors = Team::new(shared());
    survivors.enlist(Role::Survivor, &[runs.into(), u64::from(held == Held::Receipt)]);
    let mut times = Vec::new();
    for run in 1..=runs {
        machine::runs(format!("recovery, {held:?}, run {run}"));
        if held == Held::Receipt {
            producer.push(run.into()).expect("room");
        }
        let mut victims = Team::new(shared());
        let victim = victims.enlist(Role::Victim, &[run.into(), u64::from(held == Held::Receipt)]);
        board.await_word(board.word(HOLDING), run);
        if held == Held::Loan {
            producer.push(run.into()).expect("room");
        }
        board.set(board.word(MAY_POP), run);
        board.await_word(board.word(POPPING), run);
        // At any moment of the survivor's sleep.
        thread::sleep(Duration::from_micros(5000 + u64::from(run) * 1777 % 8000));
        assert!(board.word(WENT_ON).load(SeqCst) < run, "the survivor was not held up");
        let start = machine::now();
        victim.kill().expect("a child to kill");
        board.await_word(board.word(WENT_ON), run);
        times.push((board.long_word(AT).load(SeqCst) - start) as f64 / 1e6);
    }
    survivors.results();
    times.sort_by(f64::total_cmp);
    times
}

fn shared_with_child() -> (Queue<u64>, Board) {
    let [queue, board] = processes::handed_over();
    (Queue::from_fd(queue).expect("the run's queue"), Board::from_fd(board))
}

/// Takes something and holds it until killed.
pub fn hold_in_child(job: &[u64]) {
    let &[run, receives] = job else { panic!("the numbers of a victim's job") };
    let (queue, board) = shared_with_child();
    let hold = || {
        board.set(board.word(HOLDING), run as u32);
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    };
    if receives != 0 {
        let mut consumer = queue.consumer().expect("a consumer");
        let receipt = consumer.receive().expect("a message");
        assert_eq!(*receipt, run);
        hold();
    }
    let mut producer = queue.producer().expect("a producer");
    let _loan = producer.loan().expect("room");
    hold();
}

/// Pops once a run, and says when it went on.
pub fn survive_in_child(job: &[u64]) {
    let &[runs, redelivered] = job else { panic!("the numbers of a survivor's job") };
    let (queue, board) = shared_with_child();
    let mut consumer = queue.consumer().expect("a consumer");
    for run in 1..=runs {
        board.await_word(board.word(MAY_POP), run as u32);
        board.set(board.word(POPPING), run as u32);
        let message = consumer.pop().expect("a message");
        board.long_word(AT).store(machine::now(), SeqCst);
        assert_eq!((message, u64::from(consumer.redeliveries())), (run, redelivered));
        board.set(board.word(WENT_ON), run as u32);
    }
}

pub fn measure(settings: &Settings, report: &mut Report, aims: &mut Aims) {
    let title = format!(
        "Recovery (milliseconds from before the kill to the blocked peer going on; {} runs each)",
        settings.recoveries
    );
    let mut table = Table::new(title, ["case", "p50", "p99", "greatest"]);
    for held in [Held::Loan, Held::Receipt] {
        let times = runs_of(held, settings.recoveries);
        // The nearest rank.
        let at = |quantile: f64| times[((times.len() as f64 * quantile).ceil() as usize).max(1) - 1];
        let figures = [at(0.5), at(0.99), at(1.0)];
        let [p50, p99, greatest] = figures.map(show);
        table.row([held.describe(), &p50, &p99, &greatest]);
        let what = format!("recovery under {LIMIT_MS} ms at p99: {}", held.describe());
        let told = format!("p50 {p50} ms, p99 {p99} ms, greatest {greatest} ms");
        aims.single(what, Bound::AtMost(LIMIT_MS), figures[1], told);
    }
    report.table(&table);
}
