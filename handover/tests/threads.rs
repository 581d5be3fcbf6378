//! The queue between threads, and what its operations do wherever it lies.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use common::processor_time;
use handover::{Error, Options, Role, Wait, threads};

/// The declarations that make different rings.
fn declarations(capacity: usize) -> [Options; 4] {
    let options = Options::new(capacity);
    [
        options.clone(),
        options.clone().one_producer().one_consumer(),
        options.clone().one_producer(),
        options.one_consumer(),
    ]
}

fn queue<T: Send>(capacity: usize) -> threads::Queue<T> {
    Options::new(capacity).threads().expect("a small queue")
}

#[test]
fn messages_come_in_the_order_they_were_pushed() {
    for capacity in [1, 2, 3, 7, 64, 1000] {
        for options in declarations(capacity) {
            let queue = options.threads().expect("a small queue");
            let mut producer = queue.producer().expect("the first");
            let mut consumer = queue.consumer().expect("the first");
            for round in 0..5 {
                for number in 0..capacity {
                    producer.try_push(round * capacity + number).expect("room");
                }
                assert_eq!(queue.len(), capacity);
                let refused = producer.try_push(9).expect_err("full to the last slot");
                assert!(matches!(refused.error, Error::Full));
                assert_eq!(refused.message, 9, "the message comes back");
                for number in 0..capacity {
                    assert_eq!(consumer.try_pop().expect("pushed"), round * capacity + number);
                }
                assert!(matches!(consumer.try_pop(), Err(Error::Empty)));
                assert!(queue.is_empty());
            }
        }
    }
}

