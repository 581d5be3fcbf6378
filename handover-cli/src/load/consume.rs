//! `consume`: takes the messages of `produce`, and keeps account of them.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use clap::Args;
use handover::broadcast::{Reader, Start};
use handover::tasks::Worker;
use handover::{Consumer, Error, Kind, Queue, Tasks};

use super::produce::{is_gone, nanoseconds};
use super::report::{End, Report};
use super::seen::{Came, Seen};
use super::stamp::{self, Stamp};
use super::{Telling, Watch};
use crate::interrupt::{Interrupt, LOOK};
use crate::system::clock;
use crate::target::Target;
use crate::trouble::Trouble;
use crate::units;
use crate::view::facts::Facts;

#[derive(Args, Debug)]
pub(crate) struct Consume {
    /// The name of a queue, broadcast or task queue; with a slash in it, the path of its file.
    name: Target,
    /// So many messages; until it is closed and nothing is left, if nothing is said.
    #[arg(short = 'n', long, value_name = "N", value_parser = units::number::<u64>)]
    count: Option<u64>,
    /// For so long: 10s, 5m.
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,
    /// Pop up to so many with one claim; they are taken then, not only held (queues).
    #[arg(long, value_name = "N", value_parser = units::count::<u16>)]
    batch: Option<u16>,
    /// Work so long on each: 250us, 2ms. It sleeps.
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    work: Option<Duration>,
    /// Let so many of a hundred fail (tasks).
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(0..=100))]
    fail: Option<u64>,
    #[command(flatten)]
    telling: Telling,
}

pub(crate) const EXAMPLE: &str = "\
The latency is that from when a message was due, by its producer's schedule, until it was here, by a clock that all
processes share. Messages that handover produce did not make are counted as foreign, and nothing more is told of them.

Of each producer it is told how many came, and how many between the first and the last did not. These are lost if nobody else
can have taken them: if this was the only consumer of a queue, or if it was closed and drained and the others took fewer. Of a
broadcast it is told how many were missed because the publisher was faster. A message that comes again has to say so.

Ctrl-C and SIGTERM end it with the summary. Exit status 1 if a message was lost, or came twice and did not say so.

Examples:
  handover consume lines
  handover consume lines --count 1M --batch 32 --waiting spin
  handover consume jobs --work 2ms --fail 5 --report 1s
  handover consume lines --duration 10s --json | jq '.lost, .doubled'";

/// What came out.
struct Arrived<'a> {
    message: &'a [u8],
    /// It was handed out before, and not finished.
    marked: bool,
}

/// Where messages come from.
enum Source {
    Queue(Queue<[u8]>, Consumer<[u8]>, Option<u16>, Vec<Vec<u8>>),
    Broadcast(Reader<[u8]>),
    Tasks(Tasks<[u8]>, Worker<[u8]>, Option<u64>),
}

