//! What is Windows's own: names of sessions, of the page file, of files that are not finished.

#![cfg(windows)]

mod common;

use std::fs;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::ptr;
use std::time::Duration;

use common::{Child, Name, say, task};
use handover::{Error, Options, Queue, SharedMemory, segments};
use windows_sys::Win32::System::Threading::CreateEventW;

#[test]
fn child() {
    let Some((task, words)) = task() else { return };
    assert_eq!(task, "make-files");
    say("begun");
    loop {
        drop(SharedMemory::create_at(&words[0], 100_000).expect("a new file"));
        fs::remove_file(&words[0]).expect("just made");
    }
}

#[test]
fn a_name_is_this_sessions_unless_it_says_that_it_is_global() {
    let name = Name::new();
    let (local, global) = (format!(r"Local\{}", &*name), format!(r"Global\{}", &*name));
    let here = Options::new(4).create::<u64>(&name).expect("a new name");
    assert!(matches!(Options::new(4).create::<u64>(&local), Err(Error::AlreadyExists { .. })));
    let everywhere = Options::new(4).create::<u64>(&global).expect("another name");
    here.producer().expect("room").push(1).expect("room");
    everywhere.producer().expect("room").push(2).expect("room");
    let popped =
        |name: &str| Queue::<u64>::open(name).expect("there").consumer().expect("room").try_pop().expect("one");
    assert_eq!((popped(&local), popped(&global)), (1, 2));
    let names: Vec<String> = segments().expect("readable").into_iter().map(|segment| segment.name).collect();
    assert!(names.contains(&name.to_string()) && names.contains(&global) && !names.contains(&local));
}

#[test]
fn names_that_could_be_elsewhere_are_refused() {
    for wrong in [r"a\b", r"Global\", r"Local\", r"Session\1\x", r"Global\Global\x", r"Local\a\b"] {
        assert!(matches!(Options::new(1).create::<u64>(wrong), Err(Error::Name { .. })), "{wrong}");
        assert!(matches!(Queue::<u64>::open(wrong), Err(Error::Name { .. })), "{wrong}");
    }
}

#[test]
fn what_has_a_name_goes_with_its_last_handle_and_not_before() {
    let name = Name::new();
    let queue = Options::new(4).create::<u64>(&name).expect("a new name");
    let mut producer = queue.producer().expect("room");
    drop(queue);
    producer.push(5).expect("room");
    let opened = Queue::<u64>::open(&name).expect("the producer keeps it");
    drop(producer);
    assert_eq!(opened.consumer().expect("room").pop().expect("it"), 5);
    drop(opened);
    assert!(matches!(Queue::<u64>::open(&name), Err(Error::NotFound { .. })));
    let again = Options::new(4).create::<u64>(&name).expect("the name is free");
    assert!(again.is_empty());
}

#[test]
fn a_name_that_was_taken_away_is_anothers_while_the_first_is_still_used() {
    let name = Name::new();
    let first = Options::new(4).create::<u64>(&name).expect("a new name");
    handover::remove(&name).expect("there");
    let second = Options::new(4).create::<u64>(&name).expect("the name is free");
    first.producer().expect("room").push(1).expect("room");
    assert!(second.is_empty() && Queue::<u64>::open(&name).expect("the second").is_empty());
    // The locks of one have nothing to do with the other's.
    let (_one, _two) = (first.consumer().expect("room"), second.consumer().expect("room"));
    drop(first);
    assert!(Queue::<u64>::open(&name).is_ok(), "the first did not take the second's name with it");
}

#[test]
fn a_name_that_another_program_uses_for_something_else_is_told_as_that() {
    let name = Name::new();
    let object: Vec<u16> =
        std::ffi::OsStr::new(&format!(r"Local\handover.{}", &*name)).encode_wide().chain([0]).collect();
    // SAFETY: the name ends with a zero, and the handle is ours.
    let _event = unsafe { OwnedHandle::from_raw_handle(CreateEventW(ptr::null(), 0, 0, object.as_ptr())) };
    assert!(matches!(Options::new(4).create::<u64>(&name), Err(Error::NotASegment { .. })));
    assert!(matches!(Queue::<u64>::open(&name), Err(Error::NotASegment { .. })));
    assert!(segments().expect("readable").iter().all(|segment| segment.name != *name));
}

#[test]
fn what_killed_makers_of_a_file_left_is_swept_away_by_the_next() {
    let folder = std::env::temp_dir().join(format!("{}-swept", &*Name::new()));
    fs::create_dir(&folder).expect("a new folder");
    let path = folder.join("queue");
    for round in 0..20 {
        let mut child = Child::start(&format!("make-files {}", path.display()));
        assert_eq!(child.hear(), "begun");
        std::thread::sleep(Duration::from_micros(2_000 + round * 1_379));
        child.kill();
        child.wait();
        match SharedMemory::open_at(&path) {
            Ok(memory) => assert_eq!(memory.len(), 100_000),
            Err(Error::NotFound { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        let _ = fs::remove_file(&path);
    }
    // One that is being made, or in use though it was removed, is left alone.
    let kept = SharedMemory::create_at(&path, 10).expect("a new file");
    handover::remove_at(&path).expect("there");
    drop(SharedMemory::create_at(&path, 10).expect("a new file"));
    kept.view::<u8>(9).expect("inside").set(0, &1);
    drop(kept);
    handover::remove_at(&path).expect("there");
    let left: Vec<_> =
        fs::read_dir(&folder).expect("there").map(|entry| entry.expect("readable").file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    fs::remove_dir(&folder).expect("empty");
}

#[test]
fn a_numa_node_is_refused_and_huge_pages_are_a_wish() {
    let refused = Options::new(1).numa_node(0).anonymous::<u64>().expect_err("not to be had");
    assert!(matches!(&refused, Error::Unfit { why } if why.contains("leave the node out")), "{refused}");
    let name = Name::new();
    let _queue = Options::new(1).huge_pages().create::<u64>(&name).expect("without them");
    assert_eq!(handover::placement(&name).expect("there").on_huge_pages, 0);
}
