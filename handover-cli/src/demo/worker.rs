//! What a process of the demo does.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

use handover::{Error, Queue};

use super::Part;
use super::ledger::{KILLS, Ledger, Line, Message, Order, PRODUCERS, State, add};
use crate::system::child::{self, Parent};
use crate::system::{clock, signals};
use crate::trouble::Trouble;

/// The longest that a consumer waits before it looks at its orders again.
const LOOK: Duration = Duration::from_millis(20);

/// Pushes, or receives, until the queue is closed.
pub(crate) fn play(part: Part, number: usize, parent: &Parent) -> Result<(), Trouble> {
    // Nobody would end us if the demo itself were killed.
    if !parent.end_with()? {
        return Ok(());
    }
    // Ctrl-C reaches every process of the terminal: the demo, which ends the others, sees to it.
    signals::leave_to_others(signals::KEYS)?;

    // Both come without a name: nothing has to be cleaned up, whoever dies.
    let queue = child::queue::<Message>(parent.handed(0)?)?;
    let ledger = Ledger::over(child::memory(parent.handed(1)?)?);
    match part {
        Part::Producer => produce(&queue, &ledger, number),
        Part::Consumer => consume(&queue, &ledger, number),
    }
}

fn produce(queue: &Queue<Message>, ledger: &Ledger, number: usize) -> Result<(), Trouble> {
    let line = ledger.line(number);
    let mut producer = queue.producer()?;
    let mut sequence = 0;
    loop {
        match line.order() {
            Order::Work if sequence < ledger.most() => {}
            Order::Hold => {
                // Half of a message: whoever gets to see it finds it out.
                let mut loan = producer.loan()?;
                loan.producer = number as u64;
                loan.sequence = sequence;
                hold(line);
            }
            Order::Work | Order::Pause => {
                line.say(State::Paused);
                thread::sleep(Duration::from_millis(1));
                if queue.is_closed() {
                    return Ok(());
                }
                continue;
            }
        }
        line.say(State::Working);
        match producer.push(Message::new(number, sequence)).map_err(Error::from) {
            Ok(()) => sequence += 1,
            Err(Error::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        line.done().store(sequence, Release);
    }
}

fn consume(queue: &Queue<Message>, ledger: &Ledger, number: usize) -> Result<(), Trouble> {
    let line = ledger.line(PRODUCERS + number);
    let mut consumer = queue.consumer()?;
    let mut kills = ledger.kills().load(Acquire);
    loop {
        if line.order() == Order::Pause {
            line.say(State::Paused);
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        line.say(State::Working);
        let message = match consumer.receive_timeout(LOOK) {
            Ok(message) => message,
            Err(Error::Empty) => continue,
            Err(Error::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if ledger.kills().load(Relaxed) != kills {
            let time = clock::now();
            let seen = ledger.kills().load(Acquire);
            for kill in kills..seen.min(KILLS as u64) {
                line.through(kill as usize).store(time, Release);
            }
            kills = seen;
        }
        match (ledger.came(&message), message.redeliveries()) {
            (None, _) => add(line.torn(), 1),
            (Some(true), 0) => add(line.doubled(), 1),
            (Some(_), 1..) => add(line.redelivered(), 1),
            (Some(false), 0) => {}
        }
        if line.order() == Order::Hold {
            hold(line);
        }
        message.done();
        add(line.done(), 1);
    }
}

/// Stands still, until killed.
fn hold(line: Line<'_>) -> ! {
    line.say(State::Holding);
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}
