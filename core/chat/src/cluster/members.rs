//! The living cores, as this one sees them, and which of them writes a log: the one with the highest hash of (log, core),
//! so that a core that comes or goes moves no log between the others.

use crate::{
    accounts::AccountCache,
    clock::MessageIds,
    cluster::{Answer, PeerError, Region, Request},
};
use futures_util::future::join_all;
use meridian_ports::{Lease, NodeId, NodeInfo};
use meridian_types::LogId;
use sha2::{Digest, Sha256};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

/// Renewals per lease time.
const RENEWALS: u32 = 6;
/// A directory that takes longer is as good as away.
const ANNOUNCE_DEADLINE: Duration = Duration::from_secs(2);
/// How long a change waits for a core that does not answer; its lease has ended by then, and with it its caches.
const TELL_DEADLINE: Duration = Duration::from_secs(5);
/// What a core that comes or goes waits for the others to see it.
const LOOK_DEADLINE: Duration = Duration::from_millis(500);
const TELL_PAUSE: Duration = Duration::from_millis(50);

/// Who writes a log now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Me,
    Other(NodeInfo),
    /// This core has lost touch with the others.
    Unknown,
}

/// The cores of the region.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// `None`: there is no other core.
    joined: Option<Joined>,
}

#[derive(Debug)]
struct Joined {
    region: Region,
    me: NodeId,
    ids: Arc<MessageIds>,
    view: watch::Sender<View>,
    accounts: Arc<AccountCache>,
    renewing: tokio::sync::Mutex<()>,
    /// Hands its logs over.
    leaving: AtomicBool,
    stop: Notify,
    /// The own lease had ended: others may have changed what is known here.
    lapsed: AtomicBool,
    /// This core may have missed something.
    missed: Notify,
}

#[derive(Clone, Debug, Default)]
struct View {
    nodes: Vec<Lease>,
    /// When the renewal that gave this list began; `None` before the first.
    renewed: Option<Instant>,
}

impl Cluster {
    pub(crate) fn alone() -> Self {
        Self { joined: None }
    }

    pub(crate) fn joined(region: Region, ids: Arc<MessageIds>, accounts: Arc<AccountCache>) -> Self {
        Self {
            joined: Some(Joined {
                region,
                me: NodeId(rand::random()),
                ids,
                view: watch::Sender::new(View::default()),
                accounts,
                renewing: tokio::sync::Mutex::default(),
                leaving: AtomicBool::new(false),
                stop: Notify::new(),
                lapsed: AtomicBool::new(false),
                missed: Notify::new(),
            }),
        }
    }

    /// This core's own id; 0 when alone.
    pub(crate) fn me(&self) -> NodeId {
        self.joined.as_ref().map_or(NodeId(0), |joined| joined.me)
    }

    /// Renews the lease once and takes in the list.
    pub(crate) async fn renew(&self) -> meridian_ports::Result<()> {
        let Some(joined) = &self.joined else { return Ok(()) };
        // An older list must not replace a newer one.
        let _one_at_a_time = joined.renewing.lock().await;
        let begun = Instant::now();
        let had_lapsed = !self.is_current();
        let info = NodeInfo {
            id: joined.me,
            address: joined.region.address.clone(),
            writes: !joined.leaving.load(Ordering::Relaxed),
        };
        let announce = joined.region.directory.announce(&info, joined.region.lease);
        let nodes = timeout(ANNOUNCE_DEADLINE, announce).await.map_err(|_| {
            meridian_ports::Error::new(meridian_ports::ErrorKind::Timeout, "announce", "no answer in time")
        })??;
        if let Some(own) = nodes.iter().find(|lease| lease.node.id == joined.me) {
            joined.ids.set_worker(own.slot);
        }
        if had_lapsed {
            // Changes from here on are told to this core; what was read before may be old. Before the lease counts.
            joined.accounts.forget_all();
            joined.lapsed.store(true, Ordering::Release);
        }
        let mut somebody_left = false;
        joined.view.send_if_modified(|view| {
            let gone = |lease: &Lease| nodes.iter().all(|other| other.node.id != lease.node.id);
            somebody_left = view.nodes.iter().any(gone);
            let changed = had_lapsed || view.nodes != nodes;
            *view = View { nodes, renewed: Some(begun) };
            changed
        });
        if had_lapsed || somebody_left {
            joined.missed.notify_one();
        }
        Ok(())
    }

    /// Waits until this core may have missed something: its lease had ended (true), or a core has gone, perhaps with
    /// hints that it had not given.
    pub(crate) async fn missed(&self) -> bool {
        match &self.joined {
            Some(joined) => {
                joined.missed.notified().await;
                joined.lapsed.swap(false, Ordering::Acquire)
            }
            None => std::future::pending().await,
        }
    }

