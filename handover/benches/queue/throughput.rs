//! Messages a second and processor time for each message, in all cells.

use std::time::Duration;

use super::aims::{Aims, Bound};
use super::cases::{self, Between, CAPACITIES, Cell, Contender, Size};
use super::report::{Report, Table};
use super::settings::Settings;
use super::statistics::{Sample, geometric_mean, show};

const TOPOLOGIES: [(usize, usize); 5] = [(1, 1), (2, 2), (4, 4), (8, 1), (1, 8)];

const fn handover(between: Between, one: bool) -> Contender {
    Contender::Handover { between, one, batch: 1 }
}

const THREADS: Contender = handover(Between::Threads, false);
const PROCESSES: Contender = handover(Between::Processes, false);
const ONE_THREADS: Contender = handover(Between::Threads, true);
const ONE_PROCESSES: Contender = handover(Between::Processes, true);

const FOR_MANY: [Contender; 4] = [THREADS, PROCESSES, Contender::Crossbeam, Contender::Crossfire];
const FOR_ONE: [Contender; 4] = [ONE_THREADS, ONE_PROCESSES, Contender::Rtrb, Contender::CrossfireOne];

/// A contender in a cell, and what came out.
pub struct Measured {
    pub cell: Cell,
    pub contender: Contender,
    pub rate: Sample,
    pub cpu: Sample,
    messages: u64,
}

/// Runs everything, in rounds.
pub struct Measurements(pub Vec<Measured>);

/// In the first run, which only warms up and finds out how many messages the next is to have.
const FIRST: u64 = 100_000;

impl Measurements {
    pub fn of(settings: &Settings, runs: impl IntoIterator<Item = (Cell, Contender)>) -> Measurements {
        let (rate, cpu) = (Sample::default(), Sample::default());
        let make = |(cell, contender)| Measured {
            cell,
            contender,
            rate: rate.clone(),
            cpu: cpu.clone(),
            messages: settings.messages.unwrap_or(FIRST),
        };
        let included = runs.into_iter().filter(|(cell, _)| settings.includes_cell(cell));
        let mut all = Measurements(included.map(make).collect());
        for round in 0..=settings.rounds {
            for cell in all.0.chunk_by_mut(|a, b| a.cell == b.cell) {
                // Nobody is always first.
                let first = round % cell.len();
                cell.rotate_left(first);
                for run in cell.iter_mut() {
                    run.run(settings, round > 0);
                }
                cell.rotate_right(first);
            }
        }
        all
    }

    pub fn get(&self, cell: Cell, contender: Contender) -> &Measured {
        let found = self.0.iter().find(|run| (run.cell, run.contender) == (cell, contender));
        found.expect("every contender ran in every cell")
    }

    fn rate(&self, cell: Cell, contender: Contender) -> f64 {
        self.get(cell, contender).rate.median()
    }

    /// The better of the two that are to be beaten.
    fn field(&self, cell: Cell) -> f64 {
        self.rate(cell, Contender::Crossbeam).max(self.rate(cell, Contender::Crossfire))
    }
}

impl Measured {
    fn run(&mut self, settings: &Settings, counts: bool) {
        let outcome = cases::run(self.cell, self.contender, self.messages, settings.pin);
        if counts {
            self.rate.add(outcome.rate);
            self.cpu.add(outcome.cpu);
        }
        self.messages = settings.messages.unwrap_or(as_many_as_take(settings.run_time, outcome.rate));
    }
}

fn as_many_as_take(time: Duration, rate: f64) -> u64 {
    (time.as_secs_f64() * rate * 1e6) as u64 + 1000
}

pub fn measure(settings: &Settings, report: &mut Report, aims: &mut Aims) {
    let of_size = |size| {
        TOPOLOGIES.into_iter().flat_map(move |(producers, consumers)| {
            CAPACITIES.map(|capacity| Cell { size, producers, consumers, capacity })
        })
    };
    let all: Vec<Cell> = Size::ALL.into_iter().flat_map(of_size).filter(|cell| settings.includes_cell(cell)).collect();
    let runs = all.iter().flat_map(|cell| {
        let for_one: &[Contender] = if cell.is_one_to_one() { &FOR_ONE } else { &[] };
        FOR_MANY.iter().chain(for_one).map(|contender| (*cell, *contender))
    });
    let measured = Measurements::of(settings, runs);

    let one_to_one: Vec<Cell> = all.iter().copied().filter(Cell::is_one_to_one).collect();
    let mut tell = |table: fn(&Measurements, Size, &[Cell]) -> Table, cells: &[Cell]| {
        for size in Size::ALL {
            let cells: Vec<Cell> = cells.iter().copied().filter(|cell| cell.size == size).collect();
            if !cells.is_empty() {
                report.table(&table(&measured, size, &cells));
            }
        }
    };
    tell(rates, &all);
    tell(rates_of_one, &one_to_one);
    tell(cpu, &all);

    let ratios = |cells: &[Cell], ratio: &dyn Fn(Cell) -> f64| -> Vec<(String, f64)> {
        cells.iter().map(|cell| (cell.to_string(), ratio(*cell))).collect()
    };
    let rate = |cell, contender| measured.rate(cell, contender);
    let beats = "at least 1.2 times the better of crossbeam-channel and crossfire";
    for contender in [THREADS, PROCESSES] {
        let against_field = ratios(&all, &|cell| rate(cell, contender) / measured.field(cell));
        aims.ratios(format!("{contender}: {beats}"), Bound::AtLeast(1.2), &against_field);
    }
    for contender in [ONE_THREADS, ONE_PROCESSES] {
        let against_field = ratios(&one_to_one, &|cell| {
            rate(cell, contender) / measured.field(cell).max(rate(cell, Contender::CrossfireOne))
        });
        aims.ratios(format!("{contender}: {beats}, its spsc included"), Bound::AtLeast(1.2), &against_field);
        let against_rtrb = ratios(&one_to_one, &|cell| rate(cell, contender) / rate(cell, Contender::Rtrb));
        aims.ratios(format!("{contender}: at least the rate of rtrb"), Bound::AtLeast(1.0), &against_rtrb);
    }
    let as_threads = "processes within 10 % of threads";
    let many = ratios(&all, &|cell| rate(cell, PROCESSES) / rate(cell, THREADS));
    aims.ratios(as_threads, Bound::AtLeast(0.9), &many);
    let one = ratios(&one_to_one, &|cell| rate(cell, ONE_PROCESSES) / rate(cell, ONE_THREADS));
    aims.ratios(format!("{as_threads}, declared 1:1"), Bound::AtLeast(0.9), &one);
}

