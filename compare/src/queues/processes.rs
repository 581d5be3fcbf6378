//! Queues between processes: ours, the kernel's, and the two that are not Rust.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use handover::{Consumer, Options, Producer, Queue, Wait};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::{Across, Made, Place};
use crate::ends::{Put, Take, Worded};
use crate::shared::load::Load;

/// Ours. `ONE`: declared for one producer and one consumer.
pub struct Handover<const ONE: bool, const WAIT: u8>;

/// The ways to wait, as a parameter of a type.
pub const WAITS: [Wait; 3] = [Wait::Balanced, Wait::Spin, Wait::Park];

/// As asked for.
pub fn options(capacity: usize, one: bool) -> Options {
    let options = Options::new(capacity);
    if one { options.one_producer().one_consumer() } else { options }
}

/// The one that there is.
pub fn only<T>(mut descriptors: Vec<T>) -> T {
    descriptors.pop().expect("one descriptor")
}

impl<L: Load, const ONE: bool, const WAIT: u8> Across<L> for Handover<ONE, WAIT>
where
    Producer<L>: Put<L>,
    Consumer<L>: Take<L>,
{
    const DESCRIPTORS: usize = 1;
    type Put = Producer<L>;
    type Take = Consumer<L>;

    fn make(place: &Place) -> Result<Made, String> {
        let queue = options(place.cell.capacity, ONE).anonymous::<L>().map_err(|error| error.to_string())?;
        let descriptors = vec![queue.share().expect("a descriptor")];
        Ok(Made { keep: Box::new(queue), descriptors })
    }

    fn put(_: &Place, descriptors: Vec<OwnedFd>) -> Self::Put {
        let queue = Queue::<L>::from_fd(only(descriptors)).expect("the run's queue");
        let mut end = queue.producer().expect("a producer");
        end.set_wait(WAITS[WAIT as usize]);
        end
    }

    fn take(_: &Place, descriptors: Vec<OwnedFd>) -> Self::Take {
        let queue = Queue::<L>::from_fd(only(descriptors)).expect("the run's queue");
        let mut end = queue.consumer().expect("a consumer");
        end.set_wait(WAITS[WAIT as usize]);
        end
    }
}

/// A pipe. Writes of up to a page are whole, so several may write and read such messages.
pub struct Pipe;

/// One end of something that bytes are written to and read from, a message at a time.
pub struct Stream(File);

impl<L: Load> Put<L> for Stream {
    #[inline(always)]
    fn put(&mut self, message: L) {
        self.0.write_all(message.as_bytes()).expect("the other end is there");
    }
}

impl<L: Load> Take<L> for Stream {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        let mut message = L::default();
        read_into(&mut message, |bytes| self.0.read_exact(bytes).expect("the other end is there"));
        Some(message)
    }
}

/// Lets a message's bytes be filled in.
#[inline(always)]
pub fn read_into<L: Load>(message: &mut L, read: impl FnOnce(&mut [u8])) {
    // SAFETY: `FromBytes` says that all bytes are a message, and `IntoBytes` that it has none but these.
    read(unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(message).cast(), size_of::<L>()) });
}

impl<L: Load> Across<L> for Pipe {
    const DESCRIPTORS: usize = 2;
    type Put = Worded<Stream>;
    type Take = Worded<Stream>;

    fn make(place: &Place) -> Result<Made, String> {
        let (read, write) = rustix::pipe::pipe().map_err(|error| error.to_string())?;
        let wanted = (place.cell.capacity * size_of::<L>()).clamp(4096, 1 << 20);
        rustix::pipe::fcntl_setpipe_size(&write, wanted)
            .map_err(|error| format!("a pipe of {wanted} bytes: {error}"))?;
        Ok(Made { keep: Box::new(()), descriptors: vec![read, write] })
    }

    fn put(_: &Place, mut descriptors: Vec<OwnedFd>) -> Self::Put {
        Worded(Stream(descriptors.remove(1).into()))
    }

    fn take(_: &Place, mut descriptors: Vec<OwnedFd>) -> Self::Take {
        Worded(Stream(descriptors.remove(0).into()))
    }
}

/// A pair of Unix sockets that keep messages apart. How much they hold is the kernel's default.
pub struct Socket;

impl<L: Load> Across<L> for Socket {
    const DESCRIPTORS: usize = 2;
    type Put = Worded<Stream>;
    type Take = Worded<Stream>;

    fn make(_: &Place) -> Result<Made, String> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None)
            .map_err(|error| error.to_string())?;
        Ok(Made { keep: Box::new(()), descriptors: vec![a, b] })
    }

    fn put(_: &Place, mut descriptors: Vec<OwnedFd>) -> Self::Put {
        Worded(Stream(descriptors.remove(1).into()))
    }

    fn take(_: &Place, mut descriptors: Vec<OwnedFd>) -> Self::Take {
        Worded(Stream(descriptors.remove(0).into()))
    }
}

/// A POSIX message queue. It has no name by the time it is used.
pub struct Mq;

/// One end of it.
pub struct MqEnd(OwnedFd);

