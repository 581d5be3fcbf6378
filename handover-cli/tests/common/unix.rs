//! What tests do to processes, by signals; and a shell.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

/// The ways to ask a process to end.
pub const ENDS: [Signal; 2] = [Signal::INT, Signal::TERM];

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Whether it has something to do when it is signalled.
pub fn listens(child: &Child, signals: &[Signal]) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    let caught = u64::from_str_radix(caught, 16).unwrap();
    signals.iter().all(|signal| caught & 1 << (signal.as_raw() - 1) != 0)
}

/// Makes a segment that is there until it is removed.
#[track_caller]
pub fn create(arguments: &[&str]) {
    super::well(arguments);
}

/// What a shell makes of a line, with the built command in its path.
pub fn shell(line: &str) -> Output {
    let path = format!("{}:{}", super::folder().display(), std::env::var("PATH").unwrap());
    Command::new("bash").args(["-c", line]).env("PATH", path).stdin(Stdio::null()).output().unwrap()
}

/// How a killed process ended, and what that is called.
pub const KILLED: (Option<i32>, &str) = (None, "SIGKILL");

/// The processes that the one of that process id started, to be parts of it.
pub fn processes_of(parent: u32) -> usize {
    let of_this_one = |process: &fs::DirEntry| {
        let command_line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
        words.windows(2).any(|pair| pair == [b"--parent".as_slice(), parent.to_string().as_bytes()])
    };
    fs::read_dir("/proc").unwrap().flatten().filter(of_this_one).count()
}
