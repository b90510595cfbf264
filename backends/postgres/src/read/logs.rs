//! Logs, their operations, and conversations.

use super::{entry_of, maybe_bytes, patiently};
use crate::{
    connect::Servers,
    numbers::{bits, bound, from_bits, from_ordered, limit, ordered},
};
use meridian_ports::{ConversationHead, Direction, EntryRange, IdempotencyHit, Result};
use meridian_types::{
    ConversationKey, Entry, Epoch, Hash, Hlc, IdempotencyKey, Incarnation, LogHead, LogId, LoggedOperation,
    Lsn, MessageId, Millis, Operation, Seq,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::BTreeSet;

pub(crate) async fn logs(servers: &Servers, after: Option<LogId>, rows: usize) -> Result<Vec<LogHead>> {
    patiently(servers, "logs", |pool| async move {
        let rows = sqlx::query(
            "SELECT id, epoch, writer, lsn, hlc, chain FROM log WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after.map_or(-1, |log| bits(log.raw())))
        .bind(limit(rows))
        .fetch_all(&pool)
        .await?;
        rows.iter().map(log_head).collect()
    })
    .await
}

pub(crate) fn log_head(row: &PgRow) -> sqlx::Result<LogHead> {
    Ok(LogHead {
        log: LogId::from_raw(from_bits(row.try_get("id")?)),
        epoch: Epoch(from_bits(row.try_get("epoch")?)),
        writer: Incarnation(from_bits(row.try_get("writer")?)),
        lsn: Lsn(from_bits(row.try_get("lsn")?)),
        hlc: Hlc(from_bits(row.try_get("hlc")?)),
        chain: hash(row)?,
    })
}

fn hash(row: &PgRow) -> sqlx::Result<Hash> {
    Hash::from_slice(row.try_get("chain")?).ok_or_else(|| sqlx::Error::Decode("a chain is 32 bytes".into()))
}

pub(crate) async fn operations(
    servers: &Servers,
    log: LogId,
    after: Lsn,
    rows: usize,
) -> Result<Vec<LoggedOperation>> {
    patiently(servers, "operations", |pool| async move {
        // One snapshot for both tables: no body may be missing that the operations read do not erase.
        let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let rows = sqlx::query(
            "SELECT lsn, epoch, chain, detached FROM operation WHERE log = $1 AND lsn > $2 ORDER BY lsn LIMIT $3",
        )
        .bind(bits(log.raw()))
        .bind(bound(after.0))
        .bind(limit(rows))
        .fetch_all(&mut *snapshot)
        .await?;
        let mut operations = rows.iter().map(operation_of).collect::<sqlx::Result<Vec<_>>>()?;
        let entries = operations.iter_mut().flat_map(|logged| logged.operation.appended_mut()).collect();
        attach_bodies(&mut snapshot, log, entries).await?;
        snapshot.commit().await?;
        Ok(operations)
    })
    .await
}

fn operation_of(row: &PgRow) -> sqlx::Result<LoggedOperation> {
    let lsn = Lsn(from_bits(row.try_get("lsn")?));
    let operation = Operation::decode_detached(row.try_get("detached")?)
        .map_err(|error| sqlx::Error::Decode(format!("operation {lsn}: {error}").into()))?;
    Ok(LoggedOperation { lsn, epoch: Epoch(from_bits(row.try_get("epoch")?)), operation, chain: hash(row)? })
}

async fn attach_bodies(
    snapshot: &mut PgConnection,
    log: LogId,
    mut entries: Vec<&mut Entry>,
) -> sqlx::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let conversations: Vec<_> = entries.iter().map(|entry| entry.conversation.as_str().to_owned()).collect();
    let seqs: Vec<_> = entries.iter().map(|entry| bits(entry.seq.0)).collect();
    let rows = sqlx::query(
        "SELECT w.place, e.body FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS w (conversation, seq, place) \
         JOIN entry AS e ON e.log = $1 AND e.conversation = w.conversation COLLATE \"C\" AND e.seq = w.seq \
         WHERE e.body IS NOT NULL",
    )
    .bind(bits(log.raw()))
    .bind(conversations)
    .bind(seqs)
    .fetch_all(snapshot)
    .await?;
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>("place")? - 1).ok();
        if let Some(entry) = place.and_then(|place| entries.get_mut(place)) {
            entry.body = maybe_bytes(&row, "body")?;
        }
    }
    Ok(())
}