/// Many threads, everything counted, each producer's messages in order at each consumer.
fn hammer(options: &Options, producers: u64, consumers: usize, each: u64, wait: Wait, batch: usize) {
    let queue = options.threads::<(u64, u64)>().expect("a small queue");
    let received: Vec<Vec<(u64, u64)>> = thread::scope(|scope| {
        let pushers: Vec<_> = (0..producers)
            .map(|producer| {
                let mut handle = queue.producer().expect("as many as declared");
                handle.set_wait(wait);
                scope.spawn(move || {
                    let messages = (0..each).map(|number| (producer, number));
                    if batch > 1 {
                        assert_eq!(handle.push_batch(messages).expect("open"), each as usize);
                    } else {
                        messages.for_each(|message| handle.push(message).expect("open"));
                    }
                })
            })
            .collect();
        let poppers: Vec<_> = (0..consumers)
            .map(|_| {
                let mut handle = queue.consumer().expect("as many as declared");
                handle.set_wait(wait);
                scope.spawn(move || {
                    let mut got = Vec::new();
                    loop {
                        let result = match batch {
                            1 => handle.pop().map(|message| got.push(message)),
                            _ => handle.pop_batch(&mut got, batch).map(|count| assert!(count >= 1 && count <= batch)),
                        };
                        match result {
                            Ok(()) => {}
                            Err(Error::Closed) => return got,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        pushers.into_iter().for_each(|pusher| pusher.join().expect("pushed"));
        queue.close();
        poppers.into_iter().map(|popper| popper.join().expect("popped")).collect()
    });
    let mut counts = vec![0; producers as usize];
    for got in &received {
        let mut last = vec![None; producers as usize];
        for (producer, number) in got {
            let last = &mut last[*producer as usize];
            assert!(last.is_none_or(|last| last < *number), "in order");
            *last = Some(*number);
            counts[*producer as usize] += 1;
        }
    }
    assert_eq!(counts, vec![each; producers as usize], "each message once");
    let counts = queue.counts();
    assert_eq!((counts.pushed, counts.popped), (producers * each, producers * each));
}

#[test]
fn many_threads_lose_nothing_and_double_nothing() {
    for capacity in [1, 2, 3, 64, 1000] {
        for wait in [Wait::Spin, Wait::Balanced, Wait::Park] {
            for batch in [1, 5, 100] {
                let each = if capacity < 10 { 500 } else { 5000 };
                hammer(&Options::new(capacity), 3, 3, each, wait, batch);
                hammer(&Options::new(capacity), 4, 1, each, wait, batch);
                hammer(&Options::new(capacity), 1, 4, each, wait, batch);
                hammer(&Options::new(capacity).one_producer().one_consumer(), 1, 1, each, wait, batch);
            }
        }
    }
}

#[test]
fn what_is_left_is_dropped_with_the_queue() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    for options in declarations(8) {
        let drops = Arc::new(AtomicUsize::new(0));
        let queue = options.threads().expect("a small queue");
        let mut producer = queue.producer().expect("the first");
        let mut consumer = queue.consumer().expect("the first");
        for _ in 0..7 {
            producer.try_push(Counted(Arc::clone(&drops))).expect("room");
        }
        drop(consumer.pop());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        consumer.receive().expect("the next").done();
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        drop(consumer.receive().expect("handed back"));
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        drop((producer, consumer));
        drop(queue);
        assert_eq!(drops.load(Ordering::Relaxed), 7);
    }
}

#[test]
fn a_time_of_zero_never_blocks_and_a_longer_one_ends() {
    for options in declarations(1) {
        let queue = options.threads().expect("a small queue");
        let mut producer = queue.producer().expect("the first");
        let mut consumer = queue.consumer().expect("the first");
        for wait in [Wait::Spin, Wait::Balanced, Wait::Park] {
            producer.set_wait(wait);
            consumer.set_wait(wait);
            assert!(matches!(consumer.pop_timeout(Duration::ZERO), Err(Error::Empty)));
            let start = Instant::now();
            assert!(matches!(consumer.pop_timeout(Duration::from_millis(20)), Err(Error::Empty)));
            assert!(start.elapsed() >= Duration::from_millis(20));
            producer.push(1).expect("room");
            assert!(matches!(producer.push_timeout(2, Duration::ZERO).map_err(Error::from), Err(Error::Full)));
            let start = Instant::now();
            let refused = producer.push_timeout(2, Duration::from_millis(20)).expect_err("full");
            assert!(matches!(refused.error, Error::Full) && refused.message == 2);
            assert!(start.elapsed() >= Duration::from_millis(20));
            assert_eq!(consumer.pop_timeout(Duration::MAX).expect("for ever is long enough"), 1);
        }
    }
}

#[test]
fn closing_refuses_pushes_and_lets_receivers_drain() {
    for options in declarations(4) {
        let queue = options.threads().expect("a small queue");
        let mut producer = queue.producer().expect("the first");
        let mut consumer = queue.consumer().expect("the first");
        producer.push_batch([1, 2, 3]).expect("room");
        assert!(!queue.is_closed());
        producer.close();
        assert!(queue.is_closed());
        assert!(matches!(producer.push(4).map_err(Error::from), Err(Error::Closed)));
        assert!(matches!(producer.try_push(4).map_err(Error::from), Err(Error::Closed)));
        assert!(matches!(producer.loan().map(drop), Err(Error::Closed)));
        assert!(matches!(producer.push_batch([4]), Err(Error::Closed)));
        assert_eq!(consumer.messages().collect::<Result<Vec<_>, _>>().expect("what was left"), [1, 2, 3]);
        assert!(matches!(consumer.try_pop(), Err(Error::Closed)));
        assert!(matches!(consumer.receive().map(drop), Err(Error::Closed)));
    }
}

#[test]
fn closing_wakes_the_blocked() {
    for options in declarations(1) {
        let queue = options.threads::<u8>().expect("a small queue");
        let mut consumer = queue.consumer().expect("the first");
        let popper = thread::spawn(move || matches!(consumer.pop(), Err(Error::Closed)));
        thread::sleep(Duration::from_millis(10));
        queue.close();
        assert!(popper.join().expect("ended"));

        let queue = options.threads::<u8>().expect("a small queue");
        let mut producer = queue.producer().expect("the first");
        producer.push(1).expect("room");
        let pusher = thread::spawn(move || matches!(producer.push(2).map_err(Error::from), Err(Error::Closed)));
        thread::sleep(Duration::from_millis(10));
        queue.close();
        assert!(pusher.join().expect("ended"));
    }
}

#[test]
fn a_push_that_returned_before_or_during_a_close_is_received() {
    for options in declarations(4) {
        for _ in 0..200 {
            let queue = options.threads::<u64>().expect("a small queue");
            let mut producer = queue.producer().expect("the first");
            let mut consumer = queue.consumer().expect("the first");
            let (pushed, popped) = thread::scope(|scope| {
                let pusher = scope.spawn(move || (0..).take_while(|number| producer.push(*number).is_ok()).count());
                let popper = scope.spawn(move || consumer.messages().inspect(|m| assert!(m.is_ok())).count());
                thread::yield_now();
                queue.close();
                (pusher.join().expect("ended"), popper.join().expect("ended"))
            });
            assert_eq!(pushed, popped);
        }
    }
}

#[test]
fn receivers_are_told_of_a_close_only_when_nobody_may_hand_anything_back() {
    let queue = queue::<u32>(4);
    queue.producer().expect("one").push(1).expect("room");
    let (mut holder, mut other) = (queue.consumer().expect("one"), queue.consumer().expect("two"));
    let receipt = holder.receive().expect("1");
    queue.close();
    assert!(matches!(other.try_pop(), Err(Error::Empty)), "1 may come back");
    let popper = thread::spawn(move || (other.pop().expect("handed back"), other.redeliveries(), other.pop().is_err()));
    thread::sleep(Duration::from_millis(5));
    drop(receipt);
    assert_eq!(popper.join().expect("ended"), (1, 1, true));
}

#[test]
fn a_panic_while_a_message_is_held_hands_it_over() {
    for options in declarations(4) {
        let queue = options.threads::<String>().expect("a small queue");
        queue.producer().expect("one").push("job".into()).expect("room");
        let mut consumer = queue.consumer().expect("one");
        for deaths in 0..70 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let receipt = consumer.receive().expect("the job");
                assert_eq!(receipt.as_str(), "job");
                // The count stops somewhere past sixty.
                assert_eq!(receipt.redeliveries().min(60), deaths.min(60));
                panic!("in the middle of the work");
            }));
            let said = caught.expect_err("panicked");
            assert_eq!(said.downcast_ref::<&str>(), Some(&"in the middle of the work"));
        }
        assert_eq!(consumer.receive().expect("the job").take().expect("whole"), "job");
        assert!(matches!(consumer.try_pop(), Err(Error::Empty)));
    }
}

#[test]
fn a_loan_that_is_dropped_sends_nothing_and_takes_no_room() {
    for options in declarations(2) {
        let queue = options.threads::<u32>().expect("a small queue");
        let mut producer = queue.producer().expect("one");
        let mut consumer = queue.consumer().expect("one");
        for number in 0..10 {
            drop(producer.loan().expect("room"));
            drop(producer.try_loan().expect("room"));
            assert!(matches!(consumer.try_pop(), Err(Error::Empty)));
            producer.try_push(number).expect("room");
            producer.loan().expect("room").put(number + 100).expect("sent");
            assert!(matches!(producer.try_loan().map(drop), Err(Error::Full)));
            assert_eq!((consumer.pop().expect("first"), consumer.pop().expect("second")), (number, number + 100));
        }
    }
}

/// The same for a queue between threads and for one between processes, which are of different types.
macro_rules! what_is_forgotten_is_settled {
    ($queue:expr) => {
        let queue = $queue.expect("a small queue");
        let mut producer = queue.producer().expect("one");
        std::mem::forget(producer.loan().expect("room"));
        producer.push(1).expect("room");
        let mut consumer = queue.consumer().expect("one");
        assert!(matches!(consumer.try_pop(), Err(Error::Empty)), "held up by the loan");
        producer.loan().expect("room, as the forgotten one is given up").put(2).expect("room");
        assert_eq!(consumer.try_pop().expect("1"), 1);
        std::mem::forget(producer.loan().expect("room"));
        drop(producer);
        std::mem::forget(consumer.receive().expect("2"));
        let again = consumer.try_receive().expect("2 again");
        assert_eq!((*again, again.redeliveries()), (2, 1));
        std::mem::forget(again);
        drop(consumer);
        let mut consumer = queue.consumer().expect("one");
        assert_eq!((consumer.try_pop().expect("2"), consumer.redeliveries()), (2, 2));
        let mut producer = queue.producer().expect("one");
        (0..3).for_each(|number| producer.try_push(number).expect("room up to the last slot"));
    };
}

#[test]
fn what_is_forgotten_is_settled_when_its_handle_goes_or_claims_again() {
    what_is_forgotten_is_settled!(Options::new(3).threads::<u64>());
    what_is_forgotten_is_settled!(Options::new(3).anonymous::<u64>());
}

#[test]
fn a_loan_that_was_forgotten_does_not_keep_a_receiver_from_leaving() {
    for options in declarations(4) {
        let queue = options.threads::<u64>().expect("a small queue");
        let mut producer = queue.producer().expect("one");
        producer.push(1).expect("room");
        std::mem::forget(producer.loan().expect("room"));
        drop(producer);
        queue.close();
        let mut consumer = queue.consumer().expect("one");
        assert_eq!(consumer.messages().collect::<Result<Vec<_>, _>>().expect("what was left"), [1]);
    }
}

#[test]
fn a_batch_whose_iterator_panics_sends_what_it_had() {
    for options in declarations(8) {
        let queue = options.threads::<u32>().expect("a small queue");
        let mut producer = queue.producer().expect("one");
        let caught = catch_unwind(AssertUnwindSafe(|| {
            producer.push_batch((0..6).map(|number| if number == 3 { panic!("at three") } else { number }))
        }));
        assert!(caught.is_err());
        producer.push(9).expect("room");
        let mut consumer = queue.consumer().expect("one");
        let got: Vec<u32> = std::iter::from_fn(|| consumer.try_pop().ok()).collect();
        assert_eq!(got, [0, 1, 2, 9]);
    }
}

/// A collection that panics at the third message.
struct Short(Vec<u32>);

impl Extend<u32> for Short {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, messages: I) {
        for message in messages {
            self.0.push(message);
            assert!(self.0.len() < 3, "no more than three");
        }
    }
}

