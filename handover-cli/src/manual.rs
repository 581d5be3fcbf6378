//! `completions` and `man`: what shells and man know of the command. Both are made from what it understands, and so are
//! never out of date.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory, ValueHint};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Shells};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use handover::Kind;

use crate::in_one_sentence;
use crate::system::paths::is_path;
use crate::system::words::quoted;
use crate::trouble::Trouble;

/// By this the script asks what may come next, of the command itself.
const ASKED: &str = "HANDOVER_COMPLETE";

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// For which shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) const COMPLETIONS_EXAMPLE: &str = "\
With it a shell completes commands, options, and the names of the queues that are there, but for those that it would have to
quote: it asks the command, so the script stays as it is. It goes to standard output. Bash reads it from where the first
example puts it, fish from where the second does; for zsh the third is a line of ~/.zshrc.

Examples:
  handover completions bash > ~/.local/share/bash-completion/completions/handover
  handover completions fish > ~/.config/fish/completions/handover.fish
  source <(handover completions zsh)";

pub(crate) fn completions(wanted: &Completions) -> Result<(), Trouble> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let shell = shells.completer(&wanted.shell.to_string()).expect("it has the same ones");
    shell.write_registration(ASKED, "handover", "handover", "handover", &mut script)?;
    print(&script)
}

/// Answers a shell, if it is one that asks while somebody types. True if it was.
pub(crate) fn complete<Whole: CommandFactory>() -> Result<bool, Trouble> {
    let asked = CompleteEnv::with_factory(completed::<Whole>).var(ASKED);
    asked
        .try_complete(env::args_os(), env::current_dir().ok().as_deref())
        .map_err(|error| Trouble::Usage(in_one_sentence(&error.to_string())))
}

/// The command as it is completed: with the names of what is there.
fn completed<Whole: CommandFactory>() -> Command {
    told::<Whole>().mut_subcommands(|command| {
        // Of a command with two names the second would be offered alone.
        let others: Vec<String> = command.get_visible_aliases().map(str::to_owned).collect();
        let command = command.visible_alias(None).aliases(others);
        let kinds: &[Kind] = match command.get_name() {
            "create" => &[],
            "publish" | "subscribe" => &[Kind::Broadcast],
            "work" | "letters" | "cancel" => &[Kind::Tasks],
            "push" | "pop" | "resize" => &[Kind::Queue, Kind::Tasks],
            _ => &[Kind::Queue, Kind::Broadcast, Kind::Tasks],
        };
        command.mut_args(|argument| match argument.get_id().as_str() {
            "name" | "names" if !kinds.is_empty() => argument.add(ArgValueCompleter::new(Names(kinds))),
            _ if argument.get_value_hint() == ValueHint::AnyPath => {
                argument.add(ArgValueCompleter::new(|begun: &OsStr| plain(PathCompleter::any().complete(begun))))
            }
            _ => argument,
        })
    })
}

/// Those of these kinds, and paths.
struct Names(&'static [Kind]);

impl ValueCompleter for Names {
    fn complete(&self, begun: &OsStr) -> Vec<CompletionCandidate> {
        if is_path(begun.as_encoded_bytes()) {
            return plain(PathCompleter::file().complete(begun));
        }
        let Some(begun) = begun.to_str() else { return Vec::new() };
        let named = handover::segments().unwrap_or_default().into_iter().map(|segment| segment.name);
        let fits =
            |name: &String| name.starts_with(begun) && handover::kind(name).is_ok_and(|kind| self.0.contains(&kind));
        plain(named.filter(fits).map(CompletionCandidate::new).collect())
    }
}

/// Those that a shell takes as they are. They are put into the line unquoted, and anybody may have chosen the names.
fn plain(candidates: Vec<CompletionCandidate>) -> Vec<CompletionCandidate> {
    let is_plain = |one: &CompletionCandidate| one.get_value().to_str().is_some_and(|text| quoted(text) == text);
    candidates.into_iter().filter(is_plain).collect()
}

#[derive(Args, Debug)]
pub(crate) struct Pages {
    /// The page of that command.
    command: Option<String>,
    /// Write all pages, each into a file of its own, into that folder.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    all: Option<PathBuf>,
}

pub(crate) const MAN_EXAMPLE: &str = "\
The page goes to standard output, as man reads it.

Examples:
  handover man | man -l -
  handover man work | man -l -
  handover man --all ~/.local/share/man/man1";

pub(crate) fn man<Whole: CommandFactory>(wanted: &Pages) -> Result<(), Trouble> {
    let mut whole = told::<Whole>();
    whole.build();
    if let Some(folder) = &wanted.all {
        write(folder, &whole)?;
        for command in commands(&whole) {
            write(folder, command)?;
        }
        return Ok(());
    }
    let Some(name) = &wanted.command else { return print(&page(&whole)) };
    let named = commands(&whole).find(|command| command.get_name_and_visible_aliases().contains(&name.as_str()));
    let missing = || Trouble::Usage(format!("there is no command {name}"));
    print(&page(named.ok_or_else(missing)?))
}

fn commands(whole: &Command) -> impl Iterator<Item = &Command> {
    whole.get_subcommands().filter(|command| command.get_name() != "help")
}

/// The command without what only it itself calls, which would be completed like all else.
fn told<Whole: CommandFactory>() -> Command {
    let whole = Whole::command();
    let shown: Vec<Command> = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    Command::new("handover")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .after_help(whole.get_after_help().cloned().unwrap_or_default())
        .arg_required_else_help(true)
        .subcommands(shown)
}

fn write(folder: &Path, command: &Command) -> Result<(), Trouble> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    let unwritten = |error: io::Error| Trouble::Failed(format!("{}: can't be written: {error}", path.display()));
    fs::create_dir_all(folder).and_then(|()| fs::write(&path, page(command))).map_err(unwritten)
}

fn page(command: &Command) -> Vec<u8> {
    let man = Man::new(command.clone()).manual("Handover").source(format!("handover {}", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    let mut sections = || -> io::Result<()> {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        let (said, named) = said(&command.get_after_help().map(ToString::to_string).unwrap_or_default());
        said.to_writer(&mut page)?;
        man.render_options_section(&mut page)?;
        if command.has_subcommands() {
            man.render_subcommands_section(&mut page)?;
        }
        named.to_writer(&mut page)
    };
    sections().expect("a vector takes everything");
    page
}

/// What stands below a command's help: paragraphs that belong to its description, and those that are sections of their own.
fn said(help: &str) -> (Roff, Roff) {
    let (mut said, mut named) = (Roff::new(), Roff::new());
    for paragraph in help.split("\n\n") {
        let examples = paragraph.strip_prefix("Examples:\n").or_else(|| paragraph.strip_prefix("Example:\n"));
        if let Some(examples) = examples {
            named.control("SH", ["EXAMPLES"]).control("nf", []);
            for line in examples.lines() {
                named.text([roman(line)]);
            }
            named.control("fi", []);
        } else if let Some(status) = paragraph.strip_prefix("Exit status: ") {
            named.control("SH", ["EXIT STATUS"]).text([roman(status)]);
        } else {
            said.control("PP", []).text([roman(paragraph)]);
        }
    }
    (said, named)
}

fn print(text: &[u8]) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    Ok(out.write_all(text).and_then(|()| out.flush()).map_err(crate::screen::untaken)?)
}
