//! Quantiles of histograms, as in Prometheus's `histogram_quantile`.

/// The cumulative buckets of one histogram, or of several histograms whose buckets with equal `le` are added.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// In the order of the samples.
    buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    upper_bound: f64,
    /// The number of observations up to the bound.
    count: f64,
}

/// The relative difference below which two counts are equal, because sums of doubles are rounded. Prometheus has the
/// same tolerance. Without it the quantile 1 could be the bound of an empty bucket.
const TOLERANCE: f64 = 1e-12;

/// The reason why a histogram has no quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuantileError {
    /// The histogram has no observations.
    Empty,
    /// The histogram has no `+Inf` bucket, or only that bucket.
    Malformed,
}

impl Histogram {
    /// Adds a bucket. A bucket whose bound is NaN or whose count is not finite is ignored.
    pub(super) fn add(&mut self, upper_bound: f64, count: f64) {
        if !upper_bound.is_nan() && count.is_finite() {
            self.buckets.push(Bucket { upper_bound, count });
        }
    }

    /// Returns the value below which the share `quantile` (0 to 1) of all observations lies.
    ///
    /// Observations are assumed to be distributed evenly within a bucket. The first bucket begins at 0; if its upper
    /// bound is not above 0, the result is that bound. For the `+Inf` bucket the result is the highest finite bound. If
    /// a bucket counts less than the one before it (counts change while they are collected), or more by a rounding
    /// error only, it gets the count of the one before it. The quantile 0 is the lower bound of the first bucket that
    /// is not empty; Prometheus returns NaN.
    ///
    /// # Errors
    /// Returns an error if the histogram has no observations or no usable buckets.
    pub(super) fn quantile(mut self, quantile: f64) -> Result<f64, QuantileError> {
        let (finite, total) = self.cumulative()?;
        if total <= 0.0 {
            return Err(QuantileError::Empty);
        }
        let rank = quantile * total;
        let mut below = Bucket { upper_bound: 0.0, count: 0.0 };
        for (i, bucket) in finite.iter().enumerate() {
            let within = bucket.count - below.count;
            // An empty bucket is skipped; otherwise the quantile 0 would be 0 / 0.
            if bucket.count >= rank && within > 0.0 {
                if i == 0 && bucket.upper_bound <= 0.0 {
                    return Ok(bucket.upper_bound);
                }
                let share = (rank - below.count) / within;
                return Ok(below.upper_bound + (bucket.upper_bound - below.upper_bound) * share);
            }
            below = *bucket;
        }
        Ok(below.upper_bound)
    }

