//! The two ends of what is measured, of each kind, under one interface; and where they are got from.

use handover::broadcast::{self, Reader, Start, Writer};
use handover::tasks::{self, Submitter, Worker};
use handover::{Broadcast, Consumer, Error, Options, Owned, Producer, Queue, Shareable, Tasks};

use super::case::Case;
use super::load::Load;
use crate::system::child::{self, Found, Shared};

/// Where messages are put in.
pub(crate) trait Entry {
    /// Waits for room.
    fn put(&mut self, number: u64) -> Result<(), Error>;
    /// [`Error::Full`] if there is no room.
    fn try_put(&mut self, number: u64) -> Result<(), Error>;
    fn put_batch(&mut self, numbers: std::ops::Range<u64>) -> Result<(), Error>;
    fn close(&mut self);
}

/// Where they come out.
pub(crate) trait Exit {
    /// Waits for messages, takes up to so many, and shows what each carries, before it is done with if it has to be.
    fn take(&mut self, most: usize, each: impl FnMut(u64)) -> Result<(), Error>;
}

/// What endpoints attach to.
pub(crate) trait Stage: Sized {
    type Entry: Entry + Send;
    type Exit: Exit + Send;

    fn make(case: &Case) -> Result<Self, Error>;
    /// For children; `None` if it is not between processes.
    fn share(&self) -> Result<Option<Shared>, Error>;
    fn open(found: Found) -> Result<Self, Error>;
    fn entry(&self, case: &Case) -> Result<Self::Entry, Error>;
    fn exit(&self, case: &Case) -> Result<Self::Exit, Error>;
    /// However the endpoints are.
    fn close(&self);
}

fn only<T>(messages: impl IntoIterator<Item = T>) -> T {
    messages.into_iter().next().expect("a mould makes as many as it is asked for")
}

pub(crate) struct Inlet<H, M: Load + ?Sized> {
    handle: H,
    mould: M::Mould,
}

pub(crate) struct Outlet<H, T> {
    handle: H,
    taken: Vec<T>,
}

fn outlet<H, T>(handle: H, case: &Case) -> Outlet<H, T> {
    Outlet { handle, taken: Vec::with_capacity(case.batch) }
}

impl<M: Load + ?Sized> Entry for Inlet<Producer<M>, M> {
    #[inline(always)]
    fn put(&mut self, number: u64) -> Result<(), Error> {
        Ok(self.handle.push(only(M::make(&mut self.mould, number..number + 1)))?)
    }

    fn try_put(&mut self, number: u64) -> Result<(), Error> {
        Ok(self.handle.try_push(only(M::make(&mut self.mould, number..number + 1)))?)
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: std::ops::Range<u64>) -> Result<(), Error> {
        self.handle.push_batch(M::make(&mut self.mould, numbers)).map(drop)
    }

    fn close(&mut self) {
        self.handle.close();
    }
}

impl<M: Load + ?Sized> Exit for Outlet<Consumer<M>, M::Pop> {
    #[inline(always)]
    fn take(&mut self, most: usize, mut each: impl FnMut(u64)) -> Result<(), Error> {
        if most == 1 {
            each(M::number(&self.handle.pop()?));
        } else {
            self.handle.pop_batch(&mut self.taken, most)?;
            self.taken.drain(..).for_each(|message| each(M::number(&message)));
        }
        Ok(())
    }
}

impl<M: Load + Shareable + ?Sized> Entry for Inlet<Writer<M>, M> {
    #[inline(always)]
    fn put(&mut self, number: u64) -> Result<(), Error> {
        Ok(self.handle.publish(only(M::make(&mut self.mould, number..number + 1))).map(drop)?)
    }

    fn try_put(&mut self, number: u64) -> Result<(), Error> {
        Ok(self.handle.try_publish(only(M::make(&mut self.mould, number..number + 1))).map(drop)?)
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: std::ops::Range<u64>) -> Result<(), Error> {
        self.handle.publish_batch(M::make(&mut self.mould, numbers)).map(drop)
    }

    fn close(&mut self) {
        self.handle.close();
    }
}

impl<M: Load + Shareable + ?Sized> Exit for Outlet<Reader<M>, broadcast::Numbered<M::Pop>> {
    #[inline(always)]
    fn take(&mut self, most: usize, mut each: impl FnMut(u64)) -> Result<(), Error> {
        if most == 1 {
            each(M::number(&self.handle.next()?.message));
        } else {
            self.handle.next_batch(&mut self.taken, most)?;
            self.taken.drain(..).for_each(|numbered| each(M::number(&numbered.message)));
        }
        Ok(())
    }
}

impl<M: Load + Shareable + ?Sized> Entry for Inlet<Submitter<M>, M> {
    #[inline(always)]
    fn put(&mut self, number: u64) -> Result<(), Error> {
        Ok(self.handle.submit(only(M::make(&mut self.mould, number..number + 1))).map(drop)?)
    }

    fn try_put(&mut self, number: u64) -> Result<(), Error> {
        Ok(self.handle.try_submit(only(M::make(&mut self.mould, number..number + 1))).map(drop)?)
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: std::ops::Range<u64>) -> Result<(), Error> {
        self.handle.submit_batch(M::make(&mut self.mould, numbers)).map(drop)
    }

    fn close(&mut self) {
        self.handle.close();
    }
}

impl<M: Load + Shareable + ?Sized> Exit for Outlet<Worker<M>, ()> {
    #[inline(always)]
    fn take(&mut self, most: usize, mut each: impl FnMut(u64)) -> Result<(), Error> {
        // There is no taking of several.
        for _ in 0..most {
            let lease = self.handle.take()?;
            each(M::number(lease.task()));
            lease.done()?;
        }
        Ok(())
    }
}

