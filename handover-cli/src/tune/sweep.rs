//! Runs the load at many capacities, in many layouts, with each way to wait. In rounds that take turns, so that what
//! disturbs the machine for a while does not fall on one of them alone.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::interrupt::Interrupt;
use crate::measure::case::{Case, Kind, Layout, Wait};
use crate::measure::effort::empty_histogram;
use crate::measure::load::PLAIN_SIZES;
use crate::measure::sample::Sample;
use crate::measure::{pauses, team};
use crate::progress::Progress;
use crate::system::processors;
use crate::trouble::Trouble;

/// A capacity at full speed.
#[derive(Clone, Debug)]
pub(super) struct SpeedPoint {
    pub(super) capacity: usize,
    /// Messages a second.
    pub(super) rate: Sample,
}

/// A capacity under the load.
#[derive(Clone, Debug)]
pub(super) struct LoadPoint {
    pub(super) capacity: usize,
    /// The share of messages that found no room, in each round.
    pub(super) waited: Sample,
    /// From when a message was due to when it was taken, of all rounds.
    pub(super) delays: Histogram<u64>,
}

/// A layout at full speed.
#[derive(Clone, Debug)]
pub(super) struct LayoutFigure {
    pub(super) case: Case,
    pub(super) rate: Sample,
}

/// A way to wait, under the load or at full speed.
#[derive(Clone, Debug)]
pub(super) struct WaitFigure {
    pub(super) wait: Wait,
    pub(super) rate: Sample,
    pub(super) waited: Sample,
    /// Nanoseconds of processor time for each message.
    pub(super) processor_time: Sample,
    pub(super) delays: Histogram<u64>,
}

/// Memory that a queue may take while it is tried.
const MEMORY_MOST: usize = 256 << 20;
/// Where full speed gains nothing from more.
const SPEED_MOST: usize = 1 << 16;
/// So large a share of waiting pushes says that a smaller capacity is not worth trying.
const ENOUGH_WAITED: f64 = 0.25;

pub(super) struct Sweep<'a> {
    rounds: usize,
    /// Each capacity is so many times the one before.
    factor: usize,
    /// Of a run at full speed.
    time: Duration,
    /// Of a run under load: at least, and at most.
    load_time: (Duration, Duration),
    watch: Duration,
    interrupt: &'a Interrupt,
    progress: &'a Progress,
}

/// The largest power of two that a queue of the case may have, up to `most`.
fn capacity_most(case: &Case, most: usize) -> usize {
    let fits = MEMORY_MOST / (case.size + 16);
    let most = most.min(fits).max(16);
    1 << most.ilog2()
}

