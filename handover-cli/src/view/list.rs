//! `ls`: what there is on this machine.

use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::facts::{Facts, table};
use crate::numbers::{grouped, short};
use crate::screen::Screen;
use crate::trouble::Trouble;
use crate::units;
use crate::watch::{Look, Pace, Segment};

#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// As a JSON array, for programs.
    #[arg(long)]
    json: bool,
    /// How long to watch what is in use for its rates: 100ms, 1s.
    #[arg(long, value_name = "TIME", value_parser = units::interval, default_value = "100ms")]
    interval: Duration,
}

pub(crate) const EXAMPLE: &str = "\
Depth is how many messages or tasks are in it; of a broadcast, how far the last of its readers is behind. IN/S and OUT/S are
how many go in and out each second (of a broadcast, OUT/S is what all readers read together). Stale is what no process has
open: left behind, or waiting for its next user.

Examples:
  handover ls
  handover ls --interval 1s
  handover ls --json | jq -r '.[] | select(.in_use | not) | .name'";

/// What `ls` says of a segment.
struct Row {
    segment: Segment,
    pace: Pace,
}

pub(crate) fn ls(wanted: &Ls) -> Result<(), Trouble> {
    let before = Look::at_all()?;
    let mut now = before.clone();
    // Nothing moves in what nobody uses.
    if before.segments.iter().any(|segment| segment.in_use) {
        thread::sleep(wanted.interval);
        now = Look::at_all()?;
    }
    let pace = |segment: &Segment| now.pace(&before, segment);
    let rows: Vec<Row> =
        now.segments.iter().map(|segment| Row { segment: segment.clone(), pace: pace(segment) }).collect();
    let text = if wanted.json {
        let rows: Vec<Value> = rows.iter().map(|row| row.facts().json()).collect();
        serde_json::to_string_pretty(&rows).expect("values are JSON")
    } else {
        listed(&rows)
    };
    Ok(Screen::new().line(text.trim_end())?)
}

impl Row {
    fn kind(&self) -> String {
        self.segment.kind.map_or("?".into(), |kind| kind.to_string())
    }

    fn facts(&self) -> Facts {
        let Segment { name, kind, bytes, in_use, inside } = &self.segment;
        let facts = Facts::default()
            .with("name", name.as_str())
            .with("kind", kind.map(|kind| kind.to_string()))
            .with("bytes", *bytes)
            .with("in_use", *in_use);
        match inside {
            Err(why) => facts.with("error", why.as_str()),
            Ok(None) => facts,
            Ok(Some(inside)) => facts
                .with("depth", inside.depth)
                .with("capacity", inside.capacity)
                .with("in_per_second", self.pace.came)
                .with("out_per_second", self.pace.went)
                .with("members", inside.members.len())
                .with("dead_members", inside.dead())
                .with("closed", inside.closed),
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut state = if self.segment.in_use { "in use" } else { "stale" }.to_owned();
        let mut told = ["-"; 5].map(str::to_owned);
        match &self.segment.inside {
            Ok(Some(inside)) => {
                if inside.closed {
                    state += ", closed";
                }
                let members = match (inside.members.len(), inside.dead()) {
                    (all, 0) => all.to_string(),
                    (all, dead) => format!("{all}, {dead} dead"),
                };
                let rates = (short(self.pace.came), short(self.pace.went));
                told = [grouped(inside.depth), grouped(inside.capacity as u64), rates.0, rates.1, members];
            }
            Ok(None) => {}
            Err(why) => state = why.clone(),
        }
        let first = [self.segment.name.clone(), self.kind()];
        first.into_iter().chain(told).chain([state]).collect()
    }
}

fn listed(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "there is nothing yet; make a queue: handover create lines".into();
    }
    let head = ["NAME", "KIND", "DEPTH", "CAPACITY", "IN/S", "OUT/S", "MEMBERS", "STATE"].map(str::to_owned).to_vec();
    table(head, rows.iter().map(Row::cells).collect())
}

#[cfg(test)]
mod tests {
    use handover::Kind;

    use super::*;
    use crate::watch::{Doing, Inside, Member, Part};

    fn example(name: &str, inside: Result<Option<Inside>, String>) -> Row {
        let segment = Segment { name: name.into(), kind: Some(Kind::Tasks), bytes: 1, in_use: false, inside };
        Row { segment, pace: Pace { came: 12_345.6, went: 0.5, members: Vec::new() } }
    }

    #[test]
    fn where_there_is_nothing_it_says_what_to_do() {
        assert_eq!(listed(&[]), "there is nothing yet; make a queue: handover create lines");
    }

    #[test]
    fn each_segment_is_a_line_with_its_state() {
        let member =
            |alive| Member { part: Part::Worker, number: 0, pid: 1, alive, moved: None, doing: Doing::Nothing };
        let inside = Inside {
            depth: 7,
            capacity: 1000,
            max_capacity: 1000,
            slot_bytes: 1,
            closed: true,
            came: 1,
            went: None,
            members: vec![member(true), member(false), member(true)],
            recovered: Vec::new(),
            standing: None,
        };
        let rows = [example("jobs", Ok(Some(inside))), example("x", Err("is odd".into()))];
        let text = "NAME  KIND        DEPTH  CAPACITY   IN/S  OUT/S  MEMBERS    STATE\n\
                    jobs  task queue      7     1,000  12.3k    0.5  3, 1 dead  stale, closed\n\
                    x     task queue      -         -      -      -  -          is odd\n";
        assert_eq!(listed(&rows), text);
    }
}
