//! One transaction for many steps of many logs.

use super::{batch::Batch, claim::StoredHead, heads::ConversationHeads, tables::Tables};
use crate::{
    error::Failure,
    numbers::from_bits,
    step::{EntryRow, PreparedStep},
};
use meridian_types::LogId;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;

/// Commits the steps that may be taken and gives each its verdict. An error means that nothing of the group was
/// written, unless it says otherwise; the transaction may still be open then.
pub(crate) async fn commit(
    connection: &mut SqliteConnection,
    tables: &Tables,
    conversations: &mut ConversationHeads,
    steps: &[PreparedStep],
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let mut heads = begin(connection, steps).await?;
    let key = |step: &PreparedStep, row: &EntryRow| (step.log, row.conversation.clone());
    let appended: Vec<_> =
        steps.iter().flat_map(|step| step.appended().map(|row| key(step, row)).collect::<Vec<_>>()).collect();
    let mut lasts = conversations.load(connection, appended).await?;

    let mut batch = Batch::default();
    let verdicts: Vec<_> = steps.iter().map(|step| batch.add(step, &mut heads, &mut lasts)).collect();
    if batch.is_empty() {
        sqlx::query("ROLLBACK").execute(connection).await?;
        return Ok(verdicts);
    }
    batch.write(connection, tables).await?;
    sqlx::query("COMMIT").execute(connection).await.map_err(|error| Failure::of_commit(&error))?;
    conversations.remember(lasts);
    Ok(verdicts)
}

/// Begins the transaction and reads the heads of its logs, in one hand-over. IMMEDIATE: they are still the heads at the
/// commit.
async fn begin(
    connection: &mut SqliteConnection,
    steps: &[PreparedStep],
) -> Result<HashMap<LogId, StoredHead>, Failure> {
    let ids: Vec<_> = steps.iter().map(|step| step.log.raw()).collect();
    let rows =
        sqlx::query("BEGIN IMMEDIATE; SELECT id, epoch, writer, lsn FROM log WHERE id IN (SELECT value FROM json_each(?))")
            .bind(serde_json::Value::from(ids).to_string())
            .fetch_all(connection)
            .await?;
    let mut heads = HashMap::with_capacity(rows.len());
    for row in rows {
        let head = StoredHead::new(row.try_get("epoch")?, row.try_get("writer")?, row.try_get("lsn")?);
        heads.insert(LogId::from_raw(from_bits(row.try_get("id")?)), head);
    }
    Ok(heads)
}
