//! The `Store` contract: every verb to the shard of its log; lists over several logs are merged.

use crate::{
    config::ShardedConfig,
    error::{OpenError, unfinished},
    placement::MARKS,
    resolve::{BELIEVED, Look, Resolver},
};
use async_trait::async_trait;
use futures_util::future::try_join_all;
use meridian_ports::{
    ConversationHead, EntryRange, Error, ErrorKind, IdempotencyHit, ObjectPage, Record, RelationPage, Result,
    ScanCursor, Shape, Store,
};
use meridian_types::{
    ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId, LoggedOperation, Lsn,
    Object, Relation, Step,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// Claims that find the log gone are tried again so often.
const CLAIMS: usize = 3;

/// A store over several stores. See the crate's docs.
#[derive(Debug)]
pub struct ShardedStore {
    pub(crate) resolver: Resolver,
}

impl ShardedStore {
    /// Puts shards together. Nothing is read yet.
    pub fn open(config: ShardedConfig) -> std::result::Result<Self, OpenError> {
        let shards = config.shards;
        if shards.is_empty() || shards.len() > 64 {
            return Err(OpenError::Shards { found: shards.len() });
        }
        let mut names = BTreeSet::new();
        for shard in &shards {
            let name = shard.name.clone();
            let known =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(known) {
                return Err(OpenError::Name { name });
            }
            if !names.insert(name.clone()) {
                return Err(OpenError::Twice { name });
            }
        }
        let mut placement = HashMap::new();
        for (log, name) in config.placement {
            match shards.iter().position(|shard| shard.name == name) {
                Some(shard) => drop(placement.insert(log, shard)),
                None => return Err(OpenError::Unknown { log, shard: name }),
            }
        }
        Ok(Self { resolver: Resolver::new(shards, placement) })
    }

    async fn of(&self, log: LogId) -> Result<&dyn Store> {
        Ok(self.resolver.store(self.resolver.resolve(log).await?))
    }

    /// Logs by the shard they are on.
    async fn by_shard(
        &self,
        logs: impl IntoIterator<Item = LogId>,
    ) -> Result<BTreeMap<usize, BTreeSet<LogId>>> {
        let wanted: BTreeSet<_> = logs.into_iter().collect();
        let places = wanted.iter().map(|&log| async move { Ok((self.resolver.resolve(log).await?, log)) });
        let mut by_shard = BTreeMap::<usize, BTreeSet<LogId>>::new();
        for (shard, log) in try_join_all(places).await? {
            by_shard.entry(shard).or_default().insert(log);
        }
        Ok(by_shard)
    }

    /// The first logs of one shard that are there and not left copies.
    async fn logs_of(&self, shard: usize, mut after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        let mut found = Vec::new();
        while found.len() < limit {
            let page = self.resolver.store(shard).logs(after, limit).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.log);
            for head in page {
                if head.log != MARKS && self.resolver.resolve(head.log).await? == shard {
                    found.push(head);
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

#[async_trait]
impl Store for ShardedStore {
    fn describe(&self) -> String {
        let shards = self.resolver.shards().iter();
        let shards: Vec<_> =
            shards.map(|shard| format!("{}: {}", shard.name, shard.store.describe())).collect();
        format!("sharded {} ({})", env!("CARGO_PKG_VERSION"), shards.join(", "))
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        if log == MARKS {
            return Err(Error::new(ErrorKind::Invalid, "claim", format!("log {log} belongs to the shards")));
        }
        for _ in 0..CLAIMS {
            let shard = self.resolver.resolve(log).await?;
            let head = self.resolver.store(shard).claim(log, epoch, expected).await?;
            // A move commits under a claim of its own. If that came before ours it is seen here; if it comes after, it is
            // refused or fences us.
            if let Look::Here(moved) = self.resolver.look(shard, log).await? {
                // Readers elsewhere may believe the old place for a while: nothing new before that is over. Twice the
                // time, for clocks that differ.
                let wait = moved.map_or(Duration::ZERO, |moved| (2 * BELIEVED).saturating_sub(moved.age()));
                tokio::time::sleep(wait).await;
                return Ok(head);
            }
            self.resolver.forget(log);
        }
        Err(unfinished("claim", log, "it moved while it was claimed"))
    }

    async fn append(&self, step: Step) -> Result<()> {
        let log = step.log;
        let outcome = self.of(log).await?.append(step).await;
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Fenced) {
            // Perhaps because the log has moved.
            self.resolver.forget(log);
        }
        outcome
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        let shards = (0..self.resolver.shards().len()).map(|shard| self.logs_of(shard, after, limit));
        let mut heads: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
        heads.sort_by_key(|head| head.log);
        heads.truncate(limit);
        Ok(heads)
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        self.of(log).await?.operations(log, after, limit).await
    }

    async fn entries(
        &self,
        log: LogId,
        conversation: &ConversationKey,
        range: EntryRange,
    ) -> Result<Vec<Entry>> {
        self.of(log).await?.entries(log, conversation, range).await
    }

    async fn conversation_heads(
        &self,
        conversations: &[(LogId, ConversationKey)],
    ) -> Result<Vec<ConversationHead>> {
        let by_shard = self.by_shard(conversations.iter().map(|(log, _)| *log)).await?;
        let asked = by_shard.into_iter().map(|(shard, logs)| async move {
            let wanted = conversations.iter().filter(|(log, _)| logs.contains(log));
            let wanted: Vec<_> = wanted.cloned().collect();
            self.resolver.store(shard).conversation_heads(&wanted).await
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        self.of(log).await?.idempotency(log, key).await
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        self.of(log).await?.object(log, kind, id).await
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        let by_shard = self.by_shard(logs.iter().copied()).await?;
        let asked = by_shard.into_iter().map(|(shard, logs)| {
            let page = page.clone();
            async move {
                let logs: Vec<_> = logs.into_iter().collect();
                self.resolver.store(shard).objects(&logs, kind, page).await
            }
        });
        let mut found: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
        found.sort_by(|(log_a, a), (log_b, b)| (a.rank, &a.id, log_a).cmp(&(b.rank, &b.id, log_b)));
        found.truncate(page.limit);
        Ok(found)
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        self.of(log).await?.relation(log, kind, from, to).await
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        let by_shard = self.by_shard(logs.iter().copied()).await?;
        let asked = by_shard.into_iter().map(|(shard, logs)| {
            let page = page.clone();
            async move {
                let logs: Vec<_> = logs.into_iter().collect();
                self.resolver.store(shard).relations(&logs, kind, from, page).await
            }
        });
        let mut found: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
        page.merge(&mut found);
        Ok(found)
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.of(log).await?.scan(log, shape, after, limit).await
    }
}
