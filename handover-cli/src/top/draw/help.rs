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
    ("s", "sort by name, depth, rate in, rate out, members in turn"),
    ("r", "turn the order round"),
    ("p  Space", "pause: look no more; and go on"),
    ("?  h", "this"),
    ("q  Ctrl-C", "quit"),
];

const WORDS: [(&str, &str); 8] = [
    ("DEPTH", "how many are in it; how far its last reader is behind"),
    ("IN/S OUT/S", "in each second; OUT is what all readers read together"),
    ("stale", "no process has it open: left behind, or waits for one"),
    ("dead", "the kernel says so; who is held up by it puts it right"),
    ("deaths", "how many were noticed"),
    ("redelivered", "handed out again, marked: who had it first died"),
    ("voided", "pushes that came to nothing: who made them died"),
    ("waited, worked on", "how long tasks did: half (p50), nearly all (p99)"),
];

pub(super) fn draw(frame: &mut Frame, area: Rect, palette: Palette) {
    let line = |(word, means): &(&str, &str)| {
        Line::from(vec![Span::styled(format!("{word:<21}"), palette.title()), Span::raw((*means).to_owned())])
    };
    let lines = KEYS.iter().map(line).chain([Line::raw("")]).chain(WORDS.iter().map(line));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area.inner(Margin::new(2, 1)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_fits_the_smallest_usual_terminal() {
        for (word, means) in KEYS.iter().chain(&WORDS) {
            assert!(word.chars().count() < 21 && means.chars().count() <= 80 - 4 - 21, "{word}: {means}");
        }
        // With the lines above and below, and what is between the two.
        assert!(KEYS.len() + WORDS.len() + 5 <= 24);
    }
}
