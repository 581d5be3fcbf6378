//! The processes of a round: begun, stopped, killed, and waited for.

use std::panic;
use std::time::{Duration, Instant};

use super::Tally;
use super::workers::wrong;
use crate::random::Random;

/// One process, and what it is for.
pub(super) struct Worker<J> {
    pub(super) pid: i32,
    pub(super) job: J,
    pub(super) number: usize,
    pub(super) stopped: Option<Instant>,
}

/// All who work now, and those who are dead and not waited for.
pub(super) struct Crowd<J> {
    pub(super) workers: Vec<Worker<J>>,
    zombies: Vec<i32>,
    what: String,
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: the pid is that of a child which was not waited for.
    unsafe { libc::kill(pid, signal) };
}

/// Waits for the child and sees to its good end.
fn wait_for(pid: i32, flags: i32, what: &str) -> bool {
    let mut status = 0;
    // SAFETY: waits for a child.
    let got = unsafe { libc::waitpid(pid, &raw mut status, flags) };
    if got == 0 {
        return false;
    }
    assert_eq!(got, pid, "{what}: a child can be waited for");
    let good = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL
        || libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
    assert!(good, "{what}: worker {pid} ended with status {status:x}; what it said stands above");
    true
}

/// Has a child of this process do something until it leaves or is killed. It dies with this process.
pub(super) fn begin(work: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "a fork");
    if pid == 0 {
        // SAFETY: asks to be killed when the driver dies.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let _ = panic::catch_unwind(panic::AssertUnwindSafe(work));
        wrong("panicked");
    }
    pid
}

impl<J: Copy> Crowd<J> {
    pub(super) fn new(what: &str) -> Crowd<J> {
        Crowd { workers: Vec::new(), zombies: Vec::new(), what: what.to_owned() }
    }

    pub(super) fn add(&mut self, pid: i32, job: J, number: usize) {
        self.workers.push(Worker { pid, job, number, stopped: None });
    }

    pub(super) fn anybody_stopped(&self) -> bool {
        self.workers.iter().any(|worker| worker.stopped.is_some())
    }

    /// What those did who ended by themselves.
    pub(super) fn ended(&mut self) -> Vec<J> {
        let mut ended = Vec::new();
        let mut at = 0;
        while at < self.workers.len() {
            if wait_for(self.workers[at].pid, libc::WNOHANG, &self.what) {
                ended.push(self.workers.swap_remove(at).job);
            } else {
                at += 1;
            }
        }
        ended
    }

    /// One random deed. What the one did who was killed.
    pub(super) fn torment(&mut self, random: &mut Random, tally: &mut Tally) -> Option<J> {
        let last = self.workers.len().checked_sub(1)?;
        let at = random.below(last as u64 + 1) as usize;
        let mut killed = None;
        match random.below(8) {
            0..=2 if self.workers[at].stopped.is_none() => {
                signal(self.workers[at].pid, libc::SIGSTOP);
                tally.stops += 1;
                self.workers[at].stopped = Some(Instant::now() + Duration::from_micros(random.below(15_000)));
            }
            _ => {
                let worker = self.workers.swap_remove(at);
                signal(worker.pid, libc::SIGKILL);
                tally.kills += 1;
                self.zombies.push(worker.pid);
                // Some stay zombies for a while.
                if self.zombies.len() > 6 {
                    let at = random.below(self.zombies.len() as u64) as usize;
                    wait_for(self.zombies.swap_remove(at), 0, &self.what);
                }
                killed = Some(worker.job);
            }
        }
        self.resume(Instant::now());
        killed
    }

    /// Those who were stopped until then go on.
    pub(super) fn resume(&mut self, now: Instant) {
        for worker in &mut self.workers {
            if worker.stopped.is_some_and(|until| until <= now) {
                worker.stopped = None;
                signal(worker.pid, libc::SIGCONT);
            }
        }
    }

    pub(super) fn resume_all(&mut self) {
        self.resume(Instant::now() + Duration::from_secs(1));
    }

    pub(super) fn kill_all(&mut self, tally: &mut Tally) {
        // Nobody has the time to do anything about anybody.
        for worker in &self.workers {
            signal(worker.pid, libc::SIGKILL);
        }
        tally.kills += self.workers.len() as u64;
        tally.massacres += 1;
        let all = self.workers.drain(..).map(|worker| worker.pid);
        for pid in all.chain(self.zombies.drain(..)) {
            wait_for(pid, 0, &self.what);
        }
    }
}

impl<J> Drop for Crowd<J> {
    fn drop(&mut self) {
        for pid in self.workers.drain(..).map(|worker| worker.pid).chain(self.zombies.drain(..)) {
            signal(pid, libc::SIGKILL);
            // SAFETY: waits for a child.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        }
    }
}
