//! `completions` and `man`: what shells and man know of the command. Both are made from what it understands, and so are
//! never out of date.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::trouble::Trouble;

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// For which shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) const COMPLETIONS_EXAMPLE: &str = "\
The script goes to standard output. Bash reads it from where the first example puts it, fish from where the second does; for
zsh put it as _handover into a folder of its fpath.

Examples:
  handover completions bash > ~/.local/share/bash-completion/completions/handover
  handover completions fish > ~/.config/fish/completions/handover.fish
  source <(handover completions bash)";

pub(crate) fn completions<Whole: CommandFactory>(wanted: &Completions) -> Result<(), Trouble> {
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut told::<Whole>(), "handover", &mut script);
    print(&script)
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
