//! How a broadcast is made.

use std::path::Path;

use super::Broadcast;
use super::core::{Core, Measures};
use crate::error::Error;
use crate::message::{self, Shape, Shareable};
use crate::places::ways_to_make;
use crate::segment::{self, Making, Place, Segment};

/// The settings of a new broadcast.
///
/// ```
/// use handover::broadcast::Options;
///
/// let prices = Options::new(8192).readers(200).anonymous::<u64>()?;
/// # drop(prices);
/// # Ok::<(), handover::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    capacity: u64,
    readers: u32,
    message_max: Option<usize>,
    making: Making,
}

impl Options {
    /// A broadcast that keeps at least so many messages for readers that lag: any number from 1.
    pub fn new(capacity: usize) -> Options {
        Options { capacity: capacity as u64, readers: 64, message_max: None, making: Making::default() }
    }

    /// How many readers may be attached at a time. 64 where it is not named; 256 bytes each.
    pub fn readers(mut self, most: u32) -> Options {
        self.readers = most;
        self
    }

    /// The longest message, of kinds whose length varies. 1024 bytes where it is not named.
    pub fn message_max(mut self, bytes: usize) -> Options {
        self.message_max = Some(bytes);
        self
    }

    ways_to_make!(
        Broadcast, "a broadcast", "the broadcast",
        mode: "To watch takes the permission to read, and no other.",
        anonymous: ": for threads, or",
        open_or_create: "must have the same capacity and message type.",
    );

    fn measures<M: Shareable + ?Sized>(&self) -> Result<(Measures, Shape), Error> {
        let shape = message::shape::<M>(self.message_max)?;
        let measures = Measures::new(self.capacity, (shape.size, shape.align), self.readers)
            .map_err(|why| Error::Unfit { why })?;
        Ok((measures, shape))
    }

    fn create_in<M: Shareable + ?Sized>(&self, place: &Place) -> Result<Broadcast<M>, Error> {
        let (measures, shape) = self.measures::<M>()?;
        let segment = Segment::create(place, measures.header(&shape), &self.making, |_, _| {})?;
        Ok(Broadcast::over(Core::new(segment, measures)))
    }

    fn open_or_create_in<M: Shareable + ?Sized>(&self, place: &Place) -> Result<Broadcast<M>, Error> {
        let wanted = self.measures::<M>()?.0.capacity as usize;
        let open = |segment| {
            let found = Broadcast::<M>::in_segment(segment)?;
            if found.capacity() == wanted {
                return Ok(found);
            }
            let why = format!("exists with capacity {}, asked for with {wanted}", found.capacity());
            Err(Error::Settings { place: place.to_string(), why })
        };
        segment::open_or_create(place, open, || self.create_in(place))
    }
}
