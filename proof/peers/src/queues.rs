//! The peers, each used as its documentation says, with whatever recovery it offers.

use std::time::Duration;

/// Sends a message, within a bounded time; false if there was no room.
pub type Send = Box<dyn FnMut(u64) -> bool>;
/// Receives a message, within a bounded time, and hands it over, and whether it is marked as delivered before.
pub type Receive = Box<dyn FnMut(&mut dyn FnMut(u64, bool)) -> bool>;

/// The messages that a queue has room for.
const CAPACITY: usize = 256;
const WAIT: Duration = Duration::from_millis(50);

/// A queue of somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// This project's.
    Handover,
    /// `boost::interprocess::message_queue`.
    Boost,
    /// Cloudtoid's Interprocess, its Rust edition.
    Cloudtoid,
    /// iceoryx2, publish and subscribe: a sender waits until each reader has room, which is its default.
    Iceoryx2,
    /// The same, but a reader that has no room does without.
    Iceoryx2Discarding,
}

impl Queue {
    /// All of them.
    pub const ALL: [Queue; 5] =
        [Queue::Handover, Queue::Boost, Queue::Cloudtoid, Queue::Iceoryx2, Queue::Iceoryx2Discarding];

    /// What it is called, on the command line, too.
    pub fn name(self) -> &'static str {
        match self {
            Queue::Handover => "handover",
            Queue::Boost => "boost",
            Queue::Cloudtoid => "cloudtoid",
            Queue::Iceoryx2 => "iceoryx2",
            Queue::Iceoryx2Discarding => "iceoryx2-discarding",
        }
    }

    /// Its version; none if it is not installed.
    pub fn version(self) -> Option<String> {
        match self {
            Queue::Handover => Some("this tree".into()),
            Queue::Boost => boost::version(),
            Queue::Cloudtoid => Some("3.0.2".into()),
            Queue::Iceoryx2 | Queue::Iceoryx2Discarding => Some("0.10.0".into()),
        }
    }

    /// Whether every reader gets every message. Then one is lost only if no reader got it, and none is doubled.
    pub fn all_get_all(self) -> bool {
        matches!(self, Queue::Iceoryx2 | Queue::Iceoryx2Discarding)
    }

    /// Whether a receiver can note a message before it takes it. Of others, a message may have been in the hands of a
    /// receiver that was killed in its call, or right after it: nobody can be blamed for that.
    pub fn notes_before_it_takes(self) -> bool {
        matches!(self, Queue::Handover | Queue::Iceoryx2 | Queue::Iceoryx2Discarding)
    }

    /// Makes the queue where that is a step of its own. What this returns is kept for the time of the run.
    pub fn prepare(self, name: &str) -> Box<dyn std::any::Any> {
        match self {
            Queue::Handover => {
                drop(handover::Options::new(CAPACITY).create::<u64>(name).expect("a new name"));
                Box::new(())
            }
            // It is gone when nobody has it open: the parent keeps it.
            Queue::Cloudtoid => {
                Box::new(cloudtoid_interprocess::Publisher::open(&cloudtoid(name)).expect("a new name"))
            }
            Queue::Boost | Queue::Iceoryx2 | Queue::Iceoryx2Discarding => Box::new(()),
        }
    }

    /// Takes everything away.
    pub fn remove(self, name: &str) {
        match self {
            Queue::Handover => drop(handover::remove(name)),
            Queue::Boost => boost::remove(name),
            Queue::Cloudtoid => remove_cloudtoid(name),
            Queue::Iceoryx2 | Queue::Iceoryx2Discarding => iceoryx2::remove(name),
        }
    }

    /// A sender's end.
    pub fn sender(self, name: &str) -> Option<Send> {
        Some(match self {
            Queue::Handover => {
                let mut producer = handover::Queue::<u64>::open(name).ok()?.producer().ok()?;
                Box::new(move |message| producer.push_timeout(message, WAIT).is_ok())
            }
            Queue::Boost => boost::sender(name)?,
            Queue::Cloudtoid => {
                let publisher = cloudtoid_interprocess::Publisher::open(&cloudtoid(name)).ok()?;
                // It has no blocking way to send.
                Box::new(move |message| publisher.try_send(&message.to_le_bytes()).is_ok() || give_way())
            }
            Queue::Iceoryx2 => iceoryx2::sender(name, true)?,
            Queue::Iceoryx2Discarding => iceoryx2::sender(name, false)?,
        })
    }

    /// A receiver's end.
    pub fn receiver(self, name: &str) -> Option<Receive> {
        Some(match self {
            Queue::Handover => {
                let mut consumer = handover::Queue::<u64>::open(name).ok()?.consumer().ok()?;
                Box::new(move |note| {
                    let Ok(message) = consumer.receive_timeout(WAIT) else { return false };
                    note(*message, message.redeliveries() > 0);
                    message.done();
                    true
                })
            }
            Queue::Boost => boost::receiver(name)?,
            Queue::Cloudtoid => {
                let subscriber = cloudtoid_interprocess::Subscriber::open(&cloudtoid(name)).ok()?;
                Box::new(move |note| match subscriber.recv_timeout(WAIT) {
                    Ok(Some(message)) => {
                        note(message.try_into().map_or(u64::MAX, u64::from_le_bytes), false);
                        true
                    }
                    _ => false,
                })
            }
            Queue::Iceoryx2 | Queue::Iceoryx2Discarding => iceoryx2::receiver(name)?,
        })
    }
}

