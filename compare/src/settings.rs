//! What the command line asks for.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::contenders::{Entry, Side};
use crate::document;
use crate::plan::{Cell, Size};

/// Shown when it is not understood.
pub const USAGE: &str = "cargo run --release --manifest-path compare/Cargo.toml -- [--quick] \
[--only limits|throughput|batch|latency|fairness|crowd|broadcast|tasks|idle|start|memory|recovery]... [--cell TEXT] \
[--contender TEXT]... [--rounds N] [--pin yes|no|both] [--plots FOLDER] [--write [--docs FOLDER]]";

/// What is measured.
#[allow(missing_docs, reason = "the modules of `parts` say what each is")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Limits,
    Throughput,
    Batch,
    Latency,
    Fairness,
    Crowd,
    Broadcast,
    Tasks,
    Idle,
    Start,
    Memory,
    Recovery,
}

impl Part {
    /// In the order in which they run.
    pub const ALL: [Part; 12] = [
        Part::Limits,
        Part::Throughput,
        Part::Batch,
        Part::Latency,
        Part::Fairness,
        Part::Crowd,
        Part::Broadcast,
        Part::Tasks,
        Part::Idle,
        Part::Start,
        Part::Memory,
        Part::Recovery,
    ];

    fn named(name: &str) -> Option<Part> {
        Part::ALL.into_iter().find(|part| format!("{part:?}").eq_ignore_ascii_case(name))
    }
}

/// All of it.
pub struct Settings {
    /// How often everything runs, beside once to warm up.
    pub rounds: usize,
    /// Each run takes about so long.
    pub run_time: Duration,
    /// Of the runs in which endpoints are fast or slow to each other.
    pub fair_time: Duration,
    /// How often somebody is killed.
    pub recoveries: u32,
    /// Unpinned, pinned, or both.
    pub pins: &'static [bool],
    /// When the whole began.
    pub begun: Instant,
    /// Where the plots of this run are put, if they are.
    pub plots: Option<PathBuf>,
    /// Whether PERFORMANCE.md and its plots are written.
    pub write: bool,
    /// Where they lie.
    pub docs: PathBuf,
    only: Vec<Part>,
    cell: String,
    contenders: Vec<String>,
}

impl Settings {
    /// Whether that part is measured.
    pub fn includes(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Whether everything is, so that documents may be written.
    pub fn is_whole(&self) -> bool {
        self.only.is_empty() && self.cell.is_empty() && self.contenders.is_empty()
    }

    /// Whether that cell is measured.
    pub fn includes_cell(&self, cell: &Cell) -> bool {
        cell.to_string().contains(&self.cell)
    }

    /// Whether that contender takes part. The machine always does: it is what others are held against.
    pub fn includes_contender(&self, entry: &Entry) -> bool {
        let wanted = |text: &String| entry.full_name().contains(text.as_str());
        entry.side == Side::Machine || self.contenders.is_empty() || self.contenders.iter().any(wanted)
    }

    /// How endpoints are placed in cells of that size. Where both is asked for, only words are measured pinned, too: what it
    /// changes is seen there, and the whole does not take twice as long.
    pub fn pins_for(&self, size: Size) -> &'static [bool] {
        if self.pins.len() > 1 && size != Size::Word { &[false] } else { self.pins }
    }

    /// So many rounds of runs that each take a second or more.
    pub fn rounds_of_long_runs(&self) -> usize {
        self.rounds.min(3)
    }

    /// Says on stderr what is at hand.
    pub fn progress(&self, what: impl Display) {
        let seconds = self.begun.elapsed().as_secs();
        if stderr().is_terminal() {
            eprint!("\r[{seconds:4} s] {what}\x1b[K");
        } else {
            eprintln!("[{seconds:4} s] {what}");
        }
    }

    /// Says on stderr what is to be seen after the run, too.
    pub fn remark(&self, what: impl Display) {
        self.progress(what);
        if stderr().is_terminal() {
            eprintln!();
        }
    }

    /// For the head of the report.
    pub fn describe(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        format!(
            "{cores} processors; {} rounds after one to warm up ({} of fairness and idling), all contenders of a cell taking \
             turns in each; every run in a process of its own, of about {} ms, and verified by count and checksum. Figures are \
             medians, with [least..greatest].",
            self.rounds,
            self.rounds_of_long_runs(),
            self.run_time.as_millis()
        )
    }
}

/// Of the words behind the program's name.
pub fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
    let arguments: Vec<String> = arguments.collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let mut settings = Settings {
        rounds: if quick { 2 } else { 5 },
        run_time: Duration::from_millis(if quick { 15 } else { 60 }),
        fair_time: Duration::from_millis(if quick { 200 } else { 2000 }),
        recoveries: if quick { 20 } else { 200 },
        pins: &[false, true],
        begun: Instant::now(),
        plots: None,
        write: false,
        docs: Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs"),
        only: Vec::new(),
        cell: String::new(),
        contenders: Vec::new(),
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => {}
            "--write" => settings.write = true,
            "--docs" => settings.docs = value()?.into(),
            "--plots" => settings.plots = Some(value()?.into()),
            "--only" => {
                let name = value()?;
                settings.only.push(Part::named(name).ok_or(format!("{name}: no such part"))?);
            }
            "--cell" => settings.cell.clone_from(value()?),
            "--contender" => settings.contenders.push(value()?.clone()),
            "--rounds" => {
                let text = value()?;
                settings.rounds = text.parse().ok().filter(|n| *n > 0).ok_or(format!("{text}: not a number"))?;
            }
            "--pin" => {
                settings.pins = match value()?.as_str() {
                    "yes" => &[true],
                    "no" => &[false],
                    "both" => &[false, true],
                    other => return Err(format!("{other}: yes, no or both")),
                };
            }
            other => return Err(format!("{other}: unknown")),
        }
    }
    if settings.write {
        if !settings.is_whole() {
            return Err("--write needs everything: without --only, --cell and --contender".into());
        }
        // Said now, and not after the run.
        document::page(&settings.docs)?;
    }
    Ok(settings)
}
