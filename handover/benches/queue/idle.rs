//! What a blocked receiver uses of a processor: all of them at once, for a second.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use handover::{Options, Queue, Wait};

use super::aims::{Aims, Bound};
use super::board::Board;
use super::machine::{self, CpuClock};
use super::processes::{self, Team};
use super::report::{Report, Table};
use super::roles::Role;
use super::settings::Settings;
use super::statistics::Sample;

const WAITS: [Wait; 2] = [Wait::Balanced, Wait::Park];
const TIME: Duration = Duration::from_secs(1);
/// Until everybody is asleep.
const SETTLE: Duration = Duration::from_millis(100);
/// A thousandth of a processor: what the usual tools show as 0.0 %.
const MEASURABLE: f64 = 1000.0;

/// One that waits in a thread: its clock, and what ends its wait.
fn in_thread(wait: impl FnOnce() + Send + 'static) -> (CpuClock, thread::JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let waiting = thread::spawn(move || {
        tell.send(CpuClock::of_this_thread()).expect("somebody listens");
        wait();
    });
    (told.recv().expect("a clock"), waiting)
}

fn round() -> Vec<(String, f64)> {
    let mut clocks = Vec::new();
    let mut threads = Vec::new();
    let mut teams = Vec::new();

    let mut producers = Vec::new();
    let mut remote_producers = Vec::new();
    for (nth, wait) in WAITS.into_iter().enumerate() {
        let queue = Options::new(64).threads::<u64>().expect("a queue");
        let mut consumer = queue.consumer().expect("a consumer");
        consumer.set_wait(wait);
        let (clock, waiting) = in_thread(move || assert_eq!(consumer.pop().expect("a pop"), 1));
        clocks.push((format!("handover threads, {wait:?}"), clock));
        producers.push(queue.producer().expect("a producer"));
        threads.push(waiting);

        let queue = Options::new(64).anonymous::<u64>().expect("a queue");
        let board = Board::new();
        let mut team = Team::new(vec![queue.share().expect("a descriptor"), board.share()]);
        let pid = team.enlist(Role::Idler, &[nth as u64]).id();
        board.start(1);
        clocks.push((format!("handover processes, {wait:?}"), CpuClock::of_process(pid)));
        remote_producers.push(queue.producer().expect("a producer"));
        teams.push(team);
    }
    let (sender, receiver) = crossbeam_channel::bounded(64);
    let (clock, waiting) = in_thread(move || assert_eq!(receiver.recv(), Ok(1)));
    clocks.push(("crossbeam-channel".into(), clock));
    threads.push(waiting);
    let (other_sender, receiver) = crossfire::mpmc::bounded_blocking(64);
    let (clock, waiting) = in_thread(move || assert_eq!(receiver.recv(), Ok(1)));
    clocks.push(("crossfire mpmc".into(), clock));
    threads.push(waiting);

    thread::sleep(SETTLE);
    let before: Vec<u64> = clocks.iter().map(|(_, clock)| clock.read()).collect();
    let start = machine::now();
    thread::sleep(TIME);
    let after: Vec<u64> = clocks.iter().map(|(_, clock)| clock.read()).collect();
    let seconds = (machine::now() - start) as f64 / 1e9;

    producers.iter_mut().for_each(|producer| producer.push(1).expect("a push"));
    remote_producers.iter_mut().for_each(|producer| producer.push(1).expect("a push"));
    sender.send(1).expect("a push");
    other_sender.send(1).expect("a push");
    threads.into_iter().for_each(|thread| thread.join().expect("a receiver"));
    teams.into_iter().for_each(|team| drop(team.results()));

    let used = before.iter().zip(after).map(|(before, after)| (after - before) as f64 / 1000.0 / seconds);
    clocks.into_iter().map(|(name, _)| name).zip(used).collect()
}

pub fn idle_in_child(job: &[u64]) {
    let &[nth] = job else { panic!("the number of an idler's job") };
    let [queue, board] = processes::handed_over();
    let queue = Queue::<u64>::from_fd(queue).expect("the run's queue");
    let mut consumer = queue.consumer().expect("a consumer");
    consumer.set_wait(WAITS[nth as usize]);
    Board::from_fd(board).arrive();
    assert_eq!(consumer.pop().expect("a pop"), 1);
}

pub fn measure(settings: &Settings, report: &mut Report, aims: &mut Aims) {
    let mut all: Vec<(String, Sample)> = Vec::new();
    for _ in 0..settings.rounds.div_ceil(3) {
        machine::runs("idle receivers".into());
        for (nth, (name, used)) in round().into_iter().enumerate() {
            if all.len() == nth {
                all.push((name, Sample::default()));
            }
            all[nth].1.add(used);
        }
    }
    let title = "A blocked receiver (microseconds of processor time in a second; with another member attached)";
    let mut table = Table::new(title, ["receiver", "used"]);
    for (name, used) in &all {
        table.row([name.clone(), used.show()]);
    }
    report.table(&table);
    for (name, used) in all.iter().filter(|(name, _)| name.starts_with("handover")) {
        let what = format!("idle, {name}: no processor time that can be measured (under 0.1 %)");
        let figures = format!("{} us in a second, {:.3} %", used.show(), used.median() / 1e4);
        aims.single(what, Bound::AtMost(MEASURABLE), used.median(), figures);
    }
}