#[test]
fn what_a_panicking_collection_did_not_take_is_delivered_again() {
    for options in declarations(8) {
        let queue = options.threads::<u32>().expect("a small queue");
        queue.producer().expect("one").push_batch(0..6).expect("room");
        let mut consumer = queue.consumer().expect("one");
        let mut short = Short(Vec::new());
        assert!(catch_unwind(AssertUnwindSafe(|| consumer.pop_batch(&mut short, 6))).is_err());
        assert_eq!(short.0, [0, 1, 2]);
        let got: Vec<u32> = std::iter::from_fn(|| consumer.try_pop().ok()).collect();
        assert_eq!(got, [3, 4, 5]);
        let counts = queue.counts();
        assert_eq!((counts.pushed, counts.popped), (6, 6));
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(thread::panicking(), "dropped");
    }
}

#[test]
fn a_message_that_panics_when_it_is_dropped_leaves_its_slot_free() {
    for options in declarations(1) {
        let queue = options.threads::<Bomb>().expect("a small queue");
        let (mut producer, mut consumer) = (queue.producer().expect("one"), queue.consumer().expect("one"));
        for _ in 0..3 {
            assert!(producer.try_push(Bomb).is_ok(), "room");
            let receipt = consumer.receive().expect("it");
            assert!(catch_unwind(AssertUnwindSafe(|| receipt.done())).is_err());
            assert!(matches!(consumer.try_receive().map(drop), Err(Error::Empty)));
        }
    }
}

