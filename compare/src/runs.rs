//! Runs, from the program that orders them: each a process that is given a time, verified, and kept.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::contenders::{ALL, Contender, Entry, Shape};
use crate::ends::{Done, times};
use crate::plan::{Cell, Plan, Size, Work};
use crate::queues::PREFIX;
use crate::roles::Role;
use crate::settings::Settings;
use crate::shared::load::Tally;
use crate::shared::machine;
use crate::shared::processes::Team;
use crate::shared::statistics::Sample;
use crate::stage::{FAILED, REFUSED};

/// No run takes as long, beside the time that it is planned to take.
const HANGS: Duration = Duration::from_secs(20);

/// How the reason begins if messages were lost, doubled or changed.
const WRONG: &str = "WRONG: ";

/// How it begins if it did not end.
const HANGING: &str = "hangs: ";

static FAULTY: AtomicBool = AtomicBool::new(false);

/// Whether Handover failed to run. What others do is told in the tables.
pub fn any_faulty() -> bool {
    FAULTY.load(Relaxed)
}

/// One run, verified; or why there is none.
pub fn run(plan: &Plan) -> Result<Vec<Done>, String> {
    machine::runs(plan.to_string());
    let mut team = Team::new(Vec::new());
    let child = team.enlist(Role::Stage, &plan.to_numbers());
    let pid = child.id();
    let mut stdout = child.stdout.take().expect("piped");
    let (tell, told) = mpsc::channel();
    let reading = thread::spawn(move || {
        let mut text = String::new();
        // What is no text is no result.
        let _ = stdout.read_to_string(&mut text);
        // Nobody listens any more if it took too long.
        let _ = tell.send(text);
    });
    let planned = match plan.work {
        Work::Fair { time } | Work::Idle { time } | Work::Trips { time, .. } => Duration::from_nanos(time),
        Work::Paced { messages, gap } => Duration::from_nanos(messages * gap),
        _ => Duration::ZERO,
    };
    let said = told.recv_timeout(planned + HANGS);
    // Kills it if it has not ended, and with it its endpoints.
    drop(team);
    reading.join().expect("it reads to the end, which has come");
    let result = match said {
        Err(_) => Err(format!("{HANGING}ended after {} s", (planned + HANGS).as_secs())),
        Ok(text) => match text.lines().find_map(|line| line.strip_prefix(FAILED).or(line.strip_prefix(REFUSED))) {
            Some(why) => Err(why.to_owned()),
            None if text.is_empty() => Err("it crashes without a word".into()),
            None => {
                let done: Option<Vec<Done>> = text.lines().map(Done::from_line).collect();
                done.ok_or_else(|| format!("prints {text:?}")).and_then(|done| verified(plan, done))
            }
        },
    };
    sweep(pid);
    if result.is_err() && plan.entry.is_ours() {
        FAULTY.store(true, Relaxed);
    }
    result
}

/// What came is what was sent, or the run is worth nothing.
fn verified(plan: &Plan, done: Vec<Done>) -> Result<Vec<Done>, String> {
    if matches!(plan.work, Work::Trips { .. } | Work::Alone { .. } | Work::Start { .. } | Work::Weigh) {
        return Ok(done);
    }
    let (producers, consumers) = done.split_at(plan.cell.producers);
    let sent = producers.iter().map(|done| done.pairs[0]);
    let sent = sent.fold(Tally::default(), |all, (count, sum)| all.with(Tally { count, sum }));
    if plan.entry.shape == Shape::ToAll {
        return verified_for_all(sent, done, plan.cell.producers);
    }
    let came = consumers.iter().fold(Tally::default(), |all, done| all.with(done.effort.tally));
    let planned = match plan.work {
        Work::Stream { messages } | Work::Paced { messages, .. } => messages,
        Work::Idle { .. } => 0,
        _ => sent.count,
    };
    if came == sent && sent.count == planned {
        return Ok(done);
    }
    Err(format!("{WRONG}{sent:?} sent of {planned}, {came:?} came"))
}

