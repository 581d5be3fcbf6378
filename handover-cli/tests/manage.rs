//! `create`, `rm`, `close`, `resize`, and what all commands say of what can't be.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Name, Running, Signal, eventually, fails, run, text, well};

const COMMANDS: [&str; 13] =
    ["create", "push", "pop", "publish", "subscribe", "work", "ls", "stat", "top", "resize", "close", "rm", "doctor"];

#[test]
fn every_command_has_a_help_with_an_example_and_the_exit_statuses() {
    let all = well(&["--help"]);
    for command in COMMANDS {
        let help = well(&[command, "--help"]);
        assert!(help.contains("xample") && help.contains(&format!("\n  handover {command}")), "{help}");
        let flowing = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowing.contains("3 no such queue") && flowing.contains("5 closed"), "{help}");
        assert!(all.contains(&format!("\n  {command}")), "{all}");
    }
}

#[test]
fn what_is_made_is_what_was_asked_for() {
    let queue =
        Name::created(&["--capacity", "7", "--max-capacity", "70", "--message-size", "64K", "--producers", "one"]);
    let told = queue.json();
    assert_eq!(told["kind"], "queue");
    assert_eq!([queue.stat("capacity"), queue.stat("max_capacity"), queue.stat("slot_bytes")], [7, 70, 65540]);
    assert_eq!((&told["one_producer"], &told["one_consumer"]), (&true.into(), &false.into()));

    let broadcast = Name::created(&["--kind", "broadcast", "--capacity", "16", "--members", "3"]);
    assert_eq!((broadcast.json()["kind"].clone(), broadcast.stat("capacity")), ("broadcast".into(), 16));

    let tasks = Name::created(&["--kind", "tasks", "--capacity", "5", "--tries", "2", "--lease", "30s"]);
    assert_eq!((tasks.json()["kind"].clone(), tasks.stat("capacity")), ("task queue".into(), 5));
}

#[test]
fn its_memory_is_put_where_it_is_asked_for_and_stat_says_where_that_is() {
    for kind in ["queue", "broadcast", "tasks"] {
        let name = Name::created(&["--kind", kind, "--capacity", "3000", "--message-size", "1K", "--huge"]);
        let told = name.json();
        let (bytes, huge) = (name.stat("memory_bytes"), name.stat("huge_bytes"));
        assert!(bytes > 3000 * 1024 && huge <= bytes, "{told}");
        // Where the kernel knows them at all.
        if let Some(node) = told["nodes"].as_array().unwrap().first() {
            assert!(well(&["stat", &name]).contains("\nnodes\nnode  "));
            let node = node["node"].to_string();
            let placed = Name::created(&["--kind", kind, "--numa", &node]);
            let nodes = placed.json()["nodes"].clone();
            assert_eq!((nodes[0]["node"].to_string(), nodes.as_array().unwrap().len()), (node, 1));
        }
    }
    let name = Name::new();
    fails(&["create", &name, "--numa", "1023"], 2, "leave");
    fails(&["stat", &name], 3, "does not exist");
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let name = Name::created(&[]);
    fails(&["create", &name], 1, "exists already");
}

#[test]
fn what_was_removed_is_not_there() {
    let name = Name::created(&[]);
    assert_eq!(well(&["rm", &name]), "");
    for arguments in [
        &["rm", &name][..],
        &["close", &name],
        &["resize", &name, "5"],
        &["stat", &name],
        &["push", &name, "x"],
        &["pop", &name],
        &["publish", &name, "x"],
        &["subscribe", &name],
        &["work", &name, "--", "true"],
    ] {
        fails(arguments, 3, "does not exist; make it");
    }
}

