//! `ls`: what there is on this machine.

use clap::Args;
use handover::{Error, Kind, NamedSegment, segments};
use serde_json::Value;

use super::facts::{Facts, aligned};
use crate::screen::Screen;
use crate::target::Target;
use crate::trouble::Trouble;

#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// As a JSON array, for programs.
    #[arg(long)]
    json: bool,
}

pub(crate) const EXAMPLE: &str = "\
Depth is how many messages or tasks are in it; of a broadcast, how far the last of its readers is behind. Stale is what no
process has open: left behind, or waiting for its next user.

Examples:
  handover ls
  handover ls --json | jq -r '.[] | select(.in_use | not) | .name'";

/// What `ls` says of a segment.
struct Row {
    name: String,
    kind: Option<Kind>,
    bytes: u64,
    in_use: bool,
    inside: Result<Option<Inside>, String>,
}

/// What is told of queues of all kinds.
struct Inside {
    depth: u64,
    capacity: usize,
    /// How many are attached, and how many of them died.
    members: (usize, usize),
    closed: bool,
}

pub(crate) fn ls(wanted: &Ls) -> Result<(), Trouble> {
    let rows: Vec<Row> = segments()?.into_iter().filter_map(row).collect();
    let text = if wanted.json {
        let rows: Vec<Value> = rows.iter().map(|row| row.facts().json()).collect();
        serde_json::to_string_pretty(&rows).expect("values are JSON")
    } else {
        table(&rows)
    };
    Ok(Screen::new().line(text.trim_end())?)
}

/// None for one that went away meanwhile.
fn row(segment: NamedSegment) -> Option<Row> {
    let NamedSegment { name, kind, bytes, in_use, .. } = segment;
    let kind = match kind {
        Ok(kind) => kind,
        Err(error) => return Some(Row { name, kind: None, bytes, in_use, inside: Err(error.to_string()) }),
    };
    let inside = match inside(kind, &Target::Name(name.clone())) {
        Err(Error::NotFound { .. }) => return None,
        inside => inside.map_err(|error| error.to_string()),
    };
    Some(Row { name, kind: Some(kind), bytes, in_use, inside })
}

fn inside(kind: Kind, target: &Target) -> Result<Option<Inside>, Error> {
    let counted = |alive: &[bool]| (alive.len(), alive.iter().filter(|alive| !**alive).count());
    Ok(Some(match kind {
        Kind::Queue => {
            let report = target.queue_report()?;
            let alive: Vec<bool> = report.members.iter().map(|member| member.alive).collect();
            Inside {
                depth: (report.len + report.handed_back) as u64,
                capacity: report.capacity,
                members: counted(&alive),
                closed: report.closed,
            }
        }
        Kind::Broadcast => {
            let report = target.broadcast_report()?;
            let readers = report.readers.iter().map(|reader| reader.alive);
            let alive: Vec<bool> = readers.chain(report.writer.map(|(_, alive)| alive)).collect();
            Inside {
                depth: report.readers.iter().map(|reader| reader.lag).max().unwrap_or(0),
                capacity: report.capacity,
                members: counted(&alive),
                closed: report.closed,
            }
        }
        Kind::Tasks => {
            let report = target.tasks_report()?;
            let workers = report.workers.iter().map(|worker| worker.alive);
            let alive: Vec<bool> = workers.chain(report.submitters.iter().map(|(_, alive)| *alive)).collect();
            let waiting: usize = report.waiting.iter().sum();
            Inside {
                depth: (waiting + report.delayed + report.leased + report.dead_letters + report.finished) as u64,
                capacity: report.capacity,
                members: counted(&alive),
                closed: report.closed,
            }
        }
        _ => return Ok(None),
    }))
}

impl Row {
    fn kind(&self) -> String {
        self.kind.map_or("?".into(), |kind| kind.to_string())
    }

    fn facts(&self) -> Facts {
        let facts = Facts::default()
            .with("name", self.name.as_str())
            .with("kind", self.kind.map(|kind| kind.to_string()))
            .with("bytes", self.bytes)
            .with("in_use", self.in_use);
        match &self.inside {
            Err(why) => facts.with("error", why.as_str()),
            Ok(None) => facts,
            Ok(Some(inside)) => facts
                .with("depth", inside.depth)
                .with("capacity", inside.capacity)
                .with("members", inside.members.0)
                .with("dead_members", inside.members.1)
                .with("closed", inside.closed),
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut state = if self.in_use { "in use" } else { "stale" }.to_owned();
        let (depth, capacity, members) = match &self.inside {
            Ok(Some(inside)) => {
                if inside.closed {
                    state += ", closed";
                }
                let members = match inside.members {
                    (all, 0) => all.to_string(),
                    (all, dead) => format!("{all}, {dead} dead"),
                };
                (inside.depth.to_string(), inside.capacity.to_string(), members)
            }
            Ok(None) => ("-".into(), "-".into(), "-".into()),
            Err(why) => {
                state = why.clone();
                ("-".into(), "-".into(), "-".into())
            }
        };
        vec![self.name.clone(), self.kind(), depth, capacity, members, state]
    }
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "there is nothing yet; make a queue: handover create lines".into();
    }
    let head = ["NAME", "KIND", "DEPTH", "CAPACITY", "MEMBERS", "STATE"].map(str::to_owned).to_vec();
    aligned(&[head].into_iter().chain(rows.iter().map(Row::cells)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(name: &str, inside: Result<Option<Inside>, String>) -> Row {
        Row { name: name.into(), kind: Some(Kind::Tasks), bytes: 1, in_use: false, inside }
    }

    #[test]
    fn where_there_is_nothing_it_says_what_to_do() {
        assert_eq!(table(&[]), "there is nothing yet; make a queue: handover create lines");
    }

    #[test]
    fn each_segment_is_a_line_with_its_state() {
        let inside = Inside { depth: 7, capacity: 1000, members: (3, 1), closed: true };
        let rows = [example("jobs", Ok(Some(inside))), example("x", Err("is odd".into()))];
        let text = "NAME  KIND        DEPTH  CAPACITY  MEMBERS    STATE\n\
                    jobs  task queue  7      1000      3, 1 dead  stale, closed\n\
                    x     task queue  -      -         -          is odd\n";
        assert_eq!(table(&rows), text);
    }
}
