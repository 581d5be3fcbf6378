//! Handover beside other people's queues, in one run.
//!
//! ```text
//! cargo run --release --manifest-path compare/Cargo.toml -- [--quick] [--only PART]... [--cell TEXT]
//!     [--contender TEXT]... [--rounds N] [--pin yes|no|both] [--plots FOLDER] [--write [--docs FOLDER]]
//! ```
//!
//! `--cell "u64 1p1c"` and `--contender "threads: handover"` run only those whose names contain that. `--write` writes
//! docs/PERFORMANCE.md's figures between two marks, and the plots in docs/plots.
//!
//! To build it takes Boost's headers (libboost-dev), to run it redis-server and nats-server; whoever is missing is said to be.
//!
//! All of it takes some 22 minutes on two processors that nobody else uses; on others' it takes longer, and is worth nothing.
//! What is at hand is told on stderr.
//!
//! Each run is a process of its own, so that one that hangs or crashes is one run. Everything runs interleaved: in each
//! round, each cell runs every contender once.

#[macro_use]
mod shared;

mod contenders;
mod document;
mod ends;
mod parts;
mod plan;
mod plots;
mod queues;
mod roles;
mod runs;
mod settings;
mod stage;

use document::Document;
use parts::{broadcast, latency, throughput, upkeep};
use settings::Part;
use shared::{machine, processes};

fn main() {
    if processes::is_child() {
        return processes::be_child(roles::Role::work);
    }
    let settings = match settings::from_arguments(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("{why}\n{}", settings::USAGE);
            std::process::exit(2);
        }
    };
    let usage = machine::Usage::now();
    let mut document = Document::default();
    document.report.text(&settings.describe());
    document.contenders(&settings);
    for part in Part::ALL.into_iter().filter(|part| settings.includes(*part)) {
        settings.progress(format_args!("{part:?}"));
        match part {
            Part::Limits => upkeep::limits(&mut document),
            Part::Throughput => throughput::measure(&settings, &mut document),
            Part::Batch => throughput::batches(&settings, &mut document),
            Part::Latency => latency::measure(&settings, &mut document),
            Part::Fairness => throughput::fairness(&settings, &mut document),
            Part::Crowd => throughput::crowd(&settings, &mut document),
            Part::Broadcast => broadcast::measure(&settings, &mut document),
            Part::Tasks => {
                throughput::tasks(&settings, &mut document);
                latency::of_tasks(&settings, &mut document);
            }
            Part::Idle => upkeep::idle(&settings, &mut document),
            Part::Start => upkeep::start(&settings, &mut document),
            Part::Memory => upkeep::memory(&settings, &mut document),
            Part::Recovery => upkeep::recovery(&settings, &mut document),
        }
    }
    settings.remark("done");
    document.end(settings.begun.elapsed(), usage.others_since());
    if let Some(folder) = &settings.plots {
        document.write_plots(folder);
    }
    if settings.write {
        document.write(&settings.docs);
    }
    if runs::any_faulty() {
        eprintln!("a run went wrong: see what came to nothing");
        std::process::exit(1);
    }
}
