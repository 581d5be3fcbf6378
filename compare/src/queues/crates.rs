//! Other people's crates for queues between processes.

use std::fs;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use ipc_channel::ipc;

use super::processes::read_into;
use super::{Across, Made, Place};
use crate::ends::{END, Put, Take, Worded, number_of};
use crate::shared::load::Load;

/// Others are given so long to appear.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tries until it goes well.
fn until<T, E: std::fmt::Debug>(what: &str, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(why) if begun.elapsed() > PATIENCE => panic!("{what}: {why:?}"),
            Err(_) => thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// iceoryx2's publish and subscribe, lossless: nothing overflows, and publishers retry until it is delivered.
pub struct Iceoryx;

/// A message as iceoryx2 wants it.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Sample<L>(L);

// SAFETY: a load is plain data, without pointers, and both processes are this program.
unsafe impl<L: Load + std::fmt::Debug> ZeroCopySend for Sample<L> {}

type Port<L> =
    iceoryx2::service::port_factory::publish_subscribe::PortFactory<iceoryx2::service::ipc::Service, Sample<L>, ()>;

/// A node with all that it leaves behind in places of its own.
struct Opened<L: Load + std::fmt::Debug> {
    port: Port<L>,
    // Is a port's owner, and goes after it.
    _node: Node<iceoryx2::service::ipc::Service>,
}

fn iceoryx<L: Load + std::fmt::Debug>(place: &Place) -> Result<Opened<L>, String> {
    set_log_level(LogLevel::Fatal);
    let mut config = Config::default();
    let root = Path::new(iceoryx_root(&place.name).as_bytes()).map_err(|error| format!("{error:?}"))?;
    config.global.set_root_path(&root);
    config.global.prefix =
        FileName::new(format!("{}.", place.name).as_bytes()).map_err(|error| format!("{error:?}"))?;
    let node = NodeBuilder::new().config(&config).create().map_err(|error| format!("a node: {error:?}"))?;
    let name = ServiceName::new(&place.name).map_err(|error| format!("{error:?}"))?;
    let port = node
        .service_builder(&name)
        .publish_subscribe::<Sample<L>>()
        .enable_safe_overflow(false)
        .history_size(0)
        .subscriber_max_buffer_size(place.cell.capacity)
        .subscriber_max_borrowed_samples(1)
        .max_publishers(place.cell.producers)
        .max_subscribers(place.cell.consumers)
        .max_nodes(place.cell.producers + place.cell.consumers + 2)
        .open_or_create()
        .map_err(|error| format!("a service: {error:?}"))?;
    Ok(Opened { port, _node: node })
}

/// Where its files lie that are not shared memory.
pub fn iceoryx_root(name: &str) -> String {
    format!("/tmp/{name}/")
}

/// A publisher, and what it needs.
pub struct IceoryxPut<L: Load + std::fmt::Debug> {
    publisher: Publisher<iceoryx2::service::ipc::Service, Sample<L>, ()>,
    consumers: usize,
    board: std::sync::Arc<crate::shared::board::Board>,
    _opened: Opened<L>,
}

impl<L: Load + std::fmt::Debug> Put<L> for IceoryxPut<L> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        let sample = self.publisher.loan_uninit().expect("a sample to write to");
        sample.write_payload(Sample(message)).send().expect("a subscriber");
    }

    fn end(mut self, _: Option<usize>) {
        self.put(L::of(END));
        // What a publisher has sent goes with it.
        self.board.await_word(self.board.word(0), self.consumers as u32);
    }
}

/// A subscriber, polling and yielding: what blocks is another service, one more system call for each message.
pub struct IceoryxTake<L: Load + std::fmt::Debug> {
    subscriber: Subscriber<iceoryx2::service::ipc::Service, Sample<L>, ()>,
    producers: usize,
    _opened: Opened<L>,
}

impl<L: Load + std::fmt::Debug> Take<L> for IceoryxTake<L> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        loop {
            match self.subscriber.receive().expect("a service") {
                Some(sample) if number_of(&sample.payload().0) != END => return Some(sample.payload().0),
                // In order is only what one publisher sent.
                Some(_) => {
                    self.producers -= 1;
                    if self.producers == 0 {
                        return None;
                    }
                }
                None => thread::yield_now(),
            }
        }
    }
}

impl<L: Load + std::fmt::Debug> Across<L> for Iceoryx {
    type Put = IceoryxPut<L>;
    type Take = IceoryxTake<L>;

