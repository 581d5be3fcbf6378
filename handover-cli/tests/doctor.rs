//! `doctor`: what is wrong is found, told, and put right where that is safe.

mod common;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use common::{Name, Running, Signal, eventually, fails, fed, handover, program, refused, run, text, well};
#[cfg(unix)]
use common::{listens, shell};
use handover::broadcast::{Broadcast, Start};
use handover::{Options, Queue};
use serde_json::Value;

/// What `doctor` says with these arguments. Its exit status is right, whatever the machine is like.
#[track_caller]
fn examined(arguments: &[&str]) -> Value {
    let output = run(&[&["doctor", "--json"][..], arguments].concat());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let wrong = told["machine"].as_array().unwrap().iter().chain(told["queues"].as_array().unwrap());
    let wrong = wrong.filter(|check| check["state"] == "wrong").count();
    assert!(told["wrong"] == wrong && output.status.code() == Some(i32::from(wrong > 0)), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    told
}

fn codes(told: &Value) -> Vec<String> {
    let code = |check: &Value| check["code"].as_str().unwrap_or("well").to_owned();
    told["queues"].as_array().unwrap().iter().map(code).collect()
}

/// The codes of what is found of a queue.
#[track_caller]
fn found(name: &str) -> Vec<String> {
    codes(&examined(&[name]))
}

/// What is found of a segment in which nobody is. Where names go with their last user the one who keeps it has it open.
fn left_alone(found: &[&'static str]) -> Vec<&'static str> {
    match found {
        [] if cfg!(windows) => vec!["well"],
        found if cfg!(windows) => found.to_vec(),
        found => [found, &["unused"]].concat(),
    }
}

/// What it says to do about what has that code.
#[track_caller]
fn remedy(name: &str, code: &str) -> String {
    let told = examined(&[name]);
    let check = told["queues"].as_array().unwrap().iter().find(|check| check["code"] == code);
    check.unwrap_or_else(|| panic!("{told}"))["remedy"].as_str().unwrap().to_owned()
}

/// Puts right what can be put right, and says what that was; a second time there is nothing left to do.
#[track_caller]
fn mended(name: &str) -> Vec<String> {
    let told = examined(&["--fix", name]);
    let mended = told["mended"].as_array().unwrap().iter().map(|what| what.as_str().unwrap().to_owned()).collect();
    if exists(name) {
        assert_eq!(examined(&["--fix", name])["mended"].as_array().unwrap().len(), 0);
    }
    mended
}

fn exists(name: &str) -> bool {
    handover::kind(name).is_ok()
}

const PART: &str = "HANDOVER_DOCTOR_TEST";

/// In another process: does something with a segment and stays in the midst of it.
#[test]
fn part() {
    let Ok(part) = std::env::var(PART) else { return };
    let (what, name) = part.split_once(' ').unwrap();
    let ready = || {
        println!("\nready");
        std::io::stdout().flush().unwrap();
        thread::sleep(Duration::from_secs(60));
    };
    match what {
        "pass" => {
            let _queue = Options::new(4).goes_with_last_user().create::<[u8]>(name).unwrap();
            ready();
        }
        "receive" => {
            let mut consumer = Queue::<[u8]>::open(name).unwrap().consumer().unwrap();
            let _message = consumer.receive().unwrap();
            ready();
        }
        "loan" => {
            let mut producer = Queue::<[u8]>::open(name).unwrap().producer().unwrap();
            let _loan = producer.loan().unwrap();
            ready();
        }
        other => panic!("{other}"),
    }
}

/// Has another process do that, and kills it in the midst.
fn killed(what: &str, name: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "part", "--nocapture"])
        .env(PART, format!("{what} {name}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"), "{what} {name}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_well_is_told_in_a_line() {
    let name = Name::created(&[]);
    let _user = Queue::<[u8]>::open(&name).unwrap();
    assert_eq!(found(&name), ["well"]);
    let output = run(&["doctor", &name]);
    let told = text(&output.stdout);
    let line = told.lines().find(|line| line.contains(&*name)).unwrap();
    assert!(line.starts_with("well   ") && line.ends_with("  queue, 0 of 1,000"), "{told}");
    assert!(told.contains("\nwell   a queue on trial  "), "{told}");
    assert!(!told.contains('\x1b'), "colours are for terminals");
}

#[test]
fn all_queues_are_looked_at_if_none_is_named() {
    let name = Name::created(&[]);
    let told: Value = serde_json::from_slice(&run(&["doctor", "--json"]).stdout).unwrap();
    assert!(told["queues"].as_array().unwrap().iter().any(|check| check["about"] == *name), "{told}");
}

#[test]
fn the_dead_are_told_and_what_they_left_is_settled() {
    let program = program();
    for (kind, member) in [("queue", &["pop"][..]), ("broadcast", &["subscribe"]), ("tasks", &["work"])] {
        let name = Name::created(&["--kind", kind]);
        let mut arguments = vec![member[0], &name];
        if kind == "tasks" {
            arguments.extend(["--", &program]);
        }
        let mut running = Running::start(&arguments);
        let pid = running.child().id();
        let list = ["members", "readers", "workers"];
        eventually("it to be attached", || {
            let told = name.json();
            list.iter().any(|list| told[list].as_array().is_some_and(|all| !all.is_empty()))
        });
        assert_eq!(found(&name), ["well"]);
        running.end(Signal::KILL);
        let told = examined(&[&name]);
        assert_eq!(codes(&told), left_alone(&["dead-members"]));
        let dead = &told["queues"][0];
        assert!(dead["found"].as_str().unwrap().contains(&format!("process {pid}")), "{told}");
        assert_eq!(mended(&name), [format!("{}: settled what 1 dead member had left", &*name)]);
        assert_eq!(found(&name), left_alone(&[]));
        assert_eq!(name.stat("deaths"), 1);
    }
}

#[test]
#[cfg(unix)]
fn what_its_users_left_behind_is_told_and_removed() {
    let name = Name::new();
    killed("pass", &name);
    assert_eq!(found(&name), ["left-behind"]);
    assert!(exists(&name), "to look is not to remove");
    assert_eq!(mended(&name), [format!("{}: removed", &*name)]);
    assert!(!exists(&name));
    fails(&["doctor", "--fix", &name], 3, "does not exist");
}

#[test]
#[cfg(unix)]
fn what_a_remedy_says_does_it() {
    use std::os::unix::fs::PermissionsExt;

    let name = Name::new();
    killed("pass", &name);
    assert!(shell(&remedy(&name, "left-behind")).status.success() || !exists(&name));
    assert!(!exists(&name));

    let name = Name::created(&["--kind", "tasks"]);
    well(&["close", &name]);
    shell(&remedy(&name, "closed-and-empty"));
    assert!(!exists(&name));

    let name = Name(format!("doctor's own, {}", process::id()));
    well(&["create", &name]);
    let path = format!("/dev/shm/handover.{}", &*name);
    let permit = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    permit(0o666);
    assert_eq!(found(&name), ["anybody-may-write", "unused"]);
    assert!(shell(&remedy(&name, "anybody-may-write")).status.success());
    assert_eq!(found(&name), ["group-may-write", "unused"]);
    permit(0o600);
    assert_eq!(found(&name), ["unused"]);
}

#[test]
#[cfg(unix)]
fn what_is_closed_and_empty_goes_and_what_holds_anything_stays() {
    for kind in ["queue", "tasks"] {
        let name = Name::created(&["--kind", kind]);
        well(&["push", &name, "precious"]);
        assert_eq!((found(&name), mended(&name).len()), (vec!["unused".to_owned()], 0));
        well(&["close", &name]);
        assert_eq!((found(&name), mended(&name).len()), (vec!["closed-and-forgotten".to_owned()], 0));
        assert_eq!(well(&["pop", &name]), "precious\n");
        assert_eq!(found(&name), ["closed-and-empty"]);
        assert_eq!(mended(&name), [format!("{}: removed", &*name)]);
        assert!(!exists(&name));
    }
}

#[test]
fn what_is_in_use_stays_whatever_is_wrong_with_it() {
    let name = Name::created(&[]);
    let queue = Queue::<[u8]>::open(&name).unwrap();
    queue.close();
    assert_eq!((found(&name), mended(&name).len()), (vec!["well".to_owned()], 0));
    assert!(exists(&name));
}

#[test]
fn what_a_killed_consumer_held_is_handed_back_and_not_thrown_away() {
    let name = Name::created(&[]);
    well(&["push", &name, "precious"]);
    well(&["close", &name]);
    killed("receive", &name);
    assert_eq!(found(&name)[0], "dead-members");
    assert_eq!(mended(&name), [format!("{}: settled what 1 dead member had left", &*name)]);
    let forgotten = ["closed-and-forgotten", "handed-back"];
    assert_eq!(found(&name), if cfg!(windows) { &forgotten[1..] } else { &forgotten });
    assert_eq!(well(&["pop", &name]), "precious\n");
    if cfg!(unix) {
        assert_eq!(mended(&name), [format!("{}: removed", &*name)]);
    }
}

#[test]
fn a_push_that_died_half_way_is_told() {
    let name = Name::created(&[]);
    killed("loan", &name);
    mended(&name);
    assert!(found(&name).contains(&"voids".to_owned()));
}

#[test]
fn a_queue_that_is_full_and_stands_still_is_told_with_whoever_should_take_from_it() {
    let name = Name::created(&["--capacity", "1"]);
    well(&["push", &name, "1"]);
    let _push = Running::start(&["push", &name, "2"]);
    eventually("the push to wait", || name.stat("blocked_full") > 0);
    assert_eq!(found(&name), ["full"]);
    assert_eq!(remedy(&name, "full"), format!("handover pop {} --follow", &*name));
    assert_eq!(mended(&name).len(), 0);

    let consumer = Queue::<[u8]>::open(&name).unwrap().consumer().unwrap();
    let told = examined(&[&name]);
    assert!(told["queues"][0]["found"].as_str().unwrap().contains(&format!("process {}", process::id())), "{told}");
    drop(consumer);
    assert_eq!(well(&["pop", &name, "-n", "2"]), "1\n2\n");
    assert_eq!(found(&name), left_alone(&[]));
}

/// Ends what goes on beside a test, also of one that fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_queue_that_is_full_and_moves_is_well() {
    let name = Name::created(&["--capacity", "2"]);
    let queue = Queue::<[u8]>::open(&name).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut producer = queue.producer().unwrap();
            while !stop.load(Relaxed) {
                producer.push(b"more").unwrap();
            }
            queue.close();
        });
        scope.spawn(|| {
            let mut consumer = queue.consumer().unwrap();
            while consumer.pop().is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let _ends = Ends(&stop);
        for _ in 0..3 {
            assert_eq!(found(&name), ["well"]);
        }
    });
}

