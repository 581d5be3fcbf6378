//! `produce` and `consume`: load that is measured, and accounts that add up.

mod common;

use std::time::Duration;

use common::Signal;
#[cfg(unix)]
use common::shell;
use common::{ENDS, Name, Running, eventually, fails, fed, run, signal, text, well};
use serde_json::Value;

fn json(output: &[u8]) -> Value {
    serde_json::from_slice(output).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(output)))
}

#[track_caller]
fn told(summary: &Value, what: &str) -> u64 {
    summary[what].as_u64().unwrap_or_else(|| panic!("{what}: {summary}"))
}

#[test]
fn all_that_is_produced_is_consumed_whatever_it_goes_through() {
    for (kind, options) in [
        ("queue", &["--kind", "queue"][..]),
        ("queue", &["--kind", "queue", "--producers", "one", "--consumers", "one"]),
        ("broadcast", &["--kind", "broadcast", "--capacity", "16384"]),
        ("task queue", &["--kind", "tasks"]),
    ] {
        let name = Name::created(options);
        let consume = Running::start(&["consume", &name, "--json"]);
        eventually("it to be there", || name.json().to_string().contains("\"alive\":true"));
        let produced =
            json(well(&["produce", &name, "--count", "5000", "--size", "100", "--close", "--json"]).as_bytes());
        assert_eq!((told(&produced, "messages"), told(&produced, "bytes")), (5000, 500_000), "{kind}");
        assert_eq!((&produced["kind"], &produced["due_and_not_sent"]), (&kind.into(), &Value::Null));
        let output = consume.output();
        assert!(output.status.success() && output.stderr.is_empty(), "{kind}: {output:?}");
        let consumed = json(&output.stdout);
        assert_eq!((told(&consumed, "messages"), told(&consumed, "bytes")), (5000, 500_000), "{kind}");
        for nothing in ["foreign", "absent", "lost", "doubled", "unknown"] {
            assert_eq!(told(&consumed, nothing), 0, "{kind}: {nothing}");
        }
        let producer = &consumed["producers"][0];
        assert_eq!(producer["producer"], produced["producer"]);
        assert_eq!((told(producer, "came"), told(producer, "first"), told(producer, "last")), (5000, 0, 4999));
        for summary in [produced, consumed] {
            let counted = |step: &Value| told(step, "messages");
            assert_eq!(summary["latencies"].as_array().unwrap().iter().map(counted).sum::<u64>(), 5000);
            let at = |part: &str| summary[format!("latency_{part}_seconds")].as_f64().unwrap();
            assert!(
                0.0 < at("p50") && at("p50") <= at("p99") && at("p99") <= at("max") && at("max") < 20.0,
                "{summary}"
            );
        }
    }
}

#[test]
fn what_is_refused_at_once_is_told_and_nothing_is_summed_up() {
    let name = Name::created(&["--message-size", "100"]);
    let told =
        "has 4,096 bytes and at most 100 are taken; send a shorter one, or make it anew with a larger --message-size";
    fails(&["produce", &name, "--size", "4K"], 1, told);
    well(&["close", &name]);
    fails(&["produce", &name, "--count", "1"], 5, "closed");
}

#[test]
fn it_is_reported_every_so_many_messages_and_drawn_at_the_end() {
    let name = Name::created(&["--capacity", "1000"]);
    for command in [
        &["produce", &name, "--count", "1000", "--report", "100"][..],
        &["consume", &name, "--count", "1000", "--report", "100"],
    ] {
        let said = well(command);
        assert!(!said.contains('\x1b') && !said.contains('\r'), "{said}");
        let (reports, summary) = said.split_once("\n\n").unwrap();
        assert_eq!(reports.lines().count(), 10, "{said}");
        for (number, line) in (1..).zip(reports.lines()) {
            let count = if number == 10 { "1,000".to_owned() } else { format!("{number}00") };
            assert!(
                line.trim_start().starts_with(&format!("{count} messages ")) && line.contains("/s  latency p50 "),
                "{line}"
            );
        }
        assert!(summary.starts_with("name") && summary.contains("messages             1,000\n"), "{summary}");
        assert!(summary.contains("\nup to ") && summary.trim_end().ends_with('#'), "{summary}");
    }
}

