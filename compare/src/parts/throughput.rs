//! Messages a second and processor time for each message: single messages, batches, more threads than processors, tasks; and
//! who gets how much of it.

use crate::contenders::{Contender as C, Entry, Shape, Side, Waits};
use crate::document::Document;
use crate::parts::{is_queue, note, placed, plans_for};
use crate::plan::{Cell, Size, Work};
use crate::plots::{self, Bar, Panel};
use crate::runs::{Measured, Results, first};
use crate::settings::Settings;
use crate::shared::aims::{Aims, Bound};
use crate::shared::report::Table;
use crate::shared::statistics::{geometric_mean, show};

const TOPOLOGIES: [(usize, usize); 5] = [(1, 1), (2, 2), (4, 4), (8, 1), (1, 8)];

/// As fast as they go.
pub fn stream(size: Size) -> Work {
    Work::Stream { messages: first(size) }
}

fn cells_of(size: Size) -> impl Iterator<Item = Cell> {
    TOPOLOGIES.into_iter().flat_map(move |(producers, consumers)| {
        size.capacities().iter().map(move |&capacity| Cell { size, producers, consumers, capacity })
    })
}

/// The peers between threads that block, whatever they are declared for: the field.
fn in_field(entry: &Entry) -> bool {
    entry.side == Side::Peer && entry.waits == Waits::Blocks && !entry.processes
}

/// The best of the field there, and its rate.
fn best_peer(results: &Results, cell: Cell, pin: bool) -> Option<(&'static str, f64)> {
    let rates = results.0.iter().filter(|one| {
        let plan = &one.plan;
        one.ran() && in_field(plan.entry) && (plan.cell, plan.batch, plan.pin) == (cell, 1, pin)
    });
    rates.map(|one| (one.plan.entry.name, one.rate().median())).max_by(|a, b| a.1.total_cmp(&b.1))
}

/// A ratio for each cell that has both figures.
pub fn ratios(cells: &[Cell], ratio: impl Fn(Cell) -> Option<f64>) -> Vec<(String, f64)> {
    cells.iter().filter_map(|cell| Some((cell.to_string(), ratio(*cell)?))).collect()
}

fn with_mean(aims: &mut Aims, what: &str, least: f64, mean: f64, cells: &[(String, f64)]) {
    aims.ratios(format!("{what}: at least {least} times, in every cell"), Bound::AtLeast(least), cells);
    if !cells.is_empty() {
        let value = geometric_mean(cells.iter().map(|cell| cell.1));
        let figures = format!("geometric mean {}", show(value));
        aims.single(
            format!("{what}: at least {mean} times in the geometric mean"),
            Bound::AtLeast(mean),
            value,
            figures,
        );
    }
}

/// All cells.
pub fn measure(settings: &Settings, document: &mut Document) {
    let cells: Vec<Cell> =
        Size::ALL.into_iter().flat_map(cells_of).filter(|cell| settings.includes_cell(cell)).collect();
    // The other ways to wait are for latency.
    let wanted = |entry: &Entry| {
        is_queue(entry) && (entry.side != Side::Ours || entry.waits == Waits::Blocks && !entry.name.ends_with("Park"))
    };
    let plans = |cell: &Cell| plans_for(settings, *cell, stream(cell.size), 1, settings.pins_for(cell.size), wanted);
    let results = Results::of(settings, "throughput", cells.iter().flat_map(plans).collect());
    if results.0.is_empty() {
        return;
    }
    for &pin in settings.pins {
        for processes in [false, true] {
            for size in Size::ALL {
                let cells: Vec<Cell> = cells.iter().copied().filter(|cell| cell.size == size).collect();
                tables(&results, document, size, &cells, processes, pin);
            }
        }
    }
    note(&mut document.report, &results);
    for &pin in settings.pins {
        aims(&results, &mut document.aims, &cells, pin);
    }
}

