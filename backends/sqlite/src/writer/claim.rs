//! Taking a log for a new writer.

use crate::{
    error::Failure,
    numbers::{bits, from_bits},
    read,
};
use meridian_ports::ErrorKind;
use meridian_types::{Epoch, Hash, Hlc, Incarnation, LogHead, LogId, Lsn};
use sqlx::SqliteConnection;

pub(crate) async fn claim(
    connection: &mut SqliteConnection,
    log: LogId,
    epoch: Epoch,
    expected: Option<Incarnation>,
) -> Result<LogHead, Failure> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let stored = sqlx::query("SELECT id, epoch, writer, lsn, hlc, chain FROM log WHERE id = ?")
        .bind(bits(log.raw()))
        .fetch_optional(&mut *connection)
        .await?;
    let mut head = match stored {
        Some(row) => {
            read::log_head(&row).map_err(|error| Failure::new(ErrorKind::Corrupt, error.to_string()))?
        }
        None => {
            LogHead { log, epoch, writer: Incarnation(0), lsn: Lsn(0), hlc: Hlc(0), chain: Hash::default() }
        }
    };
    if expected.is_some_and(|expected| expected != head.writer) {
        return Err(Failure::new(ErrorKind::Conflict, format!("log {log} has writer {}", head.writer)));
    }
    if epoch < head.epoch {
        return Err(Failure::new(ErrorKind::Fenced, format!("log {log} is at epoch {}", head.epoch)));
    }
    head.epoch = epoch;
    head.writer = Incarnation(head.writer.0 + 1);
    sqlx::query(
        "INSERT INTO log (id, epoch, writer, lsn, hlc, chain) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, writer = excluded.writer",
    )
    .bind(bits(log.raw()))
    .bind(bits(epoch.0))
    .bind(bits(head.writer.0))
    .bind(bits(head.lsn.0))
    .bind(bits(head.hlc.0))
    .bind(head.chain.0.to_vec())
    .execute(&mut *connection)
    .await?;
    sqlx::query("COMMIT").execute(connection).await.map_err(|error| Failure::of_commit(&error))?;
    Ok(head)
}

/// The head of a log as a step's fence sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredHead {
    pub(crate) epoch: Epoch,
    pub(crate) writer: Incarnation,
    pub(crate) lsn: Lsn,
}

impl StoredHead {
    pub(crate) fn new(epoch: i64, writer: i64, lsn: i64) -> Self {
        Self {
            epoch: Epoch(from_bits(epoch)),
            writer: Incarnation(from_bits(writer)),
            lsn: Lsn(from_bits(lsn)),
        }
    }
}
