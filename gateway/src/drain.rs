//! Telling every connection that the gateway goes away.

use tokio::sync::watch;

/// Starts the drain; dropping it does the same.
#[derive(Debug)]
pub(crate) struct DrainSwitch(watch::Sender<bool>);

/// Sees the drain begin.
#[derive(Clone, Debug)]
pub(crate) struct Drain(watch::Receiver<bool>);

pub(crate) fn drain() -> (DrainSwitch, Drain) {
    let (sender, receiver) = watch::channel(false);
    (DrainSwitch(sender), Drain(receiver))
}

impl DrainSwitch {
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Drain {
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns once the drain has begun. Cancel-safe.
    pub(crate) async fn begun(&mut self) {
        // An error means that the switch is gone, and the gateway with it.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}
