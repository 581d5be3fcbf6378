//! The evidence for Handover's promises, for a sceptic to run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proof::{children, histories, report::Verdict, torture};

/// Try to break Handover's promises, and say what was tried and what broke.
#[derive(Parser)]
#[command(name = "proof", arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Exit status: 0 every promise held, 1 one was broken, 2 the command line was not understood.";

#[derive(Subcommand)]
enum Command {
    /// Everything below.
    All,
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
    /// Kill and stop producers and consumers at random, and account for every message.
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
        /// Only with this kind of queue.
        #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(torture::kinds()))]
        kind: Option<String>,
        /// Only with this capacity, and with queues that are made anew.
        #[arg(long)]
        capacity: Option<usize>,
    },
    /// One process of a run.
    #[command(hide = true)]
    Child { words: Vec<String> },
}

fn main() -> ExitCode {
    let verdicts: Vec<Verdict> = match Arguments::parse().command {
        Command::All => vec![
            histories::run(&histories::Settings { seconds: 20.0, seed: None, calls: None }),
            torture::run(&torture::Settings { seconds: 30.0, ..Default::default() }),
        ],
        Command::Histories { seconds, seed, calls } => {
            vec![histories::run(&histories::Settings { seconds, seed, calls })]
        }
        Command::Torture { seconds, hours, seed, kind, capacity } => {
            let seconds = hours.map_or(seconds, |hours| hours * 3600.0);
            vec![torture::run(&torture::Settings { seconds, seed, kind, capacity })]
        }
        Command::Child { words } => return children::play(&words),
    };
    for verdict in &verdicts {
        println!("{verdict}");
    }
    if verdicts.iter().all(Verdict::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hexadecimal(digits: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(digits, 16)
}
