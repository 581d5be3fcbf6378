//! `handover tune`: how large a queue should be, how its messages should lie and how its ends should wait, on this
//! machine and under a stated load.
//!
//! [`sweep`] runs the load at many capacities, [`advice`] says what follows from it, [`placing`] what the machine's memory
//! has to do with it, and [`report`] shows all of it.

mod advice;
mod placing;
mod report;
mod sweep;

use std::time::Duration;

use clap::Args;

use self::advice::Advice;
use self::sweep::{LayoutFigure, LoadPoint, SpeedPoint, Sweep, WaitFigure};
use crate::interrupt::Interrupt;
use crate::measure::case::{Between, Case, Kind, Layout};
use crate::plot::Picture;
use crate::progress::Progress;
use crate::trouble::Trouble;
use crate::units;

#[derive(Args, Debug)]
pub(crate) struct Tune {
    /// What messages are handed through.
    #[arg(long, value_enum, default_value_t = Kind::Queue)]
    kind: Kind,
    /// How many messages come a second, from all producers: 500, 200k, 1M. As fast as can be, if nothing is said.
    #[arg(long, value_name = "N", value_parser = units::count::<u64>)]
    rate: Option<u64>,
    /// How many of them come at once.
    #[arg(long, value_name = "N", value_parser = units::count::<u64>, requires = "rate")]
    burst: Option<u64>,
    /// The size of a message: 64, 4K.
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = units::size)]
    size: usize,
    /// How many put messages in.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    producers: u16,
    /// How many take messages out.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    consumers: u16,
    /// How long a consumer works on each message: 500ns, 2us, 1ms.
    #[arg(long, value_name = "TIME", default_value = "0ns", value_parser = units::duration, hide_default_value = true)]
    work: Duration,
    /// How long a consumer stands still now and then, beyond what the machine makes it: 10ms.
    #[arg(long, value_name = "TIME", default_value = "0ns", value_parser = units::duration, hide_default_value = true,
          requires = "rate")]
    pause: Duration,
    /// A few seconds: shorter runs, and fewer.
    #[arg(long)]
    quick: bool,
    /// As JSON: rates in messages a second, times in nanoseconds.
    #[arg(long)]
    json: bool,
    /// A picture of the curves.
    #[arg(long, value_name = "FILE.svg|png")]
    plot: Option<Picture>,
}

pub(crate) const EXAMPLE: &str = "\
How large should the buffer be? The load is run for real, between processes, at many capacities. Recommended is the
smallest in which no push had to wait for room, and not less than the calculation says: what piles up of a burst, and
what comes in while consumers stand still. Without --rate it is the smallest that reaches 95 % of the best throughput.

Examples:
  handover tune
  handover tune --rate 200k --burst 5000 --size 256
  handover tune --rate 20k --work 30us --consumers 2 --pause 10ms
  handover tune --kind tasks --rate 5k --plot curve.svg";

/// The largest messages it is made for.
const SIZE_MOST: usize = 1 << 20;
const WORK_MOST: Duration = Duration::from_secs(1);

impl Tune {
    fn check(&self) -> Result<(), Trouble> {
        let usage = |why: &str| Err(Trouble::Usage(why.into()));
        if self.kind == Kind::Broadcast && self.producers > 1 {
            return usage("a broadcast has one writer; leave --producers out, or choose another --kind");
        }
        if !(1..=SIZE_MOST).contains(&self.size) {
            return usage("--size is from 1 byte to 1M");
        }
        if self.work > WORK_MOST || self.pause > WORK_MOST {
            return usage("--work and --pause are at most 1s");
        }
        if self.burst.unwrap_or(1) > 1 << 20 {
            return usage("--burst is at most 1048576 messages");
        }
        self.plot.as_ref().map_or(Ok(()), Picture::check)
    }

    /// What is run, but for the capacity.
    fn case(&self) -> Case {
        let (producers, consumers) = (self.producers.into(), self.consumers.into());
        Case {
            one: self.kind == Kind::Queue && (producers, consumers) == (1, 1),
            producers,
            consumers,
            // A message has to carry its number; a slot takes as much anyway.
            size: self.size.max(size_of::<u64>()),
            layout: Layout::Bytes,
            rate: self.rate.unwrap_or(0),
            burst: self.burst.unwrap_or(1),
            work: self.work,
            pause: self.pause,
            ..Case::new(self.kind, Between::Processes)
        }
    }
}

/// All that was found out, as far as it got.
struct Tuned {
    case: Case,
    speed: Vec<SpeedPoint>,
    load: Vec<LoadPoint>,
    /// The longest that the machine made somebody stand still, in nanoseconds.
    pause: u64,
    /// Messages a second that producers can put in at most.
    fill: f64,
    advice: Option<Advice>,
    layouts: Vec<LayoutFigure>,
    waits: Vec<WaitFigure>,
    placing: Option<placing::Placing>,
}

impl Tuned {
    fn find_out(&mut self, sweep: &Sweep<'_>) -> Result<(), Trouble> {
        self.pause = sweep.longest_pause(&self.case)?;
        self.fill = sweep.fill(&self.case)?;
        sweep.full_speed(&self.case, &mut self.speed)?;
        if self.case.is_paced() {
            sweep.under_load(&self.case, &mut self.load)?;
        }
        let advice = Advice::of(self);
        let chosen = Case { capacity: advice.capacity, ..self.case };
        self.advice = Some(advice);
        sweep.layouts(&chosen, &mut self.layouts)?;
        sweep.waits(&chosen, &mut self.waits)?;
        self.placing = Some(placing::measure(&chosen, sweep)?);
        Ok(())
    }
}

pub(crate) fn tune(wanted: &Tune) -> Result<(), Trouble> {
    wanted.check()?;
    let interrupt = Interrupt::listen()?;
    let mut tuned = Tuned {
        case: wanted.case(),
        speed: Vec::new(),
        load: Vec::new(),
        pause: 0,
        fill: 0.0,
        advice: None,
        layouts: Vec::new(),
        waits: Vec::new(),
        placing: None,
    };
    let ended = {
        let progress = Progress::new(0);
        tuned.find_out(&Sweep::new(wanted.quick, &interrupt, &progress))
    };
    let interrupted = matches!(ended, Err(Trouble::Interrupted(_)));
    if !interrupted {
        ended?;
    }
    report::print(&tuned, wanted, interrupted)?;
    if let Some(picture) = &wanted.plot {
        let curves = report::curves(&tuned);
        picture.draw(curves.size(), |page| curves.draw(page))?;
    }
    match interrupted {
        true => Err(Trouble::Interrupted("what was measured so far stands above, and nothing is left behind")),
        false => Ok(()),
    }
}
