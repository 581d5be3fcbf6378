//! `peek`: what waits, without taking it.

mod common;

use std::io::Write;
use std::process::Stdio;

#[cfg(unix)]
use common::shell;
use common::{Name, fails, fed, handover, well};
use serde_json::Value;

fn json(name: &str) -> Value {
    serde_json::from_str(&well(&["peek", name, "--json"])).unwrap()
}

#[test]
fn messages_that_wait_are_shown_and_stay() {
    let queue = Name::created(&[]);
    assert_eq!(well(&["peek", &queue]), format!("{}: nothing waits\n", &*queue));
    assert_eq!(well(&["peek", &queue, "--json"]), "[]\n");
    assert!(fed(&["push", &queue], b"one\ntwo\nthree\n").status.success());
    assert_eq!(well(&["peek", &queue]), "one\ntwo\nthree\n");
    assert_eq!(well(&["peek", &queue, "-n", "2"]), "one\ntwo\n");
    assert_eq!(well(&["peek", &queue, "-n", "0"]), format!("{}: nothing waits\n", &*queue));
    assert_eq!(queue.stat("depth"), 3);
    assert_eq!(well(&["pop", &queue, "-n", "3"]), "one\ntwo\nthree\n");
}

#[test]
fn bytes_that_are_no_text_are_shown_so_that_a_terminal_does_nothing_with_them() {
    let queue = Name::created(&[]);
    let mut pushing = handover(&["push", &queue, "--null"]).stdin(Stdio::piped()).spawn().unwrap();
    pushing.stdin.take().unwrap().write_all(b"\x1b[2J\xff\n\0").unwrap();
    assert!(pushing.wait().unwrap().success());
    assert_eq!(well(&["peek", &queue]), "\\x1b[2J\\xff\\n\n");
    assert_eq!(
        well(&["peek", &queue, "--hex"]),
        "6 bytes\n00000000  1b 5b 32 4a ff 0a                                .[2J..\n"
    );
    let all = json(&queue);
    assert_eq!((&all[0]["hex"], &all[0]["text"], &all[0]["bytes"]), (&"1b5b324aff0a".into(), &Value::Null, &6.into()));
}

#[test]
fn of_broadcasts_the_newest_and_of_tasks_the_next_are_shown() {
    let prices = Name::created(&["--kind", "broadcast"]);
    well(&["publish", &prices, "1.25"]);
    assert_eq!(well(&["peek", &prices]), "number 0  1.25\n");

    let jobs = Name::created(&["--kind", "tasks"]);
    well(&["push", &jobs, "later", "--delay", "1h"]);
    well(&["push", &jobs, "first", "--priority", "7", "--key", "k"]);
    let all = json(&jobs);
    let of = |nth: usize, what: &str| all[nth][what].clone();
    assert_eq!((of(0, "text"), of(0, "priority"), of(0, "key")), ("first".into(), 7.into(), "k".into()));
    assert!(of(1, "text") == "later" && of(1, "due_seconds").as_f64().unwrap() > 3500.0);
    assert!(well(&["peek", &jobs]).starts_with("task "));
}

#[test]
fn what_can_not_be_looked_at_is_an_error_with_its_next_step() {
    fails(&["peek", "no-such-queue"], 3, "handover ls");
    fails(&["peek", "a/b/c"], 3, "does not exist");
    let memory = Name::new();
    let _kept = ::handover::SharedMemory::create(&memory, 100).unwrap();
    fails(&["peek", &memory], 1, "handover stat");
}

#[cfg(unix)]
#[test]
fn whoever_has_had_enough_ends_it_quietly() {
    let queue = Name::created(&[]);
    well(&["push", &queue, "x"]);
    let output = shell(&format!("handover peek {} | true", &*queue));
    assert!(output.status.success() && common::text(&output.stderr).is_empty());
}
