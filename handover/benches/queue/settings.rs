//! What the command line asks for.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

pub const USAGE: &str = "cargo bench -p handover -- [--quick] [--only throughput|batch|latency|idle|memory|recovery]... \
                         [--cell TEXT] [--rounds N] [--messages N] [--pin] [--markdown FILE]";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Throughput,
    Batch,
    Latency,
    Idle,
    Memory,
    Recovery,
}

impl Part {
    pub const ALL: [Part; 6] = [Part::Throughput, Part::Batch, Part::Latency, Part::Idle, Part::Memory, Part::Recovery];

    fn named(name: &str) -> Option<Part> {
        Part::ALL.into_iter().find(|part| format!("{part:?}").eq_ignore_ascii_case(name))
    }
}

pub struct Settings {
    pub rounds: usize,
    /// In each throughput run; otherwise as many as take about `run_time`.
    pub messages: Option<u64>,
    pub run_time: Duration,
    pub recoveries: u32,
    /// Endpoints are pinned to the processors in turn.
    pub pin: bool,
    pub markdown: Option<PathBuf>,
    only: Vec<Part>,
    /// Part of a cell's name.
    cell: String,
}

impl Settings {
    pub fn includes(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Of throughput and batches.
    pub fn includes_cell(&self, name: &impl ToString) -> bool {
        name.to_string().contains(&self.cell)
    }

    pub fn describe(&self) -> String {
        let messages = match self.messages {
            Some(messages) => format!("{messages} messages in each run"),
            None => format!("each run with as many messages as take about {} ms", self.run_time.as_millis()),
        };
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let pinned = if self.pin {
            "endpoints pinned to the processors in turn"
        } else {
            "nothing pinned, but where ends are apart"
        };
        format!(
            "{cores} processors; {} rounds after one to warm up, interleaved; {messages}; {pinned}. Medians, with \
             [least..greatest]; every run verified by count and checksum. All contenders block (rtrb yields). \"field\" \
             is the better of crossbeam-channel and crossfire in the same cell.",
            self.rounds
        )
    }
}

/// `None` if this is no benchmark run: `cargo test` runs benchmarks too, and passes no `--bench`.
pub fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Option<Settings>, String> {
    let arguments: Vec<String> = arguments.collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    if given("--test") || !given("--bench") {
        println!("not run as a benchmark: {USAGE}");
        return Ok(None);
    }
    let quick = given("--quick");
    let mut settings = Settings {
        rounds: if quick { 3 } else { 7 },
        messages: None,
        run_time: Duration::from_millis(if quick { 50 } else { 250 }),
        recoveries: if quick { 40 } else { 200 },
        pin: false,
        markdown: None,
        only: Vec::new(),
        cell: String::new(),
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        let number = |text: &String| text.parse::<u64>().ok().filter(|n| *n > 0).ok_or(format!("{text}: not a number"));
        match argument.as_str() {
            "--bench" | "--quick" => {}
            "--only" => {
                let name = value()?;
                settings.only.push(Part::named(name).ok_or(format!("{name}: no such part"))?);
            }
            "--cell" => settings.cell.clone_from(value()?),
            "--rounds" => settings.rounds = number(value()?)? as usize,
            "--messages" => settings.messages = Some(number(value()?)?),
            "--pin" => settings.pin = true,
            "--markdown" => settings.markdown = Some(value()?.into()),
            other => return Err(format!("{other}: unknown")),
        }
    }
    Ok(Some(settings))
}
