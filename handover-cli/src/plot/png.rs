//! A page as PNG. Letters come from a font that is compiled in as pictures: no font of the system's is needed, and no
//! library that shapes text.

use std::io;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};
use tiny_skia::{FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, Rect, StrokeDash, Transform};

use super::page::{Anchor, Colour, LETTERS, Page, Stroke};
use crate::trouble::Trouble;

/// So large that the page's letters are as high as those of the font.
const SCALE: f64 = 16.0 / LETTERS;

pub(super) struct Png(Pixmap);

impl Png {
    pub(super) fn new(width: f64, height: f64) -> Png {
        let pixels = |length: f64| (length * SCALE).ceil().max(1.0) as u32;
        let mut pixmap = Pixmap::new(pixels(width), pixels(height)).expect("a page is neither empty nor huge");
        pixmap.fill(tiny_skia::Color::WHITE);
        Png(pixmap)
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, Trouble> {
        self.0.encode_png().map_err(|error| Trouble::System(io::Error::other(error)))
    }
}

fn paint(Colour([red, green, blue]): Colour) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}

fn scaled(length: f64) -> f32 {
    (length * SCALE) as f32
}

impl Page for Png {
    fn line(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let mut path = PathBuilder::new();
        for (nth, (x, y)) in points.iter().enumerate() {
            if nth == 0 { path.move_to(scaled(*x), scaled(*y)) } else { path.line_to(scaled(*x), scaled(*y)) }
        }
        // Nothing is drawn through fewer than two points.
        let Some(path) = path.finish() else { return };
        let dash = if stroke.dashed { StrokeDash::new(vec![scaled(5.0), scaled(4.0)], 0.0) } else { None };
        let (line_cap, line_join) = (LineCap::Butt, LineJoin::Round);
        let style = tiny_skia::Stroke { width: scaled(stroke.width), dash, line_cap, line_join, ..Default::default() };
        self.0.stroke_path(&path, &paint(stroke.colour), &style, Transform::identity(), None);
    }

    fn dot(&mut self, (x, y): (f64, f64), radius: f64, colour: Colour) {
        if let Some(circle) = PathBuilder::from_circle(scaled(x), scaled(y), scaled(radius)) {
            self.0.fill_path(&circle, &paint(colour), FillRule::Winding, Transform::identity(), None);
        }
    }

    fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: Colour) {
        if let Some(rectangle) = Rect::from_xywh(scaled(x), scaled(y), scaled(width), scaled(height)) {
            self.0.fill_rect(rectangle, &paint(colour), Transform::identity(), None);
        }
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, size: f64, colour: Colour, text: &str) {
        let height = if size > LETTERS { RasterHeight::Size20 } else { RasterHeight::Size16 };
        let letter =
            |c| get_raster(c, FontWeight::Regular, height).or_else(|| get_raster('?', FontWeight::Regular, height));
        let letters: Vec<_> = text.chars().filter_map(letter).collect();
        let length: usize = letters.iter().map(|letter| letter.width()).sum();
        let share = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => 0.5,
            Anchor::End => 1.0,
        };
        let mut left = ((x * SCALE) - length as f64 * share).round() as i64;
        // The font's letters stand on a line at four fifths of their height.
        let top = (y * SCALE - 0.8 * height.val() as f64).round() as i64;
        for letter in letters {
            for (row, line) in letter.rows().enumerate() {
                for (column, ink) in line.iter().enumerate() {
                    self.ink(left + column as i64, top + row as i64, *ink, colour);
                }
            }
            left += letter.width() as i64;
        }
    }
}

impl Png {
    /// Lays colour over a pixel, so much of it. What is beside the page is lost.
    fn ink(&mut self, x: i64, y: i64, ink: u8, Colour(colour): Colour) {
        let (width, height) = (i64::from(self.0.width()), i64::from(self.0.height()));
        if ink == 0 || !(0..width).contains(&x) || !(0..height).contains(&y) {
            return;
        }
        let at = 4 * (y * width + x) as usize;
        for (below, above) in self.0.data_mut()[at..at + 3].iter_mut().zip(colour) {
            let mixed = u32::from(*below) * u32::from(255 - ink) + u32::from(above) * u32::from(ink);
            *below = (mixed / 255) as u8;
        }
    }
}
