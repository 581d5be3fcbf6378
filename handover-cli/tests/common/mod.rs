//! The built command, as people run it, and segments that are gone after the test.
#![allow(dead_code, reason = "each test file is a program of its own, and none uses everything")]

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::{self, Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(unix, path = "unix.rs")]
mod system;

#[allow(unused_imports, reason = "as above")]
pub use system::*;

/// How many times as long things may take: under an emulation of Windows each system call is a message to another process.
pub fn slower() -> u32 {
    env::var("HANDOVER_TEST_SLOWER").map_or(1, |times| times.parse().expect("a number"))
}

/// The folder of the built command, or the one that `HANDOVER_TEST_CHILDREN` names: there it was built for another
/// target, or is what starts one that this machine can't run by itself. `.ci/targets` fills such folders.
pub fn folder() -> PathBuf {
    let own = || PathBuf::from(env!("CARGO_BIN_EXE_handover")).parent().unwrap().to_owned();
    env::var_os("HANDOVER_TEST_CHILDREN").map_or_else(own, PathBuf::from)
}

/// The built command, as a worker is told to run it.
pub fn program() -> String {
    folder().join("handover").to_str().unwrap().to_owned()
}

pub fn handover(arguments: &[&str]) -> Command {
    let mut command = Command::new(folder().join("handover"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    handover(arguments).output().unwrap()
}

/// Standard output of a command that has to go well.
pub fn well(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    text(&output.stdout)
}

/// Fails with that status, says nothing on standard output, and one line with `saying` in it on standard error.
#[track_caller]
pub fn fails(arguments: &[&str], status: i32, saying: &str) {
    refused(&run(arguments), status, saying);
}

#[track_caller]
pub fn refused(output: &Output, status: i32, saying: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(output.stdout.is_empty() && said.contains(saying), "{said}");
    assert!(said.starts_with("handover: ") && said.lines().count() == 1, "{said}");
}

/// Runs with that on its standard input.
pub fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = handover(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It need not read on.
    thread::spawn(move || pipe.write_all(&input));
    child.wait_with_output().unwrap()
}

/// The names of all commands, as the help has them.
pub fn commands() -> Vec<String> {
    let help = well(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    let names = lines.filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty() && *name != "help");
    names.map(str::to_owned).collect()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20) * slower(), "still waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process that does not outlive its test.
pub struct Running(pub Option<Child>);

impl Running {
    pub fn start(arguments: &[&str]) -> Running {
        Running(Some(handover(arguments).spawn().unwrap()))
    }

    pub fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub fn end(mut self, how: Signal) -> Output {
        signal(self.child(), how);
        // Not that its input ends first: not every system has noted the request when it has taken it.
        let _held = self.child().stdin.take();
        self.output()
    }

    pub fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A name of this test's own.
pub struct Name(pub String);

impl Name {
    pub fn new() -> Name {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Name(format!("cli-test-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed)))
    }

    /// A segment of that name, made by the command.
    pub fn created(options: &[&str]) -> Name {
        let name = Name::new();
        create(&[&["create", &name.0][..], options].concat());
        name
    }

    /// A number of its `stat`.
    #[track_caller]
    pub fn stat(&self, what: &str) -> u64 {
        self.json()[what].as_u64().unwrap_or_else(|| panic!("{what}: {}", self.json()))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&well(&["stat", &self.0, "--json"])).unwrap()
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = handover::remove(&self.0);
    }
}