impl<'a> Sweep<'a> {
    pub(super) fn new(quick: bool, interrupt: &'a Interrupt, progress: &'a Progress) -> Sweep<'a> {
        let milliseconds = Duration::from_millis;
        if quick {
            let load_time = (milliseconds(60), milliseconds(150));
            return Sweep {
                rounds: 1,
                factor: 4,
                time: milliseconds(25),
                load_time,
                watch: milliseconds(100),
                interrupt,
                progress,
            };
        }
        let load_time = (milliseconds(250), milliseconds(1000));
        Sweep { rounds: 3, factor: 2, time: milliseconds(60), load_time, watch: milliseconds(500), interrupt, progress }
    }

    /// How often each of so many is to be run.
    pub(super) fn rounds_of(&self, count: usize) -> usize {
        self.progress.expect(self.rounds * count);
        self.rounds
    }

    pub(super) fn step(&self, what: String) -> Result<(), Trouble> {
        if self.interrupt.asked() {
            return Err(Trouble::Interrupted(""));
        }
        self.progress.on(what);
        self.progress.step();
        Ok(())
    }

    pub(super) fn run(&self, case: &Case) -> Result<team::Run, Trouble> {
        team::run(case, self.run_time(case), self.interrupt)
    }

    /// Long enough for some bursts.
    fn run_time(&self, case: &Case) -> Duration {
        if !case.is_paced() {
            return self.time;
        }
        let period = Duration::from_secs_f64(case.burst as f64 / case.rate as f64);
        let pauses = 25 * case.pause;
        (4 * period).max(pauses).clamp(self.load_time.0, self.load_time.1)
    }

    /// In nanoseconds.
    pub(super) fn longest_pause(&self, case: &Case) -> Result<u64, Trouble> {
        self.step("how long the machine makes somebody stand still".into())?;
        Ok(pauses::longest(processors::count().min(case.endpoints()), self.watch))
    }

    /// Messages a second of all producers together.
    pub(super) fn fill(&self, case: &Case) -> Result<f64, Trouble> {
        self.step("how fast messages can be put in".into())?;
        let each = team::fill(&Case { capacity: capacity_most(case, 8192), ..*case })?;
        Ok(each * case.producers.min(processors::count()) as f64)
    }

    pub(super) fn full_speed(&self, case: &Case, points: &mut Vec<SpeedPoint>) -> Result<(), Trouble> {
        let most = capacity_most(case, SPEED_MOST);
        let capacities = std::iter::successors(Some(1), |last| Some(last * self.factor));
        points.extend(
            capacities
                .take_while(|capacity| *capacity <= most)
                .map(|capacity| SpeedPoint { capacity, rate: Sample::default() }),
        );
        for _ in 0..self.rounds_of(points.len()) {
            for point in points.iter_mut() {
                self.step(format!("full speed, capacity {}", point.capacity))?;
                let run = self.run(&Case { capacity: point.capacity, rate: 0, pause: Duration::ZERO, ..*case })?;
                point.rate.add(run.rate);
            }
        }
        Ok(())
    }

    /// From the largest capacity down to where much of the load waits. Least first.
    pub(super) fn under_load(&self, case: &Case, points: &mut Vec<LoadPoint>) -> Result<(), Trouble> {
        let most = capacity_most(case, SPEED_MOST.max(2 * (case.burst as usize).next_power_of_two()));
        let mut capacity = most;
        while capacity >= 1 {
            self.step(format!("under load, capacity {capacity}"))?;
            let mut point = LoadPoint { capacity, waited: Sample::default(), delays: empty_histogram() };
            self.load(case, &mut point)?;
            let waited = point.waited.median();
            points.insert(0, point);
            if waited > ENOUGH_WAITED {
                break;
            }
            capacity /= self.factor;
        }
        self.progress.expect((self.rounds - 1) * points.len());
        for _ in 1..self.rounds {
            for point in points.iter_mut() {
                self.step(format!("under load, capacity {}", point.capacity))?;
                self.load(case, point)?;
            }
        }
        Ok(())
    }

    fn load(&self, case: &Case, point: &mut LoadPoint) -> Result<(), Trouble> {
        let run = self.run(&Case { capacity: point.capacity, ..*case })?;
        point.waited.add(run.waited());
        point.delays.add(&run.taken.delays).expect("the same bounds");
        Ok(())
    }

    /// Each layout that fits the load, at full speed and without work, which would hide what it costs. The first is what
    /// the others are compared with.
    pub(super) fn layouts(&self, case: &Case, figures: &mut Vec<LayoutFigure>) -> Result<(), Trouble> {
        let plain = Case { rate: 0, work: Duration::ZERO, pause: Duration::ZERO, ..*case };
        let mut cases = vec![Case { one: false, ..plain }];
        if plain.one {
            cases.push(plain);
        }
        let rounded = PLAIN_SIZES.into_iter().find(|size| *size >= case.size);
        if let Some(size) = rounded.filter(|_| case.kind == Kind::Queue) {
            cases.push(Case { layout: Layout::Plain, size, ..plain });
            if size >= 64 {
                cases.push(Case { layout: Layout::Line, size, ..plain });
            }
        }
        for batch in [8, 64].into_iter().filter(|batch| *batch <= case.capacity) {
            cases.push(Case { batch, ..plain });
        }
        figures.extend(cases.into_iter().map(|case| LayoutFigure { case, rate: Sample::default() }));
        for _ in 0..self.rounds_of(figures.len()) {
            for figure in figures.iter_mut() {
                self.step("layouts".into())?;
                figure.rate.add(self.run(&figure.case)?.rate);
            }
        }
        Ok(())
    }

    pub(super) fn waits(&self, case: &Case, figures: &mut Vec<WaitFigure>) -> Result<(), Trouble> {
        figures.extend(Wait::ALL.map(|wait| WaitFigure {
            wait,
            rate: Sample::default(),
            waited: Sample::default(),
            processor_time: Sample::default(),
            delays: empty_histogram(),
        }));
        for _ in 0..self.rounds_of(figures.len()) {
            for figure in figures.iter_mut() {
                self.step(format!("waiting: {}", figure.wait))?;
                let run = self.run(&Case { wait: figure.wait, ..*case })?;
                figure.rate.add(run.rate);
                figure.waited.add(run.waited());
                figure.processor_time.add(run.processor_time());
                figure.delays.add(&run.taken.delays).expect("the same bounds");
            }
        }
        Ok(())
    }
}

impl SpeedPoint {
    /// Of the round that was disturbed least.
    pub(super) fn best(&self) -> f64 {
        self.rate.greatest()
    }
}

/// In nanoseconds.
pub(super) fn quantile(delays: &Histogram<u64>, quantile: f64) -> f64 {
    delays.value_at_quantile(quantile) as f64
}
