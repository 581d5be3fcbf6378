//! How far something is that takes its time: a bar, on a terminal only, on standard error.

use indicatif::{ProgressBar, ProgressStyle};

use crate::screen;

/// How every bar looks: as that piece of a template, and what stands beside it.
pub(crate) fn style(bar: &str, beside: &str) -> ProgressStyle {
    let colour = if screen::colours_are_wanted() { ".blue" } else { "" };
    let style = ProgressStyle::with_template(&format!("{{{bar}{colour}}} {beside}"));
    style.expect("a template").progress_chars("━╸─")
}

/// Gone when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(steps: usize) -> Progress {
        Progress(ProgressBar::new(steps as u64).with_style(style("bar:32", "{percent:>3} %  {msg}")))
    }

    /// There is more to do than was thought.
    pub(crate) fn expect(&self, steps: usize) {
        self.0.set_length(self.0.position() + steps as u64);
    }

    /// What is done next.
    pub(crate) fn on(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    pub(crate) fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