#[cfg(unix)]
#[test]
fn two_producers_and_two_consumers_account_for_everything_together() {
    let name = Name::created(&["--capacity", "64"]);
    let consumers =
        [&["consume", &*name, "--json"][..], &["consume", &name, "--json", "--batch", "8"]].map(Running::start);
    let output = shell(&format!(
        "handover produce {0} --count 20000 --batch 16 & handover produce {0} --count 10000; wait",
        &*name
    ));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    well(&["close", &name]);
    let summaries = consumers.map(|consumer| json(&consumer.output().stdout));
    assert_eq!(summaries.iter().map(|summary| told(summary, "messages")).sum::<u64>(), 30_000);
    for summary in summaries {
        assert_eq!((told(&summary, "lost"), told(&summary, "doubled")), (0, 0), "{summary}");
    }
}

#[test]
fn who_is_held_up_is_late_for_all_that_comes_due_meanwhile() {
    let name = Name::created(&["--capacity", "1"]);
    well(&["push", &name, "stands in the way"]);
    let produce = Running::start(&["produce", &name, "--rate", "100", "--count", "40", "--json"]);
    eventually("it to be held up", || name.stat("blocked_full") > 0);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(well(&["consume", &name, "--count", "41"]).matches("foreign   ").count(), 1);
    let summary = json(&produce.output().stdout);
    // Those that were due in the 400 ms waited 200 ms on the average, though only one was being pushed.
    assert!(summary["latency_p50_seconds"].as_f64() > Some(0.1), "{summary}");
    assert!(summary["latency_max_seconds"].as_f64() > Some(0.35), "{summary}");
}

#[test]
fn what_was_due_and_never_sent_is_told() {
    let name = Name::created(&["--capacity", "10"]);
    let summary = json(well(&["produce", &name, "--rate", "1000", "--duration", "200ms", "--json"]).as_bytes());
    assert_eq!((told(&summary, "messages"), told(&summary, "due_and_not_sent")), (10, 190));
    assert_eq!(name.stat("depth"), 10);
}

#[test]
fn a_pace_is_kept() {
    let name = Name::created(&["--capacity", "1000"]);
    for wait in ["spin", "balanced", "park"] {
        let summary =
            json(well(&["produce", &name, "--rate", "1000", "--count", "101", "--waiting", wait, "--json"]).as_bytes());
        assert!(summary["took_seconds"].as_f64() > Some(0.05), "{wait}: {summary}");
        assert_eq!(told(&summary, "due_and_not_sent"), 0);
    }
}

#[test]
fn messages_of_others_are_counted_and_not_misread() {
    let name = Name::created(&[]);
    assert!(fed(&["push", &name], b"hello\n\na line that is as long as a stamp, and longer\n").status.success());
    well(&["produce", &name, "--count", "2", "--close"]);
    let summary = json(well(&["consume", &name, "--json"]).as_bytes());
    assert_eq!((told(&summary, "messages"), told(&summary, "foreign"), told(&summary, "lost")), (5, 3, 0));
    assert_eq!(summary["latencies"].as_array().unwrap().iter().map(|step| told(step, "messages")).sum::<u64>(), 2);
}

/// Three messages of one producer, each behind its length.
fn three(name: &str) -> [Vec<u8>; 3] {
    well(&["produce", name, "--count", "3", "--size", "32"]);
    [(); 3].map(|()| run(&["pop", name, "--binary"]).stdout)
}

#[test]
fn what_was_lost_is_found_out() {
    let name = Name::created(&[]);
    let [first, _, third] = three(&name);
    assert!(fed(&["push", &name, "--binary"], &[first, third].concat()).status.success());
    let output = run(&["consume", &name, "--count", "2", "--json"]);
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(1), "handover: a promise was broken: 1 lost, 0 doubled and not marked\n".into())
    );
    assert_eq!(told(&json(&output.stdout), "lost"), 1);
}