impl<L: Load> Put<L> for MqEnd {
    #[inline(always)]
    fn put(&mut self, message: L) {
        let bytes = message.as_bytes();
        // SAFETY: the bytes are there to be read.
        let sent = unsafe { libc::mq_send(self.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        assert_eq!(sent, 0, "mq_send: {}", std::io::Error::last_os_error());
    }
}

impl<L: Load> Take<L> for MqEnd {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        let mut message = L::default();
        read_into(&mut message, |bytes| {
            let end = self.0.as_raw_fd();
            // SAFETY: the bytes are there to be written.
            let read = unsafe { libc::mq_receive(end, bytes.as_mut_ptr().cast(), bytes.len(), std::ptr::null_mut()) };
            assert_eq!(read, bytes.len() as isize, "mq_receive: {}", std::io::Error::last_os_error());
        });
        Some(message)
    }
}

impl<L: Load> Across<L> for Mq {
    const DESCRIPTORS: usize = 1;
    type Put = Worded<MqEnd>;
    type Take = Worded<MqEnd>;

    fn make(place: &Place) -> Result<Made, String> {
        let none = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limits are there to be read. Refused to most users, who then have the smaller limit.
        unsafe { libc::setrlimit(libc::RLIMIT_MSGQUEUE, &none) };
        let name = CString::new(format!("/{}", place.name)).expect("no zero in it");
        // SAFETY: of integers, for which zeros are a value.
        let mut shape: libc::mq_attr = unsafe { MaybeUninit::zeroed().assume_init() };
        shape.mq_maxmsg = place.cell.capacity as _;
        shape.mq_msgsize = size_of::<L>() as _;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR;
        // SAFETY: the name and the shape are there to be read.
        let open = |shape: &libc::mq_attr| unsafe { libc::mq_open(name.as_ptr(), flags, 0o600, shape) };
        let mut queue = open(&shape);
        if queue < 0 {
            // Most users may have few messages in a queue.
            let most = std::fs::read_to_string("/proc/sys/fs/mqueue/msg_max").unwrap_or_default();
            shape.mq_maxmsg = most.trim().parse().unwrap_or(10).min(shape.mq_maxmsg);
            queue = open(&shape);
        }
        if queue < 0 {
            let why = std::io::Error::last_os_error();
            return Err(format!("mq_open for {} messages of {} bytes: {why}", shape.mq_maxmsg, shape.mq_msgsize));
        }
        // SAFETY: the name is there to be read; on Linux a queue is a descriptor, which is nobody else's yet.
        let queue = unsafe {
            libc::mq_unlink(name.as_ptr());
            std::os::fd::FromRawFd::from_raw_fd(queue)
        };
        Ok(Made { keep: Box::new(()), descriptors: vec![queue] })
    }

    fn put(_: &Place, descriptors: Vec<OwnedFd>) -> Self::Put {
        Worded(MqEnd(only(descriptors)))
    }

    fn take(_: &Place, descriptors: Vec<OwnedFd>) -> Self::Take {
        Worded(MqEnd(only(descriptors)))
    }
}

unsafe extern "C" {
    safe fn semaphores_length(capacity: u64, size: u64) -> usize;
    fn semaphores_init(buffer: *mut c_void, capacity: u64, size: u64) -> c_int;
    fn semaphores_put(buffer: *mut c_void, task: *const c_void);
    fn semaphores_take(buffer: *mut c_void, task: *mut c_void);
}

/// The classic exercise: a bounded buffer and three semaphores, in C.
pub struct Semaphores;

/// Its mapping, which stays until the process ends.
pub struct Buffer(*mut c_void);

impl Buffer {
    fn map(file: &OwnedFd, length: usize) -> Buffer {
        let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping of a file that is as long.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), length, read_write, shared, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED, "a mapping");
        Buffer(at)
    }
}

impl<L: Load> Put<L> for Buffer {
    #[inline(always)]
    fn put(&mut self, message: L) {
        // SAFETY: the buffer was made for messages of this size.
        unsafe { semaphores_put(self.0, std::ptr::from_ref(&message).cast()) };
    }
}

impl<L: Load> Take<L> for Buffer {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        let mut message = L::default();
        // SAFETY: the buffer was made for messages of this size, and all bytes are a message.
        unsafe { semaphores_take(self.0, std::ptr::from_mut(&mut message).cast()) };
        Some(message)
    }
}

impl<L: Load> Across<L> for Semaphores {
    const DESCRIPTORS: usize = 1;
    type Put = Worded<Buffer>;
    type Take = Worded<Buffer>;

    fn make(place: &Place) -> Result<Made, String> {
        let (capacity, size) = (place.cell.capacity as u64, size_of::<L>() as u64);
        let length = semaphores_length(capacity, size);
        let file = memfd_create("three-semaphores", MemfdFlags::empty()).map_err(|error| error.to_string())?;
        ftruncate(&file, length as u64).map_err(|error| error.to_string())?;
        // SAFETY: the mapping is as long, and nobody else has it yet.
        let refused = unsafe { semaphores_init(Buffer::map(&file, length).0, capacity, size) };
        if refused == 0 { Ok(Made { keep: Box::new(()), descriptors: vec![file] }) } else { Err("sem_init".into()) }
    }

