//! The contract. redb blocks, so every verb runs on a thread for that; how many at once is bounded here.

use crate::{error::In, read, tables, write};
use meridian_sdk::{
    Error, ErrorKind, Result, async_trait,
    ports::{
        ConversationHead, EntryRange, IdempotencyHit, ObjectPage, Record, RelationPage, ScanCursor, Shape,
        Store,
    },
    types::{
        ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId, LoggedOperation,
        Lsn, Object, Relation, Step,
    },
};
use redb::{Database, ReadTransaction, ReadableDatabase};
use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Reads at once.
const READERS: usize = 8;
/// Calls that may wait for a thread; one more is `Busy`.
const WAITING: usize = 4096;

/// A store in one file. The file is locked: one process opens it at a time.
#[derive(Debug)]
pub struct RedbStore {
    /// `None` once closed.
    database: RwLock<Option<Arc<Database>>>,
    readers: Arc<Semaphore>,
    /// The engine takes one write at a time; the others wait here and not on its lock, where each would hold a thread.
    writer: Arc<Semaphore>,
    waiting: Semaphore,
}

impl RedbStore {
    /// Opens a file, making it if there is none. Blocks for as long as a repair after a crash takes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        const VERB: &str = "open";
        let database = Database::create(path).within(VERB)?;
        let transaction = database.begin_write().within(VERB)?;
        // Tables exist from here on, so that reads need not care.
        transaction.open_table(tables::HEADS).within(VERB)?;
        transaction.open_table(tables::OPERATIONS).within(VERB)?;
        transaction.open_table(tables::ENTRIES).within(VERB)?;
        transaction.open_table(tables::IDEMPOTENCY).within(VERB)?;
        transaction.open_table(tables::OBJECTS).within(VERB)?;
        transaction.open_table(tables::RANKS).within(VERB)?;
        transaction.open_table(tables::RELATIONS).within(VERB)?;
        transaction.commit().within(VERB)?;
        Ok(Self {
            database: RwLock::new(Some(Arc::new(database))),
            readers: Arc::new(Semaphore::new(READERS)),
            writer: Arc::new(Semaphore::new(1)),
            waiting: Semaphore::new(WAITING),
        })
    }

    /// Waits for the calls under way and gives the file back. Later calls are `Unavailable`.
    pub async fn close(&self) {
        let closing = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        // Whoever works on the file holds a place.
        let _idle = self.writer.acquire().await;
        let _idle = self.readers.acquire_many(READERS as u32).await;
        drop(closing);
    }

    fn database(&self, verb: &'static str) -> Result<Arc<Database>> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner).clone();
        database.ok_or_else(|| Error::new(ErrorKind::Unavailable, verb, "the store is closed"))
    }

    async fn read<T: Send + 'static>(
        &self,
        verb: &'static str,
        work: impl FnOnce(&ReadTransaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.place(verb, &self.readers).await?;
        let database = self.database(verb)?;
        blocking(verb, place, move || work(&database.begin_read().within(verb)?)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        verb: &'static str,
        work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.place(verb, &self.writer).await?;
        let database = self.database(verb)?;
        blocking(verb, place, move || work(&database)).await
    }

    async fn place(&self, verb: &'static str, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let busy = |_| Error::new(ErrorKind::Busy, verb, format!("{WAITING} calls wait already"));
        let _waiting = self.waiting.try_acquire().map_err(busy)?;
        let closed = |_| Error::new(ErrorKind::Unavailable, verb, "the store is closed");
        places.clone().acquire_owned().await.map_err(closed)
    }
}

/// Runs on a thread that may block. A caller that goes away does not stop it: a write ends, and is then there.
async fn blocking<T: Send + 'static>(
    verb: &'static str,
    place: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let task = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(place);
        result
    });
    // It fails when the runtime shuts down or the work panicked: a write may have happened.
    task.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Unavailable, verb, "the call was broken off")
            .with_source(error)
            .maybe_done())
    })
}

#[async_trait]
impl Store for RedbStore {
    fn describe(&self) -> String {
        concat!("redb-store ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        self.write("claim", move |database| write::claim(database, log, epoch, expected)).await
    }

    async fn append(&self, step: Step) -> Result<()> {
        self.write("append", move |database| write::append(database, &step)).await
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        self.read("logs", move |snapshot| read::logs(snapshot, after, limit)).await
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        self.read("operations", move |snapshot| read::operations(snapshot, log, after, limit)).await
    }

    async fn entries(
        &self,
        log: LogId,
        conversation: &ConversationKey,
        range: EntryRange,
    ) -> Result<Vec<Entry>> {
        let conversation = conversation.clone();
        self.read("entries", move |snapshot| read::entries(snapshot, log, &conversation, range)).await
    }

    async fn conversation_heads(
        &self,
        conversations: &[(LogId, ConversationKey)],
    ) -> Result<Vec<ConversationHead>> {
        let wanted = conversations.iter().cloned().collect();
        self.read("conversation_heads", move |snapshot| read::conversation_heads(snapshot, wanted)).await
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        self.read("idempotency", move |snapshot| read::idempotency(snapshot, log, key)).await
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        let (kind, id) = (kind.clone(), id.to_owned());
        self.read("object", move |snapshot| read::object(snapshot, log, &kind, &id)).await
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        let (logs, kind) = (logs.iter().copied().collect(), kind.clone());
        self.read("objects", move |snapshot| read::objects(snapshot, logs, &kind, &page)).await
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        let (kind, from, to) = (kind.clone(), from.to_owned(), to.to_owned());
        self.read("relation", move |snapshot| read::relation(snapshot, log, &kind, &from, &to)).await
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        let (logs, kind, from) = (logs.iter().copied().collect(), kind.clone(), from.to_owned());
        self.read("relations", move |snapshot| read::relations(snapshot, logs, &kind, &from, &page)).await
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.read("scan", move |snapshot| read::scan(snapshot, log, shape, after, limit)).await
    }
}
