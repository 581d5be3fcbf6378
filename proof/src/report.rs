//! What a run prints: a table of what was tried, and what broke.

use std::fmt;

/// The outcome of one run.
pub struct Verdict {
    /// What was run.
    pub title: String,
    /// The names of the columns.
    pub head: Vec<String>,
    /// What was tried, a row for each kind.
    pub rows: Vec<Vec<String>>,
    /// What broke, each with what is needed to see it again. Empty if every promise held.
    pub violations: Vec<String>,
    /// Why nothing could be tried here, if so. Then nothing is shown either.
    pub untried: Option<String>,
}

impl Verdict {
    /// Nothing tried so far.
    pub fn new(title: impl Into<String>, head: Vec<String>) -> Verdict {
        Verdict { title: title.into(), head, rows: Vec::new(), violations: Vec::new(), untried: None }
    }

    /// It can't be tried here.
    pub fn untried(title: impl Into<String>, why: impl Into<String>) -> Verdict {
        Verdict { untried: Some(why.into()), ..Verdict::new(title, Vec::new()) }
    }

    /// Whether it was tried, and every promise held.
    pub fn holds(&self) -> bool {
        self.violations.is_empty() && self.untried.is_none()
    }

    /// The table for a document.
    pub fn markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("### {}\n\n{}|{}\n", self.title, row(&self.head), "---|".repeat(self.head.len()));
        text.extend(self.rows.iter().map(|cells| row(cells)));
        text.extend(self.untried.iter().map(|why| format!("\nNothing was tried: {why}\n")));
        text.extend(self.violations.iter().map(|violation| format!("\n- {violation}")));
        text
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.title)?;
        if let Some(why) = &self.untried {
            return write!(f, "  NOTHING WAS TRIED: {why}");
        }
        let lines: Vec<&Vec<String>> = [&self.head].into_iter().chain(&self.rows).collect();
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        for line in &lines {
            for (column, cell) in line.iter().enumerate() {
                // Names to the left, figures to the right.
                if column == 0 {
                    write!(f, "  {cell:<0$}", width(column))?;
                } else {
                    write!(f, "  {cell:>0$}", width(column))?;
                }
            }
            writeln!(f)?;
        }
        for violation in &self.violations {
            writeln!(f, "  BROKEN: {violation}")?;
        }
        write!(f, "  {}", if self.holds() { "every promise held" } else { "NOT every promise held" })
    }
}
