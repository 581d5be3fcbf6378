//! How times are spread: how many were how long.

use std::time::Duration;

use handover::tasks::Times;

/// The longest time of each step, in ascending order, and how many fell into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spread {
    steps: Vec<(Duration, u64)>,
}

impl From<&Times> for Spread {
    fn from(times: &Times) -> Spread {
        times.steps().collect()
    }
}

impl FromIterator<(Duration, u64)> for Spread {
    fn from_iter<T: IntoIterator<Item = (Duration, u64)>>(steps: T) -> Spread {
        Spread { steps: steps.into_iter().collect() }
    }
}

impl Spread {
    pub(crate) fn steps(&self) -> &[(Duration, u64)] {
        &self.steps
    }

    pub(crate) fn count(&self) -> u64 {
        // Anybody may have scribbled in what was added up.
        self.steps.iter().fold(0, |sum, (_, times)| sum.saturating_add(*times))
    }

    /// What came after that earlier one.
    pub(crate) fn since(&self, earlier: &Spread) -> Spread {
        let before = |end| {
            let found = earlier.steps.binary_search_by_key(&end, |(end, _)| *end);
            found.map_or(0, |step| earlier.steps[step].1)
        };
        let steps = self.steps.iter().map(|(end, times)| (*end, times.saturating_sub(before(*end))));
        steps.filter(|(_, times)| *times > 0).collect()
    }

    /// The time within which that part of all were, `0.5` being half of them. None where nothing was counted.
    pub(crate) fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = ((count as f64 * part).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0_u64;
        let found = self.steps.iter().find(|(_, times)| {
            seen = seen.saturating_add(*times);
            seen >= wanted
        });
        found.map(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(steps: &[(u64, u64)]) -> Spread {
        steps.iter().map(|(end, times)| (Duration::from_micros(*end), *times)).collect()
    }

    #[test]
    fn what_came_since_is_what_is_more_than_before() {
        let now = spread(&[(1, 5), (2, 7), (8, 3)]);
        assert_eq!(now.since(&spread(&[(1, 5), (8, 1)])), spread(&[(2, 7), (8, 2)]));
        assert_eq!(now.since(&Spread::default()), now);
        // Another one of that name, which has counted less.
        assert_eq!(spread(&[(1, 1)]).since(&now), Spread::default());
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let spread = spread(&[(1, 50), (10, 40), (100, 10)]);
        let at = |part| spread.quantile(part).map(|time| time.as_micros());
        assert_eq!(
            [at(0.0), at(0.5), at(0.51), at(0.9), at(0.99), at(1.0)].map(Option::unwrap),
            [1, 1, 10, 10, 100, 100]
        );
        assert_eq!((spread.count(), Spread::default().quantile(0.5)), (100, None));
    }
}
