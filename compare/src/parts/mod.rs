//! What is measured, a part in a file.

pub mod broadcast;
pub mod latency;
pub mod throughput;
pub mod upkeep;

use crate::contenders::{ALL, Entry, Side};
use crate::plan::{Cell, Plan, Work};
use crate::runs::Results;
use crate::settings::Settings;
use crate::shared::report::Report;

/// A plan for everybody who fits into the cell and is wanted.
pub fn plans_for(
    settings: &Settings,
    cell: Cell,
    work: Work,
    batch: usize,
    pins: &[bool],
    wanted: impl Fn(&Entry) -> bool,
) -> Vec<Plan> {
    let mut plans = Vec::new();
    for &pin in pins {
        for entry in ALL.iter().filter(|entry| entry.fits(&cell, &work) && wanted(entry)) {
            if settings.includes_contender(entry) {
                plans.push(Plan { entry, cell, batch, pin, work });
            }
        }
    }
    plans
}

/// Servers are asked about tasks only, and what the machine can do where it is a limit.
pub fn is_queue(entry: &Entry) -> bool {
    matches!(entry.side, Side::Ours | Side::Peer)
}

/// What hands every message to every receiver is no queue.
pub fn is_broadcast(entry: &Entry) -> bool {
    entry.side == Side::Broadcast
}

/// Whose runs came to nothing, under the tables that are about it.
pub fn note(report: &mut Report, results: &Results) {
    let refusals = results.refusals();
    if !refusals.is_empty() {
        report.text(&format!("What came to nothing: {}.", refusals.join("; ")));
    }
}

/// How endpoints are placed, in titles.
pub fn placed(pin: bool) -> &'static str {
    if pin { "pinned to the processors in turn" } else { "not pinned" }
}
