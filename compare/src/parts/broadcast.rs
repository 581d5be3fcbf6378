//! Every message to every receiver: how fast, how soon, and what receivers cost that do nothing.

use crate::contenders::{Contender as C, Entry};
use crate::document::Document;
use crate::parts::throughput::{ratios, stream};
use crate::parts::{is_broadcast, latency, note, placed, plans_for};
use crate::plan::{Cell, Size, Work};
use crate::plots::{self, Bar, Panel};
use crate::runs::{Measured, Results};
use crate::settings::Settings;
use crate::shared::aims::Bound;
use crate::shared::report::Table;
use crate::shared::statistics::{Sample, show};

const RECEIVERS: [usize; 3] = [1, 2, 8];

/// Single messages, and batches of so many.
const BATCHES: [usize; 2] = [1, 64];

/// All of it.
pub fn measure(settings: &Settings, document: &mut Document) {
    streams(settings, document);
    idle_readers(settings, document);
    latency::of_broadcasts(settings, document);
}

fn streams(settings: &Settings, document: &mut Document) {
    let all = [Size::Word, Size::Line].into_iter().flat_map(|size| {
        RECEIVERS.into_iter().flat_map(move |consumers| {
            size.capacities().iter().map(move |&capacity| Cell { size, producers: 1, consumers, capacity })
        })
    });
    let cells: Vec<Cell> = all.filter(|cell| settings.includes_cell(cell)).collect();
    let wanted = |entry: &Entry| is_broadcast(entry) && !entry.waits_otherwise();
    let plans = |cell: &Cell| -> Vec<_> {
        let pins = settings.pins_for(cell.size);
        // Where each end has a processor of its own.
        let pins = if cell.is_one_to_one() { pins } else { &pins[..1] };
        let of = |batch| plans_for(settings, *cell, stream(cell.size), batch, pins, wanted);
        let mut plans: Vec<_> = BATCHES.into_iter().flat_map(of).collect();
        plans.sort_by_key(|plan| plan.pin);
        plans
    };
    let results = Results::of(settings, "broadcast", cells.iter().flat_map(plans).collect());
    if results.0.is_empty() {
        return;
    }
    for &pin in settings.pins {
        for processes in [false, true] {
            let of_kind = |entry: &&Entry| entry.processes == processes;
            let entries: Vec<&Entry> = results.entries().into_iter().filter(of_kind).collect();
            let cells: Vec<Cell> = cells.iter().copied().filter(|cell| results.has(*cell, pin)).collect();
            if entries.is_empty() || cells.is_empty() {
                continue;
            }
            table(&results, document, &entries, &cells, pin);
            for batch in BATCHES {
                plot(&results, document, &entries, &cells, (batch, pin));
            }
        }
        let one: Vec<Cell> = cells.iter().copied().filter(Cell::is_one_to_one).collect();
        for (ours, theirs) in [(C::AllThreads, C::DisruptorAll), (C::AllProcesses, C::DisruptorMpAll)] {
            let to_peer = ratios(&one, |cell| {
                Some(results.rate(ours, cell, BATCHES[1], pin)? / results.rate(theirs, cell, BATCHES[1], pin)?)
            });
            let (ours, peer) = (ours.entry().between(), theirs.entry().name);
            let what = format!("broadcast 1 to 1, {ours}, {}: batches of 64 at least as fast as {peer}", placed(pin));
            document.aims.ratios(what, Bound::AtLeast(1.0), &to_peer);
        }
    }
    note(&mut document.report, &results);
}

fn table(results: &Results, document: &mut Document, entries: &[&Entry], cells: &[Cell], pin: bool) {
    let title = format!(
        "Broadcast between {}, {} (million messages a second to each receiver; what it missed of single messages)",
        entries[0].between(),
        placed(pin)
    );
    let columns = entries.iter().flat_map(|entry| [entry.name.to_owned(), "missed".into(), "batches of 64".into()]);
    let mut table = Table::new(title, std::iter::once("cell".to_owned()).chain(columns));
    for &cell in cells {
        let figures = entries.iter().flat_map(|entry| {
            let rate = |batch| results.show(entry.contender, (cell, batch, pin), |one| one.rate_to_each().show());
            let share = |one: &Measured| format!("{:.0} %", 100.0 * one.missed().median());
            let missed = results.show(entry.contender, (cell, 1, pin), share);
            [rate(1), missed, rate(BATCHES[1])]
        });
        table.row(std::iter::once(cell.to_string()).chain(figures));
    }
    document.report.table(&table);
}

