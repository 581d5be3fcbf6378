//! `publish` and `subscribe`.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[cfg(unix)]
use common::shell;
use common::{ENDS, Name, Running, Signal, eventually, fails, fed, handover, refused, run, text, well};

fn readers(name: &Name) -> usize {
    name.json()["readers"].as_array().unwrap().len()
}

#[test]
fn every_subscriber_has_every_message() {
    let name = Name::created(&["--kind", "broadcast"]);
    well(&["publish", &name, "before"]);
    let subscribers: Vec<_> = (0..3).map(|_| Running::start(&["subscribe", &name])).collect();
    let oldest = Running::start(&["subscribe", &name, "--from", "oldest", "-n", "2"]);
    eventually("all to be there", || readers(&name) == 4);
    assert!(fed(&["publish", &name], b"one\ntwo\n").status.success());
    assert_eq!(text(&oldest.output().stdout), "before\none\n");
    well(&["close", &name]);
    for subscriber in subscribers {
        let output = subscriber.output();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert_eq!(text(&output.stdout), "one\ntwo\n");
    }
    let output = run(&["subscribe", &name, "--from", "oldest", "-n", "9"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(text(&output.stdout), "before\none\ntwo\n");
}

#[test]
fn what_was_missed_is_told_on_standard_error() {
    let name = Name::created(&["--kind", "broadcast", "--capacity", "4", "--message-size", "64K"]);
    let mut slow = Running::start(&["subscribe", &name]);
    eventually("it to be there", || readers(&name) == 1);
    // Its pipe is soon full, and it is overtaken.
    let line = "x".repeat(60_000);
    let count = 20;
    assert!(fed(&["publish", &name], format!("{line}\n").repeat(count).as_bytes()).status.success());
    well(&["close", &name]);
    let out = BufReader::new(slow.child().stdout.take().unwrap());
    let mut error = BufReader::new(slow.child().stderr.take().unwrap());
    let (mut printed, mut said) = (0, String::new());
    for printed_line in out.lines().map(Result::unwrap) {
        assert_eq!(printed_line.len(), line.len());
        printed += 1;
    }
    while error.read_line(&mut said).unwrap() > 0 {}
    let missed: usize = said
        .lines()
        .map(|said| {
            said.strip_prefix("handover: missed ").unwrap().split(';').next().unwrap().parse::<usize>().unwrap()
        })
        .sum();
    assert!(missed > 0 && printed + missed == count, "{printed} printed; {said}");
    assert!(slow.child().wait().unwrap().success());
}

#[test]
fn there_is_one_publisher_at_a_time() {
    let name = Name::created(&["--kind", "broadcast"]);
    let mut first = Running(Some(handover(&["publish", &name]).stdin(Stdio::piped()).spawn().unwrap()));
    eventually("it to be there", || name.json()["writer_alive"] == true);
    let pid = first.child().id();
    fails(&["publish", &name, "x"], 1, &format!("in process {pid}"));
    fails(&["close", &name], 1, &format!("in process {pid}"));
    refused(&first.end(Signal::INT), 130, "interrupted");
    well(&["publish", &name, "x"]);
}

#[test]
fn a_subscriber_ends_in_time_or_when_asked() {
    let name = Name::created(&["--kind", "broadcast"]);
    fails(&["subscribe", &name, "--no-wait"], 4, "no message");
    fails(&["subscribe", &name, "--timeout", "100ms"], 4, "no message");
    let subscriber = Running::start(&["subscribe", &name]);
    eventually("it to be there", || readers(&name) == 1);
    refused(&subscriber.end(ENDS[1]), 130, "interrupted");
}

#[cfg(unix)]
#[test]
fn whoever_has_had_enough_ends_it_quietly() {
    let name = Name::created(&["--kind", "broadcast"]);
    well(&["publish", &name, "1"]);
    let line = format!("handover subscribe {} --from oldest | head -1; echo ${{PIPESTATUS[*]}}", &*name);
    let output = shell(&line);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("1\n0 0\n".into(), String::new()));
}
