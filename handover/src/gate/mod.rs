//! Sleeping and waking: a sequence number, a note that somebody may be asleep, and the system's wait on top.
//!
//! A sleeper reads the sequence, leaves the note, looks once more at what it waits for, and sleeps only while the
//! sequence stands still. A waker takes the note away, moves the sequence on and wakes one sleeper, who leaves the
//! note again for those who may still be asleep. Nothing is counted, so nothing can be left over by a dead sleeper: a
//! note that nobody is behind costs the next waker one system call and is gone.
//!
//! A wake-up can die with its waker or with the sleeper it was given to. Where members can die every sleep is
//! therefore bounded; see [`PERIOD`].

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::{AtomicU32, as_if_sequential, ordering, pause, wait, wake};

/// The longest sleep among members that can die. Then the sleeper looks again, also for the dead.
pub(crate) const PERIOD: Duration = Duration::from_millis(4);

/// How a handle waits when it is blocked.
///
/// On an idle machine a wake-up costs the waker some 10 microseconds and the sleeper some 30 more; spinning about as
/// long before sleeping wins more often than it loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// Never sleeps: the shortest latency, for a processor's whole time. Gives the processor to others now and then.
    Spin,
    /// Spins for about as long as a wake-up costs, then sleeps.
    #[default]
    Balanced,
    /// Sleeps almost at once: the quietest processor.
    Park,
}

#[repr(C, align(128))]
pub(crate) struct Gate {
    sequence: AtomicU32,
    /// Not zero: somebody may be asleep.
    note: AtomicU32,
    /// How many are asleep, on systems whose kernel has to be told how many to wake. 0 on others.
    asleep: AtomicU32,
}

// A model checker's atomics are larger.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Gate>() == 128);

impl Gate {
    #[cfg(loom)]
    pub(crate) fn new() -> Gate {
        Gate { sequence: AtomicU32::new(0), note: AtomicU32::new(0), asleep: AtomicU32::new(0) }
    }

    /// To be followed by a full fence, a last look, and [`Self::sleep`] with what this returned.
    pub(crate) fn announce(&self) -> u32 {
        let sequence = self.sequence.load(SeqCst);
        self.note.store(1, SeqCst);
        sequence
    }

    /// Sleeps until woken, at most as long as told.
    pub(crate) fn sleep(&self, sequence: u32, most: Option<Duration>, shared: bool) {
        wait(&self.sequence, &self.asleep, sequence, most, shared);
    }

    /// Whether somebody may be asleep. Ordered after a claim (SeqCst) or [`crate::fences::Fences::worked`] by the caller.
    #[inline(always)]
    pub(crate) fn has_sleepers(&self) -> bool {
        self.note.load(SeqCst) != 0
    }

    /// Wakes one sleeper.
    #[cold]
    pub(crate) fn wake(&self, shared: bool) {
        // Taken away first: a sleeper that leaves it from now on also sees, or is stopped by, the sequence moving on.
        if self.note.swap(0, ordering("wake-note", SeqCst)) != 0 {
            self.sequence.fetch_add(1, ordering("wake-sequence", SeqCst));
            wake(&self.sequence, &self.asleep, 1, shared);
        }
    }

    /// Wakes everybody, whatever the note says.
    pub(crate) fn wake_all(&self, shared: bool) {
        self.note.store(0, SeqCst);
        self.sequence.fetch_add(1, ordering("wake-all-sequence", SeqCst));
        wake(&self.sequence, &self.asleep, i32::MAX as u32, shared);
    }

    /// What a sleeper that was woken leaves for the others.
    pub(crate) fn leave_note(&self) {
        self.note.store(1, SeqCst);
        as_if_sequential("leave-note");
    }
}

/// How long a call may block.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    Never,
    Until(Instant),
    Forever,
}

impl Limit {
    pub(crate) fn after(time: Duration) -> Limit {
        if time.is_zero() {
            return Limit::Never;
        }
        // A time beyond what the clock can count is for ever.
        Instant::now().checked_add(time).map_or(Limit::Forever, Limit::Until)
    }

