//! The ring of many, among members that live.

use loom::thread;

use super::*;

/// Two push one message each into a ring that is full, a third pops. A ring of one slot goes round in it.
fn two_push_and_one_pops(capacity: u32) {
    explore(Some(3), move || {
        let stage = Stage::new(capacity, true);
        let before: Vec<u64> = (10..10 + u64::from(capacity)).collect();
        assert_eq!(stage.try_push_batch(3, &before), Ok(before.len()));
        let producers = [1, 2].map(|me| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.attempt(1, || stage.try_push(me, u64::from(me))).map(|()| u64::from(me)))
        });
        let mut reader = Reader::new(&stage, 3);
        let mut found = vec![reader.pop(&stage)];
        assert_eq!(found, [10], "first in, first out");
        found.extend(stage.attempt(2, || reader.try_pop(&stage)).map(|(value, _)| value));
        let mut expected: Vec<u64> = producers.into_iter().filter_map(|producer| producer.join().unwrap()).collect();
        expected.extend(before);
        found.extend(stage.drain(&mut reader));
        same(found, &expected);
        stage.is_whole(&mut reader, u64::from(capacity));
    });
}

#[test]
fn two_push_and_one_pops_through_one_slot() {
    two_push_and_one_pops(1);
}

#[test]
fn two_push_and_one_pops_through_two_slots() {
    two_push_and_one_pops(2);
}

/// One pushes behind what is there already, two pop.
fn one_pushes_and_two_pop(capacity: u32) {
    explore(Some(if capacity == 1 { 4 } else { 2 }), move || {
        let stage = Stage::new(capacity, true);
        stage.push(1, 1);
        let consumers = [2, 3].map(|me| {
            let stage = Arc::clone(&stage);
            let mut reader = Reader::new(&stage, me);
            thread::spawn(move || stage.attempt(2, || reader.try_pop(&stage)).map(|(value, _)| value))
        });
        let mut expected = vec![1];
        for value in [2, 3] {
            expected.extend(stage.attempt(1, || stage.try_push(1, value)).map(|()| value));
        }
        let mut found: Vec<u64> = consumers.into_iter().filter_map(|consumer| consumer.join().unwrap()).collect();
        let mut reader = Reader::new(&stage, 4);
        found.extend(stage.drain(&mut reader));
        same(found, &expected);
        stage.is_whole(&mut reader, u64::from(capacity));
    });
}

#[test]
fn one_pushes_and_two_pop_through_one_slot() {
    one_pushes_and_two_pop(1);
}

#[test]
fn one_pushes_and_two_pop_through_two_slots() {
    one_pushes_and_two_pop(2);
}

/// The same among threads, who keep no records, and with any number of interruptions.
#[test]
fn a_slot_goes_round_between_two() {
    explore(None, || {
        let stage = Stage::new(1, false);
        let theirs = Arc::clone(&stage);
        let producer = thread::spawn(move || {
            theirs.push(0, 1);
            theirs.push(0, 2);
        });
        let mut reader = Reader::new(&stage, 0);
        assert_eq!((reader.pop(&stage), reader.pop(&stage)), (1, 2));
        producer.join().unwrap();
    });
}

/// A batch of two and a single message, popped in batches: those of one claim stay together.
#[test]
fn a_batch_of_two_stays_together_against_a_single_push() {
    explore(Some(3), || {
        let stage = Stage::new(2, true);
        stage.push(3, 9);
        let theirs = Arc::clone(&stage);
        let batch = thread::spawn(move || theirs.attempt(2, || theirs.try_push_batch(1, &[1, 2])).unwrap_or(0));
        let theirs = Arc::clone(&stage);
        let single = thread::spawn(move || theirs.attempt(1, || theirs.try_push(2, 3)).is_some());
        let mut reader = Reader::new(&stage, 3);
        let mut found = stage.until(|| reader.try_pop_batch(&stage, 2));
        found.extend(stage.attempt(1, || reader.try_pop_batch(&stage, 2)).unwrap_or_default());
        let (together, single) = (batch.join().unwrap(), single.join().unwrap());
        found.extend(stage.drain(&mut reader));
        assert_eq!(found[0], 9, "first in, first out");
        let at = |value| found.iter().position(|found| *found == value);
        if together == 2 {
            assert_eq!(at(2), at(1).map(|at| at + 1), "{found:?}");
        }
        let mut expected: Vec<u64> = (1..=together as u64).chain([9]).collect();
        expected.extend(single.then_some(3));
        same(found, &expected);
        stage.is_whole(&mut reader, 2);
    });
}

