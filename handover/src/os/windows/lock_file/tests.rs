use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::os::{self, Access, Location, Wishes};

const PART: &str = "HANDOVER_LOCK_FILE_TEST";

fn wishes() -> Wishes {
    Wishes { mode: 0o600, numa_node: None, huge_pages: false }
}

/// A segment in the page file, and another open one of the same.
fn two(name: &str) -> (LockFile, LockFile) {
    let location = Location::Named(format!("unit-lock-{name}-{}", std::process::id()));
    let (one, _mapping) = os::create(Some(&location), 5000, &wishes()).unwrap();
    os::give_name(&one, &location).unwrap();
    let two = LockFile::new(|| os::open(&location, Access::ReadOnly)).unwrap();
    (one, two)
}

fn is_locked_in(file: &LockFile, number: u64) -> bool {
    file.lend(|storage| is_locked(storage, number)).unwrap().unwrap()
}

#[test]
fn two_open_segments_exclude_each_other_even_in_one_process() {
    let (one, two) = two("two");
    assert!(one.try_lock(5).unwrap());
    assert!(!two.try_lock(5).unwrap() && !two.try_lock_shared(5).unwrap());
    assert!(two.is_locked_elsewhere(5).unwrap() && !one.is_locked_elsewhere(5).unwrap());
    assert!(two.try_lock(4).unwrap() && two.try_lock(6).unwrap());
    one.unlock(5).unwrap();
    assert!(!is_locked_in(&two, 5));
    assert!(two.try_lock_shared(5).unwrap() && one.try_lock_shared(5).unwrap() && !one.try_lock(5).unwrap());
    assert!(two.try_lock_shared(5).unwrap());
    drop(two);
    assert!(one.try_lock(5).unwrap());
}

#[test]
fn the_locks_of_two_segments_have_nothing_to_do_with_each_other() {
    let [(one, _), (two, _)] = [two("one"), two("other")];
    assert!(one.try_lock(1).unwrap() && two.try_lock(1).unwrap());
}

/// A process that runs the same test.
fn start(test: &str, name: &str) -> Child {
    let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &test, "--nocapture", "--test-threads=1"]).env(PART, name);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_lock_lasts_as_long_as_the_process_that_has_it() {
    if let Some(name) = env::var_os(PART) {
        let location = Location::Named(name.into_string().unwrap());
        let file = LockFile::new(|| os::open(&location, Access::ReadWrite)).unwrap();
        // Taken in a thread that is gone before the process is.
        thread::scope(|scope| {
            scope.spawn(|| assert!(file.try_lock(9).unwrap()));
        });
        println!("\nready");
        std::io::stdout().flush().unwrap();
        thread::sleep(Duration::from_secs(1000));
    }
    let name = format!("unit-lock-lasts-{}", std::process::id());
    let location = Location::Named(name.clone());
    let (file, _mapping) = os::create(Some(&location), 5000, &wishes()).unwrap();
    os::give_name(&file, &location).unwrap();
    let mut child = start("a_lock_lasts_as_long_as_the_process_that_has_it", &name);
    assert!(BufReader::new(child.stdout.take().unwrap()).lines().any(|line| line.unwrap().contains("ready")));
    for _ in 0..100 {
        assert!(file.is_locked_elsewhere(9).unwrap() && !file.try_lock(9).unwrap());
    }
    child.kill().unwrap();
    let killed = Instant::now();
    while !file.try_lock(9).unwrap() {
        assert!(killed.elapsed() < Duration::from_secs(10));
    }
    child.wait().unwrap();
}

#[test]
fn who_asks_gets_in_nobodys_way() {
    let (one, two) = two("ask");
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while one.lend(|_| !is_locked_in(&one, 7)).unwrap() {
                asked += u32::from(is_locked_in(&one, 3));
            }
            asked
        });
        for _ in 0..2000 {
            assert!(two.try_lock(3).unwrap(), "an asker does not hold what it asks about");
            two.unlock(3).unwrap();
        }
        assert!(two.try_lock(7).unwrap());
        asking.join().unwrap();
    });
}
