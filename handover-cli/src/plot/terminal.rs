//! Curves in the terminal, in letters of two by four points, or of one where there are no such.

use std::env;
use std::io::{self, IsTerminal};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use super::curves::{Curves, Panel, capacity, mark};
use crate::screen;
use crate::system::terminal::takes_sequences;

const HEIGHT: u16 = 16;
/// Where nothing says how wide it is.
const WIDTH: u16 = 80;
const WIDTH_MOST: u16 = 100;
const WIDTH_LEAST: u16 = 40;
const COLOURS: [Color; 3] = [Color::Blue, Color::Cyan, Color::DarkGray];
const RECOMMENDED: Color = Color::Red;

/// How standard output shows things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    colours: bool,
    /// The console of the kernel has no letters for points.
    points: bool,
    width: u16,
}

impl Manner {
    pub(crate) fn of_standard_output() -> Manner {
        let terminal = io::stdout().is_terminal() && takes_sequences();
        let term = env::var("TERM").unwrap_or_default();
        Manner {
            colours: terminal && screen::colours_are_wanted() && term != "dumb",
            points: !["linux", "dumb"].contains(&term.as_str()),
            width: screen::width().unwrap_or(WIDTH).clamp(WIDTH_LEAST, WIDTH_MOST),
        }
    }

    /// How many letters stand on a line.
    pub(crate) fn width(self) -> usize {
        self.width.into()
    }

    /// All panels, below each other.
    pub(crate) fn show(self, curves: &Curves) -> String {
        let capacities = curves.capacities();
        let (Some(least), Some(most)) = (capacities.first(), capacities.last()) else { return String::new() };
        let bounds = [least.log2(), most.log2().max(least.log2() + 1.0)];
        let panels = curves.panels.iter().map(|panel| self.panel(panel, bounds, curves.recommended));
        panels.collect::<Vec<_>>().join("\n")
    }

    fn panel(self, panel: &Panel, bounds: [f64; 2], recommended: Option<f64>) -> String {
        let (from, to) = panel.range();
        let up = |value: f64| if panel.logarithmic { value.max(from).log10() } else { value };
        let marker = if self.points { Marker::Braille } else { Marker::Dot };
        let shown =
            |points: &[(f64, f64)]| points.iter().map(|(at, value)| (at.log2(), up(*value))).collect::<Vec<_>>();
        let curves: Vec<Vec<(f64, f64)>> = panel.curves.iter().map(|curve| shown(&curve.points)).collect();
        // A column of points, so that it differs from what it crosses.
        let here: Vec<(f64, f64)> = recommended.map_or_else(Vec::new, |at| {
            let (low, high) = (up(from), up(to));
            (0..=2 * HEIGHT)
                .map(|nth| (at.log2(), low + (high - low) * f64::from(nth) / f64::from(2 * HEIGHT)))
                .collect()
        });
        let mut sets = vec![Dataset::default().marker(marker).style(Style::new().fg(RECOMMENDED)).data(&here)];
        for (points, colour) in curves.iter().zip(COLOURS) {
            let set = Dataset::default().marker(marker).graph_type(GraphType::Line);
            sets.push(set.style(Style::new().fg(colour)).data(points));
        }
        let marks = panel.marks();
        let labels: Vec<Line> = if marks.len() > 6 {
            marks.iter().step_by(2).copied().map(|v| Line::from(mark(v))).collect()
        } else {
            marks.iter().copied().map(|v| Line::from(mark(v))).collect()
        };
        let middle = f64::midpoint(bounds[0], bounds[1]).round().exp2();
        let below = [bounds[0].exp2(), middle, bounds[1].exp2()].map(|at| Line::from(capacity(at)));
        let chart = Chart::new(sets)
            .legend_position(None)
            .x_axis(Axis::default().bounds(bounds).labels(below))
            .y_axis(Axis::default().bounds([up(from), up(to)]).labels(labels));
        let mut buffer = Buffer::empty(Rect::new(0, 0, self.width, HEIGHT));
        chart.render(buffer.area, &mut buffer);
        let here = recommended.map(|at| self.painted(&format!("┆ recommended: {at}"), RECOMMENDED));
        let head: Vec<String> = [panel.title.clone()].into_iter().chain(here).collect();
        format!("{}\n{}", head.join("   "), self.text(&buffer))
    }

    fn painted(self, text: &str, colour: Color) -> String {
        match number(colour).filter(|_| self.colours) {
            Some(number) => format!("\x1b[{number}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }

    fn text(self, buffer: &Buffer) -> String {
        let mut text = String::new();
        for row in buffer.content.chunks(usize::from(buffer.area.width)) {
            let used = row.iter().rposition(|cell| cell.symbol() != " ").map_or(0, |last| last + 1);
            for run in row[..used].chunk_by(|a, b| a.fg == b.fg) {
                let symbols: String = run.iter().map(ratatui::buffer::Cell::symbol).collect();
                text += &self.painted(&symbols, run[0].fg);
            }
            text.push('\n');
        }
        text
    }
}

fn number(colour: Color) -> Option<u8> {
    match colour {
        Color::Red => Some(31),
        Color::Blue => Some(34),
        Color::Cyan => Some(36),
        Color::DarkGray => Some(90),
        _ => None,
    }
}
