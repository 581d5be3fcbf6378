//! `top`: every queue of this machine, live and full screen.
//!
//! [`state`] is what is shown and what keys do to it, [`draw`] puts it on the screen, [`terminal`] takes the terminal and
//! gives it back. What there is to be seen comes from [`watch`](crate::watch), a look at a time.

mod draw;
mod marks;
mod palette;
mod state;
mod terminal;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use handover::Error;

use self::palette::Palette;
use self::state::{Flow, Top};
use self::terminal::{Event, Terminal};
use crate::interrupt::{Interrupt, LOOK};
use crate::screen;
use crate::system::{processes, signals};
use crate::target::Target;
use crate::trouble::Trouble;
use crate::units;
use crate::watch::Look;

#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// The queue, broadcast or task queue to open at once; with a slash in it, the path of its file.
    name: Option<Target>,
    /// The time between two looks: 250ms, 1s.
    #[arg(long, value_name = "TIME", value_parser = units::interval, default_value = "1s")]
    interval: Duration,
}

pub(crate) const EXAMPLE: &str = "\
Keys: up and down choose a queue and Enter opens it, Esc goes back; s sorts by the next column, r turns the order round, p pauses,
? tells all of them, q or Ctrl-C quits. It only looks: no queue is slower for it, or stays for it. It needs a terminal; in
pipes, use ls or stat. Colours are left off if NO_COLOR is set.

Examples:
  handover top
  handover top jobs --interval 250ms";

/// The first rates are those of a moment: nobody waits long for the first screen.
const MOMENT: Duration = Duration::from_millis(100);

/// A look that takes long, at a queue of a million tasks, is followed by a rest of so many times as long.
const REST: u32 = 20;

pub(crate) fn top(wanted: &Watch) -> Result<(), Trouble> {
    if !io::stdout().is_terminal() {
        return Err(Trouble::Failed(
            "top needs a terminal to draw on, and standard output is none; use handover ls or handover stat".into(),
        ));
    }
    if let Some(Err(missing @ Error::NotFound { .. })) = wanted.name.as_ref().map(Target::kind) {
        return Err(missing.into());
    }
    let file = wanted.name.as_ref().filter(|target| matches!(target, Target::File(_)));
    let mut top = Top::new(Look::at_all_and(file)?, wanted.interval, wanted.name.as_ref().map(Target::shown));
    thread::sleep(MOMENT.min(wanted.interval));
    top.see(Look::at_all_and(file)?);

    let palette = Palette::new(screen::colours_are_wanted());
    let interrupt = Interrupt::listen_to(signals::ENDINGS)?;
    let mut terminal = Terminal::take()?;
    let mut next = Instant::now() + wanted.interval;
    loop {
        terminal.draw(|frame| draw::draw(frame, &mut top, palette, &processes::process))?;
        #[cfg(debug_assertions)]
        terminal::panic_if_asked();
        // Until there is something else to be drawn.
        loop {
            if interrupt.asked() {
                drop(terminal);
                return Err(Trouble::Interrupted("the terminal is as it was"));
            }
            match terminal.wait(LOOK.min(next.saturating_duration_since(Instant::now())))? {
                Event::Key(key) => match top.press(key) {
                    Flow::On => break,
                    Flow::Quit => return Ok(()),
                },
                Event::Resized => break,
                Event::Nothing if Instant::now() < next => {}
                Event::Nothing => {
                    let begun = Instant::now();
                    if !top.is_paused() {
                        top.see(Look::at_all_and(file)?);
                    }
                    next = Instant::now() + wanted.interval.max(begun.elapsed() * REST);
                    break;
                }
            }
        }
    }
}
