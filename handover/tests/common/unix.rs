//! What tests do to processes, and how they look at segments from outside, by signals and descriptors.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ExitStatus};
use std::time::Duration;

/// Ends as a killed process does, without running anything more.
pub fn die() -> ! {
    // SAFETY: sends a signal to the process itself.
    unsafe { libc::kill(process::id() as i32, libc::SIGKILL) };
    unreachable!("killed")
}

pub fn signal(child: &process::Child, signal: i32) {
    // SAFETY: signals a child that was not waited for: the pid is still its own.
    let sent = unsafe { libc::kill(child.id() as i32, signal) };
    assert_eq!(sent, 0, "signal {signal} to a child");
}

/// Kills it, without waiting: it stays a zombie.
pub fn kill(child: &process::Child) {
    signal(child, libc::SIGKILL);
}

/// Stops it, and waits until it is: a signal to one that runs takes a moment.
pub fn stop(child: &process::Child) {
    signal(child, libc::SIGSTOP);
    let mut status = 0;
    // SAFETY: waits until a child is stopped, which leaves it to be waited for when it ends.
    let stopped = unsafe { libc::waitpid(child.id() as i32, &raw mut status, libc::WUNTRACED) };
    assert!(stopped == child.id() as i32 && libc::WIFSTOPPED(status), "a child was stopped: {status:x}");
}

pub fn resume(child: &process::Child) {
    signal(child, libc::SIGCONT);
}

/// The ways to ask a process to end.
pub const ENDS: [i32; 2] = [libc::SIGTERM, libc::SIGINT];

pub fn ask_to_end(child: &process::Child, way: i32) {
    signal(child, way);
}

pub fn how_it_ended(status: ExitStatus) -> String {
    format!("{status} (signal {:?})", status.signal())
}

/// The processor time that this thread has used.
pub fn processor_time() -> Duration {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: asks for this thread's processor time.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut used) };
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// The bytes of a segment that was handed over.
pub struct Bytes(File);

impl Bytes {
    pub fn of(shared: OwnedFd) -> Bytes {
        Bytes(File::from(shared))
    }

    pub fn len(&self) -> u64 {
        self.0.metadata().expect("a file").len()
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, at).expect("written");
    }
}

/// Reads a file's bytes from there on.
pub fn read_at(file: &File, bytes: &mut [u8], at: u64) {
    file.read_exact_at(bytes, at).expect("there");
}

/// Overwrites a file's bytes from there on.
pub fn write_at(file: &File, bytes: &[u8], at: u64) {
    file.write_all_at(bytes, at).expect("written");
}

/// `Type::from_fd`, or what has its place on another system.
#[allow(unused_macros, reason = "each test binary uses its part")]
macro_rules! handed_over {
    ($type:ty, $shared:expr $(, $more:expr)*) => {
        <$type>::from_fd($shared $(, $more)*)
    };
}
pub(crate) use handed_over;
