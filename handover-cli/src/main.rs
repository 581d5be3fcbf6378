//! The `handover` command.

mod bench;
mod demo;
mod doctor;
mod interrupt;
mod load;
mod manage;
mod manual;
mod measure;
mod numbers;
mod patience;
mod plot;
mod popping;
mod progress;
mod pushing;
mod screen;
mod stream;
mod system;
mod target;
mod top;
mod trouble;
mod tune;
mod units;
mod view;
mod watch;
mod work;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use self::trouble::Trouble;

/// Queues that hand messages between processes, and keep their promises when a process is killed.
#[derive(Parser)]
#[command(name = "handover", version, arg_required_else_help = true, after_help = help(EXAMPLE), max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example:
  handover demo --seconds 5
  handover create lines
  echo hello | handover push lines
  handover pop lines

Numbers of things can be said by thousands (20k, 1M), sizes by 1024 (64K, 1M); times have their unit (250ms, 2s, 5m).";

/// A command's help ends with what its exit status says.
fn help(example: &str) -> String {
    flowing(&format!("{example}\n\n{}", trouble::EXIT_STATUS))
}

/// Paragraphs that fill lines as long as the terminal has them. Examples keep theirs.
fn flowing(help: &str) -> String {
    let flowing = |text: &str| if text.starts_with("Example") { text.to_owned() } else { text.replace('\n', " ") };
    help.split("\n\n").map(flowing).collect::<Vec<_>>().join("\n\n")
}

#[derive(Subcommand)]
enum Command {
    /// Let real processes push and pop, kill some of them in mid-flight, and count what came of every message.
    #[command(after_help = flowing(demo::EXAMPLE))]
    Demo {
        /// How long messages flow, from 1 to 30.
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=30))]
        seconds: u64,
    },
    /// Make a queue, a broadcast or a task queue, of messages that are bytes.
    #[command(after_help = help(manage::CREATE_EXAMPLE))]
    Create(manage::Create),
    /// Push messages into a queue, or submit tasks.
    #[command(after_help = help(pushing::PUSH_EXAMPLE))]
    Push(pushing::Push),
    /// Take messages out of a queue, and print them.
    #[command(after_help = help(popping::POP_EXAMPLE))]
    Pop(popping::Pop),
    /// Publish messages to all readers of a broadcast.
    #[command(after_help = help(pushing::PUBLISH_EXAMPLE))]
    Publish(pushing::Publish),
    /// Read a broadcast, and print what comes.
    #[command(after_help = help(popping::SUBSCRIBE_EXAMPLE))]
    Subscribe(popping::Subscribe),
    /// Run a command for each task.
    #[command(after_help = help(work::EXAMPLE))]
    Work(work::Work),
    /// Make messages at a pace, and tell how fast they are taken in.
    #[command(after_help = help(load::PRODUCE_EXAMPLE))]
    Produce(load::Produce),
    /// Take such messages, tell how long they took, and whether all came.
    #[command(after_help = help(load::CONSUME_EXAMPLE))]
    Consume(load::Consume),
    /// List the queues, broadcasts and task queues of this machine that have names.
    #[command(visible_alias = "list", after_help = help(view::LS_EXAMPLE))]
    Ls(view::Ls),
    /// Tell everything of a queue, a broadcast or a task queue.
    #[command(after_help = help(view::STAT_EXAMPLE))]
    Stat(view::Stat),
    /// Show messages or tasks that wait, without taking them.
    #[command(after_help = help(view::PEEK_EXAMPLE))]
    Peek(view::Peek),
    /// Show the dead letters of a task queue, requeue or purge them.
    #[command(after_help = help(view::LETTERS_EXAMPLE))]
    Letters(view::Letters),
    /// Take a task out that nobody works on yet.
    #[command(after_help = help(view::CANCEL_EXAMPLE))]
    Cancel(view::Cancel),
    /// Watch all of them live, full screen.
    #[command(after_help = help(top::EXAMPLE))]
    Top(top::Watch),
    /// Let a queue hold more messages or fewer, while it is used.
    #[command(after_help = help(manage::RESIZE_EXAMPLE))]
    Resize(manage::Resize),
    /// Let nothing more in.
    #[command(after_help = help(manage::CLOSE_EXAMPLE))]
    Close(manage::Close),
    /// Remove a queue, a broadcast or a task queue.
    #[command(after_help = help(manage::RM_EXAMPLE))]
    Rm(manage::Rm),
    /// Measure this machine: what queues do on it, beside what it can do itself.
    #[command(after_help = help(bench::EXAMPLE))]
    Bench(bench::Bench),
    /// Find out how large a queue should be, on this machine and for your load, and what else suits it.
    #[command(after_help = help(tune::EXAMPLE))]
    Tune(tune::Tune),
    /// Look whether the machine and its queues are as they should be, and say what to do where they are not.
    #[command(after_help = help(doctor::EXAMPLE))]
    Doctor(doctor::Doctor),
    /// Print a script by which a shell completes this command.
    #[command(after_help = help(manual::COMPLETIONS_EXAMPLE))]
    Completions(manual::Completions),
    /// Print the manual.
    #[command(after_help = help(manual::MAN_EXAMPLE))]
    Man(manual::Pages),
    /// One process of what bench and tune measure.
    #[command(hide = true, name = measure::team::NAME)]
    MeasureProcess(measure::team::Job),
    /// One process of the demo.
    #[command(hide = true)]
    DemoProcess {
        role: demo::Part,
        number: usize,
        #[command(flatten)]
        parent: system::child::Parent,
    },
    /// A command that ends with whoever started it.
    #[cfg(unix)]
    #[command(hide = true, name = system::companion::BECOME)]
    Become(system::companion::Become),
}

