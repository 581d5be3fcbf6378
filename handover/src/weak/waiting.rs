//! Sleeping and waking: whole queues between threads, with what users call, the waiting of [`crate::queue`] and the real
//! gate. Everybody sleeps at once, without spinning, and a sleep lasts until a wake-up ends it: one that is lost leaves
//! the model deadlocked. (Only behind a slot that somebody holds a sleep ends by itself, as it does after a millisecond.)

use loom::cell::UnsafeCell;
use loom::thread;

use super::explore;
use crate::{Consumer, Error, Options, Owned, Producer, Queue, Wait};

/// A message that the checker watches: who reads it without what was written to it having happened before is reported.
struct Watched(UnsafeCell<u64>);

fn watched(value: u64) -> Watched {
    let message = Watched(UnsafeCell::new(0));
    // SAFETY: the cell gives a pointer to what is in it, or reports a race.
    message.0.with_mut(|place| unsafe { *place = value });
    message
}

impl Watched {
    fn read(&self) -> u64 {
        // SAFETY: as above.
        self.0.with(|place| unsafe { *place })
    }
}

type Messages = Queue<Owned<Watched>>;

fn producer(queue: &Messages) -> Producer<Owned<Watched>> {
    let mut producer = queue.producer().unwrap();
    producer.set_wait(Wait::Park);
    producer
}

fn consumer(queue: &Messages) -> Consumer<Owned<Watched>> {
    let mut consumer = queue.consumer().unwrap();
    consumer.set_wait(Wait::Park);
    consumer
}

/// Pushes all, blocking.
fn pushes(queue: &Messages, values: impl IntoIterator<Item = u64> + 'static) -> thread::JoinHandle<()> {
    let mut producer = producer(queue);
    thread::spawn(move || {
        for value in values {
            assert!(producer.push(watched(value)).is_ok());
        }
    })
}

/// Pops so many, blocking.
fn pops(queue: &Messages, count: usize) -> thread::JoinHandle<Vec<u64>> {
    let mut consumer = consumer(queue);
    thread::spawn(move || (0..count).map(|_| consumer.pop().unwrap().read()).collect())
}

fn many(capacity: usize) -> Messages {
    Options::new(capacity).threads::<Watched>().unwrap()
}

fn one(capacity: usize) -> Messages {
    Options::new(capacity).one_producer().one_consumer().threads::<Watched>().unwrap()
}

fn one_pushes_and_one_pops(interruptions: usize, queue: impl Fn() -> Messages + Send + Sync + 'static, count: u64) {
    explore(Some(interruptions), move || {
        let queue = queue();
        let producer = pushes(&queue, 1..=count);
        let mut consumer = consumer(&queue);
        for value in 1..=count {
            assert_eq!(consumer.pop().unwrap().read(), value);
        }
        producer.join().unwrap();
    });
}

#[test]
fn a_push_and_a_pop_wake_each_other_through_one_slot() {
    one_pushes_and_one_pops(3, || many(1), 2);
}

#[test]
fn a_push_and_a_pop_wake_each_other_through_two_slots() {
    one_pushes_and_one_pops(3, || many(2), 3);
}

#[test]
fn one_to_one_a_push_and_a_pop_wake_each_other_through_one_slot() {
    one_pushes_and_one_pops(4, || one(1), 2);
}

#[test]
fn one_to_one_a_push_and_a_pop_wake_each_other_through_two_slots() {
    one_pushes_and_one_pops(3, || one(2), 3);
}

/// Two sleep, and one who was woken wakes the other.
#[test]
fn two_who_wait_for_messages_are_both_woken() {
    explore(Some(1), || {
        let queue = many(2);
        let consumers = [pops(&queue, 1), pops(&queue, 1)];
        let mut producer = producer(&queue);
        for value in [1, 2] {
            assert!(producer.push(watched(value)).is_ok());
        }
        let mut found: Vec<u64> = consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
    });
}

#[test]
fn two_who_wait_for_room_are_both_woken() {
    explore(Some(2), || {
        let queue = many(1);
        let producers = [pushes(&queue, [1]), pushes(&queue, [2])];
        let mut consumer = consumer(&queue);
        let mut found = [consumer.pop().unwrap().read(), consumer.pop().unwrap().read()];
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

/// A batch is one claim and one wake-up, for two who sleep.
#[test]
fn a_batch_wakes_both_who_wait() {
    explore(Some(1), || {
        let queue = many(2);
        let consumers = [pops(&queue, 1), pops(&queue, 1)];
        let mut producer = producer(&queue);
        assert_eq!(producer.push_batch([watched(1), watched(2)]).unwrap(), 2);
        let mut found: Vec<u64> = consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
    });
}

/// One receives in place and drops it: another, who sleeps, gets it.
#[test]
fn what_is_handed_back_wakes_one_who_waits() {
    explore(Some(2), || {
        let queue = many(1);
        let mut producer = producer(&queue);
        assert!(producer.push(watched(1)).is_ok());
        let mut other = consumer(&queue);
        let waits = pops(&queue, 1);
        // Perhaps: the one who waits may have been first. The receipt is dropped at once.
        let _ = other.try_receive().is_ok();
        assert_eq!(waits.join().unwrap(), [1]);
    });
}

fn close_wakes_everybody(queue: fn() -> Messages) {
    explore(Some(3), move || {
        let queue = queue();
        let mut consumer = consumer(&queue);
        let consumer = thread::spawn(move || matches!(consumer.pop(), Err(Error::Closed)));
        queue.close();
        assert!(consumer.join().unwrap());
    });
}

#[test]
fn a_close_wakes_who_waits_for_a_message() {
    close_wakes_everybody(|| many(1));
}

#[test]
fn one_to_one_a_close_wakes_who_waits_for_a_message() {
    close_wakes_everybody(|| one(1));
}

fn close_wakes_a_producer(queue: fn() -> Messages) {
    explore(Some(3), move || {
        let queue = queue();
        let mut producer = producer(&queue);
        assert!(producer.push(watched(1)).is_ok());
        let producer = thread::spawn(move || producer.push(watched(2)).is_err());
        queue.close();
        assert!(producer.join().unwrap());
        assert_eq!(consumer(&queue).pop().unwrap().read(), 1);
    });
}

#[test]
fn a_close_wakes_who_waits_for_room() {
    close_wakes_a_producer(|| many(1));
}

#[test]
fn one_to_one_a_close_wakes_who_waits_for_room() {
    close_wakes_a_producer(|| one(1));
}

/// All at once: a queue of one slot is closed behind two messages, and the consumer leaves with both.
#[test]
fn one_to_one_a_producer_that_closes_has_told_everything() {
    explore(Some(3), || {
        let queue = one(1);
        let mut producer = producer(&queue);
        let producer = thread::spawn(move || {
            for value in [1, 2] {
                assert!(producer.push(watched(value)).is_ok());
            }
            producer.close();
        });
        let mut consumer = consumer(&queue);
        let found: Vec<u64> = consumer.messages().map(|message| message.unwrap().read()).collect();
        assert_eq!(found, [1, 2]);
        producer.join().unwrap();
    });
}
