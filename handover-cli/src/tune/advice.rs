//! What follows from what was measured, with reasons in plain sentences.

use super::Tuned;
use super::sweep::{LayoutFigure, LoadPoint, WaitFigure, quantile};
use crate::measure::case::{Case, Kind, Layout, Wait};
use crate::numbers::{grouped, nanoseconds, three_digits};

/// A capacity that reaches so much of the best throughput is large enough.
const ENOUGH: f64 = 0.95;
/// Of what consumers can take at most, more than this is too much to ask for.
const TOO_MUCH: f64 = 0.9;

/// Who has a processor for itself does not stand still for so long: nanoseconds.
const BUSY: u64 = 10_000_000;

/// How large the queue should be, and what speaks for it.
#[derive(Clone, Debug)]
pub(super) struct Advice {
    pub(super) capacity: usize,
    /// The smallest that reaches [`ENOUGH`] of the best throughput.
    pub(super) knee: usize,
    /// The smallest from which on no push had to wait.
    pub(super) no_wait: Option<usize>,
    /// What piles up according to the calculation.
    pub(super) calculated: Option<Calculated>,
    /// More is asked for than the consumers can take.
    pub(super) overload: bool,
    pub(super) reasons: Vec<String>,
}

/// What piles up: of a burst, and while consumers stand still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Calculated {
    pub(super) of_a_burst: f64,
    pub(super) in_a_pause: f64,
}

impl Calculated {
    /// Messages come with `fill` a second as long as a burst lasts, and are taken with `drain` a second.
    fn of(case: &Case, fill: f64, drain: f64, pause: f64) -> Calculated {
        let of_a_burst = case.burst as f64 * (1.0 - drain / fill).max(0.0);
        Calculated { of_a_burst: of_a_burst.max(1.0), in_a_pause: case.rate as f64 * pause / 1e9 }
    }

    pub(super) fn total(self) -> f64 {
        self.of_a_burst + self.in_a_pause
    }
}

fn whole(number: f64) -> String {
    grouped(number.ceil() as u64)
}

fn millions(rate: f64) -> String {
    if rate >= 1e5 { format!("{} million", three_digits(rate / 1e6)) } else { grouped(rate as u64) }
}

/// What is done to get a message in, of that kind.
fn push(kind: Kind) -> &'static str {
    match kind {
        Kind::Queue => "push",
        Kind::Broadcast => "publish",
        Kind::Tasks => "submit",
    }
}

impl Advice {
    pub(super) fn of(tuned: &Tuned) -> Advice {
        let best = tuned.speed.iter().map(|point| point.best()).fold(0.0, f64::max);
        let reaches = |share: f64| tuned.speed.iter().find(|point| point.best() >= share * best);
        let knee = reaches(ENOUGH).map_or(1, |point| point.capacity);
        let mut reasons = Vec::new();
        if !tuned.case.is_paced() {
            reasons.push(format!(
                "At full speed {} is the smallest capacity that reaches {:.0} % of the best throughput, {} messages a second.",
                grouped(knee as u64),
                100.0 * ENOUGH,
                millions(best),
            ));
            if let Some(half) = reaches(0.5).filter(|half| half.capacity < knee) {
                reasons.push(format!("{} reaches half of it.", grouped(half.capacity as u64)));
            }
            reasons
                .push("For a load that is not always at full speed, say what it is: --rate, --burst, --work.".into());
            return Advice { capacity: knee, knee, no_wait: None, calculated: None, overload: false, reasons };
        }
        let case = &tuned.case;
        let no_wait = smallest_without_waiting(&tuned.load);
        let overload = case.rate as f64 > TOO_MUCH * best && no_wait.is_none_or(|_| case.rate as f64 > best);
        let pause = tuned.pause as f64 + case.pause.as_nanos() as f64;
        let calculated = Calculated::of(case, tuned.fill, best, pause);
        let needed = no_wait.unwrap_or(1).max(calculated.total().ceil() as usize);
        let largest = tuned.load.last().map_or(needed, |point| point.capacity);
        let capacity = if overload { knee } else { needed.next_power_of_two().min(largest.max(1)) };
        let (push, consumers) = (push(case.kind), if case.consumers == 1 { "the consumer" } else { "the consumers" });
        if overload {
            reasons.push(format!(
                "Here {consumers} can take {} messages a second at most, and {} are to come: no buffer is large enough. Work \
                 less on each message, or let more consumers work.",
                millions(best),
                grouped(case.rate),
            ));
        } else {
            reasons.push(match no_wait {
                Some(smallest) => format!(
                    "In real runs under this load, {} was the smallest capacity from which on no {push} had to wait{}.",
                    grouped(smallest as u64),
                    below(&tuned.load, smallest),
                ),
                None => format!(
                    "In real runs under this load some {push} had to wait at every capacity, up to {}: the machine is busy \
                     with other things, or producers come too close to what can be done.",
                    grouped(largest as u64)
                ),
            });
            reasons.push(format!(
                "By calculation {} messages pile up: {} of a burst of {}, which comes at {} a second while {consumers} take{} \
                 {}; and {} while {consumers} stand{} still for {}{}.",
                whole(calculated.total()),
                whole(calculated.of_a_burst),
                grouped(case.burst),
                millions(tuned.fill),
                if case.consumers == 1 { "s" } else { "" },
                millions(best),
                whole(calculated.in_a_pause),
                if case.consumers == 1 { "s" } else { "" },
                nanoseconds(pause),
                if case.pause.is_zero() { ", the longest seen here" } else { ", as stated and seen here" },
            ));
            if tuned.pause > BUSY {
                reasons.push(
                    "A machine that makes one stand still for so long is busy with other things: without them less is enough."
                        .into(),
                );
            }
            if capacity > 2 * no_wait.unwrap_or(capacity) {
                reasons.push("The calculation is the more careful of the two: a pause may fall on a burst.".into());
            }
        }
        Advice { capacity, knee, no_wait, calculated: Some(calculated), overload, reasons }
    }
}

