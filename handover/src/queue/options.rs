//! How a queue is made.

use std::path::Path;

use super::core::{Control, Core};
use super::{Queue, same_settings};
use crate::error::Error;
use crate::message::{self, Message, Owned, Shareable};
use crate::ring::MAX_MEMBERS;
use crate::roster::SOLE;
use crate::segment::{self, GOES_WITH_LAST_USER, Place, Segment};

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
    mode: u32,
    goes_with_last_user: bool,
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
            mode: 0o600,
            goes_with_last_user: false,
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

    /// Who may open it, as file permissions. 0600, the user alone, where it is not named.
    pub fn mode(mut self, mode: u32) -> Options {
        self.mode = mode;
        self
    }

    /// Removes the queue when the last process that has it open leaves. If all are killed at once, it stays until the
    /// next one that opens it leaves.
    pub fn goes_with_last_user(mut self) -> Options {
        self.goes_with_last_user = true;
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

    /// Creates a queue of that name. Refused if there is something of that name already.
    pub fn create<M: Shareable + ?Sized>(&self, name: &str) -> Result<Queue<M>, Error> {
        self.create_in(&Place::Named(name.into()))
    }

    /// Creates a queue in a file of that path. Refused if there is something already.
    pub fn create_at<M: Shareable + ?Sized>(&self, path: impl AsRef<Path>) -> Result<Queue<M>, Error> {
        self.create_in(&Place::Path(path.as_ref().into()))
    }

    /// Creates a queue without a name, to be handed to other processes by file descriptor; see [`Queue::share`].
    pub fn anonymous<M: Shareable + ?Sized>(&self) -> Result<Queue<M>, Error> {
        self.create_in(&Place::Anonymous)
    }

    /// Opens the queue of that name, or creates it. One that is there must have the same capacity, the same message
    /// type, and be for as many producers and consumers.
    pub fn open_or_create<M: Shareable + ?Sized>(&self, name: &str) -> Result<Queue<M>, Error> {
        self.open_or_create_in(&Place::Named(name.into()))
    }

    /// Opens the queue in that file, or creates it; as [`open_or_create`](Self::open_or_create).
    pub fn open_or_create_at<M: Shareable + ?Sized>(&self, path: impl AsRef<Path>) -> Result<Queue<M>, Error> {
        self.open_or_create_in(&Place::Path(path.as_ref().into()))
    }

    fn create_in<M: Shareable + ?Sized>(&self, place: &Place) -> Result<Queue<M>, Error> {
        let shape = message::shape::<M>(self.message_max)?;
        let measures = self.measures(&shape, false)?;
        let features = if self.goes_with_last_user { GOES_WITH_LAST_USER } else { 0 };
        let init = |body: *mut u8, _| {
            if measures.limited {
                // SAFETY: a new body begins with the control block, and nobody else can see it yet.
                unsafe { &*body.cast::<Control>() }.begin(self.capacity as u32);
            }
        };
        let segment = Segment::create(place, measures.header(&shape, features), self.mode, init)?;
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