#[test]
fn what_came_twice_and_did_not_say_so_is_found_out() {
    let name = Name::created(&[]);
    let [first, second, third] = three(&name);
    assert!(fed(&["push", &name, "--binary"], &[first, second.clone(), third, second].concat()).status.success());
    let output = run(&["consume", &name, "--count", "4"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("0 lost, 1 doubled and not marked"), "{output:?}");
}

#[test]
fn what_others_took_is_not_called_lost() {
    let name = Name::created(&[]);
    well(&["produce", &name, "--count", "10"]);
    let consume = Running::start(&["consume", &name, "--work", "100ms", "--json"]);
    eventually("it to hold one", || name.stat("depth") < 10);
    assert!(run(&["pop", &name, "--binary"]).status.success());
    well(&["close", &name]);
    let output = consume.output();
    assert!(output.status.success(), "{output:?}");
    let summary = json(&output.stdout);
    assert_eq!((told(&summary, "messages"), told(&summary, "absent"), told(&summary, "lost")), (9, 1, 0));
}

#[test]
fn a_message_of_a_killed_consumer_comes_again_and_says_so() {
    for kind in ["queue", "tasks"] {
        let name = Name::created(&["--kind", kind]);
        well(&["produce", &name, "--count", "3", "--close"]);
        let mut held = Running::start(&["consume", &name, "--work", "1h"]);
        let waiting = || well(&["peek", &name]).lines().count();
        eventually("it to hold one", || waiting() == 2);
        signal(held.child(), Signal::KILL);
        held.child().wait().unwrap();
        let summary = json(well(&["consume", &name, "--json"]).as_bytes());
        assert_eq!(
            (told(&summary, "messages"), told(&summary, "redelivered"), told(&summary, "doubled")),
            (3, 1, 0),
            "{kind}"
        );
        assert_eq!(told(&summary, "lost"), 0);
    }
}

#[test]
fn tasks_fail_as_often_as_asked_and_come_again() {
    let name = Name::created(&["--kind", "tasks", "--tries", "2"]);
    well(&["produce", &name, "--count", "4", "--close", "--priority", "7"]);
    assert_eq!(name.json()["waiting_by_priority"][7], 4);
    let summary = json(well(&["consume", &name, "--fail", "100", "--json"]).as_bytes());
    assert_eq!((told(&summary, "messages"), told(&summary, "redelivered"), told(&summary, "doubled")), (8, 4, 0));
    assert!(well(&["letters", &name]).contains("reason --fail asked for it"));
    assert_eq!(name.stat("dead_letters"), 4);
}

#[test]
fn a_slow_reader_of_a_broadcast_is_told_what_it_missed() {
    let name = Name::created(&["--kind", "broadcast", "--capacity", "8"]);
    let consume = Running::start(&["consume", &name, "--work", "20ms", "--json"]);
    eventually("it to be there", || name.json()["readers"].as_array().is_some_and(|readers| readers.len() == 1));
    well(&["produce", &name, "--count", "1000", "--rate", "20000", "--close"]);
    let output = consume.output();
    assert!(output.status.success(), "{output:?}");
    let summary = json(&output.stdout);
    assert_eq!((told(&summary, "messages") + told(&summary, "missed"), told(&summary, "lost")), (1000, 0), "{summary}");
    assert!(told(&summary, "missed") > 0, "{summary}");
}

#[test]
fn whoever_is_interrupted_tells_what_it_did() {
    let name = Name::created(&["--capacity", "10"]);
    let attached = || name.json()["members"].as_array().is_some_and(|members| !members.is_empty());
    for how in ENDS {
        for (arguments, kept) in [(&["produce", &*name][..], 10), (&["consume", &name, "--work", "1h"], 10)] {
            let running = Running::start(arguments);
            eventually("it to attach", attached);
            eventually("it to work", || name.stat("depth") >= 9);
            let output = running.end(how);
            assert_eq!(output.status.code(), Some(130), "{output:?}");
            assert!(
                text(&output.stdout).contains("latency max")
                    && text(&output.stderr).starts_with("handover: interrupted; "),
                "{output:?}"
            );
            assert_eq!(text(&output.stderr).lines().count(), 1);
            assert_eq!(name.stat("depth"), kept, "{arguments:?}");
        }
        well(&["consume", &name, "--count", "10"]);
    }
}

#[test]
fn the_end_of_the_time_is_the_end() {
    let name = Name::created(&[]);
    let begun = std::time::Instant::now();
    well(&["consume", &name, "--duration", "150ms"]);
    well(&["produce", &name, "--duration", "150ms"]);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
}

// Where a name goes with its last user, what was made goes with the one that made it.
#[cfg(unix)]
#[test]
fn a_queue_is_made_where_that_is_asked_for() {
    let name = Name::new();
    fails(&["produce", &name, "--count", "1"], 3, "does not exist; make it");
    fails(&["consume", &name], 3, "does not exist; make it");
    for _ in 0..2 {
        well(&["produce", &name, "--count", "1", "--create", "--size", "40"]);
    }
    assert_eq!((name.stat("depth"), name.stat("capacity")), (2, 1000));
    fails(&["produce", &name, "--count", "1", "--size", "41"], 1, "at most 40");
}

#[track_caller]
fn fails_after_a_summary(arguments: &[&str], status: i32, saying: &str) {
    let output = run(arguments);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(status) && said.contains(saying) && said.lines().count() == 1, "{output:?}");
    assert!(text(&output.stdout).starts_with("name "), "{output:?}");
}