    fn make(place: &Place) -> Result<Made, String> {
        Ok(Made { keep: Box::new((iceoryx::<L>(place)?, Gone(iceoryx_root(&place.name).into()))), descriptors: vec![] })
    }

    fn put(place: &Place, _: Vec<OwnedFd>) -> Self::Put {
        let opened = until("a service", || iceoryx::<L>(place));
        let publisher = opened
            .port
            .publisher_builder()
            .max_loaned_samples(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .expect("a publisher");
        let (consumers, board) = (place.cell.consumers, std::sync::Arc::clone(&place.board));
        IceoryxPut { publisher, consumers, board, _opened: opened }
    }

    fn take(place: &Place, _: Vec<OwnedFd>) -> Self::Take {
        let opened = until("a service", || iceoryx::<L>(place));
        let subscriber =
            opened.port.subscriber_builder().buffer_size(place.cell.capacity).create().expect("a subscriber");
        // Until it has connected itself to them, what they send beyond the buffer's length is dropped without a word.
        until("all publishers", || {
            let there = opened.port.dynamic_config().number_of_publishers();
            assert!(subscriber.receive().expect("a service").is_none(), "nobody has started");
            if there == place.cell.producers { Ok(()) } else { Err(there) }
        });
        assert!(subscriber.receive().expect("a service").is_none(), "nobody has started");
        IceoryxTake { subscriber, producers: place.cell.producers, _opened: opened }
    }
}

/// A folder that goes at the end.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        // If it can't be, whoever started this run sweeps.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Cloudtoid's queue. A full one is tried again after yielding, as it has no blocking send; receiving blocks.
pub struct Cloudtoid;

fn cloudtoid<L: Load>(place: &Place) -> cloudtoid_interprocess::Options {
    // Each message has eight bytes more, and begins at a multiple of eight.
    let capacity = place.cell.capacity * ((size_of::<L>() + 15) & !7);
    cloudtoid_interprocess::Options::new(&place.name, capacity.max(64)).with_path("/dev/shm")
}

impl<L: Load> Put<L> for cloudtoid_interprocess::Publisher {
    #[inline(always)]
    fn put(&mut self, message: L) {
        loop {
            match self.try_send(message.as_bytes()) {
                Ok(()) => return,
                Err(why) if why.is_full() => thread::yield_now(),
                Err(why) => panic!("{why}"),
            }
        }
    }
}

impl<L: Load> Take<L> for cloudtoid_interprocess::Subscriber {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        let mut message = L::default();
        read_into(&mut message, |bytes| {
            // Into memory that is there while there are any, which is faster; blocking, and allocating, if not.
            for _ in 0..16 {
                if self.try_recv_into(bytes).expect("a whole queue").is_some() {
                    return;
                }
                std::hint::spin_loop();
            }
            bytes.copy_from_slice(&self.recv().expect("a whole queue"));
        });
        Some(message)
    }
}

impl<L: Load> Across<L> for Cloudtoid {
    type Put = Worded<cloudtoid_interprocess::Publisher>;
    type Take = Worded<cloudtoid_interprocess::Subscriber>;

    fn make(place: &Place) -> Result<Made, String> {
        // It goes with its last user: this one sees to it that there is one.
        let keep =
            cloudtoid_interprocess::Publisher::open(&cloudtoid::<L>(place)).map_err(|error| error.to_string())?;
        Ok(Made { keep: Box::new(keep), descriptors: Vec::new() })
    }

    fn put(place: &Place, _: Vec<OwnedFd>) -> Self::Put {
        Worded(cloudtoid_interprocess::Publisher::open(&cloudtoid::<L>(place)).expect("the run's queue"))
    }

    fn take(place: &Place, _: Vec<OwnedFd>) -> Self::Take {
        Worded(cloudtoid_interprocess::Subscriber::open(&cloudtoid::<L>(place)).expect("the run's queue"))
    }
}

/// Servo's ipc-channel, with messages of bytes. It is bounded by the kernel's socket buffers.
pub struct IpcChannel;

/// What the receiving end gives to each sending one.
type Introduction = ipc::IpcSender<ipc::IpcBytesSender>;

/// Where the names of the servers stand, at which the senders introduce themselves.
fn names_of(place: &Place) -> String {
    format!("/dev/shm/{}", place.name)
}

