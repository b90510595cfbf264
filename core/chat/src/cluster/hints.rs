//! What was committed, told to the sessions of other cores over the bus. A hint that is lost is no harm: the next one of
//! the conversation shows the gap, and a known loss makes every session ask what it is owed.

use crate::{
    cluster::{Cluster, Request},
    log::Publication,
    sessions::Hub,
};
use bytes::Bytes;
use futures_util::future::join_all;
use meridian_ports::{Bus, Heard, NodeId};
use meridian_types::{Entry, LogId, Position, TenantId};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// Topics; a log's hints keep their order in one of them.
const TOPICS: u16 = 8;
/// Steps that may wait to be hinted.
const WAITING: usize = 1024;
/// Bodies per payload, below the bus's 1 MiB.
const PAYLOAD_BYTES: usize = 512 * 1024;
const PUBLISH_DEADLINE: Duration = Duration::from_secs(1);
/// Between two words about lost hints.
const LOST_PAUSE: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

#[derive(Serialize, Deserialize)]
struct Payload {
    from: u64,
    hints: Vec<Hint>,
}

#[derive(Serialize, Deserialize)]
struct Hint {
    tenant: TenantId,
    position: Option<Position>,
    entry: Arc<Entry>,
}

fn topic(number: u16) -> String {
    format!("hints/{number}")
}

/// The sending end, for the log writers.
#[derive(Debug)]
pub(crate) struct Hints {
    sender: Option<mpsc::Sender<(LogId, Vec<Publication>)>>,
    lost: Arc<AtomicBool>,
}

impl Hints {
    /// There is nobody to tell.
    pub(crate) fn none() -> Self {
        Self { sender: None, lost: Arc::default() }
    }

    /// The sending end, and the task that sends.
    pub(crate) fn start(bus: Arc<dyn Bus>, cluster: Arc<Cluster>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let lost = Arc::<AtomicBool>::default();
        let sending = send(bus, cluster, receiver, lost.clone());
        (Self { sender: Some(sender), lost }, sending)
    }

    /// Never waits.
    pub(crate) fn publish(&self, log: LogId, publications: Vec<Publication>) {
        if let Some(sender) = &self.sender
            && !publications.is_empty()
            && sender.try_send((log, publications)).is_err()
        {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}

async fn send(
    bus: Arc<dyn Bus>,
    cluster: Arc<Cluster>,
    mut receiver: mpsc::Receiver<(LogId, Vec<Publication>)>,
    lost: Arc<AtomicBool>,
) {
    let mut steps = Vec::new();
    let mut told_at = tokio::time::Instant::now() - LOST_PAUSE;
    loop {
        if lost.load(Ordering::Relaxed) && told_at.elapsed() >= LOST_PAUSE {
            told_at = tokio::time::Instant::now();
            lost.store(false, Ordering::Relaxed);
            metrics::counter!("hints_lost_total").increment(1);
            let others = cluster.others();
            join_all(others.iter().map(|node| cluster.call(node, &Request::HintsLost))).await;
        }
        let owes_word = lost.load(Ordering::Relaxed);
        tokio::select! {
            count = receiver.recv_many(&mut steps, 64) => if count == 0 { return },
            () = tokio::time::sleep_until(told_at + LOST_PAUSE), if owes_word => continue,
        }
        if cluster.others().is_empty() {
            steps.clear();
            continue;
        }
        for (topic, payload) in payloads(cluster.me(), steps.drain(..)) {
            let sent = tokio::time::timeout(PUBLISH_DEADLINE, bus.publish(&topic, payload)).await;
            if !matches!(sent, Ok(Ok(()))) {
                lost.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn payloads(
    me: NodeId,
    steps: impl Iterator<Item = (LogId, Vec<Publication>)>,
) -> impl Iterator<Item = (String, Bytes)> {
    let mut by_topic: Vec<Vec<Vec<Hint>>> = (0..TOPICS).map(|_| vec![Vec::new()]).collect();
    let mut sizes = [0; TOPICS as usize];
    for (log, publications) in steps {
        let number = usize::from(log.index() % TOPICS);
        for publication in publications {
            let size =
                publication.entry.body.as_ref().map_or(0, Bytes::len) + publication.entry.ext.len() + 512;
            if sizes[number] + size > PAYLOAD_BYTES {
                by_topic[number].push(Vec::new());
                sizes[number] = 0;
            }
            sizes[number] += size;
            if let Some(hints) = by_topic[number].last_mut() {
                let Publication { entry, position } = publication;
                hints.push(Hint { tenant: log.tenant(), position, entry });
            }
        }
    }
    let numbered = by_topic.into_iter().zip(0..).flat_map(|(parts, number)| {
        parts.into_iter().filter(|hints| !hints.is_empty()).map(move |hints| (number, hints))
    });
    numbered.filter_map(move |(number, hints)| {
        let payload = rmp_serde::to_vec_named(&Payload { from: me.0, hints }).ok()?;
        Some((topic(number), payload.into()))
    })
}

/// Listens to every topic, and tells the sessions of this core. Never ends.
pub(crate) async fn listen(bus: Arc<dyn Bus>, me: NodeId, hub: Arc<Hub>) {
    join_all((0..TOPICS).map(|number| listen_to(&*bus, number, me, &hub))).await;
}

async fn listen_to(bus: &dyn Bus, number: u16, me: NodeId, hub: &Hub) {
    let mut subscription = loop {
        match bus.subscribe(&topic(number)).await {
            Ok(subscription) => break subscription,
            Err(error) => {
                tracing::warn!(%error, "hints cannot be heard");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    };
    hub.lag_all();
    loop {
        match subscription.next().await {
            Heard::Gap => hub.lag_all(),
            Heard::Payload(payload) => match rmp_serde::from_slice::<Payload>(&payload) {
                Ok(payload) if payload.from == me.0 => {}
                Ok(payload) => {
                    for Hint { tenant, position, entry } in payload.hints {
                        hub.publish(tenant, &Publication { entry, position });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a hint cannot be read");
                    hub.lag_all();
                }
            },
        }
    }
}
