//! Small pictures made of text: bars, lines of rates, cells of a table.

use ratatui::text::Span;

/// Up to less than the height of a row: a line stays apart from the one above.
const STEPS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// That part of the width filled: the full end, and what is left of the width. Whatever is not empty is seen.
pub(super) fn bar(part: f64, width: usize) -> (String, String) {
    let most = width * 2;
    let part = if part > 0.0 { part.min(1.0) } else { 0.0 };
    let halves = ((part * most as f64).round() as usize).max(usize::from(part > 0.0)).min(most);
    let full = "━".repeat(halves / 2) + if halves % 2 == 1 { "╸" } else { "" };
    (full, "─".repeat(width - halves.div_ceil(2)))
}

/// The last values as a line, the newest at its end, the largest as high as it goes. What is not nothing is seen.
pub(super) fn line<'a>(values: impl DoubleEndedIterator<Item = &'a f64>, width: usize) -> String {
    let mut last: Vec<f64> = values.rev().take(width).copied().collect();
    last.reverse();
    let most = last.iter().copied().fold(0.0, f64::max);
    let step = |value: &f64| match *value {
        value if value > 0.0 => STEPS[1 + ((value / most * 5.0).round() as usize).min(5)],
        _ => STEPS[0],
    };
    let drawn: String = last.iter().map(step).collect();
    format!("{}{drawn}", " ".repeat(width - last.len()))
}

fn width_of(text: &str) -> usize {
    Span::raw(text).width()
}

/// Cut or padded to that width, without characters that would do something to the terminal.
pub(super) fn cell(text: &str, width: usize) -> String {
    let mut cell: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if width_of(&cell) > width {
        while width_of(&cell) + 1 > width && cell.pop().is_some() {}
        if width > 0 {
            cell.push('…');
        }
    }
    let left = width.saturating_sub(width_of(&cell));
    cell + &" ".repeat(left)
}

/// As `cell`, at the right.
pub(super) fn right(text: &str, width: usize) -> String {
    let cell = cell(text, width);
    let trimmed = cell.trim_end();
    format!("{}{trimmed}", " ".repeat(width.saturating_sub(width_of(trimmed))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_what_it_shows() {
        let bars = [
            (0.0, "────"),
            (0.0001, "╸───"),
            (0.25, "━───"),
            (0.5, "━━──"),
            (0.6, "━━╸─"),
            (1.0, "━━━━"),
            (7.0, "━━━━"),
        ];
        for (part, expected) in bars {
            let (full, left) = bar(part, 4);
            assert_eq!(full + &left, expected, "{part}");
        }
        assert_eq!(bar(f64::NAN, 2), (String::new(), "──".into()));
        assert_eq!(bar(0.5, 0), (String::new(), String::new()));
    }

    #[test]
    fn a_line_ends_with_the_newest_and_is_as_high_as_the_largest() {
        assert_eq!(line([0.0, 1.0, 50.0, 100.0].iter(), 6), "  ▁▂▅▇");
        assert_eq!(line([100.0, 1.0, 2.0].iter(), 2), "▅▇");
        assert_eq!(line([].iter(), 3), "   ");
        assert_eq!(line([0.0, 0.0].iter(), 2), "▁▁");
    }

    #[test]
    fn cells_have_their_width_whatever_stands_in_them() {
        for (text, expected) in [
            ("ab", "ab   "),
            ("abcde", "abcde"),
            ("abcdef", "abcd…"),
            ("\x1b[2J", "?[2J "),
            ("日本語", "日本…"),
            ("", "     "),
        ] {
            assert_eq!(cell(text, 5), expected);
        }
        assert_eq!(right("ab", 5), "   ab");
        assert_eq!(cell("abc", 0), "");
    }
}
