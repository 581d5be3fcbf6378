//! What is told of something, for people as lines and for programs as JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::numbers::{grouped, time};

/// Facts in the order in which people read them, and then lists of things of which the same is told.
#[derive(Default)]
pub(crate) struct Facts {
    facts: Vec<(&'static str, Value)>,
    lists: Vec<(&'static str, Vec<Facts>)>,
}

impl Facts {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Facts {
        self.facts.push((name, value.into()));
        self
    }

    /// In seconds.
    pub(crate) fn with_time(self, name: &'static str, time: Option<Duration>) -> Facts {
        self.with(name, time.map(|time| time.as_secs_f64()))
    }

    pub(crate) fn list(mut self, name: &'static str, of: impl IntoIterator<Item = Facts>) -> Facts {
        self.lists.push((name, of.into_iter().collect()));
        self
    }

    pub(crate) fn json(&self) -> Value {
        let facts = self.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let lists = self.lists.iter().map(|(name, list)| {
            let list: Vec<Value> = list.iter().map(Facts::json).collect();
            ((*name).to_owned(), json!(list))
        });
        Value::Object(facts.chain(lists).collect::<Map<_, _>>())
    }

    /// All facts on one line.
    pub(super) fn words(&self) -> String {
        self.facts
            .iter()
            .map(|(name, value)| format!("{} {}", told(name), shown(name, value)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// A line for each fact, then a table for each list that has something in it.
    pub(crate) fn lines(&self) -> String {
        let rows: Vec<Vec<String>> =
            self.facts.iter().map(|(name, value)| vec![told(name), shown(name, value)]).collect();
        let mut text = aligned(&rows);
        for (name, list) in &self.lists {
            if let Some(first) = list.first() {
                let head = first.facts.iter().map(|(name, _)| told(name)).collect();
                let row = |facts: &Facts| facts.facts.iter().map(|(name, value)| shown(name, value)).collect();
                text += &format!("\n{}\n{}", told(name), table(head, list.iter().map(row).collect()));
            }
        }
        text
    }
}

/// Times are shown with their unit, so their names need none.
fn told(name: &str) -> String {
    name.strip_suffix("_seconds").unwrap_or(name).replace('_', " ")
}

/// Numbers that name something, and count nothing.
const NAMES: [&str; 5] = ["node", "number", "pid", "tasks", "writer_pid"];

fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(|value| shown(name, value)).collect::<Vec<_>>().join(" "),
        // Only times are broken numbers.
        Value::Number(number) if number.is_f64() => {
            time(Duration::try_from_secs_f64(number.as_f64().unwrap_or_default()).unwrap_or_default())
        }
        Value::Number(number) if !NAMES.contains(&name) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        other => other.to_string(),
    }
}

/// Rows below a head. Columns of numbers stand at the right.
pub(super) fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let is_number = |cell: &String| cell == "-" || cell.chars().all(|c| c.is_ascii_digit() || ",.kMGTPE".contains(c));
    let at_right: Vec<bool> =
        (0..head.len()).map(|column| rows.iter().filter_map(|row| row.get(column)).all(is_number)).collect();
    let mut rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    for (column, _) in at_right.iter().enumerate().filter(|(_, at_right)| **at_right) {
        let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        for row in &mut rows {
            row[column] = format!("{:>width$}", row[column]);
        }
    }
    aligned(&rows)
}

/// Rows of which the columns stand below each other.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_lines_for_people_and_json_for_programs() {
        let worker = |pid: u32| Facts::default().with("pid", pid).with("alive", true);
        let facts = Facts::default()
            .with("name", "jobs")
            .with("dead_letters", 2000)
            .with_time("oldest_seconds", Some(Duration::from_micros(1500)))
            .with_time("never", None)
            .list("workers", [worker(7), worker(1234)])
            .list("nobody", []);
        let lines = "name          jobs\ndead letters  2,000\noldest        1.50 ms\nnever         -\n\
                     \nworkers\n pid  alive\n   7  yes\n1234  yes\n";
        assert_eq!(facts.lines(), lines);
        let json = json!({
            "name": "jobs", "dead_letters": 2000, "oldest_seconds": 0.0015, "never": null,
            "workers": [{"pid": 7, "alive": true}, {"pid": 1234, "alive": true}], "nobody": [],
        });
        assert_eq!(facts.json(), json);
    }
}
