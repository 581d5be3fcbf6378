//! What was measured in each round, of one thing.

/// The rounds' values, least first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => self.0[middle],
            _ => f64::midpoint(self.0[middle - 1], self.0[middle]),
        }
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn greatest(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// How far the rounds lie apart, as a share of the median. One round says nothing of it.
    pub(crate) fn spread(&self) -> Option<f64> {
        (self.0.len() > 1).then(|| (self.greatest() - self.least()) / self.median())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_spread_is_its_share() {
        let mut sample = Sample::default();
        assert!(sample.median().is_nan() && sample.spread().is_none());
        sample.add(4.0);
        assert_eq!((sample.median(), sample.spread()), (4.0, None));
        sample.add(2.0);
        assert_eq!(sample.median(), 3.0);
        sample.add(10.0);
        assert_eq!((sample.median(), sample.spread()), (4.0, Some(2.0)));
    }
}
