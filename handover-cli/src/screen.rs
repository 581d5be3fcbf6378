//! What people see: lines that stay, and on a terminal one line at the bottom that is written over.

use std::env;
use std::io::{self, IsTerminal, StdoutLock, Write};

use crate::system::terminal::takes_sequences;

/// Standard output.
pub(crate) struct Screen {
    out: StdoutLock<'static>,
    terminal: bool,
    /// The bottom line is there and will be written over.
    passing: bool,
}

const CLEAR_LINE: &str = "\r\x1b[2K";

impl Screen {
    pub(crate) fn new() -> Screen {
        Screen { out: io::stdout().lock(), terminal: io::stdout().is_terminal() && takes_sequences(), passing: false }
    }

    /// A line that stays.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.wipe()?;
        writeln!(self.out, "{text}").and_then(|()| self.out.flush()).map_err(untaken)
    }

    /// How things stand now: on a terminal the next one takes its place.
    pub(crate) fn status(&mut self, text: &str) -> io::Result<()> {
        if !self.terminal {
            return self.line(text);
        }
        self.wipe()?;
        write!(self.out, "{text}")?;
        self.passing = true;
        self.out.flush()
    }

    fn wipe(&mut self) -> io::Result<()> {
        if self.passing {
            write!(self.out, "{CLEAR_LINE}")?;
            self.passing = false;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The prompt comes next. Who can't be written to any more sees neither.
        let _ = self.wipe().and_then(|()| self.out.flush());
    }
}

/// Whether whoever looks at the terminal wants colours.
pub(crate) fn colours_are_wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How many letters a line has, if standard output is a terminal that says so.
pub(crate) fn width() -> Option<u16> {
    let terminal = io::stdout().is_terminal() && takes_sequences();
    let told = if terminal { ratatui::crossterm::terminal::size().ok() } else { None };
    // Some terminals say that they are nothing wide.
    told.map(|(width, _)| width).filter(|width| *width > 0)
}

/// Why standard output took nothing, of the same kind as it was.
pub(crate) fn untaken(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("standard output takes nothing: {error}"))
}
