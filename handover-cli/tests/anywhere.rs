//! What holds wherever the command runs, and needs no shell: what workers run here is the command itself.

mod common;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use common::{
    ENDS, KILLED, Name, Running, Signal, eventually, fails, fed, folder, handover, program, run, signal, text, well,
};

/// A path of this test's own.
struct File(PathBuf);

impl File {
    fn new() -> File {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        File(env::temp_dir().join(format!("handover-anywhere-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed))))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn tasks(tasks: &[&str], options: &[&str]) -> Name {
    let name = Name::created(&[&["--kind", "tasks"], options].concat());
    for task in tasks {
        well(&["push", &name, task]);
    }
    name
}

#[test]
fn what_has_a_file_stays_without_anybody() {
    let file = File::new();
    assert_eq!(well(&["create", "--file", file.path(), "--capacity", "7"]), "");
    assert!(fed(&["push", file.path()], b"one\ntwo\nthree\n").status.success());
    assert_eq!(well(&["peek", file.path(), "-n", "1"]), "one\n");
    assert!(well(&["stat", file.path()]).contains("depth          3\n"));
    assert_eq!(well(&["pop", file.path(), "-n", "2"]), "one\ntwo\n");
    well(&["close", file.path()]);
    assert_eq!(well(&["pop", file.path(), "--follow"]), "three\n");
    fails(&["push", file.path(), "late"], 5, "closed");
    well(&["rm", file.path()]);
    fails(&["pop", file.path()], 3, "does not exist");
}

#[test]
fn the_exit_status_says_what_went_wrong() {
    let name = Name::created(&["--capacity", "1", "--max-capacity", "2"]);
    fails(&["pop", &name, "--no-wait"], 4, "no message");
    well(&["push", &name, "1"]);
    fails(&["push", &name, "2", "--no-wait"], 4, "no room");
    well(&["resize", &name, "2"]);
    well(&["push", &name, "2", "--no-wait"]);
    fails(&["resize", &name, "3"], 2, "larger maximum");
    well(&["close", &name]);
    fails(&["push", &name, "3"], 5, "closed");
    assert_eq!(well(&["pop", &name, "--follow"]), "1\n2\n");
    well(&["rm", &name]);
    fails(&["stat", &name], 3, "does not exist");
}

#[test]
fn who_is_asked_to_end_does_and_gives_back_what_it_did_not_hand_on() {
    let name = Name::created(&[]);
    for how in ENDS {
        let pop = Running::start(&["pop", &name]);
        eventually("it to attach", || attached(&name) > 0);
        let begun = Instant::now();
        let output = pop.end(how);
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    let large = Name::created(&["--message-size", "1M", "--capacity", "2"]);
    assert!(fed(&["push", &large], &vec![b'x'; 1 << 20]).status.success());
    // Nobody reads.
    let mut pop = Running::start(&["pop", &large]);
    eventually("it to hold the message", || large.stat("depth") == 0);
    std::thread::sleep(Duration::from_millis(100));
    signal(pop.child(), Signal::INT);
    assert_eq!(pop.child().wait().unwrap().code(), Some(130));
    assert_eq!(run(&["pop", &large, "--no-wait"]).stdout.len(), (1 << 20) + 1);
}

#[test]
fn a_killed_pop_loses_nothing() {
    let name = Name::created(&["--message-size", "1M", "--capacity", "2"]);
    assert!(fed(&["push", &name], &vec![b'x'; 1 << 20]).status.success());
    let mut pop = Running::start(&["pop", &name]);
    let mut first = [0];
    pop.child().stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    signal(pop.child(), Signal::KILL);
    assert_eq!(pop.child().wait().unwrap().code(), KILLED.0);
    assert_eq!(run(&["pop", &name, "--timeout", "30s"]).stdout.len(), (1 << 20) + 1);
}

#[test]
fn whoever_has_read_enough_ends_it_quietly_though_nothing_more_comes() {
    let name = Name::created(&[]);
    well(&["push", &name, "1"]);
    let mut pop = Running::start(&["pop", &name, "--follow"]);
    let mut out = BufReader::new(pop.child().stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "1\n");
    drop(out);
    let output = pop.output();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn every_subscriber_has_every_message() {
    let name = Name::created(&["--kind", "broadcast"]);
    let subscribers = [(); 3].map(|()| Running::start(&["subscribe", &name]));
    eventually("all to be there", || name.json()["readers"].as_array().unwrap().len() == 3);
    assert!(fed(&["publish", &name], b"one\ntwo\n").status.success());
    well(&["close", &name]);
    for subscriber in subscribers {
        assert_eq!(text(&subscriber.output().stdout), "one\ntwo\n");
    }
}

#[test]
fn a_worker_runs_its_command_with_each_task_on_standard_input() {
    let (jobs, results) = (tasks(&["first", "second"], &[]), Name::created(&[]));
    well(&["close", &jobs]);
    assert_eq!(well(&["work", &jobs, "--", &program(), "push", &results]), "");
    assert_eq!((jobs.stat("done"), jobs.stat("failed")), (2, 0));
    assert_eq!(well(&["pop", &results, "-n", "2"]), "first\nsecond\n");
}

#[test]
fn a_program_is_found_by_the_path() {
    let (jobs, results) = (tasks(&["task"], &[]), Name::created(&[]));
    well(&["close", &jobs]);
    let path = env::join_paths([folder()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap()))).unwrap();
    let output = handover(&["work", &jobs, "--", "handover", "push", &results]).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(well(&["pop", &results]), "task\n");
}

#[test]
fn a_task_whose_command_fails_becomes_a_letter_with_its_exit_status() {
    let jobs = tasks(&["hopeless"], &["--tries", "2"]);
    well(&["close", &jobs]);
    let output = run(&["work", &jobs, "--", &program(), "stat", "no-such-queue"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((jobs.stat("failed"), jobs.stat("dead_letters")), (2, 1));
    assert!(well(&["letters", &jobs]).contains("exit status 3"), "{}", well(&["letters", &jobs]));
}

/// How many members are attached, dead or alive.
fn attached(name: &Name) -> usize {
    name.json()["members"].as_array().unwrap().len()
}

/// A worker in the midst of a task, whose command waits until there is something in a queue.
fn busy(jobs: &Name, waited_for: &Name) -> Running {
    let work = Running::start(&["work", jobs, "--", &program(), "pop", waited_for]);
    eventually("the command to wait", || attached(waited_for) == 1);
    work
}

#[test]
fn a_killed_worker_takes_its_commands_with_it_and_its_task_is_another_ones() {
    let (jobs, never) = (tasks(&["precious"], &[]), Name::created(&[]));
    let mut work = busy(&jobs, &never);
    signal(work.child(), Signal::KILL);
    work.child().wait().unwrap();
    assert_eq!(well(&["pop", &jobs, "--timeout", "30s"]), "precious\n");
    assert_eq!(jobs.stat("redelivered"), 1);
    eventually("the command to end", || !never.json().to_string().contains("\"alive\":true"));
}

#[test]
fn a_worker_that_is_asked_to_end_finishes_its_task_and_asked_twice_it_does_not() {
    let (jobs, result) = (tasks(&["1", "2"], &[]), Name::created(&[]));
    let mut work = busy(&jobs, &result);
    signal(work.child(), Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(work.child().try_wait().unwrap().is_none());
    well(&["push", &result, "ready"]);
    let output = work.output();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(130), "ready\n".into()), "{output:?}");
    assert_eq!((jobs.stat("done"), jobs.stat("failed")), (1, 0));

    let mut work = busy(&jobs, &result);
    signal(work.child(), Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    signal(work.child(), Signal::INT);
    assert_eq!(work.child().wait().unwrap().code(), Some(130));
    assert_eq!(well(&["pop", &jobs, "--timeout", "30s"]), "2\n");
    eventually("the command to end", || !result.json().to_string().contains("\"alive\":true"));
}

#[test]
fn a_command_need_not_read_its_task() {
    let (jobs, closed) =
        (Name::created(&["--kind", "tasks", "--message-size", "1M", "--capacity", "3"]), Name::created(&[]));
    assert!(fed(&["push", &jobs], &vec![b'x'; 1 << 20]).status.success());
    well(&["close", &jobs]);
    assert_eq!(well(&["work", &jobs, "--", &program(), "close", &closed]), "");
    assert_eq!(jobs.stat("done"), 1);
}

#[test]
fn a_command_that_is_not_there_costs_no_task_a_try() {
    let jobs = tasks(&["x"], &["--tries", "1"]);
    fails(&["work", &jobs, "--", "no-such-program"], 1, "there is no program no-such-program");
    let path = File::new();
    fails(&["work", &jobs, "--", path.path()], 1, &format!("there is no program {}", path.path()));
    assert_eq!((jobs.stat("taken"), jobs.stat("dead_letters")), (0, 0));
}

#[test]
fn so_many_tasks_are_worked_on_at_a_time() {
    let (jobs, go) = (tasks(&["1", "2", "3", "4"], &[]), Name::created(&[]));
    let work = Running::start(&["work", &jobs, "--jobs", "3", "--", &program(), "pop", &go]);
    eventually("three commands to wait", || attached(&go) == 3);
    assert_eq!(jobs.stat("leased"), 3);
    assert!(fed(&["push", &go], b"1\n2\n3\n4\n").status.success());
    well(&["close", &jobs]);
    assert!(work.output().status.success());
    assert_eq!(jobs.stat("done"), 4);
}

#[test]
fn a_worker_that_waits_leaves_when_asked() {
    for how in ENDS {
        let jobs = tasks(&[], &[]);
        let work = Running::start(&["work", &jobs, "--jobs", "2", "--", &program()]);
        eventually("it to be there", || jobs.json()["workers"].as_array().unwrap().len() == 2);
        // Windows does not say which it was.
        let drains = cfg!(unix) && how != Signal::INT;
        assert_eq!(work.end(how).status.code(), Some(if drains { 0 } else { 130 }));
    }
}

#[test]
fn the_commands_of_a_killed_worker_end_with_it() {
    let (jobs, never) = (tasks(&["1", "2", "3"], &[]), Name::created(&[]));
    let mut work = Running::start(&["work", &jobs, "--jobs", "3", "--", &program(), "pop", &never]);
    eventually("three commands to wait", || attached(&never) == 3);
    signal(work.child(), Signal::KILL);
    work.child().wait().unwrap();
    eventually("the commands to end", || !never.json().to_string().contains("\"alive\":true"));
}

#[test]
fn a_lease_that_is_over_gives_the_task_to_another() {
    let (jobs, go) = (tasks(&["slow"], &["--lease", "100ms"]), Name::created(&[]));
    let slow = busy(&jobs, &go);
    assert_eq!(well(&["pop", &jobs, "--timeout", "30s"]), "slow\n");
    well(&["push", &go, "now"]);
    well(&["close", &jobs]);
    let output = slow.output();
    assert!(output.status.success() && text(&output.stderr).contains("the lease was over before"), "{output:?}");
    assert_eq!((jobs.stat("done"), jobs.stat("leases_lost")), (1, 1));
}

#[test]
fn what_is_listed_is_what_is_there() {
    let name = Name::created(&[]);
    well(&["push", &name, "x"]);
    let all: Vec<serde_json::Value> = serde_json::from_str(&well(&["ls", "--json"])).unwrap();
    let found = all.iter().find(|segment| segment["name"] == *name).unwrap_or_else(|| panic!("{all:?}"));
    assert_eq!((&found["kind"], &found["depth"]), (&"queue".into(), &1.into()));
}

/// What is different where names go with their last user.
#[cfg(windows)]
mod on_windows {
    use super::*;

    /// `create`, once it has said that it stays.
    fn created(name: &str) -> Running {
        let mut create = Running::start(&["create", name]);
        let mut said = String::new();
        BufReader::new(create.child().stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with(&format!("{name}: stays as long as this runs")), "{said}");
        create
    }

    #[test]
    fn a_name_stays_as_long_as_the_command_that_made_it() {
        for how in [Signal::INT, Signal::BREAK, Signal::KILL] {
            let name = Name::new();
            let create = created(&name);
            well(&["push", &name, "kept"]);
            assert_eq!(well(&["pop", &name]), "kept\n");
            fails(&["create", &name], 1, "exists already");
            let status = if how == Signal::KILL { 9 } else { 0 };
            let output = create.end(how);
            assert_eq!(output.status.code(), Some(status), "{output:?}");
            fails(&["stat", &name], 3, "does not exist");
        }
    }

    #[test]
    fn what_is_removed_lets_the_command_that_made_it_end() {
        let name = Name::new();
        let mut create = created(&name);
        well(&["rm", &name]);
        assert!(create.child().wait().unwrap().success());
    }

    #[test]
    fn a_name_stays_with_whoever_uses_it() {
        let name = Name::new();
        let create = created(&name);
        let pop = Running::start(&["pop", &name, "-n", "1"]);
        eventually("it to attach", || attached(&name) > 0);
        create.end(Signal::INT);
        well(&["push", &name, "late"]);
        assert_eq!(text(&pop.output().stdout), "late\n");
    }

    #[test]
    fn backslashes_and_drives_make_paths() {
        let file = File::new();
        assert!(file.path().contains('\\'));
        well(&["create", file.path()]);
        assert!(fs::exists(file.path()).unwrap());
        well(&["rm", file.path()]);
        assert!(!fs::exists(file.path()).unwrap());
    }

    #[test]
    fn a_carriage_return_is_part_of_the_end_of_a_line() {
        let file = File::new();
        well(&["create", file.path()]);
        assert!(fed(&["push", file.path()], b"one\r\ntwo\n").status.success());
        assert!(fed(&["push", file.path(), "--null"], b"three\r\n\0").status.success());
        assert_eq!(well(&["pop", file.path(), "-n", "3", "--null"]), "one\0two\0three\r\n\0");
    }

    #[test]
    fn a_program_is_found_without_its_ending_and_a_script_is_one() {
        let script = File::new();
        let script = File(script.0.with_extension("cmd"));
        fs::write(&script.0, "@exit 7\r\n").unwrap();
        let jobs = tasks(&["x"], &["--tries", "1"]);
        well(&["close", &jobs]);
        let named = script.0.with_extension("");
        let output = run(&["work", &jobs, "--", named.to_str().unwrap()]);
        assert!(text(&output.stderr).contains("exit status 7"), "{output:?}");
    }
}
