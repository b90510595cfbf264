//! Latencies in fixed buckets: log-linear, 64 steps per power of two, so a figure is at most 1.6 % too high.
//!
//! Fixed memory (about 14 kB), a recording is two shifts and an add, and two of them merge by addition.

use std::time::Duration;

const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
/// Longest value told apart: 2^32 microseconds, more than an hour.
const VALUE_BITS: u32 = 32;
const BUCKETS: usize = (VALUE_BITS - STEP_BITS + 1) as usize * STEPS;

/// Durations, counted in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, longest: 0 }
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.min((1 << VALUE_BITS) - 1);
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let shift = micros.ilog2() - STEP_BITS;
    (shift as usize + 1) * STEPS + ((micros >> shift) as usize - STEPS)
}

/// The largest value that falls into a bucket.
fn upper_edge(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = (bucket / STEPS - 1) as u32;
    let step = (bucket % STEPS + STEPS) as u64;
    ((step + 1) << shift) - 1
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += 1;
        self.total += 1;
        self.longest = self.longest.max(micros);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.longest)
    }

    /// The smallest duration that at least `share` (0 to 1) of the recorded ones do not exceed, rounded up to its
    /// bucket; zero when nothing was recorded.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(upper_edge(bucket).min(self.longest));
            }
        }
        self.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        micros.into_iter().for_each(|value| histogram.record(Duration::from_micros(value)));
        histogram
    }

    #[test]
    fn buckets_cover_every_value_in_order_and_closely() {
        let mut last = 0;
        for value in (0..5000).chain((13..32).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]))
        {
            let bucket = bucket(value);
            assert!(bucket >= last && bucket < BUCKETS, "{value}");
            last = bucket;
            let edge = upper_edge(bucket);
            assert!(edge >= value && (edge - value) as f64 <= value as f64 / 64.0, "{value} {edge}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_the_values_at_their_rank() {
        let small = of(1..=50);
        assert_eq!(small.quantile(0.5), Duration::from_micros(25));
        assert_eq!(small.quantile(0.99), Duration::from_micros(50));
        assert_eq!(small.quantile(1.0), small.max());

        let large = of((1..=1000).map(|value| value * 1000));
        for (share, exact) in [(0.5, 500_000.0), (0.99, 990_000.0), (0.999, 999_000.0)] {
            let micros = large.quantile(share).as_micros() as f64;
            assert!(micros >= exact && micros <= exact * 1.016, "{share}: {micros}");
        }
        assert_eq!(of([]).quantile(0.99), Duration::ZERO);
    }

    #[test]
    fn merging_is_recording_both() {
        let mut merged = of(1..=300);
        merged.merge(&of(200..=90_000));
        let both = of((1..=300).chain(200..=90_000));
        assert_eq!((merged.total, merged.max()), (both.total, both.max()));
        assert_eq!(merged.counts, both.counts);
    }

    #[test]
    fn a_value_beyond_the_last_bucket_is_kept_as_the_longest() {
        let histogram = of([1 << 40]);
        assert_eq!(histogram.quantile(0.5).as_micros(), (1 << VALUE_BITS) - 1);
        assert_eq!(histogram.max().as_micros(), 1 << 40);
    }
}
