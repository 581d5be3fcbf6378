//! Reads and writes queues by docs/FORMAT.md alone, as a second implementation would.
#![cfg(unix)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process;
use std::time::Duration;

use handover::zerocopy::{FromBytes, Immutable, IntoBytes};
use handover::{Options, Queue};

/// The file of a queue, and its name, which is free before and after.
struct Page {
    name: String,
    file: File,
    slots: u64,
    stride: u64,
}

const BODY: u64 = 4096;

impl Page {
    /// Opens the file once the queue is there.
    fn open(name: String, slots: u64, stride: u64) -> Page {
        let path = format!("/dev/shm/handover.{name}");
        let file = File::options().read(true).write(true).open(path).unwrap();
        Page { name, file, slots: BODY + slots, stride }
    }

    fn bytes(&self, at: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    fn u32(&self, at: u64) -> u32 {
        u32::from_ne_bytes(self.bytes(at, 4).try_into().unwrap())
    }

    fn u64(&self, at: u64) -> u64 {
        u64::from_ne_bytes(self.bytes(at, 8).try_into().unwrap())
    }

    fn write(&self, at: u64, number: u64) {
        self.file.write_all_at(&number.to_ne_bytes(), at).unwrap();
    }

    fn slot(&self, index: u64) -> u64 {
        self.slots + index * self.stride
    }

    fn entry(&self, number: u64) -> u64 {
        BODY + 1024 + 128 * number
    }

    /// State, number, owner and lap of a stamp.
    fn stamp(&self, index: u64) -> (u64, u64, u64, u64) {
        let bits = self.u64(self.slot(index));
        (bits >> 60, bits >> 54 & 63, bits >> 44 & 1023, bits & ((1 << 44) - 1))
    }

    /// Count, owner and packed position of a ticket.
    fn ticket(&self, at: u64) -> (u64, u64, u64) {
        let bits = self.u64(BODY + at);
        (bits >> 54 & 127, bits >> 44 & 1023, bits & ((1 << 44) - 1))
    }

    /// The bytes of the file that are locked, and how.
    fn locks(&self) -> Vec<(u64, String)> {
        let inode = format!(":{}", self.file.metadata().unwrap().ino());
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let mut found = Vec::new();
        for line in locks.lines() {
            // Neighbouring bytes of one holder are one line: from the last word but one to the last.
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[1] == "OFDLCK" && words[5].ends_with(&inode) {
                let (first, last): (u64, u64) = (words[6].parse().unwrap(), words[7].parse().unwrap());
                found.extend((first..=last).map(|byte| (byte, words[3].to_owned())));
            }
        }
        found.sort();
        found
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = handover::remove(&self.name);
    }
}

fn name(test: &str) -> String {
    format!("format-{test}-{}", process::id())
}

fn fnv(parts: &[&[u8]]) -> u64 {
    let mut sum: u64 = 0xcbf29ce484222325;
    for byte in parts.concat() {
        sum ^= u64::from(byte);
        sum = sum.wrapping_mul(0x100000001b3);
    }
    sum
}

const FREE: u64 = 0;
const FULL: u64 = 2;
const READING: u64 = 3;
const ORPHAN: u64 = 6;

#[test]
fn the_header_is_as_written() {
    let queue = Options::new(5).members(3).one_consumer().goes_with_last_user().create::<u64>(&name("header")).unwrap();
    let page = Page::open(name("header"), 1664, 16);
    assert_eq!(page.bytes(0, 8), b"HANDOVER");
    let words: Vec<u32> = [8, 12, 16, 20, 56, 60].into_iter().map(|at| page.u32(at)).collect();
    assert_eq!(words, [1, 0x0102_0304, 1, 1 << 31 | 2, 3, 0]);
    let numbers: Vec<u64> = [24, 32, 40, 64, 72, 80].into_iter().map(|at| page.u64(at)).collect();
    // 1024 bytes of control, five entries of 128: 1664, which is a multiple of 128; then five slots of 16.
    assert_eq!(numbers, [5, 8, 8, 16, 4096, 4096 + 1664 + 5 * 16]);
    assert_eq!(page.u64(48), fnv(&[b"plain", b"u64", &8_u64.to_le_bytes(), &8_u64.to_le_bytes()]));
    assert_eq!(page.u64(88), fnv(&[&page.bytes(0, 88)]));
    assert_eq!(page.file.metadata().unwrap().len(), page.u64(80));
    assert!(page.bytes(BODY, page.u64(80) as usize - 4096).iter().all(|byte| *byte == 0), "a new body is all zeroes");
    drop(queue);
    assert!(!fs::exists(format!("/dev/shm/handover.{}", page.name)).unwrap(), "its last user left");
}

#[test]
fn a_ring_of_many_is_as_written() {
    let queue = Options::new(5).members(3).create::<u64>(&name("many")).unwrap();
    let page = Page::open(name("many"), 1664, 16);
    let (mut producer, mut consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
    producer.push_batch([10, 20, 30]).unwrap();
    assert_eq!(consumer.pop().unwrap(), 10);
    let held = consumer.receive().unwrap();
    assert_eq!(*held, 20);

    // One claim of three by entry 2, then two of one by entry 3. Indexes have three bits.
    assert_eq!(page.ticket(0), (3, 2, 3));
    assert_eq!(page.ticket(128), (1, 3, 2));
    assert_eq!(page.stamp(0), (FREE, 0, 0, 1 << 3));
    assert_eq!(page.stamp(1), (READING, 0, 3, 0));
    assert_eq!(page.stamp(2), (FULL, 0, 0, 0));
    assert_eq!(page.stamp(3), (FREE, 0, 0, 0));
    assert_eq!(page.u64(page.slot(2) + 8), 30);

    for (entry, role, counter, count) in [(2, 1, 72, 3), (3, 2, 80, 1)] {
        let entry = page.entry(entry);
        assert_eq!((page.u64(entry) & 255, page.u64(entry) >> 8), (role, 1));
        assert_eq!(page.u32(entry + 8), process::id());
        assert_eq!(page.u64(entry + counter), count);
    }
    assert_eq!(page.u64(page.entry(4)), 0);
    let locks = page.locks();
    let expected = [(0, "READ"), (3, "WRITE"), (4, "WRITE")].map(|(byte, how)| (byte, how.to_owned()));
    assert_eq!(locks, expected);

    let orphans = page.u32(BODY + 256);
    drop(held);
    assert_eq!(page.stamp(1), (ORPHAN, 1, 0, 0));
    assert_eq!(page.u32(BODY + 256), orphans + 1);

    queue.close();
    assert_eq!(page.u64(BODY) >> 63, 1);
    drop((producer, consumer));
    assert_eq!((page.u64(page.entry(2)) & 255, page.u64(page.entry(3)) & 255), (0, 0));
    assert_eq!(page.locks(), [(0, "READ".to_owned())]);
}

#[test]
fn a_ring_of_one_is_as_written() {
    let queue = Options::new(3).members(1).one_producer().one_consumer().create::<u64>(&name("one")).unwrap();
    let page = Page::open(name("one"), 1408, 8);
    let (mut producer, mut consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
    for number in 0..5 {
        producer.push(100 + number).unwrap();
        if number < 3 {
            assert_eq!(consumer.pop().unwrap(), 100 + number);
        }
    }
    let held = consumer.receive().unwrap();
    assert_eq!((page.u64(BODY), page.u64(BODY + 128)), (5, 3));
    assert_eq!(page.u64(BODY + 136), 4 << 8 | 1);
    assert_eq!(page.u64(BODY + 8), 5, "not pushing");
    let loan = producer.loan().unwrap();
    assert_ne!(page.u64(BODY + 8), 5, "pushing");
    drop(loan);
    assert_eq!(page.u64(BODY + 8), 5);
    assert_eq!((page.u64(page.slot(0)), page.u64(page.slot(1))), (103, 104));
    assert_eq!(page.u64(80), BODY + 1408 + 3 * 8);
    let locks = page.locks();
    assert_eq!(locks.iter().map(|(byte, _)| *byte).collect::<Vec<_>>(), [0, 1, 2]);
    drop(held);
    assert_eq!(page.u64(BODY + 128), 3);
    queue.close();
    assert_eq!(page.u32(BODY + 260), 1);
}

#[test]
fn messages_are_as_written() {
    #[derive(FromBytes, IntoBytes, Immutable, Clone, Copy)]
    #[zerocopy(crate = "handover::zerocopy")]
    #[repr(C, align(64))]
    struct Wide([u64; 24]);

    let queue = Options::new(3).members(2).create::<Wide>(&name("wide")).unwrap();
    let page = Page::open(name("wide"), 1536, 256);
    queue.producer().unwrap().push(Wide([7; 24])).unwrap();
    assert_eq!(page.u64(48), fnv(&[b"plain", b"Wide", &192_u64.to_le_bytes(), &64_u64.to_le_bytes()]));
    assert_eq!(page.u64(64), 256);
    assert_eq!(page.bytes(page.slot(0) + 64, 192), [7_u64; 24].as_bytes());

    let queue = Options::new(3).members(2).message_max(10).create::<[u8]>(&name("bytes")).unwrap();
    let page = Page::open(name("bytes"), 1536, 24);
    queue.producer().unwrap().push(b"hello").unwrap();
    let numbers: Vec<u64> = [32, 40, 48, 64].into_iter().map(|at| page.u64(at)).collect();
    assert_eq!(numbers, [14, 4, fnv(&[b"bytes"]), 24]);
    assert_eq!(page.u32(page.slot(0) + 8), 5);
    assert_eq!(page.bytes(page.slot(0) + 12, 5), b"hello");
}

#[test]
fn what_is_written_by_the_page_is_received() {
    let name = name("foreign");
    let _queue = Options::new(4).members(2).create::<u64>(&name).unwrap();
    let page = Page::open(name.clone(), 1536, 16);
    // A push by the producer in entry 3, with nobody else there: the claim, the message, the stamp.
    page.write(page.entry(3), 1 << 8 | 1);
    page.write(BODY, 1 << 54 | 3 << 44 | 1);
    page.write(page.slot(0) + 8, 4711);
    page.write(page.slot(0), FULL << 60);
    // Another one, that died after its claim: nobody has the lock of entry 3.
    page.write(BODY, 1 << 54 | 3 << 44 | 2);

    let queue = Queue::<u64>::open(&name).unwrap();
    let mut consumer = queue.consumer().unwrap();
    let patience = Duration::from_secs(10);
    assert_eq!(consumer.pop_timeout(patience).unwrap(), 4711);
    queue.producer().unwrap().push(4712).unwrap();
    assert_eq!(consumer.pop_timeout(patience).unwrap(), 4712);
    assert_eq!(queue.counts().voided, 1);
}
