//! How a task queue is made.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Tasks;
use super::core::{Core, LEVELS, Measures, Settings, make};
use crate::error::Error;
use crate::message::{self, Shape, Shareable};
use crate::places::ways_to_make;
use crate::segment::{self, Making, Place, Segment};

/// The settings of a new task queue.
///
/// ```
/// use std::time::Duration;
/// use handover::tasks::Options;
///
/// let jobs = Options::new()
///     .capacity(5000)
///     .message_max(4096)
///     .tries(3)
///     .backoff(Duration::from_secs(1), Duration::from_secs(60))
///     .anonymous::<[u8]>()?;
/// # drop(jobs);
/// # Ok::<(), handover::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    capacity: usize,
    max_capacity: usize,
    members: u32,
    message_max: Option<usize>,
    result_max: usize,
    lease: Duration,
    backoff: (Duration, Duration),
    tries: u8,
    weights: Option<[u32; LEVELS]>,
    making: Making,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Options {
    /// A queue of at most 1000 tasks.
    pub fn new() -> Options {
        Options {
            capacity: 1000,
            max_capacity: 0,
            members: 64,
            message_max: None,
            result_max: 0,
            lease: Duration::ZERO,
            backoff: (Duration::from_millis(100), Duration::from_secs(60)),
            tries: 5,
            weights: None,
            making: Making::default(),
        }
    }

    /// How many tasks it holds at most, those that are worked on and the dead letters included. 1000 where it is not
    /// named.
    pub fn capacity(mut self, tasks: usize) -> Options {
        self.capacity = tasks;
        self
    }

    /// To how many tasks it can be [resized](Tasks::resize) while it is used. Memory for as many is taken at once. Where
    /// it is not named it is the capacity.
    pub fn max_capacity(mut self, tasks: usize) -> Options {
        self.max_capacity = tasks;
        self
    }

    /// How many handles may be attached at a time. 64 where it is not named; about 2.5 KB each.
    pub fn members(mut self, most: u32) -> Options {
        self.members = most;
        self
    }

    /// The longest task, of kinds whose length varies. 1024 bytes where it is not named.
    pub fn message_max(mut self, bytes: usize) -> Options {
        self.message_max = Some(bytes);
        self
    }

    /// The longest result. Where it is not named, tasks have none.
    pub fn result_max(mut self, bytes: usize) -> Options {
        self.result_max = bytes;
        self
    }

    /// For how long a worker is given a task. Where it is not named: as long as it lives.
    pub fn lease(mut self, time: Duration) -> Options {
        self.lease = time;
        self
    }

    /// How long a task that failed waits for its next try: `first` after the first, then twice as long each time, up to
    /// `most`; give or take a half. 100 ms and 60 s where it is not named.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Options {
        self.backoff = (first, most);
        self
    }

    /// How often a task is tried before it becomes a dead letter, where it does not say itself. 5 where it is not named.
    pub fn tries(mut self, most: u8) -> Options {
        self.tries = most;
        self
    }

    /// Instead of always taking what has the highest priority: each priority, from the lowest on, gets its share of what is
    /// taken while tasks of all priorities wait. Its share is its weight's part of the sum of all; a weight must be at
    /// least 1.
    pub fn weights(mut self, weights: [u32; LEVELS]) -> Options {
        self.weights = Some(weights);
        self
    }

    ways_to_make!(
        Tasks, "a task queue", "the task queue",
        mode: "",
        anonymous: ": for threads, or",
        open_or_create: "must be for the same type of task; how large it is, and its other settings, stay as they are.",
    );

    fn open_or_create_in<M: Shareable + ?Sized>(&self, place: &Place) -> Result<Tasks<M>, Error> {
        segment::open_or_create(place, Tasks::in_segment, || self.create_in(place))
    }

    fn measures(&self, shape: &Shape) -> Result<Measures, Error> {
        let unfit = |why: String| Err(Error::Unfit { why });
        let blocks = if self.max_capacity == 0 { self.capacity } else { self.max_capacity };
        if self.capacity > blocks {
            return unfit(format!(
                "a capacity of {} is more than the largest that was asked for, {blocks}",
                self.capacity
            ));
        }
        if self.capacity == 0 {
            return unfit("a task queue of capacity 0 can hold nothing; make it at least 1".into());
        }
        if self.tries == 0 {
            return unfit("a task that is tried 0 times is never worked on; ask for at least 1".into());
        }
        if self.weights.is_some_and(|weights| weights.contains(&0)) {
            return unfit("a priority of weight 0 would never move; give each at least 1".into());
        }
        let message = (shape.size, shape.align);
        Measures::new(blocks as u64, message, self.members, self.result_max).map_err(|why| Error::Unfit { why })
    }

    fn create_in<M: Shareable + ?Sized>(&self, place: &Place) -> Result<Tasks<M>, Error> {
        let shape = message::shape::<M>(self.message_max)?;
        let measures = self.measures(&shape)?;
        let init = |body: *mut u8, _| {
            // SAFETY: the body of a new segment with these measures, which nobody else can see yet.
            let settings = unsafe { make(body, &measures, self.capacity as u32) };
            self.fill_in(settings);
        };
        let segment = Segment::create(place, measures.header(&shape), &self.making, init)?;
        Ok(Tasks::over(Core::new(segment, measures)))
    }

    fn fill_in(&self, settings: &Settings) {
        settings.lease.store(nanoseconds(self.lease), Relaxed);
        settings.backoff.store(nanoseconds(self.backoff.0), Relaxed);
        settings.backoff_most.store(nanoseconds(self.backoff.1.max(self.backoff.0)), Relaxed);
        settings.tries.store(self.tries.into(), Relaxed);
        for (place, weight) in settings.weights.iter().zip(self.weights.unwrap_or_default()) {
            place.store(weight, Relaxed);
        }
    }
}