/// A parked receiver each gets a message, however the pushes and the sleeps interleave.
#[test]
fn each_of_two_sleepers_is_woken_for_each_of_two_messages() {
    let queue = queue::<u64>(64);
    let mut producer = queue.producer().expect("one");
    let (got, next_round) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
    let sleepers: Vec<_> = (0..2)
        .map(|_| {
            let mut consumer = queue.consumer().expect("one");
            consumer.set_wait(Wait::Park);
            let (got, next_round) = (Arc::clone(&got), Arc::clone(&next_round));
            thread::spawn(move || {
                while consumer.pop().is_ok() {
                    got.fetch_add(1, Ordering::SeqCst);
                    // Nobody takes two of one round.
                    next_round.wait();
                }
            })
        })
        .collect();
    let pause = |micros| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(micros) {
            std::hint::spin_loop();
        }
    };
    for round in 0..2000 {
        thread::sleep(Duration::from_micros(60));
        producer.push(1).expect("open");
        pause(round * 7 % 80);
        producer.push(2).expect("open");
        let start = Instant::now();
        while got.load(Ordering::SeqCst) < 2 * (round as usize + 1) {
            assert!(start.elapsed() < Duration::from_secs(10), "a sleeper was forgotten in round {round}");
            thread::yield_now();
        }
    }
    queue.close();
    sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("ended"));
}

#[test]
fn each_of_two_messages_handed_back_wakes_a_sleeper() {
    let queue = queue::<u64>(64);
    for _ in 0..100 {
        queue.producer().expect("one").push_batch([1, 2]).expect("room");
        let (mut one, mut two) = (queue.consumer().expect("one"), queue.consumer().expect("two"));
        let receipts = (one.receive().expect("1"), two.receive().expect("2"));
        let popped = Arc::new(Barrier::new(2));
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let (mut consumer, popped) = (queue.consumer().expect("one"), Arc::clone(&popped));
                consumer.set_wait(Wait::Park);
                thread::spawn(move || {
                    consumer.pop().expect("handed back");
                    popped.wait();
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(2));
        drop(receipts);
        sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("woken"));
    }
}

#[test]
fn batches_leave_in_the_iterator_what_has_no_room() {
    for options in declarations(3) {
        let queue = options.threads::<u32>().expect("a small queue");
        let mut producer = queue.producer().expect("one");
        let mut messages = (0..5).peekable();
        assert_eq!(producer.try_push_batch(&mut messages).expect("some"), 3);
        assert!(matches!(producer.try_push_batch(&mut messages), Err(Error::Full)));
        assert_eq!(messages.collect::<Vec<_>>(), [3, 4]);
        let mut got = Vec::new();
        let mut consumer = queue.consumer().expect("one");
        assert_eq!(consumer.try_pop_batch(&mut got, 0).expect("none asked for"), 0);
        assert_eq!(consumer.try_pop_batch(&mut got, 10).expect("some"), 3);
        assert!(matches!(consumer.try_pop_batch(&mut got, 10), Err(Error::Empty)));
        assert_eq!(got, [0, 1, 2]);
    }
}

