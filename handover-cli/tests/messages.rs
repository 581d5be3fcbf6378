//! `push` and `pop`: what goes in comes out, in pipes, and with everything that ends them.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[cfg(unix)]
use common::shell;
use common::{ENDS, Name, Running, Signal, eventually, fails, fed, handover, refused, run, text, well};

#[test]
fn a_message_comes_out_as_it_went_in() {
    let name = Name::created(&[]);
    assert_eq!(well(&["push", &name, "hello, world"]), "");
    assert_eq!(well(&["push", &name, ""]), "");
    assert_eq!(well(&["pop", &name, "-n", "2"]), "hello, world\n\n");
    assert_eq!(well(&["pop", &name, "-n", "0"]), "");
}

#[test]
fn lines_go_in_and_come_out_in_their_order() {
    let name = Name::created(&[]);
    assert!(fed(&["push", &name], b"one\n\nthree\nunended").status.success());
    assert_eq!(name.stat("depth"), 4);
    assert_eq!(well(&["pop", &name, "-n", "4"]), "one\n\nthree\nunended\n");
}

#[test]
fn any_bytes_go_through_by_nuls_or_lengths() {
    let name = Name::created(&[]);
    assert!(fed(&["push", &name, "--null"], b"two\nlines\0\xff\0").status.success());
    assert_eq!(run(&["pop", &name, "-n", "2", "--null"]).stdout, b"two\nlines\0\xff\0");
    let framed = b"\x03\0\0\0a\0\n\0\0\0\0\x01\0\0\0\xff";
    assert!(fed(&["push", &name, "--binary"], framed).status.success());
    assert_eq!(run(&["pop", &name, "-n", "3", "--binary"]).stdout, framed);
    refused(&fed(&["push", &name, "--binary"], b"\x01\0\0\0a\x05\0\0\0b"), 1, "message 2");
    assert_eq!(well(&["pop", &name]), "a\n");
}

#[test]
fn a_large_message_goes_through_a_pipe() {
    let name = Name::created(&["--message-size", "1M", "--capacity", "2"]);
    let large = vec![b'x'; 1 << 20];
    assert!(fed(&["push", &name], &large).status.success());
    let out = run(&["pop", &name]).stdout;
    assert!(out.len() == large.len() + 1 && out.starts_with(&large));
    let longer = [&large[..], b"y\n"].concat();
    refused(&fed(&["push", &name], &[b"first\n", &longer[..]].concat()), 1, "message 2 was not taken in, those before");
    assert_eq!(well(&["pop", &name]), "first\n");
}

#[cfg(unix)]
#[test]
fn two_terminals_share_a_queue_and_nothing_is_lost_or_doubled() {
    let name = Name::created(&["--capacity", "16"]);
    let pops = [(); 2].map(|()| Running::start(&["pop", &name, "--follow"]));
    let output = shell(&format!("(seq 0 499 | handover push {0}) & seq 500 999 | handover push {0}; wait", &*name));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    well(&["close", &name]);
    let printed: String = pops.map(|pop| text(&pop.output().stdout)).concat();
    let mut numbers: Vec<u32> = printed.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1000).collect::<Vec<u32>>());
}

#[cfg(unix)]
#[test]
fn an_input_that_can_not_be_read_is_told() {
    let name = Name::created(&[]);
    refused(&shell(&format!("handover push {} < /", &*name)), 1, "standard input can't be read");
}

#[cfg(unix)]
#[test]
fn a_full_queue_refuses_within_the_time() {
    let name = Name::created(&["--capacity", "3"]);
    let output = shell(&format!("yes | handover push {} --no-wait", &*name));
    refused(&output, 4, "message 4 was not taken in, those before it were: no room");
    assert_eq!(name.stat("depth"), 3);
    let begun = Instant::now();
    fails(&["push", &name, "x", "--timeout", "150ms"], 4, "no room");
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_push_waits_for_room() {
    let name = Name::created(&["--capacity", "1"]);
    well(&["push", &name, "1"]);
    let push = Running::start(&["push", &name, "2"]);
    eventually("it to wait", || name.stat("blocked_full") > 0);
    assert_eq!(well(&["pop", &name, "-n", "2"]), "1\n2\n");
    assert!(push.output().status.success());
}

#[test]
fn an_empty_queue_is_told_within_the_time() {
    let name = Name::created(&[]);
    fails(&["pop", &name, "--no-wait"], 4, "no message");
    let begun = Instant::now();
    fails(&["pop", &name, "--timeout", "150ms"], 4, "no message");
    assert!(begun.elapsed() >= Duration::from_millis(150));
    // What came before was printed, and is taken.
    well(&["push", &name, "one"]);
    let output = run(&["pop", &name, "-n", "2", "--no-wait"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), "one\n".into()));
}

#[test]
fn to_follow_ends_well_when_it_is_closed_and_a_number_does_not() {
    let name = Name::created(&[]);
    let follow = Running::start(&["pop", &name, "--follow"]);
    well(&["push", &name, "a"]);
    well(&["push", &name, "b"]);
    eventually("both to be taken", || name.stat("popped") == 2);
    well(&["close", &name]);
    let output = follow.output();
    assert!(output.status.success() && output.stderr.is_empty());
    assert_eq!(text(&output.stdout), "a\nb\n");
    fails(&["pop", &name, "-n", "1"], 5, "closed");
}

