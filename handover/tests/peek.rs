//! Messages that are seen and not taken.

mod common;

#[cfg(unix)]
use std::fs::File;
#[cfg(unix)]
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{fs, thread};

use common::Name;
use handover::{Options, Queue, broadcast, peek, peek_at, tasks};

/// The messages of a queue that wait, and how often each was handed out.
fn seen(name: &str, most: usize) -> Vec<(Vec<u8>, u32)> {
    peek(name, most).expect("a queue").into_iter().map(|seen| (seen.bytes, seen.deliveries)).collect()
}

#[test]
fn what_waits_is_seen_in_its_order_and_stays() {
    for options in [Options::new(4), Options::new(4).one_producer().one_consumer()] {
        let name = Name::new();
        let queue = options.create::<[u8]>(&name).expect("a new name");
        let (mut producer, mut consumer) = (queue.producer().expect("room"), queue.consumer().expect("room"));
        assert_eq!(seen(&name, 10), []);
        // So that it goes around the end.
        for _ in 0..3 {
            producer.push(b"before").expect("room");
            consumer.pop().expect("there");
        }
        for message in [b"one", b"two", b"six"] {
            producer.push(message).expect("room");
        }
        let all = [b"one", b"two", b"six"].map(|message| (message.to_vec(), 0));
        assert_eq!(seen(&name, 10), all);
        assert_eq!(seen(&name, 2), all[..2]);
        assert_eq!(seen(&name, 0), []);
        assert_eq!(consumer.pop().expect("there"), b"one");
        assert_eq!(seen(&name, 10), all[1..]);
    }
}

#[test]
fn what_was_handed_back_is_seen_first_and_counted_apart() {
    let name = Name::new();
    let queue = Options::new(8).create::<[u8]>(&name).expect("a new name");
    let (mut producer, mut consumer) = (queue.producer().expect("room"), queue.consumer().expect("room"));
    for message in [b"a", b"b", b"c"] {
        producer.push(message).expect("room");
    }
    drop(consumer.receive().expect("there"));
    let report = handover::inspect(&name).expect("a queue");
    assert_eq!((report.len, report.handed_back), (2, 1));
    assert_eq!(seen(&name, 10), [(b"a".to_vec(), 1), (b"b".to_vec(), 0), (b"c".to_vec(), 0)]);
    drop(consumer.receive().expect("there"));
    assert_eq!(seen(&name, 1), [(b"a".to_vec(), 2)]);
}

#[test]
fn one_to_one_what_was_handed_back_is_seen_first() {
    let name = Name::new();
    let queue = Options::new(8).one_producer().one_consumer().create::<[u8]>(&name).expect("a new name");
    let (mut producer, mut consumer) = (queue.producer().expect("room"), queue.consumer().expect("room"));
    producer.push(b"a").expect("room");
    producer.push(b"b").expect("room");
    drop(consumer.receive().expect("there"));
    assert_eq!(seen(&name, 10), [(b"a".to_vec(), 1), (b"b".to_vec(), 0)]);
}

#[test]
fn messages_of_other_types_are_seen_as_they_lie_in_their_slots() {
    let name = Name::new();
    let queue = Options::new(8).create::<u64>(&name).expect("a new name");
    queue.producer().expect("room").push(0x0102).expect("room");
    assert_eq!(seen(&name, 10), [(0x0102_u64.to_ne_bytes().to_vec(), 0)]);
}

#[test]
fn what_is_seen_while_others_work_is_whole() {
    for options in [Options::new(16), Options::new(16).one_producer().one_consumer()] {
        let name = Name::new();
        let queue: Queue<[u64; 32]> = options.create(&name).expect("a new name");
        let (mut producer, mut consumer) = (queue.producer().expect("room"), queue.consumer().expect("room"));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0.. {
                    if stop.load(Relaxed) || producer.push([number; 32]).is_err() {
                        return;
                    }
                }
            });
            scope.spawn(|| while consumer.pop().is_ok() {});
            let (mut counted, begun) = (0, Instant::now());
            // Most are taken while they are looked at.
            while counted < 500 && begun.elapsed() < Duration::from_secs(60) {
                let mut last = None;
                for (bytes, deliveries) in seen(&name, 100) {
                    assert!(bytes.chunks(8).all(|word| word == &bytes[..8]), "torn: {bytes:?}");
                    let number = u64::from_ne_bytes(bytes[..8].try_into().expect("eight bytes"));
                    assert!(last.is_none_or(|last| last < number) && deliveries == 0);
                    (last, counted) = (Some(number), counted + 1);
                }
            }
            stop.store(true, Relaxed);
            queue.close();
            assert!(counted >= 500, "only {counted} were seen");
        });
    }
}