/// A batch is popped by one while another pops singly, and a producer writes to the slots that come free.
#[test]
fn a_batch_that_is_popped_leaves_its_slots_to_the_next_push() {
    explore(Some(2), || {
        let stage = Stage::new(2, true);
        assert_eq!(stage.try_push_batch(1, &[1, 2]), Ok(2));
        let theirs = Arc::clone(&stage);
        let producer = thread::spawn(move || theirs.attempt(2, || theirs.try_push(1, 3)).is_some());
        let theirs = Arc::clone(&stage);
        let single = thread::spawn(move || {
            theirs.attempt(1, || Reader::new(&theirs, 2).try_pop(&theirs)).map(|(value, _)| value)
        });
        let mut reader = Reader::new(&stage, 3);
        let mut found = stage.attempt(1, || reader.try_pop_batch(&stage, 2)).unwrap_or_default();
        found.extend(single.join().unwrap());
        let pushed = producer.join().unwrap();
        found.extend(stage.drain(&mut reader));
        same(found, if pushed { &[1, 2, 3] } else { &[1, 2] });
        stage.is_whole(&mut reader, 2);
    });
}

/// A loan is dropped, and two step over what it leaves; a message comes behind it.
fn a_dropped_loan(capacity: u32) {
    explore(Some(2), move || {
        let stage = Stage::new(capacity, true);
        let theirs = Arc::clone(&stage);
        let other = thread::spawn(move || {
            let mut reader = Reader::new(&theirs, 2);
            theirs.attempt(2, || reader.try_pop(&theirs)).map(|(value, _)| value)
        });
        let loan = stage.ring.claim_push(Owner(1), 1).unwrap();
        stage.ring.record_push(Owner(1), &loan);
        write(stage.ring.message(&loan, 0), 99);
        stage.ring.publish(&loan, 0);
        let mut reader = Reader::new(&stage, 3);
        let mut found: Vec<u64> =
            stage.attempt(1, || reader.try_pop(&stage)).map(|(value, _)| value).into_iter().collect();
        let pushed = stage.attempt(1, || stage.try_push(1, 7)).is_some();
        found.extend(other.join().unwrap());
        found.extend(stage.drain(&mut reader));
        same(found, if pushed { &[7] } else { &[] });
        stage.is_whole(&mut reader, u64::from(capacity));
    });
}

#[test]
fn a_dropped_loan_is_stepped_over_by_two_in_one_slot() {
    a_dropped_loan(1);
}

#[test]
fn a_dropped_loan_is_stepped_over_by_two_in_two_slots() {
    a_dropped_loan(2);
}

/// One message is handed back while another consumer pops, and while a producer waits for its slot. Who has seen the
/// notice and found no orphan must not have missed one.
#[test]
fn what_is_handed_back_is_found_by_the_next() {
    explore(Some(3), || {
        let stage = Stage::new(1, true);
        stage.push(1, 1);
        let theirs = Arc::clone(&stage);
        let consumer = thread::spawn(move || {
            let mut reader = Reader::new(&theirs, 2);
            let found = theirs.attempt(2, || reader.try_pop(&theirs));
            (reader, found)
        });
        let theirs = Arc::clone(&stage);
        let producer = thread::spawn(move || theirs.attempt(1, || theirs.try_push(1, 2)).is_some());
        let mut first = Reader::new(&stage, 3);
        let mut held = None;
        if let Some(run) = stage.attempt(1, || first.claim(&stage, 1)) {
            stage.ring.record_pop(first.me, &run);
            held = Some(read(stage.ring.message(&run, 0)));
            stage.ring.hand_back(&run, 0);
        }
        let (mut reader, popped) = consumer.join().unwrap();
        let pushed = producer.join().unwrap();
        let mut found: Vec<u64> = popped.iter().map(|(value, _)| *value).collect();
        if let (Some(1), Some((1, deliveries))) = (held, popped) {
            assert_eq!(deliveries, 1, "it was handed out before, and comes unmarked");
        }
        // The consumer that was there remembers the notice: it may not have forgotten the orphan.
        found.extend(stage.drain(&mut reader));
        same(found, if pushed { &[1, 2] } else { &[1] });
        stage.is_whole(&mut reader, 1);
    });
}

