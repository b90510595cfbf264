//! A writer for cases: it makes operations, keeps the head, and appends.

use bytes::Bytes;
use meridian_ports::{Result, Store};
use meridian_types::{
    Audience, ConversationKey, Effect, Entry, EntryKind, Epoch, Fence, Hash, Hlc, IdempotencyKey, Kind,
    LogClass, LogHead, LogId, LoggedOperation, MessageId, Millis, Object, Operation, RegionId, Relation, Seq,
    Step, TenantId, UserName,
};

/// The kit's logs: `index` of tenant 7, region 1.
#[must_use]
pub fn log_id(index: u16) -> LogId {
    LogId::new(TenantId(7), LogClass::Owned, RegionId(1), index)
}

/// A claimed log and where it stands.
#[derive(Debug)]
pub struct LogWriter<'s> {
    pub store: &'s dyn Store,
    pub head: LogHead,
}

impl<'s> LogWriter<'s> {
    /// Claims a log of the kit's at epoch 1.
    ///
    /// # Panics
    /// When the claim fails.
    pub async fn claim(store: &'s dyn Store, index: u16) -> Self {
        Self { store, head: store.claim(log_id(index), Epoch(1), None).await.unwrap() }
    }

    #[must_use]
    pub fn log(&self) -> LogId {
        self.head.log
    }

    /// A step of one operation per list of effects, behind the head, and the head after it.
    #[must_use]
    pub fn step(&self, operations: Vec<Vec<Effect>>) -> (Step, LogHead) {
        let mut head = self.head;
        let operations = operations
            .into_iter()
            .map(|effects| {
                let operation = Operation { name: "case".into(), at: Hlc(head.hlc.0 + 1), effects };
                let logged = LoggedOperation::after(&head, operation);
                head = head.advanced_by(&logged);
                logged
            })
            .collect();
        let fence = Fence { epoch: self.head.epoch, writer: self.head.writer, head: self.head.lsn };
        (Step { log: self.head.log, fence, operations }, head)
    }

    /// Appends one operation.
    pub async fn try_append(&mut self, effects: Vec<Effect>) -> Result<()> {
        let (step, head) = self.step(vec![effects]);
        self.store.append(step).await?;
        self.head = head;
        Ok(())
    }

    /// Appends one operation.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn append(&mut self, effects: Vec<Effect>) {
        self.try_append(effects).await.unwrap();
    }
}

/// The conversation of `a` and `b`.
///
/// # Panics
/// When one is no user name.
#[must_use]
pub fn pair(a: &str, b: &str) -> ConversationKey {
    ConversationKey::pair(&UserName::parse(a).unwrap(), &UserName::parse(b).unwrap())
}

/// Entry `seq` of a conversation: message id `seq * 10`, body `body <seq>`.
///
/// # Panics
/// Never.
#[must_use]
pub fn entry(conversation: &ConversationKey, seq: u64) -> Entry {
    Entry {
        conversation: conversation.clone(),
        seq: Seq(seq),
        message_id: MessageId(seq * 10),
        at: Millis(1_795_000_000_000 + seq),
        kind: EntryKind::Message,
        sender: UserName::parse("sender").unwrap(),
        sender_device: None,
        audience: Audience::Everyone,
        target: None,
        idempotency: None,
        ext: Bytes::new(),
        body: Some(format!("body {seq}").into()),
    }
}

/// Appends an entry as it is.
#[must_use]
pub fn append(entry: Entry) -> Effect {
    let body_hash = Hash::of(entry.body.as_deref().unwrap_or_default());
    Effect::Append { entry, body_hash }
}

/// Appends entry `seq`.
#[must_use]
pub fn message(conversation: &ConversationKey, seq: u64) -> Effect {
    append(entry(conversation, seq))
}

/// Appends entry `seq` with an idempotency key.
#[must_use]
pub fn keyed_message(conversation: &ConversationKey, seq: u64, stream: u64, id: u64) -> Effect {
    append(Entry { idempotency: Some(IdempotencyKey { stream, id }), ..entry(conversation, seq) })
}

#[must_use]
pub fn erase(conversation: &ConversationKey, seq: u64) -> Effect {
    Effect::Erase { conversation: conversation.clone(), seq: Seq(seq) }
}

#[must_use]
pub fn object(kind: &'static str, id: &str, rank: i64, version: u64) -> Object {
    let body = format!("{{\"v\":{version}}}").into();
    Object { kind: Kind::new(kind), id: id.to_owned(), rank, version, body }
}

#[must_use]
pub fn relation(kind: &'static str, from: &str, to: &str, rank: i64, body: &'static str) -> Relation {
    let body = Bytes::from_static(body.as_bytes());
    Relation { kind: Kind::new(kind), from: from.to_owned(), to: to.to_owned(), rank, body }
}

#[must_use]
pub fn raise(kind: &'static str, from: &str, to: &str, rank: i64) -> Effect {
    Effect::RaiseRelation(relation(kind, from, to, rank, ""))
}

#[must_use]
pub fn delete_relation(kind: &'static str, from: &str, to: &str) -> Effect {
    Effect::DeleteRelation { kind: Kind::new(kind), from: from.to_owned(), to: to.to_owned() }
}

#[must_use]
pub fn delete_object(kind: &'static str, id: &str) -> Effect {
    Effect::DeleteObject { kind: Kind::new(kind), id: id.to_owned() }
}
