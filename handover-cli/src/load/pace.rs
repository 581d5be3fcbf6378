//! When messages are due: by a schedule that does not wait for anybody.

use std::thread;
use std::time::Duration;

use super::Waiting;
use crate::interrupt::LOOK;
use crate::system::clock;

/// So much before its time a message is waited for without sleeping: a sleep takes about as much longer than asked.
const AWAKE: u64 = 100_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Messages a second; none for as many as are taken in.
    rate: Option<u64>,
    begun: u64,
    waiting: Waiting,
}

impl Pace {
    pub(super) fn begin(rate: Option<u64>, begun: u64, waiting: Waiting) -> Pace {
        Pace { rate, begun, waiting }
    }

    /// When that message is due; one without a schedule is due as soon as it can be made.
    pub(super) fn due(&self, sequence: u64, now: u64) -> u64 {
        let Some(rate) = self.rate else { return now };
        self.begun + (u128::from(sequence) * 1_000_000_000 / u128::from(rate)) as u64
    }

    /// How many messages are due by then; none is told where there is no schedule.
    pub(super) fn due_by(&self, time: u64) -> Option<u64> {
        let since = u128::from(time.saturating_sub(self.begun));
        // The first is due at once.
        self.rate.map(|rate| (since * u128::from(rate)).div_ceil(1_000_000_000) as u64)
    }

    /// Waits until that moment, or for a while. Returns what time it is then.
    pub(super) fn wait(&self, until: u64) -> u64 {
        let now = clock::now();
        let left = until.saturating_sub(now);
        let sleep = match self.waiting {
            Waiting::Park => left,
            Waiting::Balanced => left.saturating_sub(AWAKE),
            Waiting::Spin => 0,
        };
        if sleep > 0 {
            thread::sleep(Duration::from_nanos(sleep).min(LOOK));
        } else if left > 0 {
            std::hint::spin_loop();
        }
        clock::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_by_the_schedule_whatever_happened_to_those_before() {
        let pace = Pace { rate: Some(3), begun: 100, waiting: Waiting::Park };
        assert_eq!((pace.due(0, 7), pace.due(1, 7), pace.due(3, 7)), (100, 333_333_433, 1_000_000_100));
        for sequence in [0, 1, 2, 3, 1_000_000_007] {
            let due = pace.due(sequence, 0);
            assert_eq!((pace.due_by(due), pace.due_by(due + 1)), (Some(sequence), Some(sequence + 1)), "{sequence}");
        }
        let unpaced = Pace { rate: None, begun: 100, waiting: Waiting::Park };
        assert_eq!((unpaced.due(9, 7), unpaced.due_by(200)), (7, None));
    }
}
