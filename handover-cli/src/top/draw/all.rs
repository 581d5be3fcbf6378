//! Every queue, a row each, and below them who uses the chosen one.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, List, ListItem, Paragraph, Scrollbar, ScrollbarOrientation, ScrollbarState};

use super::super::marks::{bar, cell, line, right};
use super::super::palette::Palette;
use super::super::state::{Order, Top};
use super::{Who, members, printable, recovered};
use crate::numbers::{bytes, grouped, short, time};
use crate::watch::{Inside, Segment, Spread};
use handover::Kind;

pub(super) fn draw(frame: &mut Frame, area: Rect, top: &mut Top, palette: Palette, who: Who) {
    if top.segments().next().is_none() {
        let text = "There is nothing yet. Make a queue in another terminal, and it shows up here:\n\n    \
                    handover create lines\n    seq 1000000 | handover push lines";
        frame.render_widget(Paragraph::new(text), area.inner(ratatui::layout::Margin::new(2, 1)));
        return;
    }
    let (below, count) = (area.height / 3, top.segments().count() as u16);
    // What the rows leave is for the chosen one.
    let below = below.max(area.height.saturating_sub(count + 2)).min(area.height / 2);
    let [head, rows, below] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(below)]).areas(area);
    let widths = Widths::of(area.width as usize, top);
    frame.render_widget(widths.head(top, palette), head);
    draw_rows(frame, rows, top, &widths, palette);
    if let Some(segment) = top.chosen() {
        draw_chosen(frame, below, top, segment, palette, who);
    }
}

fn draw_rows(frame: &mut Frame, area: Rect, top: &mut Top, widths: &Widths, palette: Palette) {
    let place = top.chosen_place();
    let count = top.segments().count();
    // Only those to be seen are made: there may be many.
    let height = area.height as usize;
    let mut first = top.rows.offset().min(count.saturating_sub(height));
    first = first.clamp((place + 1).saturating_sub(height), place);
    *top.rows.offset_mut() = first;
    top.rows.select(Some(place));
    top.page = height.max(1);
    let rows: Vec<ListItem> = top
        .segments()
        .enumerate()
        .skip(first)
        .take(height)
        .map(|(number, segment)| {
            let row = widths.row(top, segment, number == place, palette);
            ListItem::new(row.style(if number == place { palette.chosen() } else { Style::new() }))
        })
        .collect();
    frame.render_widget(List::new(rows), area);
    if count > height {
        let mut state = ScrollbarState::new(count - height).position(first).viewport_content_length(height);
        let bar = Scrollbar::new(ScrollbarOrientation::VerticalRight).begin_symbol(None).end_symbol(None);
        frame.render_stateful_widget(bar.style(palette.quiet()), area, &mut state);
    }
}

fn draw_chosen(frame: &mut Frame, area: Rect, top: &Top, segment: &Segment, palette: Palette, who: Who) {
    let title = Line::from(vec![
        Span::raw(" "),
        Span::styled(printable(&segment.name), palette.head()),
        Span::raw(match segment.kind {
            Some(kind) => format!(", a {kind} "),
            None => " ".into(),
        }),
    ]);
    let block = Block::new().borders(Borders::TOP).border_style(palette.quiet()).title(title.left_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let text = match &segment.inside {
        Err(why) => Text::styled(why.clone(), palette.bad()),
        Ok(None) => Text::raw(format!("{} bytes, of which only its users know what they mean", grouped(segment.bytes))),
        Ok(Some(inside)) => {
            let mut lines = vec![recovered(inside, palette)];
            if let Some(times) = top.times(segment) {
                let mut line = Line::from(Span::styled("times      ", palette.quiet()));
                line.push_span(format!("waited {}, worked on {}", told(&times.waited), told(&times.worked)));
                lines.push(line);
            }
            let room = (inner.height as usize).saturating_sub(lines.len());
            lines.extend(members::lines(inside, &top.pace(&segment.name), 0, room, palette, who).lines);
            Text::from(lines)
        }
    };
    frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: false }), inner);
}

/// Half of them, and nearly all.
fn told(spread: &Spread) -> String {
    match (spread.quantile(0.5), spread.quantile(0.99)) {
        (Some(half), Some(most)) => format!("p50 {} p99 {}", time(half), time(most)),
        _ => "-".into(),
    }
}

/// How wide the columns are whose width depends on the screen's.
struct Widths {
    name: usize,
    bar: usize,
    line: usize,
    times: bool,
    recovered: bool,
}

const KIND: usize = 9;
const DEPTH: usize = 11;
const RATE: usize = 6;
const MEMBERS: usize = 7;
const STATE: usize = 6;
const TIMES: usize = 15;
const RECOVERED: usize = 24;
/// The margins, what has always the same width, and what is between.
const FIXED: usize = 2 + KIND + DEPTH + 2 * RATE + MEMBERS + STATE + 8;

impl Widths {
    fn of(width: usize, top: &Top) -> Widths {
        let mut rest = width.saturating_sub(FIXED);
        let mut spend = |at: usize, cost: usize| {
            let spent = width >= at && rest >= cost;
            rest -= if spent { cost } else { 0 };
            spent
        };
        let times = spend(115, 2 * (TIMES + 1));
        let recovered = spend(145, RECOVERED + 1);
        let longest = top.segments().map(|segment| segment.name.chars().count()).max().unwrap_or(0);
        let bar = (rest / 5).clamp(4, 16);
        let name = longest.clamp(4, (rest - bar).saturating_sub(8).clamp(4, 12 + rest / 4));
        Widths { name, bar, line: (rest - bar).saturating_sub(name).min(60), times, recovered }
    }