#[test]
fn a_path_does_where_a_name_does() {
    let folder = std::env::temp_dir().join(format!("handover-cli-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("queue");
    let path = path.to_str().unwrap();
    well(&["create", "--file", path]);
    well(&["push", path, "hello"]);
    assert!(well(&["stat", path]).contains("depth          1\n"), "{}", well(&["stat", path]));
    assert_eq!(well(&["pop", path]), "hello\n");
    well(&["rm", path]);
    assert!(!fs::exists(path).unwrap());

    // A file that is something else is left alone.
    fs::write(path, "precious").unwrap();
    fails(&["rm", path], 1, "not a Handover segment");
    assert_eq!(fs::read_to_string(path).unwrap(), "precious");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_closed_takes_nothing_more_and_hands_out_what_is_left() {
    for kind in ["queue", "tasks"] {
        let name = Name::created(&["--kind", kind]);
        well(&["push", &name, "last"]);
        well(&["close", &name]);
        well(&["close", &name]);
        fails(&["push", &name, "late"], 5, "closed");
        assert_eq!(well(&["pop", &name]), "last\n");
        fails(&["pop", &name], 5, "closed");
    }
    let name = Name::created(&["--kind", "broadcast"]);
    well(&["publish", &name, "last"]);
    well(&["close", &name]);
    well(&["close", &name]);
    fails(&["publish", &name, "late"], 5, "closed");
    assert_eq!(well(&["subscribe", &name, "--from", "oldest"]), "last\n");
}

#[test]
fn a_queue_is_resized_while_it_is_used() {
    for kind in ["queue", "tasks"] {
        let name = Name::created(&["--kind", kind, "--capacity", "1", "--max-capacity", "10"]);
        well(&["push", &name, "1"]);
        fails(&["push", &name, "2", "--no-wait"], 4, "no room");
        well(&["resize", &name, "3"]);
        well(&["push", &name, "2", "--no-wait"]);
        assert_eq!(name.stat("capacity"), 3);

        fails(&["resize", &name, "1", "--no-wait"], 4, "more than 1 are in it");
        fails(&["resize", &name, "1", "--timeout", "20ms"], 4, "more than 1 are in it");
        assert_eq!(name.stat("capacity"), 3);
        let resize = Running::start(&["resize", &name, "1"]);
        assert_eq!(well(&["pop", &name]), "1\n");
        assert!(resize.output().status.success());
        assert_eq!(name.stat("capacity"), 1);
        fails(&["resize", &name, "11"], 2, "larger maximum");
    }
}

#[test]
fn a_resize_that_waits_is_interrupted_at_once() {
    let name = Name::created(&["--capacity", "5", "--max-capacity", "10"]);
    for message in ["1", "2"] {
        well(&["push", &name, message]);
    }
    let resize = Running::start(&["resize", &name, "1"]);
    eventually("the resize to begin", || name.stat("capacity") == 1);
    assert_eq!(resize.end(Signal::INT).status.code(), Some(130));
}

#[test]
fn what_can_not_be_resized_says_so() {
    fails(&["resize", &Name::created(&[]), "5"], 2, "can't be resized");
    fails(&["resize", &Name::created(&["--kind", "broadcast"]), "5"], 1, "make another one");
}

#[test]
fn what_does_not_fit_together_is_a_usage_error() {
    let name = Name::new();
    for (options, saying) in [
        (&["--kind", "queue", "--tries", "3"][..], "--tries is for task queues"),
        (&["--kind", "broadcast", "--lease", "3s"], "--lease is for task queues"),
        (&["--kind", "tasks", "--producers", "one"], "--producers is for queues"),
        (&["--kind", "broadcast", "--max-capacity", "9"], "--max-capacity is for"),
        (&["--kind", "tasks", "--lease", "0s"], "leave it out"),
        (&["--capacity", "0"], "capacity"),
        (&["--kind", "tasks", "--tries", "0"], "at least 1"),
        (&["--capacity", "5", "--max-capacity", "4"], "4"),
    ] {
        fails(&[&["create", &*name][..], options].concat(), 2, saying);
    }
    fails(&["create", ".hidden"], 2, "starts with a dot");
    fails(&["create", "no/such/folder/queue"], 1, "make the folder first");
}

#[test]
fn what_is_not_understood_is_told_with_exit_status_2() {
    let name = Name::new();
    for arguments in [
        &["create"][..],
        &["create", &name, "--file", "x"],
        &["create", &name, "--kind", "stack"],
        &["create", &name, "--capacity", "many"],
        &["create", &name, "--message-size", "64X"],
        &["create", &name, "--kind", "tasks", "--lease", "5"],
        &["create", &name, "--producers", "two"],
        &["create", &name, "--numa", "first"],
        &["push", &name, "x", "--timeout", "1.5s"],
        &["push", &name, "x", "--wait", "--no-wait"],
        &["push", &name, "x", "--priority", "8"],
        &["push", &name, "x", "--null"],
        &["push", &name, "--key", "k"],
        &["pop", &name, "-n", "2", "--follow"],
        &["pop", &name, "--null", "--binary"],
        &["subscribe", &name, "--from", "middle"],
        &["work", &name],
        &["work", &name, "--jobs", "0", "--", "true"],
        &["resize", &name],
        &["resize", &name, "5", "--wait", "--no-wait"],
        &["peek", &name, "--hex", "--json"],
    ] {
        let output = run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && said.contains("--help"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_segment_of_another_kind_or_type_is_told_apart() {
    let (queue, broadcast, tasks) =
        (Name::created(&[]), Name::created(&["--kind", "broadcast"]), Name::created(&["--kind", "tasks"]));
    fails(&["push", &broadcast, "x"], 1, "is a broadcast; use publish and subscribe");
    fails(&["subscribe", &queue], 1, "is a queue; use push and pop");
    fails(&["publish", &tasks, "x"], 1, "is a task queue; use push and work");
    fails(&["work", &queue, "--", "true"], 1, "is a queue; use push and pop");
    fails(&["push", &queue, "x", "--priority", "5"], 2, "are for task queues");

    let numbers = Name::new();
    let _queue = handover::Options::new(5).create::<u64>(&numbers).unwrap();
    fails(&["pop", &numbers], 1, "knows bytes only");
    assert_eq!(numbers.stat("slot_bytes"), 8);
}

#[test]
fn one_producer_means_one() {
    let name = Name::created(&["--producers", "one"]);
    let mut first =
        Running(Some(common::handover(&["push", &name]).stdin(std::process::Stdio::piped()).spawn().unwrap()));
    let pid = first.child().id();
    eventually("the first producer", || name.json()["members"].as_array().is_some_and(|members| !members.is_empty()));
    fails(&["push", &name, "x"], 1, &format!("in process {pid}"));
    let begun = Instant::now();
    assert_eq!(first.end(Signal::INT).status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(5));
}
