//! How a queue is made.

use std::path::Path;

use super::core::{Control, Core};
use super::{Queue, same_settings};
use crate::error::Error;
use crate::message::{self, Message, Owned, Shareable};
use crate::places::ways_to_make;
use crate::ring::MAX_MEMBERS;
use crate::roster::SOLE;
use crate::segment::{self, Making, Place, Segment};

/// The settings of a new queue.
///
/// ```
/// use handover::Options;
///
/// let one_to_one = Options::new(8192).one_producer().one_consumer().anonymous::<u64>()?;
/// let lines = Options::new(1000).message_max(4096).anonymous::<[u8]>()?;
/// # drop((one_to_one, lines));
/// # Ok::<(), handover::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) capacity: u64,
    pub(super) max_capacity: Option<u64>,
    pub(super) members: u32,
    pub(super) one_producer: bool,
    pub(super) one_consumer: bool,
    message_max: Option<usize>,
    making: Making,
}

impl Options {
    /// The most members that a queue between processes can be made for.
    pub const MOST_MEMBERS: u32 = MAX_MEMBERS - SOLE;

    /// A queue that holds at most so many messages: any number from 1.
    pub fn new(capacity: usize) -> Options {
        Options {
            capacity: capacity as u64,
            max_capacity: None,
            members: 64,
            one_producer: false,
            one_consumer: false,
            message_max: None,
            making: Making::default(),
        }
    }

    /// To how many messages it can be [resized](Queue::resize) while it is used. Memory for as many is taken at once, and
    /// used in turn. Where it is not named it can't be resized, which makes queues for several producers a little faster.
    pub fn max_capacity(mut self, messages: usize) -> Options {
        self.max_capacity = Some(messages as u64);
        self
    }

    /// At most one producer at a time. With [`one_consumer`](Self::one_consumer) much faster.
    pub fn one_producer(mut self) -> Options {
        self.one_producer = true;
        self
    }

    /// At most one consumer at a time. With [`one_producer`](Self::one_producer) much faster.
    pub fn one_consumer(mut self) -> Options {
        self.one_consumer = true;
        self
    }

    /// The longest message, of kinds whose length varies. 1024 bytes where it is not named.
    pub fn message_max(mut self, bytes: usize) -> Options {
        self.message_max = Some(bytes);
        self
    }

    /// How many handles may be attached at a time, between processes. 64 where it is not named; 128 bytes each.
    /// Between threads there is no limit.
    pub fn members(mut self, most: u32) -> Options {
        self.members = most;
        self
    }

    /// A queue between the threads of this process, of any `T: Send`. Messages left in it are dropped with it.
    ///
    /// ```
    /// let queue = handover::Options::new(100).threads::<String>()?;
    /// let mut producer = queue.producer()?;
    /// std::thread::spawn(move || producer.push("hello".to_string()));
    /// assert_eq!(queue.consumer()?.pop()?, "hello");
    /// # Ok::<(), handover::Error>(())
    /// ```
    pub fn threads<T: Send>(&self) -> Result<Queue<Owned<T>>, Error> {
        let shape = message::shape::<Owned<T>>(self.message_max)?;
        let measures = self.measures(&shape, true)?;
        let core = Core::on_heap(measures, discard::<Owned<T>>)?;
        if measures.limited {
            core.set_limit(self.capacity as u32);
        }
        Ok(Queue::over(core))
    }

    ways_to_make!(
        Queue, "a queue", "the queue",
        mode: "",
        anonymous: ",",
        open_or_create: "must have the same capacity, the same message type, and be for as many producers and consumers.",
    );

    fn create_in<M: Shareable + ?Sized>(&self, place: &Place) -> Result<Queue<M>, Error> {
        let shape = message::shape::<M>(self.message_max)?;
        let measures = self.measures(&shape, false)?;
        let init = |body: *mut u8, _| {
            if measures.limited {
                // SAFETY: a new body begins with the control block, and nobody else can see it yet.
                unsafe { &*body.cast::<Control>() }.begin(self.capacity as u32);
            }
        };
        let segment = Segment::create(place, measures.header(&shape), &self.making, init)?;
        Ok(Queue::over(Core::in_segment(segment, measures)))
    }

    fn open_or_create_in<M: Shareable + ?Sized>(&self, place: &Place) -> Result<Queue<M>, Error> {
        let wanted = self.measures(&message::shape::<M>(self.message_max)?, false)?;
        let open = |segment| {
            let queue = Queue::<M>::in_segment(segment)?;
            match same_settings(&wanted, &queue.core.measures) {
                Ok(()) => Ok(queue),
                Err(why) => Err(Error::Settings { place: place.to_string(), why }),
            }
        };
        segment::open_or_create(place, open, || self.create_in(place))
    }
}

/// # Safety
/// As [`Message`]'s `discard`.
unsafe fn discard<M: Message + ?Sized>(slot: *mut u8) {
    // SAFETY: by the caller's contract.
    unsafe { M::discard(slot) }
}

#[cfg(test)]
mod tests {
    use super::super::core::Measures;
    use super::*;
    use crate::message::{Shape, fingerprint};

    #[test]
    fn sizes_that_overflow_are_refused() {
        let shape = Shape { size: usize::MAX / 4, align: 8, fingerprint: fingerprint(&[]), name: "huge".into() };
        assert!(matches!(Options::new(5).measures(&shape, false), Err(Error::Unfit { .. })));
    }

    #[test]
    fn a_segments_overhead_is_within_its_bound() {
        for members in [1, 64, Options::MOST_MEMBERS] {
            let shape = Shape { size: 8, align: 8, fingerprint: 0, name: "u64".into() };
            let measures: Measures = Options::new(1000).members(members).measures(&shape, false).expect("fits");
            let overhead = 4096 + measures.slots.length - 1000 * 16;
            assert!(overhead <= 16 * 1024 + 128 * members as usize, "{overhead} bytes for {members} members");
        }
    }
}