    fn head(&self, top: &Top, palette: Palette) -> Line<'static> {
        let (order, reversed) = top.order();
        let title = |text: &str, of: Option<Order>| {
            let sorted = of == Some(order);
            let down = (order == Order::Name) == reversed;
            format!(
                "{text}{}",
                if !sorted {
                    ""
                } else if down {
                    "▾"
                } else {
                    "▴"
                }
            )
        };
        let mut head = String::from(" ");
        head += &cell(&title("NAME", Some(Order::Name)), self.name + 1);
        head += &cell("KIND", KIND + 1);
        head += &cell(&title("DEPTH", Some(Order::Depth)), self.bar + 1 + DEPTH + 1);
        head += &(right(&title("IN/S", Some(Order::In)), RATE) + " ");
        head += &(right(&title("OUT/S", Some(Order::Out)), RATE) + " ");
        if self.line > 0 {
            head += &cell("RATE", self.line + 1);
        }
        if self.times {
            head += &(cell("WAITED p50/99", TIMES + 1) + &cell("WORKED p50/99", TIMES + 1));
        }
        if self.recovered {
            head += &cell("RECOVERED", RECOVERED + 1);
        }
        head += &cell(&title("MEMBERS", Some(Order::Members)), MEMBERS + 1);
        head += "STATE";
        Line::styled(head, palette.head())
    }

    fn row(&self, top: &Top, segment: &Segment, chosen: bool, palette: Palette) -> Line<'static> {
        let kind = match segment.kind {
            Some(Kind::Queue) => "queue",
            Some(Kind::Broadcast) => "broadcast",
            Some(Kind::Tasks) => "tasks",
            Some(Kind::Memory) => "memory",
            _ => "?",
        };
        let mut row = Line::from(format!(
            "{}{} {} ",
            if chosen { "›" } else { " " },
            cell(&segment.name, self.name),
            cell(kind, KIND)
        ));
        match &segment.inside {
            Ok(Some(inside)) => self.put_inside(&mut row, top, segment, inside, palette),
            Ok(None) => {
                let gap = FIXED + self.bar + self.line - KIND - STATE - 5;
                row.push_span(cell(&bytes(segment.bytes), gap));
                row.push_span(state(segment, false, palette));
            }
            Err(why) => row.push_span(Span::styled(printable(why), palette.bad())),
        }
        row
    }

    fn put_inside(&self, row: &mut Line, top: &Top, segment: &Segment, inside: &Inside, palette: Palette) {
        let full = inside.depth as f64 / inside.capacity.max(1) as f64;
        let (filled, left) = bar(full, self.bar);
        row.push_span(Span::styled(filled, palette.fill(full)));
        row.push_span(Span::styled(left, palette.quiet()));
        let depth = format!("{}/{}", short(inside.depth as f64), short(inside.capacity as f64));
        row.push_span(format!(" {} ", cell(&depth, DEPTH)));

        let pace = top.pace(&segment.name);
        for (rate, style) in [(pace.came, palette.coming()), (pace.went, palette.going())] {
            let style = if rate > 0.0 { style } else { palette.quiet() };
            row.push_span(Span::styled(right(&short(rate), RATE) + " ", style));
        }
        if self.line > 0 {
            let drawn = match top.past(&segment.name) {
                Some(past) => line(past.came.iter(), self.line),
                None => " ".repeat(self.line),
            };
            row.push_span(Span::styled(drawn + " ", palette.coming()));
        }
        if self.times {
            let times = top.times(segment);
            for spread in [times.as_ref().map(|times| &times.waited), times.as_ref().map(|times| &times.worked)] {
                row.push_span(cell(&spread.map_or(String::new(), between), TIMES) + " ");
            }
        }
        if self.recovered {
            let died = inside.recovered.iter().filter(|(_, count)| *count > 0).take(2);
            let told: Vec<String> = died.map(|(what, count)| format!("{} {what}", short(*count as f64))).collect();
            row.push_span(Span::styled(cell(&told.join(", "), RECOVERED) + " ", palette.doubtful()));
        }
        match inside.dead() {
            0 => row.push_span(cell(&inside.members.len().to_string(), MEMBERS + 1)),
            dead => row.push_span(Span::styled(cell(&format!("{dead} dead"), MEMBERS + 1), palette.bad())),
        }
        row.push_span(state(segment, inside.closed, palette));
    }
}

fn between(spread: &Spread) -> String {
    match (spread.quantile(0.5), spread.quantile(0.99)) {
        (Some(half), Some(most)) => format!("{}/{}", time(half), time(most)).replace(' ', ""),
        _ => "-".into(),
    }
}

fn state(segment: &Segment, closed: bool, palette: Palette) -> Span<'static> {
    match (closed, segment.in_use) {
        (true, _) => Span::styled("closed", palette.doubtful()),
        (false, true) => Span::styled("in use", palette.well()),
        (false, false) => Span::styled("stale", palette.quiet()),
    }
}
