//! What is put right by somebody who comes to see whether all is well.

#![cfg_attr(windows, allow(dead_code, unused_imports, reason = "half of it is about what is left without users"))]

mod common;

#[cfg(unix)]
use std::fs;
#[cfg(unix)]
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Child, Name};
use handover::broadcast::{Broadcast, Start};
use handover::{
    Error, Options, Queue, SharedMemory, Tasks, broadcast, inspect, reap, remove_if_stale, remove_if_stale_at,
    segment_at, segments, tasks,
};

#[test]
fn child() {
    let Some((what, words)) = common::task() else { return };
    let name = &words[0];
    match &what[..] {
        "open" => {
            let _queue = Options::new(4).goes_with_last_user().create::<u64>(name).unwrap();
            common::say("open");
            common::heard();
        }
        "receive" => {
            let queue = Queue::<u64>::open(name).unwrap();
            let mut consumer = queue.consumer().unwrap();
            let _held = consumer.receive().unwrap();
            common::say("held");
            common::heard();
        }
        "read" => {
            let _reader = Broadcast::<u64>::open(name).unwrap().gating_reader(Start::Oldest).unwrap();
            common::say("reading");
            common::heard();
        }
        "work" => {
            let worker = Tasks::<u64>::open(name).unwrap().worker().unwrap();
            let _lease = worker.take().unwrap();
            common::say("working");
            common::heard();
        }
        other => panic!("{other}"),
    }
}

/// Has a child do that with a segment, and kills it in the midst.
fn killed(what: &str, name: &str) {
    let mut child = Child::start(&format!("{what} {name}"));
    child.hear();
    child.kill();
    child.wait();
}

fn exists(name: &str) -> bool {
    segments().unwrap().iter().any(|segment| segment.name == name)
}

#[test]
#[cfg(unix)] // elsewhere what has a name goes with its last user
fn to_look_at_a_segment_does_not_remove_it() {
    let name = Name::new();
    killed("open", &name);
    let left = segments().unwrap().into_iter().find(|segment| segment.name == *name).unwrap();
    assert!(left.goes_with_last_user && !left.in_use);
    assert_eq!(left.mode, 0o600);
    inspect(&name).unwrap();
    handover::peek(&name, 1).unwrap();
    handover::placement(&name).unwrap();
    assert!(exists(&name));
    // To open it is to be its last user.
    drop(Queue::<u64>::open(&name).unwrap());
    assert!(!exists(&name));
}

#[test]
#[cfg(unix)] // elsewhere what lies in memory has no holes
fn what_would_take_memory_to_be_looked_at_is_refused() {
    let name = Name::new();
    drop(Options::new(1000).create::<u64>(&name).unwrap());
    let path = format!("/dev/shm/handover.{}", &*name);
    let whole = fs::read(&path).unwrap();
    // As many bytes are reserved as the segment has, but behind it.
    fs::write(&path, &whole[..4096 + 1024]).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&whole, 2 * whole.len() as u64).unwrap();
    let refused = |error: Option<Error>| assert!(matches!(error, Some(Error::System { .. })), "{error:?}");
    refused(inspect(&name).err());
    refused(handover::peek(&name, 1).err());
    refused(handover::placement(&name).err());
    refused(remove_if_stale(&name).err());
    // Whoever opens it for writing fills its holes.
    file.set_len(whole.len() as u64).unwrap();
    drop(Queue::<u64>::open(&name).unwrap());
    inspect(&name).unwrap();
}

#[test]
#[cfg(unix)] // elsewhere what has a name goes with its last user
fn what_was_to_go_with_users_who_were_all_killed_is_removed() {
    let name = Name::new();
    killed("open", &name);
    assert!(remove_if_stale(&name).unwrap());
    assert!(!exists(&name));
    assert!(matches!(remove_if_stale(&name), Err(Error::NotFound { .. })));
}

#[test]
fn what_is_in_use_stays() {
    let name = Name::new();
    let queue = Options::new(4).goes_with_last_user().create::<u64>(&name).unwrap();
    queue.close();
    assert!(!remove_if_stale(&name).unwrap());
    assert!(exists(&name));
}

