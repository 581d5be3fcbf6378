//! `produce`: messages at a pace.

use std::time::Duration;

use clap::Args;
use handover::broadcast::Writer;
use handover::tasks::Submitter;
use handover::{Error, Kind, Producer};

use super::pace::Pace;
use super::report::{End, Report};
use super::stamp::{self, Stamp};
use super::{Telling, Watch};
use crate::interrupt::LOOK;
use crate::numbers::grouped;
use crate::system::clock;
use crate::target::Target;
use crate::trouble::Trouble;
use crate::units;
use crate::view::facts::Facts;

/// One each nanosecond.
const RATE_MOST: u64 = 1_000_000_000;

#[derive(Args, Debug)]
pub(crate) struct Produce {
    /// The name of a queue, broadcast or task queue; with a slash in it, the path of its file.
    name: Target,
    /// So many messages a second: 500, 200k, 1M; as many as are taken in, if nothing is said.
    #[arg(long, value_name = "N", value_parser = units::count::<u64>)]
    rate: Option<u64>,
    /// How long each message is, from 32 bytes: 64, 4K, 1M.
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = units::size)]
    size: usize,
    /// So many messages; without end, if nothing is said.
    #[arg(short = 'n', long, value_name = "N", value_parser = units::number::<u64>)]
    count: Option<u64>,
    /// For so long: 10s, 5m.
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,
    /// Push up to so many that are due with one claim (queues).
    #[arg(long, value_name = "N", value_parser = units::count::<u16>)]
    batch: Option<u16>,
    /// From 0 to 7, the highest first; 3 if nothing is said (tasks).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=7))]
    priority: Option<u8>,
    /// Make a queue of 1000 such messages, if there is none of that name.
    #[arg(long)]
    create: bool,
    /// Close it after the last message, so that consumers end.
    #[arg(long)]
    close: bool,
    #[command(flatten)]
    telling: Telling,
}

pub(crate) const EXAMPLE: &str = "\
Each message begins with its number, when it was due, and who made it; handover consume reads that, measures how long it
took, and tells what is missing and what came twice.

With --rate messages are due by a schedule that waits for nobody. What is held up is late, and so is all that comes due
meanwhile: latencies count from when a message was due, not from when there was time for it, and the summary says how many
were due and never sent. Without --rate a message is due when it is made. The latency told here is that of handing in: until
the push had returned.

Ctrl-C and SIGTERM end it with the summary.

Examples:
  handover produce lines --count 1M
  handover produce lines --rate 50k --duration 10s --report 1s
  handover produce jobs --rate 100 --size 4K --priority 7
  handover produce fresh --create --size 1K --count 100k --close --json";

/// Whoever takes messages in.
enum Sink {
    Queue(Producer<[u8]>),
    Broadcast(Writer<[u8]>),
    Tasks(Submitter<[u8]>, Option<u8>),
}

impl Sink {
    /// Hands in some of the messages, the first ones, within a while. Returns how many.
    fn send(&mut self, messages: &[Vec<u8>]) -> Result<usize, Error> {
        let first = &messages[0][..];
        match self {
            Sink::Queue(producer) if messages.len() > 1 => {
                match producer.try_push_batch(&mut messages.iter().map(|message| &message[..]).peekable()) {
                    Err(Error::Full) => producer.push_timeout(first, LOOK)?,
                    pushed => return pushed,
                }
            }
            Sink::Queue(producer) => producer.push_timeout(first, LOOK)?,
            Sink::Broadcast(writer) => drop(writer.publish_timeout(first, LOOK)?),
            Sink::Tasks(submitter, None) => drop(submitter.submit_timeout(first, LOOK)?),
            Sink::Tasks(submitter, Some(priority)) => {
                submitter.task(first).priority((*priority).into()).submit_timeout(LOOK)?;
            }
        }
        Ok(1)
    }
}

