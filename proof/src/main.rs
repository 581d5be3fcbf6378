//! The evidence for Handover's promises, for a sceptic to run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proof::{children, report::Verdict};

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
    /// One process of a run.
    #[command(hide = true)]
    Child { words: Vec<String> },
}

fn main() -> ExitCode {
    let verdicts: Vec<Verdict> = match Arguments::parse().command {
        Command::All => Vec::new(),
        Command::Child { words } => return children::play(&words),
    };
    for verdict in &verdicts {
        println!("{verdict}");
    }
    if verdicts.iter().all(Verdict::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