#[test]
#[cfg(unix)] // elsewhere what has a name goes with its last user
fn of_what_nobody_has_open_goes_what_is_closed_and_empty_and_nothing_else() {
    let name = Name::new();
    let queue = Options::new(4).create::<u64>(&name).unwrap();
    queue.producer().unwrap().push(1).unwrap();
    drop(queue);
    assert!(!remove_if_stale(&name).unwrap(), "it holds a message");
    assert_eq!(Queue::<u64>::open(&name).unwrap().consumer().unwrap().pop().unwrap(), 1);
    assert!(!remove_if_stale(&name).unwrap(), "it waits for its next user");
    Queue::<u64>::open(&name).unwrap().close();
    assert!(remove_if_stale(&name).unwrap());

    let prices = broadcast::Options::new(4).create::<u64>(&name).unwrap();
    prices.writer().unwrap().publish(1).unwrap();
    prices.close().unwrap();
    drop(prices);
    assert!(!remove_if_stale(&name).unwrap(), "a reader may come for its message");
    handover::remove(&name).unwrap();
    broadcast::Options::new(4).create::<u64>(&name).unwrap().close().unwrap();
    assert!(remove_if_stale(&name).unwrap());

    let jobs = tasks::Options::new().tries(1).create::<u64>(&name).unwrap();
    jobs.submitter().unwrap().submit(1).unwrap();
    jobs.close();
    jobs.worker().unwrap().take().unwrap().fail("no").unwrap();
    drop(jobs);
    assert!(!remove_if_stale(&name).unwrap(), "it has a dead letter");
    let jobs = Tasks::<u64>::open(&name).unwrap();
    for letter in jobs.dead_letters() {
        jobs.purge(letter.id).unwrap();
    }
    drop(jobs);
    assert!(remove_if_stale(&name).unwrap());

    drop(SharedMemory::create(&name, 10).unwrap());
    assert!(!remove_if_stale(&name).unwrap(), "nobody said that it is done with");
}

#[test]
#[cfg(unix)] // elsewhere what has a name goes with its last user
fn what_a_dead_one_held_keeps_a_closed_queue() {
    let name = Name::new();
    let queue = Options::new(4).create::<u64>(&name).unwrap();
    queue.producer().unwrap().push(7).unwrap();
    queue.close();
    drop(queue);
    killed("receive", &name);
    let found = inspect(&name).unwrap();
    assert_eq!((found.len, found.handed_back), (0, 0), "the dead one has it");
    assert!(!remove_if_stale(&name).unwrap());
    assert_eq!(reap(&name).unwrap(), 1);
    assert_eq!(inspect(&name).unwrap().handed_back, 1);
    assert!(!remove_if_stale(&name).unwrap());
    assert_eq!(Queue::<u64>::open(&name).unwrap().consumer().unwrap().pop().unwrap(), 7);
    assert!(remove_if_stale(&name).unwrap());
}

#[test]
fn what_nobody_has_open_in_a_file_goes_if_nobody_can_miss_it() {
    let path = std::env::temp_dir().join(&*Name::new());
    let opened = || Queue::<u64>::open_at(&path).unwrap();
    let queue = Options::new(4).create_at::<u64>(&path).unwrap();
    queue.producer().unwrap().push(1).unwrap();
    assert!(!remove_if_stale_at(&path).unwrap(), "it is open");
    drop(queue);
    assert!(!remove_if_stale_at(&path).unwrap(), "it holds a message");
    assert!(!segment_at(&path).unwrap().in_use && path.exists());
    assert_eq!(opened().consumer().unwrap().pop().unwrap(), 1);
    assert!(!remove_if_stale_at(&path).unwrap(), "it waits for its next user");
    opened().close();
    assert!(remove_if_stale_at(&path).unwrap() && !path.exists());
    assert!(matches!(remove_if_stale_at(&path), Err(Error::NotFound { .. })));
}

#[test]
fn the_dead_of_every_kind_are_reaped_whatever_the_messages_are() {
    let name = Name::new();
    let queue = Options::new(4).one_consumer().create::<u64>(&name).unwrap();
    queue.producer().unwrap().push(7).unwrap();
    killed("receive", &name);
    assert_eq!(reap(&name).unwrap(), 1);
    assert_eq!(reap(&name).unwrap(), 0);
    assert!(queue.members().is_empty() && queue.counts().deaths == 1);
    handover::remove(&name).unwrap();

    // One to one, and the only other place is taken by the living.
    let queue = Options::new(4).one_producer().one_consumer().create::<u64>(&name).unwrap();
    let mut producer = queue.producer().unwrap();
    producer.push(7).unwrap();
    killed("receive", &name);
    assert_eq!((reap(&name).unwrap(), reap(&name).unwrap()), (1, 0));
    let _consumer = queue.consumer().unwrap();
    assert_eq!(reap(&name).unwrap(), 0);
    handover::remove(&name).unwrap();

    let prices = broadcast::Options::new(4).readers(1).create::<u64>(&name).unwrap();
    killed("read", &name);
    assert_eq!(prices.report().readers.len(), 1);
    assert_eq!((reap(&name).unwrap(), reap(&name).unwrap()), (1, 0));
    assert!(prices.report().readers.is_empty());
    handover::remove(&name).unwrap();

    let jobs = tasks::Options::new().create::<u64>(&name).unwrap();
    jobs.submitter().unwrap().submit(1).unwrap();
    killed("work", &name);
    assert_eq!((jobs.report().leased, reap(&name).unwrap(), reap(&name).unwrap()), (1, 1, 0));
    let report = jobs.report();
    assert_eq!((report.leased, report.waiting.iter().sum::<usize>(), report.deaths), (0, 1, 1));
}

