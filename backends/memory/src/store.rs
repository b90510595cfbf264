//! The contract, over one map of logs behind one lock that is never held across an await.

use crate::log::Log;
use async_trait::async_trait;
use meridian_ports::{
    ConversationHead, Direction, EntryRange, Error, ErrorKind, IdempotencyHit, ObjectPage, Record,
    RelationPage, Result, ScanCursor, Shape, Store,
};
use meridian_types::{
    ConversationKey, Entry, Epoch, Hash, Hlc, IdempotencyKey, Incarnation, Kind, LogHead, LogId,
    LoggedOperation, Lsn, Object, Relation, Seq, Step,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A store in process memory. See the crate's docs.
#[derive(Debug, Default)]
pub struct MemoryStore {
    logs: Mutex<BTreeMap<LogId, Log>>,
}

impl MemoryStore {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn logs_locked(&self) -> MutexGuard<'_, BTreeMap<LogId, Log>> {
        // A step is checked before it is taken and taking cannot fail, so a poisoned map is still whole.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn describe(&self) -> String {
        concat!("memory ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    async fn claim(&self, log: LogId, epoch: Epoch, expected: Option<Incarnation>) -> Result<LogHead> {
        let mut logs = self.logs_locked();
        let stored = logs.get(&log).map(|log| log.head);
        let mut head = stored.unwrap_or(LogHead {
            log,
            epoch,
            writer: Incarnation(0),
            lsn: Lsn(0),
            hlc: Hlc(0),
            chain: Hash::default(),
        });
        if expected.is_some_and(|expected| expected != head.writer) {
            let message = format!("log {log} has writer {}", head.writer);
            return Err(Error::new(ErrorKind::Conflict, "claim", message));
        }
        if epoch < head.epoch {
            let message = format!("log {log} is at epoch {}", head.epoch);
            return Err(Error::new(ErrorKind::Fenced, "claim", message));
        }
        head.epoch = epoch;
        head.writer = Incarnation(head.writer.0 + 1);
        logs.entry(log).or_insert_with(|| Log::new(head)).head = head;
        Ok(head)
    }

    async fn append(&self, step: Step) -> Result<()> {
        let before = step.fence.head.0;
        let lsns = step.operations.iter().map(|logged| logged.lsn.0.checked_sub(before));
        let dense = lsns.zip(1..).all(|(offset, place)| offset == Some(place));
        if step.operations.is_empty() || !dense {
            let message = format!("operations of log {} are empty or not dense", step.log);
            return Err(Error::new(ErrorKind::Invalid, "append", message));
        }
        let mut logs = self.logs_locked();
        let Some(log) = logs.get_mut(&step.log) else {
            let message = format!("log {} was never claimed", step.log);
            return Err(Error::new(ErrorKind::Fenced, "append", message));
        };
        log.check(&step)?;
        log.take(step);
        Ok(())
    }

    async fn logs(&self, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let logs = self.logs_locked();
        Ok(logs.range((start, Bound::Unbounded)).take(limit).map(|(_, log)| log.head).collect())
    }

    async fn operations(&self, log: LogId, after: Lsn, limit: usize) -> Result<Vec<LoggedOperation>> {
        Ok(self.logs_locked().get(&log).map_or_else(Vec::new, |log| log.operations(after.0, limit)))
    }

    async fn entries(
        &self,
        log: LogId,
        conversation: &ConversationKey,
        range: EntryRange,
    ) -> Result<Vec<Entry>> {
        let key = |seq| (conversation.clone(), seq);
        let logs = self.logs_locked();
        let Some(log) = logs.get(&log) else { return Ok(Vec::new()) };
        let entry = |(_, entry): (_, &Entry)| entry.clone();
        Ok(match range.direction {
            Direction::After => {
                let stretch = (Bound::Excluded(key(range.bound)), Bound::Included(key(Seq(u64::MAX))));
                // An excluded start may not equal the end.
                if range.bound == Seq(u64::MAX) {
                    return Ok(Vec::new());
                }
                log.entries.range(stretch).take(range.limit).map(entry).collect()
            }
            Direction::Before => {
                let stretch = key(Seq(0))..key(range.bound);
                log.entries.range(stretch).rev().take(range.limit).map(entry).collect()
            }
        })
    }

    async fn conversation_heads(
        &self,
        conversations: &[(LogId, ConversationKey)],
    ) -> Result<Vec<ConversationHead>> {
        let logs = self.logs_locked();
        let wanted: BTreeSet<_> = conversations.iter().collect();
        let head = |(log, conversation): &(LogId, ConversationKey)| {
            let entry = logs.get(log)?.last_entry(conversation)?;
            Some(ConversationHead {
                log: *log,
                conversation: conversation.clone(),
                seq: entry.seq,
                message_id: entry.message_id,
                at: entry.at,
            })
        };
        Ok(wanted.into_iter().filter_map(head).collect())
    }

    async fn idempotency(&self, log: LogId, key: IdempotencyKey) -> Result<Option<IdempotencyHit>> {
        let logs = self.logs_locked();
        let Some(log) = logs.get(&log) else { return Ok(None) };
        let from = (IdempotencyKey { stream: key.stream, id: 0 }, ConversationKey::from_stored(""), Seq(0));
        let upto: Vec<_> = log.idempotency.range(from..).take_while(|(stored, ..)| *stored <= key).collect();
        let Some((greatest, ..)) = upto.last() else { return Ok(None) };
        let first = upto.iter().find(|(stored, ..)| stored == greatest);
        Ok(first.and_then(|(stored, conversation, seq)| {
            let entry = log.entries.get(&(conversation.clone(), *seq))?;
            Some(IdempotencyHit {
                id: stored.id,
                conversation: conversation.clone(),
                seq: *seq,
                message_id: entry.message_id,
                at: entry.at,
            })
        }))
    }

    async fn object(&self, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
        let logs = self.logs_locked();
        Ok(logs.get(&log).and_then(|log| log.objects.get(&(kind.clone(), id.to_owned())).cloned()))
    }

    async fn objects(&self, logs: &[LogId], kind: &Kind, page: ObjectPage) -> Result<Vec<(LogId, Object)>> {
        let stored = self.logs_locked();
        let wanted: BTreeSet<_> = logs.iter().copied().collect();
        let mut found = Vec::new();
        for (id, log) in wanted.into_iter().filter_map(|id| stored.get(&id).map(|log| (id, log))) {
            let of_kind = log.objects.range((kind.clone(), String::new())..);
            let of_kind = of_kind.take_while(|((stored, _), _)| stored == kind).map(|(_, object)| object);
            found.extend(of_kind.map(|object| (id, object.clone())));
        }
        if let Some((rank, id)) = page.after {
            found.retain(|(_, object)| (object.rank, &object.id) > (rank, &id));
        }
        found.sort_by(|(log_a, a), (log_b, b)| (a.rank, &a.id, log_a).cmp(&(b.rank, &b.id, log_b)));
        found.truncate(page.limit);
        Ok(found)
    }

    async fn relation(&self, log: LogId, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        let key = (kind.clone(), from.to_owned(), to.to_owned());
        Ok(self.logs_locked().get(&log).and_then(|log| log.relations.get(&key).cloned()))
    }

    async fn relations(
        &self,
        logs: &[LogId],
        kind: &Kind,
        from: &str,
        page: RelationPage,
    ) -> Result<Vec<(LogId, Relation)>> {
        let stored = self.logs_locked();
        let wanted: BTreeSet<_> = logs.iter().copied().collect();
        let key = |to: &str| (kind.clone(), from.to_owned(), to.to_owned());
        let first = Bound::Included(key(""));
        // The least key behind all of `from`.
        let end = Bound::Excluded((kind.clone(), format!("{from}\0"), String::new()));
        let (start, end) = match (&page.after, page.backwards) {
            (None, _) => (first, end),
            (Some(to), false) => (Bound::Excluded(key(to)), end),
            (Some(to), true) => (first, Bound::Excluded(key(to))),
        };
        let mut found = Vec::new();
        for (id, log) in wanted.into_iter().filter_map(|id| stored.get(&id).map(|log| (id, log))) {
            let of_one = log.relations.range((start.clone(), end.clone()));
            let of_one = of_one.map(|(_, relation)| (id, relation.clone()));
            match page.backwards {
                true => found.extend(of_one.rev().take(page.limit)),
                false => found.extend(of_one.take(page.limit)),
            }
        }
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
        let logs = self.logs_locked();
        let Some(log) = logs.get(&log) else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        match (shape, after) {
            (Shape::Entries, None) => records.extend(Log::page(&log.entries, None, limit).map(Record::Entry)),
            (Shape::Entries, Some(ScanCursor::Entry(conversation, seq))) => {
                records.extend(Log::page(&log.entries, Some((conversation, seq)), limit).map(Record::Entry));
            }
            (Shape::Objects, None) => {
                records.extend(Log::page(&log.objects, None, limit).map(Record::Object));
            }
            (Shape::Objects, Some(ScanCursor::Object(kind, id))) => {
                records.extend(Log::page(&log.objects, Some((kind, id)), limit).map(Record::Object));
            }
            (Shape::Relations, None) => {
                records.extend(Log::page(&log.relations, None, limit).map(Record::Relation));
            }
            (Shape::Relations, Some(ScanCursor::Relation(kind, from, to))) => {
                let page = Log::page(&log.relations, Some((kind, from, to)), limit);
                records.extend(page.map(Record::Relation));
            }
            _ => return Err(Error::new(ErrorKind::Invalid, "scan", "the cursor is of another shape")),
        }
        Ok(records)
    }
}
