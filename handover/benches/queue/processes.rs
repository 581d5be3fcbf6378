//! The benchmark's child processes: itself, executed again with a job in an environment variable, and with the
//! descriptors of what it shares with its parent. They die with their parent.

use std::env;
use std::fmt::Debug;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, set_parent_process_death_signal};

const JOB: &str = "HANDOVER_BENCH_JOB";
const DESCRIPTORS: &str = "HANDOVER_BENCH_DESCRIPTORS";

/// The children of one run. Killed when it goes, if they have not ended.
pub struct Team {
    descriptors: Vec<OwnedFd>,
    pub children: Vec<Child>,
}

impl Team {
    /// All its members are handed these descriptors.
    pub fn new(descriptors: Vec<OwnedFd>) -> Team {
        for descriptor in &descriptors {
            fcntl_setfd(descriptor, FdFlags::empty()).expect("an open descriptor");
        }
        Team { descriptors, children: Vec::new() }
    }

    /// Only from the main thread: children die with the thread that started them.
    pub fn enlist(&mut self, role: impl Debug, numbers: &[u64]) -> &mut Child {
        let joined = |numbers: &mut dyn Iterator<Item = String>| numbers.collect::<Vec<_>>().join(" ");
        let job = format!("{role:?} {}", joined(&mut numbers.iter().map(u64::to_string)));
        let child = Command::new(env::current_exe().expect("this program's path"))
            .env(JOB, job)
            .env(DESCRIPTORS, joined(&mut self.descriptors.iter().map(|d| d.as_raw_fd().to_string())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child process");
        self.children.push(child);
        self.children.last_mut().expect("just pushed")
    }

    /// Waits for all to end, and returns what each has printed.
    pub fn results(mut self) -> Vec<String> {
        let result = |child: &mut Child| {
            let mut text = String::new();
            child.stdout.take().expect("piped").read_to_string(&mut text).expect("what the child prints");
            assert!(child.wait().expect("a child to wait for").success(), "a child process fails");
            text
        };
        self.children.iter_mut().map(result).collect()
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Both say no more than that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn is_child() -> bool {
    env::var_os(JOB).is_some()
}

/// Does what this child was started for: `work` is told the role's name and the numbers.
pub fn be_child(work: impl FnOnce(&str, &[u64])) {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("a signal");
    let job = env::var(JOB).expect("a child's job");
    let mut words = job.split_whitespace();
    let name = words.next().unwrap_or_default();
    let numbers: Vec<u64> = words.map(|word| word.parse().expect("a number")).collect();
    work(name, &numbers);
}

/// What the parent handed to this child, in its order. To be called once.
pub fn handed_over<const N: usize>() -> [OwnedFd; N] {
    all_handed_over().try_into().expect("as many as the job needs")
}

/// The same, where how many they are is not known beforehand.
pub fn all_handed_over() -> Vec<OwnedFd> {
    let numbers = env::var(DESCRIPTORS).expect("a child's descriptors");
    numbers
        .split_whitespace()
        .map(|number| {
            let number: RawFd = number.parse().expect("a number");
            // SAFETY: the parent left it open for this process, where nothing else uses it: this is called once.
            unsafe { OwnedFd::from_raw_fd(number) }
        })
        .collect()
}
