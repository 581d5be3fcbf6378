//! `handover demo`: real processes on one queue, some of them killed in mid-flight, and a ledger at the end.
//!
//! [`ledger`] is what is written down, [`worker`] what the processes do; here is the play: who is started, who is
//! killed when, and whether the ledger adds up.

mod ledger;
mod worker;

use std::fmt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use handover::{Error, Options, Queue};

use self::ledger::{CONSUMERS, KILLS, Ledger, Message, Order, PRODUCERS, State, WORKERS};
use crate::numbers::{self, grouped};
use crate::screen::Screen;
use crate::system::child::{self, Handed};
use crate::system::{clock, signals};
use crate::trouble::Trouble;

pub(crate) use self::worker::play;

pub(crate) const EXAMPLE: &str = "\
Four producers and four consumers, each a process of its own, share one queue. Two of either are killed (SIGKILL; TerminateProcess on Windows): one
producer in the midst of a push, one consumer with a message in its hands, and one of each wherever it happens to be.
Nobody takes their place. The ledger at the end is kept outside of the queue: every message is accounted for.

Example:
  handover demo --seconds 3

Exit status: 0 every promise held, 1 one was broken, 130 interrupted.";

const CAPACITY: usize = 1024;
/// The ledger has room for so many messages a second of each producer.
const MOST_A_SECOND: u64 = 1 << 23;
/// How often the rates are shown.
const HALF_A_SECOND: Duration = Duration::from_millis(500);
/// A held-up process that has not gone on by then never will.
const STUCK: Duration = Duration::from_secs(10);
/// How long a process stands still before it is killed: time enough for the others to pile up behind it.
const PILE_UP: Duration = Duration::from_millis(30);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Producer,
    Consumer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Producer => "producer",
            Part::Consumer => "consumer",
        })
    }
}

/// A process of the demo. Dropped, it is killed: none outlives the demo, however that ends.
struct Worker {
    part: Part,
    number: usize,
    child: Child,
    /// How it ended, if it has.
    ended: Option<ExitStatus>,
    /// Killed by us.
    killed: bool,
}