#[test]
fn to_see_takes_the_permission_to_read_and_no_other() {
    let folder = std::env::temp_dir().join(format!("{}-peek", &*Name::new()));
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("lines");
    // Its maker goes on with what it has.
    let queue = Options::new(8).mode(0o400).create_at::<[u8]>(&path).expect("a new file");
    queue.producer().expect("room").push(b"hello").expect("room");
    assert_eq!(peek_at(&path, 9).expect("readable")[0].bytes, b"hello");
    drop(queue);
    let removed = fs::remove_dir_all(&folder);
    // An emulation of Windows takes what may not be written for what may not be removed.
    assert!(removed.is_ok() || cfg!(windows), "{removed:?}");
}

#[test]
fn of_a_broadcast_the_newest_are_seen() {
    let name = Name::new();
    let prices = broadcast::Options::new(8).create::<[u8]>(&name).expect("a new name");
    assert_eq!(broadcast::peek(&name, 10).expect("a broadcast"), []);
    let mut writer = prices.writer().expect("the only one");
    for number in 0..20_u8 {
        writer.publish(&[number]).expect("open");
    }
    let seen = |most| {
        let seen = broadcast::peek(&name, most).expect("a broadcast");
        seen.into_iter().map(|seen| (seen.number, seen.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(seen(2), [(Some(18), vec![18]), (Some(19), vec![19])]);
    assert_eq!(seen(100).len(), 8);
    assert_eq!(prices.report().readers.len(), 0);
}

#[test]
fn tasks_that_wait_are_seen_by_priority_and_those_that_are_taken_are_not() {
    let name = Name::new();
    let jobs = tasks::Options::new().create::<[u8]>(&name).expect("a new name");
    let submitter = jobs.submitter().expect("room");
    submitter.task(b"later").delay(Duration::from_secs(60)).submit().expect("room");
    submitter.submit(b"low").expect("room");
    let high = submitter.task(b"high").priority(7).key(b"k").submit().expect("room");
    let seen = tasks::peek(&name, 10).expect("a task queue");
    let order: Vec<_> = seen.iter().map(|seen| (&seen.bytes[..], seen.priority, seen.due.is_some())).collect();
    assert_eq!(order, [(&b"high"[..], 7, false), (b"low", 3, false), (b"later", 3, true)]);
    assert_eq!((seen[0].id, seen[0].key.as_deref(), seen[0].tries), (high, Some(&b"k"[..]), 0));
    let worker = jobs.worker().expect("room");
    let lease = worker.take().expect("there");
    assert_eq!(tasks::peek(&name, 10).expect("a task queue").len(), 2);
    drop(lease);
    assert_eq!(tasks::peek(&name, 1).expect("a task queue")[0].tries, 1);
}

#[test]
#[cfg(unix)] // elsewhere nobody comes by the bytes of a header
fn slots_too_small_for_what_a_header_says_of_them_are_not_read_beyond_their_end() {
    let (name, bytes) = (Name::new(), Name::new());
    let path = |name: &Name| format!("/dev/shm/handover.{}", &**name);
    let _bytes = Options::new(1).create::<[u8]>(&bytes).expect("a new name");
    let fingerprint = fs::read(path(&bytes)).expect("there")[48..56].to_vec();
    // One to one, and the last slot ends with the last page.
    let options = |capacity| Options::new(capacity).one_producer().one_consumer();
    drop(options(1).create::<u8>(&name).expect("a new name"));
    let length = fs::metadata(path(&name)).expect("there").len() as usize;
    handover::remove(&name).expect("there");
    let capacity = 1 + length.next_multiple_of(4096) - length;
    let queue = options(capacity).create::<u8>(&name).expect("a new name");
    assert_eq!(fs::metadata(path(&name)).expect("there").len() % 4096, 0);
    queue.producer().expect("room").push_batch((0..capacity).map(|_| 0)).expect("room");
    let file = File::options().read(true).write(true).open(path(&name)).expect("there");
    let mut header = [0; 96];
    file.read_exact_at(&mut header, 0).expect("a header");
    header[48..56].copy_from_slice(&fingerprint);
    let sum = header[..88]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    header[88..].copy_from_slice(&sum.to_ne_bytes());
    file.write_all_at(&header, 0).expect("written");
    let seen = seen(&name, capacity);
    assert!(seen.len() == capacity && seen.iter().all(|(bytes, _)| bytes == &[0]), "{} seen", seen.len());
}

#[test]
fn each_kind_is_looked_at_as_what_it_is() {
    let name = Name::new();
    let _queue = Options::new(8).create::<[u8]>(&name).expect("a new name");
    let wrong = [broadcast::peek(&name, 1).err(), tasks::peek(&name, 1).err()];
    assert!(wrong.iter().all(|error| matches!(error, Some(handover::Error::Kind { .. }))), "{wrong:?}");
    assert!(matches!(peek("no-such-queue", 1), Err(handover::Error::NotFound { .. })));
}
