//! The search for the dead by members that never block.
//!
//! A blocked member searches while it waits. One that always finds something to do would never: so each handle looks
//! at the clock now and then, more often the slower it works, and searches when [`PERIOD`] has passed.

use std::time::Instant;

use super::core::{Core, Ring};
use crate::gate::PERIOD;
use crate::roster::Counters;

/// The clock is looked at after at most so many operations. Enough that it costs nothing that can be measured, and few
/// enough for one that slows down: at a thousand messages a second it searches within this many milliseconds.
const LONGEST: u32 = 128;

pub(super) struct Pulse {
    /// Operations until the next look at the clock.
    left: u32,
    step: u32,
    last: Option<Instant>,
    /// Whether a dead member can leave anything behind that only a search brings to light.
    needed: bool,
}

impl Pulse {
    pub(super) fn new(core: &Core) -> Pulse {
        // One to one it can't: what the dead one left, its successor finds.
        let needed = core.mortal() && matches!(core.ring, Ring::Many(_));
        Pulse { left: 1, step: 1, last: None, needed }
    }

    #[inline(always)]
    pub(super) fn beat(&mut self, core: &Core, counters: &Counters) {
        if self.needed {
            self.left -= 1;
            if self.left == 0 {
                self.look(core, counters);
            }
        }
    }

    #[cold]
    fn look(&mut self, core: &Core, counters: &Counters) {
        let now = Instant::now();
        if self.last.is_none_or(|last| now.duration_since(last) >= PERIOD) {
            self.step = 1;
            self.last = Some(now);
            core.sweep(counters);
        } else {
            self.step = (self.step * 2).min(LONGEST);
        }
        self.left = self.step;
    }
}
