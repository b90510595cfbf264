//! Telling every connection that the gateway goes away: not all at once, so that their clients do not come back to the
//! others all at once.

use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Connections that are told per second.
const PACE: usize = 500;

/// Starts the drain; dropping it does the same.
#[derive(Debug)]
pub(crate) struct DrainSwitch(watch::Sender<Option<Begun>>);

#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    /// The last connection is told after so long.
    window: Duration,
}

/// Sees the drain begin.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    begun: watch::Receiver<Option<Begun>>,
    /// This one's place in the window, from 0 to 1.
    place: f64,
}

pub(crate) fn drain() -> (DrainSwitch, Drain) {
    let (sender, begun) = watch::channel(None);
    (DrainSwitch(sender), Drain { begun, place: 0.0 })
}

impl DrainSwitch {
    /// `connections` are told one after the other; all are within `at_most`.
    pub(crate) fn begin(&self, connections: usize, at_most: Duration) {
        let paced = Duration::from_secs_f64(connections as f64 / PACE as f64);
        self.0.send_replace(Some(Begun { at: Instant::now(), window: paced.min(at_most) }));
    }
}

impl Drain {
    /// For one connection.
    pub(crate) fn somewhere(&self) -> Self {
        Self { begun: self.begun.clone(), place: rand::random() }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.borrow().is_some() || self.begun.has_changed().is_err()
    }

    /// Returns once the drain has come to this connection. Cancel-safe.
    pub(crate) async fn begun(&mut self) {
        // An error means that the switch is gone, and the gateway with it.
        let Ok(begun) = self.begun.wait_for(Option::is_some).await.map(|begun| *begun) else { return };
        if let Some(Begun { at, window }) = begun {
            sleep_until(at + window.mul_f64(self.place)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_are_told_over_a_window() {
        let (switch, drain) = drain();
        let waiting: Vec<_> = (0..1000)
            .map(|_| {
                let mut drain = drain.somewhere();
                tokio::spawn(async move {
                    drain.begun().await;
                    Instant::now()
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let begun = Instant::now();
        switch.begin(1000, Duration::from_secs(60));
        assert!(drain.has_begun());
        let mut early = 0;
        for told in waiting {
            let after = told.await.unwrap() - begun;
            assert!(after <= Duration::from_millis(2002), "{after:?}");
            early += usize::from(after < Duration::from_secs(1));
        }
        assert!((350..=650).contains(&early), "{early}");
    }
}
