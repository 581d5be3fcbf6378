//! Messages of serde types.

#![cfg(feature = "serde")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::handed_over;
use handover::{Error, Options, Postcard, Queue};

#[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq, Clone)]
struct Job {
    name: String,
    steps: Vec<u16>,
}

#[test]
fn any_serde_type() {
    let queue = Options::new(4).message_max(20).anonymous::<Postcard<Job>>().expect("memory");
    let (mut producer, mut consumer) = (queue.producer().expect("one"), queue.consumer().expect("one"));
    let job = Job { name: "copy".into(), steps: vec![1, 2, 300] };
    producer.push(&job).expect("room");
    producer.loan().expect("room").put(&job).expect("sent");
    let receipt = consumer.receive().expect("it");
    assert_eq!((&*receipt, receipt.redeliveries()), (&job, 0));
    drop(receipt);
    assert_eq!(consumer.pop().expect("again"), job);
    assert_eq!(consumer.redeliveries(), 1);
    assert_eq!(consumer.pop().expect("the second"), job);
    let long = Job { name: "a name that takes more than there is".into(), steps: vec![] };
    assert!(matches!(producer.push(&long).map_err(Error::from), Err(Error::TooLong { max: 20, .. })));
}

#[test]
fn a_serde_queue_is_not_one_of_bytes() {
    let queue = Options::new(4).message_max(20).anonymous::<Postcard<Job>>().expect("memory");
    let shared = queue.share().expect("shared");
    assert!(matches!(handed_over!(Queue::<[u8]>, &shared), Err(Error::MessageType { .. })));
    assert!(matches!(handed_over!(Queue::<Postcard<String>>, &shared), Err(Error::MessageType { .. })));
    assert!(handed_over!(Queue::<Postcard<Job>>, &shared).is_ok());
}

#[test]
fn a_message_that_can_not_be_decoded_is_an_error_and_gone() {
    // Two programs that disagree on what a `Job` is.
    mod other {
        #[derive(serde::Serialize, serde::Deserialize)]
        pub struct Job(pub u8, pub u8);
    }
    let queue = Options::new(4).message_max(20).anonymous::<Postcard<other::Job>>().expect("memory");
    let same = handed_over!(Queue::<Postcard<Job>>, queue.share().expect("shared")).expect("the names are the same");
    let mut producer = queue.producer().expect("one");
    let mut consumer = same.consumer().expect("one");
    producer.push(&other::Job(200, 200)).expect("room");
    producer.push(&other::Job(200, 200)).expect("room");
    assert!(matches!(consumer.pop(), Err(Error::Message { .. })));
    assert!(matches!(consumer.receive().map(drop), Err(Error::Message { .. })));
    assert!(matches!(consumer.try_pop(), Err(Error::Empty)));
}

/// Panics when it is decoded from an odd number.
#[derive(serde::Serialize, Debug, PartialEq)]
struct Fussy(u32);

impl<'de> serde::Deserialize<'de> for Fussy {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Fussy, D::Error> {
        let number = u32::deserialize(from)?;
        assert!(number.is_multiple_of(2), "{number} is odd");
        Ok(Fussy(number))
    }
}

#[test]
fn a_panic_while_a_message_is_decoded_holds_nobody_up() {
    for options in [Options::new(3), Options::new(3).one_producer().one_consumer()] {
        let queue = options.anonymous::<Postcard<Fussy>>().expect("memory");
        let (mut producer, mut consumer) = (queue.producer().expect("one"), queue.consumer().expect("one"));
        [1, 2].iter().for_each(|number| producer.try_push(&Fussy(*number)).expect("room"));
        // Received, it was not finished, and comes again; popped, it is gone.
        for _ in 0..2 {
            assert!(catch_unwind(AssertUnwindSafe(|| consumer.try_receive().map(drop))).is_err());
        }
        assert!(catch_unwind(AssertUnwindSafe(|| consumer.try_pop())).is_err());
        assert_eq!(consumer.redeliveries(), 2);
        assert_eq!(consumer.try_pop().expect("the next"), Fussy(2));
        // In a batch, the one is gone and those behind it come again.
        [4, 5, 6].iter().for_each(|number| producer.try_push(&Fussy(*number)).expect("room"));
        let mut got = Vec::new();
        assert!(catch_unwind(AssertUnwindSafe(|| consumer.try_pop_batch(&mut got, 3))).is_err());
        assert_eq!(got, [Fussy(4)]);
        assert_eq!(consumer.try_pop().expect("the last"), Fussy(6));
        assert!(matches!(consumer.try_pop(), Err(Error::Empty)));
    }
}
