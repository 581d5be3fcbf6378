//! Curves over the capacity, by powers of two, and a mark at the one that is recommended: `handover tune`.

use super::page::{
    ASPECT, Anchor, BLUE, Colour, FAINT, GREY, INK, LETTERS, LIGHT_BLUE, Page, RED, Scale, Stroke, TITLE, decades, step,
};

/// What is measured at each capacity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) logarithmic: bool,
    /// The greatest value of its axis, if that is not for the values to say.
    pub(crate) most: Option<f64>,
    pub(crate) curves: Vec<Curve>,
}

pub(crate) struct Curves {
    pub(crate) title: String,
    pub(crate) panels: Vec<Panel>,
    pub(crate) recommended: Option<f64>,
}

const COLOURS: [Colour; 3] = [BLUE, LIGHT_BLUE, GREY];
const WIDTH: f64 = 900.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 30.0;
const HEAD: f64 = 44.0;
const ABOVE: f64 = 32.0;
const PANEL: f64 = 190.0;
const BELOW: f64 = 44.0;

impl Panel {
    /// From the least to the greatest value of its axis.
    pub(crate) fn range(&self) -> (f64, f64) {
        let values = || self.curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value);
        if self.logarithmic {
            let (from, to) = decades(values());
            return (10f64.powi(from), 10f64.powi(to));
        }
        let most = self.most.unwrap_or_else(|| values().fold(0.0, f64::max)).max(f64::MIN_POSITIVE);
        (0.0, step(most) * (most / step(most)).ceil())
    }

    /// What stands at its axis.
    pub(crate) fn marks(&self) -> Vec<f64> {
        let (from, to) = self.range();
        if self.logarithmic {
            let powers = from.log10().round() as i32..=to.log10().round() as i32;
            return powers.map(|power| 10f64.powi(power)).collect();
        }
        let step = step(to);
        (0..=(to / step).round() as u32).map(|nth| f64::from(nth) * step).collect()
    }
}

/// A mark at an axis, without what floating point adds to it.
pub(crate) fn mark(value: f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

/// A capacity, as short as can be.
pub(crate) fn capacity(value: f64) -> String {
    match value as u64 {
        n if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("{}M", n >> 20),
        n if n >= 1 << 10 && n.is_multiple_of(1 << 10) => format!("{}K", n >> 10),
        n => n.to_string(),
    }
}

impl Curves {
    pub(crate) fn size(&self) -> (f64, f64) {
        (WIDTH, HEAD + (ABOVE + PANEL + BELOW) * self.panels.len() as f64)
    }

    /// All capacities that were measured, least first.
    pub(crate) fn capacities(&self) -> Vec<f64> {
        let points = self.panels.iter().flat_map(|panel| &panel.curves).flat_map(|curve| &curve.points);
        let mut all: Vec<f64> = points.map(|(capacity, _)| *capacity).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }

    pub(crate) fn draw(&self, page: &mut dyn Page) {
        page.text((20.0, 26.0), Anchor::Start, TITLE, INK, &self.title);
        let all = self.capacities();
        let (Some(least), Some(most)) = (all.first(), all.last()) else { return };
        let x = Scale::logarithmic((*least, most.max(least * 2.0)), (LEFT + 10.0, WIDTH - RIGHT - 10.0));
        for (nth, panel) in self.panels.iter().enumerate() {
            let top = HEAD + (ABOVE + PANEL + BELOW) * nth as f64 + ABOVE;
            let bottom = top + PANEL;
            let y = if panel.logarithmic { Scale::logarithmic } else { Scale::linear }(panel.range(), (bottom, top));
            panel.head(page, top - 14.0);
            for value in panel.marks() {
                page.line(&[(LEFT, y.at(value)), (WIDTH - RIGHT, y.at(value))], Stroke::new(FAINT, 1.0));
                page.text((LEFT - 8.0, y.at(value) + 4.0), Anchor::End, LETTERS, GREY, &mark(value));
            }
            for value in &all {
                page.line(&[(x.at(*value), bottom), (x.at(*value), bottom + 5.0)], Stroke::new(GREY, 1.0));
                page.text((x.at(*value), bottom + 19.0), Anchor::Middle, LETTERS, GREY, &capacity(*value));
            }
            if let Some(recommended) = self.recommended {
                let at = x.at(recommended);
                page.line(&[(at, top), (at, bottom)], Stroke::new(RED, 1.5).dashed());
                if nth == 0 {
                    let (anchor, beside) = if at > WIDTH / 2.0 { (Anchor::End, -6.0) } else { (Anchor::Start, 6.0) };
                    let text = format!("recommended: {recommended}");
                    page.text((at + beside, bottom - 8.0), anchor, LETTERS, RED, &text);
                }
            }
            for (curve, colour) in panel.curves.iter().zip(COLOURS) {
                let points: Vec<(f64, f64)> =
                    curve.points.iter().map(|(at, value)| (x.at(*at), y.at(*value))).collect();
                page.line(&points, Stroke::new(colour, 2.0));
                points.iter().for_each(|point| page.dot(*point, 3.5, colour));
            }
            let axis = "capacity (messages)";
            page.text(((LEFT + WIDTH - RIGHT) / 2.0, bottom + 35.0), Anchor::Middle, LETTERS, GREY, axis);
        }
    }
}

impl Panel {
    /// Its title, and what its curves are.
    fn head(&self, page: &mut dyn Page, y: f64) {
        page.text((20.0, y), Anchor::Start, LETTERS, INK, &self.title);
        let mut x = WIDTH - RIGHT;
        for (curve, colour) in self.curves.iter().zip(COLOURS).rev() {
            if curve.name.is_empty() {
                continue;
            }
            page.text((x, y), Anchor::End, LETTERS, INK, curve.name);
            x -= curve.name.len() as f64 * LETTERS * ASPECT + 14.0;
            page.rectangle((x - 4.0, y - 9.0), (10.0, 10.0), colour);
            x -= 22.0;
        }
    }
}
