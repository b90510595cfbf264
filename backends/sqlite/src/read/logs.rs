//! Logs, their operations, and conversations.

use super::{entry_of, failed, maybe_bytes};
use crate::{
    error,
    numbers::{bits, bound, from_bits, from_ordered, limit, ordered},
    writer,
};
use meridian_ports::{ConversationHead, Direction, EntryRange, IdempotencyHit, Result};
use meridian_types::{
    ConversationKey, Entry, Epoch, Hash, Hlc, IdempotencyKey, Incarnation, LogHead, LogId, LoggedOperation,
    Lsn, MessageId, Millis, Operation, Seq,
};
use sqlx::{
    Row, SqliteConnection,
    sqlite::{SqlitePool, SqliteRow},
};
use std::collections::BTreeSet;

pub(crate) async fn logs(readers: &SqlitePool, after: Option<LogId>, rows: usize) -> Result<Vec<LogHead>> {
    let rows =
        sqlx::query("SELECT id, epoch, writer, lsn, hlc, chain FROM log WHERE id > ? ORDER BY id LIMIT ?")
            .bind(after.map_or(-1, |log| bits(log.raw())))
            .bind(limit(rows))
            .fetch_all(readers)
            .await
            .map_err(failed("logs"))?;
    rows.iter().map(log_head).collect::<sqlx::Result<_>>().map_err(failed("logs"))
}

pub(crate) fn log_head(row: &SqliteRow) -> sqlx::Result<LogHead> {
    Ok(LogHead {
        log: LogId::from_raw(from_bits(row.try_get("id")?)),
        epoch: Epoch(from_bits(row.try_get("epoch")?)),
        writer: Incarnation(from_bits(row.try_get("writer")?)),
        lsn: Lsn(from_bits(row.try_get("lsn")?)),
        hlc: Hlc(from_bits(row.try_get("hlc")?)),
        chain: hash(row)?,
    })
}

fn hash(row: &SqliteRow) -> sqlx::Result<Hash> {
    Hash::from_slice(row.try_get("chain")?).ok_or_else(|| sqlx::Error::Decode("a chain is 32 bytes".into()))
}

pub(crate) async fn operations(
    readers: &SqlitePool,
    log: LogId,
    after: Lsn,
    rows: usize,
) -> Result<Vec<LoggedOperation>> {
    const VERB: &str = "operations";
    // One snapshot for both tables: no body may be missing that the operations read do not erase.
    let mut snapshot = readers.begin().await.map_err(failed(VERB))?;
    let rows = sqlx::query(
        "SELECT lsn, epoch, chain, detached FROM operation WHERE log = ? AND lsn > ? ORDER BY lsn LIMIT ?",
    )
    .bind(bits(log.raw()))
    .bind(bound(after.0))
    .bind(limit(rows))
    .fetch_all(&mut *snapshot)
    .await
    .map_err(failed(VERB))?;
    let mut operations = rows.iter().map(operation_of).collect::<Result<Vec<_>>>()?;
    let entries = operations.iter_mut().flat_map(|logged| logged.operation.appended_mut()).collect();
    attach_bodies(&mut snapshot, log, entries).await.map_err(failed(VERB))?;
    snapshot.commit().await.map_err(failed(VERB))?;
    Ok(operations)
}

fn operation_of(row: &SqliteRow) -> Result<LoggedOperation> {
    const VERB: &str = "operations";
    let read = || -> sqlx::Result<_> {
        let place = (Lsn(from_bits(row.try_get("lsn")?)), Epoch(from_bits(row.try_get("epoch")?)));
        Ok((place, hash(row)?, row.try_get::<&[u8], _>("detached")?))
    };
    let ((lsn, epoch), chain, detached) = read().map_err(failed(VERB))?;
    let operation = Operation::decode_detached(detached)
        .map_err(|error| error::corrupt(VERB, format_args!("operation {lsn}: {error}")))?;
    Ok(LoggedOperation { lsn, epoch, operation, chain })
}