/// From which on, in no round, any push had to wait.
fn smallest_without_waiting(points: &[LoadPoint]) -> Option<usize> {
    let quiet = points.iter().rev().take_while(|point| point.waited.greatest() == 0.0);
    quiet.last().map(|point| point.capacity)
}

/// What happens one step below.
fn below(points: &[LoadPoint], capacity: usize) -> String {
    let below = points.iter().rev().find(|point| point.capacity < capacity);
    below.map_or_else(String::new, |point| {
        let share = 100.0 * point.waited.greatest();
        format!("; with {}, up to {} % had to", grouped(point.capacity as u64), three_digits(share))
    })
}

/// As a reader of the report is told.
pub(super) fn layout_name(case: &Case) -> String {
    let crowd = if case.one { ", for one each" } else { "" };
    let lies = match case.layout {
        Layout::Bytes => "bytes".to_owned(),
        Layout::Plain => format!("plain type of {} bytes", case.size),
        Layout::Line => format!("plain type of {} bytes, aligned to 64", case.size),
    };
    let batch = if case.batch > 1 { format!(", by {}", case.batch) } else { String::new() };
    format!("{lies}{crowd}{batch}")
}

/// What the layouts say, in sentences.
pub(super) fn about_layouts(figures: &[LayoutFigure], kind: Kind) -> Vec<String> {
    let rate = |fits: &dyn Fn(&Case) -> bool| {
        let found = figures.iter().filter(|figure| fits(&figure.case) && !figure.rate.is_empty());
        found.map(|figure| figure.rate.median()).reduce(f64::max)
    };
    let singles = |one: bool| move |case: &Case| case.one == one && case.batch == 1 && case.layout == Layout::Bytes;
    let (many, one) = (rate(&singles(false)), rate(&singles(true)));
    let mut sentences = Vec::new();
    if let (Some(many), Some(one)) = (many, one) {
        let gain = one / many;
        sentences.push(if gain >= 1.05 {
            format!("Declared for one producer and one consumer it hands over {} times as much: do so if there is never more than one of each.", three_digits(gain))
        } else {
            "To declare it for one producer and one consumer gains nothing measurable here; it is enforced, so do it only if it is true.".into()
        });
    }
    let base = one.or(many);
    for (layout, what) in [(Layout::Plain, "A plain type"), (Layout::Line, "A plain type aligned to 64 bytes")] {
        if let (Some(base), Some(typed)) = (base, rate(&|case| case.layout == layout)) {
            sentences.push(format!(
                "{what}, in a program, hands over {} times as much as bytes.",
                three_digits(typed / base)
            ));
        }
    }
    let by = |batch: usize| rate(&move |case: &Case| case.batch == batch);
    if let (Some(base), Some(eight), Some(most)) = (base, by(8), by(64)) {
        let call = match kind {
            Kind::Queue => "push_batch, pop_batch",
            Kind::Broadcast => "publish_batch, next_batch",
            Kind::Tasks => "submit_batch",
        };
        sentences.push(if eight.max(most) >= 1.2 * base {
            format!(
                "Where several come at a time, batches ({call}) hand over {} times as much by 8, {} times by 64.",
                three_digits(eight / base),
                three_digits(most / base)
            )
        } else {
            format!("Batches ({call}) gain little here.")
        });
    }
    sentences
}

