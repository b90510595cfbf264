//! The contract: writes go to the writer's queue, reads to the pool.

use crate::{
    config::SqliteConfig,
    error::OpenError,
    open, read, schema,
    step::PreparedStep,
    writer::{Command, Writer, WriterHandle},
};
use async_trait::async_trait;
use meridian_ports::{
    ConversationHead, EntryRange, Error, ErrorKind, IdempotencyHit, ObjectPage, Record, RelationPage, Result,
    ScanCursor, Shape, Store,
};
use meridian_types::{
    ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId, LoggedOperation, Lsn,
    Object, Relation, Step,
};
use sqlx::sqlite::SqlitePool;
use std::{
    fmt,
    sync::{Mutex, PoisonError},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// A store on one SQLite file. See the crate's docs.
pub struct SqliteStore {
    description: String,
    readers: SqlitePool,
    /// `None` when opened for reading only.
    writer: Option<WriterHandle>,
    /// Taken by the first [`SqliteStore::close`].
    task: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the database for reading and writing, making and migrating it as needed.
    ///
    /// Dropping the store stops its writer after what waits; [`SqliteStore::close`] waits for that.
    pub async fn open(config: SqliteConfig) -> std::result::Result<Self, OpenError> {
        check(&config)?;
        let failed = |source| OpenError::Database { path: config.path.clone(), source };
        let lock = open::lock(&config)?;
        let mut connection = open::writer(&config).await.map_err(failed)?;
        schema::migrate(&mut connection, &config).await?;
        let readers = open::readers(&config).await.map_err(failed)?;
        let description = describe(&readers).await.map_err(failed)?;
        let (sender, queue) = mpsc::channel(config.queue);
        let task = tokio::spawn(Writer::new(config, connection, lock).run(queue));
        let writer = Some(WriterHandle { queue: sender });
        Ok(Self { description, readers, writer, task: Mutex::new(Some(task)) })
    }

    /// Opens an existing database for checks, also while another process writes it. Writes are `Unsupported`.
    pub async fn open_read_only(config: SqliteConfig) -> std::result::Result<Self, OpenError> {
        check(&config)?;
        let failed = |source| OpenError::Database { path: config.path.clone(), source };
        let readers = open::readers(&config).await.map_err(failed)?;
        schema::check(&readers, &config).await?;
        let description = describe(&readers).await.map_err(failed)?;
        Ok(Self { description, readers, writer: None, task: Mutex::new(None) })
    }

    /// Takes what waits, then closes all connections and gives the file free. Later calls answer `Unavailable`.
    pub async fn close(&self) {
        // Readers first: the last connection to close cuts the WAL, and only the writer may.
        self.readers.close().await;
        if let Some(writer) = &self.writer {
            // An error means that it is closed already.
            let _ = writer.queue.send(Command::Close).await;
        }
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "sqlite writer died");
        }
    }

    /// Changes [`SqliteConfig::size_limit`] while the store runs.
    pub async fn set_size_limit(&self, limit: Option<u64>) -> Result<()> {
        const VERB: &str = "set_size_limit";
        self.writer(VERB)?.ask(VERB, |answer| Command::SetSizeLimit { limit, answer }).await
    }

    fn writer(&self, verb: &'static str) -> Result<&WriterHandle> {
        let read_only = || Error::new(ErrorKind::Unsupported, verb, "the store is open for reading only");
        self.writer.as_ref().ok_or_else(read_only)
    }
}

fn check(config: &SqliteConfig) -> std::result::Result<(), OpenError> {
    let in_range = |key, value: usize, most: usize, allowed| {
        if (1..=most).contains(&value) { Ok(()) } else { Err(OpenError::Config { key, allowed }) }
    };
    in_range("read_connections", config.read_connections as usize, 64, "1..=64")?;
    in_range("queue", config.queue, 1 << 16, "1..=65536")?;
    in_range("group_steps", config.group_steps, 4096, "1..=4096")?;
    in_range("group_operations", config.group_operations, 1 << 16, "1..=65536")
}

async fn describe(readers: &SqlitePool) -> sqlx::Result<String> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(readers).await?;
    Ok(format!("sqlite {version}"))
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("description", &self.description).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn describe(&self) -> String {
        self.description.clone()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        let claim = |answer| Command::Claim { log, epoch, expected, answer };
        self.writer("claim")?.ask("claim", claim).await
    }

    async fn append(&self, step: Step) -> Result<()> {
        let writer = self.writer("append")?;
        let step = PreparedStep::new(step)?;
        writer.ask("append", |answer| Command::Append { step, answer }).await
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        read::logs(&self.readers, after, limit).await
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        read::operations(&self.readers, log, after, limit).await
    }

    async fn entries(
        &self,
        log: LogId,
        conversation: &ConversationKey,
        range: EntryRange,
    ) -> Result<Vec<Entry>> {
        read::entries(&self.readers, log, conversation, range).await
    }

    async fn conversation_heads(
        &self,
        conversations: &[(LogId, ConversationKey)],
    ) -> Result<Vec<ConversationHead>> {
        read::conversation_heads(&self.readers, conversations).await
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        read::idempotency(&self.readers, log, key).await
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        read::object(&self.readers, log, kind, id).await
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        read::objects(&self.readers, logs, kind, page).await
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        read::relation(&self.readers, log, kind, from, to).await
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        read::relations(&self.readers, logs, kind, from, page).await
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        read::scan(&self.readers, log, shape, after, limit).await
    }
}
