//! Children for tests: the test binary runs itself again, with what to do in the environment.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{self, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(unix, path = "unix.rs")]
mod system;

#[allow(unused_imports, reason = "as above")]
pub(crate) use system::{Bytes, ENDS, die, handed_over, processor_time, read_at, write_at};

/// How many times as long things may take: under an emulation of Windows each system call is a message to another process.
pub fn slower() -> u32 {
    env::var("HANDOVER_TEST_SLOWER").map_or(1, |times| times.parse().expect("a number"))
}

const TASK: &str = "HANDOVER_TEST_CHILD";

/// A name that no other test uses, removed when this goes.
pub struct Name(String);

impl Name {
    pub fn new() -> Name {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Name(format!("test-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
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

/// In a child: what it is to do, and with what. Every test binary has a test named `child` that begins with this.
pub fn task() -> Option<(String, Vec<String>)> {
    let task = env::var(TASK).ok()?;
    let mut words = task.split(' ').map(str::to_owned);
    Some((words.next()?, words.collect()))
}

/// In a child: says a line to the parent.
pub fn say(line: &str) {
    println!("\nchild: {line}");
    std::io::stdout().flush().expect("the parent listens");
}

/// In a child: waits for the parent to say a line.
pub fn heard() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the parent speaks");
    line.trim().to_owned()
}

/// What children run: this program, or where `HANDOVER_TEST_CHILDREN` names a folder, the one in it that was built for
/// another target from the same test, be it 32 bits where this one has 64. `.ci/targets` fills such folders.
pub fn program() -> PathBuf {
    let own = env::current_exe().expect("this binary has a path");
    let Some(folder) = env::var_os("HANDOVER_TEST_CHILDREN") else { return own };
    let name = own.file_name().and_then(|name| name.to_str()).expect("cargo gave it a name");
    PathBuf::from(folder).join(name.rsplit_once('-').map_or(name, |(test, _)| test))
}

/// A child process; killed and waited for when it goes.
pub struct Child {
    child: process::Child,
    lines: BufReader<process::ChildStdout>,
    stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts this test binary's `child` with a task.
    pub fn start(task: &str) -> Child {
        let mut command = Command::new(program());
        command.args(["child", "--exact", "--nocapture", "--test-threads=1"]).env(TASK, task);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the test binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let stdin = child.stdin.take();
        Child { child, lines, stdin }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line the child says.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.lines.read_line(&mut line).expect("readable") > 0, "the child ended without a word");
            if let Some(said) = line.strip_prefix("child: ") {
                return said.trim().to_owned();
            }
        }
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("piped"), "{line}").expect("the child listens");
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: i32) {
        system::signal(&self.child, signal);
    }

    /// Stops it, and returns when it is.
    pub fn stop(&self) {
        system::stop(&self.child);
    }

    pub fn resume(&self) {
        system::resume(&self.child);
    }

    /// Asks it to end, in one of the ways that there are.
    pub fn ask_to_end(&self, way: impl Into<i64>) {
        system::ask_to_end(&self.child, way.into().try_into().expect("one of the ways"));
    }

    /// Kills it, without waiting: what the system keeps until then stays.
    pub fn kill(&self) {
        system::kill(&self.child);
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Waits for its good end.
    pub fn finish(mut self) {
        let status = self.wait();
        assert!(status.success(), "the child ended with {}", system::how_it_ended(status));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds; fails after ten seconds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10) * slower(), "not within ten seconds: {what}");
        thread::sleep(Duration::from_micros(200));
    }
}