impl<L: Load> Put<L> for ipc::IpcBytesSender {
    #[inline(always)]
    fn put(&mut self, message: L) {
        self.send(message.as_bytes()).expect("a receiver");
    }
}

impl<L: Load> Take<L> for ipc::IpcBytesReceiver {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        // An error is that all senders have gone.
        let bytes = self.recv().ok()?;
        Some(L::read_from_bytes(&bytes).expect("a whole message"))
    }
}

impl<L: Load> Across<L> for IpcChannel {
    type Put = Worded<ipc::IpcBytesSender>;
    type Take = Worded<ipc::IpcBytesReceiver>;

    fn make(place: &Place) -> Result<Made, String> {
        Ok(Made { keep: Box::new(GoneFile(names_of(place).into())), descriptors: Vec::new() })
    }

    fn put(place: &Place, _: Vec<OwnedFd>) -> Self::Put {
        let names = until("the receiver's names", || fs::read_to_string(names_of(place)));
        let server = names.lines().nth(place.nth).expect("a name for each sender");
        let (introduction, answer) = ipc::channel::<ipc::IpcBytesSender>().expect("a channel");
        let connected = ipc::IpcSender::<Introduction>::connect(server.to_owned()).expect("the receiver's server");
        connected.send(introduction).expect("the receiver");
        Worded(answer.recv().expect("the queue's sender"))
    }

    fn take(place: &Place, _: Vec<OwnedFd>) -> Self::Take {
        let (sender, receiver) = ipc::bytes_channel().expect("a channel");
        let servers: Vec<_> = (0..place.cell.producers)
            .map(|_| ipc::IpcOneShotServer::<Introduction>::new().expect("a server"))
            .collect();
        let names: Vec<&str> = servers.iter().map(|(_, name)| name.as_str()).collect();
        let unfinished = names_of(place) + ".new";
        fs::write(&unfinished, names.join("\n")).expect("the names can be written");
        fs::rename(unfinished, names_of(place)).expect("the names can be shown");
        for (server, _) in servers {
            let (_, introduction) = server.accept().expect("a sender");
            introduction.send(sender.clone()).expect("a sender that waits");
        }
        Worded(receiver)
    }
}

/// A file that goes at the end.
struct GoneFile(PathBuf);

impl Drop for GoneFile {
    fn drop(&mut self) {
        // If it can't be, whoever started this run sweeps.
        let _ = fs::remove_file(&self.0);
    }
}

/// disruptor-mp: one producer, spinning when full; every consumer sees everything, so among queues there is one, spinning.
pub struct DisruptorMp;

fn consumer_id(nth: usize) -> String {
    format!("cp_{nth}")
}

/// An event as it wants it: plain data.
pub struct DisruptorMpPut<L: Load>(disruptor_mp::SharedProducer<L>);
/// Its consumer.
pub struct DisruptorMpTake<L: Load>(disruptor_mp::SharedConsumer<L>);

impl<L: Load> Put<L> for DisruptorMpPut<L> {
    #[inline(always)]
    fn put(&mut self, message: L) {
        self.0.publish(|slot| *slot = message);
    }

    #[inline(always)]
    fn put_batch(&mut self, numbers: Range<u64>) {
        let count = (numbers.end - numbers.start) as usize;
        // What it calls publishing a batch does not wait for room.
        while self.0.try_batch_publish(count, |slot, nth| *slot = L::of(numbers.start + nth as u64)).is_err() {
            std::hint::spin_loop();
        }
    }

    fn end(mut self, _: Option<usize>) {
        // The ring goes with its producer.
        let last = self.0.last_published_sequence();
        while !self.0.is_consumed(last) {
            thread::yield_now();
        }
    }
}

impl<L: Load> Take<L> for DisruptorMpTake<L> {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        loop {
            if let Some((_, message)) = self.0.try_consume_next() {
                return Some(message);
            }
            std::hint::spin_loop();
        }
    }

    #[inline(always)]
    fn take_batch(&mut self, _: usize, each: &mut impl FnMut(&L)) -> bool {
        while self.0.process_available(|message, _| each(message)) == 0 {
            std::hint::spin_loop();
        }
        true
    }
}

impl<L: Load> Across<L> for DisruptorMp {
    type Put = Worded<DisruptorMpPut<L>>;
    type Take = Worded<DisruptorMpTake<L>>;

    fn make(_: &Place) -> Result<Made, String> {
        Ok(Made { keep: Box::new(()), descriptors: Vec::new() })
    }

