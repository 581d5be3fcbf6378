//! What producers and consumers do, and write down, until they are killed.

use std::collections::HashMap;
use std::panic;
use std::process;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use handover::{Consumer, Error, Producer, Queue, Wait};

use super::ledger::{
    BATCH, FRESH, IDLE, LAST, Ledger, MARKED, Message, POISON, POPPING, SEEING, TAKEN, TAKEN_ANY, message,
};
use crate::random::Random;

/// What an iterator throws in the midst of a batch.
pub(super) const THROWN: &str = "an iterator's panic";

/// Says it past the standard library, of which the fork may have copied a lock, and ends.
pub(super) fn wrong(what: &str) -> ! {
    let line = format!("\nworker {}: {what}\n", process::id());
    // SAFETY: writes a string to the standard error stream and leaves.
    unsafe {
        libc::write(2, line.as_ptr().cast(), line.len());
        libc::_exit(3)
    }
}

pub(super) fn leave() -> ! {
    // SAFETY: leaves without running what the fork copied from the driver.
    unsafe { libc::_exit(0) }
}

pub(super) fn a_wait(random: &mut Random) -> Wait {
    [Wait::Balanced, Wait::Balanced, Wait::Park, Wait::Spin][random.below(4) as usize]
}

pub(super) fn a_time(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(3000))
}

/// Attaches; a place for one may still be taken, and a table full of the dead is cleared by attaching.
pub(super) fn attached<H>(attach: impl Fn() -> Result<H, Error>) -> H {
    loop {
        match attach() {
            Ok(handle) => return handle,
            Err(Error::Taken { .. } | Error::TooManyMembers { .. }) => thread::sleep(Duration::from_micros(100)),
            Err(error) => wrong(&format!("could not attach: {error}")),
        }
    }
}

/// Numbers that promise nothing of their length.
fn unforeseen(range: impl Iterator<Item = Message>) -> impl Iterator<Item = Message> {
    range.filter(|_| true)
}

/// Pushes in every way until it has pushed its last, or the queue is closed.
pub(super) fn produce(queue: &Queue<Message>, ledger: &Ledger, me: usize, random: &mut Random) {
    let mut producer: Producer<Message> = attached(|| queue.producer());
    producer.set_wait(a_wait(random));
    let (begun, returned) = (ledger.begun(me), ledger.returned(me));
    let number = |sequence: u64| message((me as u64) << 32 | sequence);
    let mut next = 0;
    while next < LAST {
        let most = (LAST - next).min(1 + random.below(BATCH as u64));
        let way = random.below(12);
        begun.store(if (3..=6).contains(&way) { next + most } else { next + 1 }, SeqCst);
        let messages = (next..next + most).map(number);
        let pushed = match way {
            0 => producer.push(number(next)).map(|()| 1).map_err(Error::from),
            1 => producer.try_push(number(next)).map(|()| 1).map_err(Error::from),
            2 => producer.push_timeout(number(next), a_time(random)).map(|()| 1).map_err(Error::from),
            3 => producer.push_batch(messages).map(|all| all as u64),
            4 => producer.push_batch(unforeseen(messages)).map(|all| all as u64),
            5 => producer.try_push_batch(&mut messages.peekable()).map(|some| some as u64),
            6 => {
                let messages = messages.chain(std::iter::once_with(|| panic!("{THROWN}")));
                let caught = panic::catch_unwind(panic::AssertUnwindSafe(|| producer.push_batch(messages)));
                match caught {
                    Err(_) => Ok(most),
                    Ok(Err(error)) => Err(error),
                    Ok(Ok(_)) => wrong("a panic got lost"),
                }
            }
            7 => producer.loan().map(|mut loan| {
                *loan = number(next);
                loan.send();
                1
            }),
            8 => producer.loan_timeout(a_time(random)).map(|mut loan| {
                *loan = message(POISON);
                drop(loan);
                0
            }),
            9 => producer.try_loan().map(|mut loan| {
                *loan = message(POISON);
                *loan = number(next);
                loan.send();
                1
            }),
            10 if random.below(8) == 0 => {
                let forgotten = producer.loan_timeout(a_time(random)).map(|mut loan| {
                    *loan = message(POISON);
                    std::mem::forget(loan);
                    0
                });
                drop(producer);
                producer = attached(|| queue.producer());
                producer.set_wait(a_wait(random));
                forgotten
            }
            _ => {
                if random.below(8) == 0 {
                    drop(producer);
                    producer = attached(|| queue.producer());
                    producer.set_wait(a_wait(random));
                }
                Ok(0)
            }
        };
        match pushed {
            Ok(pushed) => {
                next += pushed;
                returned.store(next, SeqCst);
                ledger.progress().fetch_add(pushed, SeqCst);
            }
            Err(Error::Full) => {}
            // Of a batch a part may have been pushed: that stays open, as if we had been killed.
            Err(Error::Closed) => return,
            Err(error) => wrong(&format!("a push failed: {error}")),
        }
    }
}

/// Writes down what it is shown before the queue lets go of it.
struct Seeing<'a> {
    ledger: &'a Ledger,
    me: usize,
    all: Vec<Message>,
}

impl Extend<Message> for Seeing<'_> {
    fn extend<I: IntoIterator<Item = Message>>(&mut self, messages: I) {
        for message in messages {
            self.ledger.doing(self.me, 2 + self.all.len()).store(message[0], SeqCst);
            self.all.push(message);
            self.ledger.doing(self.me, 1).store(self.all.len() as u64, SeqCst);
        }
    }
}

