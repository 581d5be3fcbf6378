//! `push` and `publish`: messages from the command line or from standard input.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use handover::{Error, Kind};

use crate::interrupt::Interrupt;
use crate::patience::{Patience, patiently};
use crate::stream::{Framing, Input, Progress};
use crate::target::Target;
use crate::trouble::Trouble;
use crate::units;

#[derive(Args, Debug)]
pub(crate) struct Source {
    /// The name; with a slash in it, the path of the file.
    name: Target,
    /// The message. Without it, each line of standard input is one.
    #[arg(conflicts_with_all = ["null", "binary"])]
    message: Option<OsString>,
    #[command(flatten)]
    framing: Framing,
    #[command(flatten)]
    patience: Patience,
}

const STANDING: &str = "what was taken in before stays there";

impl Source {
    /// Hands each message to `push`, with the time for which that may block, until it is taken in.
    fn each(&self, mut push: impl FnMut(&[u8], Duration) -> Result<(), Error>) -> Result<(), Trouble> {
        let interrupt = Interrupt::listen()?;
        let mut patiently =
            |message: &[u8]| patiently(self.patience, &interrupt, STANDING, |time| Ok(push(message, time)?));
        if let Some(message) = &self.message {
            return patiently(message.as_encoded_bytes());
        }
        let mut input = Input::standard(self.framing, &interrupt);
        let mut message = Vec::new();
        let mut progress = Progress::of_input();
        for number in 1.. {
            let more = input.next(&mut message);
            // What was read then may be the beginning of a message only.
            if interrupt.asked() {
                return Err(Trouble::Interrupted(STANDING));
            }
            let at = |trouble| match trouble {
                Trouble::Interrupted(_) => trouble,
                other => Trouble::AtMessage(number, Box::new(other)),
            };
            if !more.map_err(at)? {
                break;
            }
            patiently(&message).map_err(at)?;
            progress.add(self.framing.length(&message));
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Push {
    #[command(flatten)]
    source: Source,
    /// From 0 to 7, the highest first; 3 if nothing is said (tasks).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=7))]
    priority: Option<u8>,
    /// Not before so much time has passed: 250ms, 2s, 5m (tasks).
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    delay: Option<Duration>,
    /// Refused as long as another task of the same key waits; 1 to 64 bytes (tasks).
    #[arg(long, requires = "message")]
    key: Option<OsString>,
}

pub(crate) const PUSH_EXAMPLE: &str = "\
On Windows a carriage return before the end of a line belongs to that end; with --null and --binary every byte counts.

Examples:
  handover push lines hello
  tail -f access.log | handover push lines
  find . -name '*.jpg' -print0 | handover push jobs --null --no-wait
  handover push jobs 'rebuild' --priority 7 --delay 2s --key rebuild";

pub(crate) fn push(wanted: &Push) -> Result<(), Trouble> {
    let target = &wanted.source.name;
    if target.kind()? == Kind::Tasks {
        return push_tasks(wanted);
    }
    if wanted.priority.is_some() || wanted.delay.is_some() || wanted.key.is_some() {
        let why = format!("--priority, --delay and --key are for task queues, and {} is none", target.shown());
        return Err(Trouble::Usage(why));
    }
    let mut producer = target.queue()?.producer()?;
    wanted.source.each(|message, time| Ok(producer.push_timeout(message, time)?))
}

fn push_tasks(wanted: &Push) -> Result<(), Trouble> {
    let submitter = wanted.source.name.tasks()?.submitter()?;
    wanted.source.each(|message, time| {
        let mut task = submitter.task(message);
        if let Some(priority) = wanted.priority {
            task = task.priority(priority.into());
        }
        if let Some(delay) = wanted.delay {
            task = task.delay(delay);
        }
        if let Some(key) = &wanted.key {
            task = task.key(key.as_encoded_bytes());
        }
        task.submit_timeout(time)?;
        Ok(())
    })
}

#[derive(Args, Debug)]
pub(crate) struct Publish {
    #[command(flatten)]
    source: Source,
}

pub(crate) const PUBLISH_EXAMPLE: &str = "\
Only readers that asked for it are waited for. There is one publisher at a time.

Examples:
  handover publish prices '10100'
  vmstat 1 | handover publish load";

pub(crate) fn publish(wanted: &Publish) -> Result<(), Trouble> {
    let mut writer = wanted.source.name.broadcast()?.writer()?;
    wanted.source.each(|message, time| writer.publish_timeout(message, time).map(drop).map_err(Error::from))
}