fn tables(results: &Results, document: &mut Document, size: Size, cells: &[Cell], processes: bool, pin: bool) {
    let entries: Vec<&Entry> = results.entries().into_iter().filter(|entry| entry.processes == processes).collect();
    let there = |entry: &&&Entry| cells.iter().any(|cell| results.get(entry.contender, *cell, 1, pin).is_some());
    let entries: Vec<&Entry> = entries.iter().filter(there).copied().collect();
    if entries.is_empty() {
        return;
    }
    let between = if processes { "processes" } else { "threads" };
    let title = format!("Throughput between {between}, {size}, {} (million messages a second)", placed(pin));
    let names = entries.iter().map(|entry| entry.name.to_owned());
    let best = (!processes).then(|| "x best blocking peer".to_owned());
    let mut table = Table::new(&title, std::iter::once("cell".to_owned()).chain(best).chain(names.clone()));
    let ours = |cell| results.rate(if processes { C::Processes } else { C::Threads }, cell, 1, pin);
    for &cell in cells {
        let mut row = vec![cell.short()];
        if !processes {
            let ratio = ours(cell).zip(best_peer(results, cell, pin));
            row.push(ratio.map_or(String::new(), |(ours, (name, best))| format!("{} ({name})", show(ours / best))));
        }
        row.extend(entries.iter().map(|entry| results.show(entry.contender, (cell, 1, pin), |one| one.rate().show())));
        table.row(row);
    }
    document.report.table(&table);

    let title_of_cpu = format!(
        "Processor time between {between}, {size}, {} (nanoseconds a message, all endpoints together)",
        placed(pin)
    );
    let mut table = Table::new(title_of_cpu, std::iter::once("cell".to_owned()).chain(names.clone()));
    for &cell in cells {
        let cpu = |entry: &&Entry| results.show(entry.contender, (cell, 1, pin), |one| show(one.cpu().median()));
        table.row(std::iter::once(cell.short()).chain(entries.iter().map(cpu)));
    }
    document.report.table(&table);

    let bar = |entry: &&Entry, cell: Cell| {
        let rate = results.get(entry.contender, cell, 1, pin)?.rate();
        Some(Bar { middle: rate.median(), least: rate.least(), greatest: rate.greatest() })
    };
    let panel = |(producers, consumers): (usize, usize)| {
        let of_it = cells.iter().filter(|cell| (cell.producers, cell.consumers) == (producers, consumers));
        let group = |cell: &Cell| {
            (format!("capacity {}", cell.capacity), entries.iter().map(|entry| bar(entry, *cell)).collect())
        };
        let groups: Vec<_> = of_it.map(group).collect();
        let title = format!("{producers} producers, {consumers} consumers");
        (!groups.is_empty()).then(|| Panel {
            title: title.replace("1 producers", "1 producer").replace("1 consumers", "1 consumer"),
            groups,
        })
    };
    let panels: Vec<Panel> = TOPOLOGIES.into_iter().filter_map(panel).collect();
    let file = format!("throughput-{between}-{size}{}", if pin { "-pinned" } else { "" }).replace(' ', "");
    let series: Vec<String> = names.collect();
    document.plot(&file, &title, plots::bars(&title, "million messages a second", &series, &panels));
}

fn aims(results: &Results, aims: &mut Aims, cells: &[Cell], pin: bool) {
    let rate = |contender, cell| results.rate(contender, cell, 1, pin);
    let how = placed(pin);
    let small: Vec<Cell> = cells.iter().copied().filter(|cell| cell.size <= Size::Line).collect();
    let one: Vec<Cell> = small.iter().copied().filter(Cell::is_one_to_one).collect();
    let to_field = ratios(&small, |cell| Some(rate(C::Threads, cell)? / best_peer(results, cell, pin)?.1));
    with_mean(aims, &format!("many to many, threads, {how}, against the best blocking peer"), 1.2, 1.5, &to_field);
    let to_threads = ratios(&small, |cell| Some(rate(C::Processes, cell)? / rate(C::Threads, cell)?));
    aims.ratios(format!("many to many, {how}: processes within 10 % of threads"), Bound::AtLeast(0.9), &to_threads);
    for peer in [C::Iceoryx, C::Cloudtoid] {
        let to_peer = ratios(&small, |cell| Some(rate(C::Processes, cell)? / rate(peer, cell)?));
        let what = format!("many to many, processes, {how}: at least 20 times {}", peer.entry().name);
        aims.ratios(what, Bound::AtLeast(20.0), &to_peer);
    }
    for (peer, least) in [(C::Rtrb, 1.2), (C::Disruptor, 0.9)] {
        for ours in [C::OneThreads, C::OneProcesses] {
            let to_peer = ratios(&one, |cell| Some(rate(ours, cell)? / rate(peer, cell)?));
            let what =
                format!("one to one, {}, {how}: at least {least} times {}", ours.entry().between(), peer.entry().name);
            aims.ratios(what, Bound::AtLeast(least), &to_peer);
        }
    }
    let safety = ratios(&small, |cell| Some(rate(C::SegmentThreads, cell)? / rate(C::Threads, cell)?));
    if !safety.is_empty() {
        let mean = geometric_mean(safety.iter().map(|cell| cell.1));
        let what = format!("crash safety, {how}: costs at most 5 %, in the geometric mean of the cells");
        let worst = safety.iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("cells");
        let figures = format!("{} of the rate without records; worst {} ({})", show(mean), show(worst.1), worst.0);
        aims.single(what, Bound::AtLeast(0.95), mean, figures);
    }
}