pub(super) struct Eater<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) me: usize,
    /// Of each producer, what came last unmarked.
    pub(super) last: HashMap<u64, u64>,
}

impl Eater<'_> {
    /// A message came; its word, and whether all is as it should be.
    fn came(&mut self, came: Message, redeliveries: u32, how: &str) -> &AtomicU32 {
        if came != message(came[0]) {
            wrong(&format!("{how}: half a message: {came:x?}"));
        }
        let (producer, sequence) = (came[0] >> 32, came[0] & 0xffff_ffff);
        if came[0] == POISON {
            wrong(&format!("{how}: a loan that was not sent came out"));
        }
        if producer as usize >= self.ledger.workers || sequence >= self.ledger.begun(producer as usize).load(SeqCst) {
            wrong(&format!("{how}: message {sequence} of producer {producer} was never pushed"));
        }
        let word = self.ledger.message(producer as usize, sequence);
        let before = word.fetch_add(if redeliveries == 0 { FRESH } else { MARKED }, SeqCst);
        let told =
            || format!("message {sequence} of producer {producer}, redeliveries {redeliveries}, word {before:x}");
        if before & TAKEN_ANY != 0 {
            self.ledger.doubled().fetch_add(1, SeqCst);
            wrong(&format!("{how}: comes after it was taken: {}", told()));
        }
        if redeliveries == 0 {
            if before != 0 {
                self.ledger.doubled().fetch_add(1, SeqCst);
                wrong(&format!("{how}: comes twice unmarked: {}", told()));
            }
            if let Some(last) = self.last.insert(producer, sequence)
                && last >= sequence
            {
                wrong(&format!("{how}: comes after {last}: {}", told()));
            }
        } else {
            self.ledger.redelivered().fetch_add(1, SeqCst);
        }
        word
    }

    pub(super) fn took(&mut self, came: Message, redeliveries: u32, how: &str) {
        self.came(came, redeliveries, how).fetch_add(TAKEN, SeqCst);
        self.ledger.progress().fetch_add(1, SeqCst);
    }

    fn doing(&self, what: u64) {
        if what != IDLE {
            self.ledger.doing(self.me, 1).store(0, SeqCst);
        }
        self.ledger.doing(self.me, 0).store(what, SeqCst);
    }
}

/// Pops in every way until the queue is closed and nothing is left.
pub(super) fn consume(queue: &Queue<Message>, ledger: &Ledger, me: usize, random: &mut Random) {
    let mut consumer: Consumer<Message> = attached(|| queue.consumer());
    consumer.set_wait(a_wait(random));
    let mut eater = Eater { ledger, me, last: HashMap::new() };
    loop {
        let way = random.below(16);
        let most = 1 + random.below(BATCH as u64) as usize;
        let time = a_time(random);
        eater.doing(if way < 3 { POPPING } else { SEEING });
        let result = match way {
            0..=2 => {
                let popped = match way {
                    0 => consumer.pop(),
                    1 => consumer.try_pop(),
                    _ => consumer.pop_timeout(time),
                };
                popped.map(|message| eater.took(message, consumer.redeliveries(), "pop"))
            }
            3..=8 => {
                let mut seeing = Seeing { ledger, me, all: Vec::with_capacity(BATCH) };
                let popped = match way {
                    3 => consumer.try_pop_batch(&mut seeing, most),
                    4 => consumer.pop_batch_timeout(&mut seeing, most, time),
                    5 | 6 => consumer.pop_batch(&mut seeing, 1),
                    _ => consumer.pop_batch(&mut seeing, most),
                };
                popped.map(|count| {
                    if count != seeing.all.len() || count == 0 || consumer.redeliveries() > 0 && count > 1 {
                        wrong(&format!("a batch of {count}, shown {}", seeing.all.len()));
                    }
                    for message in seeing.all {
                        eater.took(message, consumer.redeliveries(), "pop_batch");
                    }
                })
            }
            _ => {
                let received = match way {
                    9 | 10 => consumer.try_receive(),
                    11 | 12 => consumer.receive_timeout(time),
                    _ => consumer.receive(),
                };
                let mut forgotten = false;
                let done = received.map(|receipt| {
                    let message = *receipt;
                    let seeing = &mut Seeing { ledger, me, all: Vec::new() };
                    let end = random.below(16);
                    if end < 13 {
                        seeing.extend([message]);
                    }
                    let word = eater.came(message, receipt.redeliveries(), "receive");
                    match end {
                        0..=8 => receipt.done(),
                        9..=12 => match receipt.take() {
                            Ok(taken) if taken == message => {}
                            other => wrong(&format!("took {other:x?}, was {message:x?}")),
                        },
                        13 => {
                            forgotten = true;
                            return std::mem::forget(receipt);
                        }
                        _ => return drop(receipt),
                    }
                    word.fetch_add(TAKEN, SeqCst);
                    ledger.progress().fetch_add(1, SeqCst);
                });
                if forgotten {
                    drop(consumer);
                    consumer = attached(|| queue.consumer());
                    consumer.set_wait(a_wait(random));
                }
                done
            }
        };
        eater.doing(IDLE);
        match result {
            Ok(()) | Err(Error::Empty) => {}
            Err(Error::Closed) => return,
            Err(error) => wrong(&format!("a pop failed: {error}")),
        }
        if random.below(200) == 0 {
            drop(consumer);
            consumer = attached(|| queue.consumer());
            consumer.set_wait(a_wait(random));
        }
    }
}
