//! The search for the dead by one who waits.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::gate::PERIOD;

/// The longest sleep while no other process is there. One may have come, closed the ring and died before it said so.
pub(crate) const ALONE: Duration = Duration::from_secs(1);

/// How many searches were begun, by anybody, so that of many who wait one searches.
#[repr(transparent)]
pub(crate) struct Searches(AtomicU32);

impl Searches {
    #[cfg(loom)]
    pub(crate) fn new() -> Searches {
        Searches(AtomicU32::new(0))
    }

    /// One begins.
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn begun(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// Of one blocked call.
pub(crate) struct Search<'a> {
    searches: &'a Searches,
    /// Those begun when this one looked last.
    begun: u32,
    last: Option<Instant>,
}

impl Search<'_> {
    pub(crate) fn new(searches: &Searches) -> Search<'_> {
        Search { searches, begun: searches.begun(), last: None }
    }

    /// Calls `search` if [`PERIOD`] has passed, unless somebody else has searched meanwhile. By the clock: one that is
    /// woken all the time never sleeps to the end. Returns whether it was due.
    pub(crate) fn if_due(&mut self, search: impl FnOnce()) -> bool {
        let now = Instant::now();
        let last = *self.last.get_or_insert(now);
        if now.duration_since(last) < PERIOD {
            return false;
        }
        self.last = Some(now);
        if self.searches.begun() == self.begun {
            search();
        }
        self.begun = self.searches.begun();
        true
    }
}