/// Each receiver got everything, or knows how much it missed.
fn verified_for_all(sent: Tally, done: Vec<Done>, producers: usize) -> Result<Vec<Done>, String> {
    for consumer in &done[producers..] {
        let (came, missed) = (consumer.effort.tally, consumer.missed());
        if came.count + missed != sent.count || missed == 0 && came.sum != sent.sum {
            return Err(format!("{WRONG}{sent:?} sent, {came:?} came to one, who knows of {missed} missed"));
        }
    }
    Ok(done)
}

/// Removes what a run left behind: it may have been killed, and some peers never remove all of theirs.
fn sweep(pid: u32) {
    let name = format!("{PREFIX}.{pid}.");
    for folder in ["/dev/shm", "/dev/mqueue", "/tmp"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().contains(&name) {
                let path = entry.path();
                // If it is neither, it has gone by itself.
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
        }
    }
}

/// A plan, and what came of it in each round.
pub struct Measured {
    /// What was run.
    pub plan: Plan,
    /// What each round gave.
    pub runs: Vec<Vec<Done>>,
    /// Why runs came to nothing.
    pub faults: Vec<String>,
}

impl Measured {
    /// What a table says if there are no figures: what came instead.
    fn instead(&self) -> &'static str {
        match self.faults.last() {
            None => "-",
            Some(why) if why.starts_with(HANGING) => "hangs",
            Some(why) if why.starts_with(WRONG) => "loses",
            Some(_) => "fails",
        }
    }

    /// Whether there are figures.
    pub fn ran(&self) -> bool {
        !self.is_given_up() && !self.runs.is_empty()
    }

    /// Whether it is not tried again. One that hung is, once and with fewer messages: on a busy machine ends that take turns
    /// on one processor may wait a time slice for each ringful, and are only slow.
    fn is_given_up(&self) -> bool {
        self.faults.len() > 1 || self.faults.iter().any(|why| !why.starts_with(HANGING))
    }

    fn sample(&self, of: impl Fn(&[Done]) -> f64) -> Sample {
        let mut sample = Sample::default();
        self.runs.iter().for_each(|run| sample.add(of(run)));
        sample
    }

    /// Million messages a second.
    pub fn rate(&self) -> Sample {
        self.sample(rate)
    }

    /// The same to each receiver, where every message goes to every one.
    pub fn rate_to_each(&self) -> Sample {
        self.sample(|run| rate(run) / self.plan.cell.consumers as f64)
    }

    /// Nanoseconds of processor time for each message, of all endpoints together.
    pub fn cpu(&self) -> Sample {
        self.sample(|run| {
            let cpu: u64 = run.iter().map(|done| done.effort.cpu).sum();
            cpu as f64 / run.iter().map(|done| done.effort.tally.count).sum::<u64>() as f64
        })
    }

    /// The processor time of one endpoint, as a share of the time it took.
    pub fn share_of(&self, endpoint: usize) -> Sample {
        self.sample(|run| {
            let effort = run[endpoint].effort;
            effort.cpu as f64 / (effort.end - effort.start) as f64
        })
    }

    /// What the slowest endpoint did of what the fastest did, among producers or consumers.
    pub fn fairness(&self) -> Sample {
        let producers = self.plan.cell.producers;
        self.sample(|run| {
            let counts: Vec<u64> = if producers > 1 {
                run[..producers].iter().map(|done| done.pairs[0].0).collect()
            } else {
                run[producers..].iter().map(|done| done.effort.tally.count).collect()
            };
            let (least, most) = (counts.iter().min(), counts.iter().max());
            *least.expect("endpoints") as f64 / *most.expect("endpoints") as f64
        })
    }

    /// The share of what was sent that a receiver missed, on average.
    pub fn missed(&self) -> Sample {
        self.sample(|run| {
            let consumers = &run[self.plan.cell.producers..];
            let missed: u64 = consumers.iter().map(Done::missed).sum();
            missed as f64 / (run[0].pairs[0].0 as f64 * consumers.len() as f64)
        })
    }

    /// All times of all rounds, of that endpoint.
    pub fn times(&self, endpoint: usize) -> Histogram<u64> {
        let mut all = times();
        for (value, count) in self.runs.iter().flat_map(|run| run[endpoint].times()) {
            all.record_n(value, count).expect("within the bounds");
        }
        all
    }

    /// That quantile of each round's times, in microseconds.
    pub fn quantile(&self, endpoint: usize, quantile: f64) -> Sample {
        self.sample(|run| {
            let mut all = times();
            for (value, count) in run[endpoint].times() {
                all.record_n(value, count).expect("within the bounds");
            }
            all.value_at_quantile(quantile) as f64 / 1000.0
        })
    }
}