#[test]
fn what_is_closed_is_told() {
    let name = Name::created(&[]);
    well(&["produce", &name, "--count", "2", "--close"]);
    fails(&["produce", &name], 5, "closed");
    fails_after_a_summary(&["consume", &name, "--count", "3"], 5, "closed");
    // Without a number to be closed is the end.
    well(&["consume", &name]);
}

#[test]
fn what_can_not_be_meant_is_refused() {
    let (queue, tasks) = (Name::created(&[]), Name::created(&["--kind", "tasks"]));
    fails(&["produce", &queue, "--size", "31"], 2, "from 32 on it has");
    fails(&["produce", &queue, "--priority", "1"], 2, "--priority is for task queues");
    fails(&["produce", &tasks, "--batch", "2"], 2, "--batch is for queues");
    fails(&["consume", &queue, "--fail", "1"], 2, "--fail is for task queues");
    fails(&["consume", &tasks, "--batch", "2"], 2, "--batch is for queues");
    for arguments in [
        &["produce", &*queue, "--rate", "0"][..],
        &["produce", &queue, "--report", "0"],
        &["produce", &queue, "--report", "often"],
        &["produce", &queue, "--duration", "5"],
        &["consume", &queue, "--fail", "101"],
        &["consume", &queue, "--waiting", "never"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn whoever_has_read_enough_ends_it_quietly() {
    let name = Name::created(&["--capacity", "100000"]);
    let output = shell(&format!(
        "handover produce {0} --count 50000 --report 10 | head -1; echo ${{PIPESTATUS[*]}}; handover consume {0} --report 10 | head -1; echo ${{PIPESTATUS[*]}}",
        &*name
    ));
    let said = text(&output.stdout);
    assert!(
        output.stderr.is_empty() && said.matches("10 messages").count() == 2 && said.matches("\n0 0\n").count() == 2,
        "{output:?}"
    );
}

#[cfg(unix)]
#[test]
fn whoever_has_gone_is_noticed_though_there_is_nothing_to_tell() {
    let name = Name::created(&["--capacity", "1"]);
    let output = shell(&format!(
        "handover consume {0} | true; echo ${{PIPESTATUS[0]}}; handover produce {0} | true; echo ${{PIPESTATUS[0]}}",
        &*name
    ));
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("0\n0\n".into(), String::new()));
}

#[cfg(unix)]
#[test]
fn on_a_terminal_reports_pass_in_place() {
    if !shell("command -v script").status.success() {
        return eprintln!("there is no script(1) here, which makes a terminal");
    }
    let name = Name::created(&["--capacity", "1000"]);
    for command in [
        format!("handover produce {} --rate 500 --duration 500ms --report 10", &*name),
        format!("handover consume {} --duration 500ms --report 10", &*name),
    ] {
        let output = shell(&format!("TERM=xterm script -qec '{command}' /dev/null"));
        let said = text(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("──") && said.contains(" messages  ") && said.contains("\x1b["), "{said:?}");
        // What stays is the summary.
        let lines =
            said.lines().filter(|line| line.contains(" messages  ") && !line.contains('\r') && !line.contains('\x1b'));
        assert_eq!(lines.count(), 0, "{said:?}");
        assert!(said.contains("latency max"), "{said}");
    }
}
