//! Reads. Each is one statement (or one snapshot), and is tried again while the database changes its mind about who leads.

mod lists;
mod logs;
mod scan;

pub(crate) use lists::{objects, relations};
pub(crate) use logs::{conversation_heads, entries, idempotency, log_head, logs, operations};
pub(crate) use scan::scan;

use crate::{
    connect::Servers,
    error::{self, breaks_connection, lost_a_race},
    numbers::{bits, from_bits},
};
use bytes::Bytes;
use meridian_ports::Result;
use meridian_types::{ConversationKey, Entry, Kind, LogId, MessageId, Millis, Object, Relation, Seq};
use sqlx::{
    Row,
    postgres::{PgPool, PgRow},
};
use std::time::{Duration, Instant};

/// Reads are tried again for so long.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Runs a read until it succeeds, fails for good, or patience ends.
async fn patiently<T, F: Future<Output = sqlx::Result<T>>>(
    servers: &Servers,
    verb: &'static str,
    read: impl Fn(PgPool) -> F,
) -> Result<T> {
    let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        match read(servers.pool.clone()).await {
            Ok(found) => return Ok(found),
            Err(error)
                if begun.elapsed() < PATIENCE && (breaks_connection(&error) || lost_a_race(&error)) =>
            {
                metrics::counter!("postgres_retries_total").increment(1);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                servers.look_around().await;
            }
            Err(error) => return Err(error::failed(verb, error)),
        }
    }
}

pub(crate) async fn object(servers: &Servers, log: LogId, kind: &Kind, id: &str) -> Result<Option<Object>> {
    patiently(servers, "object", |pool| async move {
        let row = sqlx::query(
            "SELECT kind, id, rank, version, body FROM object WHERE log = $1 AND kind = $2 AND id = $3",
        )
        .bind(bits(log.raw()))
        .bind(kind.as_str())
        .bind(id)
        .fetch_optional(&pool)
        .await?;
        row.map(|row| object_of(&row)).transpose()
    })
    .await
}

pub(crate) async fn relation(
    servers: &Servers,
    log: LogId,
    kind: &Kind,
    from: &str,
    to: &str,
) -> Result<Option<Relation>> {
    patiently(servers, "relation", |pool| async move {
        let row = sqlx::query(
            "SELECT kind, from_id, to_id, rank, body FROM relation \
             WHERE log = $1 AND kind = $2 AND from_id = $3 AND to_id = $4",
        )
        .bind(bits(log.raw()))
        .bind(kind.as_str())
        .bind(from)
        .bind(to)
        .fetch_optional(&pool)
        .await?;
        row.map(|row| relation_of(&row)).transpose()
    })
    .await
}

fn log_of(row: &PgRow) -> sqlx::Result<LogId> {
    Ok(LogId::from_raw(from_bits(row.try_get("log")?)))
}

fn entry_of(row: &PgRow) -> sqlx::Result<Entry> {
    let conversation = ConversationKey::from_stored(row.try_get("conversation")?);
    let (seq, message_id) =
        (Seq(from_bits(row.try_get("seq")?)), MessageId(from_bits(row.try_get("message_id")?)));
    let at = Millis(from_bits(row.try_get("at")?));
    let entry = Entry::from_parts(
        conversation.clone(),
        seq,
        message_id,
        at,
        row.try_get("header")?,
        maybe_bytes(row, "body")?,
    );
    entry.map_err(|error| sqlx::Error::Decode(format!("entry {seq} of {conversation:?}: {error}").into()))
}

fn object_of(row: &PgRow) -> sqlx::Result<Object> {
    Ok(Object {
        kind: Kind::from_stored(row.try_get("kind")?),
        id: row.try_get("id")?,
        rank: row.try_get("rank")?,
        version: from_bits(row.try_get("version")?),
        body: Bytes::copy_from_slice(row.try_get("body")?),
    })
}

fn relation_of(row: &PgRow) -> sqlx::Result<Relation> {
    Ok(Relation {
        kind: Kind::from_stored(row.try_get("kind")?),
        from: row.try_get("from_id")?,
        to: row.try_get("to_id")?,
        rank: row.try_get("rank")?,
        body: Bytes::copy_from_slice(row.try_get("body")?),
    })
}

fn maybe_bytes(row: &PgRow, column: &str) -> sqlx::Result<Option<Bytes>> {
    Ok(row.try_get::<Option<&[u8]>, _>(column)?.map(Bytes::copy_from_slice))
}
