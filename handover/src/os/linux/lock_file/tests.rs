use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;
use crate::os::{self, Access};

/// An empty file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = env::temp_dir().join(format!("handover-lock-{name}-{}", std::process::id()));
        File::create(&path).unwrap();
        Scratch(path)
    }

    fn is_locked(&self, byte: u64) -> bool {
        is_locked(File::open(&self.0).unwrap().as_fd(), byte).unwrap()
    }

    /// A child that was forked this moment has still to run its handler.
    fn is_soon_unlocked(&self, byte: u64) -> bool {
        let start = Instant::now();
        while self.is_locked(byte) {
            if start.elapsed() > Duration::from_secs(5) {
                return false;
            }
        }
        true
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn lock_file(path: &Path) -> LockFile {
    LockFile::new(|| os::open(path, Access::ReadWrite)).unwrap()
}

/// Forks; the child runs `f` and ends with success if that is true.
fn fork(f: impl FnOnce() -> bool) -> libc::pid_t {
    // SAFETY: the child keeps to atomics and system calls of its own, and allocates at most, which the C library allows.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = i32::from(!f());
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(code) };
    }
    pid
}

fn succeeded(pid: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: waits for a child of this test.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

/// As far as any test is concerned. Of a test that was killed nothing is left.
fn sleep_forever() -> bool {
    std::thread::sleep(Duration::from_secs(300));
    // SAFETY: ends this process, of which others may have more threads.
    unsafe { libc::_exit(1) }
}

const PART: &str = "HANDOVER_LOCK_FILE_TEST";

/// The file to work on, if this process is the one that a test started.
fn part() -> Option<PathBuf> {
    env::var_os(PART).map(PathBuf::from)
}

/// A process that runs the same test with that file, in a process group of its own that is killed in the end.
struct Parent(Child);

impl Parent {
    fn start(test: &str, file: &Path) -> Parent {
        let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
        // Where it can't be started as it is, a folder has what starts it: see tests/common.
        let program = env::var_os("HANDOVER_TEST_CHILDREN").map(|folder| PathBuf::from(folder).join("handover"));
        let mut command = Command::new(program.unwrap_or_else(|| env::current_exe().unwrap()));
        command.args(["--exact", &test, "--nocapture", "--test-threads=1"]).env(PART, file);
        Parent(command.stdout(Stdio::piped()).process_group(0).spawn().unwrap())
    }

    /// Until it says so.
    fn wait_until_ready(&mut self) {
        let output = BufReader::new(self.0.stdout.take().unwrap());
        assert!(output.lines().any(|line| line.unwrap().contains("ready")));
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // SAFETY: the group was made for this process and its children.
        unsafe { libc::kill(-(self.0.id() as libc::pid_t), libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

#[test]
fn two_open_files_exclude_each_other_even_in_one_process() {
    let scratch = Scratch::new("two");
    let (one, two) = (lock_file(&scratch.0), lock_file(&scratch.0));
    assert!(one.try_lock(5).unwrap());
    assert!(!two.try_lock(5).unwrap() && !two.try_lock_shared(5).unwrap());
    assert!(two.is_locked_elsewhere(5).unwrap() && !one.is_locked_elsewhere(5).unwrap());
    assert!(two.try_lock(4).unwrap() && two.try_lock(6).unwrap());
    one.unlock(5).unwrap();
    assert!(two.try_lock_shared(5).unwrap() && one.try_lock_shared(5).unwrap() && !one.try_lock(5).unwrap());
    drop(two);
    assert!(one.try_lock(5).unwrap());
}

#[test]
fn bytes_past_four_gigabytes_are_told_apart() {
    let scratch = Scratch::new("far");
    let (one, two) = (lock_file(&scratch.0), lock_file(&scratch.0));
    assert!(one.try_lock(1 << 40).unwrap());
    assert!(!two.try_lock(1 << 40).unwrap() && two.try_lock(0).unwrap());
    assert!(one.try_lock(u64::MAX).is_err());
}

#[test]
fn nodes_are_used_again() {
    let scratch = Scratch::new("nodes");
    drop(lock_file(&scratch.0));
    let before = nodes().count();
    for _ in 0..1000 {
        drop(lock_file(&scratch.0));
    }
    // Other tests may add a few meanwhile.
    assert!(nodes().count() < before + 100);
}

#[test]
fn a_child_has_nothing_of_its_parents_file_and_takes_nothing_from_it() {
    let scratch = Scratch::new("child");
    let file = lock_file(&scratch.0);
    assert!(file.try_lock(1).unwrap());
    let parents_forks = forks();
    let child = fork(|| {
        let refused = matches!(file.lend(|_| ()), Err(Refusal::Forked)) && file.try_lock(2).is_err();
        // This one gets the node, and perhaps the descriptor's number, that the parent's has.
        let own = lock_file(&scratch.0);
        let counted = forks() != parents_forks && file.forked() && !own.forked();
        // SAFETY: of the two copies in this process, the other is never used again.
        drop(unsafe { ptr::read(&raw const file) });
        refused && counted && own.try_lock(3).unwrap() && own.is_locked_elsewhere(1).unwrap()
    });
    assert!(succeeded(child));
    assert_eq!(forks(), parents_forks);
    assert!(scratch.is_locked(1) && !scratch.is_locked(2) && !scratch.is_locked(3));
}

#[test]
fn a_child_does_not_keep_its_killed_parents_lock_alive() {
    if let Some(path) = part() {
        let file = lock_file(&path);
        assert!(file.try_lock(9).unwrap());
        fork(sleep_forever);
        println!("ready");
        sleep_forever();
    }
    let scratch = Scratch::new("orphan");
    let mut parent = Parent::start("a_child_does_not_keep_its_killed_parents_lock_alive", &scratch.0);
    parent.wait_until_ready();
    assert!(scratch.is_locked(9));
    parent.kill();
    assert!(scratch.is_soon_unlocked(9));
}

#[test]
fn no_child_keeps_a_lock_at_whatever_instruction_it_was_forked() {
    const FILES: u64 = 500;
    // Several times as many as it takes. An emulator stops the other thread for each, for as long as there are more.
    const FORKS: u64 = 2000;
    if let Some(path) = part() {
        let opened = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let files: Vec<LockFile> = (0..FILES).map(|_| lock_file(&path)).collect();
                for (byte, file) in files.iter().enumerate() {
                    assert!(file.try_lock(byte as u64).unwrap());
                }
                opened.store(true, Ordering::Release);
                println!("ready");
                sleep_forever();
            });
            for _ in 0..FORKS {
                if !opened.load(Ordering::Acquire) {
                    fork(sleep_forever);
                }
            }
            sleep_forever();
        });
    }
    let scratch = Scratch::new("storm");
    for round in 0..5 {
        let mut parent = Parent::start("no_child_keeps_a_lock_at_whatever_instruction_it_was_forked", &scratch.0);
        parent.wait_until_ready();
        assert!((0..FILES).all(|byte| scratch.is_locked(byte)));
        parent.kill();
        assert!((0..FILES).all(|byte| scratch.is_soon_unlocked(byte)), "round {round}");
    }
}