async fn attach_bodies(
    snapshot: &mut SqliteConnection,
    log: LogId,
    mut entries: Vec<&mut Entry>,
) -> sqlx::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let wanted = entries.iter().map(|entry| serde_json::json!([entry.conversation.as_str(), entry.seq.0]));
    let wanted = serde_json::Value::Array(wanted.collect()).to_string();
    let rows = sqlx::query(
        "SELECT j.key AS place, e.body FROM json_each(?1) AS j CROSS JOIN entry AS e \
         ON e.log = ?2 AND e.conversation = j.value ->> 0 AND e.seq = j.value ->> 1 \
         WHERE e.body IS NOT NULL",
    )
    .bind(wanted)
    .bind(bits(log.raw()))
    .fetch_all(snapshot)
    .await?;
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>("place")?).ok();
        if let Some(entry) = place.and_then(|place| entries.get_mut(place)) {
            entry.body = maybe_bytes(&row, "body")?;
        }
    }
    Ok(())
}

pub(crate) async fn entries(
    readers: &SqlitePool,
    log: LogId,
    conversation: &ConversationKey,
    range: EntryRange,
) -> Result<Vec<Entry>> {
    let text = match range.direction {
        Direction::After => {
            "SELECT conversation, seq, message_id, at, header, body FROM entry \
             WHERE log = ? AND conversation = ? AND seq > ? ORDER BY seq LIMIT ?"
        }
        Direction::Before => {
            "SELECT conversation, seq, message_id, at, header, body FROM entry \
             WHERE log = ? AND conversation = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        }
    };
    let rows = sqlx::query(text)
        .bind(bits(log.raw()))
        .bind(conversation.as_str())
        .bind(bound(range.bound.0))
        .bind(limit(range.limit))
        .fetch_all(readers)
        .await
        .map_err(failed("entries"))?;
    rows.iter().map(|row| entry_of("entries", row)).collect()
}

pub(crate) async fn conversation_heads(
    readers: &SqlitePool,
    conversations: &[(LogId, ConversationKey)],
) -> Result<Vec<ConversationHead>> {
    let wanted: Vec<_> = conversations.iter().collect::<BTreeSet<_>>().into_iter().collect();
    let rows = sqlx::query(writer::SELECT_HEADS)
        .bind(writer::wanted_heads(wanted.iter().copied()))
        .fetch_all(readers)
        .await
        .map_err(failed("conversation_heads"))?;
    let head = |row: &SqliteRow| -> sqlx::Result<ConversationHead> {
        let place = usize::try_from(row.try_get::<i64, _>("place")?).ok();
        let (log, conversation) =
            place.and_then(|place| wanted.get(place)).ok_or(sqlx::Error::RowNotFound)?;
        Ok(ConversationHead {
            log: *log,
            conversation: conversation.clone(),
            seq: Seq(from_bits(row.try_get("seq")?)),
            message_id: MessageId(from_bits(row.try_get("message_id")?)),
            at: Millis(from_bits(row.try_get("at")?)),
        })
    };
    rows.iter().map(head).collect::<sqlx::Result<_>>().map_err(failed("conversation_heads"))
}

pub(crate) async fn idempotency(
    readers: &SqlitePool,
    log: LogId,
    key: IdempotencyKey,
) -> Result<Option<IdempotencyHit>> {
    let row = sqlx::query(
        "SELECT idempotency_id, conversation, seq, message_id, at FROM entry \
         WHERE log = ? AND idempotency_stream = ? AND idempotency_id <= ? \
         ORDER BY idempotency_id DESC, conversation, seq LIMIT 1",
    )
    .bind(bits(log.raw()))
    .bind(bits(key.stream))
    .bind(ordered(key.id))
    .fetch_optional(readers)
    .await
    .map_err(failed("idempotency"))?;
    let hit = |row: &SqliteRow| -> sqlx::Result<IdempotencyHit> {
        Ok(IdempotencyHit {
            id: from_ordered(row.try_get("idempotency_id")?),
            conversation: ConversationKey::from_stored(row.try_get("conversation")?),
            seq: Seq(from_bits(row.try_get("seq")?)),
            message_id: MessageId(from_bits(row.try_get("message_id")?)),
            at: Millis(from_bits(row.try_get("at")?)),
        })
    };
    row.as_ref().map(hit).transpose().map_err(failed("idempotency"))
}
