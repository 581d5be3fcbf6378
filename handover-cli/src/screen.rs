//! What people see: lines that stay, and on a terminal one line at the bottom that is written over.

use std::io::{self, IsTerminal, StdoutLock, Write};

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
        Screen { out: io::stdout().lock(), terminal: io::stdout().is_terminal(), passing: false }
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

/// Why standard output took nothing, of the same kind as it was.
pub(crate) fn untaken(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("standard output takes nothing: {error}"))
}

/// A number with its thousands apart: `12,345,678`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With three digits or so: `0.5`, `999`, `12.3k`, `1.2M`.
pub(crate) fn short(number: f64) -> String {
    let (mut number, mut unit) = (number, 0);
    // What would be shown as 1000 of a unit is one of the next.
    while number >= 999.5 && unit < 6 {
        number /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && number < 99.95 || number < 9.95 && number.fract() != 0.0);
    format!("{number:.digits$}{}", ["", "k", "M", "G", "T", "P", "E"][unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn short_numbers_have_about_three_digits() {
        for (number, text) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (0.5, "0.5"),
            (7.0, "7"),
            (9.96, "10"),
            (42.4, "42"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12.3k"),
            (123_456.0, "123k"),
            (999_600.0, "1.0M"),
            (1_234_567.0, "1.2M"),
            (u64::MAX as f64, "18.4E"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
