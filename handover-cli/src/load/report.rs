//! What is told of the load: while it goes on, and at the end.

use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::numbers::{grouped, time};
use crate::progress;
use crate::screen::Screen;
use crate::trouble::Trouble;
use crate::units;
use crate::view::facts::Facts;

/// How often it is reported.
#[derive(Clone, Copy, Debug)]
pub(super) enum Every {
    Messages(u64),
    Time(Duration),
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        // 5m are minutes, and 5M messages.
        let every = match units::duration(text) {
            Ok(time) => Every::Time(time),
            Err(_) => Every::Messages(
                units::number(text).map_err(|_| "a number of messages or a time with its unit: 10k, 1s".to_owned())?,
            ),
        };
        match every {
            Every::Messages(0) | Every::Time(Duration::ZERO) => {
                Err("that is all the time; leave it out, or say more".into())
            }
            _ => Ok(every),
        }
    }
}

/// Where it ends, if that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) messages: Option<u64>,
    pub(super) time: Option<Duration>,
}

/// Counts messages, and how long each took.
pub(super) struct Report {
    every: Every,
    end: End,
    /// None where nothing is told before the end.
    shown: Option<Shown>,
    pub(super) messages: u64,
    bytes: u64,
    /// When the first was counted, and the last: by the clock that all processes share.
    first: u64,
    last: u64,
    all: Histogram<u64>,
    /// Since it was reported last: how long each took, since when, and from which message on.
    recent: Histogram<u64>,
    since: (u64, u64),
}

/// An hour: what took longer counts as that.
const LONGEST: u64 = 3_600_000_000_000;

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST, 3).expect("bounds that fit")
}

impl Report {
    pub(super) fn begin(every: Every, end: End, quiet: bool, now: u64) -> Report {
        Report {
            every,
            end,
            shown: (!quiet).then(|| Shown::begin(end)),
            messages: 0,
            bytes: 0,
            first: now,
            last: now,
            all: histogram(),
            recent: histogram(),
            since: (now, 0),
        }
    }

    /// A message of so many bytes, at that time, which took so long if that is known.
    #[inline]
    pub(super) fn count(&mut self, bytes: usize, now: u64, took: Option<u64>) -> Result<(), Trouble> {
        if self.messages == 0 {
            self.first = now;
        }
        self.messages += 1;
        self.bytes += bytes as u64;
        self.last = now;
        if let Some(took) = took {
            self.all.saturating_record(took);
            self.recent.saturating_record(took);
        }
        let due = match self.every {
            Every::Messages(number) => self.messages.is_multiple_of(number),
            Every::Time(time) => now - self.since.0 >= time.as_nanos() as u64,
        };
        if due { self.tell(now) } else { Ok(()) }
    }

    #[cold]
    fn tell(&mut self, now: u64) -> Result<(), Trouble> {
        if let Some(shown) = &mut self.shown {
            let (since, before) = self.since;
            let rate = rate(self.messages - before, now - since);
            let line = format!(
                "{:>14} messages  {:>12}/s  {}",
                grouped(self.messages),
                grouped(rate),
                latencies(&self.recent)
            );
            shown.tell(&line, self.end.part(self.messages, now - self.first))?;
        }
        self.recent.reset();
        self.since = (now, self.messages);
        Ok(())
    }

    /// The summary, with what else is to be told.
    pub(super) fn end(self, facts: Facts, more: impl FnOnce(Facts) -> Facts, json: bool) -> Result<(), Trouble> {
        let told = self.since.1 > 0;
        drop(self.shown);
        let quantile =
            |part: f64| (!self.all.is_empty()).then(|| Duration::from_nanos(self.all.value_at_quantile(part)));
        let took = Duration::from_nanos(self.last - self.first);
        let facts = facts
            .with("messages", self.messages)
            .with("bytes", self.bytes)
            .with_time("took_seconds", Some(took))
            .with("messages_per_second", rate(self.messages.saturating_sub(1), self.last - self.first))
            .with_time("latency_p50_seconds", quantile(0.5))
            .with_time("latency_p90_seconds", quantile(0.9))
            .with_time("latency_p99_seconds", quantile(0.99))
            .with_time("latency_p999_seconds", quantile(0.999))
            .with_time("latency_max_seconds", quantile(1.0));
        let steps = steps(&self.all);
        let mut screen = Screen::new();
        if json {
            let step = |(up_to, count): &(u64, u64)| {
                Facts::default().with_time("up_to_seconds", Some(Duration::from_nanos(*up_to))).with("messages", *count)
            };
            let facts = more(facts).list("latencies", steps.iter().map(step));
            screen.line(&serde_json::to_string_pretty(&facts.json()).expect("values are JSON"))?;
            return Ok(());
        }
        if told {
            screen.line("")?;
        }
        screen.line(more(facts).lines().trim_end())?;
        if !steps.is_empty() {
            screen.line(&format!("\n{}", drawn(&steps).trim_end()))?;
        }
        Ok(())
    }
}

