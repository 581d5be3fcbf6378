//! Queues that are resized while they are used.

mod common;

use std::thread;
use std::time::Duration;

use common::{Child, Name, eventually, heard, say, task};
use handover::{Error, Options, Queue, Shrink};

#[test]
fn child() {
    let Some((task, words)) = task() else { return };
    let queue = Queue::<u64>::open(&words[0]).expect("the parent made it");
    match task.as_str() {
        "push" => {
            let mut producer = queue.producer().expect("room for one");
            for number in 0..words[1].parse().expect("a number") {
                producer.push(number).expect("open");
            }
        }
        "loan" => {
            let mut producer = queue.producer().expect("room for one");
            let _loan = producer.loan().expect("room");
            say("lent");
            heard();
        }
        "shrink" => {
            say("begun");
            let _ = queue.resize(words[1].parse().expect("a number"), Shrink::Wait);
            say("done");
        }
        other => panic!("{other}?"),
    }
}

/// Each declaration of who uses it.
fn declarations(capacity: usize, most: usize) -> [Options; 2] {
    let many = Options::new(capacity).max_capacity(most);
    [many.clone(), many.one_producer().one_consumer()]
}

fn holds_exactly(queue: &Queue<u64>, capacity: usize) {
    let (mut producer, mut consumer) = (queue.producer().expect("room"), queue.consumer().expect("room"));
    for number in 0..capacity as u64 {
        producer.try_push(number).unwrap_or_else(|refused| panic!("{number} of {capacity}: {refused}"));
    }
    assert!(matches!(producer.try_push(0).map_err(Error::from), Err(Error::Full)));
    for number in 0..capacity as u64 {
        assert_eq!(consumer.try_pop().expect("pushed"), number);
    }
    assert!(matches!(consumer.try_pop(), Err(Error::Empty)));
}

#[test]
fn a_queue_holds_what_it_was_resized_to_last() {
    for options in declarations(3, 50) {
        let queue = options.anonymous::<u64>().expect("made");
        assert_eq!(queue.capacity(), 3);
        for capacity in [3, 50, 1, 7, 49, 2] {
            queue.resize(capacity, Shrink::Refuse).expect("it is empty");
            assert_eq!(queue.capacity(), capacity);
            (0..3).for_each(|_| holds_exactly(&queue, capacity));
        }
        for wrong in [0, 51, usize::MAX] {
            assert!(matches!(queue.resize(wrong, Shrink::Wait), Err(Error::Unfit { .. })), "{wrong}");
        }
    }
    let plain = Options::new(3).anonymous::<u64>().expect("made");
    let error = plain.resize(2, Shrink::Wait).expect_err("it was not made for it");
    assert!(error.to_string().contains("max_capacity"), "{error}");
    let error = Options::new(4).max_capacity(3).anonymous::<u64>().expect_err("too many");
    assert!(error.to_string().contains("capacity of 4"), "{error}");
    assert!(Options::new(0).max_capacity(3).anonymous::<u64>().is_err());
}

#[test]
fn a_batch_goes_in_as_far_as_there_is_room() {
    for options in declarations(10, 100) {
        let queue = options.anonymous::<u64>().expect("made");
        let mut producer = queue.producer().expect("room");
        let mut messages = (0..64).peekable();
        assert_eq!(producer.try_push_batch(&mut messages).expect("room"), 10);
        queue.resize(30, Shrink::Refuse).expect("it grows");
        assert_eq!(producer.try_push_batch(&mut messages).expect("room"), 20);
    }
}

#[test]
fn shrinking_waits_or_is_refused_and_growing_lets_the_blocked_go_on() {
    for options in declarations(10, 20) {
        let queue = options.anonymous::<u64>().expect("made");
        let (mut producer, mut consumer) = (queue.producer().expect("room"), queue.consumer().expect("room"));
        producer.push_batch(0..10).expect("room");
        assert!(matches!(queue.resize(9, Shrink::Refuse), Err(Error::Full)));
        let refused = queue.resize(9, Shrink::WaitFor(Duration::from_millis(5)));
        assert!(matches!(refused, Err(Error::Full)));
        assert_eq!(queue.capacity(), 10, "as it was");
        thread::scope(|scope| {
            let resizing = scope.spawn(|| queue.resize(4, Shrink::Wait));
            eventually("it has begun", || queue.capacity() == 4);
            assert!(producer.try_push(10).is_err());
            for number in 0..6 {
                assert!(!resizing.is_finished());
                assert_eq!(consumer.pop().expect("there"), number);
            }
            resizing.join().expect("no panic").expect("enough were taken");
            let blocked = scope.spawn(move || producer.push(10).map_err(Error::from));
            thread::sleep(Duration::from_millis(20));
            assert!(!blocked.is_finished());
            queue.resize(5, Shrink::Refuse).expect("it grows");
            blocked.join().expect("no panic").expect("room");
        });
        for number in 6..11 {
            assert_eq!(consumer.pop().expect("there"), number);
        }
        holds_exactly_again(&queue, consumer);
    }
}

