//! What is shown, on the screen.

mod all;
mod help;
mod members;
mod one;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::palette::Palette;
use super::state::Top;
use crate::system::processes::Process;
use crate::watch::Inside;

/// What the system tells of a process.
pub(super) type Who<'a> = &'a dyn Fn(u32) -> Option<Process>;

/// Less than that shows nothing well.
const LEAST: (u16, u16) = (60, 10);

pub(super) fn draw(frame: &mut Frame, top: &mut Top, palette: Palette, who: Who) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {} by {} characters at least", LEAST.0, LEAST.1);
        frame.render_widget(Line::raw(text), area);
        return;
    }
    let [head, middle, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    let opened = top.opened().is_some();
    if top.is_helping() {
        help::draw(frame, middle, palette);
    } else if opened {
        one::draw(frame, middle, top, palette, who);
    } else {
        all::draw(frame, middle, top, palette, who);
    }
    draw_head(frame, head, top, palette);
    draw_foot(frame, foot, top, palette);
}

fn draw_head(frame: &mut Frame, area: Rect, top: &Top, palette: Palette) {
    let every = format!("every {:?}", top.interval);
    let mut left = Line::from(Span::styled(" handover top", palette.title()));
    let right = match top.opened() {
        Some((name, segment)) => {
            left.push_span("  ");
            left.push_span(Span::styled(printable(name), palette.head()));
            if let Some(kind) = segment.and_then(|segment| segment.kind) {
                left.push_span(format!(", a {kind}"));
            }
            every
        }
        None => {
            let used = top.segments().filter(|segment| segment.in_use).count();
            left.push_span(format!("  {} there, {used} in use", top.segments().count()));
            let (order, reversed) = top.order();
            format!("by {}{}, {every}", order.told(), if reversed { " from below" } else { "" })
        }
    };
    let mut right = Line::from(right + " ").right_aligned();
    if top.is_paused() {
        right.spans.insert(0, Span::styled("PAUSED", palette.doubtful().reversed()));
        right.spans.insert(1, Span::raw("  "));
    }
    frame.render_widget(left, area);
    let width = (right.width() as u16).min(area.width);
    frame.render_widget(right, Rect { x: area.right() - width, width, ..area });
}

fn draw_foot(frame: &mut Frame, area: Rect, top: &Top, palette: Palette) {
    let pause = if top.is_paused() { "go on" } else { "pause" };
    let keys: &[(&str, &str)] = if top.is_helping() {
        &[("any key", "goes back"), ("q", "quit")]
    } else if top.opened().is_some() {
        &[("Esc", "back"), ("↑↓", "members"), ("p", pause), ("?", "help"), ("q", "quit")]
    } else {
        &[
            ("↑↓", "choose"),
            ("Enter", "open"),
            ("s", "sort"),
            ("r", "reverse"),
            ("p", pause),
            ("?", "help"),
            ("q", "quit"),
        ]
    };
    let mut line = Line::raw(" ");
    for (key, does) in keys {
        line.push_span(Span::styled(*key, palette.title()));
        line.push_span(Span::styled(format!(" {does}   "), palette.quiet()));
    }
    frame.render_widget(line, area);
}

/// A name of someone else's choice, without what would do something to the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What went wrong and was put right, in a line.
fn recovered(inside: &Inside, palette: Palette) -> Line<'static> {
    let mut line = Line::from(Span::styled("recovered  ", palette.quiet()));
    for (place, (what, count)) in inside.recovered.iter().enumerate() {
        let style = if *count > 0 { palette.doubtful() } else { Style::new() };
        line.push_span(if place > 0 { ", " } else { "" });
        line.push_span(Span::styled(format!("{what} {}", crate::numbers::grouped(*count)), style));
    }
    line
}