/// Where a case wants its memory; each kind's settings are a type of their own.
macro_rules! placed {
    ($options:expr, $case:expr) => {{
        let mut options = $options;
        if let Some(node) = $case.node {
            options = options.numa_node(node);
        }
        if $case.huge { options.huge_pages() } else { options }
    }};
}

fn options(case: &Case) -> Options {
    let options = Options::new(case.capacity).message_max(case.size).members(case.endpoints().max(1) as u32);
    placed!(if case.one { options.one_producer().one_consumer() } else { options }, case)
}

fn queue_entry<M: Load + ?Sized>(queue: &Queue<M>, case: &Case) -> Result<Inlet<Producer<M>, M>, Error> {
    let mut handle = queue.producer()?;
    handle.set_wait(case.wait.into());
    Ok(Inlet { handle, mould: M::mould(case.size) })
}

fn queue_exit<M: Load + ?Sized>(queue: &Queue<M>, case: &Case) -> Result<Outlet<Consumer<M>, M::Pop>, Error> {
    let mut handle = queue.consumer()?;
    handle.set_wait(case.wait.into());
    Ok(outlet(handle, case))
}

/// A queue on the heap.
pub(crate) struct OnHeap<T: Send>(Queue<Owned<T>>);

impl<T: Send + 'static> Stage for OnHeap<T>
where
    Owned<T>: Load<Mould: Send, Pop = T>,
{
    type Entry = Inlet<Producer<Owned<T>>, Owned<T>>;
    type Exit = Outlet<Consumer<Owned<T>>, T>;

    fn make(case: &Case) -> Result<OnHeap<T>, Error> {
        Ok(OnHeap(options(case).threads::<T>()?))
    }

    fn share(&self) -> Result<Option<Shared>, Error> {
        Ok(None)
    }

    fn open(_found: Found) -> Result<OnHeap<T>, Error> {
        Err(Error::NotFound { place: "a queue on another process's heap".into() })
    }

    fn entry(&self, case: &Case) -> Result<Self::Entry, Error> {
        queue_entry(&self.0, case)
    }

    fn exit(&self, case: &Case) -> Result<Self::Exit, Error> {
        queue_exit(&self.0, case)
    }

    fn close(&self) {
        self.0.close();
    }
}

impl<M: Load<Mould: Send, Pop: Send> + Shareable + ?Sized> Stage for Queue<M> {
    type Entry = Inlet<Producer<M>, M>;
    type Exit = Outlet<Consumer<M>, M::Pop>;

    fn make(case: &Case) -> Result<Queue<M>, Error> {
        options(case).anonymous()
    }

    fn share(&self) -> Result<Option<Shared>, Error> {
        Queue::share(self).map(Some)
    }

    fn open(found: Found) -> Result<Queue<M>, Error> {
        child::queue(found)
    }

    fn entry(&self, case: &Case) -> Result<Self::Entry, Error> {
        queue_entry(self, case)
    }

    fn exit(&self, case: &Case) -> Result<Self::Exit, Error> {
        queue_exit(self, case)
    }

    fn close(&self) {
        Queue::close(self);
    }
}

impl<M: Load<Mould: Send, Pop: Send> + Shareable + ?Sized> Stage for Broadcast<M> {
    type Entry = Inlet<Writer<M>, M>;
    type Exit = Outlet<Reader<M>, broadcast::Numbered<M::Pop>>;

    fn make(case: &Case) -> Result<Broadcast<M>, Error> {
        let readers = case.consumers.max(1) as u32;
        placed!(broadcast::Options::new(case.capacity).message_max(case.size).readers(readers), case).anonymous()
    }

    fn share(&self) -> Result<Option<Shared>, Error> {
        Broadcast::share(self).map(Some)
    }

    fn open(found: Found) -> Result<Broadcast<M>, Error> {
        child::broadcast(found)
    }

    fn entry(&self, case: &Case) -> Result<Self::Entry, Error> {
        let mut handle = self.writer()?;
        handle.set_wait(case.wait.into());
        Ok(Inlet { handle, mould: M::mould(case.size) })
    }

    fn exit(&self, case: &Case) -> Result<Self::Exit, Error> {
        let mut handle = self.gating_reader(Start::Oldest)?;
        handle.set_wait(case.wait.into());
        Ok(outlet(handle, case))
    }

    fn close(&self) {
        // Refused while its writer lives, who is told by its gating readers being gone.
        let _ = Broadcast::close(self);
    }
}

impl<M: Load<Mould: Send, Pop: Send> + Shareable + ?Sized> Stage for Tasks<M> {
    type Entry = Inlet<Submitter<M>, M>;
    type Exit = Outlet<Worker<M>, ()>;

    fn make(case: &Case) -> Result<Tasks<M>, Error> {
        let options = tasks::Options::new().capacity(case.capacity).message_max(case.size);
        placed!(options.members(case.endpoints().max(1) as u32).result_max(RESULT), case).anonymous()
    }

    fn share(&self) -> Result<Option<Shared>, Error> {
        Tasks::share(self).map(Some)
    }

    fn open(found: Found) -> Result<Tasks<M>, Error> {
        child::tasks(found)
    }

    fn entry(&self, case: &Case) -> Result<Self::Entry, Error> {
        let handle = self.submitter()?;
        handle.set_wait(case.wait.into());
        Ok(Inlet { handle, mould: M::mould(case.size) })
    }

    fn exit(&self, case: &Case) -> Result<Self::Exit, Error> {
        let handle = self.worker()?;
        handle.set_wait(case.wait.into());
        Ok(outlet(handle, case))
    }

    fn close(&self) {
        Tasks::close(self);
    }
}

/// Results are measured in round trips.
pub(crate) const RESULT: usize = 8;
