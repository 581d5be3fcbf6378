//! What queues cost beside their messages: idling, starting, memory, recovery. And what the machine can do.

use crate::contenders::{Entry, Side, Waits};
use crate::document::Document;
use crate::parts::{is_queue, note, plans_for};
use crate::plan::{Cell, Size, Work};
use crate::queues::limits;
use crate::runs::Results;
use crate::settings::Settings;
use crate::shared::aims::Bound;
use crate::shared::recovery as killing;
use crate::shared::report::Table;
use crate::shared::statistics::{Sample, show};

/// Of one processor. What takes two is measured in latency (trips) and batches (the raw stream), beside the queues.
pub fn limits(document: &mut Document) {
    let mut samples = [Sample::default(), Sample::default(), Sample::default()];
    for _ in 0..5 {
        for (sample, value) in samples.iter_mut().zip(limits::uncontended()) {
            sample.add(value);
        }
    }
    let mut table =
        Table::new("What one processor takes, on a word that nobody else wants (nanoseconds)", ["what", "takes"]);
    let names = ["a load and a compare-and-swap", "an exchange", "a release store"];
    for (name, sample) in names.into_iter().zip(&samples) {
        table.row([name.to_owned(), sample.show()]);
    }
    document.report.table(&table);
    document.report.text(
        "What two processors take stands beside the queues: the trip of two cache lines and the ping-pong of two futexes among \
         the round trips, the raw stream among the batches.",
    );
}

/// A blocked receiver, and nobody who sends.
pub fn idle(settings: &Settings, document: &mut Document) {
    let cell = Cell { size: Size::Word, producers: 1, consumers: 1, capacity: 1024 };
    let work = Work::Idle { time: 1_000_000_000 };
    let wanted = |entry: &Entry| is_queue(entry) && entry.waits == Waits::Blocks;
    let results = Results::of(settings, "idling", plans_for(settings, cell, work, 1, &[false], wanted));
    if results.0.is_empty() {
        return;
    }
    let title =
        "A blocked receiver in an idle second (microseconds of processor time, the spinning before it sleeps included)";
    let mut table = Table::new(title, ["contender", "used"]);
    for one in results.0.iter().filter(|one| one.ran()) {
        let share = one.share_of(1);
        let mut used = Sample::default();
        one.runs.iter().for_each(|run| used.add(run[1].effort.cpu as f64 / 1000.0));
        table.row([one.plan.entry.full_name(), used.show()]);
        if one.plan.entry.side == Side::Ours {
            let what =
                format!("idle, {}: no processor time that can be measured (under 0.1 %)", one.plan.entry.full_name());
            let figures = format!("{:.3} %", 100.0 * share.median());
            document.aims.single(what, Bound::AtMost(0.001), share.median(), figures);
        }
    }
    document.report.table(&table);
    note(&mut document.report, &results);
}

/// To make a queue, and to open both ends of it.
pub fn start(settings: &Settings, document: &mut Document) {
    let cell = Cell { size: Size::Line, producers: 1, consumers: 1, capacity: 1024 };
    let work = Work::Start { times: if settings.rounds < 5 { 10 } else { 100 } };
    let wanted =
        |entry: &Entry| entry.side != Side::Machine && !entry.name.contains(", S") && !entry.name.contains(", P");
    let results = Results::of(settings, "starting", plans_for(settings, cell, work, 1, &[false], wanted));
    if results.0.is_empty() {
        return;
    }
    let title = "Start: a queue of 1024 messages of 64 bytes (microseconds; between threads the ends come with it)";
    let mut table = Table::new(title, ["contender", "to create it", "to open both ends"]);
    for one in results.0.iter().filter(|one| one.ran()) {
        let (mut create, mut open) = (Sample::default(), Sample::default());
        for (made, opened) in &one.runs[0][0].pairs {
            create.add(*made as f64 / 1000.0);
            open.add(*opened as f64 / 1000.0);
        }
        let open = if one.plan.entry.processes { open.show() } else { "-".into() };
        table.row([one.plan.entry.full_name(), create.show(), open]);
    }
    document.report.table(&table);
    note(&mut document.report, &results);
}

/// What a queue takes of the memory.
pub fn memory(settings: &Settings, document: &mut Document) {
    let cells = [1024, 8192].map(|capacity| Cell { size: Size::Line, producers: 1, consumers: 1, capacity });
    // The kernel's own memory, and servers', is not this process's.
    let unseen = ["POSIX mq", "pipe", "Unix socket", "ipc-channel"];
    let wanted = |entry: &Entry| {
        is_queue(entry) && !entry.name.contains(", S") && !entry.name.contains(", P") && !unseen.contains(&entry.name)
    };
    let plans = cells.iter().flat_map(|cell| plans_for(settings, *cell, Work::Weigh, 1, &[false], wanted)).collect();
    let results = Results::of(settings, "memory", plans);
    if results.0.is_empty() {
        return;
    }
    let title = "Memory: a queue of 64-byte messages, made, opened and filled to three quarters (bytes that the process grew by, its \
                 handles included)";
    let mut table = Table::new(title, ["contender", "of 1024", "of 8192", "for each slot more"]);
    for entry in results.entries() {
        let [small, large] =
            cells.map(|cell| Some(results.get(entry.contender, cell, 1, false)?.runs[0][0].pairs[0].0));
        let shown = |bytes: Option<u64>| bytes.map_or("-".into(), |bytes| bytes.to_string());
        let slope = small.zip(large).map(|(small, large)| large.saturating_sub(small) as f64 / (8192.0 - 1024.0));
        table.row([entry.full_name(), shown(small), shown(large), slope.map_or("-".into(), show)]);
    }
    document.report.table(&table);
    note(&mut document.report, &results);
}

/// From a kill to the blocked peer going on: as in the crate's own benchmark. Nobody else recovers.
pub fn recovery(settings: &Settings, document: &mut Document) {
    let Document { report, aims, .. } = document;
    killing::measure(settings, report, aims);
}
