//! The `handover` command.

mod demo;
mod screen;
mod trouble;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Queues that hand messages between processes, and keep their promises when a process is killed.
#[derive(Parser)]
#[command(name = "handover", version, arg_required_else_help = true, after_help = EXAMPLE, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example:
  handover demo --seconds 5

Exit status: 0 all went well, 1 something failed, 2 the command line was not understood, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Let real processes push and pop, kill some of them in mid-flight, and count what came of every message.
    #[command(after_help = demo::EXAMPLE)]
    Demo {
        /// How long messages flow, from 1 to 30.
        #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=30))]
        seconds: u64,
    },
    /// One process of the demo.
    #[command(hide = true)]
    DemoProcess {
        role: demo::Part,
        number: usize,
        /// The demo's own process: this one ends with it.
        parent: i32,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo { seconds } => demo::run(seconds),
        Command::DemoProcess { role, number, parent } => demo::play(role, number, parent),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            if !trouble.is_broken_pipe() {
                eprintln!("handover: {trouble}");
            }
            ExitCode::from(trouble.exit_status())
        }
    }
}
