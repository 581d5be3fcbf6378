//! What members do: calls of every kind, at random, each written down.

use std::thread;
use std::time::Duration;

use handover::{Error, Message, Queue, Wait};

use super::history::{Outcome, What};
use super::log::{BATCH, Diary};
use crate::random::Random;

/// Messages that are plain numbers, between threads and between processes.
pub trait Number: for<'m> Message<Push<'m> = u64, Pop = u64, View = u64> {}
impl<M: for<'m> Message<Push<'m> = u64, Pop = u64, View = u64> + ?Sized> Number for M {}

fn a_wait(random: &mut Random) -> Wait {
    [Wait::Balanced, Wait::Park, Wait::Spin][random.below(3) as usize]
}

fn a_time(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(300))
}

/// Attaches; the place of one that is alone may still be taken by one who just died.
fn attached<H>(attach: impl Fn() -> Result<H, Error>) -> H {
    loop {
        match attach() {
            Ok(handle) => return handle,
            Err(Error::Taken { .. } | Error::TooManyMembers { .. }) => thread::sleep(Duration::from_micros(50)),
            Err(error) => panic!("could not attach: {error}"),
        }
    }
}

fn refusal(error: &Error) -> Outcome {
    match error {
        Error::Full => Outcome::Full,
        Error::Empty => Outcome::Empty,
        Error::Closed => Outcome::Closed,
        other => panic!("refused: {other}"),
    }
}

fn pause(random: &mut Random) {
    match random.below(8) {
        0 => thread::yield_now(),
        1 => thread::sleep(Duration::from_micros(random.below(50))),
        2..=4 => (0..random.below(400)).for_each(|_| std::hint::spin_loop()),
        _ => {}
    }
}

/// Pushes until its diary is full or the queue is closed.
pub fn produce<M: Number + ?Sized>(queue: &Queue<M>, me: usize, mut diary: Diary<'_>, random: &mut Random) {
    let mut producer = attached(|| queue.producer());
    producer.set_wait(a_wait(random));
    let mut next = (me as u64 + 1) << 32;
    // Two for a loan and its end.
    while diary.room() >= 2 {
        let way = random.below(10);
        let most = if (3..=5).contains(&way) { 1 + random.below(BATCH as u64) } else { 1 };
        let messages: Vec<u64> = (next..next + most).collect();
        let first = next;
        next += most;
        let pushed = match way {
            0..=5 => {
                diary.begin(&What::Push(messages.clone()));
                match way {
                    0 => producer.push(first).map(|()| 1).map_err(Error::from),
                    1 => producer.try_push(first).map(|()| 1).map_err(Error::from),
                    2 => producer.push_timeout(first, a_time(random)).map(|()| 1).map_err(Error::from),
                    3 => producer.push_batch(messages),
                    _ => producer.try_push_batch(&mut messages.into_iter().peekable()),
                }
            }
            _ => {
                diary.begin(&What::Loan);
                let loan = match way {
                    6 => producer.loan(),
                    7 => producer.loan_timeout(a_time(random)),
                    _ => producer.try_loan(),
                };
                let error = match loan {
                    Ok(loan) => {
                        diary.end(&Outcome::Done);
                        pause(random);
                        if random.below(3) == 0 {
                            diary.begin(&What::GiveUp);
                            drop(loan);
                        } else {
                            diary.begin(&What::Send(first));
                            loan.put(first).expect("a number fits");
                        }
                        diary.end(&Outcome::Done);
                        pause(random);
                        continue;
                    }
                    Err(error) => error,
                };
                Err(error)
            }
        };
        let outcome = pushed.map_or_else(|error| refusal(&error), Outcome::Pushed);
        diary.end(&outcome);
        if outcome == Outcome::Closed && random.below(2) == 0 {
            return;
        }
        pause(random);
    }
}

/// Takes so many and no more.
struct Keeping {
    most: usize,
    all: Vec<u64>,
}

impl Extend<u64> for Keeping {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, messages: I) {
        self.all.extend(messages.into_iter().take(self.most));
    }
}

/// Pops until its diary is full or the queue is closed and nothing left.
pub fn consume<M: Number + ?Sized>(queue: &Queue<M>, mut diary: Diary<'_>, random: &mut Random) {
    let mut consumer = attached(|| queue.consumer());
    consumer.set_wait(a_wait(random));
    while diary.room() >= 2 {
        let way = random.below(12);
        let most = if (3..=6).contains(&way) { 1 + random.below(BATCH as u64) as usize } else { 1 };
        let outcome = match way {
            0..=6 => {
                let keep = if random.below(4) == 0 { 1 + random.below(most as u64) as usize } else { most };
                diary.begin(&What::Pop { most, keep });
                let mut keeping = Keeping { most: keep, all: Vec::new() };
                let popped = match way {
                    0 => consumer.pop().map(|message| keeping.all.push(message)),
                    1 => consumer.try_pop().map(|message| keeping.all.push(message)),
                    2 => consumer.pop_timeout(a_time(random)).map(|message| keeping.all.push(message)),
                    3 => consumer.pop_batch(&mut keeping, most).map(drop),
                    4 => consumer.pop_batch_timeout(&mut keeping, most, a_time(random)).map(drop),
                    _ => consumer.try_pop_batch(&mut keeping, most).map(drop),
                };
                match popped {
                    Ok(()) => Outcome::Got(keeping.all, consumer.redeliveries()),
                    Err(error) => refusal(&error),
                }
            }
            _ => {
                diary.begin(&What::Receive);
                let received = match way {
                    7 => consumer.receive(),
                    8 => consumer.receive_timeout(a_time(random)),
                    _ => consumer.try_receive(),
                };
                match received {
                    Ok(receipt) => {
                        diary.end(&Outcome::Got(vec![*receipt], receipt.redeliveries()));
                        pause(random);
                        if random.below(3) == 0 {
                            diary.begin(&What::HandBack);
                            drop(receipt);
                        } else {
                            diary.begin(&What::Done);
                            if random.below(2) == 0 {
                                receipt.done();
                            } else {
                                receipt.take().expect("a number");
                            }
                        }
                        Outcome::Done
                    }
                    Err(error) => refusal(&error),
                }
            }
        };
        diary.end(&outcome);
        if outcome == Outcome::Closed {
            return;
        }
        pause(random);
    }
}

/// Takes out all that is left of a closed queue.
pub fn drain<M: Number + ?Sized>(queue: &Queue<M>, mut diary: Diary<'_>) {
    let mut consumer = attached(|| queue.consumer());
    while diary.room() > 0 {
        diary.begin(&What::Pop { most: 1, keep: 1 });
        let outcome = match consumer.pop() {
            Ok(message) => Outcome::Got(vec![message], consumer.redeliveries()),
            Err(error) => refusal(&error),
        };
        diary.end(&outcome);
        if outcome == Outcome::Closed {
            return;
        }
    }
}
