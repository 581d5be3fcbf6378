//! Which figures there are: what is run for each, and the limit it is held against.

use std::time::Duration;

use super::Only;
use crate::interrupt::Interrupt;
use crate::measure::case::{Between, Case, Kind, Layout, Wait};
use crate::measure::limits::{COPIED, Limit};
use crate::measure::sample::Sample;
use crate::measure::{team, trip};
use crate::trouble::Trouble;

/// In what a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Messages a second.
    Throughput,
    /// Nanoseconds there and back.
    Trip,
}

#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) measure: Measure,
    /// What it is called beside others of its measure; the same between threads and between processes.
    pub(super) label: String,
    pub(super) case: Case,
    pub(super) limit: Limit,
    pub(super) sample: Sample,
}

fn throughput(label: &str, case: Case, limit: Limit) -> Figure {
    Figure { measure: Measure::Throughput, label: label.into(), case, limit, sample: Sample::default() }
}

/// All of them, in the order in which they are shown.
pub(super) fn all() -> Vec<Figure> {
    let mut figures = Vec::new();
    for between in [Between::Threads, Between::Processes] {
        let of = |kind| Case::new(kind, between);
        let many = of(Kind::Queue);
        let one = Case { one: true, ..many };
        let by_32 = |case: Case| Case { batch: 32, ..case };
        let crowd = |case: Case, producers, consumers| Case { producers, consumers, ..case };
        let words = Limit::stream(1, 1);
        let words_by_32 = Limit::stream(1, 32);
        figures.extend([
            throughput("queue for one, 1 to 1", one, words),
            throughput("queue for one, 1 to 1, by 32", by_32(one), words_by_32),
            throughput("queue, 1 to 1", many, words),
            throughput("queue, 1 to 1, by 32", by_32(many), words_by_32),
            throughput("queue, 4 to 4", crowd(many, 4, 4), words),
            throughput("queue, 4 to 4, by 32", by_32(crowd(many, 4, 4)), words_by_32),
            throughput(
                "queue for one, 1 to 1, 64 bytes",
                Case { size: 64, layout: Layout::Line, ..one },
                Limit::stream(8, 1),
            ),
            throughput(
                "queue, 1 to 1, 16 KiB",
                Case { size: COPIED, layout: Layout::Bytes, capacity: 64, ..many },
                Limit::Copy,
            ),
            throughput("broadcast, 1 to 1", of(Kind::Broadcast), words),
            throughput("broadcast, 1 to 1, by 32", by_32(of(Kind::Broadcast)), words_by_32),
            throughput("broadcast, 1 to 4", crowd(of(Kind::Broadcast), 1, 4), words),
            throughput("tasks, 1 to 1", of(Kind::Tasks), words),
            throughput("tasks, 4 to 4", crowd(of(Kind::Tasks), 4, 4), words),
        ]);
        for (wait, how, limit) in [(Wait::Spin, "spinning", Limit::Lines), (Wait::Park, "asleep", Limit::Futexes)] {
            for (label, case) in [
                ("queue for one", one),
                ("queue", many),
                ("broadcast", of(Kind::Broadcast)),
                ("tasks", of(Kind::Tasks)),
            ] {
                figures.push(Figure {
                    measure: Measure::Trip,
                    label: format!("{label}, {how}"),
                    case: Case { wait, capacity: 64, ..case },
                    limit,
                    sample: Sample::default(),
                });
            }
        }
    }
    figures
}

impl Figure {
    /// Whether it is among those that were asked for: for each sort of word, any of them, or none said.
    pub(super) fn is_among(&self, only: &[Only]) -> bool {
        let sorts: [&[(Only, bool)]; 3] = [
            &[
                (Only::Limits, false),
                (Only::Throughput, self.measure == Measure::Throughput),
                (Only::Latency, self.measure == Measure::Trip),
            ],
            &[
                (Only::Queue, self.case.kind == Kind::Queue),
                (Only::Broadcast, self.case.kind == Kind::Broadcast),
                (Only::Tasks, self.case.kind == Kind::Tasks),
            ],
            &[
                (Only::Threads, self.case.between == Between::Threads),
                (Only::Processes, self.case.between == Between::Processes),
            ],
        ];
        sorts.iter().all(|sort| {
            let mut named = sort.iter().filter(|(word, _)| only.contains(word)).peekable();
            named.peek().is_none() || named.any(|(_, fits)| *fits)
        })
    }

    /// One round.
    pub(super) fn run(&mut self, time: Duration, interrupt: &Interrupt) -> Result<(), Trouble> {
        let value = match self.measure {
            Measure::Throughput => team::run(&self.case, time, interrupt)?.rate,
            Measure::Trip => trip::measure(&self.case, time)?.value_at_quantile(0.5) as f64,
        };
        self.sample.add(value);
        Ok(())
    }

    /// Its best round as a share of the machine's best, or as a multiple: 1 is as good as can be. What else the machine
    /// does disturbs the best rounds least.
    pub(super) fn ratio(&self, limit: &Sample) -> f64 {
        match (self.measure, self.limit) {
            (Measure::Trip, _) => self.sample.least() / limit.least(),
            (_, Limit::Copy) => self.sample.greatest() * self.case.size as f64 / limit.greatest(),
            _ => self.sample.greatest() / limit.greatest(),
        }
    }
}
