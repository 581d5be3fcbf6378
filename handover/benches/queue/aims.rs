//! What the figures are held against.

use super::report::{Report, Table};
use super::statistics::{geometric_mean, show};

struct Aim {
    what: String,
    met: bool,
    figures: String,
    /// The cells that miss it, and their figures.
    misses: Vec<String>,
}

#[derive(Default)]
pub struct Aims(Vec<Aim>);

#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(least) => value >= least,
            Bound::AtMost(most) => value <= most,
        }
    }

    /// By how much a value misses it.
    fn missed_by(self, value: f64) -> f64 {
        match self {
            Bound::AtLeast(least) => 1.0 - value / least,
            Bound::AtMost(most) => value / most - 1.0,
        }
    }
}

impl Aims {
    /// One that is about several cells, each with a ratio.
    pub fn ratios(&mut self, what: impl Into<String>, bound: Bound, cells: &[(String, f64)]) {
        let by = |value| 100.0 * bound.missed_by(value);
        let worst = cells.iter().max_by(|a, b| by(a.1).total_cmp(&by(b.1)));
        let Some((worst_cell, worst)) = worst else { return };
        let misses: Vec<&(String, f64)> = cells.iter().filter(|(_, value)| !bound.holds(*value)).collect();
        let mut figures = format!(
            "{} of {} cells; geometric mean {}, worst {} ({worst_cell})",
            cells.len() - misses.len(),
            cells.len(),
            show(geometric_mean(cells.iter().map(|cell| cell.1))),
            show(*worst),
        );
        if !misses.is_empty() {
            figures += &format!("; missed by up to {:.0} %", by(*worst));
        }
        let misses: Vec<String> = misses.iter().map(|(cell, value)| format!("{cell}: {}", show(*value))).collect();
        self.0.push(Aim { what: what.into(), met: misses.is_empty(), figures, misses });
    }

    /// One that is about a single value.
    pub fn single(&mut self, what: impl Into<String>, bound: Bound, value: f64, figures: impl Into<String>) {
        let met = bound.holds(value);
        let mut figures = figures.into();
        if !met && bound.missed_by(value).is_finite() {
            figures += &format!("; missed by {:.0} %", 100.0 * bound.missed_by(value));
        }
        self.0.push(Aim { what: what.into(), met, figures, misses: Vec::new() });
    }

    pub fn tell(&self, report: &mut Report) {
        if self.0.is_empty() {
            return;
        }
        let mut table = Table::new("Aims", ["aim", "", "figures"]);
        table.left = 3;
        for aim in &self.0 {
            table.row([aim.what.as_str(), if aim.met { "met" } else { "MISSED" }, &aim.figures]);
        }
        let missed = self.0.iter().filter(|aim| !aim.misses.is_empty());
        let misses: Vec<_> = missed.map(|aim| (aim.what.as_str(), aim.misses.join(", "))).collect();
        if !misses.is_empty() {
            report.list("Cells that miss an aim", &misses);
        }
        report.table(&table);
    }
}
