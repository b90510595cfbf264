//! Reads, each on one snapshot: it holds every step that was acknowledged before, each whole.

use crate::{
    error::{In, corrupt},
    tables::{self, ENTRIES, HEADS, IDEMPOTENCY, OBJECTS, OPERATIONS, RANKS, RELATIONS},
};
use meridian_sdk::{
    Bytes, Error, ErrorKind, Result,
    ports::{
        ConversationHead, Direction, EntryRange, IdempotencyHit, ObjectPage, Record, RelationPage,
        ScanCursor, Shape,
    },
    types::{
        ConversationKey, Entry, IdempotencyKey, Kind, LogHead, LogId, LoggedOperation, Lsn, MessageId,
        Millis, Object, Relation, Seq,
    },
};
use redb::ReadTransaction;
use std::{collections::BTreeSet, ops::Bound};

pub(crate) fn logs(snapshot: &ReadTransaction, after: Option<LogId>, limit: usize) -> Result<Vec<LogHead>> {
    const VERB: &str = "logs";
    let heads = snapshot.open_table(HEADS).within(VERB)?;
    let start = after.map_or(Bound::Unbounded, |log| Bound::Excluded(log.raw()));
    let mut found = Vec::new();
    for row in heads.range::<u64>((start, Bound::Unbounded)).within(VERB)?.take(limit) {
        let (log, value) = row.within(VERB)?;
        found.push(tables::head(VERB, log.value(), value.value())?);
    }
    Ok(found)
}

pub(crate) fn operations(
    snapshot: &ReadTransaction,
    log: LogId,
    after: Lsn,
    limit: usize,
) -> Result<Vec<LoggedOperation>> {
    const VERB: &str = "operations";
    let operations = snapshot.open_table(OPERATIONS).within(VERB)?;
    let entries = snapshot.open_table(ENTRIES).within(VERB)?;
    let Some(first) = after.0.checked_add(1) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let rest = (log.raw(), first)..=(log.raw(), u64::MAX);
    for row in operations.range(rest).within(VERB)?.take(limit) {
        let (key, value) = row.within(VERB)?;
        let mut logged = tables::operation(VERB, key.value().1, value.value())?;
        for entry in logged.operation.appended_mut() {
            let key = (log.raw(), entry.conversation.as_str(), entry.seq.0);
            let stored = entries.get(key).within(VERB)?.ok_or_else(|| corrupt(VERB, "operation's entry"))?;
            entry.body = stored.value().3.map(Bytes::copy_from_slice);
        }
        found.push(logged);
    }
    Ok(found)
}

pub(crate) fn entries(
    snapshot: &ReadTransaction,
    log: LogId,
    conversation: &ConversationKey,
    range: EntryRange,
) -> Result<Vec<Entry>> {
    const VERB: &str = "entries";
    let entries = snapshot.open_table(ENTRIES).within(VERB)?;
    let key = |seq| (log.raw(), conversation.as_str(), seq);
    let (low, high) = match range.direction {
        Direction::After => (range.bound.0.checked_add(1), Some(u64::MAX)),
        Direction::Before => (Some(0), range.bound.0.checked_sub(1)),
    };
    let (Some(low), Some(high)) = (low, high) else { return Ok(Vec::new()) };
    let mut rows = entries.range(key(low)..=key(high)).within(VERB)?;
    let mut found = Vec::new();
    while found.len() < range.limit {
        let row = match range.direction {
            Direction::After => rows.next(),
            Direction::Before => rows.next_back(),
        };
        let Some(row) = row else { break };
        let (key, value) = row.within(VERB)?;
        let (_, conversation, seq) = key.value();
        found.push(tables::entry(VERB, (conversation, seq), value.value())?);
    }
    Ok(found)
}

pub(crate) fn conversation_heads(
    snapshot: &ReadTransaction,
    wanted: BTreeSet<(LogId, ConversationKey)>,
) -> Result<Vec<ConversationHead>> {
    const VERB: &str = "conversation_heads";
    let entries = snapshot.open_table(ENTRIES).within(VERB)?;
    let mut found = Vec::new();
    for (log, conversation) in wanted {
        let all = (log.raw(), conversation.as_str(), 0)..=(log.raw(), conversation.as_str(), u64::MAX);
        if let Some(row) = entries.range(all).within(VERB)?.next_back() {
            let (key, value) = row.within(VERB)?;
            let (seq, (message_id, at, ..)) = (Seq(key.value().2), value.value());
            let (message_id, at) = (MessageId(message_id), Millis(at));
            found.push(ConversationHead { log, conversation: conversation.clone(), seq, message_id, at });
        }
    }
    Ok(found)
}

