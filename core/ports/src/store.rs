//! The store: logs, and the entries, objects and relations that their operations change.

use crate::Result;
use async_trait::async_trait;
use meridian_types::{
    ConversationKey, Entry, Epoch, IdempotencyKey, Incarnation, Kind, LogHead, LogId, LoggedOperation, Lsn,
    MessageId, Millis, Object, Relation, Seq, Step,
};
use std::fmt::Debug;

/// Durable truth. Every record belongs to a log and is changed only by an operation of that log.
///
/// Reads see every step whose `append` has returned, from any task of this process (read your writes). A read that
/// runs beside an append sees all of that step or nothing of it. Two logs are independent: a backend may keep
/// them on different servers, and no verb promises atomicity across them.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// The backend's name and version, for the boot table: `sqlite 3.50.2`.
    fn describe(&self) -> String;

    /// Takes a log for a new writer, making the log if it does not exist, and gives its head with the new
    /// incarnation (the stored one plus one, durable before this returns). Older writers are fenced from then on.
    ///
    /// `expected`: `Some` refuses with `Conflict` unless it is the stored incarnation (`Incarnation(0)` for a log
    /// that does not exist); `None` takes the log from whoever has it. An `epoch` below the stored one is
    /// `Fenced`; one above it becomes the log's epoch.
    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead>;

    /// Takes one step: all of its operations and all their effects, durably and atomically, or nothing.
    ///
    /// `Fenced` when the log's (epoch, writer, head) differ from `step.fence`. `Invalid` when the operations are
    /// empty, not dense from the head, or an appended entry is not its conversation's next `seq`. The chain is the
    /// writer's work; the store keeps what it is given. An error that is not [`surely_not_done`] leaves the
    /// outcome open: claim the log again and compare heads.
    ///
    /// [`surely_not_done`]: crate::Error::surely_not_done
    async fn append(&self, step: Step) -> Result<()>;

    /// The heads of logs, in id order, from after `after`. Logs that were never claimed do not exist.
    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>>;

    /// Operations of a log with `lsn` after `after`, dense, in order, with the bodies that are not erased.
    /// Never skips an operation whose append has returned.
    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>>;

    /// Entries of a conversation, see [`EntryRange`]. An unknown conversation is empty.
    async fn entries(
        &self,
        log: LogId,
        conversation: &ConversationKey,
        range: EntryRange,
    ) -> Result<Vec<Entry>>;

    /// The last entry's place for each conversation that has entries; order not defined.
    async fn conversation_heads(
        &self,
        conversations: &[(LogId, ConversationKey)],
    ) -> Result<Vec<ConversationHead>>;

    /// The entry of `key.stream` with the greatest idempotency id that is at most `key.id`.
    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>>;

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>>;

    /// Objects of one kind over several logs, ordered by (rank, id), after that key.
    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>>;

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>>;

    /// Relations of one kind from one id, over several logs, ordered by `to`, after that key; or from the last one backwards.
    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>>;

    /// Walks everything of one shape in a log, in key order, for checks and export. An empty page is the end.
    async fn scan(
        &self,
        log: LogId,
        shape: Shape,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>>;
}

/// Which way to read a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first, `seq` greater than the bound.
    After,
    /// Newest first, `seq` less than the bound.
    Before,
}

/// A stretch of a conversation. Erased entries are included (without body).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryRange {
    pub bound: Seq,
    pub direction: Direction,
    pub limit: usize,
}

impl EntryRange {
    #[must_use]
    pub fn after(seq: Seq, limit: usize) -> Self {
        Self { bound: seq, direction: Direction::After, limit }
    }

    #[must_use]
    pub fn before(seq: Seq, limit: usize) -> Self {
        Self { bound: seq, direction: Direction::Before, limit }
    }
}

/// Where a conversation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationHead {
    pub log: LogId,
    pub conversation: ConversationKey,
    pub seq: Seq,
    pub message_id: MessageId,
    pub at: Millis,
}

/// An earlier send of the same stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyHit {
    pub id: u64,
    pub conversation: ConversationKey,
    pub seq: Seq,
    pub message_id: MessageId,
    pub at: Millis,
}

/// A page of a list of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectPage {
    /// (rank, id) of the last object seen.
    pub after: Option<(i64, String)>,
    pub limit: usize,
}

impl ObjectPage {
    #[must_use]
    pub fn new(after: Option<(i64, String)>, limit: usize) -> Self {
        Self { after, limit }
    }
}

/// A page of a list of relations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelationPage {
    /// `to` of the last relation seen. The same `to` in two logs counts as one key: pages over several logs must
    /// only be used for kinds whose `to` is unique among them.
    pub after: Option<String>,
    pub limit: usize,
    /// In descending order of `to`; `after` is then the least one seen.
    pub backwards: bool,
}

impl RelationPage {
    #[must_use]
    pub fn new(after: Option<String>, limit: usize) -> Self {
        Self { after, limit, backwards: false }
    }

    /// The same, from the greatest `to` on.
    #[must_use]
    pub fn backwards(after: Option<String>, limit: usize) -> Self {
        Self { backwards: true, ..Self::new(after, limit) }
    }

    /// Puts what several logs gave into one page.
    pub fn merge(&self, found: &mut Vec<(LogId, Relation)>) {
        found.sort_by(|(log_a, a), (log_b, b)| {
            let order = (&a.to, log_a).cmp(&(&b.to, log_b));
            if self.backwards { order.reverse() } else { order }
        });
        found.truncate(self.limit);
    }
}

/// A shape of record, for [`Store::scan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// In order of (conversation, seq).
    Entries,
    /// In order of (kind, id).
    Objects,
    /// In order of (kind, from, to).
    Relations,
}

/// A record of any shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Entry(Entry),
    Object(Object),
    Relation(Relation),
}

/// The key of the last record seen by a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanCursor {
    Entry(ConversationKey, Seq),
    Object(Kind, String),
    Relation(Kind, String, String),
}

impl Record {
    #[must_use]
    pub fn cursor(&self) -> ScanCursor {
        match self {
            Self::Entry(entry) => ScanCursor::Entry(entry.conversation.clone(), entry.seq),
            Self::Object(object) => ScanCursor::Object(object.kind.clone(), object.id.clone()),
            Self::Relation(relation) => {
                ScanCursor::Relation(relation.kind.clone(), relation.from.clone(), relation.to.clone())
            }
        }
    }
}
