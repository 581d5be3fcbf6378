//! What was measured, as tables, as JSON, and as a plot.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde_json::{Value, json};

use super::Measured;
use super::figures::{Figure, Measure};
use crate::measure::case::Between;
use crate::measure::limits::Limit;
use crate::measure::sample::Sample;
use crate::numbers::three_digits;
use crate::plot::dots::{Dot, Dots, Panel};
use crate::screen;
use crate::system::processors;
use crate::trouble::Trouble;

pub(super) fn print(measured: &Measured, as_json: bool) -> Result<(), Trouble> {
    let text = if as_json { format!("{:#}\n", json(measured)) } else { tables(measured, screen::width()) };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn sample_json(sample: &Sample) -> Value {
    if sample.is_empty() {
        return json!({ "median": null, "least": null, "greatest": null, "rounds": [] });
    }
    json!({
        "median": sample.median(), "least": sample.least(), "greatest": sample.greatest(), "rounds": sample.values(),
    })
}

/// Two objects as one.
fn with(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn json(measured: &Measured) -> Value {
    let unit = |limit: Limit| match limit {
        Limit::Copy => "bytes/s",
        limit if limit.is_time() => "ns",
        _ => "messages/s",
    };
    let limits = measured
        .limits
        .iter()
        .map(|(limit, sample)| with(json!({ "limit": limit.name(), "unit": unit(*limit) }), sample_json(sample)));
    let figures = measured.figures.iter().map(|figure| {
        let case = &figure.case;
        let (measure, unit) = match figure.measure {
            Measure::Throughput => ("throughput", "messages/s"),
            Measure::Trip => ("round trip", "ns"),
        };
        let what = json!({
            "measure": measure,
            "kind": case.kind.to_string(),
            "between": case.between.to_string(),
            "declared_one": case.one,
            "producers": case.producers,
            "consumers": case.consumers,
            "capacity": case.capacity,
            "message_size": case.size,
            "batch": case.batch,
            "wait": case.wait.to_string().to_lowercase(),
            "unit": unit,
            "limit": figure.limit.name(),
            "ratio_to_limit": measured.ratio(figure),
        });
        with(what, sample_json(&figure.sample))
    });
    let (unsteady, all) = measured.unsteady();
    json!({
        "processors": processors::count(),
        "rounds": measured.rounds,
        "complete": measured.complete,
        "noisy": measured.is_noisy(),
        "unsteady_figures": unsteady,
        "compared_figures": all,
        "limits": limits.collect::<Vec<_>>(),
        "figures": figures.collect::<Vec<_>>(),
    })
}

/// A rate or a time, as wide as its column, with its rounds if there is room for them.
fn cell(sample: &Sample, column: usize, show: impl Fn(f64) -> String) -> String {
    let (median, rounds) = match sample {
        sample if sample.is_empty() => ("-".into(), String::new()),
        sample => (show(sample.median()), format!("[{}..{}]", show(sample.least()), show(sample.greatest()))),
    };
    if column == WIDE { format!("{median:>7} {rounds:17}") } else { format!("{median:>NARROW$}") }
}

fn millions(rate: f64) -> String {
    three_digits(rate / 1e6)
}

fn microseconds(nanoseconds: f64) -> String {
    three_digits(nanoseconds / 1e3)
}

const LABEL: usize = 33;
/// A figure with its rounds, or alone; and how it stands to its limit.
const WIDE: usize = 25;
const NARROW: usize = 11;
const RATIO: usize = 9;

/// For lines of so many letters, or as long as they get.
fn tables(measured: &Measured, width: Option<u16>) -> String {
    let mut text = String::new();
    let room = width.is_none_or(|width| usize::from(width) >= LABEL + 2 * (WIDE + RATIO));
    let (column, told) = if room { (WIDE, "Median [least..greatest]") } else { (NARROW, "Medians") };
    let processors = match processors::count() {
        1 => "one processor, between which nothing can be handed over: there are no limits to hold figures against"
            .into(),
        count => format!("{count} processors"),
    };
    line(&mut text, format_args!("This machine: {processors}. {told} of the rounds."));
    if !measured.limits.is_empty() {
        line(&mut text, format_args!("\nWhat the machine itself can do"));
    }
    for (limit, sample) in &measured.limits {
        let (show, unit): (fn(f64) -> String, _) = match limit {
            Limit::Copy => (|rate| three_digits(rate / 1e9), "GB a second"),
            limit if limit.is_time() => (microseconds, "us"),
            _ => (millions, "million a second"),
        };
        line(&mut text, format_args!("{:LABEL$}{} {unit}", limit.name(), cell(sample, column, show)));
    }
    type Show = fn(f64) -> String;
    let sections: [(Measure, &str, Show, Show); 2] = [
        (Measure::Throughput, "Million messages a second", millions, |ratio| format!("{:.0} %", 100.0 * ratio)),
        (Measure::Trip, "Round trips in microseconds", microseconds, |ratio| format!("x {ratio:.2}")),
    ];
    for (measure, title, show, ratio) in sections {
        let rows = rows(measured, measure);
        if rows.is_empty() {
            continue;
        }
        let beside = if measure == Measure::Throughput { "of limit" } else { "limit x" };
        let heads = if room { ["between threads ", "between processes "] } else { ["threads", "processes"] };
        let head = heads.map(|head| format!("{head:>column$}{beside:>RATIO$}"));
        line(&mut text, format_args!("\n{title:LABEL$}{}", head.concat()));
        for (label, figures) in rows {
            let cells = figures.map(|figure| {
                let Some(figure) = figure else { return " ".repeat(column + RATIO) };
                let ratio = measured.ratio(figure).map_or_else(|| "-".into(), ratio);
                format!("{}{ratio:>RATIO$}", cell(&figure.sample, column, show))
            });
            line(&mut text, format_args!("{label:LABEL$}{}", cells.concat().trim_end()));
        }
    }
    let (unsteady, all) = measured.unsteady();
    if measured.is_noisy() {
        line(
            &mut text,
            format_args!(
                "\nThis machine is noisy: in {unsteady} of {all} figures the rounds lie further apart than\n\
                half of what they show. End what else runs, and measure again; a limit that is\n\
                passed was itself disturbed."
            ),
        );
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("memory");
}

/// One for each label, with what was measured between threads and between processes.
fn rows(measured: &Measured, measure: Measure) -> Vec<(String, [Option<&Figure>; 2])> {
    let mut rows: Vec<(String, [Option<&Figure>; 2])> = Vec::new();
    for figure in measured.figures.iter().filter(|figure| figure.measure == measure) {
        let place = usize::from(figure.case.between == Between::Processes);
        match rows.iter_mut().find(|(label, _)| *label == figure.label) {
            Some((_, figures)) => figures[place] = Some(figure),
            None => {
                let mut figures = [None; 2];
                figures[place] = Some(figure);
                rows.push((figure.label.clone(), figures));
            }
        }
    }
    rows
}

/// As a plot.
pub(super) fn picture(measured: &Measured) -> Dots {
    let panel = |measure, title: &str, unit: f64| {
        let dot = |figure: &Figure| {
            let sample = &figure.sample;
            // Of large messages the limit is in bytes.
            let each = if figure.limit == Limit::Copy { figure.case.size as f64 } else { 1.0 };
            let best = |limit: &Sample| if measure == Measure::Trip { limit.least() } else { limit.greatest() };
            let limit = measured.limit(figure.limit).map(|limit| best(limit) / each / unit);
            (!sample.is_empty()).then(|| Dot {
                least: sample.least() / unit,
                median: sample.median() / unit,
                greatest: sample.greatest() / unit,
                limit,
            })
        };
        let rows = rows(measured, measure).into_iter();
        let rows: Vec<_> = rows.map(|(label, figures)| (label, figures.map(|figure| figure.and_then(dot)))).collect();
        (!rows.is_empty()).then(|| Panel { title: title.into(), rows })
    };
    Dots {
        title: "Handover on this machine".into(),
        series: ["between threads", "between processes"],
        limit: "what the machine itself can do",
        panels: [
            panel(Measure::Throughput, "million messages a second (more is better)", 1e6),
            panel(Measure::Trip, "round trip, microseconds (less is better)", 1e3),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}