fn main() -> ExitCode {
    match system::signals::bear_limits().map_err(Trouble::from).and_then(|()| begin()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            if !trouble.is_silent() {
                // Nobody may be there to read it.
                let _ = writeln!(io::stderr(), "handover: {trouble}");
            }
            ExitCode::from(trouble.exit_status())
        }
    }
}

fn begin() -> Result<(), Trouble> {
    if manual::complete::<Arguments>()? { Ok(()) } else { understood()?.map_or(Ok(()), run) }
}

/// What is wanted. Nothing more, if that was help or the version: it is printed.
fn understood() -> Result<Option<Command>, Trouble> {
    let error = match Arguments::try_parse() {
        Ok(arguments) => return Ok(Some(arguments.command)),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            error.print().and_then(|()| io::stdout().flush()).map_err(screen::untaken)?;
            Ok(None)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => Err(Trouble::Usage(in_one_sentence(&error.to_string()))),
    }
}

/// What clap says in paragraphs, with lists of one thing a line: what is wrong, what may be meant, and how it is used.
fn in_one_sentence(said: &str) -> String {
    let mut paragraphs = said.split("\n\n").map(str::trim);
    let wrong = paragraphs.next().unwrap_or_default();
    let (what, list) = wrong.split_once('\n').unwrap_or((wrong, ""));
    let mut sentence = what.strip_prefix("error: ").unwrap_or(what).to_owned();
    if !list.is_empty() {
        sentence += &format!(" {}", list.lines().map(str::trim).collect::<Vec<_>>().join(", "));
    }
    for tip in paragraphs.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("tip: ")) {
        sentence += &format!("; {tip}");
    }
    sentence
}

fn run(command: Command) -> Result<(), Trouble> {
    match command {
        Command::Demo { seconds } => demo::run(seconds),
        Command::Create(wanted) => manage::create(&wanted),
        Command::Push(wanted) => pushing::push(&wanted),
        Command::Pop(wanted) => popping::pop(&wanted),
        Command::Publish(wanted) => pushing::publish(&wanted),
        Command::Subscribe(wanted) => popping::subscribe(&wanted),
        Command::Work(wanted) => work::work(&wanted),
        Command::Produce(wanted) => load::produce(&wanted),
        Command::Consume(wanted) => load::consume(&wanted),
        Command::Ls(wanted) => view::ls(&wanted),
        Command::Stat(wanted) => view::stat(&wanted),
        Command::Peek(wanted) => view::peek(&wanted),
        Command::Letters(wanted) => view::letters(&wanted),
        Command::Cancel(wanted) => view::cancel(&wanted),
        Command::Top(wanted) => top::top(&wanted),
        Command::Resize(wanted) => manage::resize(&wanted),
        Command::Close(wanted) => manage::close(&wanted),
        Command::Rm(wanted) => manage::rm(&wanted),
        Command::Doctor(wanted) => doctor::doctor(&wanted),
        Command::Completions(wanted) => manual::completions(&wanted),
        Command::Man(wanted) => manual::man::<Arguments>(&wanted),
        Command::Bench(wanted) => bench::bench(&wanted),
        Command::Tune(wanted) => tune::tune(&wanted),
        Command::MeasureProcess(job) => measure::team::play(&job),
        Command::DemoProcess { role, number, parent } => demo::play(role, number, &parent),
        #[cfg(unix)]
        Command::Become(wanted) => Ok(wanted.run()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_understood_is_told_in_one_sentence() {
        let said = |arguments: &str| match Arguments::try_parse_from(arguments.split(' ')) {
            Ok(_) => panic!("{arguments}: understood"),
            Err(error) => in_one_sentence(&error.to_string()),
        };
        for (arguments, sentence) in [
            ("handover pusj", "unrecognized subcommand 'pusj'; a similar subcommand exists: 'push'"),
            ("handover cancel", "the following required arguments were not provided: <NAME>, <ID>"),
            (
                "handover ls --interval 1",
                "invalid value '1' for '--interval <TIME>': a time is a whole number with its unit: 250ms, 2s, 5m (or ns, us, h)",
            ),
            (
                "handover create a --kind task",
                "invalid value 'task' for '--kind <KIND>' [possible values: queue, broadcast, tasks]; a similar value exists: 'tasks'",
            ),
            ("handover pop a --wait --no-wait", "the argument '--wait' cannot be used with '--no-wait'"),
        ] {
            assert_eq!(said(arguments), sentence);
        }
    }
}