impl End {
    /// How much of it is done, in thousandths.
    fn part(self, messages: u64, nanoseconds: u64) -> u64 {
        let of = |done: u64, whole: u64| (u128::from(done) * 1000 / u128::from(whole.max(1))).min(1000) as u64;
        let by_messages = self.messages.map(|whole| of(messages, whole));
        let by_time = self.time.map(|whole| of(nanoseconds, u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX)));
        by_messages.into_iter().chain(by_time).max().unwrap_or(0)
    }
}

fn rate(messages: u64, nanoseconds: u64) -> u64 {
    (u128::from(messages) * 1_000_000_000 / u128::from(nanoseconds.max(1))) as u64
}

fn latencies(of: &Histogram<u64>) -> String {
    if of.is_empty() {
        return String::new();
    }
    let at = |value: u64| time(Duration::from_nanos(value));
    format!(
        "latency p50 {}, p99 {}, max {}",
        at(of.value_at_quantile(0.5)),
        at(of.value_at_quantile(0.99)),
        at(of.max())
    )
}

/// How many took up to 1, 2, 5, 10, 20, 50 nanoseconds and so on: from the first of these that any took to the last.
fn steps(all: &Histogram<u64>) -> Vec<(u64, u64)> {
    let mut bounds = (0..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let mut steps: Vec<(u64, u64)> = Vec::new();
    let mut bound = bounds.next().expect("there are more");
    for value in all.iter_recorded() {
        let (took, count) = (value.value_iterated_to(), value.count_since_last_iteration());
        while bound < took {
            bound = bounds.next().expect("there are more");
            if !steps.is_empty() {
                steps.push((bound, 0));
            }
        }
        match steps.last_mut() {
            Some((_, counted)) => *counted += count,
            None => steps.push((bound, count)),
        }
    }
    steps
}

/// As long as the longest bar is.
const BAR: u64 = 50;

fn drawn(steps: &[(u64, u64)]) -> String {
    let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let mut text = String::new();
    for (up_to, count) in steps {
        let length = (u128::from(*count) * u128::from(BAR)).div_ceil(u128::from(most)) as usize;
        let up_to = Duration::from_nanos(*up_to);
        text += &format!("up to {:>8}  {:>14}  {}\n", time(up_to), grouped(*count), "#".repeat(length))
            .replace("  \n", "\n");
    }
    text
}

/// Reports as they pass: on a terminal in place, else as lines.
struct Shown {
    screen: Screen,
    /// On a terminal, if it is known where it ends.
    bar: Option<ProgressBar>,
}

impl Shown {
    fn begin(end: End) -> Shown {
        let known = end.messages.is_some() || end.time.is_some();
        let bar = (known && io::stdout().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stdout());
            bar.with_style(progress::style("bar:20", "{msg}"))
        });
        Shown { screen: Screen::new(), bar }
    }

    fn tell(&mut self, line: &str, part: u64) -> Result<(), Trouble> {
        match &self.bar {
            Some(bar) => {
                bar.set_message(line.trim_start().to_owned());
                bar.set_position(part);
                Ok(())
            }
            None => Ok(self.screen.status(line)?),
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_drawn_by_steps_as_long_as_they_are_many() {
        let mut all = histogram();
        assert!(steps(&all).is_empty());
        for (took, count) in [(3, 100), (4, 100), (40, 2), (0, 0)] {
            all.record_n(took, count).unwrap();
        }
        let steps = steps(&all);
        assert_eq!(steps, [(5, 200), (10, 0), (20, 0), (50, 2)]);
        let bar = "#".repeat(50);
        assert_eq!(
            drawn(&steps),
            format!(
                "up to     5 ns             200  {bar}\nup to    10 ns               0\n\
                 up to    20 ns               0\nup to    50 ns               2  #\n"
            )
        );
    }

    #[test]
    fn it_is_known_how_much_is_done() {
        let end = |messages, time| End { messages, time };
        assert_eq!(end(Some(10), None).part(5, 7), 500);
        assert_eq!(end(None, Some(Duration::from_secs(1))).part(5, 250_000_000), 250);
        assert_eq!(end(Some(10), Some(Duration::from_secs(1))).part(9, 250_000_000), 900);
        assert_eq!(end(None, None).part(9, 250_000_000), 0);
        assert_eq!(end(Some(0), None).part(9, 0), 1000);
    }

    #[test]
    fn reports_come_by_number_or_by_time() {
        for text in ["10000", "10k"] {
            assert!(matches!(text.parse(), Ok(Every::Messages(10_000))));
        }
        assert!(matches!("5m".parse(), Ok(Every::Time(time)) if time == Duration::from_secs(300)));
        assert!(matches!("1s".parse(), Ok(Every::Time(time)) if time == Duration::from_secs(1)));
        for text in ["", "0", "0s", "x", "-1"] {
            assert!(text.parse::<Every>().is_err(), "{text}");
        }
    }
}
