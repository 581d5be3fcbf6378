//! The built command, as people run it.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{ENDS, KILLED, Signal, processes_of, signal};

fn handover(arguments: &[&str]) -> Command {
    let mut command = Command::new(common::folder().join("handover"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    handover(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A demo that messages flow in.
fn start_demo() -> Child {
    let mut demo =
        handover(&["demo", "--seconds", "30"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("received")).expect("rates").unwrap();
    // Read on, so that nothing it writes finds a closed pipe.
    thread::spawn(move || lines.for_each(drop));
    demo
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10) * common::slower(), "still waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn end_by(demo: &mut Child, how: Signal) -> ExitStatus {
    assert_eq!(processes_of(demo.id()), 8);
    signal(demo, how);
    let status = demo.wait().unwrap();
    wait_for("its processes to end", || processes_of(demo.id()) == 0);
    status
}

#[test]
fn the_demo_keeps_every_promise() {
    let demo = run(&["demo", "--seconds", "2"]);
    let (out, err) = (text(&demo.stdout), text(&demo.stderr));
    assert!(demo.status.success() && err.is_empty(), "{out}\n{err}");
    let number = |what: &str| -> u64 {
        let line = out.lines().find_map(|line| line.trim_start().strip_prefix(what)).unwrap_or_else(|| panic!("{out}"));
        line.split_whitespace().next().unwrap().replace(',', "").parse().unwrap()
    };
    assert_eq!(out.matches(&format!("{} for producer", KILLED.1)).count(), 2, "{out}");
    assert_eq!(out.matches(&format!("{} for consumer", KILLED.1)).count(), 2, "{out}");
    for line in out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(out.matches("/s  received").count(), out.matches("alive").count(), "one line for each half second");
    assert!(number("sent ") > 0, "{out}");
    assert_eq!(number("received "), number("sent ") + number("in flight "), "{out}");
    assert_eq!((number("lost "), number("half-made "), number("doubled unmarked ")), (0, 0, 0), "{out}");
    assert!(number("redelivered ") >= 1, "{out}");
    assert_eq!(number("capacity "), 1024, "{out}");
    assert!(out.contains("every promise held") && !out.contains('\x1b'), "{out}");
}

#[test]
fn an_interrupted_demo_ends_its_processes() {
    let mut demo = start_demo();
    assert_eq!(end_by(&mut demo, Signal::INT).code(), Some(130));
}

#[test]
fn a_demo_that_is_asked_to_end_does_as_if_interrupted() {
    let mut demo = start_demo();
    assert_eq!(end_by(&mut demo, ENDS[1]).code(), Some(130));
}

#[test]
fn the_processes_of_a_killed_demo_end_with_it() {
    let mut demo = start_demo();
    assert_eq!(end_by(&mut demo, Signal::KILL).code(), KILLED.0);
}

#[test]
fn the_demo_ends_quietly_when_nobody_reads_on() {
    let mut demo =
        handover(&["demo", "--seconds", "30"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(demo.stdout.take());
    let pid = demo.id();
    let output = demo.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    assert_eq!(processes_of(pid), 0);
}

#[test]
fn help_is_friendly() {
    for arguments in [&["--help"] as &[&str], &["help"], &["demo", "--help"], &["help", "demo"]] {
        let help = run(arguments);
        let out = text(&help.stdout);
        assert!(help.status.success() && help.stderr.is_empty(), "{arguments:?}");
        assert!(out.contains("Example:\n  handover demo"), "{out}");
        assert!(!out.contains("demo-process"), "{out}");
    }
    assert!(text(&run(&["--version"]).stdout).starts_with("handover "));
}

#[test]
fn what_is_not_understood_is_told_with_exit_status_2() {
    let wrong: [&[&str]; 6] = [
        &[],
        &["dmo"],
        &["demo", "--secondes", "2"],
        &["demo", "--seconds", "0"],
        &["demo", "--seconds", "x"],
        &["demo", "2"],
    ];
    for arguments in wrong {
        let refused = run(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(
            refused.stdout.is_empty() && text(&refused.stderr).contains("Usage:")
                || text(&refused.stderr).contains("--help"),
            "{arguments:?}"
        );
    }
}