pub(crate) fn idempotency(
    snapshot: &ReadTransaction,
    log: LogId,
    key: IdempotencyKey,
) -> Result<Option<IdempotencyHit>> {
    const VERB: &str = "idempotency";
    let keys = snapshot.open_table(IDEMPOTENCY).within(VERB)?;
    let entries = snapshot.open_table(ENTRIES).within(VERB)?;
    let (log, stream) = (log.raw(), key.stream);
    // The greatest id that is not above, and of that the first conversation and seq.
    let start = (log, stream, 0, "", 0);
    let greatest = match key.id.checked_add(1) {
        Some(above) => keys.range(start..(log, stream, above, "", 0)).within(VERB)?.next_back(),
        None => match stream.checked_add(1) {
            Some(next) => keys.range(start..(log, next, 0, "", 0)).within(VERB)?.next_back(),
            None => keys.range(start..(log + 1, 0, 0, "", 0)).within(VERB)?.next_back(),
        },
    };
    let Some(greatest) = greatest.transpose().within(VERB)? else { return Ok(None) };
    let id = greatest.0.value().2;
    let Some(first) = keys.range((log, stream, id, "", 0)..).within(VERB)?.next() else { return Ok(None) };
    let first = first.within(VERB)?.0;
    let (_, _, _, conversation, seq) = first.value();
    let entry = entries.get((log, conversation, seq)).within(VERB)?;
    let entry = entry.ok_or_else(|| corrupt(VERB, "idempotency key's entry"))?;
    let (message_id, at, ..) = entry.value();
    Ok(Some(IdempotencyHit {
        id,
        conversation: ConversationKey::from_stored(conversation),
        seq: Seq(seq),
        message_id: MessageId(message_id),
        at: Millis(at),
    }))
}

pub(crate) fn object(
    snapshot: &ReadTransaction,
    log: LogId,
    kind: &Kind,
    id: &str,
) -> Result<Option<Object>> {
    const VERB: &str = "object";
    let objects = snapshot.open_table(OBJECTS).within(VERB)?;
    let stored = objects.get((log.raw(), kind.as_str(), id)).within(VERB)?;
    Ok(stored.map(|stored| tables::object(kind.as_str(), id, stored.value())))
}

pub(crate) fn objects(
    snapshot: &ReadTransaction,
    logs: BTreeSet<LogId>,
    kind: &Kind,
    page: &ObjectPage,
) -> Result<Vec<(LogId, Object)>> {
    const VERB: &str = "objects";
    let ranks = snapshot.open_table(RANKS).within(VERB)?;
    let objects = snapshot.open_table(OBJECTS).within(VERB)?;
    let kind = kind.as_str();
    let mut keys = Vec::new();
    for log in logs {
        let start = match &page.after {
            // A key equal to the cursor's is behind the page in every log.
            Some((rank, id)) => Bound::Excluded((log.raw(), kind, *rank, id.as_str())),
            None => Bound::Included((log.raw(), kind, i64::MIN, "")),
        };
        for row in
            ranks.range::<(u64, &str, i64, &str)>((start, Bound::Unbounded)).within(VERB)?.take(page.limit)
        {
            let key = row.within(VERB)?.0;
            let (of_log, of_kind, rank, id) = key.value();
            if (of_log, of_kind) != (log.raw(), kind) {
                break;
            }
            keys.push((rank, id.to_owned(), log));
        }
    }
    keys.sort();
    keys.truncate(page.limit);
    let read = |(_, id, log): (i64, String, LogId)| {
        let stored = objects.get((log.raw(), kind, id.as_str())).within(VERB)?;
        let stored = stored.ok_or_else(|| corrupt(VERB, "rank's object"))?;
        Ok((log, tables::object(kind, &id, stored.value())))
    };
    keys.into_iter().map(read).collect()
}

pub(crate) fn relation(
    snapshot: &ReadTransaction,
    log: LogId,
    kind: &Kind,
    from: &str,
    to: &str,
) -> Result<Option<Relation>> {
    const VERB: &str = "relation";
    let relations = snapshot.open_table(RELATIONS).within(VERB)?;
    let stored = relations.get((log.raw(), kind.as_str(), from, to)).within(VERB)?;
    Ok(stored.map(|stored| tables::relation(kind.as_str(), from, to, stored.value())))
}

