//! A store behind a line that can be cut, at once or after some writes.

use async_trait::async_trait;
use meridian_memory::MemoryStore;
use meridian_ports::{
    ConversationHead, EntryRange, Error, ErrorKind, IdempotencyHit, ObjectPage, Record, RelationPage, Result,
    ScanCursor, Shape, Store,
};
use meridian_types::{
    ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId, LoggedOperation, Lsn,
    Object, Relation, Step,
};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// Writes that still go through; below zero nothing does.
#[derive(Clone, Debug)]
pub(crate) struct Line(Arc<AtomicI64>);

impl Line {
    pub(crate) fn whole() -> Self {
        Self::dies_after(i64::MAX / 2)
    }

    pub(crate) fn dies_after(writes: i64) -> Self {
        Self(Arc::new(AtomicI64::new(writes)))
    }

    pub(crate) fn cut(&self, cut: bool) {
        self.0.store(if cut { -1 } else { i64::MAX / 2 }, Ordering::SeqCst);
    }

    fn read(&self) -> Result<()> {
        if self.0.load(Ordering::SeqCst) < 0 {
            return Err(Error::new(ErrorKind::Unavailable, "line", "the line is cut"));
        }
        Ok(())
    }

    fn write(&self) -> Result<()> {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.read()
    }
}

#[derive(Debug)]
pub(crate) struct Flaky {
    store: Arc<MemoryStore>,
    line: Line,
}

impl Flaky {
    pub(crate) fn new(store: Arc<MemoryStore>, line: Line) -> Self {
        Self { store, line }
    }

    fn read(&self) -> Result<&MemoryStore> {
        self.line.read()?;
        Ok(&self.store)
    }

    fn write(&self) -> Result<&MemoryStore> {
        self.line.write()?;
        Ok(&self.store)
    }
}

#[async_trait]
impl Store for Flaky {
    fn describe(&self) -> String {
        "flaky".into()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        self.write()?.claim(log, epoch, expected).await
    }

    async fn append(&self, step: Step) -> Result<()> {
        self.write()?.append(step).await
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        self.read()?.logs(after, limit).await
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        self.read()?.operations(log, after, limit).await
    }

    async fn entries(&self, log: LogId, key: &ConversationKey, range: EntryRange) -> Result<Vec<Entry>> {
        self.read()?.entries(log, key, range).await
    }

    async fn conversation_heads(&self, keys: &[(LogId, ConversationKey)]) -> Result<Vec<ConversationHead>> {
        self.read()?.conversation_heads(keys).await
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        self.read()?.idempotency(log, key).await
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        self.read()?.object(log, kind, id).await
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        self.read()?.objects(logs, kind, page).await
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        self.read()?.relation(log, kind, from, to).await
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        self.read()?.relations(logs, kind, from, page).await
    }

    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.read()?.scan(log, shape, after, limit).await
    }
}
