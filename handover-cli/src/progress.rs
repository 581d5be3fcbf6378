//! How far something is that takes its time: a bar, on a terminal only, on standard error.

use std::env;

use indicatif::{ProgressBar, ProgressStyle};

/// Gone when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(steps: usize) -> Progress {
        let bar = ProgressBar::new(steps as u64);
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let template = if plain { "{bar:32} {percent:>3} %  {msg}" } else { "{bar:32.blue} {percent:>3} %  {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Progress(bar)
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
