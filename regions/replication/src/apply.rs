//! Operations from elsewhere, checked, into a store.

use crate::error::{ReplicationError, of_log};
use meridian_ports::Store;
use meridian_types::{Effect, Fence, Hash, LogHead, LoggedOperation, Step};

/// Appends operations that follow `head`, which the caller has claimed at `target`, and gives the new head. They are
/// checked first: when one does not follow, nothing is written.
///
/// The epoch of the head rises with that of the operations, by a claim at the target.
pub async fn apply(
    target: &dyn Store,
    head: &LogHead,
    operations: Vec<LoggedOperation>,
) -> Result<LogHead, ReplicationError> {
    let reached = check_follows(head, &operations)?;
    if operations.is_empty() {
        return Ok(*head);
    }
    let mut head = *head;
    if reached.epoch > head.epoch {
        let claim = target.claim(head.log, reached.epoch, Some(head.writer));
        head = claim.await.map_err(of_log(head.log))?;
    }
    let fence = Fence { epoch: head.epoch, writer: head.writer, head: head.lsn };
    let step = Step { log: head.log, fence, operations };
    target.append(step).await.map_err(of_log(head.log))?;
    // The log's own epoch is that of its claim: it may be ahead of operations that are being caught up.
    Ok(LogHead { epoch: head.epoch, writer: head.writer, ..reached })
}

/// Checks that operations follow `head` without a hole, by an unbroken chain, and that their bodies are the ones that
/// were hashed. Gives the head after them.
pub fn check_follows(head: &LogHead, operations: &[LoggedOperation]) -> Result<LogHead, ReplicationError> {
    let log = head.log;
    let mut reached = *head;
    let mut epoch = None;
    for logged in operations {
        let (expected, lsn) = (reached.lsn.next(), logged.lsn);
        if lsn != expected {
            return Err(ReplicationError::NotDense { log, expected, found: lsn });
        }
        if let Some(reached) = epoch.filter(|epoch| *epoch > logged.epoch) {
            return Err(ReplicationError::EpochWentBack { log, lsn, reached, found: logged.epoch });
        }
        if !logged.follows(reached.lsn, &reached.chain) {
            return Err(ReplicationError::Chain { log, lsn });
        }
        check_bodies(head, logged)?;
        epoch = Some(logged.epoch);
        reached = reached.advanced_by(logged);
    }
    Ok(reached)
}

/// The chain covers a body's hash, not the body.
fn check_bodies(head: &LogHead, logged: &LoggedOperation) -> Result<(), ReplicationError> {
    for effect in &logged.operation.effects {
        if let Effect::Append { entry, body_hash } = effect
            && entry.body.as_ref().is_some_and(|body| Hash::of(body) != *body_hash)
        {
            let (log, lsn) = (head.log, logged.lsn);
            let (conversation, seq) = (entry.conversation.clone(), entry.seq);
            return Err(ReplicationError::Body { log, lsn, conversation, seq });
        }
    }
    Ok(())
}