/// From the first endpoint's start to the last one's end, in nanoseconds.
fn took(run: &[Done]) -> f64 {
    let start = run.iter().map(|done| done.effort.start).min().expect("endpoints");
    let end = run.iter().map(|done| done.effort.end).max().expect("endpoints");
    (end - start) as f64
}

/// Million messages a second that came, to all receivers together.
fn rate(run: &[Done]) -> f64 {
    run.iter().map(|done| done.effort.tally.count).sum::<u64>() as f64 * 1000.0 / took(run)
}

/// The same of those that were sent.
fn sent_rate(plan: Plan, run: &[Done]) -> f64 {
    run[..plan.cell.producers].iter().map(|done| done.pairs[0].0).sum::<u64>() as f64 * 1000.0 / took(run)
}

/// What came of many plans.
#[derive(Default)]
pub struct Results(pub Vec<Measured>);

impl Results {
    /// Runs all of them, in rounds. Plans of one cell stand together, and take turns at being first.
    pub fn of(settings: &Settings, what: &str, plans: Vec<Plan>) -> Results {
        let mut all: Vec<Measured> =
            plans.into_iter().map(|plan| Measured { plan, runs: Vec::new(), faults: Vec::new() }).collect();
        let once = all.iter().all(|one| matches!(one.plan.work, Work::Start { .. } | Work::Weigh));
        let warm_up = usize::from(all.iter().any(|one| matches!(one.plan.work, Work::Stream { .. })));
        let long = all.iter().any(|one| matches!(one.plan.work, Work::Fair { .. } | Work::Idle { .. }));
        let rounds = match (once, long) {
            (true, _) => 1,
            (false, true) => settings.rounds_of_long_runs(),
            (false, false) => settings.rounds + warm_up,
        };
        for round in 0..rounds {
            for group in all.chunk_by_mut(|a, b| (a.plan.cell, a.plan.pin) == (b.plan.cell, b.plan.pin)) {
                let (cell, pin) = (group[0].plan.cell, if group[0].plan.pin { ", pinned" } else { "" });
                settings.progress(format_args!("{what}, round {} of {rounds}: {cell}{pin}", round + 1));
                let first = round % group.len();
                group.rotate_left(first);
                for one in group.iter_mut().filter(|one| !one.is_given_up()) {
                    match run(&one.plan) {
                        Ok(done) => {
                            let plan = one.plan;
                            if let Work::Stream { messages } = &mut one.plan.work {
                                *messages =
                                    (settings.run_time.as_secs_f64() * sent_rate(plan, &done) * 1e6) as u64 + 100;
                            }
                            if round >= warm_up {
                                one.runs.push(done);
                            }
                        }
                        Err(why) => {
                            settings.remark(format_args!("{}: {why}", one.plan));
                            one.faults.push(why);
                            if let Work::Stream { messages } = &mut one.plan.work {
                                *messages = *messages / 16 + 100;
                            }
                        }
                    }
                }
                group.rotate_right(first);
            }
        }
        Results(all)
    }

    /// What a table says of that contender there: a figure, or why there is none.
    pub fn show(
        &self,
        contender: Contender,
        (cell, batch, pin): (Cell, usize, bool),
        figure: impl Fn(&Measured) -> String,
    ) -> String {
        let found = self.0.iter().find(|one| {
            let plan = &one.plan;
            (plan.entry.contender, plan.cell, plan.batch, plan.pin) == (contender, cell, batch, pin)
        });
        match found {
            Some(one) if one.ran() => figure(one),
            Some(one) => one.instead().to_owned(),
            None => "-".to_owned(),
        }
    }

    /// Of that contender there, if it runs.
    pub fn get(&self, contender: Contender, cell: Cell, batch: usize, pin: bool) -> Option<&Measured> {
        self.0.iter().find(|one| {
            let plan = &one.plan;
            one.ran() && (plan.entry.contender, plan.cell, plan.batch, plan.pin) == (contender, cell, batch, pin)
        })
    }

