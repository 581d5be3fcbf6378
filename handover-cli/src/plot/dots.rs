//! Figures as dots with their spread, a row for each, beside a mark for what the machine can do: `handover bench`.

use super::page::{
    ASPECT, Anchor, BLUE, Colour, FAINT, GREY, INK, LETTERS, LIGHT_BLUE, Page, RED, Scale, Stroke, TITLE, decades,
};

/// A figure with its spread, and the limit it is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dot {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
    pub(crate) limit: Option<f64>,
}

/// Rows on one axis, by powers of ten.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// Each with its label, and with a dot, or none, for each series.
    pub(crate) rows: Vec<(String, [Option<Dot>; 2])>,
}

pub(crate) struct Dots {
    pub(crate) title: String,
    pub(crate) series: [&'static str; 2],
    pub(crate) limit: &'static str,
    pub(crate) panels: Vec<Panel>,
}

const COLOURS: [Colour; 2] = [BLUE, LIGHT_BLUE];
const WIDTH: f64 = 900.0;
const RIGHT: f64 = 30.0;
const ROW: f64 = 26.0;
const HEAD: f64 = 64.0;
/// Above and below a panel's rows.
const ABOVE: f64 = 34.0;
const BELOW: f64 = 36.0;

impl Dots {
    pub(crate) fn size(&self) -> (f64, f64) {
        let panel = |panel: &Panel| ABOVE + ROW * panel.rows.len() as f64 + BELOW;
        (WIDTH, HEAD + self.panels.iter().map(panel).sum::<f64>())
    }

    pub(crate) fn draw(&self, page: &mut dyn Page) {
        page.text((20.0, 26.0), Anchor::Start, TITLE, INK, &self.title);
        let mut x = 20.0;
        for (name, colour) in self.series.iter().zip(COLOURS) {
            page.dot((x + 5.0, 44.0), 4.5, colour);
            page.text((x + 16.0, 48.0), Anchor::Start, LETTERS, INK, name);
            x += 40.0 + name.len() as f64 * LETTERS * ASPECT;
        }
        page.line(&[(x + 5.0, 37.0), (x + 5.0, 51.0)], Stroke::new(RED, 2.5));
        page.text((x + 16.0, 48.0), Anchor::Start, LETTERS, INK, self.limit);
        let longest = self.panels.iter().flat_map(|panel| &panel.rows).map(|(label, _)| label.len()).max();
        let left = 36.0 + longest.unwrap_or(0) as f64 * LETTERS * ASPECT;
        let mut top = HEAD;
        for panel in &self.panels {
            top = panel.draw(page, left, top);
        }
    }
}

impl Panel {
    /// Where the next one may begin.
    fn draw(&self, page: &mut dyn Page, left: f64, top: f64) -> f64 {
        let dots = || self.rows.iter().flat_map(|(_, dots)| dots.iter().flatten());
        let (from, to) = decades(dots().flat_map(|dot| [Some(dot.least), Some(dot.greatest), dot.limit]).flatten());
        let scale = Scale::logarithmic((10f64.powi(from), 10f64.powi(to)), (left, WIDTH - RIGHT));
        let rows = top + ABOVE;
        let bottom = rows + ROW * self.rows.len() as f64;
        page.text((20.0, top + 18.0), Anchor::Start, LETTERS, INK, &self.title);
        for power in from..=to {
            let x = scale.at(10f64.powi(power));
            page.line(&[(x, rows), (x, bottom)], Stroke::new(FAINT, 1.0));
            page.text((x, bottom + 16.0), Anchor::Middle, LETTERS, GREY, &format!("{}", 10f64.powi(power)));
        }
        for (nth, (label, dots)) in self.rows.iter().enumerate() {
            let middle = rows + ROW * (nth as f64 + 0.5);
            page.text((left - 12.0, middle + 4.0), Anchor::End, LETTERS, INK, label);
            page.line(&[(left, middle), (WIDTH - RIGHT, middle)], Stroke::new(FAINT, 1.0));
            // Both have the same limit.
            if let Some(limit) = dots.iter().flatten().find_map(|dot| dot.limit) {
                let x = scale.at(limit);
                page.line(&[(x, middle - 9.0), (x, middle + 9.0)], Stroke::new(RED, 2.5));
            }
            for ((dot, colour), beside) in dots.iter().zip(COLOURS).zip([-5.0, 5.0]) {
                let Some(dot) = dot else { continue };
                let y = middle + beside;
                page.line(&[(scale.at(dot.least), y), (scale.at(dot.greatest), y)], Stroke::new(colour, 2.0));
                page.dot((scale.at(dot.median), y), 4.5, colour);
            }
        }
        bottom + BELOW
    }
}