impl Source {
    /// Waits for a while for what comes next. `finish` works on it, and says whether it is done.
    fn next(&mut self, finish: &mut dyn FnMut(Arrived<'_>) -> Result<bool, Trouble>) -> Result<(), Trouble> {
        match self {
            Source::Queue(_, consumer, None, _) => {
                let received = consumer.receive_timeout(LOOK)?;
                // Else it is dropped, and handed back.
                if finish(Arrived { message: &received, marked: received.redeliveries() > 0 })? {
                    received.done();
                }
            }
            Source::Queue(_, consumer, Some(most), messages) => {
                messages.clear();
                consumer.pop_batch_timeout(messages, (*most).into(), LOOK)?;
                // One that was handed out before comes alone.
                let marked = consumer.redeliveries() > 0;
                for message in &*messages {
                    finish(Arrived { message, marked })?;
                }
            }
            Source::Broadcast(reader) => {
                let next = reader.next_timeout(LOOK)?;
                finish(Arrived { message: &next.message, marked: false })?;
            }
            Source::Tasks(_, worker, fail) => {
                let lease = worker.take_timeout(LOOK)?;
                let tries = lease.tries();
                if finish(Arrived { message: lease.task(), marked: tries > 1 })? {
                    let lot = lease.id().0.wrapping_add(u64::from(tries)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                    match fail {
                        Some(fail) if lot % 100 < *fail => lease.fail("--fail asked for it")?,
                        _ => lease.done()?,
                    }
                }
            }
        }
        Ok(())
    }

    /// How many messages were ever taken, by anybody.
    fn taken(&self) -> u64 {
        match self {
            Source::Queue(queue, ..) => queue.counts().popped,
            Source::Broadcast(_) => 0,
            Source::Tasks(tasks, ..) => tasks.report().taken,
        }
    }

    /// Whether nobody else is there who could hold a message.
    fn alone(&self) -> bool {
        match self {
            Source::Queue(queue, ..) => {
                queue.members().iter().filter(|member| member.role == handover::Role::Consumer).count() == 1
            }
            Source::Broadcast(_) => true,
            // What is to be tried again, or of a lower priority, is there still.
            Source::Tasks(..) => false,
        }
    }
}

/// What came, by producer, and how.
#[derive(Default)]
struct Account {
    producers: BTreeMap<u64, Seen>,
    /// All that came, foreign ones as well.
    taken: u64,
    foreign: u64,
    redelivered: u64,
    doubled: u64,
    /// Too far back to know whether they came before.
    unknown: u64,
    missed: u64,
    leases_lost: u64,
}

impl Account {
    fn note(&mut self, stamp: Option<Stamp>, marked: bool) {
        self.taken += 1;
        self.redelivered += u64::from(marked);
        let Some(stamp) = stamp else {
            self.foreign += 1;
            return;
        };
        match self.producers.entry(stamp.producer).or_default().note(stamp.sequence) {
            Came::Again if !marked => self.doubled += 1,
            Came::Unknown if !marked => self.unknown += 1,
            _ => {}
        }
    }

    fn absent(&self) -> u64 {
        self.producers.values().map(Seen::absent).sum()
    }

    /// How many are lost for certain; none if that can't be told.
    fn lost(&self, source: &Source, taken_before: u64, drained: bool) -> Option<u64> {
        let absent = self.absent();
        if absent == 0 {
            return Some(0);
        }
        match source {
            Source::Broadcast(_) => Some(absent.saturating_sub(self.missed)),
            _ => {
                let others = source.taken().saturating_sub(taken_before + self.taken);
                let dead = match source {
                    Source::Tasks(tasks, ..) => tasks.report().dead_letters as u64,
                    _ => 0,
                };
                (drained || others == 0 && source.alone()).then(|| absent.saturating_sub(others + dead))
            }
        }
    }
}

pub(crate) fn consume(wanted: &Consume) -> Result<(), Trouble> {
    let mut watch = Watch::begin()?;
    let interrupt = watch.interrupt.clone();
    let (kind, mut source) = open(wanted)?;
    let taken_before = source.taken();
    let begun = clock::now();
    let end = wanted.duration.map_or(u64::MAX, |time| begun.saturating_add(nanoseconds(time)));
    let ends = End { messages: wanted.count, time: wanted.duration };
    let mut report = Report::begin(wanted.telling.report, ends, wanted.telling.json, begun);
    let (mut account, mut drained) = (Account::default(), false);
    let mut run = || -> Result<(), Trouble> {
        let mut most = wanted.count.unwrap_or(u64::MAX);
        while most > 0 {
            let now = clock::now();
            if now >= end {
                break;
            }
            watch.look(now, "what the summary counts is taken, and nothing else is")?;
            if let Source::Queue(_, _, Some(batch), _) = &mut source {
                *batch = u64::from(wanted.batch.unwrap_or(1)).min(most) as u16;
            }
            let came = source.next(&mut |arrived| {
                let now = clock::now();
                let stamp = Stamp::read(arrived.message);
                let finished = wanted.work.is_none_or(|time| work(time, &interrupt));
                if finished || wanted.batch.is_some() || kind == Kind::Broadcast {
                    most -= 1;
                    account.note(stamp, arrived.marked);
                    // One that was handed out before was here before.
                    let took = stamp.filter(|_| !arrived.marked).map(|stamp| now.saturating_sub(stamp.due));
                    report.count(arrived.message.len(), now, took)?;
                }
                Ok(finished)
            });
            match came {
                Err(Trouble::Handover(Error::Empty)) => {}
                Err(Trouble::Handover(Error::Missed { count })) => account.missed += count,
                Err(Trouble::Handover(Error::LeaseLost)) => account.leases_lost += 1,
                // All there was, is here.
                Err(Trouble::Handover(Error::Closed)) => {
                    drained = true;
                    break;
                }
                other => other?,
            }
        }
        Ok(())
    };
    let ended = run();
    if is_gone(&ended) {
        return ended;
    }
    let lost = account.lost(&source, taken_before, drained);
    let facts = Facts::default().with("name", wanted.name.shown()).with("kind", kind.to_string());
    report.end(facts, |facts| told(facts, &account, kind, lost), wanted.telling.json)?;
    if lost.unwrap_or(0) > 0 || account.doubled > 0 {
        let (lost, doubled) = (lost.unwrap_or(0), account.doubled);
        return Err(Trouble::PromiseBroken(format!("{lost} lost, {doubled} doubled and not marked")));
    }
    // As with a number that `pop` is asked for.
    if drained && wanted.count.is_some() { Err(Error::Closed.into()) } else { ended }
}

fn told(facts: Facts, account: &Account, kind: Kind, lost: Option<u64>) -> Facts {
    let facts = facts.with("foreign", account.foreign);
    let facts = match kind {
        Kind::Broadcast => facts.with("missed", account.missed),
        Kind::Tasks => facts.with("redelivered", account.redelivered).with("leases_lost", account.leases_lost),
        _ => facts.with("redelivered", account.redelivered),
    };
    let producer = |(producer, seen): (&u64, &Seen)| {
        let (first, last) = seen.span().unzip();
        Facts::default()
            .with("producer", producer.to_string())
            .with("pid", stamp::process_of(*producer))
            .with("came", seen.came)
            .with("first", first)
            .with("last", last)
            .with("absent", seen.absent())
    };
    facts
        .with("absent", account.absent())
        .with("lost", lost)
        .with("doubled", account.doubled)
        .with("unknown", account.unknown)
        .list("producers", account.producers.iter().map(producer))
}

/// False if it was interrupted in it.
fn work(time: Duration, interrupt: &Interrupt) -> bool {
    let mut left = time;
    while !left.is_zero() && !interrupt.asked() {
        let piece = left.min(LOOK);
        thread::sleep(piece);
        left -= piece;
    }
    left.is_zero()
}

fn open(wanted: &Consume) -> Result<(Kind, Source), Trouble> {
    let (target, wait) = (&wanted.name, wanted.telling.waiting.wait());
    let kind = target.kind()?;
    let options = [(wanted.batch.is_some(), Kind::Queue, "--batch"), (wanted.fail.is_some(), Kind::Tasks, "--fail")];
    super::check(&options, target, kind)?;
    let source = match kind {
        Kind::Broadcast => {
            let mut reader = target.broadcast()?.reader(Start::Newest)?;
            reader.set_wait(wait);
            Source::Broadcast(reader)
        }
        Kind::Tasks => {
            let tasks = target.tasks()?;
            let worker = tasks.worker()?;
            worker.set_wait(wait);
            Source::Tasks(tasks, worker, wanted.fail)
        }
        _ => {
            let queue = target.queue()?;
            let mut consumer = queue.consumer()?;
            consumer.set_wait(wait);
            Source::Queue(queue, consumer, wanted.batch, Vec::new())
        }
    };
    Ok((kind, source))
}
