//! How a broadcast is made.

use std::path::Path;

use super::Broadcast;
use super::core::{Core, Measures};
use crate::error::Error;
use crate::message::{self, Shape, Shareable};
use crate::segment::{self, GOES_WITH_LAST_USER, Place, Segment};

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
    mode: u32,
    goes_with_last_user: bool,
}

impl Options {
    /// A broadcast that keeps at least so many messages for readers that lag: any number from 1.
    pub fn new(capacity: usize) -> Options {
        Options { capacity: capacity as u64, readers: 64, message_max: None, mode: 0o600, goes_with_last_user: false }
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

    /// Who may open it, as file permissions. 0600, the user alone, where it is not named. To watch takes the permission
    /// to read, and no other.
    pub fn mode(mut self, mode: u32) -> Options {
        self.mode = mode;
        self
    }

    /// Removes it when the last process that has it open leaves.
    pub fn goes_with_last_user(mut self) -> Options {
        self.goes_with_last_user = true;
        self
    }

    /// Creates a broadcast of that name. Refused if there is something of that name already.
    pub fn create<M: Shareable + ?Sized>(&self, name: &str) -> Result<Broadcast<M>, Error> {
        self.create_in(&Place::Named(name.into()))
    }

    /// Creates a broadcast in a file of that path. Refused if there is something already.
    pub fn create_at<M: Shareable + ?Sized>(&self, path: impl AsRef<Path>) -> Result<Broadcast<M>, Error> {
        self.create_in(&Place::Path(path.as_ref().into()))
    }

    /// Creates a broadcast without a name: for threads, or to be handed to other processes by file descriptor; see
    /// [`Broadcast::share`].
    pub fn anonymous<M: Shareable + ?Sized>(&self) -> Result<Broadcast<M>, Error> {
        self.create_in(&Place::Anonymous)
    }

    /// Opens the broadcast of that name, or creates it. One that is there must have the same capacity and message type.
    pub fn open_or_create<M: Shareable + ?Sized>(&self, name: &str) -> Result<Broadcast<M>, Error> {
        self.open_or_create_in(&Place::Named(name.into()))
    }

    /// Opens the broadcast in that file, or creates it; as [`open_or_create`](Self::open_or_create).
    pub fn open_or_create_at<M: Shareable + ?Sized>(&self, path: impl AsRef<Path>) -> Result<Broadcast<M>, Error> {
        self.open_or_create_in(&Place::Path(path.as_ref().into()))
    }

    fn measures<M: Shareable + ?Sized>(&self) -> Result<(Measures, Shape), Error> {
        let shape = message::shape::<M>(self.message_max)?;
        let measures = Measures::new(self.capacity, (shape.size, shape.align), self.readers)
            .map_err(|why| Error::Unfit { why })?;
        Ok((measures, shape))
    }

    fn create_in<M: Shareable + ?Sized>(&self, place: &Place) -> Result<Broadcast<M>, Error> {
        let (measures, shape) = self.measures::<M>()?;
        let features = if self.goes_with_last_user { GOES_WITH_LAST_USER } else { 0 };
        let segment = Segment::create(place, measures.header(&shape, features), self.mode, |_, _| {})?;
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
