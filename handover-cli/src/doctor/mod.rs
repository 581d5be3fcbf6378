//! `doctor`: whether the machine and its queues are as they should be, and what to do where they are not.

mod check;
mod queues;

use std::io::{self, IsTerminal};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use handover::{Error, Options, Queue, segment, segment_at, segments};
use serde_json::{Value, json};

pub(crate) use self::check::Check;
use self::check::State;
use self::queues::Patient;
use crate::interrupt::{Interrupt, LOOK};
use crate::screen::{self, Screen};
use crate::system::machine;
use crate::system::terminal::takes_sequences;
use crate::target::Target;
use crate::trouble::Trouble;

#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Only these queues, broadcasts or task queues; with a slash in it, a NAME is the path of a file. All that have names, if
    /// nothing is said.
    #[arg(value_name = "NAME")]
    names: Vec<Target>,
    /// Settle what the dead have left, and remove what is stale. What is in use, or holds anything, stays.
    #[arg(long)]
    fix: bool,
    /// As a JSON object, for programs.
    #[arg(long)]
    json: bool,
}

pub(crate) const EXAMPLE: &str = "\
It looks at the machine and at every queue, and says of each thing that is wrong what it means and how to put it right. A
note is of something that may be meant so. Stale is what no process has open and nobody can miss: it was to go with its
last user, and they were all killed; or it is closed and empty. The exit status is 1 if anything is wrong.

Examples:
  handover doctor
  handover doctor --fix
  handover doctor jobs --json | jq -r '.queues[] | select(.state == \"wrong\") | .remedy'";

/// For how long a queue that is full has to stand still before that is wrong.
const STANDSTILL: Duration = Duration::from_secs(1);

/// The queue that is tried is smaller.
const TRIAL: u64 = 1 << 20;

pub(crate) fn doctor(wanted: &Doctor) -> Result<(), Trouble> {
    let interrupt = Interrupt::listen()?;
    let go_on = || match interrupt.asked() {
        true => Err(Trouble::Interrupted("what was put right stays so")),
        false => Ok(()),
    };
    let mut machine = machine::checks();
    if machine::may_make(TRIAL) {
        machine.push(trial());
    }

    let mut patients = patients(&wanted.names)?;
    let mut mended = Vec::new();
    if wanted.fix {
        for patient in &mut patients {
            go_on()?;
            mended.extend(patient.mend());
        }
    }
    // Whether something moves is seen by looking twice.
    if patients.iter().any(Patient::may_stand_still) {
        let begun = Instant::now();
        while begun.elapsed() < STANDSTILL {
            go_on()?;
            thread::sleep(LOOK);
        }
        for patient in &mut patients {
            patient.look_again();
        }
    }
    let queues: Vec<Check> = patients.iter().flat_map(Patient::checks).collect();

    let wrong = machine.iter().chain(&queues).filter(|check| check.state == State::Wrong).count();
    let text = if wanted.json {
        let list = |checks: &[Check]| checks.iter().map(Check::json).collect::<Vec<Value>>();
        let all = json!({
            "wrong": wrong, "machine": list(&machine), "queues": list(&queues), "mended": mended,
        });
        serde_json::to_string_pretty(&all).expect("values are JSON")
    } else {
        told(&machine, &queues, &mended, wrong)
    };
    Screen::new().line(&text)?;
    if wrong > 0 { Err(Trouble::Told) } else { Ok(()) }
}

fn patients(names: &[Target]) -> Result<Vec<Patient>, Error> {
    if names.is_empty() {
        let named = |segment: handover::NamedSegment| Patient::new(Target::Name(segment.name.clone()), segment);
        return Ok(segments()?.into_iter().map(named).collect());
    }
    let look = |target: &Target| {
        let segment = match target {
            Target::Name(name) => segment(name),
            Target::File(path) => segment_at(path),
        };
        segment.map(|segment| Patient::new(target.clone(), segment))
    };
    names.iter().map(look).collect()
}

/// Makes a queue, and does with it what all do.
fn trial() -> Check {
    let about = "a queue on trial";
    let name = format!("doctor-{}", process::id());
    let attempt = || -> Result<(), Error> {
        let queue = Options::new(2).goes_with_last_user().create::<u64>(&name)?;
        let same = Queue::<u64>::open(&name)?;
        queue.producer()?.push(1)?;
        let mut consumer = same.consumer()?;
        consumer.pop()?;
        // It has to sleep for that.
        match consumer.pop_timeout(Duration::from_millis(2)) {
            Err(Error::Empty) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(Error::Corrupt { what: "a message came twice".into() }),
        }
        Options::new(2).anonymous::<u64>()?.share()?;
        Ok(())
    };
    match attempt() {
        Ok(()) => Check::well(about, "was made, with a name and without, opened, locked, waited at and removed"),
        Err(error) => Check::wrong("trial-failed", about, error.to_string())
            .meaning("So it will be with every new queue.")
            .remedy(format!("put right what is wrong above; {}", machine::NEEDS)),
    }
}

fn told(machine: &[Check], queues: &[Check], mended: &[String], wrong: usize) -> String {
    let colours = Colours::of_output();
    let width = machine.iter().chain(queues).map(Check::width).max().unwrap_or(0);
    let mut text: String = machine.iter().map(|check| check.lines(width, &colours)).collect();
    text.push('\n');
    if queues.is_empty() {
        text += "there are no queues\n";
    }
    text.extend(queues.iter().map(|check| check.lines(width, &colours)));
    text.push('\n');
    for what in mended {
        text += &format!("put right: {what}\n");
    }
    text += &match wrong {
        0 => "nothing is wrong".to_owned(),
        1 => "one thing is wrong".to_owned(),
        more => format!("{more} things are wrong"),
    };
    text
}

/// Whether words have colours: on a terminal, unless its user wants none.
pub(crate) struct Colours(bool);

impl Colours {
    fn of_output() -> Colours {
        Colours(io::stdout().is_terminal() && takes_sequences() && screen::colours_are_wanted())
    }

    fn paint(&self, state: State, text: &str) -> String {
        let colour = match state {
            State::Well => 32,
            State::Note => 33,
            State::Wrong => 31,
        };
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
