//! Taking a log for a new writer, in one statement.

use crate::{error::Failure, numbers::bits, read};
use meridian_ports::ErrorKind;
use meridian_types::{Epoch, Incarnation, LogHead, LogId};
use sqlx::PgConnection;

const CLAIM: &str = "\
    INSERT INTO log (id, epoch, writer, lsn, hlc, chain) \
    SELECT $1, $2, 1, 0, 0, decode(repeat('00', 32), 'hex') WHERE $3::bigint IS NULL OR $3 = 0 \
    ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, writer = log.writer + 1 \
    WHERE log.epoch <= excluded.epoch AND ($3::bigint IS NULL OR log.writer = $3) \
    RETURNING id, epoch, writer, lsn, hlc, chain";

const RECLAIM: &str = "\
    UPDATE log SET epoch = $2, writer = writer + 1 WHERE id = $1 AND epoch <= $2 AND writer = $3 \
    RETURNING id, epoch, writer, lsn, hlc, chain";

/// The head, or why the log was not given.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    log: LogId,
    epoch: Epoch,
    expected: Option<Incarnation>,
) -> Result<Result<LogHead, Failure>, sqlx::Error> {
    // A log that is expected to have a writer must not be made.
    let text = if expected.is_some_and(|expected| expected.0 > 0) { RECLAIM } else { CLAIM };
    let row = sqlx::query(text)
        .bind(bits(log.raw()))
        .bind(bits(epoch.0))
        .bind(expected.map(|expected| bits(expected.0)))
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = row {
        return read::log_head(&row).map(Ok);
    }
    let stored = sqlx::query("SELECT id, epoch, writer, lsn, hlc, chain FROM log WHERE id = $1")
        .bind(bits(log.raw()))
        .fetch_optional(connection)
        .await?;
    let stored = stored.as_ref().map(read::log_head).transpose()?;
    let refused = match stored {
        Some(head) if expected.is_none_or(|expected| expected == head.writer) => {
            Failure::new(ErrorKind::Fenced, format!("log {log} is at epoch {}", head.epoch))
        }
        Some(head) => Failure::new(ErrorKind::Conflict, format!("log {log} has writer {}", head.writer)),
        None => Failure::new(ErrorKind::Conflict, format!("log {log} does not exist")),
    };
    Ok(Err(refused))
}
