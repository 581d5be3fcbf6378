//! `ls` and `stat`.

mod common;

#[cfg(unix)]
use std::fs;
use std::io::Write;
#[cfg(unix)]
use std::process;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use common::{Name, Running, Signal, eventually, run, text, well};
use serde_json::Value;

fn listed(name: &str) -> Option<Value> {
    let all: Vec<Value> = serde_json::from_str(&well(&["ls", "--json"])).unwrap();
    all.into_iter().find(|segment| segment["name"] == name)
}

#[cfg(unix)]
fn line(name: &str) -> Vec<String> {
    let all = well(&["ls"]);
    assert!(all.starts_with("NAME"), "{all}");
    let line = all.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{all}"));
    line.split("  ").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Who lists it at the same time has it open meanwhile: so what is stale is seen to be so in the end.
#[cfg(unix)]
#[track_caller]
fn line_ends(name: &str, expected: &[&str]) {
    eventually(&format!("{expected:?}"), || {
        line(name).ends_with(&expected.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    });
}

#[cfg(unix)]
#[test]
fn all_kinds_are_listed_with_their_depth() {
    let queue = Name::created(&["--capacity", "10"]);
    let broadcast = Name::created(&["--kind", "broadcast"]);
    let tasks = Name::created(&["--kind", "tasks"]);
    let memory = Name::new();
    let _memory = handover::SharedMemory::create(&memory, 100).unwrap();
    assert!(common::fed(&["push", &queue], b"1\n2\n3\n").status.success());
    well(&["push", &tasks, "1"]);
    line_ends(&queue, &["queue", "3", "10", "0", "0", "0", "stale"]);
    line_ends(&broadcast, &["broadcast", "0", "1,000", "0", "0", "0", "stale"]);
    line_ends(&tasks, &["task queue", "1", "1,000", "0", "0", "0", "stale"]);
    assert_eq!(line(&memory)[1..], ["plain memory", "-", "-", "-", "-", "-", "in use"]);
    eventually("nobody to have it open", || listed(&queue).unwrap()["in_use"] == false);
    let found = listed(&queue).unwrap();
    assert_eq!((&found["kind"], &found["depth"]), (&"queue".into(), &3.into()));
    well(&["close", &queue]);
    line_ends(&queue, &["stale, closed"]);
}

#[cfg(unix)]
#[test]
fn who_uses_it_is_told_alive_or_dead() {
    let name = Name::created(&[]);
    let mut pop = Running::start(&["pop", &name]);
    eventually("it to be there", || listed(&name).unwrap()["members"] == 1);
    assert_eq!(line(&name)[4..], ["0", "0", "1", "in use"]);
    let pid = pop.child().id();
    let told = name.json();
    assert_eq!((&told["members"][0]["pid"], &told["members"][0]["role"]), (&pid.into(), &"consumer".into()));
    common::signal(pop.child(), Signal::KILL);
    pop.child().wait().unwrap();
    line_ends(&name, &["1, 1 dead", "stale"]);
    assert_eq!(name.json()["members"][0]["alive"], false);
    let lines = well(&["stat", &name]);
    assert!(lines.contains("\nkind           queue\n"), "{lines}");
    assert!(lines.contains("\nmembers\nnumber  role "), "{lines}");
}

#[test]
fn what_moves_is_listed_with_how_fast_it_does() {
    let name = Name::created(&["--capacity", "100"]);
    let found = listed(&name).unwrap();
    assert_eq!((found["in_per_second"].as_f64(), found["out_per_second"].as_f64()), (Some(0.0), Some(0.0)));
    let _pop = Running::start(&["pop", &name, "--follow"]);
    let mut push = common::handover(&["push", &name]).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = push.stdin.take().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let feeding = thread::spawn({
        let ended = Arc::clone(&ended);
        // 100 to 2000 in a second.
        move || {
            while !ended.load(Relaxed) {
                pipe.write_all(b"a line\n").unwrap();
                thread::sleep(Duration::from_micros(500));
            }
        }
    });
    eventually("rates", || {
        let all: Vec<Value> = serde_json::from_str(&well(&["ls", "--json", "--interval", "500ms"])).unwrap();
        let found = all.into_iter().find(|segment| segment["name"] == *name).unwrap();
        let rates = [&found["in_per_second"], &found["out_per_second"]].map(|rate| rate.as_f64().unwrap());
        rates.into_iter().all(|rate| (100.0..=2000.0).contains(&rate))
    });
    ended.store(true, Relaxed);
    feeding.join().unwrap();
    assert!(push.wait().unwrap().success());
    let refused = run(&["ls", "--interval", "1ms"]);
    assert!(refused.status.code() == Some(2) && text(&refused.stderr).contains("at least 10ms"), "{refused:?}");
}

#[cfg(unix)]
#[test]
fn what_can_not_be_opened_is_listed_with_the_reason() {
    let name = Name::new();
    let path = format!("/dev/shm/handover.{}", &*name);
    fs::write(&path, "scribble").unwrap();
    assert!(line(&name)[7].contains("is not a Handover segment"), "{:?}", line(&name));
    let found = listed(&name).unwrap();
    assert!(found["kind"].is_null() && found["error"].as_str().unwrap().contains("is not a Handover segment"));
    common::fails(&["stat", &name], 1, "is not a Handover segment");
}

#[cfg(unix)]
#[test]
fn a_task_in_work_is_told_with_who_works_on_it() {
    let name = Name::created(&["--kind", "tasks"]);
    well(&["push", &name, "slow", "--priority", "5"]);
    assert_eq!(name.json()["waiting_by_priority"], serde_json::json!([0, 0, 0, 0, 0, 1, 0, 0]));
    let go = std::env::temp_dir().join(format!("handover-view-{}", process::id()));
    let command = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
    let mut work = Running::start(&["work", &name, "--", "sh", "-c", &command]);
    eventually("it to work", || name.stat("leased") == 1);
    let pid = work.child().id();
    let told = name.json();
    assert_eq!((&told["workers"][0]["pid"], &told["workers"][0]["tries"][0]), (&pid.into(), &1.into()));
    assert!(well(&["stat", &name]).contains("\nworkers\nnumber  "), "{}", well(&["stat", &name]));
    fs::write(&go, "").unwrap();
    eventually("it to be done", || name.stat("done") == 1);
    assert!(work.end(Signal::TERM).status.success());
    fs::remove_file(go).unwrap();
    assert!(name.json()["worked_p50_seconds"].as_f64().is_some());
}

#[test]
fn a_broadcast_tells_of_its_readers() {
    let name = Name::created(&["--kind", "broadcast"]);
    let subscriber = Running::start(&["subscribe", &name]);
    eventually("it to be there", || name.json()["readers"].as_array().unwrap().len() == 1);
    well(&["publish", &name, "1"]);
    eventually("it to have read", || name.json()["readers"][0]["read"] == 1);
    assert_eq!(name.stat("published"), 1);
    subscriber.end(Signal::INT);
}

#[test]
fn to_look_does_not_remove_what_goes_with_its_last_user() {
    let name = Name::new();
    let queue = handover::Options::new(5).goes_with_last_user().create::<[u8]>(&name).unwrap();
    assert!(listed(&name).is_some());
    assert!(listed(&name).is_some());
    drop(queue);
    eventually("its last user to leave", || listed(&name).is_none());
}

#[test]
fn nobody_reads_and_nothing_is_said() {
    let mut ls = common::handover(&["ls"]).spawn().unwrap();
    drop(ls.stdout.take());
    let output = ls.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(text(&run(&["ls", "--help"]).stdout).contains("--json"));
}