    /// Sorts the buckets, adds those with equal bounds, and corrects counts that decrease. Returns the finite buckets
    /// and the number of all observations.
    fn cumulative(&mut self) -> Result<(&[Bucket], f64), QuantileError> {
        // A stable sort, so that equal bounds are added in the same order in every bucket.
        self.buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
        self.buckets.dedup_by(|later, kept| {
            // Compared by value: -0 and 0 are the same bound.
            let same = later.upper_bound <= kept.upper_bound;
            if same {
                kept.count += later.count;
            }
            same
        });
        let mut most = 0.0_f64;
        for bucket in &mut self.buckets {
            if bucket.count - most > TOLERANCE * (bucket.count + most) {
                most = bucket.count;
            }
            bucket.count = most;
        }
        match self.buckets.split_last() {
            Some((last, finite)) if last.upper_bound == f64::INFINITY && !finite.is_empty() => Ok((finite, last.count)),
            _ => Err(QuantileError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const INF: f64 = f64::INFINITY;

    fn quantile(buckets: &[(f64, f64)], q: f64) -> Result<f64, QuantileError> {
        let mut histogram = Histogram::default();
        for (bound, count) in buckets {
            histogram.add(*bound, *count);
        }
        histogram.quantile(q)
    }

    #[rstest]
    // "Interpolation is linear within a bucket."
    #[case::the_middle_of_a_bucket(&[(1.0, 0.0), (2.0, 10.0), (INF, 10.0)], 0.5, Ok(1.5))]
    #[case::a_request_duration(&[(0.05, 24054.0), (0.1, 33444.0), (0.2, 100_392.0), (INF, 144_320.0)], 0.5, Ok(0.157_829_957_579_016_58))]
    #[case::counts_beyond_53_bits(&[(1.0, 9_007_199_254_740_992.0), (2.0, 18_014_398_509_481_984.0), (INF, 18_014_398_509_481_984.0)], 0.75, Ok(1.5))]
    // "The lower limit of the lowest bucket is assumed to be 0 if the upper bound of that bucket is greater than 0."
    #[case::the_first_bucket_begins_at_zero(&[(1.0, 10.0), (2.0, 10.0), (INF, 10.0)], 0.5, Ok(0.5))]
    #[case::one_bucket(&[(10.0, 4.0), (INF, 4.0)], 0.25, Ok(2.5))]
    // "Otherwise, the upper bound of the lowest bucket is returned for quantiles located in the lowest bucket."
    #[case::a_first_bucket_up_to_zero_is_its_bound(&[(0.0, 10.0), (1.0, 10.0), (INF, 10.0)], 0.5, Ok(0.0))]
    #[case::a_first_bucket_of_minus_infinity_is_its_bound(&[(-INF, 5.0), (1.0, 10.0), (INF, 10.0)], 0.2, Ok(-INF))]
    #[case::a_bucket_below_zero_that_is_not_the_first(&[(-1.0, 0.0), (0.0, 10.0), (INF, 10.0)], 0.5, Ok(-0.5))]
    #[case::a_first_bucket_not_above_zero_is_its_bound(&[(-1.0, 10.0), (2.0, 10.0), (INF, 10.0)], 0.5, Ok(-1.0))]
    // "If a quantile is located in the highest bucket, the upper bound of the second highest bucket is returned."
    #[case::all_in_the_infinite_bucket(&[(1.0, 0.0), (INF, 10.0)], 0.5, Ok(1.0))]
    #[case::the_quantile_zero_of_the_infinite_bucket(&[(1.0, 0.0), (INF, 10.0)], 0.0, Ok(1.0))]
    #[case::the_highest_is_the_highest_finite_bound(&[(1.0, 5.0), (2.0, 5.0), (INF, 10.0)], 0.9, Ok(2.0))]
    // A rank on a bound: `sort.Search` finds the first bucket that counts at least as much.
    #[case::a_rank_on_the_boundary(&[(1.0, 5.0), (2.0, 10.0), (INF, 10.0)], 0.5, Ok(1.0))]
    #[case::the_quantile_one(&[(1.0, 5.0), (2.0, 10.0), (INF, 10.0)], 1.0, Ok(2.0))]
    #[case::the_quantile_zero(&[(1.0, 5.0), (2.0, 10.0), (INF, 10.0)], 0.0, Ok(0.0))]
    #[case::the_quantile_zero_below_zero(&[(-1.0, 5.0), (2.0, 10.0), (INF, 10.0)], 0.0, Ok(-1.0))]
    #[case::the_quantile_zero_begins_where_observations_do(&[(1.0, 0.0), (2.0, 10.0), (INF, 10.0)], 0.0, Ok(1.0))]
    #[case::order_does_not_matter(&[(INF, 10.0), (2.0, 10.0), (1.0, 0.0)], 0.5, Ok(1.5))]
    #[case::equal_bounds_are_added(&[(1.0, 0.0), (2.0, 4.0), (2.0, 6.0), (INF, 4.0), (INF, 6.0), (1.0, 0.0)], 0.5, Ok(1.5))]
    // "The counts in the buckets are monotonically increasing (strictly non-decreasing)"; others are corrected.
    #[case::a_count_that_decreases_is_corrected(&[(1.0, 10.0), (2.0, 8.0), (INF, 10.0)], 0.5, Ok(0.5))]
    #[case::a_total_that_decreases_is_corrected(&[(1.0, 0.0), (2.0, 10.0), (INF, 8.0)], 0.5, Ok(1.5))]
    #[case::a_negative_count_is_zero(&[(1.0, -5.0), (2.0, 10.0), (INF, 10.0)], 0.5, Ok(1.5))]
    // "Differences between consecutive buckets smaller than 10^-12 of their sum are ignored."
    #[case::a_rounding_error_is_not_an_observation(&[(1.0, 0.3), (2.0, 0.300_000_000_000_000_04), (INF, 0.300_000_000_000_000_04)], 1.0, Ok(1.0))]
    #[case::a_small_difference_is_an_observation(&[(1.0, 1.0), (2.0, 1.000_000_1), (INF, 1.000_000_1)], 1.0, Ok(2.0))]
    // Prometheus returns NaN; here there is no value: "0 observations", "no buckets", "the highest bucket must have an
    // upper bound of +Inf".
    #[case::no_observation(&[(1.0, 0.0), (INF, 0.0)], 0.5, Err(QuantileError::Empty))]
    #[case::no_infinite_bucket(&[(1.0, 5.0), (2.0, 10.0)], 0.5, Err(QuantileError::Malformed))]
    #[case::the_infinite_bucket_alone(&[(INF, 10.0)], 0.5, Err(QuantileError::Malformed))]
    #[case::no_buckets(&[], 0.5, Err(QuantileError::Malformed))]
    #[case::an_infinite_bucket_that_counts_nan(&[(1.0, 5.0), (INF, f64::NAN)], 0.5, Err(QuantileError::Malformed))]
    #[case::a_bound_of_nan_is_ignored(&[(1.0, 0.0), (f64::NAN, 7.0), (2.0, 10.0), (INF, 10.0)], 0.5, Ok(1.5))]
    #[case::a_bucket_of_infinity_is_ignored(&[(1.0, 0.0), (1.5, INF), (2.0, 10.0), (INF, 10.0)], 0.5, Ok(1.5))]
    #[case::a_bucket_of_nan_is_ignored(&[(1.0, 0.0), (1.5, f64::NAN), (2.0, 10.0), (INF, 10.0)], 0.5, Ok(1.5))]
    fn quantiles_equal_those_of_prometheus(
        #[case] buckets: &[(f64, f64)],
        #[case] q: f64,
        #[case] expected: Result<f64, QuantileError>,
    ) {
        assert_eq!(quantile(buckets, q), expected);
    }

    #[test]
    fn interpolation_from_a_bound_of_minus_infinity_is_nan() {
        assert!(quantile(&[(-INF, 5.0), (1.0, 10.0), (INF, 10.0)], 0.9).unwrap().is_nan());
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_the_buckets_and_increases_with_its_rank(
            buckets in prop::collection::vec((any::<f64>(), any::<f64>()), 0..12),
            a in 0.0..=1.0, b in 0.0..=1.0,
        ) {
            // No number causes a panic. Order and range hold for reasonable numbers.
            let _ = quantile(&buckets, a);
            let mut sane: Vec<_> = buckets.iter().map(|(le, n)| (le % 1e6, (n % 1e6).abs())).collect();
            sane.push((INF, 1e6));
            let (low, high) = (quantile(&sane, f64::min(a, b)), quantile(&sane, f64::max(a, b)));
            if let (Ok(low), Ok(high)) = (low, high) {
                prop_assert!(low <= high + 1e-6);
                prop_assert!(high <= sane.iter().map(|b| b.0).filter(|b| b.is_finite()).fold(0.0, f64::max));
            }
        }
    }
}