/// Batches next to single messages, and next to what a machine can stream.
pub fn batches(settings: &Settings, document: &mut Document) {
    let shapes = [(1, 1), (2, 2)];
    let sizes = [Size::Word, Size::Line];
    let all = sizes.into_iter().flat_map(|size| {
        shapes.into_iter().flat_map(move |(producers, consumers)| {
            size.capacities().iter().map(move |&capacity| Cell { size, producers, consumers, capacity })
        })
    });
    let cells: Vec<Cell> = all.filter(|cell| settings.includes_cell(cell)).collect();
    const SIZES: [usize; 3] = [1, 32, 64];
    let wanted = |entry: &Entry| {
        matches!(
            entry.contender,
            C::Threads | C::Processes | C::OneThreads | C::OneProcesses | C::Rtrb | C::Disruptor | C::Stream
        )
    };
    let plans = |cell: &Cell| -> Vec<_> {
        let of = |batch| plans_for(settings, *cell, stream(cell.size), batch, settings.pins_for(cell.size), wanted);
        let mut plans: Vec<_> = SIZES.into_iter().flat_map(of).collect();
        plans.sort_by_key(|plan| plan.pin);
        plans
    };
    let results = Results::of(settings, "batches", cells.iter().flat_map(plans).collect());
    if results.0.is_empty() {
        return;
    }
    for &pin in settings.pins {
        let cells: Vec<Cell> = cells.iter().copied().filter(|cell| results.has(*cell, pin)).collect();
        if cells.is_empty() {
            continue;
        }
        let title = format!("Batches, {} (million messages a second)", placed(pin));
        let entries = results.entries();
        let columns = entries
            .iter()
            .flat_map(|entry| SIZES.map(|batch| if batch == 1 { entry.full_name() } else { format!("of {batch}") }));
        let mut table = Table::new(title, std::iter::once("cell".to_owned()).chain(columns));
        for &cell in &cells {
            let figures = entries.iter().flat_map(|entry| {
                SIZES.map(|batch| results.show(entry.contender, (cell, batch, pin), |one| one.rate().show()))
            });
            table.row(std::iter::once(cell.to_string()).chain(figures));
        }
        document.report.table(&table);
        for ours in [C::Threads, C::Processes] {
            let to_single =
                ratios(&cells, |cell| Some(results.rate(ours, cell, 32, pin)? / results.rate(ours, cell, 1, pin)?));
            let name = ours.entry().full_name();
            let what = format!("{name}, {}: batches of 32 at least 2.5 times single messages", placed(pin));
            document.aims.ratios(what, Bound::AtLeast(2.5), &to_single);
        }
        for ours in [C::OneThreads, C::OneProcesses] {
            let to_stream = ratios(&cells, |cell| {
                Some(results.rate(ours, cell, 64, pin)? / results.rate(C::Stream, cell, 64, pin)?)
            });
            let name = ours.entry().full_name();
            let what = format!("{name}, {}: batches of 64 at least 0.8 times the raw stream", placed(pin));
            document.aims.ratios(what, Bound::AtLeast(0.8), &to_stream);
        }
    }
    note(&mut document.report, &results);
}

/// How evenly one side's endpoints are served.
pub fn fairness(settings: &Settings, document: &mut Document) {
    let cell = |producers, consumers| Cell { size: Size::Word, producers, consumers, capacity: 1024 };
    let cells = [cell(8, 1), cell(1, 8)].into_iter().filter(|cell| settings.includes_cell(cell));
    let work = Work::Fair { time: settings.fair_time.as_nanos() as u64 };
    // Who is pinned is served as its processor is shared; that says little about the queue.
    let pins = &settings.pins[..1];
    let wanted = |entry: &Entry| is_queue(entry) && entry.shape != Shape::One && !entry.name.contains(", ");
    let plans: Vec<_> = cells.flat_map(|cell| plans_for(settings, cell, work, 1, pins, wanted)).collect();
    let results = Results::of(settings, "fairness", plans);
    if results.0.is_empty() {
        return;
    }
    let seconds = settings.fair_time.as_secs_f64();
    for &pin in pins {
        let title = format!(
            "Fairness, u64, capacity 1024, {} (the slowest's share of the fastest's, in {seconds} s)",
            placed(pin)
        );
        let mut table = Table::new(title, ["contender", "8 producers", "8 consumers"]);
        for entry in results.entries() {
            let shown = |cell| results.show(entry.contender, (cell, 1, pin), |one| one.fairness().show());
            table.row([entry.full_name(), shown(cell(8, 1)), shown(cell(1, 8))]);
        }
        document.report.table(&table);
        let of = |contender: C| {
            let shares = results.get(contender, cell(8, 1), 1, pin)?.fairness();
            Some((contender.entry().full_name(), shares.median()))
        };
        let shares: Vec<(String, f64)> = [C::Threads, C::Processes].into_iter().filter_map(of).collect();
        let what = format!("fairness, {}: the slowest of 8 producers gets at least half of the fastest's", placed(pin));
        document.aims.ratios(what, Bound::AtLeast(0.5), &shares);
    }
    note(&mut document.report, &results);
}

