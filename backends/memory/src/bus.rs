//! A bus in this process.

use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::{Bus, Error, ErrorKind, Heard, Result, Subscription};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::broadcast::{self, error::RecvError};

const TOPIC_LIMIT: usize = 512;
const PAYLOAD_LIMIT: usize = 1 << 20;
/// Payloads that wait for a slow listener; it hears of a gap when there are more.
const WAITING: usize = 1024;

type Topics = Arc<Mutex<HashMap<String, broadcast::Sender<Bytes>>>>;

/// A bus for the cores of one process.
#[derive(Debug, Default)]
pub struct MemoryBus {
    topics: Topics,
}

impl MemoryBus {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

fn check(verb: &'static str, topic: &str) -> Result<()> {
    if topic.is_empty() || topic.len() > TOPIC_LIMIT {
        return Err(Error::new(ErrorKind::Invalid, verb, "a topic is 1 to 512 bytes long"));
    }
    Ok(())
}

#[async_trait]
impl Bus for MemoryBus {
    fn describe(&self) -> String {
        "memory".into()
    }

    async fn publish(&self, topic: &str, payload: Bytes) -> Result<()> {
        check("publish", topic)?;
        if payload.len() > PAYLOAD_LIMIT {
            return Err(Error::new(ErrorKind::Invalid, "publish", "a payload is at most 1 MiB long"));
        }
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody may be listening any more.
        if topics.get(topic).is_some_and(|sender| sender.send(payload).is_err()) {
            topics.remove(topic);
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Box<dyn Subscription>> {
        check("subscribe", topic)?;
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = topics.entry(topic.to_owned()).or_insert_with(|| broadcast::channel(WAITING).0);
        let receiver = sender.subscribe();
        Ok(Box::new(Listener { receiver, topic: topic.to_owned(), topics: self.topics.clone() }))
    }
}

#[derive(Debug)]
struct Listener {
    receiver: broadcast::Receiver<Bytes>,
    topic: String,
    topics: Topics,
}

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Heard {
        match self.receiver.recv().await {
            Ok(payload) => Heard::Payload(payload),
            Err(RecvError::Lagged(_)) => Heard::Gap,
            // The bus is gone; nothing will ever come.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        // This one still counts.
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() <= 1) {
            topics.remove(&self.topic);
        }
    }
}
