//! What was tried, and what came of it.

use std::fmt;
use std::ops::AddAssign;

/// Counts of one run. Printed by a child, read back by its parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Segments made.
    pub segments: u64,
    /// Changes of their bytes.
    pub edits: u64,
    /// Changed segments that were opened all the same.
    pub opened: u64,
    /// Refused when they were opened.
    pub refused: u64,
    /// Calls made with what was opened.
    pub calls: u64,
    /// Messages that came out.
    pub messages: u64,
    /// Calls that found a number no correct program writes, or a message that is none.
    pub corrupt: u64,
}

impl Tally {
    /// The columns' names.
    pub const HEAD: [&str; 7] = ["segments", "edits", "opened", "refused", "calls", "messages", "found corrupt"];

    /// In the order of [`HEAD`](Self::HEAD).
    pub fn columns(&self) -> [u64; 7] {
        [self.segments, self.edits, self.opened, self.refused, self.calls, self.messages, self.corrupt]
    }

    /// The tally in a line that a child printed.
    pub fn read(line: &str) -> Option<Tally> {
        let numbers: Vec<u64> =
            line.strip_prefix("tally")?.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [segments, edits, opened, refused, calls, messages, corrupt] = numbers.try_into().ok()?;
        Some(Tally { segments, edits, opened, refused, calls, messages, corrupt })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tally")?;
        self.columns().iter().try_for_each(|number| write!(f, " {number}"))
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.segments += other.segments;
        self.edits += other.edits;
        self.opened += other.opened;
        self.refused += other.refused;
        self.calls += other.calls;
        self.messages += other.messages;
        self.corrupt += other.corrupt;
    }
}
