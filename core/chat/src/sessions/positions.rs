//! How far each device, and each person on any device, has acknowledged each conversation.
//!
//! A max register: raised in memory at once, written to the tenant's regional log every so often. Losing what was not
//! written yet delivers again, never loses. Relation `position`: from `user/device` and from `user`, to the
//! conversation, rank = [`Position::rank`].

use crate::{
    cluster::{Answer, Cluster, Request},
    log::{Apply, Logs, Placement},
};
use bytes::Bytes;
use futures_util::future::join_all;
use meridian_ports::{RelationPage, Result, Store};
use meridian_types::{
    ConversationKey, Effect, Kind, LogId, Position, Relation, Resource, TenantId, UserName,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

pub(crate) const POSITION: Kind = Kind::new("position");

/// Rows that may wait in memory. Past it, new ones of a flush that failed are forgotten (and delivered again).
const PENDING_LIMIT: usize = 500_000;
/// Rows that cause a flush before its time.
const FLUSH_EARLY: usize = 20_000;
/// Rows written by one operation: few, so that sends which share its commit hardly wait for it.
const ROWS_PER_OPERATION: usize = 100;

/// For another core to tell what waits in its memory.
const ASK_DEADLINE: Duration = Duration::from_millis(500);

/// `from` → conversation → rank.
type Rows = HashMap<String, HashMap<ConversationKey, i64>>;

#[derive(Debug, Default)]
struct Pending {
    waiting: HashMap<TenantId, Rows>,
    /// Being written; still visible to reads.
    flushing: HashMap<TenantId, Rows>,
    count: usize,
}

/// Positions that are not written yet, and the task that writes them.
#[derive(Debug)]
pub(crate) struct PositionKeeper {
    pending: Mutex<Pending>,
    early: Notify,
    stop: Notify,
    store: Arc<dyn Store>,
    placement: Placement,
    cluster: Arc<Cluster>,
}

/// The `from` of a device's positions.
pub(crate) fn device_key(user: &UserName, device: &Resource) -> String {
    format!("{user}/{device}")
}

impl PositionKeeper {
    pub(crate) fn new(store: Arc<dyn Store>, placement: Placement, cluster: Arc<Cluster>) -> Self {
        let (early, stop) = (Notify::new(), Notify::new());
        Self { pending: Mutex::default(), early, stop, store, placement, cluster }
    }

    /// Raises a device's position, and with it the person's.
    pub(crate) fn raise(
        &self,
        tenant: TenantId,
        user: &UserName,
        device: &Resource,
        conversation: &ConversationKey,
        position: Position,
    ) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut added = 0;
        let rows = pending.waiting.entry(tenant).or_default();
        for from in [device_key(user, device), user.to_string()] {
            let ranks = rows.entry(from).or_default();
            if let Some(rank) = ranks.get_mut(conversation) {
                *rank = (*rank).max(position.rank());
            } else {
                added += 1;
                ranks.insert(conversation.clone(), position.rank());
            }
        }
        pending.count += added;
        if pending.count >= FLUSH_EARLY {
            self.early.notify_one();
        }
    }

    /// What waits in this core's memory for a device or person.
    pub(crate) fn waiting(&self, tenant: TenantId, from: &str) -> Vec<(ConversationKey, Position)> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = [pending.waiting.get(&tenant), pending.flushing.get(&tenant)].into_iter().flatten();
        let waiting = rows.flat_map(|rows| rows.get(from).into_iter().flatten());
        waiting.map(|(conversation, rank)| (conversation.clone(), Position::from_rank(*rank))).collect()
    }

    /// Every acknowledged position of a device (or, without one, of the person on any device), on whichever core. What
    /// another core does not tell in time is not acknowledged, and comes again.
    pub(crate) async fn load(
        &self,
        tenant: TenantId,
        from: &str,
    ) -> Result<HashMap<ConversationKey, Position>> {
        let mut positions = HashMap::new();
        for (conversation, position) in self.waiting(tenant, from) {
            raise(&mut positions, conversation, position);
        }
        let request = Request::Positions { tenant, from: from.to_owned() };
        let others = self.cluster.others();
        let asked = others.iter().map(|node| timeout(ASK_DEADLINE, self.cluster.call(node, &request)));
        for answer in join_all(asked).await {
            let Ok(Ok(Answer::Positions(waiting))) = answer else { continue };
            for (conversation, position) in waiting {
                raise(&mut positions, conversation, position);
            }
        }
        // Read after what waits: a row that is written in between shows in one of the two.
        let log = self.placement.regional(tenant);
        for (conversation, position) in positions_of(&*self.store, log, from).await? {
            raise(&mut positions, conversation, position);
        }
        Ok(positions)
    }

    /// Writes what waits, every `interval` and when much waits, until stopped.
    pub(crate) async fn run(self: Arc<Self>, logs: Arc<Logs>, interval: Duration) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.early.notified() => {}
                () = self.stop.notified() => return,
            }
            self.flush(&logs).await;
        }
    }

    /// Ends [`PositionKeeper::run`] after the flush in hand.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// Writes everything that waits now.
    pub(crate) async fn flush(&self, logs: &Logs) {
        let taken: Vec<(TenantId, Rows)> = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let taken: Vec<_> = pending.waiting.drain().filter(|(_, rows)| !rows.is_empty()).collect();
            pending.flushing.extend(taken.iter().cloned());
            pending.count = 0;
            taken
        };
        for (tenant, rows) in taken {
            let log = self.placement.regional(tenant);
            let effects = raise_effects(&rows);
            let mut failed = false;
            for effects in effects.chunks(ROWS_PER_OPERATION) {
                let effects = effects.to_vec();
                if let Err(error) = logs.execute(log, Apply::new("position.raise", effects)).await {
                    tracing::debug!(%error, "positions are not written yet");
                    failed = true;
                    break;
                }
            }
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.flushing.remove(&tenant);
            if failed && pending.count < PENDING_LIMIT {
                pending.put_back(tenant, rows);
            }
        }
    }
}

