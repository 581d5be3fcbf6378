//! Plots as SVG: bars for rates, lines for distributions. Light background, labels with units, nothing to click on.

use std::fmt::Write;

/// Ours are blue in every plot.
const OURS: [&str; 7] = ["#1f4e9c", "#6f9fe0", "#12b5cb", "#14213d", "#7b6fd0", "#0b7a75", "#a9c7f5"];

/// Told apart by people who see colours differently, too, as far as so many can be.
const OTHERS: [&str; 14] = [
    "#d1495b", "#edae49", "#66a182", "#8d5b8c", "#7d7d7d", "#c97b3a", "#5f0f40", "#b5bd4c", "#e08fb3", "#a0522d",
    "#2b7a0b", "#ff5733", "#000000", "#c71585",
];

/// Each with its colour, and with how many of its side stand before it.
fn coloured(series: &[String]) -> Vec<(&str, &'static str, usize)> {
    let (mut ours, mut others) = (0, 0);
    let one = |name| {
        let (colours, nth): (&[&str], _) = if is_ours(name) { (&OURS, &mut ours) } else { (&OTHERS, &mut others) };
        *nth += 1;
        (name, colours[(*nth - 1) % colours.len()], *nth - 1)
    };
    series.iter().map(String::as_str).map(one).collect()
}

fn is_ours(name: &str) -> bool {
    name.starts_with("handover")
}

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
    // As large as leaves it on the page.
    let size = (17 * 105 / title.chars().count().max(1) as u32).min(17);
    text(&mut svg, LEFT, 26.0, "start", size, title);
    svg
}

/// Below the title, in rows; where what comes next may begin. `mark` draws what stands for a series, 26 wide.
fn legend(svg: &mut String, series: &[String], mark: impl Fn((f64, f64), &str, &str, usize) -> String) -> f64 {
    let (mut x, mut y) = (LEFT, 50.0);
    for (name, colour, nth) in coloured(series) {
        let width = 50.0 + 6.8 * name.chars().count() as f64;
        if x + width > WIDTH - RIGHT {
            (x, y) = (LEFT, y + 20.0);
        }
        writeln!(svg, "{}", mark((x, y), name, colour, nth)).expect("memory");
        text(svg, x + 31.0, y, "start", 12, name);
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
    let box_of = |(x, y): (f64, f64), _: &str, colour: &str, _| {
        format!(r##"<rect x="{:.1}" y="{:.1}" width="14" height="11" fill="{colour}"/>"##, x + 12.0, y - 10.0)
    };
    let mut y = legend(&mut body, series, box_of) + 14.0;
    let colours = coloured(series);
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
                let colour = colours[nth].1;
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
pub const QUANTILES: [f64; 11] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999];

/// How a line looks, beside its colour: ours are thicker, and where colours begin to be alike others are dashed.
fn stroke(name: &str, colour: &str, nth: usize) -> String {
    let width = if is_ours(name) { 3.0 } else { 1.7 };
    let dashes = ["", r##" stroke-dasharray="7 3""##, r##" stroke-dasharray="2 3""##][nth % 3];
    format!(r##"fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{dashes}"##)
}

/// Distributions of times: quantiles to the right, stretched towards the longest, microseconds upwards by powers of ten. Each
/// line ends where it has no more values.
pub fn distributions(title: &str, series: &[String], values: &[Vec<f64>]) -> String {
    const HEIGHT: f64 = 430.0;
    let mut body = String::new();
    let line_of = |(x, y): (f64, f64), name: &str, colour: &str, nth| {
        format!(r##"<path d="M{x:.1} {0:.1}h26" {1}/>"##, y - 4.0, stroke(name, colour, nth))
    };
    let top = legend(&mut body, series, line_of) + 20.0;
    let bottom = top + HEIGHT;
    let all = || values.iter().flatten().copied().filter(|value| *value > 0.0);
    let low = all().fold(f64::INFINITY, f64::min).log10().floor();
    let high = all().fold(f64::MIN_POSITIVE, f64::max).log10().ceil().max(low + 1.0);
    if !low.is_finite() {
        return begin(title, bottom) + "</svg>\n";
    }
    let y = |value: f64| bottom - (value.log10() - low) / (high - low) * HEIGHT;
    let longest = values.iter().map(Vec::len).max().unwrap_or(0).clamp(2, QUANTILES.len());
    let last = -(1.0 - QUANTILES[longest - 1]).log10();
    let x = |quantile: f64| LEFT - (1.0 - quantile).log10() / last * (WIDTH - LEFT - RIGHT - 30.0);
    text(&mut body, LEFT, top - 8.0, "start", 13, "microseconds");
    for power in low as i32..=high as i32 {
        let at = y(10f64.powi(power));
        line(&mut body, [LEFT, at, WIDTH - RIGHT, at], "#dddddd");
        text(&mut body, LEFT - 6.0, at + 4.0, "end", 11, &format!("{}", 10f64.powi(power)));
    }
    for (quantile, label) in
        [(0.0, "least"), (0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")]
    {
        if quantile > QUANTILES[longest - 1] {
            break;
        }
        line(&mut body, [x(quantile), top, x(quantile), bottom], "#eeeeee");
        text(&mut body, x(quantile), bottom + 17.0, "middle", 12, label);
    }
    for ((name, colour, nth), values) in coloured(series).into_iter().zip(values) {
        let at = |(quantile, value): (&f64, &f64)| format!("{:.1},{:.1}", x(*quantile), y(value.max(1e-3)));
        let points: Vec<String> = QUANTILES.iter().zip(values).map(at).collect();
        let (points, stroke) = (points.join(" "), stroke(name, colour, nth));
        writeln!(body, r##"<polyline points="{points}" {stroke}/>"##).expect("memory");
    }
    text(&mut body, WIDTH / 2.0, bottom + 38.0, "middle", 12, "share of the messages that took at most so long");
    begin(title, bottom + 52.0) + &body + "</svg>\n"
}
