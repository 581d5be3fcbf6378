//! What was found out: curves, tables, what is recommended and why; or all of it as JSON.

use std::io::{self, Write as _};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::advice::{self, about_layouts, layout_name};
use super::placing::Placing;
use super::sweep::quantile;
use super::{Tune, Tuned};
use crate::measure::case::{Case, Kind, Wait};
use crate::measure::sample::Sample;
use crate::numbers::{bytes, counted, grouped, nanoseconds, three_digits, time};
use crate::plot::curves::{Curve, Curves, Panel};
use crate::plot::terminal::Manner;
use crate::system::processors;
use crate::trouble::Trouble;

pub(super) fn print(tuned: &Tuned, wanted: &Tune, interrupted: bool) -> Result<(), Trouble> {
    let text = if wanted.json {
        format!("{:#}\n", json(tuned, wanted, interrupted))
    } else {
        text(tuned, wanted, Manner::of_standard_output())
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// What was measured over the capacity.
pub(super) fn curves(tuned: &Tuned) -> Curves {
    let mut panels = Vec::new();
    let curve = |name, points| Curve { name, points };
    if !tuned.speed.is_empty() {
        let measured = tuned.speed.iter().filter(|point| !point.rate.is_empty());
        let points = measured.map(|point| (point.capacity as f64, point.best() / 1e6)).collect();
        let title = "Full speed: million messages a second, best round".into();
        panels.push(Panel { title, logarithmic: false, most: None, curves: vec![curve("", points)] });
    }
    let load = || tuned.load.iter().filter(|point| !point.waited.is_empty());
    if load().next().is_some() {
        let points = load().map(|point| (point.capacity as f64, 100.0 * point.waited.median())).collect();
        let title = "Under the load: pushes that had to wait, in per cent".into();
        panels.push(Panel { title, logarithmic: false, most: Some(100.0), curves: vec![curve("", points)] });
        let late = |share| load().map(|point| (point.capacity as f64, quantile(&point.delays, share) / 1e3)).collect();
        let title = "Under the load: microseconds until a message is taken, 99.9 % (above) and median".into();
        let curves = vec![curve("99.9 %", late(0.999)), curve("median", late(0.5))];
        panels.push(Panel { title, logarithmic: true, most: None, curves });
    }
    let recommended = tuned.advice.as_ref().map(|advice| advice.capacity as f64);
    Curves { title: format!("Which capacity: {}", load_in_words(&tuned.case)), panels, recommended }
}

fn ends(case: &Case) -> String {
    let names = match case.kind {
        Kind::Queue => ("producer", "consumer"),
        Kind::Broadcast => ("writer", "reader"),
        Kind::Tasks => ("submitter", "worker"),
    };
    format!("{} and {}", counted(case.producers, names.0), counted(case.consumers, names.1))
}

fn load_in_words(case: &Case) -> String {
    let mut words = match case.rate {
        0 => "as fast as can be".to_owned(),
        rate => format!("{} messages a second", grouped(rate)),
    };
    if case.burst > 1 {
        words += &format!(", {} at once", grouped(case.burst));
    }
    if !case.work.is_zero() {
        words += &format!(", {} of work each", time(case.work));
    }
    if !case.pause.is_zero() {
        words += &format!(", pauses of {}", time(case.pause));
    }
    words
}

fn text(tuned: &Tuned, wanted: &Tune, manner: Manner) -> String {
    let case = &tuned.case;
    let kind = match case.kind {
        Kind::Queue => "a queue",
        Kind::Broadcast => "a broadcast",
        Kind::Tasks => "a task queue",
    };
    let processors = counted(processors::count(), "processor");
    let mut text = wrapped(
        manner,
        &format!(
            "{kind}, messages of {} bytes, {}, each a process of its own, on {processors}; {}.",
            grouped(wanted.size as u64),
            ends(case),
            load_in_words(case)
        ),
    );
    text = text[..1].to_uppercase() + &text[1..];
    text += &format!("\n{}", manner.show(&curves(tuned)));
    text += &format!("\n{}", capacities(tuned));
    if tuned.layouts.iter().any(|figure| !figure.rate.is_empty()) {
        text += "\nlayout, at full speed                                  million a second\n";
        for figure in &tuned.layouts {
            text += &format!("{:52} {}\n", layout_name(&figure.case), rate(&figure.rate));
        }
    }
    text += &waits(tuned);
    if let Some(placing) = &tuned.placing {
        text += &recommendation(tuned, wanted, &placing.sentence(), manner);
    }
    text
}

fn rate(sample: &Sample) -> String {
    if sample.is_empty() {
        return format!("{:>7}", "-");
    }
    let millions = |rate: f64| three_digits(rate / 1e6);
    let rounds = format!("[{}..{}]", millions(sample.least()), millions(sample.greatest()));
    let rounds = if sample.spread().is_some() { rounds } else { String::new() };
    format!("{:>7} {rounds:18}", millions(sample.median())).trim_end().to_owned()
}

fn late(delays: &Histogram<u64>, share: f64) -> String {
    if delays.is_empty() { "-".into() } else { nanoseconds(quantile(delays, share)) }
}

/// One line for each capacity, with what is known of it.
fn capacities(tuned: &Tuned) -> String {
    let paced = !tuned.load.is_empty();
    let mut text = format!("{:>10}   {:25}", "capacity", "million a second");
    if paced {
        text += &format!(" {:>12} {:>12} {:>12}", "had to wait", "99 %", "99.9 %");
    }
    text = format!("{}\n", text.trim_end());
    let mut all: Vec<usize> = tuned.speed.iter().map(|point| point.capacity).collect();
    all.extend(tuned.load.iter().map(|point| point.capacity));
    all.sort_unstable();
    all.dedup();
    for capacity in all {
        let speed = tuned.speed.iter().find(|point| point.capacity == capacity);
        let load = tuned.load.iter().find(|point| point.capacity == capacity);
        let speed = speed.map_or_else(|| "      -".into(), |point| rate(&point.rate));
        let chosen = tuned.advice.as_ref().is_some_and(|advice| advice.capacity == capacity);
        let mark = if chosen { '>' } else { ' ' };
        let mut line = format!("{mark}{:>9}   {speed:25}", grouped(capacity as u64));
        if let Some(point) = load.filter(|point| !point.waited.is_empty()) {
            let waited = format!("{} %", three_digits(100.0 * point.waited.median()));
            line += &format!(" {waited:>12} {:>12} {:>12}", late(&point.delays, 0.99), late(&point.delays, 0.999));
        }
        text += &format!("{}\n", line.trim_end());
    }
    text
}

fn waits(tuned: &Tuned) -> String {
    let measured = || tuned.waits.iter().filter(|figure| !figure.rate.is_empty());
    if measured().next().is_none() {
        return String::new();
    }
    let mut text = format!(
        "\n{:8}   {:25} {:>14} {:>7} {:>7} {:>8}\n",
        "waiting", "million a second", "processor time", "median", "99 %", "99.9 %"
    );
    for figure in measured() {
        let busy = format!("{} each", nanoseconds(figure.processor_time.median()));
        let [median, most, nearly_all] = [0.5, 0.99, 0.999].map(|share| late(&figure.delays, share));
        text += &format!(
            "{:8} {:25} {busy:>16} {median:>7} {most:>7} {nearly_all:>8}\n",
            figure.wait.to_string(),
            rate(&figure.rate)
        );
    }
    text
}

/// The command line that makes it.
fn create(tuned: &Tuned, wanted: &Tune) -> Option<String> {
    let capacity = tuned.advice.as_ref()?.capacity;
    let kind = match wanted.kind {
        Kind::Queue => String::new(),
        kind => format!(" --kind {kind}"),
    };
    let one = if tuned.case.one { " --producers one --consumers one" } else { "" };
    let placing = tuned.placing.as_ref();
    let node = placing.and_then(Placing::node).map_or_else(String::new, |node| format!(" --numa {node}"));
    let huge = if placing.is_some_and(Placing::huge) { " --huge" } else { "" };
    Some(format!("handover create NAME{kind} --capacity {capacity} --message-size {}{one}{node}{huge}", wanted.size))
}

/// The line of Rust that makes it.
fn rust(tuned: &Tuned, wanted: &Tune) -> Option<String> {
    let (capacity, size) = (tuned.advice.as_ref()?.capacity, wanted.size);
    let made = format!(".message_max({size})");
    let one = if tuned.case.one { ".one_producer().one_consumer()" } else { "" };
    let options = match wanted.kind {
        Kind::Queue => format!("handover::Options::new({capacity}){made}{one}"),
        Kind::Broadcast => format!("handover::broadcast::Options::new({capacity}){made}"),
        Kind::Tasks => format!("handover::tasks::Options::new().capacity({capacity}){made}"),
    };
    let placing = tuned.placing.as_ref();
    let node = placing.and_then(Placing::node).map_or_else(String::new, |node| format!(".numa_node({node})"));
    let huge = if placing.is_some_and(Placing::huge) { ".huge_pages()" } else { "" };
    Some(format!("{options}{node}{huge}.create::<[u8]>(\"NAME\")?"))
}

fn wait(tuned: &Tuned) -> (Wait, String) {
    advice::wait(&tuned.waits, &tuned.case, processors::count())
}

fn recommendation(tuned: &Tuned, wanted: &Tune, placing: &str, manner: Manner) -> String {
    let Some(advice) = &tuned.advice else { return String::new() };
    let (wait, why) = wait(tuned);
    let mut text = format!("\nRecommended: capacity {}, Wait::{wait}\n\n", grouped(advice.capacity as u64));
    let memory = advice.capacity * (tuned.case.size.next_multiple_of(8) + 16);
    let memory = format!("It takes about {} of memory.", bytes(memory as u64));
    for sentence in [
        advice.reasons.join(" ") + " " + &memory,
        about_layouts(&tuned.layouts, wanted.kind).join(" "),
        why,
        placing.to_owned(),
    ] {
        text += &format!("{}\n", wrapped(manner, &sentence));
    }
    for line in [create(tuned, wanted), rust(tuned, wanted)].into_iter().flatten() {
        text += &format!("  {line}\n");
    }
    if wait != Wait::Balanced {
        text += &format!("  (each end) set_wait(handover::Wait::{wait})\n");
    }
    text
}

/// In lines as long as the terminal has them.
fn wrapped(manner: Manner, text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > manner.width() {
            lines += &format!("{line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &line + "\n"
}

fn sample_json(sample: &Sample) -> Value {
    let number = |value: f64| if value.is_nan() { Value::Null } else { json!(value) };
    json!({
        "median": number(sample.median()), "least": number(sample.least()), "greatest": number(sample.greatest()),
    })
}

fn delays_json(delays: &Histogram<u64>) -> Value {
    if delays.is_empty() {
        return Value::Null;
    }
    let at = |share| delays.value_at_quantile(share);
    json!({ "median": at(0.5), "p99": at(0.99), "p99_9": at(0.999), "most": delays.max() })
}

fn json(tuned: &Tuned, wanted: &Tune, interrupted: bool) -> Value {
    let case = &tuned.case;
    let load = case.is_paced().then(|| {
        json!({
            "rate": case.rate, "burst": case.burst,
            "work_ns": case.work.as_nanos() as u64, "pause_ns": case.pause.as_nanos() as u64,
        })
    });
    let speed = tuned
        .speed
        .iter()
        .map(|point| json!({ "capacity": point.capacity, "messages_a_second": sample_json(&point.rate) }));
    let under_load = tuned.load.iter().map(|point| {
        json!({
            "capacity": point.capacity, "share_that_waited": sample_json(&point.waited), "delay_ns": delays_json(&point.delays),
        })
    });
    let layouts = tuned.layouts.iter().map(|figure| {
        json!({
            "layout": layout_name(&figure.case), "declared_one": figure.case.one, "batch": figure.case.batch,
            "message_size": figure.case.size, "messages_a_second": sample_json(&figure.rate),
        })
    });
    let waits = tuned.waits.iter().map(|figure| {
        json!({
            "wait": figure.wait.to_string().to_lowercase(), "messages_a_second": sample_json(&figure.rate),
            "share_that_waited": sample_json(&figure.waited), "processor_time_ns": sample_json(&figure.processor_time),
            "delay_ns": delays_json(&figure.delays),
        })
    });
    let recommended = tuned.advice.as_ref().filter(|_| !interrupted).map(|advice| {
        let (wait, why) = wait(tuned);
        let mut reasons = advice.reasons.clone();
        reasons.extend(about_layouts(&tuned.layouts, wanted.kind));
        reasons.push(why);
        reasons.extend(tuned.placing.as_ref().map(Placing::sentence));
        json!({
            "capacity": advice.capacity,
            "enough_load_can_be_taken": !advice.overload,
            "capacity_for_95_percent_of_full_speed": advice.knee,
            "capacity_without_waiting": advice.no_wait,
            "calculated": advice.calculated.map(|calculated| json!({
                "of_a_burst": calculated.of_a_burst, "in_a_pause": calculated.in_a_pause, "messages": calculated.total(),
            })),
            "declared_one": case.one,
            "wait": wait.to_string().to_lowercase(),
            "create": create(tuned, wanted),
            "rust": rust(tuned, wanted),
            "reasons": reasons,
        })
    });
    json!({
        "kind": case.kind.to_string(),
        "producers": case.producers,
        "consumers": case.consumers,
        "message_size": wanted.size,
        "processors": processors::count(),
        "placing": tuned.placing.as_ref().map(Placing::json),
        "complete": !interrupted,
        "load": load,
        "longest_pause_ns": tuned.pause,
        "full_speed": speed.collect::<Vec<_>>(),
        "under_load": under_load.collect::<Vec<_>>(),
        "layouts": layouts.collect::<Vec<_>>(),
        "waits": waits.collect::<Vec<_>>(),
        "recommended": recommended,
    })
}