#[test]
fn declared_for_one_a_second_is_refused_until_the_first_has_left() {
    let queue = Options::new(1).one_producer().threads::<u8>().expect("a small queue");
    let first = queue.producer().expect("the first");
    assert!(matches!(queue.producer(), Err(Error::Taken { role: "producer", .. })));
    drop(first);
    assert!(queue.producer().is_ok());
    assert!(queue.consumer().is_ok() && queue.consumer().is_ok());
}

#[test]
fn hundreds_of_handles_are_no_matter_between_threads() {
    let queue = queue::<u8>(1);
    let producers: Vec<_> = (0..2000).map(|_| queue.producer().expect("no limit")).collect();
    assert_eq!(queue.members().len(), producers.len());
}

#[test]
fn messages_of_no_size_and_of_great_size_and_alignment_go_through() {
    #[derive(Debug, PartialEq, Clone, Copy)]
    #[repr(align(256))]
    struct Wide([u8; 700]);
    for options in declarations(3) {
        let queue = options.threads::<()>().expect("a small queue");
        queue.producer().expect("one").push(()).expect("room");
        assert_eq!(queue.consumer().expect("one").pop().expect("it"), ());
        let queue = options.threads::<Wide>().expect("a small queue");
        let mut producer = queue.producer().expect("one");
        let mut consumer = queue.consumer().expect("one");
        for number in 0..10 {
            producer.push(Wide([number; 700])).expect("room");
            let receipt = consumer.receive().expect("it");
            assert_eq!(*receipt, Wide([number; 700]));
            assert_eq!((&raw const *receipt).addr() % 256, 0);
            receipt.done();
        }
    }
}

#[test]
fn a_blocked_receiver_uses_no_processor() {
    let queue = queue::<u8>(1);
    let mut consumer = queue.consumer().expect("one");
    let popper = thread::spawn(move || {
        // The first time costs more than the others: what is loaded late, or translated by an emulator.
        let _ = consumer.pop_timeout(Duration::from_millis(10));
        let before = processor_time();
        let _ = consumer.pop();
        processor_time() - before
    });
    thread::sleep(Duration::from_millis(500));
    queue.close();
    let used = popper.join().expect("ended");
    println!("{used:?} in half a second");
    assert!(used < Duration::from_millis(5), "{used:?} in half a second");
}

#[test]
fn members_and_queue_are_counted_apart_also_after_some_have_left() {
    for options in declarations(8) {
        let queue = options.anonymous::<u64>().expect("a small queue");
        for round in 1..=3 {
            let (mut producer, mut consumer) = (queue.producer().expect("one"), queue.consumer().expect("one"));
            producer.push_batch(0..round).expect("room");
            assert_eq!(consumer.try_pop_batch(&mut Vec::new(), 9).expect("some"), round as usize);
            let members = queue.members();
            let of = |role| members.iter().find(|member| member.role == role).expect("attached").counts;
            assert_eq!((of(Role::Producer).pushed, of(Role::Producer).popped), (round, 0));
            assert_eq!((of(Role::Consumer).pushed, of(Role::Consumer).popped), (0, round));
            let all = queue.counts();
            assert_eq!((all.pushed, all.popped), (round * (round + 1) / 2, round * (round + 1) / 2));
        }
    }
}

#[test]
fn one_to_one_room_that_comes_after_a_close_is_for_nobody() {
    // More of them at once than there are processors, so that some are stopped wherever they are.
    let one_after_the_other = || {
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end {
            let queue = Options::new(1).one_producer().one_consumer().threads::<u64>().expect("a small queue");
            let mut producer = queue.producer().expect("the first");
            let mut consumer = queue.consumer().expect("the first");
            producer.push(0).expect("room");
            thread::scope(|scope| {
                let trying = scope.spawn(move || {
                    loop {
                        match producer.try_push(1).map_err(Error::from) {
                            Err(Error::Full) => {}
                            other => return other,
                        }
                    }
                });
                thread::yield_now();
                queue.close();
                assert_eq!(consumer.pop().expect("pushed"), 0);
                let last = trying.join().expect("no panic");
                assert!(matches!(last, Err(Error::Closed)), "pushed into room that came after the close: {last:?}");
            });
        }
    };
    thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(one_after_the_other))));
}