/// Looks for what is stale, again and again, until the work is over.
fn beside_a_remover(name: &str, work: impl FnOnce()) {
    let look = || match remove_if_stale(name) {
        Ok(_) | Err(Error::NotFound { .. }) => {}
        Err(other) => panic!("{other}"),
    };
    beside(&look, work);
}

/// Does that again and again until the work is over.
fn beside(again: &(dyn Fn() + Sync), work: impl FnOnce()) {
    /// Also when the work fails.
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                again();
            }
        });
        let _ends = Ends(&over);
        work();
    });
}

#[test]
fn nobody_is_refused_because_of_one_that_reaps() {
    let name = Name::new();
    let reaping = || {
        reap(&name).unwrap();
    };
    let often = |come: &mut dyn FnMut()| {
        beside(&reaping, || (0..400).for_each(|_| come()));
        handover::remove(&name).unwrap();
    };
    let queue = Options::new(4).members(1).create::<u64>(&name).unwrap();
    often(&mut || drop(queue.consumer().unwrap()));
    let queue = Options::new(4).one_consumer().members(1).create::<u64>(&name).unwrap();
    often(&mut || drop((queue.consumer().unwrap(), queue.producer().unwrap())));
    let queue = Options::new(4).one_producer().members(1).create::<u64>(&name).unwrap();
    often(&mut || drop((queue.consumer().unwrap(), queue.producer().unwrap())));
    let queue = Options::new(4).one_producer().one_consumer().create::<u64>(&name).unwrap();
    often(&mut || drop((queue.consumer().unwrap(), queue.producer().unwrap())));
    let prices = broadcast::Options::new(4).readers(1).create::<u64>(&name).unwrap();
    often(&mut || drop((prices.reader(Start::Oldest).unwrap(), prices.writer().unwrap())));
    let jobs = tasks::Options::new().members(1).create::<u64>(&name).unwrap();
    often(&mut || drop(jobs.worker().unwrap()));
}

#[test]
#[cfg(unix)] // elsewhere what has a name goes with its last user
fn a_message_in_a_queue_that_nobody_has_open_is_not_lost_to_a_remover() {
    let name = Name::new();
    drop(Options::new(4).create::<u64>(&name).unwrap());
    beside_a_remover(&name, || {
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < Duration::from_millis(400) {
            number += 1;
            let queue = Queue::<u64>::open(&name).unwrap();
            queue.producer().unwrap().push(number).unwrap();
            drop(queue);
            let found = Queue::<u64>::open(&name).unwrap().consumer().unwrap().try_pop().unwrap();
            assert_eq!(found, number);
        }
    });
}

#[test]
#[cfg(unix)] // elsewhere what has a name goes with its last user
fn who_comes_while_it_is_removed_has_a_segment_with_a_name_or_none() {
    let name = Name::new();
    let path = format!("/dev/shm/handover.{}", &*name);
    killed("open", &name);
    let left = fs::read(&path).unwrap();
    let (mut came, mut missed) = (0, 0);
    beside_a_remover(&name, || {
        let begun = Instant::now();
        while (came < 100 || missed < 5) && begun.elapsed() < Duration::from_secs(60) {
            // A segment that its users left behind, as often as wanted: there at once, unless the last one still is.
            let copy = format!("/dev/shm/copy-{}", &*name);
            fs::write(&copy, &left).unwrap();
            let _ = fs::hard_link(&copy, &path);
            fs::remove_file(&copy).unwrap();
            match Queue::<u64>::open(&name) {
                Ok(queue) => {
                    came += 1;
                    queue.producer().unwrap().push(came).unwrap();
                    let same = Queue::<u64>::open(&name).expect("it is in use, so it has its name");
                    assert_eq!(same.consumer().unwrap().try_pop().unwrap(), came);
                }
                Err(Error::NotFound { .. }) => missed += 1,
                Err(other) => panic!("{other}"),
            }
        }
    });
    assert!(came > 0 && missed > 0, "{came} came, {missed} missed it");
}