/// Far more endpoints than processors.
pub fn crowd(settings: &Settings, document: &mut Document) {
    let cells = [(8, 8), (32, 32)].map(|(producers, consumers)| Cell {
        size: Size::Word,
        producers,
        consumers,
        capacity: 1024,
    });
    let cells: Vec<Cell> = cells.into_iter().filter(|cell| settings.includes_cell(cell)).collect();
    let wanted = |entry: &Entry| is_queue(entry) && entry.shape == Shape::Many && !entry.name.contains(", ");
    let plans =
        cells.iter().flat_map(|cell| plans_for(settings, *cell, stream(cell.size), 1, &[false], wanted)).collect();
    let results = Results::of(settings, "more threads than processors", plans);
    if results.0.is_empty() {
        return;
    }
    let columns = cells.iter().flat_map(|cell| [cell.short(), "ns a message".into()]);
    let mut table = Table::new(
        "More threads than processors, u64 (million messages a second; processor time)",
        std::iter::once("contender".to_owned()).chain(columns),
    );
    for entry in results.entries() {
        let figures = cells.iter().flat_map(|cell| {
            let shown = |figure: fn(&Measured) -> String| results.show(entry.contender, (*cell, 1, false), figure);
            [shown(|one| one.rate().show()), shown(|one| show(one.cpu().median()))]
        });
        table.row(std::iter::once(entry.full_name()).chain(figures));
    }
    document.report.table(&table);
    note(&mut document.report, &results);
}

/// What is used to hand out tasks of 64 bytes; and Handover's queue, which knows no leases.
pub fn tasks(settings: &Settings, document: &mut Document) {
    let cells = [(1, 1), (2, 2), (4, 4)].map(|(producers, consumers)| Cell {
        size: Size::Line,
        producers,
        consumers,
        capacity: 1024,
    });
    let cells: Vec<Cell> = cells.into_iter().filter(|cell| settings.includes_cell(cell)).collect();
    let wanted = |entry: &Entry| {
        entry.side == Side::Broker || matches!(entry.contender, C::Semaphores | C::Processes | C::Boost | C::Mq)
    };
    let plans =
        cells.iter().flat_map(|cell| plans_for(settings, *cell, stream(cell.size), 1, &[false], wanted)).collect();
    let results = Results::of(settings, "tasks", plans);
    if results.0.is_empty() {
        return;
    }
    let mut table = Table::new(
        "Tasks of 64 bytes between processes (million tasks a second)",
        std::iter::once("contender".to_owned()).chain(cells.iter().map(Cell::short)),
    );
    for entry in results.entries() {
        let name = if entry.contender == C::Processes { "handover's queue".into() } else { entry.name.to_owned() };
        let figures =
            cells.iter().map(|cell| results.show(entry.contender, (*cell, 1, false), |one| one.rate().show()));
        table.row(std::iter::once(name).chain(figures));
    }
    document.report.table(&table);
    let rate = |contender, cell| results.rate(contender, cell, 1, false);
    let to_semaphores = ratios(&cells, |cell| Some(rate(C::Tasks, cell)? / rate(C::Semaphores, cell)?));
    if let Some((cell, worst)) = to_semaphores.iter().min_by(|a, b| a.1.total_cmp(&b.1)) {
        let what = "tasks of 64 bytes: at least 20 times the three semaphores";
        document.aims.single(what, Bound::AtLeast(20.0), *worst, format!("{}, worst ({cell})", show(*worst)));
    }
    let alone = cells.first().and_then(|cell| rate(C::Tasks, *cell));
    if let Some((alone, cell)) = alone.zip(cells.first()) {
        let what = "tasks of 64 bytes, one submitter and one worker: at least 10 million a second";
        document.aims.single(what, Bound::AtLeast(10.0), alone, format!("{} ({cell})", show(alone)));
        let of_alone = ratios(&cells[1..], |cell| Some(rate(C::Tasks, cell)? / alone));
        if let Some((cell, worst)) = of_alone.iter().min_by(|a, b| a.1.total_cmp(&b.1)) {
            let what = "tasks of 64 bytes, two and two, four and four: at least half of one and one";
            document.aims.single(what, Bound::AtLeast(0.5), *worst, format!("{}, worst ({cell})", show(*worst)));
        }
    }
    note(&mut document.report, &results);
}
