//! `handover bench`: this machine's figures, next to what the machine itself can do, measured in the same run.

mod figures;
mod report;

use std::time::Duration;

use clap::{Args, ValueEnum};

use self::figures::{Figure, Measure};
use crate::interrupt::Interrupt;
use crate::measure::limits::Limit;
use crate::measure::sample::Sample;
use crate::plot::Picture;
use crate::progress::Progress;
use crate::system::processors;
use crate::trouble::Trouble;

#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// A few seconds: shorter rounds, and fewer.
    #[arg(long)]
    quick: bool,
    /// Only these figures, and the limits that they are held against.
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    only: Vec<Only>,
    /// As JSON: rates in messages a second, times in nanoseconds.
    #[arg(long)]
    json: bool,
    /// A picture of all figures.
    #[arg(long, value_name = "FILE.svg|png")]
    plot: Option<Picture>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    Limits,
    Throughput,
    Latency,
    Queue,
    Broadcast,
    Tasks,
    Threads,
    Processes,
}

pub(crate) const EXAMPLE: &str = "\
Messages a second, singly and by 32, one to one and many to many, and round trips, spinning and asleep, between threads
and between processes, of queues, broadcasts and task queues. Each figure is the median of rounds that take turns, with
the least and the greatest; its best round is held against the best that the machine itself can do.

Examples:
  handover bench
  handover bench --quick --only latency
  handover bench --only queue,processes --plot figures.svg
  handover bench --json > figures.json";

/// How often, and for how long, everything is run.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    count: usize,
    throughput: Duration,
    trip: Duration,
}

const USUAL: Rounds = Rounds { count: 5, throughput: Duration::from_millis(80), trip: Duration::from_millis(50) };
const QUICK: Rounds = Rounds { count: 2, throughput: Duration::from_millis(20), trip: Duration::from_millis(15) };

/// How often a limit is measured in each round.
const LIMIT_RUNS: usize = 3;

/// All that is measured, and what came of it so far.
struct Measured {
    limits: Vec<(Limit, Sample)>,
    figures: Vec<Figure>,
    rounds: usize,
    complete: bool,
}

impl Measured {
    fn planned(wanted: &Bench, rounds: Rounds) -> Measured {
        let figures: Vec<Figure> = figures::all().into_iter().filter(|figure| figure.is_among(&wanted.only)).collect();
        // One processor hands nothing over to another.
        let possible = |limit: &Limit| !limit.takes_two() || processors::count() > 1;
        let needed = |limit: &Limit| wanted.only.contains(&Only::Limits) || figures.iter().any(|f| f.limit == *limit);
        let limits = Limit::ALL.into_iter().filter(|limit| possible(limit) && needed(limit));
        let limits = limits.map(|limit| (limit, Sample::default())).collect();
        Measured { limits, figures, rounds: rounds.count, complete: false }
    }

    /// In rounds, so that what disturbs the machine for a while does not fall on one figure alone.
    fn measure(&mut self, rounds: Rounds, interrupt: &Interrupt) -> Result<(), Trouble> {
        let progress = Progress::new(rounds.count * (self.limits.len() + self.figures.len()));
        for _ in 0..rounds.count {
            for (limit, sample) in &mut self.limits {
                progress.on(limit.name());
                // More often: it is the best that counts.
                for _ in 0..LIMIT_RUNS {
                    sample.add(limit.measure(rounds.trip / 2)?);
                }
                progress.step();
                asked(interrupt)?;
            }
            for figure in &mut self.figures {
                progress.on(format!("{}, between {}", figure.label, figure.case.between));
                let time = if figure.measure == Measure::Trip { rounds.trip } else { rounds.throughput };
                figure.run(time, interrupt)?;
                progress.step();
                asked(interrupt)?;
            }
        }
        self.complete = true;
        Ok(())
    }

    fn limit(&self, wanted: Limit) -> Option<&Sample> {
        let found = self.limits.iter().find(|(limit, sample)| *limit == wanted && !sample.is_empty());
        found.map(|(_, sample)| sample)
    }

    /// Of a figure and its limit, both measured.
    fn ratio(&self, figure: &Figure) -> Option<f64> {
        let limit = self.limit(figure.limit)?;
        (!figure.sample.is_empty()).then(|| figure.ratio(limit))
    }

    /// How many figures there are of which more than one round was measured, and in how many of them the rounds lie
    /// further apart than half of what they show.
    fn unsteady(&self) -> (usize, usize) {
        let samples = self.limits.iter().map(|(_, sample)| sample).chain(self.figures.iter().map(|f| &f.sample));
        let spreads: Vec<f64> = samples.filter_map(Sample::spread).collect();
        (spreads.iter().filter(|spread| **spread > 0.5).count(), spreads.len())
    }

    fn is_noisy(&self) -> bool {
        let (unsteady, all) = self.unsteady();
        3 * unsteady > all
    }
}

fn asked(interrupt: &Interrupt) -> Result<(), Trouble> {
    if interrupt.asked() { Err(Trouble::Interrupted(SO_FAR)) } else { Ok(()) }
}

const SO_FAR: &str = "what was measured so far stands above, and nothing is left behind";

pub(crate) fn bench(wanted: &Bench) -> Result<(), Trouble> {
    if let Some(picture) = &wanted.plot {
        picture.check()?;
    }
    let interrupt = Interrupt::listen()?;
    let rounds = if wanted.quick { QUICK } else { USUAL };
    let mut measured = Measured::planned(wanted, rounds);
    let ended = measured.measure(rounds, &interrupt);
    match ended {
        Ok(()) => {}
        Err(Trouble::Interrupted(_)) => {}
        Err(trouble) => return Err(trouble),
    }
    report::print(&measured, wanted.json)?;
    if let Some(picture) = &wanted.plot {
        let dots = report::picture(&measured);
        picture.draw(dots.size(), |page| dots.draw(page))?;
    }
    if measured.complete { Ok(()) } else { Err(Trouble::Interrupted(SO_FAR)) }
}
