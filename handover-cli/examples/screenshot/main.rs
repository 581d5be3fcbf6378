//! Runs a command in a terminal of its own, and writes what is to be seen there as SVG.
//!
//!     cargo run -p handover-cli --example screenshot -- demo.svg --size 100x30 -- handover demo
//!
//! docs/screens/draw makes the pictures of the documents with it.

mod svg;
#[path = "../../tests/common/terminal.rs"]
mod terminal;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use self::terminal::{Size, Terminal};

/// Run a command in a terminal of its own, and write what is to be seen there as SVG.
#[derive(Parser)]
struct Arguments {
    /// The file to write.
    picture: PathBuf,
    /// Columns and rows of the terminal.
    #[arg(long, value_name = "COLUMNSxROWS", value_parser = size, default_value = "80x24")]
    size: Size,
    /// The picture is taken after so many seconds, or when the command has ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    after: f64,
    /// What is typed after one second.
    #[arg(long, default_value = "")]
    keys: String,
    /// What stands above it: the command, if nothing is said.
    #[arg(long)]
    title: Option<String>,
    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

fn size(text: &str) -> Result<Size, String> {
    let sides = text.split_once('x').and_then(|(columns, rows)| Some((columns.parse().ok()?, rows.parse().ok()?)));
    sides.filter(|(columns, rows)| *columns > 0 && *rows > 0).ok_or_else(|| "a size is as 80x24".into())
}

fn main() -> io::Result<()> {
    let wanted = Arguments::parse();
    let mut terminal = Terminal::run(wanted.size, &wanted.command, &[]);
    let begun = Instant::now();
    let mut keys = Some(wanted.keys).filter(|keys| !keys.is_empty());
    while begun.elapsed().as_secs_f64() < wanted.after && !terminal.has_ended() {
        if begun.elapsed() > Duration::from_secs(1)
            && let Some(keys) = keys.take()
        {
            terminal.type_keys(&keys);
        }
        thread::sleep(Duration::from_millis(10));
    }
    // What it said last may be on its way.
    thread::sleep(Duration::from_millis(100));
    let command: Vec<_> = wanted.command.iter().map(|word| word.to_string_lossy()).collect();
    fs::write(wanted.picture, svg::picture(&terminal.screen(), &wanted.title.unwrap_or(command.join(" "))))
}
