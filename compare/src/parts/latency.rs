//! How long a message takes: one way with a paced sender, one way back to back, and there and back.

use hdrhistogram::Histogram;

use crate::contenders::{Contender as C, Entry, Side, Waits};
use crate::document::Document;
use crate::parts::{is_broadcast, is_queue, note, placed, plans_for};
use crate::plan::{Cell, Size, Work};
use crate::plots::{self, QUANTILES};
use crate::runs::{Measured, Results};
use crate::settings::Settings;
use crate::shared::aims::Bound;
use crate::shared::report::Table;
use crate::shared::statistics::show;

const CELL: Cell = Cell { size: Size::Word, producers: 1, consumers: 1, capacity: 1024 };

/// 10,000 messages a second.
const GAP: u64 = 100_000;

fn curve(times: &Histogram<u64>) -> Vec<f64> {
    // A quantile that has not one value above it is the longest once more.
    let told = QUANTILES.iter().filter(|quantile| (1.0 - **quantile) * times.len() as f64 >= 1.0);
    told.map(|quantile| times.value_at_quantile(*quantile) as f64 / 1000.0).collect()
}

fn at(times: &Histogram<u64>, quantile: f64) -> String {
    show(times.value_at_quantile(quantile) as f64 / 1000.0)
}

/// All of it, in one cell.
pub fn measure(settings: &Settings, document: &mut Document) {
    if !settings.includes_cell(&CELL) {
        return;
    }
    let paced = one_way(settings, document, Pace::Calm, ("u64", "latency-paced"), is_queue);
    for &pin in settings.pins {
        paced_aim(&paced, document, pin);
    }
    one_way(settings, document, Pace::Rapid, ("u64", "latency-rapid"), is_queue);
    trips(settings, document, "at once", 0);
    trips(settings, document, "100 us after the answer, the other end asleep", 100_000);
}

/// One way, of what hands every message to every receiver, here to one: spinning and parked.
pub fn of_broadcasts(settings: &Settings, document: &mut Document) {
    if settings.includes_cell(&CELL) {
        let names = ("broadcast of u64 to one", "latency-broadcast-paced");
        one_way(settings, document, Pace::Calm, names, is_broadcast);
    }
}