    pub(crate) fn left(self) -> Option<Duration> {
        match self {
            Limit::Never => Some(Duration::ZERO),
            Limit::Until(end) => Some(end.saturating_duration_since(Instant::now())),
            Limit::Forever => None,
        }
    }
}

/// What a blocked call does next.
pub(crate) enum Step {
    /// Some time has passed: look again.
    Again,
    /// As `Again`, after much time.
    Yielded,
    /// Announce, look again, then sleep: at most so long.
    Sleep(Option<Duration>),
    /// The time is over.
    Over,
}

/// What a handle remembers from one refusal to the next.
///
/// *Whether traffic streams.* When it does, looking again at once finds one message, and takes the line that the other
/// side is working on away from it; looking a moment later finds many. When it does not, that moment is only latency.
/// So what was done between two refusals decides, and now and then the longer pause is tried.
///
/// *Whether the processor is wanted by others.* A yield that takes long let somebody else run, who may be the one that
/// is waited for: then spinning only keeps them from it.
#[derive(Debug)]
pub(crate) struct Rhythm {
    /// The longer pause, in the processor's own pauses: what some dozens of messages take.
    pause: u32,
    done: u64,
    refusals: u32,
    streaming: bool,
    crowded: bool,
}

/// A burst of so many messages is a stream.
const BURST: u64 = 4;
/// One refusal in so many tries the longer pause.
const TRY: u32 = 64;
/// A yield that takes longer let somebody else run.
const LONG_YIELD: Duration = Duration::from_micros(3);

impl Rhythm {
    /// For rings in which nobody claims.
    pub(crate) fn quick() -> Rhythm {
        Rhythm { pause: 40, done: 0, refusals: 0, streaming: false, crowded: false }
    }

    /// For rings of claims: each message takes three times as long.
    pub(crate) fn slow() -> Rhythm {
        Rhythm { pause: 120, ..Rhythm::quick() }
    }

    /// At a refusal; `done` counts what the handle has pushed or popped so far.
    fn refused(&mut self, done: u64) {
        let burst = done.wrapping_sub(self.done);
        self.done = done;
        self.refusals = self.refusals.wrapping_add(1);
        self.streaming = burst >= BURST || self.refusals.is_multiple_of(TRY);
    }

    fn give_way(&mut self) {
        let start = Instant::now();
        thread::yield_now();
        self.crowded = start.elapsed() > LONG_YIELD;
    }
}

/// The waiting of one blocked call.
pub(crate) struct Patience {
    wait: Wait,
    limit: Limit,
    round: u32,
    spins: u32,
    yields: u32,
}

/// About what a wake-up costs, in the processor's own pauses. A model checker takes every turn that a pause could.
const SPIN_PAUSES: u32 = if cfg!(loom) { 0 } else { 1200 };
/// For those who would rather sleep: about a microsecond.
const PARK_PAUSES: u32 = if cfg!(loom) { 0 } else { 80 };
/// Pauses between two looks grow to so many.
const LONGEST: u32 = 4;
const YIELDS: u32 = 4;

impl Patience {
    pub(crate) fn new(wait: Wait, limit: Limit, rhythm: &mut Rhythm, done: u64) -> Patience {
        rhythm.refused(done);
        Patience { wait, limit, round: 0, spins: 0, yields: 0 }
    }

    pub(crate) fn next(&mut self, rhythm: &mut Rhythm) -> Step {
        if matches!(self.limit, Limit::Never) {
            return Step::Over;
        }
        self.round = self.round.saturating_add(1);
        let most = if self.wait == Wait::Park { PARK_PAUSES } else { SPIN_PAUSES };
        if self.spins < most && !rhythm.crowded {
            let pauses = if rhythm.streaming { rhythm.pause } else { LONGEST.min(1 << self.round.min(16)) };
            self.spins += pauses;
            pause(pauses);
            return Step::Again;
        }
        let left = self.limit.left();
        if left.is_some_and(|left| left.is_zero()) {
            return Step::Over;
        }
        if self.wait == Wait::Spin {
            self.spins = 0;
            rhythm.give_way();
            return Step::Yielded;
        }
        if self.yields < YIELDS && self.wait == Wait::Balanced {
            self.yields += 1;
            rhythm.give_way();
            return Step::Again;
        }
        Step::Sleep(left)
    }
}
