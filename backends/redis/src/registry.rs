//! Who listens to what, and what the server knows of it.

use crate::queue::Queue;
use bytes::Bytes;
use redis::{PushInfo, PushKind, Value};
use std::{
    collections::{HashMap, HashSet},
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
    /// Subscribed on this connection beside channels, see [`anchor_of`], with the last probe that was heard there.
    anchors: HashMap<String, u64>,
    probes_made: u64,
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

    fn missed(&mut self) {
        if self.subscribed {
            self.lost();
            self.subscribed = true;
            self.tell_gaps();
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

impl State {
    fn is_subscribed(&self, channel: &str) -> bool {
        self.channels.get(channel).is_some_and(|channel| channel.subscribed)
    }

    /// What the next connection knows is nothing yet.
    fn next_connection(&mut self) {
        self.connection += 1;
        self.anchors.clear();
        self.channels.values_mut().for_each(Channel::lost);
    }
}

/// A channel on the same shard of a cluster, where the driver hears what it says itself; `None` for names that no other can be
/// beside.
pub(crate) fn anchor_of(channel: &str) -> Option<String> {
    let tag = channel.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let tag = tag.filter(|tag| !tag.is_empty()).unwrap_or(channel);
    (!tag.contains('}')).then(|| format!("anchor:{{{tag}}}"))
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
        self.state().is_subscribed(channel)
    }

    pub(crate) fn has_anchor(&self, anchor: &str) -> bool {
        self.state().anchors.contains_key(anchor)
    }

    pub(crate) fn anchored(&self, connection: u64, anchor: String) {
        let mut state = self.state();
        if state.connection == connection {
            state.anchors.insert(anchor, 0);
        }
    }

    /// The number of a new probe, and where it is to be heard.
    pub(crate) fn new_probe(&self) -> (u64, Vec<String>) {
        let mut state = self.state();
        state.probes_made += 1;
        (state.probes_made, state.anchors.keys().cloned().collect())
    }

    pub(crate) fn is_heard(&self, probe: u64) -> bool {
        self.state().anchors.values().all(|heard| *heard >= probe)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state().channels.is_empty()
    }

    /// The number of the next connection; whatever was subscribed is not any more.
    pub(crate) fn next_connection(&self) -> u64 {
        let mut state = self.state();
        state.next_connection();
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

    /// Takes out the channels without listeners, with the anchors that nothing is beside any more, and gives those that
    /// the server knows.
    pub(crate) fn take_deserted(&self) -> Vec<String> {
        let mut state = self.state();
        let deserted: Vec<_> = state.channels.extract_if(|_, found| found.listeners.is_empty()).collect();
        if deserted.is_empty() {
            return Vec::new();
        }
        let needed: HashSet<String> =
            state.channels.keys().filter_map(|channel| anchor_of(channel)).collect();
        let anchors: Vec<_> = state.anchors.extract_if(|anchor, _| !needed.contains(anchor)).collect();
        let known = deserted.into_iter().filter(|(_, found)| found.subscribed).map(|(channel, _)| channel);
        known.chain(anchors.into_iter().map(|(anchor, _)| anchor)).collect()
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
                state.next_connection();
                self.wanted.notify_one();
            }
            return;
        };
        let is_anchored = || anchor_of(&channel).is_some_and(|anchor| state.anchors.contains_key(&anchor));
        let known = state.anchors.contains_key(&channel) || state.is_subscribed(&channel) && is_anchored();
        if push.kind == PushKind::SSubscribe && known && matches!(data.next(), Some(Value::Int(1))) {
            // The cluster's connection has replaced that of a node, without a word, and said again what it was subscribed
            // to. An anchor is always there beside a channel, so the first of two is on a connection that is new.
            state.channels.values_mut().for_each(Channel::missed);
            return;
        }
        if let (PushKind::SMessage, Some(heard)) = (&push.kind, state.anchors.get_mut(&channel)) {
            if let Some(Value::BulkString(probe)) = data.next()
                && let Some(probe) =
                    std::str::from_utf8(&probe).ok().and_then(|probe| probe.parse::<u64>().ok())
            {
                *heard = probe.max(*heard);
            }
            return;
        }
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
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_on_the_shard_of_its_channel() {
        for (channel, anchor) in [
            ("m:t:hints/1", Some("anchor:{m:t:hints/1}")),
            ("a{b}c", Some("anchor:{b}")),
            ("a{}c{d}", None),
            ("a}c", None),
            ("a{c", Some("anchor:{a{c}")),
        ] {
            assert_eq!(anchor_of(channel).as_deref(), anchor, "{channel}");
        }
    }
}
