//! Which devices are connected to which core: sets in the soft state, renewed by the core that has the session. What is
//! lost there comes back with the next renewal; until then a device on another core counts as away.

use crate::{cluster::Cluster, sessions::Hub};
use bytes::Bytes;
use meridian_ports::{NodeInfo, SoftState};
use meridian_types::{
    Resource, TenantId, UserName,
    session::{Device, Platform},
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

const TTL: Duration = Duration::from_secs(30);
const RENEWAL: Duration = Duration::from_secs(10);
/// A login or a question does not wait longer for the soft state.
const DEADLINE: Duration = Duration::from_millis(500);
/// A count is not worth more.
const COUNT_DEADLINE: Duration = Duration::from_millis(50);
/// Departures that may wait; one that finds no room is forgotten with the time to live.
const WAITING: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Seated {
    platform: Platform,
    /// Milliseconds since 1970.
    at: u64,
    uuid: String,
    name: String,
}

/// A device that is connected to another core.
#[derive(Clone, Debug)]
pub(crate) struct RemoteSeat {
    pub(crate) node: NodeInfo,
    pub(crate) resource: Resource,
    pub(crate) platform: Platform,
    pub(crate) at: u64,
    pub(crate) uuid: String,
    pub(crate) name: String,
}

type Left = (TenantId, UserName, Resource);

#[derive(Debug)]
pub(crate) struct Presence {
    soft: Arc<dyn SoftState>,
    cluster: Arc<Cluster>,
    left: mpsc::Sender<Left>,
    /// When the soft state was last away. It may have forgotten what was in it, until every core has renewed its seats.
    away_at: Mutex<Option<Instant>>,
}

fn set_of(tenant: TenantId, user: &UserName) -> String {
    format!("sessions/{tenant}/{user}")
}

impl Presence {
    /// The books, and the task that keeps them.
    pub(crate) fn start(
        soft: Arc<dyn SoftState>,
        cluster: Arc<Cluster>,
        hub: Arc<Hub>,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send) {
        let (left, leavers) = mpsc::channel(WAITING);
        let presence = Arc::new(Self { soft, cluster, left, away_at: Mutex::default() });
        let keeping = keep(presence.clone(), hub, leavers);
        (presence, keeping)
    }

    /// Writes a connected device down. False when the soft state is away.
    pub(crate) async fn seated(&self, tenant: TenantId, user: &UserName, device: &Device, at: u64) -> bool {
        let seated =
            Seated { platform: device.platform, at, uuid: device.uuid.clone(), name: device.name.clone() };
        let Ok(value) = rmp_serde::to_vec_named(&seated) else { return false };
        let (set, member) = (set_of(tenant, user), self.member(&device.resource));
        let joined = self.soft.join(&set, &member, Bytes::from(value), TTL);
        let written = matches!(tokio::time::timeout(DEADLINE, joined).await, Ok(Ok(())));
        if !written {
            self.note_away();
        }
        written
    }

    /// Takes a device off the books, soon.
    pub(crate) fn left(&self, tenant: TenantId, user: &UserName, resource: &Resource) {
        let _ = self.left.try_send((tenant, user.clone(), resource.clone()));
    }

    /// The person's devices on other living cores; none while the soft state is away.
    pub(crate) async fn others(&self, tenant: TenantId, user: &UserName) -> Vec<RemoteSeat> {
        self.known_others(tenant, user).await.0
    }

    /// Also whether these are surely all of them.
    pub(crate) async fn known_others(&self, tenant: TenantId, user: &UserName) -> (Vec<RemoteSeat>, bool) {
        let nodes = self.cluster.others();
        if nodes.is_empty() {
            return (Vec::new(), true);
        }
        let set = set_of(tenant, user);
        let Ok(Ok(members)) = tokio::time::timeout(DEADLINE, self.soft.members(&set)).await else {
            self.note_away();
            return (Vec::new(), false);
        };
        let read = |(member, value): (String, Bytes)| {
            let (node, resource) = member.split_once('/')?;
            let id = u64::from_str_radix(node, 16).ok()?;
            let node = nodes.iter().find(|node| node.id.0 == id)?.clone();
            let Seated { platform, at, uuid, name } = rmp_serde::from_slice(&value).ok()?;
            Some(RemoteSeat { node, resource: Resource::parse(resource).ok()?, platform, at, uuid, name })
        };
        (members.into_iter().filter_map(read).collect(), !self.was_away())
    }

    fn note_away(&self) {
        metrics::counter!("presence_unavailable_total").increment(1);
        *self.away_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn was_away(&self) -> bool {
        let away_at = *self.away_at.lock().unwrap_or_else(PoisonError::into_inner);
        away_at.is_some_and(|at| at.elapsed() < RENEWAL + DEADLINE)
    }

    /// Adds to a count of all cores; `None` when this one is alone, or the soft state is away.
    pub(crate) async fn count(&self, counter: &str, by: i64, ttl: Duration) -> Option<i64> {
        if self.cluster.others().is_empty() {
            return None;
        }
        tokio::time::timeout(COUNT_DEADLINE, self.soft.add(counter, by, ttl)).await.ok()?.ok()
    }

    fn member(&self, resource: &Resource) -> String {
        format!("{:016x}/{resource}", self.cluster.me().0)
    }
}

async fn keep(presence: Arc<Presence>, hub: Arc<Hub>, mut leavers: mpsc::Receiver<Left>) {
    let mut renewal = tokio::time::interval(RENEWAL);
    renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some((tenant, user, resource)) = leavers.recv() => {
                // It may be back already. What cannot be taken off now ends with its time to live.
                if !hub.is_device_online(tenant, &user, resource.as_str()) {
                    let (set, member) = (set_of(tenant, &user), presence.member(&resource));
                    let _ = tokio::time::timeout(DEADLINE, presence.soft.leave(&set, &member)).await;
                }
            }
            _ = renewal.tick() => {
                for (tenant, user, slot) in hub.all() {
                    if !presence.seated(tenant, &user, &slot.device, slot.seated_at).await {
                        break;
                    }
                }
            }
        }
    }
}
