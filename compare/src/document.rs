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

    /// Writes docs/PERFORMANCE.md between its marks, and the plots.
    pub fn write(&self) {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        self.write_plots(&docs.join("plots"));
        let page = docs.join("PERFORMANCE.md");
        let old = fs::read_to_string(&page).expect("docs/PERFORMANCE.md");
        let (before, rest) = old.split_once(BEGIN).expect("the mark where figures begin");
        let (_, after) = rest.split_once(END).expect("the mark where figures end");
        let figures = self.report.markdown();
        fs::write(page, format!("{before}{BEGIN}\n\n{figures}\n{END}{after}")).expect("docs/PERFORMANCE.md");
    }
}