#[test]
fn a_reader_that_a_writer_waits_for_is_told() {
    let name = Name::created(&["--kind", "broadcast", "--capacity", "8"]);
    let _reader = Broadcast::<[u8]>::open(&name).unwrap().gating_reader(Start::Oldest).unwrap();
    let lines: String = (0..50).map(|number| format!("{number}\n")).collect();
    let mut publish = handover(&["publish", &name]).stdin(Stdio::piped()).spawn().unwrap();
    publish.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let mut publish = Running(Some(publish));
    eventually("the writer to wait", || name.stat("published") >= 8);
    assert_eq!(found(&name), ["full"]);
    publish.child().kill().unwrap();
}

#[test]
fn dead_letters_are_told() {
    let name = Name::created(&["--kind", "tasks", "--tries", "1"]);
    well(&["push", &name, "hopeless"]);
    well(&["close", &name]);
    run(&["work", &name, "--", &program(), "stat", "no-such-queue"]);
    let told = found(&name);
    assert!(told.contains(&"dead-letters".to_owned()), "{told:?}");
    assert_eq!(remedy(&name, "dead-letters"), format!("handover letters {}", &*name));
    assert_eq!(mended(&name).len(), 0, "somebody has to decide");
}

#[test]
#[cfg(unix)]
fn what_is_no_segment_or_a_broken_one_is_told() {
    let name = Name::new();
    let path = format!("/dev/shm/handover.{}", &*name);
    fs::write(&path, "not a queue").unwrap();
    assert_eq!((found(&name), mended(&name).len()), (vec!["corrupt".to_owned()], 0));
    assert!(shell(&remedy(&name, "corrupt")).status.success());
    assert!(!fs::exists(&path).unwrap());

    let name = Name::created(&[]);
    let path = format!("/dev/shm/handover.{}", &*name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 99;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(found(&name), ["other-version"]);
    (bytes[8], bytes[30]) = (1, 77);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(found(&name), ["corrupt"]);
}

#[test]
fn a_segment_in_a_file_is_looked_at_by_its_path() {
    let folder = std::env::temp_dir().join(format!("handover-doctor-{}", process::id()));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("jobs").to_str().unwrap().to_owned();
    well(&["create", &path, "--kind", "tasks"]);
    well(&["close", &path]);
    assert_eq!(found(&path), ["closed-and-empty"]);
    assert_eq!(examined(&["--fix", &path])["mended"][0], format!("{path}: removed"));
    assert!(!fs::exists(&path).unwrap());
    fs::remove_dir(&folder).unwrap();
}

#[test]
#[cfg(unix)]
fn what_the_machine_forbids_is_told() {
    let few = shell("ulimit -n 100; handover doctor --json");
    let told: Value = serde_json::from_slice(&few.stdout).unwrap();
    let codes: Vec<&str> =
        told["machine"].as_array().unwrap().iter().filter_map(|check| check["code"].as_str()).collect();
    assert!(few.status.code() == Some(1) && codes.contains(&"few-open-files"), "{told}");
    // So little that to try would be the end of whoever tries.
    let small = shell("ulimit -f 4; handover doctor");
    let told = text(&small.stdout);
    assert!(small.status.code() == Some(1) && told.contains("Do: ulimit -f unlimited"), "{small:?}");
    assert!(told.ends_with(" wrong\n"), "{told}");
}

#[test]
#[cfg(unix)]
fn memory_that_is_full_is_told_and_a_queue_is_tried() {
    // A /dev/shm of one's own takes a namespace, which not every system gives.
    let full = shell(
        "unshare --mount --map-root-user sh -c '
        mount -t tmpfs -o size=1M,mode=1777 tmpfs /dev/shm || exit 99
        head -c 1M /dev/zero > /dev/shm/full
        handover doctor --json'",
    );
    let Ok(told) = serde_json::from_slice::<Value>(&full.stdout) else { return };
    let codes: Vec<&str> =
        told["machine"].as_array().unwrap().iter().filter_map(|check| check["code"].as_str()).collect();
    assert!(full.status.code() == Some(1) && codes.contains(&"no-room") && codes.contains(&"trial-failed"), "{told}");
}

#[test]
#[cfg(unix)]
fn who_waits_to_see_whether_it_moves_is_interrupted_at_once() {
    let name = Name::created(&["--capacity", "1"]);
    let queue = Queue::<[u8]>::open(&name).unwrap();
    let mut producer = queue.producer().unwrap();
    producer.push(b"1").unwrap();
    let mut doctor = Running::start(&["doctor", &name]);
    eventually("it to listen", || listens(doctor.child(), &[Signal::INT]));
    assert_eq!(doctor.end(Signal::INT).status.code(), Some(130));
}

#[test]
fn who_reads_no_further_has_had_enough() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = handover(&["doctor"]).stdout(writer).output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn what_can_not_be_meant_is_refused() {
    refused(&run(&["doctor", "no-such-queue"]), 3, "does not exist");
    fails(&["doctor", ".hidden"], 2, "starts with a dot");
}

#[test]
fn beside_users_who_come_and_go_nothing_is_lost() {
    let name = Name::created(&["--capacity", "1000"]);
    let passing = Name::new();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                // Nobody has it open between these, and it is neither closed nor to go with anybody.
                let output = fed(&["doctor", "--fix", &name], b"");
                assert!(output.stderr.is_empty(), "{output:?}");
                let output = run(&["doctor", "--fix", &passing]);
                assert!(output.stderr.is_empty() || output.status.code() == Some(3), "{output:?}");
            }
        });
        let _ends = Ends(&over);
        let begun = Instant::now();
        let mut number = 0_u64;
        while begun.elapsed() < Duration::from_secs(2) {
            number += 1;
            Queue::<[u8]>::open(&name).unwrap().producer().unwrap().push(&number.to_le_bytes()).unwrap();
            let found = Queue::<[u8]>::open(&name).unwrap().consumer().unwrap().try_pop().unwrap();
            assert_eq!(found, number.to_le_bytes());

            // This one goes with its last user, which is what the doctor looks for.
            let queue = Options::new(4).goes_with_last_user().open_or_create::<[u8]>(&passing).unwrap();
            queue.producer().unwrap().push(&number.to_le_bytes()).unwrap();
            let same = Queue::<[u8]>::open(&passing).unwrap();
            drop(queue);
            let found = Queue::<[u8]>::open(&passing).unwrap().consumer().unwrap().try_pop().unwrap();
            assert_eq!(found, number.to_le_bytes());
            drop(same);
        }
    });
}
