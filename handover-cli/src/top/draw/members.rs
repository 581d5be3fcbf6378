//! Who is attached to a queue: what they do, and how.

use ratatui::text::{Line, Span, Text};

use super::super::marks::{bar, cell, right};
use super::super::palette::Palette;
use super::Who;
use crate::numbers::{counted, short, time};
use crate::system::processes::State;
use crate::watch::{Doing, Inside, Member, Pace, Part};

const PART: usize = 13;
const PID: usize = 8;
const COMMAND: usize = 15;
const STATE: usize = 7;
const RATE: usize = 6;
const BEHIND: usize = 4;

/// A head and a line for each, from that one on, as many as there is room for. If not all are shown, the last line says so.
pub(super) fn lines(
    inside: &Inside,
    pace: &Pace,
    above: usize,
    room: usize,
    palette: Palette,
    who: Who,
) -> Text<'static> {
    let count = inside.members.len();
    if room == 0 {
        return Text::default();
    }
    if count == 0 {
        return Text::styled("nobody is attached", palette.quiet());
    }
    let head = format!(
        "{} {} {} {} {}  {}",
        cell("ROLE", PART),
        right("PID", PID),
        cell("COMMAND", COMMAND),
        cell("STATE", STATE),
        right("RATE/S", RATE),
        match inside.members.last().map(|member| member.part) {
            Some(Part::Worker) => "IN WORK",
            Some(Part::Reader | Part::Gating) => "BEHIND",
            _ => "",
        },
    );
    let mut lines = vec![Line::styled(head, palette.head())];
    let room = room - 1;
    let shown = if count - above.min(count) > room || above > 0 { room.saturating_sub(1) } else { room };
    for (number, member) in inside.members.iter().enumerate().skip(above).take(shown) {
        lines.push(line(member, inside, pace.members.get(number).copied().flatten(), palette, who));
    }
    if shown < room {
        let last = (above + shown).min(count);
        let text = if shown == 0 { counted(count, "member") } else { format!("{} to {last} of {count}", above + 1) };
        lines.push(Line::styled(text, palette.quiet()));
    }
    Text::from(lines)
}

fn line(member: &Member, inside: &Inside, rate: Option<f64>, palette: Palette, who: Who) -> Line<'static> {
    // Its pid may be another's by now.
    let process = member.alive.then(|| who(member.pid)).flatten();
    let (state, style) = match (member.alive, process.as_ref().map(|process| process.state)) {
        (false, _) => ("dead", palette.bad()),
        (true, Some(State::Runs)) => ("runs", palette.well()),
        (true, Some(State::Sleeps)) => ("sleeps", palette.quiet()),
        (true, Some(State::Stopped)) => ("stopped", palette.doubtful()),
        (true, Some(State::Zombie | State::Unknown) | None) => ("alive", palette.well()),
    };
    let command = process.map_or("-".into(), |process| process.command);
    let mut line = Line::from(vec![
        Span::raw(format!(
            "{} {} {} ",
            cell(&member.part.to_string(), PART),
            right(&member.pid.to_string(), PID),
            cell(&command, COMMAND),
        )),
        Span::styled(cell(state, STATE), style),
        Span::raw(format!(" {}  ", right(&rate.map_or("-".into(), short), RATE))),
    ]);
    if let Doing::Reading { lag, .. } = member.doing {
        let part = lag as f64 / inside.capacity.max(1) as f64;
        let (filled, left) = bar(part, BEHIND);
        line.push_span(Span::styled(filled, palette.fill(part)));
        line.push_span(Span::styled(left + " ", palette.quiet()));
    }
    line.push_span(doing(member, palette));
    line
}

fn doing(member: &Member, palette: Palette) -> Span<'static> {
    match member.doing {
        Doing::Nothing => Span::raw(""),
        Doing::Messages { blocked, redelivered } => {
            let mut text = format!("{} in all", short(member.moved.unwrap_or(0) as f64));
            if redelivered > 0 {
                text += &format!(", {} again", short(redelivered as f64));
            }
            if blocked > 0 {
                text += &format!(", {} waits", short(blocked as f64));
            }
            Span::raw(text)
        }
        Doing::Reading { lag, missed } => {
            let style = if missed > 0 { palette.doubtful() } else { palette.quiet() };
            Span::styled(format!("{}, missed {}", short(lag as f64), short(missed as f64)), style)
        }
        Doing::Working { tasks: 0, .. } => Span::styled("-", palette.quiet()),
        Doing::Working { tasks, longest, tries } => {
            let mut text = format!("{tasks}, for {}", time(longest));
            if tries > 1 {
                text += &format!(", try {tries}");
            }
            Span::raw(text)
        }
    }
}
