//! Sees to it that a hang is told from slowness: a call that does not come back ends the process, and says which.

use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The longest that nothing may move. Each call is bounded by a time-out that is a small part of this.
pub const BOUND: Duration = Duration::from_secs(10);

/// Ends the process (`SIGABRT`) if nothing moves for [`BOUND`].
pub struct Watch {
    beats: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch.
    pub fn new(what: String) -> Watch {
        let (beats, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, ended) = (Arc::clone(&beats), Arc::clone(&over));
        let watcher = thread::spawn(move || {
            let (mut last, mut moved) = (seen.load(SeqCst), Instant::now());
            while !ended.load(SeqCst) {
                thread::park_timeout(Duration::from_millis(50));
                let now = seen.load(SeqCst);
                if now != last {
                    (last, moved) = (now, Instant::now());
                }
                if moved.elapsed() > BOUND {
                    eprintln!("{what}: hangs at step {now}");
                    process::abort();
                }
            }
        });
        Watch { beats, over, watcher: Some(watcher) }
    }

    /// One that nobody waits for: where somebody else sees to it that nothing hangs.
    pub fn resting() -> Watch {
        Watch { beats: Arc::default(), over: Arc::default(), watcher: None }
    }

    /// Something moved.
    pub fn beat(&self) {
        self.beats.fetch_add(1, SeqCst);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        if let Some(watcher) = self.watcher.take() {
            watcher.thread().unpark();
            watcher.join().expect("the watcher only watches");
        }
    }
}
