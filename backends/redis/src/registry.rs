//! Who listens to what, and what the server knows of it.

use crate::queue::Queue;
use bytes::Bytes;
use redis::{PushInfo, PushKind, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, watch};

/// Shared by the subscriptions, the connection that listens, and the task that keeps both equal.
#[derive(Debug)]
pub(crate) struct Registry {
    state: Mutex<State>,
    /// Something is to be done for the driver.
    pub(crate) wanted: Notify,
    /// Something was done by the driver.
    pub(crate) done: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    channels: HashMap<String, Channel>,
    /// Counts connections: what an old one still says does not count.
    connection: u64,
    listeners_made: u64,
}

#[derive(Debug, Default)]
struct Channel {
    listeners: Vec<Listener>,
    /// Whether the server knows of it.
    subscribed: bool,
}

#[derive(Debug)]
struct Listener {
    id: u64,
    queue: Arc<Queue>,
    /// A gap is to be heard before the next payload, or when the channel is subscribed again.
    gap_due: bool,
}

impl Channel {
    fn lost(&mut self) {
        if std::mem::take(&mut self.subscribed) {
            self.listeners.iter_mut().for_each(|listener| listener.gap_due = true);
        }
    }

    fn tell_gaps(&mut self) {
        for listener in &mut self.listeners {
            if std::mem::take(&mut listener.gap_due) {
                listener.queue.gap();
            }
        }
    }
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), wanted: Notify::new(), done: watch::Sender::new(()) }
    }

    pub(crate) fn add(&self, channel: &str) -> (u64, Arc<Queue>) {
        let mut state = self.state();
        state.listeners_made += 1;
        let id = state.listeners_made;
        let queue = Arc::new(Queue::default());
        let listener = Listener { id, queue: queue.clone(), gap_due: false };
        state.channels.entry(channel.to_owned()).or_default().listeners.push(listener);
        self.wanted.notify_one();
        (id, queue)
    }

    pub(crate) fn remove(&self, channel: &str, id: u64) {
        if let Some(found) = self.state().channels.get_mut(channel) {
            found.listeners.retain(|listener| listener.id != id);
            if found.listeners.is_empty() {
                self.wanted.notify_one();
            }
        }
    }

    pub(crate) fn is_subscribed(&self, channel: &str) -> bool {
        self.state().channels.get(channel).is_some_and(|channel| channel.subscribed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state().channels.is_empty()
    }

    /// The number of the next connection; whatever was subscribed is not any more.
    pub(crate) fn next_connection(&self) -> u64 {
        let mut state = self.state();
        state.connection += 1;
        state.channels.values_mut().for_each(Channel::lost);
        state.connection
    }

    pub(crate) fn is_current(&self, connection: u64) -> bool {
        self.state().connection == connection
    }

    /// Channels to be subscribed.
    pub(crate) fn missing(&self) -> Vec<String> {
        let state = self.state();
        let missing =
            state.channels.iter().filter(|(_, found)| !found.subscribed && !found.listeners.is_empty());
        missing.map(|(channel, _)| channel.clone()).collect()
    }

    /// Takes out the channels without listeners and gives those that the server knows.
    pub(crate) fn take_deserted(&self) -> Vec<String> {
        let deserted =
            self.state().channels.extract_if(|_, found| found.listeners.is_empty()).collect::<Vec<_>>();
        deserted.into_iter().filter(|(_, found)| found.subscribed).map(|(channel, _)| channel).collect()
    }

    pub(crate) fn subscribed(&self, connection: u64, channel: &str) {
        let mut state = self.state();
        if state.connection == connection
            && let Some(found) = state.channels.get_mut(channel)
        {
            found.subscribed = true;
            found.tell_gaps();
        }
        drop(state);
        self.done.send_replace(());
    }

    /// Takes what a connection says by itself.
    pub(crate) fn take(&self, connection: u64, push: PushInfo) {
        let mut state = self.state();
        if state.connection != connection {
            return;
        }
        let mut data = push.data.into_iter();
        let Some(channel) = (match data.next() {
            Some(Value::BulkString(name)) => String::from_utf8(name).ok(),
            _ => None,
        }) else {
            if push.kind == PushKind::Disconnection {
                // Until the next connection, nothing counts.
                state.connection += 1;
                state.channels.values_mut().for_each(Channel::lost);
                self.wanted.notify_one();
            }
            return;
        };
        let Some(found) = state.channels.get_mut(&channel) else { return };
        match (push.kind, data.next()) {
            (PushKind::Message | PushKind::SMessage, Some(Value::BulkString(payload))) => {
                found.tell_gaps();
                let payload = Bytes::from(payload);
                found.listeners.iter().for_each(|listener| listener.queue.payload(payload.clone()));
            }
            // Not asked for: the shard of the channel has moved.
            (PushKind::SUnsubscribe, _) => {
                found.lost();
                self.wanted.notify_one();
            }
            // Asked for by the driver, the answer comes before the channel counts as subscribed. Later, the cluster's
            // connection has replaced that of a node and said by itself what it was subscribed to.
            (PushKind::SSubscribe, _) if found.subscribed => {
                found.lost();
                found.subscribed = true;
                found.tell_gaps();
            }
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
