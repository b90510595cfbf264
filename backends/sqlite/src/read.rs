//! Reads, each on a snapshot of its own.

mod lists;
mod logs;
mod scan;

pub(crate) use lists::{objects, relations};
pub(crate) use logs::{conversation_heads, entries, idempotency, log_head, logs, operations};
pub(crate) use scan::scan;

use crate::{error, numbers::from_bits};
use bytes::Bytes;
use meridian_ports::{Error, Result};
use meridian_types::{ConversationKey, Entry, Kind, LogId, MessageId, Millis, Object, Relation, Seq};
use sqlx::{
    Row,
    sqlite::{SqlitePool, SqliteRow},
};

/// A read's own words for what went wrong.
fn failed(verb: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| error::failed(verb, error)
}

pub(crate) async fn object(
    readers: &SqlitePool,
    log: LogId,
    kind: &Kind,
    id: &str,
) -> Result<Option<Object>> {
    let row =
        sqlx::query("SELECT kind, id, rank, version, body FROM object WHERE log = ? AND kind = ? AND id = ?")
            .bind(log.raw().cast_signed())
            .bind(kind.as_str())
            .bind(id)
            .fetch_optional(readers)
            .await
            .map_err(failed("object"))?;
    row.map(|row| object_of(&row)).transpose().map_err(failed("object"))
}

pub(crate) async fn relation(
    readers: &SqlitePool,
    log: LogId,
    kind: &Kind,
    from: &str,
    to: &str,
) -> Result<Option<Relation>> {
    let row = sqlx::query(
        "SELECT kind, from_id, to_id, rank, body FROM relation \
         WHERE log = ? AND kind = ? AND from_id = ? AND to_id = ?",
    )
    .bind(log.raw().cast_signed())
    .bind(kind.as_str())
    .bind(from)
    .bind(to)
    .fetch_optional(readers)
    .await
    .map_err(failed("relation"))?;
    row.map(|row| relation_of(&row)).transpose().map_err(failed("relation"))
}

fn log_of(row: &SqliteRow) -> sqlx::Result<LogId> {
    Ok(LogId::from_raw(from_bits(row.try_get("log")?)))
}

/// The entry of a row with conversation, seq, message_id, at, header, body.
fn entry_of(verb: &'static str, row: &SqliteRow) -> Result<Entry> {
    let read = || -> sqlx::Result<_> {
        let conversation = ConversationKey::from_stored(row.try_get("conversation")?);
        let seq = Seq(from_bits(row.try_get("seq")?));
        let message_id = MessageId(from_bits(row.try_get("message_id")?));
        let at = Millis(from_bits(row.try_get("at")?));
        Ok((conversation, seq, message_id, at, row.try_get::<&[u8], _>("header")?, maybe_bytes(row, "body")?))
    };
    let (conversation, seq, message_id, at, header, body) = read().map_err(failed(verb))?;
    Entry::from_parts(conversation.clone(), seq, message_id, at, header, body)
        .map_err(|error| error::corrupt(verb, format_args!("entry {seq} of {conversation:?}: {error}")))
}

fn object_of(row: &SqliteRow) -> sqlx::Result<Object> {
    Ok(Object {
        kind: Kind::from_stored(row.try_get("kind")?),
        id: row.try_get("id")?,
        rank: row.try_get("rank")?,
        version: from_bits(row.try_get("version")?),
        body: Bytes::copy_from_slice(row.try_get("body")?),
    })
}

fn relation_of(row: &SqliteRow) -> sqlx::Result<Relation> {
    Ok(Relation {
        kind: Kind::from_stored(row.try_get("kind")?),
        from: row.try_get("from_id")?,
        to: row.try_get("to_id")?,
        rank: row.try_get("rank")?,
        body: Bytes::copy_from_slice(row.try_get("body")?),
    })
}

fn maybe_bytes(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Bytes>> {
    Ok(row.try_get::<Option<&[u8]>, _>(column)?.map(Bytes::copy_from_slice))
}
