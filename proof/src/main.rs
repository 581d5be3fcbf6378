//! The evidence for Handover's promises, for a sceptic to run.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proof::model::{self, Bounds};
use proof::report::Verdict;
use proof::{children, histories, hostile, kills, torture, weak};

/// Try to break Handover's promises, and say what was tried and what broke.
#[derive(Parser)]
#[command(name = "proof", arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Exit status: 0 every promise held, 1 one was broken, 2 the command line was not understood, 3 some could not be tried\non this machine, and of the others every one held.";

/// The exit status where something could not be tried.
const UNTRIED: u8 = 3;

#[derive(Subcommand)]
enum Command {
    /// Everything below.
    All {
        /// Write the tables to a file, too.
        #[arg(long, value_name = "FILE")]
        markdown: Option<PathBuf>,
    },
    /// Kill a process after every instruction of every operation.
    Kills(Steps),
    /// Stop a process after every instruction of every operation, go on beside it, and let it go on.
    Stops(Steps),
    /// Every interleaving of the protocol's steps, with deaths between any two, and the protocol broken on purpose.
    Model {
        /// Also the scenarios that take long.
        #[arg(long)]
        deep: bool,
        /// Only scenarios with this in their name.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// The ring and the gate under a model checker, and each ordering weakened.
    Weak,
    /// Record what many threads and processes do with a queue, and look for an order of effects that explains it.
    Histories {
        /// For so long.
        #[arg(long, default_value_t = 20.0)]
        seconds: f64,
        /// Do the same calls again.
        #[arg(long, value_parser = hexadecimal)]
        seed: Option<u64>,
        /// Calls of each member; few, if not named.
        #[arg(long)]
        calls: Option<usize>,
    },
    /// Kill and stop producers and consumers, writers and readers, submitters and workers at random, and account for
    /// every message.
    Torture {
        /// For so long.
        #[arg(long, default_value_t = 30.0)]
        seconds: f64,
        /// For so long instead.
        #[arg(long, conflicts_with = "seconds")]
        hours: Option<f64>,
        /// Do the same deeds again.
        #[arg(long, value_parser = hexadecimal)]
        seed: Option<u64>,
        /// Only with this kind of queue, the broadcast, or tasks.
        #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(torture::kinds()))]
        kind: Option<String>,
        /// Only with this capacity, and with queues that are made anew.
        #[arg(long)]
        capacity: Option<usize>,
    },
    /// Segments whose bytes are changed at random, before they are opened and while they are in use.
    Hostile(hostile::Settings),
    /// One process of a run.
    #[command(hide = true)]
    Child { words: Vec<String> },
}

#[derive(clap::Args, Clone, Default)]
struct Steps {
    /// Only the rows whose "operation ring capacity state" contains this
    #[arg(long)]
    only: Option<String>,
    /// Only this instruction
    #[arg(long)]
    at: Option<u64>,
    /// The short form, as in the tests
    #[arg(long)]
    short: bool,
    /// How many rows at a time, each on a processor of its own
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

impl From<Steps> for kills::Extent {
    fn from(Steps { only, at, short, jobs }: Steps) -> kills::Extent {
        kills::Extent { only, at, short, jobs }
    }
}

fn main() -> ExitCode {
    let mut markdown = None;
    let verdicts: Vec<Verdict> = match Arguments::parse().command {
        Command::All { markdown: file } => {
            markdown = file;
            all()
        }
        Command::Kills(steps) => kills::kills(&steps.into()),
        Command::Stops(steps) => kills::stops(&steps.into()),
        Command::Model { deep, only } => model::run(if deep { Bounds::Deep } else { Bounds::Usual }, &only),
        Command::Weak => weak::run(),
        Command::Histories { seconds, seed, calls } => {
            vec![histories::run(&histories::Settings { seconds, seed, calls })]
        }
        Command::Torture { seconds, hours, seed, kind, capacity } => {
            let seconds = hours.map_or(seconds, |hours| hours * 3600.0);
            vec![torture::run(&torture::Settings { seconds, seed, kind, capacity })]
        }
        Command::Hostile(settings) => hostile::run(&settings),
        Command::Child { words } => return children::play(&words),
    };
    for verdict in &verdicts {
        println!("{verdict}");
    }
    if let Some(file) = markdown {
        let text: Vec<String> = verdicts.iter().map(Verdict::markdown).collect();
        if let Err(error) = fs::write(&file, text.join("\n")) {
            eprintln!("proof: {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    if verdicts.iter().all(Verdict::holds) {
        ExitCode::SUCCESS
    } else if verdicts.iter().all(|verdict| verdict.violations.is_empty()) {
        ExitCode::from(UNTRIED)
    } else {
        ExitCode::FAILURE
    }
}

fn all() -> Vec<Verdict> {
    let jobs = std::thread::available_parallelism().map_or(1, Into::into);
    let every = kills::Extent { only: None, at: None, short: false, jobs };
    let mut verdicts = kills::kills(&every);
    verdicts.extend(kills::stops(&every));
    verdicts.extend(model::run(Bounds::Usual, ""));
    verdicts.extend(weak::run());
    verdicts.push(histories::run(&histories::Settings { seconds: 20.0, seed: None, calls: None }));
    verdicts.push(torture::run(&torture::Settings { seconds: 30.0, ..Default::default() }));
    verdicts.extend(hostile::run(&hostile::Settings::short()));
    verdicts
}

fn hexadecimal(digits: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(digits, 16)
}
