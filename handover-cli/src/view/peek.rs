//! `peek`: the messages that wait, without taking them.

use clap::Args;
use handover::{Kind, Peeked, tasks};
use serde_json::Value;

use super::facts::Facts;
use crate::screen::Screen;
use crate::target::Target;
use crate::trouble::Trouble;
use crate::units;

#[derive(Args, Debug)]
pub(crate) struct Peek {
    /// The name of a queue, broadcast or task queue; with a slash in it, the path of its file.
    name: Target,
    /// At most so many.
    #[arg(short = 'n', long, value_name = "N", default_value = "10", value_parser = units::number::<usize>)]
    count: usize,
    /// All bytes of each, in hexadecimal and as text.
    #[arg(long, conflicts_with = "json")]
    hex: bool,
    /// As a JSON array, for programs: with "text" where a message is text, and always with "hex".
    #[arg(long)]
    json: bool,
}

pub(crate) const EXAMPLE: &str = "\
Of a queue, those that will be popped next; of a broadcast, the newest; of a task queue, those that wait for a worker, by
priority, and then those that wait for their time. Nobody notices, and others may take them meanwhile.

Examples:
  handover peek lines
  handover peek jobs -n 1 --hex
  handover peek jobs --json | jq -r '.[].text'";

/// A message as it is shown.
pub(super) struct Shown {
    /// What is told of it besides.
    pub(super) facts: Facts,
    pub(super) bytes: Vec<u8>,
}

pub(crate) fn peek(wanted: &Peek) -> Result<(), Trouble> {
    let (target, most) = (&wanted.name, wanted.count);
    let shown: Vec<Shown> = match target.kind()? {
        Kind::Queue => target.peek_queue(most)?.into_iter().map(of_queue).collect(),
        Kind::Broadcast => target.peek_broadcast(most)?.into_iter().map(of_broadcast).collect(),
        Kind::Tasks => target.peek_tasks(most)?.into_iter().map(of_tasks).collect(),
        other => {
            let why =
                format!("{}: is {other}, and no messages are in it; look at it with handover stat", target.shown());
            return Err(Trouble::Failed(why));
        }
    };
    let text = if wanted.json {
        let all: Vec<Value> = shown.iter().map(Shown::json).collect();
        serde_json::to_string_pretty(&all).expect("values are JSON")
    } else if shown.is_empty() {
        format!("{}: nothing waits", target.shown())
    } else if wanted.hex {
        shown.iter().map(Shown::dump).collect::<Vec<_>>().join("\n")
    } else {
        shown.iter().map(Shown::line).collect::<Vec<_>>().join("\n")
    };
    Ok(Screen::new().line(text.trim_end())?)
}

fn of_queue(Peeked { deliveries, bytes, .. }: Peeked) -> Shown {
    let facts = Facts::default();
    Shown { facts: if deliveries > 0 { facts.with("handed_back", deliveries) } else { facts }, bytes }
}

fn of_broadcast(Peeked { number, bytes, .. }: Peeked) -> Shown {
    Shown { facts: Facts::default().with("number", number), bytes }
}

fn of_tasks(task: tasks::Peeked) -> Shown {
    let key = task.key.as_deref().map(String::from_utf8_lossy);
    let mut facts = Facts::default().with("task", task.id.to_string()).with("priority", task.priority);
    if task.tries > 0 {
        facts = facts.with("tries", task.tries);
    }
    if let Some(key) = key {
        facts = facts.with("key", key);
    }
    let facts = match task.due {
        Some(due) => facts.with_time("due_seconds", Some(due)),
        None => facts.with_time("waited_seconds", Some(task.waited)),
    };
    Shown { facts, bytes: task.bytes }
}

impl Shown {
    pub(super) fn json(&self) -> Value {
        let hex: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let facts = self.facts.json();
        let Value::Object(mut all) = facts else { unreachable!("facts are an object") };
        all.insert("bytes".into(), self.bytes.len().into());
        all.insert("text".into(), std::str::from_utf8(&self.bytes).ok().into());
        all.insert("hex".into(), hex.into());
        Value::Object(all)
    }

    /// All of it on one line, whatever is in it.
    pub(super) fn line(&self) -> String {
        self.headed(plainly(&self.bytes))
    }

    /// Behind what is told of it.
    fn headed(&self, text: String) -> String {
        let facts = self.facts.words();
        if facts.is_empty() { text } else { format!("{facts}  {text}") }
    }

    pub(super) fn dump(&self) -> String {
        let mut text = self.headed(format!("{} bytes", self.bytes.len()));
        for (row, bytes) in self.bytes.chunks(16).enumerate() {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let plain = bytes.iter().map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' });
            text += &format!("\n{:08x}  {:<47}  {}", row * 16, hex.join(" "), plain.collect::<String>());
        }
        text
    }
}

/// As text, with what a terminal would do something with, and what is no text, written out.
pub(super) fn plainly(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii_control() && !matches!(character, '\t' | '\r' | '\n') {
                // As bytes that are no text.
                text += &format!("\\x{:02x}", u32::from(character));
            } else if character.is_control() || character == '\\' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        assert_eq!(plainly("größe\n\x1b[2J\\".as_bytes()), "größe\\n\\x1b[2J\\\\");
        assert_eq!(plainly(b"a\xff\xfeb"), "a\\xff\\xfeb");
    }

    #[test]
    fn a_dump_has_sixteen_bytes_a_row() {
        let shown = Shown { facts: Facts::default().with("number", 7), bytes: b"0123456789abcdef\x00!".to_vec() };
        let text = "number 7  18 bytes\n\
                    00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n\
                    00000010  00 21                                            .!";
        assert_eq!(shown.dump(), text);
    }
}
