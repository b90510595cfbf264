//! What waits for one subscription.

use bytes::Bytes;
use meridian_ports::Heard;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

const PAYLOADS: usize = 1024;
const BYTES: usize = 16 << 20;

/// A bounded queue; what does not fit is replaced by one gap.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    heard: VecDeque<Heard>,
    bytes: usize,
}

impl Queue {
    pub(crate) fn payload(&self, payload: Bytes) {
        let mut waiting = self.waiting();
        if waiting.heard.len() >= PAYLOADS || waiting.bytes + payload.len() > BYTES {
            drop(waiting);
            return self.gap();
        }
        waiting.bytes += payload.len();
        waiting.heard.push_back(Heard::Payload(payload));
        self.arrived.notify_one();
    }

    /// Two gaps with nothing between are one.
    pub(crate) fn gap(&self) {
        let mut waiting = self.waiting();
        if waiting.heard.back() != Some(&Heard::Gap) {
            waiting.heard.push_back(Heard::Gap);
        }
        self.arrived.notify_one();
    }

    /// For one listener. Cancel-safe.
    pub(crate) async fn next(&self) -> Heard {
        loop {
            {
                let mut waiting = self.waiting();
                if let Some(heard) = waiting.heard.pop_front() {
                    if let Heard::Payload(payload) = &heard {
                        waiting.bytes -= payload.len();
                    }
                    return heard;
                }
            }
            self.arrived.notified().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
