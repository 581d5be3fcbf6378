//! Plots as SVG: bars for rates, lines for distributions. Light background, labels with units, nothing to click on.

use std::fmt::Write;

/// Told apart by people who see colours differently, too, as far as so many can be. Ours come first in each plot.
const COLOURS: [&str; 20] = [
    "#1f4e9c", "#6f9fe0", "#0b7a75", "#d1495b", "#edae49", "#66a182", "#8d5b8c", "#7d7d7d", "#c97b3a", "#2e4057",
    "#b5bd4c", "#e08fb3", "#4aa8c0", "#a0522d", "#555599", "#999933", "#000000", "#ff5733", "#3cb371", "#c71585",
];

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;

/// A figure with its spread.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// The median.
    pub middle: f64,
    /// The least of the rounds.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

/// Bars in groups, on an axis of their own.
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Each with its label, and a bar, or none, for each series.
    pub groups: Vec<(String, Vec<Option<Bar>>)>,
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, size: u32, what: &str) {
    let what = escaped(what);
    writeln!(svg, r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}">{what}</text>"##)
        .expect("memory");
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], colour: &str) {
    let points = format!(r##"x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}""##);
    writeln!(svg, r##"<line {points} stroke="{colour}" stroke-width="1"/>"##).expect("memory");
}

fn begin(title: &str, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         font-family=\"sans-serif\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, LEFT, 26.0, "start", 17, title);
    svg
}

/// Below the title, in rows; where what comes next may begin.
fn legend(svg: &mut String, series: &[String]) -> f64 {
    let (mut x, mut y) = (LEFT, 50.0);
    for (nth, name) in series.iter().enumerate() {
        let width = 34.0 + 7.2 * name.chars().count() as f64;
        if x + width > WIDTH - RIGHT {
            (x, y) = (LEFT, y + 20.0);
        }
        let colour = COLOURS[nth % COLOURS.len()];
        writeln!(svg, r##"<rect x="{x:.1}" y="{:.1}" width="14" height="11" fill="{colour}"/>"##, y - 10.0)
            .expect("memory");
        text(svg, x + 19.0, y, "start", 12, name);
        x += width;
    }
    y + 22.0
}

/// 1, 2 or 5 times a power of ten, so that about five of them fill the axis.
fn step(greatest: f64) -> f64 {
    let raw = (greatest / 5.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= raw).unwrap_or(power)
}

/// Groups of bars, in panels below each other.
pub fn bars(title: &str, unit: &str, series: &[String], panels: &[Panel]) -> String {
    const PANEL: f64 = 170.0;
    const GAP: f64 = 56.0;
    let mut body = String::new();
    let mut y = legend(&mut body, series) + 14.0;
    for panel in panels {
        let all = panel.groups.iter().flat_map(|(_, bars)| bars.iter().flatten());
        let greatest = all.map(|bar| bar.greatest).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let (step, bottom) = (step(greatest), y + PANEL);
        let scale = PANEL / (step * (greatest / step).ceil());
        text(&mut body, LEFT, y - 8.0, "start", 13, &format!("{} ({unit})", panel.title));
        for nth in 0..=(greatest / step).ceil() as u32 {
            let value = f64::from(nth) * step;
            let at = bottom - value * scale;
            line(&mut body, [LEFT, at, WIDTH - RIGHT, at], if nth == 0 { "#444444" } else { "#e2e2e2" });
            text(&mut body, LEFT - 6.0, at + 4.0, "end", 11, &format!("{value}"));
        }
        let group = (WIDTH - LEFT - RIGHT) / panel.groups.len().max(1) as f64;
        let bar_width = (group - 24.0) / series.len().max(1) as f64;
        for (nth, (label, values)) in panel.groups.iter().enumerate() {
            let left = LEFT + nth as f64 * group;
            text(&mut body, left + group / 2.0, bottom + 17.0, "middle", 12, label);
            for (nth, bar) in values.iter().enumerate() {
                let Some(bar) = bar else { continue };
                let (x, top) = (left + 12.0 + nth as f64 * bar_width, bottom - bar.middle * scale);
                let (width, height) = (bar_width * 0.84, bar.middle * scale);
                let colour = COLOURS[nth % COLOURS.len()];
                writeln!(
                    body,
                    r##"<rect x="{x:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"##
                )
                .expect("memory");
                let middle = x + width / 2.0;
                line(&mut body, [middle, bottom - bar.least * scale, middle, bottom - bar.greatest * scale], "#222222");
            }
        }
        y = bottom + GAP;
    }
    begin(title, y - 20.0) + &body + "</svg>\n"
}

/// The quantiles that distributions are drawn through.
pub const QUANTILES: [f64; 13] =
    [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999];

/// Distributions of times: quantiles to the right, stretched towards the longest, microseconds upwards by powers of ten.
pub fn distributions(title: &str, series: &[String], values: &[Vec<f64>]) -> String {
    const HEIGHT: f64 = 430.0;
    let mut body = String::new();
    let top = legend(&mut body, series) + 20.0;
    let bottom = top + HEIGHT;
    let all = || values.iter().flatten().copied().filter(|value| *value > 0.0);
    let low = all().fold(f64::INFINITY, f64::min).log10().floor();
    let high = all().fold(f64::MIN_POSITIVE, f64::max).log10().ceil().max(low + 1.0);
    if !low.is_finite() {
        return begin(title, bottom) + "</svg>\n";
    }
    let y = |value: f64| bottom - (value.log10() - low) / (high - low) * HEIGHT;
    let last = -(1.0 - QUANTILES[QUANTILES.len() - 1]).log10();
    let x = |quantile: f64| LEFT - (1.0 - quantile).log10() / last * (WIDTH - LEFT - RIGHT - 20.0);
    text(&mut body, LEFT, top - 8.0, "start", 13, "microseconds");
    for power in low as i32..=high as i32 {
        let at = y(10f64.powi(power));
        line(&mut body, [LEFT, at, WIDTH - RIGHT, at], "#dddddd");
        text(&mut body, LEFT - 6.0, at + 4.0, "end", 11, &format!("{}", 10f64.powi(power)));
    }
    for (quantile, label) in
        [(0.0, "least"), (0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")]
    {
        line(&mut body, [x(quantile), top, x(quantile), bottom], "#eeeeee");
        text(&mut body, x(quantile), bottom + 17.0, "middle", 12, label);
    }
    for (nth, values) in values.iter().enumerate() {
        let at = |(quantile, value): (&f64, &f64)| format!("{:.1},{:.1}", x(*quantile), y(value.max(1e-3)));
        let points: Vec<String> = QUANTILES.iter().zip(values).map(at).collect();
        let (colour, points) = (COLOURS[nth % COLOURS.len()], points.join(" "));
        writeln!(body, r##"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>"##)
            .expect("memory");
    }
    text(&mut body, WIDTH / 2.0, bottom + 38.0, "middle", 12, "share of the messages that took at most so long");
    begin(title, bottom + 52.0) + &body + "</svg>\n"
}
