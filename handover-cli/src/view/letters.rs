//! `letters` and `cancel`: tasks that nobody works on any more, or shall not work on.

use std::str::FromStr;

use clap::Args;
use handover::tasks::{DeadLetter, TaskId};
use handover::{Error, Tasks};
use serde_json::Value;

use super::facts::Facts;
use super::peek::{Shown, plainly};
use crate::screen::Screen;
use crate::target::Target;
use crate::trouble::Trouble;

#[derive(Args, Debug)]
pub(crate) struct Letters {
    /// The name of a task queue; with a slash in it, the path of its file.
    name: Target,
    /// Give this one, or all, every try anew, and no deadline.
    #[arg(long, value_name = "ID|all", conflicts_with_all = ["purge", "hex", "json"])]
    requeue: Option<Which>,
    /// Throw this one, or all, away.
    #[arg(long, value_name = "ID|all", conflicts_with_all = ["hex", "json"])]
    purge: Option<Which>,
    /// All bytes of each, in hexadecimal and as text.
    #[arg(long, conflicts_with = "json")]
    hex: bool,
    /// As a JSON array, for programs: with "text" where a message is text, and always with "hex".
    #[arg(long)]
    json: bool,
}

pub(crate) const LETTERS_EXAMPLE: &str = "\
A task becomes a dead letter when it has failed too often, or when its deadline has passed. The oldest come first, each with
its number, how often it was tried, the process in which it failed last, how long ago, and why. They keep their places in the
queue until they are requeued or purged; of these it is printed how many they were.

Examples:
  handover letters jobs
  handover letters jobs --requeue all
  handover letters jobs --json | jq -r '.[] | select(.reason | test(\"disk\")) | .task' |
    xargs -n 1 handover letters jobs --requeue";

#[derive(Clone, Copy, Debug)]
enum Which {
    One(TaskId),
    All,
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Which, String> {
        if text == "all" { Ok(Which::All) } else { id(text).map(Which::One) }
    }
}

fn id(text: &str) -> Result<TaskId, String> {
    text.parse().map(TaskId).map_err(|_| "a task has a number: handover letters and handover peek show it".to_owned())
}

pub(crate) fn letters(wanted: &Letters) -> Result<(), Trouble> {
    let tasks = wanted.name.tasks()?;
    let text = match (wanted.requeue, wanted.purge) {
        (Some(Which::One(id)), _) => tasks.requeue(id).map(|()| "1 requeued".into()).map_err(unknown)?,
        (Some(Which::All), _) => format!("{} requeued", tasks.requeue_all()?),
        (None, Some(Which::One(id))) => tasks.purge(id).map(|()| "1 purged".into()).map_err(unknown)?,
        (None, Some(Which::All)) => format!("{} purged", tasks.purge_all()?),
        (None, None) => list(&tasks, wanted),
    };
    Ok(Screen::new().line(text.trim_end())?)
}

fn list(tasks: &Tasks<[u8]>, wanted: &Letters) -> String {
    let letters: Vec<DeadLetter<Vec<u8>>> = tasks.dead_letters();
    if wanted.json {
        let all: Vec<Value> = letters.into_iter().map(|letter| shown(letter, str::to_owned).json()).collect();
        return serde_json::to_string_pretty(&all).expect("values are JSON");
    }
    if letters.is_empty() {
        return format!("{}: no dead letters", wanted.name.shown());
    }
    let plain = |text: &str| plainly(text.as_bytes());
    let lines = letters.into_iter().map(|letter| {
        let shown = shown(letter, plain);
        if wanted.hex { shown.dump() } else { shown.line() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// With texts as `told` has them.
fn shown(letter: DeadLetter<Vec<u8>>, told: impl Fn(&str) -> String) -> Shown {
    let mut facts = Facts::default()
        .with("task", letter.id.to_string())
        .with("priority", letter.priority)
        .with("tries", letter.tries)
        .with("failures", letter.failures)
        // One that came too late was in no process.
        .with("pid", Some(letter.pid).filter(|pid| *pid != 0))
        .with_time("age_seconds", Some(letter.failed));
    if let Some(key) = &letter.key {
        facts = facts.with("key", told(&String::from_utf8_lossy(key)));
    }
    Shown { facts: facts.with("reason", told(&letter.reason)), bytes: letter.task.unwrap_or_default() }
}

#[derive(Args, Debug)]
pub(crate) struct Cancel {
    /// The name of a task queue; with a slash in it, the path of its file.
    name: Target,
    /// The task's number, which `handover peek` shows.
    #[arg(value_parser = id)]
    id: TaskId,
}

pub(crate) const CANCEL_EXAMPLE: &str = "\
Takes out a task that waits for a worker, for its time, or for another try. One that is worked on is not to be had back.

Examples:
  handover peek jobs
  handover cancel jobs 68719476737";

pub(crate) fn cancel(wanted: &Cancel) -> Result<(), Trouble> {
    wanted.name.tasks()?.cancel(wanted.id).map_err(unknown)
}

fn unknown(error: Error) -> Trouble {
    match error {
        Error::NoTask { id } => Trouble::Failed(format!(
            "no task {id} is there, or none of which that can be done; see which there are (handover letters, handover peek)"
        )),
        other => other.into(),
    }
}
