//! A log's operations from one shard to another, checked on the way.

use crate::error::corrupt;
use meridian_ports::{Error, ErrorKind, Result, Store};
use meridian_types::{Effect, Fence, Hash, LogHead, LogId, LoggedOperation, Lsn, Step};

/// Operations per step.
const BATCH: usize = 256;

/// The head of a log, if it exists.
pub(crate) async fn head(store: &dyn Store, log: LogId) -> Result<Option<LogHead>> {
    let before = log.raw().checked_sub(1).map(LogId::from_raw);
    Ok(store.logs(before, 1).await?.into_iter().find(|head| head.log == log))
}

/// Brings `target` up to where `source` stands now. The target's log is claimed. Gives the target's new head.
pub(crate) async fn copy(source: &dyn Store, target: &dyn Store, log: LogId) -> Result<LogHead> {
    let Some(until) = head(source, log).await? else {
        return Err(Error::new(ErrorKind::NotFound, "copy", format!("there is no log {log}")));
    };
    let mut reached = target.claim(log, until.epoch, None).await?;
    if reached.lsn > until.lsn || chain_at(source, log, reached.lsn).await? != Some(reached.chain) {
        let message = format!("the copy of log {log} has other operations, at lsn {}", reached.lsn);
        return Err(Error::new(ErrorKind::Conflict, "copy", message));
    }
    while reached.lsn < until.lsn {
        let rest = usize::try_from(until.lsn.0 - reached.lsn.0).unwrap_or(BATCH);
        let operations = source.operations(log, reached.lsn, rest.min(BATCH)).await?;
        if operations.is_empty() {
            return Err(corrupt("copy", format!("log {log} ends at lsn {}, before its head", reached.lsn)));
        }
        let mut next = reached;
        for logged in &operations {
            check(log, &next, logged)?;
            next = next.advanced_by(logged);
        }
        let fence = Fence { epoch: reached.epoch, writer: reached.writer, head: reached.lsn };
        target.append(Step { log, fence, operations }).await?;
        // The epoch is the claim's: it may be ahead of operations that are being caught up.
        reached = LogHead { epoch: reached.epoch, ..next };
    }
    if reached.chain != until.chain {
        return Err(corrupt("copy", format!("the chain of log {log} does not end in its head's")));
    }
    Ok(reached)
}

fn check(log: LogId, head: &LogHead, logged: &LoggedOperation) -> Result<()> {
    if !logged.follows(head.lsn, &head.chain) {
        return Err(corrupt("copy", format!("the chain of log {log} breaks at lsn {}", logged.lsn)));
    }
    for effect in &logged.operation.effects {
        if let Effect::Append { entry, body_hash } = effect
            && entry.body.as_ref().is_some_and(|body| Hash::of(body) != *body_hash)
        {
            return Err(corrupt(
                "copy",
                format!("a body of log {log}, lsn {}, has another hash", logged.lsn),
            ));
        }
    }
    Ok(())
}

/// The chain at a place of a log; `None` when there is no such place.
async fn chain_at(store: &dyn Store, log: LogId, lsn: Lsn) -> Result<Option<Hash>> {
    if lsn.0 == 0 {
        return Ok(Some(Hash::default()));
    }
    let one = store.operations(log, Lsn(lsn.0 - 1), 1).await?;
    Ok(one.first().filter(|logged| logged.lsn == lsn).map(|logged| logged.chain))
}