impl Worker {
    fn start(part: Part, number: usize, handed: &[Handed]) -> Result<Worker, Trouble> {
        let mut command = Command::new(child::this_program()?);
        command.args(["demo-process", &part.to_string(), &number.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        child::hand_over(&mut command, handed)?;
        let child = command.spawn()?;
        Ok(Worker { part, number, child, ended: None, killed: false })
    }

    /// Its line in the ledger.
    fn index(&self) -> usize {
        self.number + if self.part == Part::Producer { 0 } else { PRODUCERS }
    }

    fn lives(&self) -> bool {
        self.ended.is_none() && !self.killed
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (pid {})", self.part, self.number + 1, self.child.id())
    }
}

/// Plays the demo. An error if a promise was broken.
pub(crate) fn run(seconds: u64) -> Result<(), Trouble> {
    let interrupted = Arc::default();
    signals::note(signals::ENDINGS, &interrupted)?;
    let _bond = child::Bond::tie()?;
    let queue = Options::new(CAPACITY).anonymous::<Message>()?;
    let ledger = Ledger::new(seconds * MOST_A_SECOND)?;
    let mut demo = Demo {
        queue,
        ledger,
        crew: Vec::with_capacity(WORKERS),
        screen: Screen::new(),
        interrupted,
        begun: Instant::now(),
        shown: Shown { at: Instant::now(), sent: 0, received: 0 },
        kills: 0,
    };
    demo.play(Duration::from_secs(seconds))
}

struct Demo {
    queue: Queue<Message>,
    ledger: Ledger,
    crew: Vec<Worker>,
    screen: Screen,
    interrupted: Arc<AtomicUsize>,
    begun: Instant,
    shown: Shown,
    kills: usize,
}

/// The numbers that were shown last.
struct Shown {
    at: Instant,
    sent: u64,
    received: u64,
}

impl Demo {
    fn play(&mut self, time: Duration) -> Result<(), Trouble> {
        self.screen.line(&format!(
            "{PRODUCERS} producers and {CONSUMERS} consumers, each a process, on a queue of {} messages",
            grouped(CAPACITY as u64)
        ))?;
        let handed = [Handed::new(self.queue.share()?), Handed::new(self.ledger.memory().share()?)];
        for (part, count) in [(Part::Producer, PRODUCERS), (Part::Consumer, CONSUMERS)] {
            for number in 0..count {
                self.crew.push(Worker::start(part, number, &handed)?);
            }
        }
        self.begun = Instant::now();
        self.shown.at = self.begun;

        let fifth = time / 5;
        self.flow_until(fifth)?;
        self.kill_holding(Part::Producer)?;
        self.flow_until(2 * fifth)?;
        self.kill_holding(Part::Consumer)?;
        self.flow_until(3 * fifth)?;
        self.kill_anywhere(Part::Producer)?;
        self.flow_until(4 * fifth)?;
        self.kill_anywhere(Part::Consumer)?;
        self.flow_until(time)?;

        let filled = self.fill_to_the_last_slot()?;
        // So that it is closed in full flight.
        self.order_all(Order::Work);
        self.flow_until(self.begun.elapsed() + fifth / 4)?;
        self.queue.close();
        self.wait_for("the others to drain the closed queue and leave", |demo| demo.crew.iter().all(|w| !w.lives()))?;
        self.screen.line("closed in full flight: producers refused, consumers drained it and were told\n")?;
        self.settle_accounts(filled)
    }

    /// Lets messages flow, and shows the rates, until that time since the beginning.
    fn flow_until(&mut self, time: Duration) -> Result<(), Trouble> {
        while self.begun.elapsed() < time {
            self.look()?;
            thread::sleep(Duration::from_millis(5).min(time.saturating_sub(self.begun.elapsed())));
        }
        Ok(())
    }

    /// Waits for something that takes no more than moments, if all is well.
    fn wait_for(&mut self, what: &str, mut done: impl FnMut(&Demo) -> bool) -> Result<(), Trouble> {
        let begun = Instant::now();
        while !done(self) {
            self.look()?;
            if begun.elapsed() > STUCK {
                return Err(Trouble::PromiseBroken(format!(
                    "after {} seconds still waiting for {what}",
                    STUCK.as_secs()
                )));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// What has to be seen to all the time: Ctrl-C, processes that end, the rates.
    fn look(&mut self) -> Result<(), Trouble> {
        if self.interrupted.load(Relaxed) != 0 {
            return Err(Trouble::Interrupted("all processes were ended, and nothing is left behind"));
        }
        for worker in self.crew.iter_mut().filter(|worker| worker.lives()) {
            worker.ended = worker.child.try_wait()?;
            if let Some(status) = worker.ended.filter(|status| !(status.success() && self.queue.is_closed())) {
                return Err(Trouble::Ended(format!("{worker} ended by itself ({status})")));
            }
        }
        if self.shown.at.elapsed() >= HALF_A_SECOND {
            self.show_rates()?;
        }
        Ok(())
    }

    fn show_rates(&mut self) -> Result<(), Trouble> {
        let now = Shown { at: Instant::now(), sent: self.sent(), received: self.received() };
        let time = (now.at - self.shown.at).as_secs_f64();
        let rate = |now: u64, before: u64| grouped((now.saturating_sub(before) as f64 / time) as u64);
        let count = |part| self.crew.iter().filter(|worker| worker.part == part && worker.lives()).count();
        let text = format!(
            "{:5.1} s  sent {:>11}/s  received {:>11}/s  waiting {:>5}  alive {} + {}",
            self.begun.elapsed().as_secs_f64(),
            rate(now.sent, self.shown.sent),
            rate(now.received, self.shown.received),
            grouped(self.queue.len() as u64),
            count(Part::Producer),
            count(Part::Consumer),
        );
        self.shown = now;
        Ok(self.screen.status(&text)?)
    }

    fn done(&self, indexes: std::ops::Range<usize>) -> u64 {
        indexes.map(|index| self.ledger.line(index).done().load(Acquire)).sum()
    }

    /// Pushes that returned.
    fn sent(&self) -> u64 {
        self.done(0..PRODUCERS)
    }

    fn received(&self) -> u64 {
        self.done(PRODUCERS..WORKERS)
    }

    fn order_all(&self, order: Order) {
        for index in 0..WORKERS {
            self.ledger.line(index).give(order);
        }
    }

    fn one_that_lives(&self, part: Part) -> usize {
        let found = self.crew.iter().position(|worker| worker.part == part && worker.lives());
        found.expect("fewer are killed than there are")
    }

    /// Has a process stand still where it hurts most, and kills it there.
    fn kill_holding(&mut self, part: Part) -> Result<(), Trouble> {
        let victim = self.one_that_lives(part);
        let index = self.crew[victim].index();
        self.ledger.line(index).give(Order::Hold);
        self.wait_for("a process to stand still", |demo| demo.ledger.line(index).state() == State::Holding)?;
        self.flow_until(self.begun.elapsed() + PILE_UP)?;
        self.kill(
            victim,
            match part {
                Part::Producer => "in the midst of a push",
                Part::Consumer => "with a message in its hands",
            },
        )
    }

    /// Kills a process wherever it happens to be.
    fn kill_anywhere(&mut self, part: Part) -> Result<(), Trouble> {
        let victim = self.one_that_lives(part);
        self.kill(victim, "in full flight")
    }

    fn kill(&mut self, victim: usize, how: &str) -> Result<(), Trouble> {
        // The clock is read before the kill, and told to the others after it: so no message that got through before
        // counts, and the time shown is never too short.
        let time = clock::now();
        self.crew[victim].child.kill()?;
        let kill = self.kills;
        self.kills += 1;
        self.ledger.kills().store(self.kills as u64, SeqCst);
        self.crew[victim].killed = true;

        let through = |demo: &Demo| -> Option<u64> {
            let lines = (PRODUCERS..WORKERS).map(|index| demo.ledger.line(index));
            lines.map(|line| line.through(kill).load(Acquire)).filter(|time| *time != 0).min()
        };
        self.wait_for("a message to get through after a kill", |demo| through(demo).is_some())?;
        let held_up = through(self).unwrap_or(time).saturating_sub(time);
        self.crew[victim].child.wait()?;
        let who = self.crew[victim].to_string();
        Ok(self.screen.line(&format!(
            "{:5.1} s  {} for {who} {how}\n         the next message got through {} later",
            self.begun.elapsed().as_secs_f64(),
            child::KILL,
            numbers::time(Duration::from_nanos(held_up))
        ))?)
    }

    /// With everybody at rest: how many messages the queue takes, and gives back, after all those deaths.
    fn fill_to_the_last_slot(&mut self) -> Result<usize, Trouble> {
        let paused = |demo: &Demo, part: Part| {
            let mut living = demo.crew.iter().filter(|worker| worker.part == part && worker.lives());
            living.all(|worker| demo.ledger.line(worker.index()).state() == State::Paused)
        };
        for index in 0..PRODUCERS {
            self.ledger.line(index).give(Order::Pause);
        }
        self.wait_for("the producers to pause", |demo| paused(demo, Part::Producer))?;
        self.wait_for("the consumers to empty the queue", |demo| demo.queue.is_empty())?;
        for index in PRODUCERS..WORKERS {
            self.ledger.line(index).give(Order::Pause);
        }
        self.wait_for("the consumers to pause", |demo| paused(demo, Part::Consumer))?;

        let (mut producer, mut consumer) = (self.queue.producer()?, self.queue.consumer()?);
        let mut filled = 0;
        loop {
            match producer.try_push(Message::new(PRODUCERS, filled)).map_err(Error::from) {
                Ok(()) => filled += 1,
                Err(Error::Full) => break,
                Err(error) => return Err(error.into()),
            }
        }
        for expected in 0..filled {
            if consumer.try_pop()? != Message::new(PRODUCERS, expected) {
                return Err(Trouble::PromiseBroken("the queue gave back something else than was put in".into()));
            }
        }
        match consumer.try_pop() {
            Err(Error::Empty) => Ok(filled as usize),
            Ok(_) => Err(Trouble::PromiseBroken("the queue gave back more than was put in".into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Compares what was sent with what came, message by message.
    fn settle_accounts(&mut self, filled: usize) -> Result<(), Trouble> {
        let mut sums = Sums { filled, ..Sums::default() };
        for index in 0..PRODUCERS {
            let sent = self.ledger.line(index).done().load(Acquire);
            let (arrived, beyond) = self.ledger.arrived(index, sent);
            sums.sent += sent;
            sums.received += arrived + beyond;
            sums.lost += sent - arrived;
            // The push that a kill cut short may have come to pass or not.
            let cut_short = self.crew.iter().any(|worker| worker.index() == index && worker.killed);
            let in_flight = u64::from(cut_short && self.ledger.has(index, sent));
            sums.in_flight += in_flight;
            sums.never_sent += beyond - in_flight;
        }
        for index in PRODUCERS..WORKERS {
            let line = self.ledger.line(index);
            sums.redelivered += line.redelivered().load(Acquire);
            sums.doubled += line.doubled().load(Acquire);
            sums.torn += line.torn().load(Acquire);
        }
        let of_the_queue = self.queue.counts();
        let lines = [
            ("sent", grouped(sums.sent), "pushes that returned"),
            ("received", grouped(sums.received), "different messages that came"),
            ("lost", grouped(sums.lost), ""),
            ("half-made", grouped(sums.torn + sums.never_sent), ""),
            ("redelivered", grouped(sums.redelivered), "held by a consumer when it was killed; marked"),
            ("doubled unmarked", grouped(sums.doubled), ""),
            ("in flight", grouped(sums.in_flight), "came although the kill cut the push short"),
            ("capacity", grouped(sums.filled as u64), "slots filled to the last, and emptied"),
            ("deaths noticed", grouped(of_the_queue.deaths), "by those who went on, with nobody's help"),
        ];
        for (what, number, note) in lines {
            self.screen.line(format!("{what:>16}  {number:>13}  {note}").trim_end())?;
        }
        let broken = sums.broken_promises();
        if broken.is_empty() {
            return Ok(self.screen.line(&format!("\n{KILLS} kills, and every promise held"))?);
        }
        Err(Trouble::PromiseBroken(broken.join("; ")))
    }
}

#[derive(Clone, Debug, Default)]
struct Sums {
    sent: u64,
    received: u64,
    lost: u64,
    torn: u64,
    never_sent: u64,
    redelivered: u64,
    doubled: u64,
    in_flight: u64,
    filled: usize,
}

impl Sums {
    fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut none = |count: u64, what: &str| {
            if count > 0 {
                broken.push(format!("{} messages {what}", grouped(count)));
            }
        };
        none(self.lost, "were lost");
        none(self.torn, "were delivered that were not whole");
        none(self.never_sent, "came that nobody sent");
        none(self.doubled, "came twice and were not marked");
        if self.sent == 0 {
            broken.push("nothing was sent at all".into());
        }
        // One consumer was killed with a message in its hands.
        if self.redelivered == 0 {
            broken.push("a message that its consumer died with did not come again".into());
        }
        if self.filled != CAPACITY {
            broken.push(format!("the queue took {} messages and not {CAPACITY}", self.filled));
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_promise_is_told() {
        let good = Sums { sent: 9, received: 9, redelivered: 1, filled: CAPACITY, ..Sums::default() };
        assert!(good.broken_promises().is_empty());
        let bad = [
            Sums { lost: 1, ..good.clone() },
            Sums { torn: 1, ..good.clone() },
            Sums { never_sent: 1, ..good.clone() },
            Sums { doubled: 1, ..good.clone() },
            Sums { redelivered: 0, ..good.clone() },
            Sums { sent: 0, ..good.clone() },
            Sums { filled: CAPACITY - 1, ..good },
        ];
        for sums in bad {
            assert_eq!(sums.broken_promises().len(), 1, "{sums:?}");
        }
    }
}