    /// Whether anybody was measured there.
    pub fn has(&self, cell: Cell, pin: bool) -> bool {
        self.0.iter().any(|one| one.ran() && (one.plan.cell, one.plan.pin) == (cell, pin))
    }

    /// Its median rate.
    pub fn rate(&self, contender: Contender, cell: Cell, batch: usize, pin: bool) -> Option<f64> {
        Some(self.get(contender, cell, batch, pin)?.rate().median())
    }

    /// Whose runs came to nothing in which cells, and why: for the notes under a table.
    pub fn refusals(&self) -> Vec<String> {
        let mut reasons: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for one in &self.0 {
            if let Some(why) = one.faults.last() {
                let why = if one.ran() { format!("one of its runs {why}") } else { why.clone() };
                let cells = reasons.entry((one.plan.entry.full_name(), why)).or_default();
                let cell = one.plan.cell.to_string();
                if !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
        }
        reasons.into_iter().map(|((name, why), cells)| format!("{name} ({}): {why}", cells.join(", "))).collect()
    }

    /// The contenders that are in it, in order.
    pub fn entries(&self) -> Vec<&'static Entry> {
        ALL.iter().filter(|entry| self.0.iter().any(|one| one.plan.entry.contender == entry.contender)).collect()
    }
}

/// How many messages the first run has, which only warms up and finds out how many the next is to have.
pub fn first(size: Size) -> u64 {
    [5000, 5000, 2000, 200][size as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::race::Effort;

    fn plan(contender: Contender, producers: usize, consumers: usize, messages: u64) -> Plan {
        let cell = Cell { size: Size::Word, producers, consumers, capacity: 64 };
        Plan { entry: contender.entry(), cell, batch: 1, pin: false, work: Work::Stream { messages } }
    }

    fn done(tally: Tally, pairs: Vec<(u64, u64)>) -> Done {
        Done { effort: Effort { start: 0, end: 1, cpu: 0, tally }, pairs }
    }

    fn producer(numbers: std::ops::Range<u64>) -> Done {
        let Tally { count, sum } = Tally::of::<u64>(numbers);
        done(Tally::default(), vec![(count, sum)])
    }

    #[test]
    fn what_is_lost_doubled_or_changed_is_found() {
        let plan = plan(Contender::Threads, 1, 2, 10);
        let came = |a: &[u64], b: &[u64]| {
            let of = |numbers: &[u64]| {
                let mut tally = Tally::default();
                numbers.iter().for_each(|number| tally.add(number));
                done(tally, vec![(0, 0)])
            };
            verified(&plan, vec![producer(0..10), of(a), of(b)]).is_ok()
        };
        assert!(came(&[0, 2, 4, 6, 8], &[1, 3, 5, 7, 9]));
        assert!(!came(&[0, 2, 4, 6, 8], &[1, 3, 5, 7]), "lost");
        assert!(!came(&[0, 2, 4, 6, 8], &[1, 3, 5, 7, 9, 9]), "doubled");
        assert!(!came(&[0, 2, 4, 6, 8], &[1, 3, 5, 7, 10]), "changed");
        assert!(!came(&[0, 2, 4, 6, 8], &[1, 3, 5, 7, 7]), "one lost and one doubled");
    }

    #[test]
    fn a_broadcast_has_to_reach_everybody() {
        let plan = plan(Contender::DisruptorAll, 1, 2, 10);
        let reader = |numbers, missed| done(Tally::of::<u64>(numbers), vec![(missed, 0)]);
        assert!(verified(&plan, vec![producer(0..10), reader(0..10, 0), reader(0..10, 0)]).is_ok());
        assert!(verified(&plan, vec![producer(0..10), reader(0..10, 0), reader(4..10, 4)]).is_ok());
        assert!(verified(&plan, vec![producer(0..10), reader(0..10, 0), reader(0..9, 0)]).is_err());
    }

    #[test]
    fn everybody_is_where_its_number_says() {
        for (number, entry) in ALL.iter().enumerate() {
            assert_eq!(entry.contender as usize, number, "{entry}");
        }
    }
}
