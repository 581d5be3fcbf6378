//! The search for the dead by members that never block.
//!
//! A blocked member searches while it waits. One that always finds something to do would never: so each handle looks
//! at the clock now and then, more often the slower it works, and searches when [`PERIOD`] has passed.

use std::time::Instant;

use crate::gate::PERIOD;

/// The clock is looked at after at most so many operations. Enough that it costs nothing that can be measured, and few
/// enough for one that slows down: at a thousand messages a second it searches within this many milliseconds.
const LONGEST: u32 = 128;

pub(crate) struct Pulse {
    /// Operations until the next look at the clock.
    left: u32,
    step: u32,
    last: Option<Instant>,
    /// Whether a dead member can leave anything behind that only a search brings to light.
    needed: bool,
}

impl Pulse {
    pub(crate) fn new(needed: bool) -> Pulse {
        Pulse { left: 1, step: 1, last: None, needed }
    }

    /// With each operation.
    #[inline(always)]
    pub(crate) fn beat(&mut self, search: impl FnOnce()) {
        if self.needed {
            self.left -= 1;
            if self.left == 0 {
                self.look(search);
            }
        }
    }

    #[cold]
    fn look(&mut self, search: impl FnOnce()) {
        let now = Instant::now();
        if self.last.is_none_or(|last| now.duration_since(last) >= PERIOD) {
            self.step = 1;
            self.last = Some(now);
            search();
        } else {
            self.step = (self.step * 2).min(LONGEST);
        }
        self.left = self.step;
    }
}
