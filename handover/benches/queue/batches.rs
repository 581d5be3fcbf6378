//! Batches of 64 next to single messages.

use super::aims::{Aims, Bound};
use super::cases::{Between, CAPACITIES, Cell, Contender, Size};
use super::report::{Report, Table};
use super::settings::Settings;
use super::statistics::{geometric_mean, show};
use super::throughput::Measurements;

const BATCH: usize = 64;
/// Declared for one to one, producers and consumers.
const SHAPES: [(bool, usize); 3] = [(true, 1), (false, 1), (false, 2)];

pub fn measure(settings: &Settings, report: &mut Report, aims: &mut Aims) {
    let rows = || {
        let all = SHAPES.into_iter().flat_map(|(one, ends)| {
            Size::ALL.into_iter().flat_map(move |size| {
                CAPACITIES.map(|capacity| (one, Cell { size, producers: ends, consumers: ends, capacity }))
            })
        });
        all.filter(|(_, cell)| settings.includes_cell(cell))
    };
    let contender = |between, one, batch| Contender::Handover { between, one, batch };
    let runs = rows().flat_map(|(one, cell)| {
        [Between::Threads, Between::Processes]
            .into_iter()
            .flat_map(move |between| [1, BATCH].map(|batch| (cell, contender(between, one, batch))))
    });
    let measured = Measurements::of(settings, runs);

    let title = format!("Batches of {BATCH} (million messages a second)");
    let head = ["cell", "threads, single", "batches", "x single", "processes, single", "batches", "x single"];
    let mut table = Table::new(title, head);
    let mut ratios = [Vec::new(), Vec::new()];
    for (one, cell) in rows() {
        let name = format!("{}, {cell}", if one { "one to one" } else { "many" });
        let mut row = vec![name.clone()];
        for (between, ratios) in [Between::Threads, Between::Processes].into_iter().zip(&mut ratios) {
            let single = &measured.get(cell, contender(between, one, 1)).rate;
            let batches = &measured.get(cell, contender(between, one, BATCH)).rate;
            let ratio = batches.median() / single.median();
            row.extend([single.show(), batches.show(), show(ratio)]);
            ratios.push((format!("{between}, {name}"), ratio));
        }
        table.row(row);
    }
    let mut means = vec!["geometric mean".to_owned()];
    for ratios in &ratios {
        means.extend([String::new(), String::new(), show(geometric_mean(ratios.iter().map(|ratio| ratio.1)))]);
    }
    table.row(means);
    report.table(&table);
    let [threads, processes] = ratios;
    aims.ratios("threads: batches of 64 at 4 times the single rate", Bound::AtLeast(4.0), &threads);
    aims.ratios("processes: batches of 64 at 4 times the single rate", Bound::AtLeast(4.0), &processes);
}
