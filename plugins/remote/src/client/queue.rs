//! What waits for one subscription.

use meridian_sdk::{Bytes, ports::Heard};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

const PAYLOADS: usize = 1024;
const BYTES: usize = 16 << 20;

/// A bounded queue; what does not fit is replaced by one gap.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    heard: VecDeque<Heard>,
    bytes: usize,
}

impl Queue {
    pub(super) fn payload(&self, payload: Bytes) {
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
    pub(super) fn gap(&self) {
        let mut waiting = self.waiting();
        if waiting.heard.back() != Some(&Heard::Gap) {
            waiting.heard.push_back(Heard::Gap);
        }
        self.arrived.notify_one();
    }

    /// For one listener. Cancel-safe.
    pub(super) async fn next(&self) -> Heard {
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

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_sdk::futures_util::FutureExt;

    fn drain(queue: &Queue) -> Vec<Heard> {
        std::iter::from_fn(|| queue.next().now_or_never()).collect()
    }

    #[test]
    fn what_does_not_fit_is_one_gap() {
        for (size, fit) in [(0, PAYLOADS), (1 << 20, 16)] {
            let queue = Queue::default();
            let payload = Bytes::from(vec![0; size]);
            for _ in 0..PAYLOADS + 10 {
                queue.payload(payload.clone());
            }
            let heard = drain(&queue);
            assert_eq!(heard.len(), fit + 1, "payloads of {size} bytes");
            assert!(heard[fit] == Heard::Gap && !heard[..fit].contains(&Heard::Gap));
            queue.payload(payload.clone());
            assert!(drain(&queue) == [Heard::Payload(payload)], "there is room again");
        }
    }
}