#[cfg(unix)]
#[test]
fn whoever_has_had_enough_ends_it_quietly() {
    let name = Name::created(&["--capacity", "100"]);
    well(&["push", &name, "1"]);
    well(&["push", &name, "2"]);
    well(&["push", &name, "3"]);
    // Nothing more comes: it finds out all the same.
    let output = shell(&format!("handover pop {} --follow | head -3; echo ${{PIPESTATUS[*]}}", &*name));
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("1\n2\n3\n0 0\n".into(), String::new()));
}

#[cfg(unix)]
#[test]
fn what_was_not_printed_was_not_taken() {
    let name = Name::created(&[]);
    well(&["push", &name, "kept"]);
    let mut pop = handover(&["pop", &name]).spawn().unwrap();
    drop(pop.stdout.take());
    let output = pop.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    // It may have been faster than the closed pipe.
    if name.stat("popped") == 1 {
        well(&["push", &name, "kept"]);
    }
    let output = shell(&format!("handover pop {} > /dev/full", &*name));
    refused(&output, 1, "standard output takes nothing");
    assert_eq!(well(&["pop", &name, "--no-wait"]), "kept\n");
}

#[test]
fn a_pop_stuck_in_a_full_pipe_is_interrupted_and_gives_its_message_back() {
    let name = Name::created(&["--message-size", "1M", "--capacity", "2"]);
    assert!(fed(&["push", &name], &vec![b'x'; 1 << 20]).status.success());
    // Nobody reads.
    let mut pop = Running::start(&["pop", &name]);
    eventually("it to hold the message", || name.stat("depth") == 0);
    std::thread::sleep(Duration::from_millis(100));
    common::signal(pop.child(), Signal::INT);
    assert_eq!(pop.child().wait().unwrap().code(), Some(130));
    assert_eq!(run(&["pop", &name, "--no-wait"]).stdout.len(), (1 << 20) + 1);
    assert_eq!(name.stat("redelivered"), 1);
}

#[test]
fn an_interrupted_command_ends_cleanly() {
    let name = Name::created(&["--capacity", "1"]);
    let attached = || name.json()["members"].as_array().is_some_and(|members| !members.is_empty());
    for how in ENDS {
        let pop = Running::start(&["pop", &name]);
        eventually("pop to attach", attached);
        refused(&pop.end(how), 130, "interrupted; what was printed is taken");

        well(&["push", &name, "1"]);
        let push = Running::start(&["push", &name, "2"]);
        eventually("push to attach", attached);
        refused(&push.end(how), 130, "interrupted; what was taken in before stays");
        assert_eq!(well(&["pop", &name]), "1\n");
    }
}

#[test]
fn half_of_a_line_is_not_pushed_when_it_is_interrupted() {
    let name = Name::created(&[]);
    let mut push = Running(Some(handover(&["push", &name]).stdin(Stdio::piped()).spawn().unwrap()));
    let mut pipe = push.child().stdin.take().unwrap();
    pipe.write_all(b"whole\nhal").unwrap();
    eventually("the first line", || name.stat("depth") == 1);
    refused(&push.end(Signal::INT), 130, "interrupted");
    assert_eq!(well(&["pop", &name]), "whole\n");
    assert_eq!(name.stat("depth"), 0);
}

#[test]
fn a_killed_pop_loses_nothing_that_was_not_printed() {
    let name = Name::created(&["--message-size", "1M", "--capacity", "2"]);
    assert!(fed(&["push", &name], &vec![b'x'; 1 << 20]).status.success());
    let mut pop = Running::start(&["pop", &name]);
    let mut out = BufReader::new(pop.child().stdout.take().unwrap());
    assert!(!out.fill_buf().unwrap().is_empty());
    common::signal(pop.child(), Signal::KILL);
    pop.child().wait().unwrap();
    assert_eq!(run(&["pop", &name, "--timeout", "10s"]).stdout.len(), (1 << 20) + 1);
}

#[test]
fn tasks_are_pushed_on_their_terms_and_popped() {
    let name = Name::created(&["--kind", "tasks"]);
    well(&["push", &name, "plain"]);
    well(&["push", &name, "urgent", "--priority", "7"]);
    well(&["push", &name, "later", "--delay", "1h"]);
    well(&["push", &name, "keyed", "--key", "k"]);
    fails(&["push", &name, "again", "--key", "k"], 1, "a task with the key \"k\" waits already");
    fails(&["push", &name, "x", "--key", ""], 2, "a key has 1 to 64 bytes");
    assert_eq!((name.stat("delayed"), name.stat("submitted")), (1, 4));
    assert_eq!(well(&["pop", &name, "-n", "3"]), "urgent\nplain\nkeyed\n");
    fails(&["pop", &name, "--no-wait"], 4, "no message");
    assert_eq!(name.stat("done"), 3);
}

#[cfg(unix)]
#[test]
fn on_a_terminal_it_is_shown_how_far_a_long_file_is() {
    if !shell("command -v script").status.success() {
        return eprintln!("there is no script(1) here, which makes a terminal");
    }
    let name = Name::created(&["--capacity", "1"]);
    let lines = std::env::temp_dir().join(format!("handover-lines-{}", std::process::id()));
    let output = shell(&format!(
        "seq 1000 > {1}; (sleep 1.2; handover pop {0} -n 1000 > /dev/null) &
        TERM=xterm script -qec 'handover push {0} < {1}' /dev/null; wait",
        &*name,
        lines.display()
    ));
    std::fs::remove_file(&lines).unwrap();
    let said = text(&output.stdout);
    assert!(said.contains(" bytes of 3.8K, ") && said.contains(" messages"), "{said:?}");
    // What is over soon has none.
    let output = shell(&format!("TERM=xterm script -qec 'handover push {} x' /dev/null", &*name));
    assert_eq!(text(&output.stdout), "");
}
