//! Gauges that count what is alive.

/// Counts one for as long as it lives, also when its task is aborted.
pub(crate) struct Counted(metrics::Gauge);

impl Counted {
    pub(crate) fn one(gauge: metrics::Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