fn holds_exactly_again(queue: &Queue<u64>, consumer: handover::Consumer<u64>) {
    drop(consumer);
    holds_exactly(queue, 5);
}

#[test]
fn what_goes_through_stays_in_order_however_it_is_resized_meanwhile() {
    for options in declarations(8, 300) {
        let name = Name::new();
        let queue = options.create::<u64>(&name).expect("made");
        let child = Child::start(&format!("push {} 50000", &*name));
        let mut consumer = queue.consumer().expect("room");
        for number in 0..50_000_u64 {
            if number % 1000 == 0 {
                let capacity = [1, 300, 17, 64, 2][(number / 1000 % 5) as usize];
                let shrink = Shrink::WaitFor(Duration::from_millis(1));
                assert!(matches!(queue.resize(capacity, shrink), Ok(()) | Err(Error::Full)));
                // One is being pushed.
                assert!(queue.len() <= queue.capacity() + 1, "{} in {}", queue.len(), queue.capacity());
            }
            assert_eq!(consumer.pop().expect("pushed"), number);
        }
        child.finish();
        drop(consumer);
        queue.resize(13, Shrink::Refuse).expect("it is empty");
        holds_exactly(&queue, 13);
    }
}

#[test]
fn many_push_and_pop_while_it_is_resized() {
    let queue = Options::new(5).max_capacity(100).threads::<u64>().expect("made");
    let total: u64 = thread::scope(|scope| {
        for part in 0..3 {
            let mut producer = queue.producer().expect("room");
            scope.spawn(move || producer.push_batch(part * 50_000..(part + 1) * 50_000).expect("open"));
        }
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let mut consumer = queue.consumer().expect("room");
                scope.spawn(move || (0..50_000).map(|_| consumer.pop().expect("there")).sum::<u64>())
            })
            .collect();
        while !consumers.iter().all(|consumer| consumer.is_finished()) {
            for capacity in [100, 1, 33] {
                let _ = queue.resize(capacity, Shrink::WaitFor(Duration::from_millis(2)));
            }
        }
        consumers.into_iter().map(|consumer| consumer.join().expect("no panic")).sum()
    });
    assert_eq!(total, (0..150_000).sum());
}

#[test]
fn a_killed_producers_loan_takes_no_room_below_the_limit() {
    let name = Name::new();
    let queue = Options::new(1).max_capacity(10).create::<u64>(&name).expect("made");
    let mut producer = queue.producer().expect("room");
    for round in 0..5 {
        let mut child = Child::start(&format!("loan {}", &*name));
        assert_eq!(child.hear(), "lent");
        assert!(producer.try_push(0).is_err(), "the living keep their place");
        child.kill();
        child.wait();
        producer.push_timeout(round, Duration::from_secs(5)).expect("the dead don't");
        assert_eq!(queue.consumer().expect("room").pop().expect("pushed"), round);
    }
    drop(producer);
    holds_exactly(&queue, 1);
}

#[test]
fn a_resize_that_is_killed_while_it_waits_has_set_the_capacity() {
    let name = Name::new();
    let queue = Options::new(5).max_capacity(10).create::<u64>(&name).expect("made");
    queue.producer().expect("room").push_batch(0..5).expect("room");
    let mut child = Child::start(&format!("shrink {} 2", &*name));
    assert_eq!(child.hear(), "begun");
    eventually("it waits", || queue.capacity() == 2);
    child.kill();
    child.wait();
    let mut consumer = queue.consumer().expect("room");
    (0..5).for_each(|number| assert_eq!(consumer.pop().expect("there"), number));
    drop(consumer);
    holds_exactly(&queue, 2);
}
