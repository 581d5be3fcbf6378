//! Which memory a segment lies on: as whoever makes it asks for, and as anybody can find out.

// What is asked for here is Linux's to give; elsewhere the one call that asks for it firmly is refused.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process;

use common::{Child, Name};
use handover::broadcast::Broadcast;
use handover::{Error, Options, Queue, Tasks, broadcast, placement, placement_at, tasks};

const HUGE: u64 = 2 << 20;
const NODES: &str = "/sys/devices/system/node/has_memory";

/// Whether this kernel moves files in memory onto huge pages when it is asked: since 6.1, where it is built with them.
fn huge_pages_are_to_be_had() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let size = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    version >= (6, 1) && size.is_ok_and(|size| size.trim() == HUGE.to_string())
}

/// The first node that has memory. None where the kernel does not tell nodes apart.
fn node() -> Option<u32> {
    let list = fs::read_to_string(NODES).ok()?;
    list.trim().split([',', '-']).next()?.parse().ok()
}

/// What the kernel says of this process's mappings of a segment, in the file of that name.
fn mapped(file: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let mut all = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        // Each mapping begins with its addresses, and in one of the files is not told in more than that line.
        if line
            .split(['-', ' '])
            .next()
            .is_some_and(|word| u64::from_str_radix(word, 16).is_ok_and(|word| word > 0xffff))
        {
            inside = line.contains(name);
        }
        if inside {
            all.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    all
}

#[test]
fn child() {
    let Some((what, words)) = common::task() else { return };
    assert_eq!(what, "make");
    loop {
        let options = Options::new(1_000_000).huge_pages();
        match node() {
            Some(node) => options.numa_node(node),
            None => options,
        }
        .create::<u64>(&words[0])
        .expect("made");
        common::say("made");
        handover::remove(&words[0]).expect("removed");
    }
}

#[test]
fn a_segment_lies_on_some_node_and_is_told_where() {
    let name = Name::new();
    let _queue = Options::new(100_000).create::<u64>(&name).unwrap();
    let found = placement(&name).unwrap();
    assert!(found.bytes > 100_000 * 8);
    assert_eq!(found.on_huge_pages, 0);
    if node().is_some() {
        assert_eq!(found.nodes.values().sum::<u64>(), found.bytes.next_multiple_of(4096));
    }
    assert!(matches!(placement("no-such-segment"), Err(Error::NotFound { .. })));
}

#[test]
fn to_tell_where_a_segment_lies_is_not_to_use_it() {
    let name = Name::new();
    drop(Options::new(1000).create::<u64>(&name).unwrap());
    let before = fs::metadata(path(&name)).unwrap();
    placement(&name).unwrap();
    let all = handover::segments().unwrap();
    assert!(all.iter().any(|segment| segment.name == *name && !segment.in_use));
    assert_eq!(before.modified().unwrap(), fs::metadata(path(&name)).unwrap().modified().unwrap());
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/handover.{name}"))
}

#[test]
fn a_file_that_was_cut_off_is_told_of_without_being_read() {
    let name = Name::new();
    drop(Options::new(1_000_000).create::<u64>(&name).unwrap());
    let file = fs::File::options().write(true).open(path(&name)).unwrap();
    file.set_len(8192).unwrap();
    assert!(matches!(placement(&name), Err(Error::Truncated { .. })));
}

#[test]
fn a_queue_lies_on_huge_pages_for_all_who_open_it() {
    let name = Name::new();
    let queue = Options::new(200_000).huge_pages().create::<u64>(&name).unwrap();
    let found = placement(&name).unwrap();
    assert_eq!(found.bytes % HUGE, 0);
    assert_eq!(fs::metadata(path(&name)).unwrap().len(), found.bytes);
    queue.producer().unwrap().push_batch(0..200_000).unwrap();
    drop(queue);

    let opened = Queue::<u64>::open(&name).unwrap();
    let mut consumer = opened.consumer().unwrap();
    for number in 0..200_000 {
        assert_eq!(consumer.pop().unwrap(), number);
    }
    if huge_pages_are_to_be_had() {
        // All of it, unless memory is in too small pieces just now.
        assert!(found.on_huge_pages >= HUGE, "{found:?}");
        let told = mapped("smaps", &name);
        let here = told.iter().find_map(|line| line.strip_prefix("ShmemPmdMapped: ")?.strip_suffix(" kB"));
        assert!(here.is_some_and(|kilobytes| kilobytes.parse::<u64>().unwrap() >= HUGE / 1024), "{told:?}");
    }
}

#[test]
fn every_kind_can_ask_for_huge_pages_and_for_a_node() {
    let name = Name::new();
    let node = node();
    broadcast::Options::new(100_000).huge_pages().create::<u64>(&name).unwrap();
    let found = placement(&name).unwrap();
    assert!(!huge_pages_are_to_be_had() || found.on_huge_pages >= HUGE, "{found:?}");
    assert_eq!(Broadcast::<u64>::open(&name).unwrap().capacity(), 100_000);
    handover::remove(&name).unwrap();

    let options = tasks::Options::new().capacity(3000).huge_pages();
    node.map_or(options.clone(), |node| options.numa_node(node)).create::<[u8]>(&name).unwrap();
    let found = placement(&name).unwrap();
    assert!(!huge_pages_are_to_be_had() || found.on_huge_pages >= HUGE, "{found:?}");
    if let Some(node) = node {
        assert_eq!(found.nodes, BTreeMap::from([(node, found.bytes)]));
    }
    let tasks = Tasks::<[u8]>::open(&name).unwrap();
    tasks.submitter().unwrap().submit(b"work").unwrap();
    assert_eq!(tasks.worker().unwrap().take().unwrap().task(), b"work");
}

#[test]
fn a_segment_without_a_name_lies_where_it_is_asked_to() {
    let queue = Options::new(300_000).huge_pages();
    let queue = node().map_or(queue.clone(), |node| queue.numa_node(node)).anonymous::<u64>().unwrap();
    queue.producer().unwrap().push(7).unwrap();
    let same = Queue::<u64>::from_fd(queue.share().unwrap()).unwrap();
    assert_eq!(same.consumer().unwrap().pop().unwrap(), 7);
}

#[test]
fn the_node_is_kept_with_the_segment_for_whoever_maps_it() {
    let Some(node) = node() else { return };
    let name = Name::new();
    drop(Options::new(1000).numa_node(node).create::<u64>(&name).unwrap());
    let _opened = Queue::<u64>::open(&name).unwrap();
    let told = mapped("numa_maps", &name);
    assert!(told.iter().any(|line| line.contains(&format!("bind:{node}"))), "{told:?}");
    let found = placement(&name).unwrap();
    assert_eq!(found.nodes.keys().collect::<Vec<_>>(), [&node]);
}

#[test]
fn a_node_that_has_no_memory_is_refused_before_anything_is_made() {
    let name = Name::new();
    let Err(Error::Unfit { why }) = Options::new(10).numa_node(1023).create::<u64>(&name) else {
        panic!("there is no such node")
    };
    assert!(why.contains("NUMA node") && why.contains("leave"), "{why}");
    assert!(!fs::exists(path(&name)).unwrap());
    // Beyond all numbers that nodes can have.
    assert!(matches!(Options::new(10).numa_node(u32::MAX).anonymous::<u64>(), Err(Error::Unfit { .. })));
}

#[test]
fn a_file_in_memory_is_placed_and_one_on_a_disk_has_no_node() {
    let name = format!("placement-{}", process::id());
    let in_memory = PathBuf::from(format!("/dev/shm/handover-test-{name}"));
    let made = Options::new(300_000).huge_pages();
    let made = node().map_or(made.clone(), |node| made.numa_node(node)).create_at::<u64>(&in_memory);
    let found = placement_at(&in_memory);
    fs::remove_file(&in_memory).unwrap();
    made.unwrap();
    let found = found.unwrap();
    assert!(!huge_pages_are_to_be_had() || found.on_huge_pages >= HUGE, "{found:?}");

    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let on_disk = folder.join(&name);
    // A wish for huge pages harms nobody anywhere.
    let made = Options::new(10).huge_pages().create_at::<u64>(&on_disk);
    let found = placement_at(&on_disk);
    fs::remove_file(&on_disk).unwrap();
    made.unwrap().producer().unwrap().push(1).unwrap();
    found.unwrap();
    if let Some(node) = node() {
        match Options::new(10).numa_node(node).create_at::<u64>(&on_disk) {
            Err(error) => assert!(error.to_string().contains("on a disk"), "{error}"),
            // The folder is in memory here.
            Ok(_) => fs::remove_file(&on_disk).unwrap(),
        }
        assert!(!on_disk.exists());
    }
}

#[test]
fn a_maker_that_is_killed_leaves_all_of_it_or_nothing() {
    let name = Name::new();
    for nth in 0..40_u64 {
        let mut child = Child::start(&format!("make {}", &*name));
        child.hear();
        std::thread::sleep(std::time::Duration::from_micros(nth * 311 % 7000));
        child.kill();
        child.wait();
        match Queue::<u64>::open(&name) {
            Ok(queue) => {
                assert_eq!(queue.capacity(), 1_000_000);
                handover::remove(&name).unwrap();
            }
            Err(Error::NotFound { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