/// Of a batch only the first message is taken: the other is handed back.
#[test]
fn what_is_left_of_a_batch_is_handed_back() {
    explore(Some(3), || {
        let stage = Stage::new(2, true);
        assert_eq!(stage.try_push_batch(1, &[1, 2]), Ok(2));
        let theirs = Arc::clone(&stage);
        let consumer = thread::spawn(move || {
            let mut reader = Reader::new(&theirs, 2);
            let found = theirs.attempt(2, || reader.try_pop(&theirs));
            (reader, found)
        });
        let theirs = Arc::clone(&stage);
        let producer = thread::spawn(move || theirs.attempt(2, || theirs.try_push(1, 3)).is_some());
        let mut first = Reader::new(&stage, 3);
        let mut found = Vec::new();
        if let Some(run) = stage.attempt(1, || first.claim(&stage, 2)) {
            found.extend((0..run.count).map(|nth| read(stage.ring.message(&run, nth))).take(1));
            stage.ring.hand_back(&run, 1);
        }
        let (mut reader, popped) = consumer.join().unwrap();
        found.extend(popped.map(|(value, _)| value));
        let pushed = producer.join().unwrap();
        found.extend(stage.drain(&mut reader));
        same(found, if pushed { &[1, 2, 3] } else { &[1, 2] });
        stage.is_whole(&mut reader, 2);
    });
}

/// One closes while one pushes and one pops until it is told that nothing is left: what was pushed was popped.
fn close_against_push_and_pop(capacity: u32) {
    explore(Some(3), move || {
        let stage = Stage::new(capacity, true);
        let theirs = Arc::clone(&stage);
        let producer = thread::spawn(move || {
            let mut pushed = Vec::new();
            for value in [1, 2] {
                match theirs.try_push(1, value) {
                    Ok(()) => pushed.push(value),
                    Err(Refusal::Nothing | Refusal::Held) => {}
                    Err(Refusal::Closed) => {
                        assert!(theirs.ring.is_closed());
                        break;
                    }
                    Err(fault) => panic!("{fault:?}"),
                }
            }
            pushed
        });
        let theirs = Arc::clone(&stage);
        let closer = thread::spawn(move || theirs.ring.close());
        let mut reader = Reader::new(&stage, 2);
        let mut found = Vec::new();
        loop {
            match reader.try_pop(&stage) {
                Ok((value, _)) => found.push(value),
                Err(Refusal::Closed) => break,
                Err(Refusal::Nothing | Refusal::Held | Refusal::Draining) => thread::yield_now(),
                Err(fault) => panic!("{fault:?}"),
            }
        }
        let pushed = producer.join().unwrap();
        closer.join().unwrap();
        assert_eq!(found, pushed, "told that nothing is left, or out of order");
    });
}

#[test]
fn a_close_against_push_and_pop_through_one_slot() {
    close_against_push_and_pop(1);
}

#[test]
fn a_close_against_push_and_pop_through_two_slots() {
    close_against_push_and_pop(2);
}

/// Nobody is told that all is over while another may yet hand something back.
#[test]
fn nobody_leaves_a_closed_ring_before_the_last_message_is_done_with() {
    explore(Some(3), || {
        let stage = Stage::new(1, true);
        stage.push(1, 1);
        let theirs = Arc::clone(&stage);
        let hands_back = thread::spawn(move || {
            let mut reader = Reader::new(&theirs, 2);
            if let Some(run) = theirs.attempt(1, || match reader.claim(&theirs, 1) {
                Err(Refusal::Closed) => Err(Refusal::Nothing),
                other => other,
            }) {
                theirs.ring.record_pop(reader.me, &run);
                theirs.ring.hand_back(&run, 0);
            }
        });
        let theirs = Arc::clone(&stage);
        let closer = thread::spawn(move || theirs.ring.close());
        let mut reader = Reader::new(&stage, 3);
        let mut found = Vec::new();
        loop {
            match reader.try_pop(&stage) {
                Ok((value, _)) => found.push(value),
                Err(Refusal::Closed) => break,
                Err(Refusal::Nothing | Refusal::Held | Refusal::Draining) => thread::yield_now(),
                Err(fault) => panic!("{fault:?}"),
            }
        }
        hands_back.join().unwrap();
        closer.join().unwrap();
        same(found, &[1]);
    });
}
