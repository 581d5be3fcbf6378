//! What the keys do, and what the columns mean.

use ratatui::Frame;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::palette::Palette;

const KEYS: [(&str, &str); 9] = [
    ("↑ ↓  j k", "choose a queue; in an open one, scroll its members"),
    ("PgUp PgDn  Home End", "go by a page, to the first, to the last"),
    ("Enter  →", "open the chosen one"),
    ("Esc  Backspace  ←", "back to all"),
    ("s", "sort by the next column: name, depth, rate in, rate out, members"),
    ("r", "turn the order round"),
    ("p  Space", "pause: look no more; and go on"),
    ("?  h", "this"),
    ("q  Ctrl-C", "quit"),
];

const WORDS: [(&str, &str); 8] = [
    ("DEPTH", "how many are in it; of a broadcast, how far its last reader is behind"),
    ("IN/S OUT/S", "each second; of a broadcast, OUT is what all readers read"),
    ("stale", "no process has it open: left behind, or waiting for its next user"),
    ("dead", "the kernel says so; whoever is held up by it puts it right"),
    ("deaths", "how many were noticed"),
    ("redelivered", "handed out again, marked: who had it first died with it"),
    ("voided", "pushes that came to nothing: who made them died in them"),
    ("waited, worked on", "how long tasks did: half (p50), nearly all (p99)"),
];

pub(super) fn draw(frame: &mut Frame, area: Rect, palette: Palette) {
    let line = |(word, means): &(&str, &str)| {
        Line::from(vec![Span::styled(format!("{word:<21}"), palette.title()), Span::raw((*means).to_owned())])
    };
    let lines = KEYS.iter().map(line).chain([Line::raw("")]).chain(WORDS.iter().map(line));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area.inner(Margin::new(2, 1)));
}
