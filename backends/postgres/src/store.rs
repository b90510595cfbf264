//! The contract: writes go to the committers' queues, reads to the pool.

use crate::{
    config::PgConfig,
    connect::Servers,
    error::OpenError,
    read, schema,
    writer::{Command, Committer, Queues, check_step},
};
use async_trait::async_trait;
use meridian_ports::{
    ConversationHead, EntryRange, IdempotencyHit, ObjectPage, Record, RelationPage, Result, ScanCursor,
    Shape, Store,
};
use meridian_types::{
    ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId, LoggedOperation, Lsn,
    Object, Relation, Step,
};
use sqlx::Connection;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::mpsc, task::JoinSet};

/// A store on PostgreSQL. See the crate's docs.
pub struct PgStore {
    description: String,
    servers: Arc<Servers>,
    queues: Queues,
    /// Taken by the first [`PgStore::close`].
    tasks: Mutex<JoinSet<()>>,
}

impl PgStore {
    /// Connects, and makes and migrates the schema as needed.
    ///
    /// Dropping the store stops its committers at once; [`PgStore::close`] lets them take what waits.
    pub async fn open(config: PgConfig) -> std::result::Result<Self, OpenError> {
        let servers = Arc::new(Servers::new(&config));
        let mut connection = servers.connect().await?;
        schema::migrate(&mut connection, &config).await?;
        let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
        connection.close().await?;
        let (mut queues, mut tasks) = (Vec::new(), JoinSet::new());
        for _ in 0..config.committers {
            let (sender, queue) = mpsc::channel(config.queue);
            queues.push(sender);
            tasks.spawn(Committer::new(config.clone(), servers.clone()).run(queue));
        }
        // Debian adds its own words.
        let version = version.split_whitespace().next().unwrap_or_default();
        let description = format!("postgres {version}");
        Ok(Self { description, servers, queues: Queues(queues), tasks: Mutex::new(tasks) })
    }

    /// Takes what waits, then closes all connections. Later calls answer `Unavailable`.
    pub async fn close(&self) {
        for queue in &self.queues.0 {
            // An error means that it is closed already.
            let _ = queue.send(Command::Close).await;
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "postgres committer died");
            }
        }
        self.servers.pool.close().await;
    }
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgStore").field("description", &self.description).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PgStore {
    fn describe(&self) -> String {
        self.description.clone()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        let claim = |answer| Command::Claim { log, epoch, expected, answer };
        self.queues.ask("claim", log, claim).await
    }

    async fn append(&self, step: Step) -> Result<()> {
        check_step(&step).map_err(|failure| failure.to_error("append"))?;
        self.queues.ask("append", step.log, |answer| Command::Append { step, answer }).await
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        read::logs(&self.servers, after, limit).await
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        read::operations(&self.servers, log, after, limit).await
    }

    async fn entries(
        &self,
        log: LogId,
        conversation: &ConversationKey,
        range: EntryRange,
    ) -> Result<Vec<Entry>> {
        read::entries(&self.servers, log, conversation, range).await
    }

    async fn conversation_heads(
        &self,
        conversations: &[(LogId, ConversationKey)],
    ) -> Result<Vec<ConversationHead>> {
        read::conversation_heads(&self.servers, conversations).await
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        read::idempotency(&self.servers, log, key).await
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        read::object(&self.servers, log, kind, id).await
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        read::objects(&self.servers, logs, kind, page).await
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        read::relation(&self.servers, log, kind, from, to).await
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        read::relations(&self.servers, logs, kind, from, page).await
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        read::scan(&self.servers, log, shape, after, limit).await
    }
}