pub(crate) fn relations(
    snapshot: &ReadTransaction,
    logs: BTreeSet<LogId>,
    kind: &Kind,
    from: &str,
    page: &RelationPage,
) -> Result<Vec<(LogId, Relation)>> {
    const VERB: &str = "relations";
    let relations = snapshot.open_table(RELATIONS).within(VERB)?;
    let kind = kind.as_str();
    // The least key behind all of `from`.
    let behind = format!("{from}\0");
    let mut found = Vec::new();
    for log in logs {
        let first = Bound::Included((log.raw(), kind, from, ""));
        let end = Bound::Excluded((log.raw(), kind, behind.as_str(), ""));
        let (start, end) = match (&page.after, page.backwards) {
            (None, _) => (first, end),
            (Some(to), false) => (Bound::Excluded((log.raw(), kind, from, to.as_str())), end),
            (Some(to), true) => (first, Bound::Excluded((log.raw(), kind, from, to.as_str()))),
        };
        let mut rows = relations.range::<(u64, &str, &str, &str)>((start, end)).within(VERB)?;
        for _ in 0..page.limit {
            let row = if page.backwards { rows.next_back() } else { rows.next() };
            let Some(row) = row else { break };
            let (key, value) = row.within(VERB)?;
            let (_, _, _, to) = key.value();
            found.push((log, tables::relation(kind, from, to, value.value())));
        }
    }
    page.merge(&mut found);
    Ok(found)
}

pub(crate) fn scan(
    snapshot: &ReadTransaction,
    log: LogId,
    shape: Shape,
    after: Option<ScanCursor>,
    limit: usize,
) -> Result<Vec<Record>> {
    const VERB: &str = "scan";
    let log = log.raw();
    let mut found = Vec::new();
    match (shape, after) {
        (Shape::Entries, after @ (None | Some(ScanCursor::Entry(..)))) => {
            let entries = snapshot.open_table(ENTRIES).within(VERB)?;
            let start = match &after {
                Some(ScanCursor::Entry(conversation, seq)) => {
                    Bound::Excluded((log, conversation.as_str(), seq.0))
                }
                _ => Bound::Included((log, "", 0)),
            };
            for row in entries.range::<(u64, &str, u64)>((start, Bound::Unbounded)).within(VERB)?.take(limit)
            {
                let (key, value) = row.within(VERB)?;
                let (of_log, conversation, seq) = key.value();
                if of_log != log {
                    break;
                }
                found.push(Record::Entry(tables::entry(VERB, (conversation, seq), value.value())?));
            }
        }
        (Shape::Objects, after @ (None | Some(ScanCursor::Object(..)))) => {
            let objects = snapshot.open_table(OBJECTS).within(VERB)?;
            let start = match &after {
                Some(ScanCursor::Object(kind, id)) => Bound::Excluded((log, kind.as_str(), id.as_str())),
                _ => Bound::Included((log, "", "")),
            };
            for row in objects.range::<(u64, &str, &str)>((start, Bound::Unbounded)).within(VERB)?.take(limit)
            {
                let (key, value) = row.within(VERB)?;
                let (of_log, kind, id) = key.value();
                if of_log != log {
                    break;
                }
                found.push(Record::Object(tables::object(kind, id, value.value())));
            }
        }
        (Shape::Relations, after @ (None | Some(ScanCursor::Relation(..)))) => {
            let relations = snapshot.open_table(RELATIONS).within(VERB)?;
            let start = match &after {
                Some(ScanCursor::Relation(kind, from, to)) => {
                    Bound::Excluded((log, kind.as_str(), from.as_str(), to.as_str()))
                }
                _ => Bound::Included((log, "", "", "")),
            };
            let rows = relations.range::<(u64, &str, &str, &str)>((start, Bound::Unbounded)).within(VERB)?;
            for row in rows.take(limit) {
                let (key, value) = row.within(VERB)?;
                let (of_log, kind, from, to) = key.value();
                if of_log != log {
                    break;
                }
                found.push(Record::Relation(tables::relation(kind, from, to, value.value())));
            }
        }
        (shape, Some(cursor)) => {
            let message = format!("the cursor {cursor:?} is not one of {shape:?}");
            return Err(Error::new(ErrorKind::Invalid, VERB, message));
        }
    }
    Ok(found)
}
