//! Everything about one queue.

use handover::Kind;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, RenderDirection, Sparkline, Wrap};

use super::super::marks::bar;
use super::super::palette::Palette;
use super::super::state::{Times, Top};
use super::{Who, members, recovered};
use crate::numbers::{counted, grouped, short, time};
use crate::watch::{Inside, Segment, Spread, Standing};

pub(super) fn draw(frame: &mut Frame, area: Rect, top: &mut Top, palette: Palette, who: Who) {
    let area = area.inner(Margin::new(1, 0));
    let Some((_, segment)) = top.opened() else { return };
    let Some(segment) = segment.cloned() else {
        let text =
            "It is gone: somebody removed it. Esc goes back to the others; if it is made again, it shows up here.";
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area.inner(Margin::new(0, 1)));
        return;
    };
    let inside = match &segment.inside {
        Ok(Some(inside)) => inside,
        Ok(None) => {
            let text = format!("{} bytes, of which only its users know what they mean.", grouped(segment.bytes));
            frame.render_widget(Paragraph::new(text), area.inner(Margin::new(0, 1)));
            return;
        }
        Err(why) => {
            let text = Paragraph::new(why.clone()).style(palette.bad()).wrap(Wrap { trim: true });
            frame.render_widget(text, area.inner(Margin::new(0, 1)));
            return;
        }
    };
    let facts = facts(&segment, inside, area.width as usize, palette);
    let rates = (area.height / 6).clamp(4, 9);
    let times = if inside.standing.is_some() { (area.height / 5).clamp(5, 12) } else { 0 };
    let [facts_area, rates_area, times_area, members_area] = Layout::vertical([
        Constraint::Length(facts.len() as u16),
        Constraint::Length(rates),
        Constraint::Length(times),
        Constraint::Min(3),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(facts), facts_area);
    draw_rates(frame, rates_area, top, &segment, palette);
    if let Some(times) = top.times(&segment) {
        draw_times(frame, times_area, &times, palette);
    }
    draw_members(frame, members_area, top, &segment, inside, palette, who);
}

fn facts(segment: &Segment, inside: &Inside, width: usize, palette: Palette) -> Vec<Line<'static>> {
    let label = |text: &str| Span::styled(format!("{text:<11}"), palette.quiet());
    let part = inside.depth as f64 / inside.capacity.max(1) as f64;
    let (filled, left) = bar(part, width.saturating_sub(45).min(60));
    let (depth, told) = match segment.kind {
        Some(Kind::Broadcast) => {
            ("behind", format!(" {}, and {} are kept", grouped(inside.depth), grouped(inside.capacity as u64)))
        }
        _ => {
            let (depth, capacity) = (grouped(inside.depth), grouped(inside.capacity as u64));
            ("depth", format!(" {depth} of {capacity}, {:.0} %", part * 100.0))
        }
    };
    let depth = Line::from(vec![
        label(depth),
        Span::styled(filled, palette.fill(part)),
        Span::styled(left, palette.quiet()),
        Span::raw(told),
    ]);
    let mut state = vec![if segment.in_use { "in use" } else { "stale: no process has it open" }.to_owned()];
    if inside.closed {
        state.push("closed".into());
    }
    state.push(format!("slots of {} bytes", grouped(inside.slot_bytes as u64)));
    if inside.max_capacity > inside.capacity {
        state.push(format!("can grow to {}", grouped(inside.max_capacity as u64)));
    }
    let mut ever = match inside.went {
        Some(went) => format!("{} in, {} out", grouped(inside.came), grouped(went)),
        None => format!("{} published", grouped(inside.came)),
    };
    if let Some(standing) = &inside.standing {
        ever += &format!(", {} failed, {} retried", grouped(standing.failed), grouped(standing.retried));
    }
    let mut lines = vec![
        depth,
        Line::from(vec![label("state"), Span::raw(state.join(", "))]),
        Line::from(vec![label("ever"), Span::raw(ever)]),
        recovered(inside, palette),
    ];
    if let Some(standing) = &inside.standing {
        lines.push(Line::from(vec![label("waiting"), Span::raw(waiting(standing))]));
        lines.push(Line::from(vec![label("besides"), Span::raw(besides(standing))]));
    }
    lines
}

fn waiting(standing: &Standing) -> String {
    let mut told = standing.waiting.iter().sum::<usize>().to_string();
    let levels = standing.waiting.iter().enumerate().rev().filter(|(_, count)| **count > 0);
    let levels: Vec<String> = levels.map(|(level, count)| format!("{count} of priority {level}")).collect();
    if !levels.is_empty() {
        told += &format!(": {}", levels.join(", "));
    }
    if let Some(oldest) = standing.oldest {
        told += &format!("; the oldest for {}", time(oldest));
    }
    told
}

