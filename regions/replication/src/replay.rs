//! A whole store into another.

use crate::{
    apply::apply,
    error::{ReplicationError, of_log},
    pages::all_logs,
};
use meridian_ports::Store;
use meridian_types::{Hash, LogHead, Lsn};

/// Operations per step.
pub const BATCH: usize = 512;

/// Brings every log of `source` into `target` up to where the source stood when its log was reached, and gives the
/// number of operations applied. Goes on from where the target stands; a log that the target has otherwise is an error.
///
/// The target's logs are claimed, so no other writer may hold them.
pub async fn replay(source: &dyn Store, target: &dyn Store) -> Result<u64, ReplicationError> {
    let mut applied = 0;
    for head in all_logs(source).await? {
        applied += replay_log(source, target, head).await?;
    }
    Ok(applied)
}

async fn replay_log(source: &dyn Store, target: &dyn Store, until: LogHead) -> Result<u64, ReplicationError> {
    let log = until.log;
    let mut head = target.claim(log, until.epoch, None).await.map_err(of_log(log))?;
    if head.lsn > until.lsn {
        return Err(ReplicationError::TargetAhead { log, target: head.lsn, source_head: until.lsn });
    }
    if chain_at(source, &until, head.lsn).await? != head.chain {
        return Err(ReplicationError::Diverged { log, target: head.lsn });
    }
    let mut applied = 0;
    while head.lsn < until.lsn {
        let rest = usize::try_from(until.lsn.0 - head.lsn.0).unwrap_or(BATCH);
        let batch = source.operations(log, head.lsn, rest.min(BATCH)).await.map_err(of_log(log))?;
        if batch.is_empty() {
            return Err(ReplicationError::Head { log, head: until.lsn, found: head.lsn });
        }
        applied += batch.len() as u64;
        head = apply(target, &head, batch).await?;
    }
    Ok(applied)
}

/// The source's chain at a place that the target has reached.
async fn chain_at(source: &dyn Store, head: &LogHead, lsn: Lsn) -> Result<Hash, ReplicationError> {
    if lsn == Lsn(0) {
        return Ok(Hash::default());
    }
    let log = head.log;
    let one = source.operations(log, Lsn(lsn.0 - 1), 1).await.map_err(of_log(log))?;
    match one.first() {
        Some(logged) if logged.lsn == lsn => Ok(logged.chain),
        Some(logged) => Err(ReplicationError::NotDense { log, expected: lsn, found: logged.lsn }),
        None => Err(ReplicationError::Head { log, head: head.lsn, found: Lsn(lsn.0 - 1) }),
    }
}