pub(crate) fn produce(wanted: &Produce) -> Result<(), Trouble> {
    if wanted.rate.is_some_and(|rate| rate > RATE_MOST) {
        let why = format!("--rate is at most {}; leave it out for as fast as can be", grouped(RATE_MOST));
        return Err(Trouble::Usage(why));
    }
    if wanted.size < stamp::SIZE {
        let why =
            format!("--size {} has no room for the number and the time; from {} on it has", wanted.size, stamp::SIZE);
        return Err(Trouble::Usage(why));
    }
    let mut watch = Watch::begin()?;
    let (kind, mut sink) = open(wanted)?;
    let producer = stamp::producer();
    let begun = clock::now();
    let pace = Pace::begin(wanted.rate, begun, wanted.telling.waiting);
    let end = wanted.duration.map_or(u64::MAX, |time| begun.saturating_add(nanoseconds(time)));
    let ends = End { messages: wanted.count, time: wanted.duration };
    let mut report = Report::begin(wanted.telling.report, ends, wanted.telling.json, begun);
    let mut messages = vec![vec![0; wanted.size]; wanted.batch.unwrap_or(1).into()];
    let mut dues = vec![0; messages.len()];
    // Messages that are stamped and not handed in.
    let (mut stamped, mut sent) = (0, 0);
    let mut now = begun;
    let mut run = || -> Result<(), Trouble> {
        while wanted.count != Some(sent) && now < end {
            watch.look(now, "all that the summary counts was sent")?;
            let most = wanted.count.map_or(u64::MAX, |count| count - sent).min(messages.len() as u64) as usize;
            while stamped < most {
                let sequence = sent + stamped as u64;
                let due = pace.due(sequence, now);
                if due > now || due >= end {
                    break;
                }
                Stamp { sequence, due, producer }.write(&mut messages[stamped]);
                dues[stamped] = due;
                stamped += 1;
            }
            if stamped == 0 {
                now = pace.wait(pace.due(sent, now).min(end));
                continue;
            }
            let handed = match sink.send(&messages[..stamped]) {
                Err(Error::Full) => 0,
                handed => handed?,
            };
            now = clock::now();
            for due in &dues[..handed] {
                report.count(wanted.size, now, Some(now.saturating_sub(*due)))?;
            }
            sent += handed as u64;
            // Rare: a queue had room for some of them only.
            messages[..stamped].rotate_left(handed);
            dues[..stamped].rotate_left(handed);
            stamped -= handed;
        }
        Ok(())
    };
    let ended = run();
    // What was refused at once needs no summary.
    let is_refused = sent == 0 && matches!(ended, Err(Trouble::Handover(_)));
    if is_gone(&ended) || is_refused {
        return ended;
    }
    if ended.is_ok() && wanted.close {
        close(&mut sink);
    }
    let unsent = pace.due_by(now.min(end)).map(|due| due.min(wanted.count.unwrap_or(u64::MAX)) - sent);
    let facts = Facts::default()
        .with("name", wanted.name.shown())
        .with("kind", kind.to_string())
        .with("producer", producer.to_string());
    report.end(facts, |facts| facts.with("due_and_not_sent", unsent), wanted.telling.json)?;
    ended
}

/// Whoever read the reports has gone, and reads no summary.
pub(super) fn is_gone(ended: &Result<(), Trouble>) -> bool {
    matches!(ended, Err(Trouble::System(_)))
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn open(wanted: &Produce) -> Result<(Kind, Sink), Trouble> {
    let (target, wait) = (&wanted.name, wanted.telling.waiting.wait());
    // Kept until it is opened below: it may go with its last user.
    let made;
    let kind = match target.kind() {
        Err(Error::NotFound { .. }) if wanted.create => {
            made = target.create(&handover::Options::new(1000).message_max(wanted.size));
            match &made {
                // Another was faster.
                Ok(_) | Err(Error::AlreadyExists { .. }) => target.kind()?,
                Err(_) => return Err(made.map(drop).expect_err("it is one").into()),
            }
        }
        kind => kind?,
    };
    let options =
        [(wanted.batch.is_some(), Kind::Queue, "--batch"), (wanted.priority.is_some(), Kind::Tasks, "--priority")];
    super::check(&options, target, kind)?;
    let sink = match kind {
        Kind::Broadcast => {
            let mut writer = target.broadcast()?.writer()?;
            writer.set_wait(wait);
            Sink::Broadcast(writer)
        }
        Kind::Tasks => {
            let submitter = target.tasks()?.submitter()?;
            submitter.set_wait(wait);
            Sink::Tasks(submitter, wanted.priority)
        }
        _ => {
            let mut producer = target.queue()?.producer()?;
            producer.set_wait(wait);
            Sink::Queue(producer)
        }
    };
    Ok((kind, sink))
}

fn close(sink: &mut Sink) {
    match sink {
        Sink::Queue(producer) => producer.close(),
        Sink::Broadcast(writer) => writer.close(),
        Sink::Tasks(submitter, _) => submitter.close(),
    }
}
