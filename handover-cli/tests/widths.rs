//! Two builds of the command on the same segments, one of 32 bits and one of 64: the other one is in the folder that
//! `HANDOVER_TEST_CHILDREN` names, and `.ci/targets i686` runs this both ways round. Where none is named, the other is this one.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};
use std::thread;

use common::{Name, Running, eventually, text};
use rustix::process::Signal;

/// Of the two builds.
#[derive(Clone, Copy, Debug)]
enum Build {
    Own,
    Other,
}

use Build::{Other, Own};

const BOTH_WAYS: [(Build, Build); 2] = [(Own, Other), (Other, Own)];

impl Build {
    fn command(self, arguments: &[&str]) -> Command {
        match self {
            Own => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
                command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                command
            }
            Other => common::handover(arguments),
        }
    }

    #[track_caller]
    fn well(self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{self:?}, {arguments:?}: {output:?}");
        text(&output.stdout)
    }

    fn start(self, arguments: &[&str]) -> Running {
        Running(Some(self.command(arguments).spawn().unwrap()))
    }

    /// With a pipe as its standard input.
    fn start_fed(self, arguments: &[&str]) -> Running {
        Running(Some(self.command(arguments).stdin(Stdio::piped()).spawn().unwrap()))
    }

    /// Runs with that on its standard input, whether it reads all of it or not.
    fn fed(self, arguments: &[&str], input: &str) -> Output {
        let mut running = self.start_fed(arguments);
        let mut pipe = running.child().stdin.take().unwrap();
        let input = input.to_owned();
        thread::spawn(move || pipe.write_all(input.as_bytes()));
        running.output()
    }

    fn stat(self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.well(&["stat", name, "--json"])).unwrap()
    }
}

fn kill(mut running: Running) {
    common::signal(running.child(), Signal::KILL);
    running.child().wait().unwrap();
}

/// What both say of a segment that nobody uses meanwhile is the same, word for word.
#[track_caller]
fn agree(name: &str) -> serde_json::Value {
    let (own, other) = (Own.stat(name), Other.stat(name));
    assert_eq!(own, other);
    own
}

#[test]
fn where_another_build_is_named_one_is_of_32_bits_and_one_of_64() {
    // So an executable file says it: 1 is 32 bits, 2 is 64.
    let mut widths = [Own, Other].map(|build| fs::read(build.command(&[]).get_program()).unwrap()[4]);
    widths.sort_unstable();
    let another = std::env::var_os("HANDOVER_TEST_CHILDREN").is_some();
    assert!(if another { widths == [1, 2] } else { widths[0] == widths[1] }, "{widths:?}");
}

#[test]
fn what_one_pushes_the_other_pops_in_order_whichever_ring_it_is() {
    let one = ["--producers", "one", "--consumers", "one"];
    for options in [&[] as &[&str], &["--producers", "one"], &one, &["--max-capacity", "100"]] {
        for (first, second) in BOTH_WAYS {
            let name = Name::new();
            first.well(&[&["create", &name, "--capacity", "16"][..], options].concat());
            let pop = second.start(&["pop", &name, "--follow"]);
            let lines: String = (0..1000).map(|number| format!("message {number}\n")).collect();
            let push = first.fed(&["push", &name], &lines);
            assert!(push.status.success() && push.stderr.is_empty(), "{push:?}");
            second.well(&["close", &name]);
            assert_eq!(text(&pop.output().stdout), lines);
            let told = agree(&name);
            assert_eq!((&told["pushed"], &told["popped"], &told["depth"]), (&1000.into(), &1000.into(), &0.into()));
            assert_eq!(told["closed"], true);
        }
    }
}

#[test]
fn members_of_both_take_their_share_at_the_same_time() {
    let name = Name::new();
    Own.well(&["create", &name, "--capacity", "16"]);
    let pops = [Own, Other, Own, Other].map(|build| build.start(&["pop", &name, "--follow"]));
    thread::scope(|scope| {
        for (build, range) in [(Own, 0..1000), (Other, 1000..2000)] {
            let name = &name;
            scope.spawn(move || {
                let lines: String = range.map(|number| format!("{number}\n")).collect();
                assert!(build.fed(&["push", name], &lines).status.success());
            });
        }
    });
    Own.well(&["close", &name]);
    let printed = pops.map(|pop| text(&pop.output().stdout)).concat();
    let mut numbers: Vec<u32> = printed.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2000).collect::<Vec<u32>>());
}

#[test]
fn each_sees_the_others_members_live_and_die() {
    for (first, second) in BOTH_WAYS {
        let name = Name::new();
        first.well(&["create", &name]);
        let mut pop = first.start(&["pop", &name]);
        let pid = pop.child().id();
        eventually("it to wait", || second.stat(&name)["blocked_empty"] == 1);
        let told = agree(&name);
        assert_eq!((&told["members"][0]["pid"], &told["members"][0]["alive"]), (&pid.into(), &true.into()));
        kill(pop);
        assert_eq!(agree(&name)["members"][0]["alive"], false);
    }
}