impl Pending {
    fn put_back(&mut self, tenant: TenantId, rows: Rows) {
        let waiting = self.waiting.entry(tenant).or_default();
        for (from, ranks) in rows {
            let newer = waiting.entry(from).or_default();
            for (conversation, rank) in ranks {
                self.count += usize::from(!newer.contains_key(&conversation));
                let newest = newer.entry(conversation).or_insert(rank);
                *newest = (*newest).max(rank);
            }
        }
    }
}

fn raise(positions: &mut HashMap<ConversationKey, Position>, conversation: ConversationKey, to: Position) {
    let position = positions.entry(conversation).or_default();
    *position = (*position).max(to);
}

pub(super) fn raise_effect(from: String, conversation: &ConversationKey, rank: i64) -> Effect {
    let (to, body) = (conversation.to_string(), Bytes::new());
    Effect::RaiseRelation(Relation { kind: POSITION, from, to, rank, body })
}

fn raise_effects(rows: &Rows) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (from, ranks) in rows {
        for (conversation, rank) in ranks {
            effects.push(raise_effect(from.clone(), conversation, *rank));
        }
    }
    effects
}

/// The written positions of a device or person.
pub(crate) async fn positions_of(
    store: &dyn Store,
    log: LogId,
    from: &str,
) -> Result<Vec<(ConversationKey, Position)>> {
    const PAGE: usize = 1000;
    let mut positions: Vec<(ConversationKey, Position)> = Vec::new();
    loop {
        let after = positions.last().map(|(conversation, _)| conversation.to_string());
        let page = store.relations(&[log], &POSITION, from, RelationPage::new(after, PAGE)).await?;
        let full = page.len() == PAGE;
        positions.extend(
            page.into_iter()
                .map(|(_, row)| (ConversationKey::from_stored(&row.to), Position::from_rank(row.rank))),
        );
        if !full {
            return Ok(positions);
        }
    }
}
