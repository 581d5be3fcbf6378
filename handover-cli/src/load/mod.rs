//! `produce` and `consume`: load for queues of all kinds, measured, and every message accounted for.
//!
//! [`stamp`] is what stands in a message, [`pace`] when each is due, [`seen`] which ones came, [`report`] what is told
//! while it goes on and at the end.

mod consume;
mod pace;
mod produce;
mod report;
mod seen;
mod stamp;

use clap::{Args, ValueEnum};
use handover::{Kind, Wait};

use self::report::Every;
use crate::interrupt::{Interrupt, LOOK};
use crate::stream;
use crate::target::Target;
use crate::trouble::Trouble;

pub(crate) use consume::{Consume, EXAMPLE as CONSUME_EXAMPLE, consume};
pub(crate) use produce::{EXAMPLE as PRODUCE_EXAMPLE, Produce, produce};

/// What is told, and how it is waited: the same for both.
#[derive(Args, Debug)]
pub(crate) struct Telling {
    /// Report after each so many messages, or each so much time: 10k, 1s.
    #[arg(long, value_name = "N|TIME", default_value = "10k")]
    report: Every,
    /// How it waits: without ever sleeping, sleeping after a while, or at once.
    #[arg(long, value_enum, default_value_t = Waiting::Balanced)]
    waiting: Waiting,
    /// The summary as a JSON object, for programs, and no reports before it. Times are in seconds.
    #[arg(long)]
    json: bool,
}

/// Fails if an option was given that its kind of queue does not have. Each: whether it was given, its kind, its name.
fn check(options: &[(bool, Kind, &str)], target: &Target, kind: Kind) -> Result<(), Trouble> {
    let Some((_, whose, option)) = options.iter().find(|(given, whose, _)| *given && *whose != kind) else {
        return Ok(());
    };
    let whose = if *whose == Kind::Tasks { "task queues" } else { "queues" };
    Err(Trouble::Usage(format!("{option} is for {whose}, and {} is a {kind}; leave it out", target.shown())))
}

/// What may end it besides: looked at now and then.
struct Watch {
    interrupt: Interrupt,
    looked: u64,
}

impl Watch {
    fn begin() -> Result<Watch, Trouble> {
        Ok(Watch { interrupt: Interrupt::listen()?, looked: 0 })
    }

    /// Fails if it was interrupted; `standing` is how things stand then. Or if nobody is there any more to be told.
    fn look(&mut self, now: u64, standing: &'static str) -> Result<(), Trouble> {
        if self.interrupt.asked() {
            return Err(Trouble::Interrupted(standing));
        }
        if now - self.looked >= LOOK.as_nanos() as u64 {
            self.looked = now;
            stream::look()?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Waiting {
    Spin,
    Balanced,
    Park,
}

impl Waiting {
    fn wait(self) -> Wait {
        match self {
            Waiting::Spin => Wait::Spin,
            Waiting::Balanced => Wait::Balanced,
            Waiting::Park => Wait::Park,
        }
    }
}