#[test]
fn what_a_killed_pop_held_the_other_build_is_handed_marked() {
    for (first, second) in BOTH_WAYS {
        let name = Name::new();
        first.well(&["create", &name, "--message-size", "1M", "--capacity", "2"]);
        assert!(first.fed(&["push", &name], &"x".repeat(1 << 20)).status.success());
        // Nobody reads what it prints, so it never gets done with it.
        let pop = first.start(&["pop", &name]);
        eventually("it to hold the message", || second.stat(&name)["depth"] == 0);
        kill(pop);
        assert_eq!(second.well(&["pop", &name, "--timeout", "10s"]).len(), (1 << 20) + 1);
        let told = agree(&name);
        assert_eq!((&told["redelivered"], &told["deaths"], &told["depth"]), (&1.into(), &1.into(), &0.into()));
    }
}

#[test]
fn what_a_killed_push_had_taken_in_the_other_build_pops_without_a_gap() {
    for (first, second) in BOTH_WAYS {
        for round in 0..10 {
            let name = Name::new();
            first.well(&["create", &name, "--capacity", "8"]);
            let mut push = first.start_fed(&["push", &name]);
            let mut pipe = push.child().stdin.take().unwrap();
            // More than it gets to.
            let feeder = thread::spawn(move || (0..).try_for_each(|number| writeln!(pipe, "{number}")));
            let mut pop = second.start(&["pop", &name, "--follow"]);
            let mut popped = BufReader::new(pop.child().stdout.take().unwrap()).lines().map(Result::unwrap);
            let mut lines: Vec<String> = popped.by_ref().take(100 + round * 37).collect();
            kill(push);
            assert!(feeder.join().unwrap().is_err());
            second.well(&["close", &name]);
            lines.extend(popped);
            assert!(pop.output().status.success());
            assert!(lines.iter().enumerate().all(|(number, line)| *line == number.to_string()), "{lines:?}");
            assert_eq!(agree(&name)["popped"], lines.len());
        }
    }
}

#[test]
fn pushes_that_are_killed_while_they_wait_leave_the_other_build_the_whole_queue() {
    for (first, second) in BOTH_WAYS {
        let name = Name::new();
        first.well(&["create", &name, "--capacity", "8"]);
        let eight = "x\n".repeat(8);
        for round in 1..=5 {
            assert!(second.fed(&["push", &name, "--no-wait"], &eight).status.success());
            let push = first.start(&["push", &name, "one too many"]);
            eventually("it to wait", || second.stat(&name)["blocked_full"] == round);
            kill(push);
            assert_eq!(second.well(&["pop", &name, "-n", "8", "--no-wait"]), eight);
            assert_eq!(second.command(&["pop", &name, "--no-wait"]).output().unwrap().status.code(), Some(4));
        }
        assert_eq!(agree(&name)["deaths"], 5);
    }
}

#[test]
fn subscribers_of_both_see_every_message_of_either() {
    for (first, second) in BOTH_WAYS {
        let name = Name::new();
        first.well(&["create", &name, "--kind", "broadcast"]);
        let subscribers = [first, second].map(|build| build.start(&["subscribe", &name]));
        eventually("both to be there", || second.stat(&name)["readers"].as_array().unwrap().len() == 2);
        first.well(&["publish", &name, "one"]);
        second.well(&["publish", &name, "two"]);
        first.well(&["close", &name]);
        for subscriber in subscribers {
            assert_eq!(text(&subscriber.output().stdout), "one\ntwo\n");
        }
        assert_eq!(agree(&name)["published"], 2);
    }
}

#[test]
fn tasks_that_one_submits_the_other_does_and_those_of_a_killed_worker_too() {
    for (first, second) in BOTH_WAYS {
        let name = Name::new();
        first.well(&["create", &name, "--kind", "tasks", "--tries", "2"]);
        first.well(&["push", &name, "plain"]);
        first.well(&["push", &name, "urgent", "--priority", "7"]);
        first.well(&["push", &name, "keyed", "--key", "k"]);
        let again = second.command(&["push", &name, "again", "--key", "k"]).output().unwrap();
        assert!(text(&again.stderr).contains("a task with the key \"k\" waits already"), "{again:?}");

        let killed = first.start(&["work", &name, "--", "sleep", "1"]);
        eventually("it to work", || second.stat(&name)["leased"] == 1);
        kill(killed);
        second.well(&["close", &name]);
        let done = second.well(&["work", &name, "--", "sh", "-c", "echo \"$(cat), try $HANDOVER_TRY\""]);
        assert_eq!(done, "urgent, try 2\nplain, try 1\nkeyed, try 1\n");
        let told = agree(&name);
        let counts = ["submitted", "taken", "done", "redelivered", "dead"].map(|count| told[count].as_u64().unwrap());
        assert_eq!(counts, [3, 4, 3, 1, 0]);
    }
}

#[test]
fn what_one_resizes_the_other_fills() {
    for (first, second) in BOTH_WAYS {
        let name = Name::new();
        first.well(&["create", &name, "--capacity", "4", "--max-capacity", "10"]);
        second.well(&["resize", &name, "10"]);
        assert_eq!(first.fed(&["push", &name, "--no-wait"], &"x\n".repeat(11)).status.code(), Some(4));
        let told = agree(&name);
        assert_eq!((&told["capacity"], &told["depth"]), (&10.into(), &10.into()));
    }
}