fn besides(standing: &Standing) -> String {
    format!(
        "{} in work, {} delayed, {}, {}",
        standing.leased,
        standing.delayed,
        counted(standing.dead_letters, "dead letter"),
        counted(standing.finished, "result")
    )
}

fn titled(title: Vec<Span<'static>>, palette: Palette) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(palette.quiet()).title(Line::from(title))
}

fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2).areas(area)
}

fn draw_rates(frame: &mut Frame, area: Rect, top: &Top, segment: &Segment, palette: Palette) {
    let (pace, past) = (top.pace(&segment.name), top.past(&segment.name));
    let sides = [
        ("in", pace.came, past.map(|past| &past.came), palette.coming()),
        ("out", pace.went, past.map(|past| &past.went), palette.going()),
    ];
    for (area, (what, rate, values, style)) in halves(area).into_iter().zip(sides) {
        // The newest first.
        let values: Vec<f64> = values.map_or(Vec::new(), |values| values.iter().rev().copied().collect());
        let values = &values[..values.len().min(area.width as usize)];
        let most = values.iter().copied().fold(0.0, f64::max);
        let title = vec![
            Span::styled(format!("{what} {}/s ", short(rate)), style),
            Span::styled(format!("at most {}/s ", short(most)), palette.quiet()),
        ];
        let block = titled(title, palette);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        // In thousandths of the largest.
        let values = values.iter().map(|value| if most > 0.0 { (value / most * 1000.0) as u64 } else { 0 });
        let line = Sparkline::default().data(values).max(1000).direction(RenderDirection::RightToLeft).style(style);
        frame.render_widget(line, inner);
    }
}

fn draw_times(frame: &mut Frame, area: Rect, times: &Times, palette: Palette) {
    let since = match times.within {
        Some(time) => format!("last {:.0} s", time.as_secs_f64().max(1.0)),
        None => "ever".into(),
    };
    for (area, (what, spread)) in
        halves(area).into_iter().zip([("waited", &times.waited), ("worked on", &times.worked)])
    {
        let title = vec![
            Span::styled(format!("{what} "), palette.head()),
            Span::styled(format!("{since}: {} ", short(spread.count() as f64)), palette.quiet()),
        ];
        let block = titled(title, palette);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let [told, drawn, axis] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(inner);
        frame.render_widget(quantiles(spread), told);
        draw_histogram(frame, drawn, axis, spread, palette);
    }
}

fn quantiles(spread: &Spread) -> Line<'static> {
    let told = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)].map(|(name, part)| {
        let at = spread.quantile(part).map_or("-".into(), |at| time(at).replace(' ', ""));
        format!("{name} {at}")
    });
    Line::raw(told.join("  "))
}

/// From half a microsecond to a minute, in doublings.
const FIRST: f64 = 9.0;
const DOUBLINGS: usize = 27;

fn draw_histogram(frame: &mut Frame, area: Rect, axis: Rect, spread: &Spread, palette: Palette) {
    // To each doubling as many columns as there is room for; more than four would say nothing more.
    let columns = (area.width as usize / DOUBLINGS).clamp(1, 4);
    let mut bars = vec![0_u64; DOUBLINGS * columns];
    for (end, times) in spread.steps() {
        let place = ((end.as_nanos().max(1) as f64).log2() - FIRST).max(0.0) * columns as f64;
        let place = (place as usize).min(bars.len() - 1);
        bars[place] = bars[place].saturating_add(*times);
    }
    frame.render_widget(Sparkline::default().data(&bars).style(palette.coming()), area);
    let mut labels = vec![' '; area.width as usize];
    for (label, doublings) in
        [("1us", 10.0), ("30us", 14.9), ("1ms", 19.93), ("30ms", 24.84), ("1s", 29.9), ("30s", 34.8)]
    {
        let place = ((doublings - FIRST) * columns as f64) as usize;
        for (cell, letter) in labels.iter_mut().skip(place).zip(label.chars()) {
            *cell = letter;
        }
    }
    frame.render_widget(Line::styled(labels.into_iter().collect::<String>(), palette.quiet()), axis);
}

fn draw_members(
    frame: &mut Frame,
    area: Rect,
    top: &mut Top,
    segment: &Segment,
    inside: &Inside,
    palette: Palette,
    who: Who,
) {
    let title = vec![Span::styled(format!("{} attached ", inside.members.len()), palette.head())];
    let block = titled(title, palette);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let room = inner.height as usize;
    // Without the head, and the line that says that there are more.
    top.page = room.saturating_sub(2).max(1);
    top.above = top.above.min(inside.members.len().saturating_sub(top.page));
    let text = members::lines(inside, &top.pace(&segment.name), top.above, room, palette, who);
    frame.render_widget(Paragraph::new(text), inner);
}