    fn put(place: &Place, _: Vec<OwnedFd>) -> Self::Put {
        let mut producer = disruptor_mp::build_shared_single_producer::<L>(&place.name, place.cell.capacity)
            .discover_consumer_with_prefix(place.cell.consumers, "cp")
            .with_coordination(disruptor_mp::CoordinationMode::Immediate)
            .build_producer(L::default)
            .expect("a producer");
        for nth in 0..place.cell.consumers {
            assert!(producer.wait_for_consumer_id(&consumer_id(nth), PATIENCE), "a consumer never comes");
        }
        Worded(DisruptorMpPut(producer))
    }

    fn take(place: &Place, _: Vec<OwnedFd>) -> Self::Take {
        let consumer = until("a consumer", || {
            disruptor_mp::attach_shared_consumer::<L>(&place.name, place.cell.capacity)
                .with_consumer_id(&consumer_id(place.nth))
                .build_consumer()
        });
        Worded(DisruptorMpTake(consumer))
    }
}

/// shmem-ipc's ring of bytes, with an eventfd each way; one producer and one consumer, blocking.
pub struct ShmemIpc;

/// Its sending end.
pub struct ShmemPut(shmem_ipc::sharedring::Sender<u8>);
/// Its receiving end.
pub struct ShmemTake(shmem_ipc::sharedring::Receiver<u8>);

impl<L: Load> Put<L> for ShmemPut {
    #[inline(always)]
    fn put(&mut self, message: L) {
        // The ring may be longer than was asked for, by anything: a message may lie around its end.
        let mut rest = message.as_bytes();
        while !rest.is_empty() {
            self.0.block_until_writable().expect("room");
            let send = |to: *mut u8, room: usize| {
                let (now, later) = rest.split_at(room.min(rest.len()));
                // SAFETY: so much room is there, and nobody reads it before it is said to be written.
                unsafe { to.copy_from_nonoverlapping(now.as_ptr(), now.len()) };
                rest = later;
                now.len()
            };
            self.0.send_raw(send).expect("a ring");
        }
    }
}

impl<L: Load> Take<L> for ShmemTake {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        let mut message = L::default();
        read_into(&mut message, |bytes| {
            let mut came = 0;
            while came < bytes.len() {
                self.0.block_until_readable().expect("a message");
                let receive = |from: *const u8, there: usize| {
                    let rest = &mut bytes[came..];
                    let now = there.min(rest.len());
                    // SAFETY: so much is there to be read, and nobody writes to it before it is said to be read.
                    unsafe { from.copy_to_nonoverlapping(rest.as_mut_ptr(), now) };
                    came += now;
                    now
                };
                self.0.receive_raw(receive).expect("a ring");
            }
        });
        Some(message)
    }
}

fn shmem_bytes<L: Load>(place: &Place) -> usize {
    place.cell.capacity * size_of::<L>()
}

fn three_files(descriptors: Vec<OwnedFd>) -> [File; 3] {
    let files: Vec<File> = descriptors.into_iter().map(File::from).collect();
    files.try_into().expect("three descriptors")
}

impl<L: Load> Across<L> for ShmemIpc {
    const DESCRIPTORS: usize = 3;
    type Put = Worded<ShmemPut>;
    type Take = Worded<ShmemTake>;

    fn make(place: &Place) -> Result<Made, String> {
        let ring =
            shmem_ipc::sharedring::Sender::<u8>::new(shmem_bytes::<L>(place)).map_err(|error| error.to_string())?;
        let again = |file: &File| file.as_fd().try_clone_to_owned().expect("a descriptor");
        let descriptors = vec![again(ring.memfd().as_file()), again(ring.empty_signal()), again(ring.full_signal())];
        Ok(Made { keep: Box::new(ring), descriptors })
    }

    fn put(place: &Place, descriptors: Vec<OwnedFd>) -> Self::Put {
        let [memory, empty, full] = three_files(descriptors);
        let ring = shmem_ipc::sharedring::Sender::open(shmem_bytes::<L>(place), memory, empty, full);
        Worded(ShmemPut(ring.expect("the run's ring")))
    }

    fn take(place: &Place, descriptors: Vec<OwnedFd>) -> Self::Take {
        let [memory, empty, full] = three_files(descriptors);
        let ring = shmem_ipc::sharedring::Receiver::open(shmem_bytes::<L>(place), memory, empty, full);
        Worded(ShmemTake(ring.expect("the run's ring")))
    }
}
