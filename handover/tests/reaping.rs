//! A search for the dead that is itself held up.

mod common;

use std::thread;
use std::time::Duration;

use common::{Child, Name, say, task};
use handover::{Options, Queue};

type Message = [u64; 4];

const BATCH: u64 = 64;

fn message(number: u64) -> Message {
    [number; 4]
}

#[test]
fn child() {
    let Some((_, words)) = task() else { return };
    let queue = Queue::<Message>::open(&words[0]).expect("the parent made it");
    let mut consumer = queue.consumer().expect("room for a member");
    say("attached");
    // It looks for the dead whenever it has waited for a while.
    while consumer.pop().is_ok() {}
}

#[test]
fn a_member_that_is_stopped_while_it_reaps_robs_nobody_who_came_since() {
    let name = Name::new();
    // So long that to look through all slots takes a while, and the messages of the test lie at the end of it.
    let queue = Options::new(1 << 19).members(8).create::<Message>(&name).expect("a new name");
    let mut producer = queue.producer().expect("let in");
    let mut consumer = queue.consumer().expect("let in");
    let mut popped = Vec::with_capacity(BATCH as usize);
    for _ in 0..(1 << 19) / BATCH as usize - 8 {
        producer.push_batch((0..BATCH).map(message)).expect("room");
        popped.clear();
        consumer.pop_batch(&mut popped, BATCH as usize).expect("messages");
    }
    drop(consumer);
    let mut reaper = Child::start(&format!("be-a-member {}", &*name));
    assert_eq!(reaper.hear(), "attached");
    for round in 0..40 {
        let mut dead = Child::start(&format!("be-a-member {}", &*name));
        assert_eq!(dead.hear(), "attached");
        dead.kill();
        dead.wait();
        thread::sleep(Duration::from_micros(2000 + round * 2749 % 8000));
        reaper.stop();
        // Whoever comes now is given the dead one's number.
        let mut consumer = queue.consumer().expect("let in");
        producer.push(message(round)).expect("room");
        let receipt = consumer.receive_timeout(Duration::from_secs(2)).unwrap_or_else(|error| {
            panic!("the other consumer is stopped, and yet (round {round}): {error}; {queue:?}, {:#?}", queue.members())
        });
        reaper.resume();
        thread::sleep(Duration::from_millis(15));
        receipt.done();
        assert_eq!(queue.counts().redelivered, 0, "a message was taken from a living member's hands (round {round})");
    }
}
