//! What is printed, and written to docs/PERFORMANCE.md.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::contenders::{ALL, Side};
use crate::settings::Settings;
use crate::shared::aims::Aims;
use crate::shared::report::{Report, Table};

/// Tables, aims, and plots.
#[derive(Default)]
pub struct Document {
    /// Printed as it comes.
    pub report: Report,
    /// Printed at the end.
    pub aims: Aims,
    /// Names of files, and what is in them.
    plots: Vec<(String, String)>,
}

/// What stands between these two lines is replaced.
const BEGIN: &str = "<!-- figures: written by compare, from here on -->";
const END: &str = "<!-- figures: up to here -->";

const PAGE: &str = "PERFORMANCE.md";

impl Document {
    /// Everybody, with version and setting.
    pub fn contenders(&mut self, settings: &Settings) {
        let mut table = Table::new("Who takes part, and how", ["between", "contender", "version", "setting"]);
        table.left = 4;
        for entry in ALL.iter().filter(|entry| settings.includes_contender(entry)) {
            let whose = if entry.side == Side::Machine { "the machine" } else { entry.between() };
            table.row([whose, entry.name, &entry.version(), entry.setting]);
        }
        self.report.table(&table);
        self.report.text("Messages of all sizes are moved or copied by value, for everybody.");
    }

    /// Keeps a plot, and shows where it will stand.
    pub fn plot(&mut self, file: &str, title: &str, svg: String) {
        self.report.markdown.push(format!("![{title}](plots/{file}.svg)\n"));
        self.plots.push((format!("{file}.svg"), svg));
    }

    /// The aims, and whether the machine was quiet.
    pub fn end(&mut self, took: Duration, others: f64) {
        let Document { report, aims, .. } = self;
        aims.tell(report);
        let loud = if others > 0.05 { ": TOO MANY, run it again on a quiet machine" } else { "" };
        let seconds = took.as_secs();
        report.text(&format!("Measured in {seconds} s, while other programs kept {others:.2} processors busy{loud}."));
    }

    /// Writes the plots into that folder.
    pub fn write_plots(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder for the plots");
        for (file, svg) in &self.plots {
            fs::write(folder.join(file), svg).expect("a plot can be written");
        }
    }

    /// Writes PERFORMANCE.md between its marks, and the plots.
    pub fn write(&self, docs: &Path) {
        self.write_plots(&docs.join("plots"));
        let (before, after) = page(docs).expect("it was there when this began");
        let figures = self.report.markdown();
        fs::write(docs.join(PAGE), format!("{before}{BEGIN}\n\n{figures}\n{END}{after}")).expect("the page");
    }
}

/// What stands before and after the figures; or why they can't be written there.
pub fn page(docs: &Path) -> Result<(String, String), String> {
    let path = docs.join(PAGE);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or(format!("{}: lacks the lines {BEGIN} and {END}", path.display()))?;
    Ok((before.to_owned(), after.to_owned()))
}