/// One way, of tasks: from before they are submitted until they are done.
pub fn of_tasks(settings: &Settings, document: &mut Document) {
    if settings.includes_cell(&CELL) {
        let wanted = |entry: &Entry| entry.side == Side::Broker || entry.contender == C::Semaphores;
        let results = one_way(settings, document, Pace::Calm, ("tasks of a u64", "latency-tasks-paced"), wanted);
        let spinning = of_pin(&results, false).find(|one| one.plan.entry.contender == C::TasksSpin);
        if let Some(median) = spinning.map(|one| one.quantile(1, 0.5).median()) {
            let what = "tasks, from submit to take, spinning: at most 0.5 microseconds";
            document.aims.single(what, Bound::AtMost(0.5), median, format!("{} us", show(median)));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// 10,000 a second.
    Calm,
    /// As fast as they go.
    Rapid,
}

fn one_way(
    settings: &Settings,
    document: &mut Document,
    pace: Pace,
    (what, file): (&str, &str),
    wanted: impl Fn(&Entry) -> bool,
) -> Results {
    // Long enough for its thousandths.
    let messages = (settings.run_time.as_nanos() as u64 * 4 / GAP).max(500);
    let (work, how) = match pace {
        Pace::Calm => (Work::Paced { messages, gap: GAP }, "10,000 a second, the receiver otherwise idle"),
        Pace::Rapid => (Work::Paced { messages: messages * 20, gap: 0 }, "back to back"),
    };
    let results =
        Results::of(settings, &format!("{what}, {how}"), plans_for(settings, CELL, work, 1, settings.pins, wanted));
    for &pin in settings.pins.iter().filter(|pin| results.has(CELL, **pin)) {
        let title = format!("One way, {what}, {how}, {} (microseconds)", placed(pin));
        let head = ["contender", "p50", "p99", "p99.9", "max", "receiver's processor", "messages"];
        let mut table = Table::new(&title, head);
        let mut curves = (Vec::new(), Vec::new());
        for one in of_pin(&results, pin) {
            let times = one.times(1);
            let name = one.plan.entry.full_name();
            let share = format!("{:.1} %", 100.0 * one.share_of(1).median());
            let max = show(times.max() as f64 / 1000.0);
            let count = times.len().to_string();
            table.row([
                name.clone(),
                one.quantile(1, 0.5).show(),
                at(&times, 0.99),
                at(&times, 0.999),
                max,
                share,
                count,
            ]);
            curves.0.push(name);
            curves.1.push(curve(&times));
        }
        document.report.table(&table);
        plot_in_two(document, file, &title, pin, curves);
    }
    note(&mut document.report, &results);
    results
}

fn of_pin(results: &Results, pin: bool) -> impl Iterator<Item = &Measured> {
    results.0.iter().filter(move |one| one.ran() && one.plan.pin == pin)
}

/// Threads and processes apart: too many lines in one are none.
fn plot_in_two(
    document: &mut Document,
    file: &str,
    title: &str,
    pin: bool,
    (names, curves): (Vec<String>, Vec<Vec<f64>>),
) {
    for between in ["threads", "processes"] {
        let of_it = names.iter().zip(&curves).filter(|(name, _)| name.starts_with(between));
        let (names, curves): (Vec<String>, Vec<Vec<f64>>) = of_it
            .map(|(name, curve)| (name.split_once(": ").map_or(name.clone(), |it| it.1.to_owned()), curve.clone()))
            .unzip();
        if names.is_empty() {
            continue;
        }
        let file = format!("{file}-{between}{}", if pin { "-pinned" } else { "" });
        let title = format!("Between {between}: {title}");
        document.plot(&file, &title, plots::distributions(&title, &names, &curves));
    }
}

/// Held against the peer that parks with the least median, and against its receiver's processor time.
fn paced_aim(results: &Results, document: &mut Document, pin: bool) {
    let parks = |one: &&Measured| {
        let Entry { side, waits, .. } = one.plan.entry;
        (*side, *waits) == (Side::Peer, Waits::Blocks)
    };
    for processes in [false, true] {
        let of_kind = || of_pin(results, pin).filter(move |one| one.plan.entry.processes == processes);
        let median = |one: &Measured| one.quantile(1, 0.5).median();
        let Some(best) = of_kind().filter(parks).min_by(|a, b| median(a).total_cmp(&median(b))) else { continue };
        let ours = if processes { [C::Processes, C::OneProcesses] } else { [C::Threads, C::OneThreads] };
        let ours: Vec<&Measured> = of_kind().filter(|one| ours.contains(&one.plan.entry.contender)).collect();
        let against = best.plan.entry.full_name();
        let named = |one: &&Measured| format!("{} to {against}", one.plan.entry.full_name());
        let times: Vec<_> = ours.iter().map(|one| (named(one), median(one) / median(best))).collect();
        let used = |one: &Measured| one.share_of(1).median();
        let cpu: Vec<_> = ours.iter().map(|one| (named(one), used(one) / used(best))).collect();
        let how = placed(pin);
        let what = format!("paced, 10,000 a second, {}, {how}", best.plan.entry.between());
        document.aims.ratios(format!("{what}: p50 at most the best parking peer's"), Bound::AtMost(1.0), &times);
        document.aims.ratios(format!("{what}: at no more of the processor"), Bound::AtMost(1.0), &cpu);
    }
}

fn trips(settings: &Settings, document: &mut Document, how: &str, pause: u64) {
    let work = Work::Trips { time: settings.run_time.as_nanos() as u64, pause };
    let wanted = |entry: &Entry| is_queue(entry) || entry.side == Side::Machine;
    let plans = plans_for(settings, CELL, work, 1, settings.pins, wanted);
    let results = Results::of(settings, &format!("there and back, {how}"), plans);
    if results.0.is_empty() {
        return;
    }
    for &pin in settings.pins {
        let title = format!("There and back, u64, each question {how}, {} (microseconds)", placed(pin));
        let base = |contender| Some(results.get(contender, CELL, 1, pin)?.quantile(0, 0.5).median());
        let (lines, futexes) = (base(C::SpunOn), base(C::SleptOn));
        let head = ["contender", "p50", "p99", "p99.9", "max", "x two lines", "x two futexes", "trips"];
        let mut table = Table::new(&title, head);
        let mut curves = (Vec::new(), Vec::new());
        for one in of_pin(&results, pin) {
            let (times, p50) = (one.times(0), one.quantile(0, 0.5));
            let ratio = |base: Option<f64>| base.map_or("-".into(), |base| show(p50.median() / base));
            let max = show(times.max() as f64 / 1000.0);
            let entry = one.plan.entry;
            let name = if entry.side == Side::Machine { format!("threads: {}", entry.name) } else { entry.full_name() };
            let count = times.len().to_string();
            table.row([
                name.clone(),
                p50.show(),
                at(&times, 0.99),
                at(&times, 0.999),
                max,
                ratio(lines),
                ratio(futexes),
                count,
            ]);
            curves.0.push(name);
            curves.1.push(curve(&times));
        }
        document.report.table(&table);
        let short = if pause == 0 { "trips-rapid" } else { "trips-calm" };
        plot_in_two(document, short, &title, pin, curves);

        // Spinning is measured rapid, parking with a pause in which the other end falls asleep; each with its ends apart.
        let (ours, base, most, what) = if pause == 0 {
            let ours = [C::ThreadsSpin, C::OneThreadsSpin, C::ProcessesSpin, C::OneProcessesSpin];
            (ours, lines, 1.3, "a spinning round trip at most 1.3 times the two-line cache trip")
        } else {
            let ours = [C::ThreadsPark, C::OneThreadsPark, C::ProcessesPark, C::OneProcessesPark];
            (ours, futexes, 1.1, "a parked round trip at most 1.1 times the bare futex ping-pong")
        };
        let of = |contender: C| {
            let p50 = results.get(contender, CELL, 1, pin)?.quantile(0, 0.5).median();
            Some((contender.entry().full_name(), p50 / base?))
        };
        let cells: Vec<(String, f64)> = ours.into_iter().filter_map(of).collect();
        if pin {
            document.aims.ratios(format!("{what}, {}", placed(pin)), Bound::AtMost(most), &cells);
        }
    }
    note(&mut document.report, &results);
}