/// The way to wait that suits, and why.
pub(super) fn wait(figures: &[WaitFigure], case: &Case, processors: usize) -> (Wait, String) {
    let of = |wait| figures.iter().find(|figure| figure.wait == wait && !figure.rate.is_empty());
    let (Some(spin), Some(balanced), Some(park)) = (of(Wait::Spin), of(Wait::Balanced), of(Wait::Park)) else {
        return (Wait::Balanced, "It was not measured which way to wait is best; Balanced is the default.".into());
    };
    let busy = |figure: &WaitFigure| figure.processor_time.median();
    if !case.is_paced() {
        let fastest = [balanced, spin, park].into_iter().max_by(|a, b| a.rate.median().total_cmp(&b.rate.median()));
        let fastest = fastest.unwrap_or(balanced);
        let gain = fastest.rate.median() / balanced.rate.median();
        if gain < 1.15 || (fastest.wait == Wait::Spin && case.endpoints() > processors) {
            return (
                Wait::Balanced,
                "At full speed nobody waits for long: Balanced, the default, is as good as any.".into(),
            );
        }
        return (
            fastest.wait,
            format!(
                "At full speed {} hands over {} times as much as Balanced, the default.",
                fastest.wait,
                three_digits(gain)
            ),
        );
    }
    let late = |figure: &WaitFigure| quantile(&figure.delays, 0.99);
    let tell = |figure: &WaitFigure| {
        format!(
            "{} within {} (99 %) for {} of processor time a message",
            figure.wait,
            nanoseconds(late(figure)),
            nanoseconds(busy(figure))
        )
    };
    let compared = format!("{}; {}; {}.", tell(spin), tell(balanced), tell(park));
    let as_good = busy(park) <= busy(balanced) && late(park) <= late(balanced);
    if as_good || (busy(park) < 0.7 * busy(balanced) && late(park) < 1.5 * late(balanced)) {
        return (Wait::Park, format!("Park leaves the processors alone, and messages come hardly later: {compared}"));
    }
    if late(spin) < 0.5 * late(balanced) && case.endpoints() <= processors {
        return (Wait::Spin, format!("Spin, if each end may have a processor for itself; else Balanced: {compared}"));
    }
    (Wait::Balanced, format!("Balanced, the default: {compared}"))
}

#[cfg(test)]
mod tests {
    use crate::measure::case::Between;
    use crate::measure::effort::empty_histogram;
    use crate::measure::sample::Sample;

    use super::*;

    fn point(capacity: usize, waited: &[f64]) -> LoadPoint {
        let mut sample = Sample::default();
        waited.iter().for_each(|share| sample.add(*share));
        LoadPoint { capacity, waited: sample, delays: empty_histogram() }
    }

    #[test]
    fn what_piles_up_is_the_burst_beyond_the_consumers_and_what_comes_in_a_pause() {
        let case = Case { rate: 200_000, burst: 5000, ..Case::new(Kind::Queue, Between::Processes) };
        let half_as_fast = Calculated::of(&case, 20e6, 10e6, 4e6);
        assert_eq!(half_as_fast, Calculated { of_a_burst: 2500.0, in_a_pause: 800.0 });
        assert_eq!(half_as_fast.total(), 3300.0);
        let faster = Calculated::of(&case, 10e6, 20e6, 0.0);
        assert_eq!(faster.total(), 1.0, "the message that is on its way");
    }

    #[test]
    fn a_capacity_is_large_enough_if_no_push_waited_with_it_or_with_more() {
        let points =
            [point(1, &[0.3]), point(2, &[0.0, 0.0]), point(4, &[0.0, 0.01]), point(8, &[0.0]), point(16, &[0.0])];
        assert_eq!(smallest_without_waiting(&points), Some(8));
        assert_eq!(smallest_without_waiting(&points[..3]), None);
        assert_eq!(smallest_without_waiting(&[]), None);
    }
}