pub(crate) async fn entries(
    servers: &Servers,
    log: LogId,
    conversation: &ConversationKey,
    range: EntryRange,
) -> Result<Vec<Entry>> {
    let text = match range.direction {
        Direction::After => {
            "SELECT conversation, seq, message_id, at, header, body FROM entry \
             WHERE log = $1 AND conversation = $2 AND seq > $3 ORDER BY seq LIMIT $4"
        }
        Direction::Before => {
            "SELECT conversation, seq, message_id, at, header, body FROM entry \
             WHERE log = $1 AND conversation = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"
        }
    };
    patiently(servers, "entries", |pool| async move {
        let rows = sqlx::query(text)
            .bind(bits(log.raw()))
            .bind(conversation.as_str())
            .bind(bound(range.bound.0))
            .bind(limit(range.limit))
            .fetch_all(&pool)
            .await?;
        rows.iter().map(entry_of).collect()
    })
    .await
}

pub(crate) async fn conversation_heads(
    servers: &Servers,
    conversations: &[(LogId, ConversationKey)],
) -> Result<Vec<ConversationHead>> {
    let wanted: Vec<_> = conversations.iter().collect::<BTreeSet<_>>().into_iter().collect();
    let logs: Vec<_> = wanted.iter().map(|(log, _)| bits(log.raw())).collect();
    let names: Vec<_> = wanted.iter().map(|(_, conversation)| conversation.as_str()).collect();
    let (wanted, logs, names) = (&wanted, &logs, &names);
    patiently(servers, "conversation_heads", |pool| async move {
        let rows = sqlx::query(
            "SELECT w.place, e.seq, e.message_id, e.at \
             FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS w (log, conversation, place) \
             CROSS JOIN LATERAL (SELECT seq, message_id, at FROM entry WHERE log = w.log \
             AND conversation = w.conversation COLLATE \"C\" ORDER BY seq DESC LIMIT 1) AS e",
        )
        .bind(logs)
        .bind(names)
        .fetch_all(&pool)
        .await?;
        let head = |row: &PgRow| -> sqlx::Result<ConversationHead> {
            let place = usize::try_from(row.try_get::<i64, _>("place")? - 1).ok();
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
        rows.iter().map(head).collect()
    })
    .await
}

pub(crate) async fn idempotency(
    servers: &Servers,
    log: LogId,
    key: IdempotencyKey,
) -> Result<Option<IdempotencyHit>> {
    patiently(servers, "idempotency", |pool| async move {
        let row = sqlx::query(
            "SELECT idempotency_id, conversation, seq, message_id, at FROM entry \
             WHERE log = $1 AND idempotency_stream = $2 AND idempotency_id <= $3 \
             ORDER BY idempotency_id DESC, conversation, seq LIMIT 1",
        )
        .bind(bits(log.raw()))
        .bind(bits(key.stream))
        .bind(ordered(key.id))
        .fetch_optional(&pool)
        .await?;
        let hit = |row: &PgRow| -> sqlx::Result<IdempotencyHit> {
            Ok(IdempotencyHit {
                id: from_ordered(row.try_get("idempotency_id")?),
                conversation: ConversationKey::from_stored(row.try_get("conversation")?),
                seq: Seq(from_bits(row.try_get("seq")?)),
                message_id: MessageId(from_bits(row.try_get("message_id")?)),
                at: Millis(from_bits(row.try_get("at")?)),
            })
        };
        row.as_ref().map(hit).transpose()
    })
    .await
}
