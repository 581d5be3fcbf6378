//! Whether everything that was pushed has come out, once, and the queue is as it was at first.

use std::collections::HashMap;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use handover::Error;

use super::ledger::{IDLE, POPPING, SEEING, TAKEN, TAKEN_ANY, message};
use super::round::{Round, STUCK};
use super::workers::Eater;

impl Round<'_> {
    /// Everybody is dead: takes out what is left, and sees whether all of it balances.
    pub(super) fn balance(&mut self, nth: usize) {
        let what = self.what.clone();
        let (queue, ledger) = (&self.queues[nth], &self.ledgers[nth]);
        let closed = queue.is_closed();
        let mut consumer = queue.consumer().unwrap_or_else(|error| panic!("{what}: let in: {error}"));
        let mut eater = Eater { ledger, me: ledger.workers - 1, last: HashMap::new() };
        let start = Instant::now();
        loop {
            match consumer.try_pop() {
                Ok(message) => eater.took(message, consumer.redeliveries(), "the rest"),
                Err(Error::Empty) if !closed => break,
                Err(Error::Closed) if closed => break,
                Err(Error::Empty) => thread::sleep(Duration::from_micros(500)),
                Err(error) => panic!("{what}: emptying it: {error}"),
            }
            if start.elapsed() > STUCK {
                self.stuck("the rest does not come out");
            }
        }
        drop(consumer);
        let (mut in_doubt, mut unseen) = (Vec::new(), 0);
        for consumer in 0..self.consumers {
            match ledger.doing(consumer, 0).load(SeqCst) {
                POPPING => unseen += 1,
                SEEING => {
                    let count = ledger.doing(consumer, 1).load(SeqCst) as usize;
                    in_doubt.extend((0..count).map(|nth| ledger.doing(consumer, 2 + nth).load(SeqCst)));
                }
                _ => debug_assert_eq!(ledger.doing(consumer, 0).load(SeqCst), IDLE),
            }
        }
        let mut wrong = Vec::new();
        let (mut gone, mut lost, mut messages) = (0, 0, 0);
        for producer in 0..self.producers {
            let (begun, returned) = (ledger.begun(producer).load(SeqCst), ledger.returned(producer).load(SeqCst));
            let mut missing = None;
            for sequence in 0..begun {
                let word = ledger.message(producer, sequence).load(SeqCst);
                let number = (producer as u64) << 32 | sequence;
                let taken = (word & TAKEN_ANY) / TAKEN;
                let told = || {
                    format!(
                        "message {sequence} of producer {producer} ({returned} returned, {begun} begun), word {word:x}"
                    )
                };
                if taken > 1 {
                    wrong.push(format!("taken twice: {}", told()));
                }
                if taken == 1 || in_doubt.contains(&number) {
                    if let Some(missing) = missing {
                        let told = told();
                        wrong.push(format!("came, but {missing} before it in the same claim did not: {told}"));
                    }
                } else if sequence < returned && unseen > gone {
                    gone += 1;
                } else if sequence < returned {
                    lost += 1;
                    wrong.push(format!("lost: {}; {gone} others may be, of {unseen}", told()));
                } else if gone == unseen {
                    // Else it may be one of those that a killed pop took.
                    missing = missing.or(Some(sequence));
                }
            }
            messages += returned;
        }
        let left = queue.len();
        if left != 0 {
            wrong.push(format!("{left} are left of nothing"));
        }
        self.tally.messages += messages;
        self.tally.died_with_who_popped += gone;
        self.tally.lost += lost;
        self.tally.redelivered += ledger.redelivered().load(SeqCst);
        let queue_is_closed = closed;
        for wrong in wrong.into_iter().take(3) {
            self.broken(wrong);
        }
        if !queue_is_closed {
            self.whole(nth);
        }
    }

    /// The queue has its full capacity, and its order.
    fn whole(&mut self, nth: usize) {
        let what = &self.what;
        let queue = &self.queues[nth];
        let (mut producer, mut consumer) = (queue.producer().expect("let in"), queue.consumer().expect("let in"));
        let capacity = queue.capacity() as u64;
        for round in 0..2 {
            let room = (0..capacity).take_while(|n| producer.try_push(message(round << 32 | n)).is_ok()).count() as u64;
            if room != capacity {
                self.tally.leaked += capacity - room;
                self.stuck(&format!("only {room} go in"));
            }
            let refused = producer.try_push(message(0)).map_err(Error::from);
            assert!(matches!(refused, Err(Error::Full)), "{what}: then full");
            for number in 0..capacity {
                match consumer.try_pop() {
                    Ok(popped) if popped == message(round << 32 | number) => {}
                    other => self.stuck(&format!("{other:x?} came as number {number} of {round}")),
                }
            }
            assert!(matches!(consumer.try_pop(), Err(Error::Empty)), "{what}: then empty");
        }
    }
}
