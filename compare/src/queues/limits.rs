//! What the machine itself can do, as contenders: two words that are spun on or slept on, and the barest ring there can be.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::ends::{END, Put, Take, number_of};
use crate::shared::load::Load;
use crate::shared::machine;

/// In lines of its own: processors fetch two at a time.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// A word in a line of its own that carries one number, and is spun on. Two of them make the two-line trip.
#[derive(Clone, Default)]
pub struct SpunOn {
    word: Arc<Apart<AtomicU64>>,
    seen: u64,
}

impl<L: Load> Put<L> for SpunOn {
    #[inline(always)]
    fn put(&mut self, message: L) {
        self.word.0.store(number_of(&message), Release);
    }
}

impl<L: Load> Take<L> for SpunOn {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        loop {
            let found = self.word.0.load(Acquire);
            if found != self.seen {
                self.seen = found;
                return Some(L::of(found));
            }
            std::hint::spin_loop();
        }
    }
}

/// The same, slept on at once: the bare futex ping-pong.
#[derive(Clone, Default)]
pub struct SleptOn {
    word: Arc<Apart<AtomicU32>>,
    seen: u32,
}

/// What `END` becomes in 32 bits.
const SHORT_END: u32 = u32::MAX;

impl<L: Load> Put<L> for SleptOn {
    #[inline(always)]
    fn put(&mut self, message: L) {
        self.word.0.store(number_of(&message) as u32, Release);
        machine::wake_all(&self.word.0, false);
    }
}

impl<L: Load> Take<L> for SleptOn {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        loop {
            let found = self.word.0.load(Acquire);
            if found != self.seen {
                self.seen = found;
                return Some(L::of(if found == SHORT_END { END } else { found.into() }));
            }
            machine::sleep_on(&self.word.0, found, None, false);
        }
    }
}

/// The raw stream: one writer, one reader, who spin, keep no promise, and publish their positions once for each batch.
pub struct Stream<L> {
    slots: Box<[UnsafeCell<MaybeUninit<L>>]>,
    tail: Apart<AtomicU64>,
    head: Apart<AtomicU64>,
}

// SAFETY: a slot is touched by the writer while it lies past `tail`, and by the reader while it lies before; each moves its
// own position with a release store, and reads the other's with an acquire load.
unsafe impl<L: Send> Sync for Stream<L> {}

/// One side of it, with its own position and what it last saw of the other's.
pub struct Side<L> {
    stream: Arc<Stream<L>>,
    own: u64,
    other: u64,
}

/// Both sides. `capacity` has to be a power of two.
pub fn stream<L: Load>(capacity: usize) -> (StreamPut<L>, StreamTake<L>) {
    assert!(capacity.is_power_of_two(), "positions are masked");
    let slots = (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let stream = Arc::new(Stream { slots, tail: Apart::default(), head: Apart::default() });
    let side = || Side { stream: Arc::clone(&stream), own: 0, other: 0 };
    (StreamPut(side()), StreamTake(side()))
}

/// The writer.
pub struct StreamPut<L>(Side<L>);
/// The reader.
pub struct StreamTake<L>(Side<L>);

impl<L> Side<L> {
    #[inline(always)]
    fn slot(&self, position: u64) -> *mut MaybeUninit<L> {
        self.stream.slots[position as usize & (self.stream.slots.len() - 1)].get()
    }
}

impl<L: Load> Put<L> for StreamPut<L> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        let side = &mut self.0;
        while side.own - side.other == side.stream.slots.len() as u64 {
            side.other = side.stream.head.0.load(Acquire);
            std::hint::spin_loop();
        }
        // SAFETY: the position is the writer's: not published yet, and the reader has left its last lap.
        unsafe { (*side.slot(side.own)).write(message) };
        side.own += 1;
        side.stream.tail.0.store(side.own, Release);
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: Range<u64>) {
        let side = &mut self.0;
        let count = numbers.end - numbers.start;
        assert!(count <= side.stream.slots.len() as u64, "a batch fits");
        while side.own + count - side.other > side.stream.slots.len() as u64 {
            side.other = side.stream.head.0.load(Acquire);
            std::hint::spin_loop();
        }
        for number in numbers {
            // SAFETY: as in `put`; there is room for all of them.
            unsafe { (*side.slot(side.own)).write(L::of(number)) };
            side.own += 1;
        }
        side.stream.tail.0.store(side.own, Release);
    }
}

impl<L: Load> StreamTake<L> {
    /// Spins until something is there, and says how much.
    #[inline(always)]
    fn there(&mut self) -> u64 {
        let side = &mut self.0;
        while side.own == side.other {
            side.other = side.stream.tail.0.load(Acquire);
            std::hint::spin_loop();
        }
        side.other - side.own
    }
}

impl<L: Load> Take<L> for StreamTake<L> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        self.there();
        let side = &mut self.0;
        // SAFETY: the position is published, so it was written, and the writer leaves it alone until `head` has passed it.
        let message = unsafe { (*side.slot(side.own)).assume_init() };
        side.own += 1;
        side.stream.head.0.store(side.own, Release);
        Some(message)
    }

    #[inline(always)]
    fn take_batch(&mut self, most: usize, each: &mut impl FnMut(&L)) -> bool {
        let count = self.there().min(most as u64);
        let side = &mut self.0;
        for _ in 0..count {
            // SAFETY: as in `take`.
            each(unsafe { (*side.slot(side.own)).assume_init_ref() });
            side.own += 1;
        }
        side.stream.head.0.store(side.own, Release);
        true
    }
}

/// Nanoseconds of an uncontended compare-and-swap, an exchange, and a release store, each on a word of one's own line.
pub fn uncontended() -> [f64; 3] {
    const TIMES: u64 = 2_000_000;
    let word = Apart(AtomicU64::new(0));
    let word = std::hint::black_box(&word.0);
    let time = |each: &dyn Fn(u64)| {
        let begun = machine::now();
        each(TIMES);
        (machine::now() - begun) as f64 / TIMES as f64
    };
    [
        time(&|times| {
            for number in 0..times {
                let found = word.load(Relaxed);
                let swapped = word.compare_exchange(found, number, AcqRel, Relaxed);
                assert!(swapped.is_ok(), "nobody else has it");
            }
        }),
        time(&|times| {
            for number in 0..times {
                std::hint::black_box(word.swap(number, AcqRel));
            }
        }),
        time(&|times| (0..times).for_each(|number| word.store(number, Release))),
    ]
}
