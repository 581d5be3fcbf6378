//! What a plot is drawn on, whatever it becomes.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour(pub(crate) [u8; 3]);

pub(crate) const INK: Colour = Colour([0x22, 0x22, 0x22]);
pub(crate) const FAINT: Colour = Colour([0xe2, 0xe2, 0xe2]);
pub(crate) const GREY: Colour = Colour([0x77, 0x77, 0x77]);
pub(crate) const BLUE: Colour = Colour([0x1f, 0x4e, 0x9c]);
pub(crate) const LIGHT_BLUE: Colour = Colour([0x3f, 0xa0, 0xd8]);
pub(crate) const RED: Colour = Colour([0xd1, 0x49, 0x5b]);

/// The height of letters, and how much wider than high one is.
pub(crate) const LETTERS: f64 = 12.0;
pub(crate) const TITLE: f64 = 15.0;
pub(crate) const ASPECT: f64 = 0.6;

/// Where a text stands, as seen from its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) colour: Colour,
    pub(crate) width: f64,
    pub(crate) dashed: bool,
}

impl Stroke {
    pub(crate) fn new(colour: Colour, width: f64) -> Stroke {
        Stroke { colour, width, dashed: false }
    }

    pub(crate) fn dashed(self) -> Stroke {
        Stroke { dashed: true, ..self }
    }
}

/// White, with the origin at the left above.
pub(crate) trait Page {
    fn line(&mut self, points: &[(f64, f64)], stroke: Stroke);
    fn dot(&mut self, middle: (f64, f64), radius: f64, colour: Colour);
    fn rectangle(&mut self, at: (f64, f64), size: (f64, f64), colour: Colour);
    /// `size` is [`LETTERS`] or [`TITLE`].
    fn text(&mut self, at: (f64, f64), anchor: Anchor, size: f64, colour: Colour, text: &str);
}

/// A scale by powers, from the page's one end to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
}

impl Scale {
    pub(crate) fn linear((from, to): (f64, f64), (start, end): (f64, f64)) -> Scale {
        Scale { from, to, start, end, logarithmic: false }
    }

    pub(crate) fn logarithmic((from, to): (f64, f64), (start, end): (f64, f64)) -> Scale {
        Scale { from: from.ln(), to: to.ln(), start, end, logarithmic: true }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let share = (value - self.from) / (self.to - self.from).max(f64::MIN_POSITIVE);
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }
}

/// The powers of ten around all values, or one decade if there are none.
pub(crate) fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let positive = values.filter(|value| value.is_finite() && *value > 0.0);
    let (least, most) = positive.fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
    if most == 0.0 {
        return (0, 1);
    }
    let from = least.log10().floor() as i32;
    (from, (most.log10().ceil() as i32).max(from + 1))
}

/// 1, 2 or 5 times a power of ten, so that about five of them fill the axis.
pub(crate) fn step(greatest: f64) -> f64 {
    let raw = (greatest / 5.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= raw).unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_stay_on_their_axis() {
        let scale = Scale::logarithmic((1.0, 100.0), (0.0, 200.0));
        assert_eq!([1.0, 10.0, 100.0, 1e9, 0.0].map(|value| scale.at(value).round()), [0.0, 100.0, 200.0, 200.0, 0.0]);
        assert_eq!(Scale::linear((0.0, 10.0), (50.0, 0.0)).at(5.0), 25.0);
        assert_eq!(decades([3.0, f64::NAN, 250.0, 0.0].into_iter()), (0, 3));
        assert_eq!(decades([7.0].into_iter()), (0, 1));
        assert_eq!(decades(std::iter::empty()), (0, 1));
        assert_eq!([0.9, 4.0, 99.0].map(step), [0.2, 1.0, 20.0]);
    }
}
