//! The crate's own benchmark: throughput, batches, latency, idling, memory and recovery, between threads and between
//! processes, beside other people's queues in the same run.
//!
//! ```text
//! cargo bench -p handover -- [--quick] [--only throughput|batch|latency|idle|memory|recovery]...
//!                            [--cell TEXT] [--rounds N] [--messages N] [--pin] [--markdown FILE]
//! ```
//!
//! `--cell "u64 1p1c"` runs only the cells of throughput and batches whose names contain that.
//!
//! Everything runs interleaved: in each round, each cell of a table runs every contender once. What stands in a table
//! is the median of the rounds, with the least and the greatest beside it. Each run counts and sums what arrived, and
//! the benchmark fails if that is not what was sent.

mod queue {
    pub mod aims;
    pub mod allocations;
    pub mod batches;
    pub mod board;
    pub mod cases;
    pub mod endpoints;
    pub mod idle;
    pub mod latency;
    pub mod load;
    pub mod machine;
    pub mod memory;
    pub mod processes;
    pub mod race;
    pub mod recovery;
    pub mod report;
    pub mod roles;
    pub mod settings;
    pub mod statistics;
    pub mod throughput;
}

use std::time::Instant;

use queue::aims::Aims;
use queue::report::Report;
use queue::settings::Part;
use queue::{batches, idle, latency, machine, memory, processes, recovery, settings, throughput};

#[global_allocator]
static ALLOCATOR: queue::allocations::Counting = queue::allocations::Counting;

fn main() {
    if processes::is_child() {
        return processes::be_child(queue::roles::Role::work);
    }
    let settings = match settings::from_arguments(std::env::args().skip(1)) {
        Ok(Some(settings)) => settings,
        // Not `cargo bench`: a test run, which is to be quick and succeed.
        Ok(None) => return,
        Err(why) => {
            eprintln!("{why}\n{}", settings::USAGE);
            std::process::exit(2);
        }
    };
    let (begun, usage) = (Instant::now(), machine::Usage::now());
    crossfire::detect_backoff_cfg();
    machine::watch_for_hangs();

    let mut report = Report::default();
    let mut aims = Aims::default();
    report.text(&settings.describe());
    for part in Part::ALL.into_iter().filter(|part| settings.includes(*part)) {
        match part {
            Part::Throughput => throughput::measure(&settings, &mut report, &mut aims),
            Part::Batch => batches::measure(&settings, &mut report, &mut aims),
            Part::Latency => latency::measure(&settings, &mut report, &mut aims),
            Part::Idle => idle::measure(&settings, &mut report, &mut aims),
            Part::Memory => memory::measure(&mut report, &mut aims),
            Part::Recovery => recovery::measure(&settings, &mut report, &mut aims),
        }
    }
    aims.tell(&mut report);
    report.text(&format!(
        "Measured in {:.0} s, while other programs kept {:.2} processors busy{}.",
        begun.elapsed().as_secs_f64(),
        usage.others_since(),
        if usage.others_since() > 0.05 { ": TOO MANY, run it again on a quiet machine" } else { "" },
    ));
    if let Some(path) = &settings.markdown {
        std::fs::write(path, report.markdown()).expect("the Markdown file can be written");
    }
}