    fn put(place: &Place, descriptors: Vec<OwnedFd>) -> Self::Put {
        let length = semaphores_length(place.cell.capacity as u64, size_of::<L>() as u64);
        Worded(Buffer::map(&only(descriptors), length))
    }

    fn take(place: &Place, descriptors: Vec<OwnedFd>) -> Self::Take {
        let length = semaphores_length(place.cell.capacity as u64, size_of::<L>() as u64);
        Worded(Buffer::map(&only(descriptors), length))
    }
}

#[cfg(boost)]
unsafe extern "C" {
    safe fn boost_queue_version() -> u32;
    fn boost_queue_create(name: *const c_char, capacity: usize, size: usize) -> bool;
    fn boost_queue_open(name: *const c_char) -> *mut c_void;
    fn boost_queue_send(queue: *mut c_void, message: *const c_void, size: usize) -> bool;
    fn boost_queue_receive(queue: *mut c_void, message: *mut c_void, size: usize) -> bool;
    fn boost_queue_close(queue: *mut c_void);
    fn boost_queue_remove(name: *const c_char) -> bool;
}

#[cfg(not(boost))]
mod without_boost {
    use super::{c_char, c_void};
    pub fn boost_queue_version() -> u32 {
        0
    }
    pub unsafe fn boost_queue_create(_: *const c_char, _: usize, _: usize) -> bool {
        false
    }
    pub unsafe fn boost_queue_open(_: *const c_char) -> *mut c_void {
        std::ptr::null_mut()
    }
    pub unsafe fn boost_queue_send(_: *mut c_void, _: *const c_void, _: usize) -> bool {
        false
    }
    pub unsafe fn boost_queue_receive(_: *mut c_void, _: *mut c_void, _: usize) -> bool {
        false
    }
    pub unsafe fn boost_queue_close(_: *mut c_void) {}
    pub unsafe fn boost_queue_remove(_: *const c_char) -> bool {
        false
    }
}
#[cfg(not(boost))]
use without_boost::*;

/// Boost.Interprocess's message_queue.
pub struct Boost;

/// The version whose headers were there, or none.
pub fn boost_version() -> Option<String> {
    let version = boost_queue_version();
    (version > 0).then(|| format!("{}.{}.{}", version / 100_000, version / 100 % 1000, version % 100))
}

/// An end of it.
pub struct BoostEnd(*mut c_void);

impl Drop for BoostEnd {
    fn drop(&mut self) {
        // SAFETY: from `boost_queue_open`, and closed once.
        unsafe { boost_queue_close(self.0) };
    }
}

impl BoostEnd {
    fn open(place: &Place) -> BoostEnd {
        let name = CString::new(place.name.as_str()).expect("no zero in it");
        // SAFETY: the name is there to be read.
        let queue = unsafe { boost_queue_open(name.as_ptr()) };
        assert!(!queue.is_null(), "Boost opens its queue");
        BoostEnd(queue)
    }
}

impl<L: Load> Put<L> for BoostEnd {
    #[inline(always)]
    fn put(&mut self, message: L) {
        // SAFETY: an open queue, and a message that is there to be read.
        let sent = unsafe { boost_queue_send(self.0, std::ptr::from_ref(&message).cast(), size_of::<L>()) };
        assert!(sent, "Boost sends");
    }
}

impl<L: Load> Take<L> for BoostEnd {
    #[inline(always)]
    fn take(&mut self) -> Option<L> {
        let mut message = L::default();
        // SAFETY: an open queue, and room for a message; all bytes are one.
        let came = unsafe { boost_queue_receive(self.0, std::ptr::from_mut(&mut message).cast(), size_of::<L>()) };
        assert!(came, "Boost receives");
        Some(message)
    }
}

/// Removes the queue's name at the end.
struct BoostName(CString);

impl Drop for BoostName {
    fn drop(&mut self) {
        // SAFETY: the name is there to be read.
        unsafe { boost_queue_remove(self.0.as_ptr()) };
    }
}

impl<L: Load> Across<L> for Boost {
    type Put = Worded<BoostEnd>;
    type Take = Worded<BoostEnd>;

    fn make(place: &Place) -> Result<Made, String> {
        if boost_version().is_none() {
            return Err("Boost's headers (libboost-dev) were not there when this was built".into());
        }
        let name = CString::new(place.name.as_str()).expect("no zero in it");
        // SAFETY: the name is there to be read.
        if !unsafe { boost_queue_create(name.as_ptr(), place.cell.capacity, size_of::<L>()) } {
            return Err("message_queue's constructor throws".into());
        }
        Ok(Made { keep: Box::new(BoostName(name)), descriptors: Vec::new() })
    }

    fn put(place: &Place, _: Vec<OwnedFd>) -> Self::Put {
        Worded(BoostEnd::open(place))
    }

    fn take(place: &Place, _: Vec<OwnedFd>) -> Self::Take {
        Worded(BoostEnd::open(place))
    }
}