    /// Renews the lease until stopped.
    pub(crate) async fn keep(&self) {
        let Some(joined) = &self.joined else { return };
        let pause = joined.region.lease / RENEWALS;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = joined.stop.notified() => return,
            }
            if let Err(error) = self.renew().await {
                tracing::warn!(%error, "the lease was not renewed");
            }
        }
    }

    /// Hands the logs over to the other cores, if there are any.
    pub(crate) async fn hand_over(&self) {
        let Some(joined) = &self.joined else { return };
        joined.leaving.store(true, Ordering::Relaxed);
        if let Err(error) = self.renew().await {
            tracing::warn!(%error, "the logs are not handed over");
        }
        self.announce_change().await;
    }

    /// Lets the others see a change of this core now and not with their next renewal: until they do, commands for the logs
    /// that move wait.
    pub(crate) async fn announce_change(&self) {
        let others = self.others();
        let told = others.iter().map(|node| timeout(LOOK_DEADLINE, self.call(node, &Request::LookAgain)));
        join_all(told).await;
    }

    /// Ends [`Cluster::keep`] and the lease.
    pub(crate) async fn leave(&self) {
        let Some(joined) = &self.joined else { return };
        joined.stop.notify_one();
        if let Err(error) = joined.region.directory.withdraw(joined.me).await {
            tracing::warn!(%error, "the lease was not given back");
        }
    }

    /// Whether this core may trust what it has in memory: its lease holds, so every change since was told to it.
    pub(crate) fn is_current(&self) -> bool {
        let Some(joined) = &self.joined else { return true };
        joined.view.borrow().renewed.is_some_and(|renewed| renewed.elapsed() < joined.region.lease)
    }

    pub(crate) fn owner(&self, log: LogId) -> Owner {
        let Some(joined) = &self.joined else { return Owner::Me };
        if !self.is_current() {
            return Owner::Unknown;
        }
        let view = joined.view.borrow();
        let alive =
            |writers_only: bool| view.nodes.iter().filter(move |lease| lease.node.writes || !writers_only);
        let highest = |writers_only| alive(writers_only).max_by_key(|lease| weight(log, lease.node.id));
        // When every core leaves, the last ones still finish what they have.
        match highest(true).or_else(|| highest(false)) {
            Some(lease) if lease.node.id == joined.me => Owner::Me,
            Some(lease) => Owner::Other(lease.node.clone()),
            None => Owner::Unknown,
        }
    }

    /// Waits until the list of cores changes, at most so long.
    pub(crate) async fn changed(&self, at_most: Duration) {
        match &self.joined {
            Some(joined) => {
                let mut view = joined.view.subscribe();
                let _ = timeout(at_most, view.changed()).await;
            }
            None => tokio::time::sleep(at_most).await,
        }
    }

    /// The other living cores.
    pub(crate) fn others(&self) -> Vec<NodeInfo> {
        let Some(joined) = &self.joined else { return Vec::new() };
        let view = joined.view.borrow();
        let others = view.nodes.iter().filter(|lease| lease.node.id != joined.me);
        others.map(|lease| lease.node.clone()).collect()
    }

    /// Asks another core. A core whose lease ends meanwhile does not answer any more.
    pub(crate) async fn call(&self, node: &NodeInfo, request: &Request) -> Result<Answer, PeerError> {
        let joined = self.joined.as_ref().ok_or(PeerError::NotSent)?;
        let request = request.encode().ok_or(PeerError::NotSent)?;
        let mut view = joined.view.subscribe();
        let gone = view.wait_for(|view| view.nodes.iter().all(|lease| lease.node.id != node.id));
        let answer = tokio::select! {
            answer = joined.region.peers.call(&node.address, request) => answer?,
            _ = gone => return Err(PeerError::Lost),
        };
        Answer::decode(&answer).ok_or(PeerError::Lost)
    }

    /// Tells every other living core, and waits until each has answered or lost its lease. For requests that may come
    /// twice.
    pub(crate) async fn tell_all(&self, request: &Request) -> Vec<Answer> {
        if self.joined.is_none() {
            return Vec::new();
        }
        // A core that came a moment ago must hear of it too.
        if let Err(error) = self.renew().await {
            tracing::warn!(%error, "the list of cores may be old");
        }
        let others = self.others();
        let answers = join_all(others.iter().map(|node| self.tell(node, request))).await;
        answers.into_iter().flatten().collect()
    }

    pub(crate) async fn tell(&self, node: &NodeInfo, request: &Request) -> Option<Answer> {
        let begun = Instant::now();
        while begun.elapsed() < TELL_DEADLINE {
            if let Ok(answer) = self.call(node, request).await {
                return Some(answer);
            }
            self.changed(TELL_PAUSE).await;
            if self.others().iter().all(|other| other.id != node.id) {
                return None;
            }
        }
        tracing::warn!(address = node.address, "a core did not take a change in");
        None
    }
}

/// The same on every core.
fn weight(log: LogId, node: NodeId) -> [u8; 32] {
    Sha256::new().chain_update(log.raw().to_be_bytes()).chain_update(node.0.to_be_bytes()).finalize().into()
}
