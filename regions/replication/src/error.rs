//! What can be wrong with a log, named by log and place.

use meridian_types::{ConversationKey, Epoch, LogId, Lsn, Seq};

/// Why operations were not applied, or a store did not verify.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicationError {
    #[error("log {log}: expected lsn {expected}, found {found}")]
    NotDense { log: LogId, expected: Lsn, found: Lsn },
    #[error("log {log}: the chain breaks at lsn {lsn}")]
    Chain { log: LogId, lsn: Lsn },
    #[error("log {log}: lsn {lsn} is of epoch {found}, after epoch {reached}")]
    EpochWentBack { log: LogId, lsn: Lsn, reached: Epoch, found: Epoch },
    #[error("log {log}: the body of {conversation:?} {seq}, appended at lsn {lsn}, has another hash")]
    Body { log: LogId, lsn: Lsn, conversation: ConversationKey, seq: Seq },
    #[error("log {log}: {conversation:?} goes on with {found} at lsn {lsn}, {expected} was expected")]
    ConversationNotDense { log: LogId, lsn: Lsn, conversation: ConversationKey, expected: Seq, found: Seq },
    #[error("log {log}: the head is at lsn {head}, the operations end at {found}")]
    Head { log: LogId, head: Lsn, found: Lsn },
    #[error("log {log}: the target at lsn {target} has other operations than the source")]
    Diverged { log: LogId, target: Lsn },
    #[error("log {log}: the target is at lsn {target}, the source only at {source_head}")]
    TargetAhead { log: LogId, target: Lsn, source_head: Lsn },
    #[error("log {log}: its records are not what its operations make ({shape})")]
    Records { log: LogId, shape: &'static str },
    #[error("log {log}")]
    Store { log: LogId, source: meridian_ports::Error },
    #[error("the list of logs cannot be read")]
    Logs { source: meridian_ports::Error },
}

/// Names the log that a store failed for.
pub(crate) fn of_log(log: LogId) -> impl Fn(meridian_ports::Error) -> ReplicationError {
    move |source| ReplicationError::Store { log, source }
}