fn give_way() -> bool {
    std::thread::sleep(Duration::from_micros(50));
    false
}

fn cloudtoid(name: &str) -> cloudtoid_interprocess::Options {
    // Each message of 8 bytes takes 24.
    cloudtoid_interprocess::Options::new(name, CAPACITY * 24)
}

fn remove_cloudtoid(name: &str) {
    // When its last user was killed, its semaphore stays.
    for folder in ["/dev/shm".into(), std::env::temp_dir()] {
        for entry in std::fs::read_dir::<std::path::PathBuf>(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().ends_with(name) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

mod iceoryx2 {
    use std::time::Duration;
    use std::{env, fs};

    use iceoryx2::config::Config;
    use iceoryx2::prelude::*;
    use iceoryx2::service::port_factory::publish_subscribe::PortFactory;

    use super::{CAPACITY, Receive, Send, give_way};

    /// Its files are kept together, so that what is left of them can be taken away.
    fn config(name: &str) -> Option<Config> {
        let mut config = Config::default();
        config.global.prefix = format!("{name}_").as_str().try_into().ok()?;
        let root = env::temp_dir().join(name);
        config.global.set_root_path(&Path::new(root.to_str()?.as_bytes()).ok()?);
        Some(config)
    }

    fn service(name: &str) -> Option<(Node<ipc::Service>, PortFactory<ipc::Service, u64, ()>)> {
        let config = config(name)?;
        // What the dead left is cleaned up when a node is made: that is its default.
        let node = NodeBuilder::new().config(&config).create::<ipc::Service>().ok()?;
        let service = node
            .service_builder(&"peers".try_into().ok()?)
            .publish_subscribe::<u64>()
            // Nothing is thrown away that a reader has not had.
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(CAPACITY)
            // A new reader gets what a killed one may have left, as long as the sender lives.
            .history_size(CAPACITY)
            .max_publishers(64)
            .max_subscribers(64)
            .max_nodes(128)
            .open_or_create()
            .ok()?;
        Some((node, service))
    }

    pub fn sender(name: &str, waits: bool) -> Option<Send> {
        let (node, service) = service(name)?;
        let strategy =
            if waits { BackpressureStrategy::RetryUntilDelivered } else { BackpressureStrategy::DiscardData };
        let publisher = service.publisher_builder().backpressure_strategy(strategy).create().ok()?;
        Some(Box::new(move |message| {
            let _kept = (&node, &service);
            // Delivered to nobody is not sent.
            publisher.send_copy(message).is_ok_and(|readers| readers > 0) || give_way()
        }))
    }

    pub fn receiver(name: &str) -> Option<Receive> {
        let (node, service) = service(name)?;
        let subscriber = service.subscriber_builder().create().ok()?;
        Some(Box::new(move |note| {
            let _kept = (&node, &service);
            match subscriber.receive() {
                Ok(Some(sample)) => {
                    note(*sample, false);
                    true
                }
                _ => {
                    std::thread::sleep(Duration::from_micros(50));
                    false
                }
            }
        }))
    }

    pub fn remove(name: &str) {
        let _ = fs::remove_dir_all(env::temp_dir().join(name));
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&format!("{name}_")) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(boost)]
mod boost {
    use std::ffi::{CStr, CString, c_char, c_int, c_void};

    use super::{CAPACITY, Receive, Send};

    unsafe extern "C" {
        fn boost_queue_version() -> *const c_char;
        fn boost_queue_open(name: *const c_char, capacity: u64) -> *mut c_void;
        fn boost_queue_send(queue: *mut c_void, message: u64) -> c_int;
        fn boost_queue_receive(queue: *mut c_void, message: *mut u64) -> c_int;
        fn boost_queue_remove(name: *const c_char);
    }

    pub fn version() -> Option<String> {
        // SAFETY: a constant string.
        let version = unsafe { CStr::from_ptr(boost_queue_version()) };
        Some(version.to_string_lossy().replace('_', "."))
    }

    fn open(name: &str) -> Option<*mut c_void> {
        let name = CString::new(name).ok()?;
        // SAFETY: a string; what is returned is kept until the process ends.
        let queue = unsafe { boost_queue_open(name.as_ptr(), CAPACITY as u64) };
        (!queue.is_null()).then_some(queue)
    }

    pub fn sender(name: &str) -> Option<Send> {
        let queue = open(name)?;
        // SAFETY: the queue is open.
        Some(Box::new(move |message| unsafe { boost_queue_send(queue, message) != 0 }))
    }

    pub fn receiver(name: &str) -> Option<Receive> {
        let queue = open(name)?;
        Some(Box::new(move |note| {
            let mut message = 0;
            // SAFETY: the queue is open, and the message has its size.
            let received = unsafe { boost_queue_receive(queue, &mut message) != 0 };
            if received {
                note(message, false);
            }
            received
        }))
    }

    pub fn remove(name: &str) {
        if let Ok(name) = CString::new(name) {
            // SAFETY: a string.
            unsafe { boost_queue_remove(name.as_ptr()) };
        }
    }
}

#[cfg(not(boost))]
mod boost {
    use super::{Receive, Send};

    pub fn version() -> Option<String> {
        None
    }

    pub fn sender(_name: &str) -> Option<Send> {
        None
    }

    pub fn receiver(_name: &str) -> Option<Receive> {
        None
    }

    pub fn remove(_name: &str) {}
}
