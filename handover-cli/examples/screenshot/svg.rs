//! What a terminal shows, as SVG: text as text, bars as rectangles, so that they have no gaps in any font.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
const MARGIN: f64 = 12.0;
const TITLE: f64 = 30.0;
/// From the top of a cell to the foot of its letters.
const FOOT: f64 = 13.5;

const PAPER: &str = "#16181d";
const INK: &str = "#d5d8de";
const QUIET: &str = "#7c828d";
const SIXTEEN: [&str; 16] = [
    "#2b2f37", "#f0707a", "#8cc570", "#e0b35c", "#6aa9f4", "#c78ae0", "#55bcc9", "#c3c8d1", "#6b7280", "#ff8b94",
    "#a5dd8a", "#f2cb7d", "#8bbefa", "#d9a8ee", "#7bd3de", "#f2f4f8",
];

/// The screen up to its last line that has something in it, below a title.
pub fn picture(screen: &Screen, title: &str) -> String {
    let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
    let empty = |row: &u16| (0..columns).all(|column| screen.cell(*row, column).is_none_or(is_empty));
    let rows = (0..rows).rev().find(|row| !empty(row)).map_or(1, |row| row + 1);
    let (width, height) = (f64::from(columns) * WIDTH + 2.0 * MARGIN, f64::from(rows) * HEIGHT + TITLE + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-size=\"14\" \
         font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n\
         <text x=\"{:.0}\" y=\"21\" text-anchor=\"middle\" fill=\"{QUIET}\">{}</text>\n",
        width / 2.0,
        escaped(title)
    );
    for row in 0..rows {
        draw_row(&mut svg, screen, row, columns);
    }
    svg + "</svg>\n"
}

fn is_empty(cell: &Cell) -> bool {
    cell.contents().trim().is_empty() && matches!(cell.bgcolor(), Color::Default) && !cell.inverse()
}

/// Neighbours that look the same.
struct Run {
    column: u16,
    text: String,
    columns: u16,
    ink: String,
    bold: bool,
}

fn draw_row(svg: &mut String, screen: &Screen, row: u16, columns: u16) {
    let top = TITLE + MARGIN + f64::from(row) * HEIGHT;
    let mut runs: Vec<Run> = Vec::new();
    let mut papers: Vec<(u16, u16, String)> = Vec::new();
    let mut bars = String::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation()) else { continue };
        let wide = if cell.is_wide() { 2 } else { 1 };
        let (ink, paper) = colours(cell);
        if let Some(paper) = paper {
            match papers.last_mut() {
                Some((first, count, same)) if *first + *count == column && *same == paper => *count += wide,
                _ => papers.push((column, wide, paper)),
            }
        }
        let text = cell.contents();
        if text.trim().is_empty() {
            continue;
        }
        if let Some((x, y, width, height)) = text.chars().next().and_then(filled) {
            let (left, wide, high) = (MARGIN + f64::from(column) * WIDTH, WIDTH * width, HEIGHT * height);
            let _ = writeln!(
                bars,
                "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{wide:.2}\" height=\"{high:.2}\" fill=\"{ink}\"/>",
                left + WIDTH * x,
                top + HEIGHT * y
            );
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.column + run.columns == column && run.ink == ink && run.bold == cell.bold() => {
                run.text += text;
                run.columns += wide;
            }
            _ => runs.push(Run { column, text: text.to_owned(), columns: wide, ink, bold: cell.bold() }),
        }
    }
    for (column, count, paper) in papers {
        let (left, wide) = (MARGIN + f64::from(column) * WIDTH, f64::from(count) * WIDTH);
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{wide:.2}\" height=\"{HEIGHT:.2}\" fill=\"{paper}\"/>"
        );
    }
    *svg += &joined(&bars);
    for run in runs {
        let (left, long) = (MARGIN + f64::from(run.column) * WIDTH, f64::from(run.columns) * WIDTH);
        let bold = if run.bold { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            svg,
            "<text x=\"{left:.2}\" y=\"{:.2}\" textLength=\"{long:.2}\" lengthAdjust=\"spacingAndGlyphs\" \
             fill=\"{}\"{bold}>{}</text>",
            top + FOOT,
            run.ink,
            escaped(&run.text)
        );
    }
}

/// Edges are sharp: what stands side by side is one.
fn joined(bars: &str) -> String {
    if bars.is_empty() { String::new() } else { format!("<g shape-rendering=\"crispEdges\">\n{bars}</g>\n") }
}

/// The part of its cell that a character fills: left, top, width and height, of 1.
fn filled(character: char) -> Option<(f64, f64, f64, f64)> {
    let eighths = |count: u32| f64::from(count) / 8.0;
    Some(match character {
        '▁'..='█' => {
            let high = eighths(character as u32 - '▁' as u32 + 1);
            (0.0, 1.0 - high, 1.0, high)
        }
        '▉'..='▏' => (0.0, 0.0, eighths('▏' as u32 - character as u32 + 1), 1.0),
        '▐' => (0.5, 0.0, 0.5, 1.0),
        '─' => (0.0, 0.47, 1.0, 0.06),
        '━' => (0.0, 0.4, 1.0, 0.2),
        '╸' => (0.0, 0.4, 0.5, 0.2),
        '│' | '║' => (0.46, 0.0, 0.08, 1.0),
        _ => return None,
    })
}

/// Of the letters, and of what is behind them if that is not the paper of all.
fn colours(cell: &Cell) -> (String, Option<String>) {
    let (ink, paper) = (colour(cell.fgcolor()), colour(cell.bgcolor()));
    let (ink, paper) = if cell.inverse() {
        (Some(paper.unwrap_or(PAPER.into())), Some(ink.unwrap_or(INK.into())))
    } else {
        (ink, paper)
    };
    let plain = if cell.dim() { QUIET } else { INK };
    (ink.unwrap_or(plain.into()), paper)
}

fn colour(colour: Color) -> Option<String> {
    match colour {
        Color::Default => None,
        Color::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
        Color::Idx(index @ 0..16) => Some(SIXTEEN[usize::from(index)].to_owned()),
        // A cube of colours with six steps to each side.
        Color::Idx(index @ 16..232) => {
            let step = |place: u8| match (index - 16) / place % 6 {
                0 => 0,
                step => 55 + 40 * step,
            };
            Some(format!("#{:02x}{:02x}{:02x}", step(36), step(6), step(1)))
        }
        Color::Idx(index) => {
            let grey = 8 + 10 * (index - 232);
            Some(format!("#{grey:02x}{grey:02x}{grey:02x}"))
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
