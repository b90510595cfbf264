//! Finds the shard that has a log.
//!
//! The truth is with the logs: a copy that was left says where the log went, in an object of its own. So there is no table to
//! lose, and one shard that is away hides its own logs only. What was found is believed for a second.

use crate::{
    config::Shard,
    copy::{copy, head},
    error::{corrupt, unfinished},
    placement::{INCOMING, MARKS, PLACEMENT, PLACEMENT_ID, Placement, score},
};
use meridian_ports::{Error, Result, Store};
use meridian_types::LogId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a place is believed without looking.
pub(crate) const BELIEVED: Duration = Duration::from_secs(1);
/// Places kept in memory.
const PLACES: usize = 100_000;

/// What a shard says of a log.
#[derive(Clone, Debug)]
pub(crate) enum Look {
    /// It has no such log, or an unfinished copy.
    Absent,
    /// It has the log, since this move.
    Here(Option<Placement>),
    /// It had the log, which went to this shard.
    Left(usize),
}

/// The shards and what is known of where logs are.
#[derive(Debug)]
pub(crate) struct Resolver {
    shards: Vec<Shard>,
    placement: HashMap<LogId, usize>,
    known: Mutex<HashMap<LogId, (usize, Instant)>>,
}

impl Resolver {
    pub(crate) fn new(shards: Vec<Shard>, placement: HashMap<LogId, usize>) -> Self {
        Self { shards, placement, known: Mutex::default() }
    }

    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub(crate) fn store(&self, shard: usize) -> &dyn Store {
        &*self.shards[shard].store
    }

    /// The shard of a log; for a log that does not exist, the one it would be made on.
    pub(crate) async fn resolve(&self, log: LogId) -> Result<usize> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&log).copied();
        if let Some((shard, at)) = known {
            if at.elapsed() < BELIEVED {
                return Ok(shard);
            }
            match self.look(shard, log).await {
                Ok(Look::Here(_)) => {
                    self.believe(log, shard);
                    return Ok(shard);
                }
                // The call itself will say so; nothing is gained by searching elsewhere.
                Err(_) => return Ok(shard),
                Ok(Look::Absent | Look::Left(_)) => {}
            }
        }
        let shard = self.search(log).await?;
        self.believe(log, shard);
        Ok(shard)
    }

    pub(crate) fn forget(&self, log: LogId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&log);
    }

    fn believe(&self, log: LogId, shard: usize) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PLACES && !known.contains_key(&log) {
            known.clear();
        }
        known.insert(log, (shard, Instant::now()));
    }

    /// Asks the shards, the likeliest first.
    pub(crate) async fn search(&self, log: LogId) -> Result<usize> {
        let order = self.order(log);
        let mut away: Option<Error> = None;
        for &shard in &order {
            match self.look(shard, log).await {
                Ok(Look::Here(_)) => return Ok(shard),
                Ok(Look::Left(to)) => match self.follow(log, shard, to).await {
                    Ok(shard) => return Ok(shard),
                    Err(error) => away = away.or(Some(error)),
                },
                Ok(Look::Absent) => {}
                Err(error) => away = away.or(Some(error)),
            }
        }
        // It may be on the shard that did not answer.
        away.map_or_else(|| Ok(order.first().copied().unwrap_or_default()), Err)
    }

    fn order(&self, log: LogId) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.shards.len()).collect();
        let first = self.placement.get(&log).copied();
        order.sort_by_cached_key(|&shard| {
            (first != Some(shard), std::cmp::Reverse(score(&self.shards[shard].name, log)))
        });
        order
    }

    /// From a copy that was left to where the log is. A copy whose last step is missing at the new place is finished.
    async fn follow(&self, log: LogId, mut from: usize, mut to: usize) -> Result<usize> {
        for _ in 0..=self.shards.len() {
            if let Look::Here(_) = self.look(to, log).await? {
                return Ok(to);
            }
            self.finish(log, from, to).await?;
            match self.look(to, log).await? {
                Look::Here(_) => return Ok(to),
                Look::Left(next) => (from, to) = (to, next),
                Look::Absent => return Err(unfinished("resolve", log, "run meridian move-log again")),
            }
        }
        Err(unfinished("resolve", log, "it moved while it was looked for"))
    }

    /// Copies what a committed move has not copied yet, if the old place is ahead.
    async fn finish(&self, log: LogId, from: usize, to: usize) -> Result<()> {
        let lsn = |head: Option<meridian_types::LogHead>| head.map_or(0, |head| head.lsn.0);
        let (here, there) = (head(self.store(from), log).await?, head(self.store(to), log).await?);
        if lsn(here) > lsn(there) {
            tracing::info!(%log, to = self.shards[to].name, "finishing the move of a log");
            copy(self.store(from), self.store(to), log).await?;
        }
        Ok(())
    }

    pub(crate) async fn look(&self, shard: usize, log: LogId) -> Result<Look> {
        let store = self.store(shard);
        if let Some(object) = store.object(log, &PLACEMENT, PLACEMENT_ID).await? {
            let placement = Placement::read(&object)
                .ok_or_else(|| corrupt("object", format!("the placement of log {log} cannot be read")))?;
            if placement.to == self.shards[shard].name {
                return Ok(Look::Here(Some(placement)));
            }
            return match self.by_name(&placement.to) {
                Some(to) => Ok(Look::Left(to)),
                None => {
                    Err(corrupt("object", format!("log {log} is on shard {:?}, which is none", placement.to)))
                }
            };
        }
        if head(store, log).await?.is_none()
            || store.object(MARKS, &INCOMING, &log.to_string()).await?.is_some()
        {
            return Ok(Look::Absent);
        }
        Ok(Look::Here(None))
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<usize> {
        self.shards.iter().position(|shard| shard.name == name)
    }
}
