//! `letters` and `cancel`: tasks that nobody works on any more, or shall not work on.

mod common;

use common::{ENDS, Name, Running, eventually, fails, fed, program, run, text, well};
use serde_json::Value;

/// A task queue whose tasks all failed: the command for each ended with status 3.
fn failed(tasks: &[u8]) -> Name {
    let name = Name::created(&["--kind", "tasks", "--tries", "1"]);
    assert!(fed(&["push", &name, "--null"], tasks).status.success());
    let number = tasks.split(|byte| *byte == 0).count();
    let work = Running::start(&["work", &name, "--", &program(), "stat", "no-such-queue"]);
    eventually("all to have failed", || name.stat("dead_letters") == number as u64);
    work.end(ENDS[0]);
    name
}

fn json(name: &str) -> Value {
    serde_json::from_str(&well(&["letters", name, "--json"])).unwrap()
}

#[test]
fn a_dead_letter_is_told_with_all_that_is_known_of_it() {
    let name = failed(b"hopeless");
    let line = well(&["letters", &name]);
    assert!(line.starts_with("task ") && line.ends_with(", reason exit status 3  hopeless\n"), "{line}");
    assert!(line.contains(", tries 1, failures 1, pid ") && line.contains(", age "), "{line}");
    let letter = &json(&name)[0];
    assert_eq!(
        (&letter["reason"], &letter["text"], &letter["tries"]),
        (&"exit status 3".into(), &"hopeless".into(), &1.into())
    );
    assert!(letter["pid"].as_u64() > Some(0) && letter["age_seconds"].as_f64() < Some(20.0), "{letter}");
    assert!(
        well(&["letters", &name, "--hex"])
            .ends_with("  8 bytes\n00000000  68 6f 70 65 6c 65 73 73                          hopeless\n")
    );
}

#[test]
fn what_came_too_late_was_in_no_process() {
    let name = Name::created(&["--kind", "tasks"]);
    let tasks = handover::Tasks::<[u8]>::open(&name).unwrap();
    let submitter = tasks.submitter().unwrap();
    submitter.task(b"late").key("\x1b[2J").deadline(std::time::Duration::from_nanos(1)).submit().unwrap();
    fails(&["pop", &name, "--no-wait"], 4, "no message");
    let line = well(&["letters", &name]);
    assert!(line.contains(", pid -, ") && line.contains(", key \\x1b[2J, "), "{line}");
    let letter = &json(&name)[0];
    assert_eq!((&letter["pid"], &letter["key"]), (&Value::Null, &"\x1b[2J".into()));
}

#[test]
fn letters_are_requeued_and_purged_one_by_one_or_all() {
    let name = failed(b"1\x002\x003\x004");
    let letters = json(&name);
    let id = |at: usize| letters[at]["task"].as_str().unwrap();
    assert_eq!(well(&["letters", &name, "--requeue", id(0)]), "1 requeued\n");
    assert_eq!(well(&["letters", &name, "--purge", id(1)]), "1 purged\n");
    fails(&["letters", &name, "--requeue", id(0)], 1, "see which there are (handover letters");
    fails(&["letters", &name, "--purge", id(1)], 1, "see which there are");
    assert_eq!(name.stat("dead_letters"), 2);
    assert_eq!(well(&["letters", &name, "--requeue", "all"]), "2 requeued\n");
    assert_eq!(well(&["letters", &name]), format!("{}: no dead letters\n", &*name));
    assert_eq!(well(&["letters", &name, "--json"]), "[]\n");
    assert_eq!(well(&["letters", &name, "--purge", "all"]), "0 purged\n");
    let mut again: Vec<String> = well(&["pop", &name, "-n", "3"]).lines().map(str::to_owned).collect();
    again.sort();
    again.push(text(&run(&["pop", &name, "--no-wait"]).stdout));
    assert_eq!(again.concat().len(), 3, "{again:?}");
}

#[test]
fn a_task_that_waits_is_cancelled_and_one_that_does_not_is_not() {
    let name = Name::created(&["--kind", "tasks"]);
    well(&["push", &name, "first"]);
    well(&["push", &name, "later", "--delay", "1h"]);
    let waiting: Value = serde_json::from_str(&well(&["peek", &name, "--json"])).unwrap();
    for task in waiting.as_array().unwrap() {
        let id = task["task"].as_str().unwrap();
        assert_eq!(well(&["cancel", &name, id]), "");
        fails(&["cancel", &name, id], 1, "no task");
    }
    fails(&["pop", &name, "--no-wait"], 4, "no message");
}

#[test]
fn what_can_not_be_meant_is_refused() {
    let queue = Name::created(&[]);
    fails(&["letters", &queue], 1, "is a queue; use push and pop");
    fails(&["cancel", &queue, "1"], 1, "is a queue; use push and pop");
    fails(&["letters", &Name::new()], 3, "does not exist");
    fails(&["cancel", &Name::new(), "1"], 3, "does not exist");
    for arguments in [
        &["letters", &queue, "--requeue", "some"][..],
        &["letters", &queue, "--requeue", "1", "--purge", "2"],
        &["letters", &queue, "--json", "--purge", "all"],
        &["cancel", &queue],
        &["cancel", &queue, "-1"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
