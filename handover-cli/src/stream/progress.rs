//! How far a long input or output is, for whoever sits at the terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::numbers::{bytes, counted, grouped};
use crate::progress;
use crate::system::standard;

/// What is over by then needs no bar.
const LONG: Duration = Duration::from_secs(1);

/// A bar on standard error, if that is a terminal, and once it has taken long.
pub(crate) struct Progress {
    /// When it began; none where no bar will be.
    begun: Option<Instant>,
    /// How many bytes or messages there are, if that is known.
    whole: Option<u64>,
    /// What is told beside the bar.
    beside: fn(&Progress) -> String,
    bar: Option<ProgressBar>,
    messages: u64,
    done: u64,
}

impl Progress {
    /// Of standard input; of one whose end is not known there is none.
    pub(crate) fn of_input() -> Progress {
        let whole = standard::file(&io::stdin()).and_then(left);
        let beside = |so_far: &Progress| {
            let whole = bytes(so_far.whole.unwrap_or_default());
            format!("{} of {whole}, {}", bytes(so_far.done), counted(so_far.messages as usize, "message"))
        };
        Progress::begin(whole, beside, whole.is_some())
    }

    /// Of so many messages that are printed, into a file: what is printed into a pipe may come out on the terminal.
    pub(crate) fn of_output(whole: Option<u64>) -> Progress {
        let beside = |so_far: &Progress| match so_far.whole {
            Some(whole) => format!("{} of {}", grouped(so_far.messages), counted(whole as usize, "message")),
            None => counted(so_far.messages as usize, "message"),
        };
        Progress::begin(whole, beside, standard::file(&io::stdout()).is_some())
    }

    fn begin(whole: Option<u64>, beside: fn(&Progress) -> String, shown: bool) -> Progress {
        let begun = (shown && io::stderr().is_terminal()).then(Instant::now);
        Progress { begun, whole, beside, bar: None, messages: 0, done: 0 }
    }

    /// One message more, and so much more of the whole.
    pub(crate) fn add(&mut self, done: u64) {
        self.messages += 1;
        self.done += done;
        let Some(begun) = self.begun else { return };
        if self.bar.is_none() && begun.elapsed() >= LONG {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(self.whole, target).with_elapsed(begun.elapsed());
            self.bar = Some(bar.with_style(match self.whole {
                Some(_) => progress::style("wide_bar:", "{msg}"),
                None => ProgressStyle::with_template("{msg} in {elapsed}").expect("a template"),
            }));
        }
        if let Some(bar) = &self.bar {
            bar.set_message((self.beside)(self));
            bar.set_position(self.done);
        }
    }
}

/// How many bytes a file still has.
fn left(mut file: File) -> Option<u64> {
    Some(file.metadata().ok()?.len().saturating_sub(file.stream_position().ok()?))
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