fn mean_of(cells: &[Cell], ratio: impl Fn(Cell) -> f64) -> String {
    show(geometric_mean(cells.iter().copied().map(ratio)))
}

fn rates(measured: &Measurements, size: Size, cells: &[Cell]) -> Table {
    let title = format!("Throughput, {size} messages, declared for many (million a second)");
    let mut table = Table::new(
        title,
        ["cell", "handover threads", "x field", "handover processes", "x field", "x threads", "crossbeam", "crossfire"],
    );
    let shown = |cell, contender| measured.get(cell, contender).rate.show();
    let threads = |cell| measured.rate(cell, THREADS) / measured.field(cell);
    let processes = |cell| measured.rate(cell, PROCESSES) / measured.field(cell);
    let against_threads = |cell| measured.rate(cell, PROCESSES) / measured.rate(cell, THREADS);
    for &cell in cells {
        table.row([
            cell.short(),
            shown(cell, THREADS),
            show(threads(cell)),
            shown(cell, PROCESSES),
            show(processes(cell)),
            show(against_threads(cell)),
            shown(cell, Contender::Crossbeam),
            shown(cell, Contender::Crossfire),
        ]);
    }
    let [threads, processes, against_threads] =
        [&threads as &dyn Fn(Cell) -> f64, &processes, &against_threads].map(|ratio| mean_of(cells, ratio));
    let empty = String::new;
    table.row(["geometric mean".into(), empty(), threads, empty(), processes, against_threads, empty(), empty()]);
    table
}

fn rates_of_one(measured: &Measurements, size: Size, cells: &[Cell]) -> Table {
    let title = format!("Throughput, {size} messages, declared for one producer and one consumer (million a second)");
    let head =
        ["cell", "handover threads", "x field", "x rtrb", "handover processes", "x field", "x rtrb", "rtrb, yielding"];
    let mut table = Table::new(title, head.into_iter().chain(["crossfire spsc"]));
    let to_field = |contender| move |cell| measured.rate(cell, contender) / measured.field(cell);
    let to_rtrb = |contender| move |cell| measured.rate(cell, contender) / measured.rate(cell, Contender::Rtrb);
    for &cell in cells {
        let mut row = vec![cell.short()];
        for contender in [ONE_THREADS, ONE_PROCESSES] {
            row.push(measured.get(cell, contender).rate.show());
            row.push(show(to_field(contender)(cell)));
            row.push(show(to_rtrb(contender)(cell)));
        }
        row.push(measured.get(cell, Contender::Rtrb).rate.show());
        row.push(measured.get(cell, Contender::CrossfireOne).rate.show());
        table.row(row);
    }
    let mut means = vec!["geometric mean".to_owned()];
    for contender in [ONE_THREADS, ONE_PROCESSES] {
        means.push(String::new());
        means.push(mean_of(cells, to_field(contender)));
        means.push(mean_of(cells, to_rtrb(contender)));
    }
    means.extend([String::new(), String::new()]);
    table.row(means);
    table
}

fn cpu(measured: &Measurements, size: Size, cells: &[Cell]) -> Table {
    let title = format!("Processor time, {size} messages (nanoseconds a message, all endpoints together)");
    let contenders = FOR_MANY.into_iter().chain(FOR_ONE);
    let head = std::iter::once("cell".to_owned()).chain(contenders.clone().map(|contender| contender.to_string()));
    let mut table = Table::new(title, head);
    for &cell in cells {
        let mut row = vec![cell.short()];
        row.extend(contenders.clone().map(|contender| {
            let runs = cell.is_one_to_one() || FOR_MANY.contains(&contender);
            if runs { show(measured.get(cell, contender).cpu.median()) } else { String::new() }
        }));
        table.row(row);
    }
    table
}
