//! Ends of queues between threads; those of ours serve between processes, too.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use handover::{Consumer, Error, Message, Producer};

use crate::ends::{Put, Take};
use crate::shared::load::Load;

impl<L: Load, M> Put<L> for Producer<M>
where
    M: for<'a> Message<Push<'a> = L> + ?Sized,
{
    #[inline(always)]
    fn put(&mut self, message: L) {
        if self.push(message).is_err() {
            panic!("a push is refused");
        }
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: Range<u64>) {
        let count = (numbers.end - numbers.start) as u32;
        let messages = (0..count).map(|nth| L::of(numbers.start + u64::from(nth)));
        self.push_batch(messages).expect("a batch is pushed");
    }

    fn end(self, last: Option<usize>) {
        if last.is_some() {
            self.close();
        }
    }
}

/// Messages that are looked at where others would be collected.
struct Each<'f, F>(&'f mut F);

impl<L, F: FnMut(&L)> Extend<L> for Each<'_, F> {
    #[inline(always)]
    fn extend<I: IntoIterator<Item = L>>(&mut self, messages: I) {
        messages.into_iter().for_each(|message| (self.0)(&message));
    }
}

impl<L: Load, M> Take<L> for Consumer<M>
where
    M: Message<Pop = L> + ?Sized,
{
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        match self.pop() {
            Ok(message) => Some(message),
            Err(Error::Closed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[inline(always)]
    fn take_batch(&mut self, most: usize, each: &mut impl FnMut(&L)) -> bool {
        match self.pop_batch(&mut Each(each), most) {
            Ok(_) => true,
            Err(Error::Closed) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Channels differ in what their two methods are called.
macro_rules! channel {
    ($sender:ty, $send:ident, $receiver:ty, $receive:ident) => {
        impl<L: Load> Put<L> for $sender {
            #[inline(always)]
            fn put(&mut self, message: L) {
                if self.$send(message).is_err() {
                    panic!("a push is refused");
                }
            }
        }

        impl<L: Load> Take<L> for $receiver {
            #[inline(always)]
            fn take(&mut self) -> Option<L> {
                self.$receive().ok()
            }
        }
    };
}

channel!(crossbeam_channel::Sender<L>, send, crossbeam_channel::Receiver<L>, recv);
channel!(crossfire::MTx<crossfire::mpmc::Array<L>>, send, crossfire::MRx<crossfire::mpmc::Array<L>>, recv);
channel!(crossfire::Tx<crossfire::spsc::Array<L>>, send, crossfire::Rx<crossfire::spsc::Array<L>>, recv);
channel!(kanal::Sender<L>, send, kanal::Receiver<L>, recv);
channel!(flume::Sender<L>, send, flume::Receiver<L>, recv);
channel!(std::sync::mpsc::SyncSender<L>, send, std::sync::mpsc::Receiver<L>, recv);
channel!(async_channel::Sender<L>, send_blocking, async_channel::Receiver<L>, recv_blocking);

impl<L: Load> Put<L> for thingbuf::mpsc::blocking::Sender<L> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        if self.send(message).is_err() {
            panic!("a push is refused");
        }
    }
}

impl<L: Load> Take<L> for thingbuf::mpsc::blocking::Receiver<L> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        self.recv()
    }
}

/// rtrb does not block: it yields.
impl<L: Load> Put<L> for rtrb::Producer<L> {
    #[inline(always)]
    fn put(&mut self, mut message: L) {
        while let Err(rtrb::PushError::Full(refused)) = self.push(message) {
            message = refused;
            thread::yield_now();
        }
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: Range<u64>) {
        let mut from = numbers.start;
        while from < numbers.end {
            let room = self.slots().min((numbers.end - from) as usize);
            if room == 0 {
                thread::yield_now();
                continue;
            }
            let chunk = self.write_chunk_uninit(room).expect("as many slots as it has");
            chunk.fill_from_iter((0..room as u64).map(|nth| L::of(from + nth)));
            from += room as u64;
        }
    }
}

impl<L: Load> Take<L> for rtrb::Consumer<L> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        loop {
            match self.pop() {
                Ok(message) => return Some(message),
                // Asked in this order: what was pushed before the producer went is still to be had.
                Err(_) if self.is_abandoned() && self.is_empty() => return None,
                Err(_) => thread::yield_now(),
            }
        }
    }

    #[inline(always)]
    fn take_batch(&mut self, most: usize, each: &mut impl FnMut(&L)) -> bool {
        loop {
            let there = self.slots().min(most);
            if there > 0 {
                let chunk = self.read_chunk(there).expect("as many as there are");
                chunk.into_iter().for_each(|message| each(&message));
                return true;
            }
            if self.is_abandoned() && self.is_empty() {
                return false;
            }
            thread::yield_now();
        }
    }
}

/// A producer of the Disruptor: spins while the ring is full.
pub struct DisruptorPut<P>(pub P);

impl<L: Load, P: disruptor::Producer<L>> Put<L> for DisruptorPut<P> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        self.0.publish(|slot| *slot = message);
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: Range<u64>) {
        let count = (numbers.end - numbers.start) as usize;
        self.0.batch_publish(count, |slots| {
            slots.zip(numbers).for_each(|(slot, number)| *slot = L::of(number));
        });
    }
}

/// Its consumer, spinning. All that is there is one batch: its position is published once for all of it. That is how the
/// Disruptor is meant to be used; what was read but not yet published would come again to nobody, as it has one reader.
pub struct DisruptorTake<L>(pub disruptor::EventPoller<L, disruptor::SingleProducerBarrier>);

impl<L: Load> Take<L> for DisruptorTake<L> {
    const TAKES_ALL: bool = true;

    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        loop {
            match self.0.take(1) {
                Ok(mut events) => return (&mut events).next().copied(),
                Err(disruptor::Polling::NoEvents) => std::hint::spin_loop(),
                Err(disruptor::Polling::Shutdown) => return None,
            }
        }
    }

    #[inline(always)]
    fn take_batch(&mut self, _: usize, each: &mut impl FnMut(&L)) -> bool {
        loop {
            match self.0.poll() {
                Ok(mut events) => {
                    (&mut events).for_each(&mut *each);
                    return true;
                }
                Err(disruptor::Polling::NoEvents) => std::hint::spin_loop(),
                Err(disruptor::Polling::Shutdown) => return false,
            }
        }
    }
}

/// What one would write by hand: a deque behind a mutex, with two condition variables.
pub struct Guarded<L> {
    queue: Mutex<VecDeque<L>>,
    room: Condvar,
    there: Condvar,
    capacity: usize,
}

impl<L> Guarded<L> {
    /// Of that capacity.
    pub fn new(capacity: usize) -> Arc<Guarded<L>> {
        let queue = Mutex::new(VecDeque::with_capacity(capacity));
        Arc::new(Guarded { queue, room: Condvar::new(), there: Condvar::new(), capacity })
    }
}

impl<L: Load> Put<L> for Arc<Guarded<L>> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        let full = |queue: &mut VecDeque<L>| queue.len() == self.capacity;
        let queue = self.queue.lock().expect("nobody panics with it");
        let mut queue = self.room.wait_while(queue, full).expect("nobody panics with it");
        queue.push_back(message);
        drop(queue);
        self.there.notify_one();
    }
}

impl<L: Load> Take<L> for Arc<Guarded<L>> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        let queue = self.queue.lock().expect("nobody panics with it");
        let mut queue = self.there.wait_while(queue, |queue| queue.is_empty()).expect("nobody panics with it");
        let message = queue.pop_front();
        drop(queue);
        self.room.notify_one();
        message
    }
}