fn plot(results: &Results, document: &mut Document, entries: &[&Entry], cells: &[Cell], (batch, pin): (usize, bool)) {
    let bar = |entry: &&Entry, cell: Cell| {
        let rate = results.get(entry.contender, cell, batch, pin)?.rate_to_each();
        Some(Bar { middle: rate.median(), least: rate.least(), greatest: rate.greatest() })
    };
    let panel = |(size, consumers): (Size, usize)| {
        let of_it = cells.iter().filter(|cell| (cell.size, cell.consumers) == (size, consumers));
        let group = |cell: &Cell| {
            (format!("capacity {}", cell.capacity), entries.iter().map(|entry| bar(entry, *cell)).collect())
        };
        let groups: Vec<_> = of_it.map(group).collect();
        (!groups.is_empty()).then(|| Panel { title: format!("{size}, 1 to {consumers}"), groups })
    };
    let panels = [Size::Word, Size::Line].into_iter().flat_map(|size| RECEIVERS.map(|receivers| (size, receivers)));
    let panels: Vec<Panel> = panels.filter_map(panel).collect();
    let (between, how) = (entries[0].between(), if batch == 1 { "single messages" } else { "batches of 64" });
    let title = format!("Broadcast between {between}, {how}, {}", placed(pin));
    let kind = if batch == 1 { "singles" } else { "batches" };
    let file = format!("broadcast-{between}-{kind}{}", if pin { "-pinned" } else { "" });
    let series: Vec<String> = entries.iter().map(|entry| entry.name.to_owned()).collect();
    document.plot(&file, &title, plots::bars(&title, "million messages a second to each", &series, &panels));
}

/// What it costs to publish while receivers are there that never look. Only those whose writer does not wait for them; where
/// they live makes no difference to ours, whose messages lie in shared memory between threads, too.
fn idle_readers(settings: &Settings, document: &mut Document) {
    let cells = [1, 64].map(|consumers| Cell { size: Size::Word, producers: 1, consumers, capacity: 1024 });
    let wanted = |entry: &Entry| matches!(entry.contender, C::AllThreadsOrdinary | C::Tokio);
    let work = Work::Alone { messages: 200_000 };
    let included = cells.iter().filter(|cell| settings.includes_cell(cell));
    let plans = included.flat_map(|cell| plans_for(settings, *cell, work, 1, &[false], wanted)).collect();
    let results = Results::of(settings, "publishing to idle readers", plans);
    if results.0.is_empty() {
        return;
    }
    let title = "To publish a u64 while nobody looks, capacity 1024 (nanoseconds)";
    let mut table = Table::new(title, ["contender", "1 receiver", "64 receivers"]);
    let took = |contender: C, cell: Cell| {
        let mut sample = Sample::default();
        for run in &results.get(contender, cell, 1, false)?.runs {
            let (time, messages) = run[0].pairs[0];
            sample.add(time as f64 / messages as f64);
        }
        Some(sample)
    };
    for entry in results.entries() {
        let shown = cells.map(|cell| took(entry.contender, cell).map_or("-".into(), |sample| sample.show()));
        table.row(std::iter::once(entry.full_name()).chain(shown));
    }
    document.report.table(&table);
    if let [Some(one), Some(many)] = cells.map(|cell| took(C::AllThreadsOrdinary, cell)) {
        let [one, many] = [one.median(), many.median()];
        let figures = format!("{} ns with 1, {} ns with 64", show(one), show(many));
        let what = "broadcast: to publish costs no more with 64 ordinary readers than with one (within 10 %)";
        document.aims.single(what, Bound::AtMost(1.1), many / one, figures);
    }
    note(&mut document.report, &results);
}
