//! `pop` and `subscribe`: messages to standard output.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use handover::broadcast::Start;
use handover::{Error, Kind};

use crate::interrupt::Interrupt;
use crate::patience::{Patience, patiently};
use crate::stream::{Framing, Output, Progress, look};
use crate::target::Target;
use crate::trouble::Trouble;
use crate::units;

const STANDING: &str = "what was printed is taken, and nothing else is";

#[derive(Args, Debug)]
pub(crate) struct Pop {
    /// The name of a queue or task queue; with a slash in it, the path of its file.
    name: Target,
    /// How many messages.
    #[arg(short = 'n', long, value_name = "N", default_value = "1", conflicts_with = "follow", value_parser = units::number::<u64>)]
    count: u64,
    /// All that come, until it is closed and nothing is left.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    framing: Framing,
    #[command(flatten)]
    patience: Patience,
}

pub(crate) const POP_EXAMPLE: &str = "\
A message that was printed was also taken, and one that was not printed was not: it is there for others. (Only if it is
killed just between the two, it comes again.) What was written into a pipe was printed. From a task queue, what was
printed is done.

With --follow to be closed is the end, and no failure; with -n it is one if fewer messages came.

Examples:
  handover pop lines
  handover pop lines -n 10 --timeout 2s
  handover pop lines --follow | grep --line-buffered error
  handover pop jobs --null | xargs -0 ls -l";

pub(crate) fn pop(wanted: &Pop) -> Result<(), Trouble> {
    let interrupt = Interrupt::listen()?;
    let mut output = Output::standard(wanted.framing, &interrupt);
    let target = &wanted.name;
    let number = (!wanted.follow).then_some(wanted.count);
    if target.kind()? == Kind::Tasks {
        let worker = target.tasks()?.worker()?;
        return until_enough(number, || {
            patiently(wanted.patience, &interrupt, STANDING, |time| {
                look()?;
                let lease = worker.take_timeout(time)?;
                output.write(lease.task(), STANDING)?;
                lease.done()?;
                Ok(true)
            })
        });
    }
    let mut consumer = target.queue()?.consumer()?;
    until_enough(number, || {
        patiently(wanted.patience, &interrupt, STANDING, |time| {
            look()?;
            // Held, and given back if it can't be written.
            let received = consumer.receive_timeout(time)?;
            output.write(&received, STANDING)?;
            received.done();
            Ok(true)
        })
    })
}

/// Without a number, to be closed is the end. `next` says whether a message was printed.
fn until_enough(number: Option<u64>, mut next: impl FnMut() -> Result<bool, Trouble>) -> Result<(), Trouble> {
    let mut had = 0;
    let mut progress = Progress::of_output(number);
    while number != Some(had) {
        match next() {
            Err(Trouble::Handover(Error::Closed)) if number.is_none() => break,
            printed => {
                if printed? {
                    had += 1;
                    progress.add(1);
                }
            }
        }
    }
    Ok(())
}

#[derive(Args, Debug)]
pub(crate) struct Subscribe {
    /// The name of a broadcast; with a slash in it, the path of its file.
    name: Target,
    /// Where to begin: with the oldest message that is kept, or with the next that is published.
    #[arg(long, value_enum, default_value_t = From::Newest)]
    from: From,
    /// How many messages; all that come until it is closed, if nothing is said.
    #[arg(short = 'n', long, value_name = "N", value_parser = units::number::<u64>)]
    count: Option<u64>,
    #[command(flatten)]
    framing: Framing,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    Oldest,
    Newest,
}

pub(crate) const SUBSCRIBE_EXAMPLE: &str = "\
The publisher does not wait: if it was faster, standard error says how many messages were missed.

Without -n to be closed is the end, and no failure; with it, it is one if fewer messages came.

Examples:
  handover subscribe prices
  handover subscribe prices --from oldest -n 100 --timeout 2s";

pub(crate) fn subscribe(wanted: &Subscribe) -> Result<(), Trouble> {
    let interrupt = Interrupt::listen()?;
    let mut output = Output::standard(wanted.framing, &interrupt);
    let start = match wanted.from {
        From::Oldest => Start::Oldest,
        From::Newest => Start::Newest,
    };
    let mut reader = wanted.name.broadcast()?.reader(start)?;
    until_enough(wanted.count, || {
        patiently(wanted.patience, &interrupt, STANDING, |time| {
            look()?;
            match reader.next_timeout(time) {
                Err(Error::Missed { count }) => {
                    // Nobody may be there to read it.
                    let _ = writeln!(io::stderr(), "handover: missed {count}; the publisher was faster");
                    Ok(false)
                }
                next => output.write(&next?.message, STANDING).map(|()| true),
            }
        })
    })
}
