//! Ends of queues that hand every message to every receiver: ours, between threads as between processes, and tokio's. The
//! Disruptor's stand among the queues, as it is one too.

use std::ops::Range;
use std::os::fd::OwnedFd;

use handover::Error;
use handover::broadcast::{Broadcast, Numbered, Options, Reader, Start, Writer};
use tokio::sync::broadcast;

use super::processes::{WAITS, only};
use super::{Across, Made, Place};
use crate::ends::{Put, Take};
use crate::shared::load::Load;

impl<L: Load> Put<L> for Writer<L> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        if self.publish(message).is_err() {
            panic!("a message is refused");
        }
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: Range<u64>) {
        self.publish_batch(numbers.map(L::of)).expect("a batch is published");
    }

    fn end(mut self, _: Option<usize>) {
        self.close();
    }
}

/// Our reader, with what it missed.
pub struct ReaderTake<L: Load> {
    reader: Reader<L>,
    missed: u64,
}

/// Messages that are looked at where others would be collected.
struct Each<'f, F>(&'f mut F);

impl<L, F: FnMut(&L)> Extend<Numbered<L>> for Each<'_, F> {
    #[inline(always)]
    fn extend<I: IntoIterator<Item = Numbered<L>>>(&mut self, messages: I) {
        messages.into_iter().for_each(|numbered| (self.0)(&numbered.message));
    }
}

impl<L: Load> Take<L> for ReaderTake<L> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        loop {
            match self.reader.next() {
                Ok(numbered) => return Some(numbered.message),
                Err(Error::Missed { count }) => self.missed += count,
                Err(Error::Closed) => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[inline(always)]
    fn take_batch(&mut self, most: usize, each: &mut impl FnMut(&L)) -> bool {
        loop {
            match self.reader.next_batch(&mut Each(each), most) {
                Ok(_) => return true,
                Err(Error::Missed { count }) => self.missed += count,
                Err(Error::Closed) => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }
}

/// Ours. `GATING`: the writer waits for its readers. `WAIT`: one of `WAITS`.
pub struct Everybody<const GATING: bool, const WAIT: u8>;

impl<const GATING: bool, const WAIT: u8> Everybody<GATING, WAIT> {
    /// Makes it.
    pub fn create<L: Load>(capacity: usize) -> Result<Broadcast<L>, String> {
        Options::new(capacity).anonymous().map_err(|error| error.to_string())
    }

    /// The writing end.
    pub fn writer<L: Load>(all: &Broadcast<L>) -> Writer<L> {
        let mut end = all.writer().expect("a writer");
        end.set_wait(WAITS[WAIT as usize]);
        end
    }

    /// A reading end.
    pub fn reader<L: Load>(all: &Broadcast<L>) -> ReaderTake<L> {
        let reader = if GATING { all.gating_reader(Start::Oldest) } else { all.reader(Start::Oldest) };
        let mut reader = reader.expect("a reader");
        reader.set_wait(WAITS[WAIT as usize]);
        ReaderTake { reader, missed: 0 }
    }
}

impl<L: Load, const GATING: bool, const WAIT: u8> Across<L> for Everybody<GATING, WAIT> {
    const DESCRIPTORS: usize = 1;
    type Put = Writer<L>;
    type Take = ReaderTake<L>;

    fn make(place: &Place) -> Result<Made, String> {
        let all = Self::create::<L>(place.cell.capacity)?;
        let descriptors = vec![all.share().expect("a descriptor")];
        Ok(Made { keep: Box::new(all), descriptors })
    }

    fn put(_: &Place, descriptors: Vec<OwnedFd>) -> Self::Put {
        Self::writer(&Broadcast::from_fd(only(descriptors)).expect("the run's broadcast"))
    }

    fn take(_: &Place, descriptors: Vec<OwnedFd>) -> Self::Take {
        Self::reader(&Broadcast::from_fd(only(descriptors)).expect("the run's broadcast"))
    }
}

/// tokio's receiver, with what it missed.
pub struct TokioTake<L> {
    receiver: broadcast::Receiver<L>,
    missed: u64,
}

impl<L: Clone> TokioTake<L> {
    /// From now on.
    pub fn of(sender: &broadcast::Sender<L>) -> TokioTake<L> {
        TokioTake { receiver: sender.subscribe(), missed: 0 }
    }
}

impl<L: Load> Put<L> for broadcast::Sender<L> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        if self.send(message).is_err() {
            panic!("nobody receives");
        }
    }
}

impl<L: Load> Take<L> for TokioTake<L> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        loop {
            match self.receiver.blocking_recv() {
                Ok(message) => return Some(message),
                Err(broadcast::error::RecvError::Lagged(missed)) => self.missed += missed,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }
}
