//! A step in the form that goes into the tables. It is made in the task of the caller, so that encoding does not hold up
//! the one writer.

use bytes::Bytes;
use meridian_ports::{Error, ErrorKind, Result};
use meridian_types::{
    ConversationKey, Effect, Entry, Fence, Hash, Hlc, IdempotencyKey, Kind, LogId, LoggedOperation, Lsn,
    MessageId, Millis, Object, Relation, Seq, Step,
};

#[derive(Debug)]
pub(crate) struct PreparedStep {
    pub(crate) log: LogId,
    pub(crate) fence: Fence,
    pub(crate) operations: Vec<OperationRow>,
    /// Of all operations, in order.
    pub(crate) changes: Vec<Change>,
    pub(crate) head: NewHead,
}

/// Where the log stands once the step is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewHead {
    pub(crate) lsn: Lsn,
    pub(crate) hlc: Hlc,
    pub(crate) chain: Hash,
}

#[derive(Debug)]
pub(crate) struct OperationRow {
    pub(crate) lsn: Lsn,
    pub(crate) epoch: u64,
    pub(crate) chain: Hash,
    pub(crate) detached: Bytes,
}

#[derive(Debug)]
pub(crate) struct EntryRow {
    pub(crate) conversation: ConversationKey,
    pub(crate) seq: Seq,
    pub(crate) message_id: MessageId,
    pub(crate) at: Millis,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) header: Bytes,
    pub(crate) body: Option<Bytes>,
}

#[derive(Debug)]
pub(crate) enum Change {
    Append(EntryRow),
    Erase { conversation: ConversationKey, seq: Seq },
    PutObject(Object),
    DeleteObject { kind: Kind, id: String },
    PutRelation(Relation),
    RaiseRelation(Relation),
    DeleteRelation { kind: Kind, from: String, to: String },
}

impl PreparedStep {
    /// Checks what can be seen without the store and encodes.
    pub(crate) fn new(step: Step) -> Result<Self> {
        let before = step.fence.head.0;
        let lsns = step.operations.iter().map(|logged| logged.lsn.0.checked_sub(before));
        let dense = lsns.zip(1..).all(|(offset, place)| offset == Some(place));
        let head = step.operations.last().filter(|_| dense).map(|last| NewHead {
            lsn: last.lsn,
            hlc: last.operation.at,
            chain: last.chain,
        });
        let Some(head) = head else {
            let message = format!("operations of log {} are empty or not dense", step.log);
            return Err(Error::new(ErrorKind::Invalid, "append", message));
        };
        let mut operations = Vec::with_capacity(step.operations.len());
        let mut changes = Vec::with_capacity(step.operations.len());
        for LoggedOperation { lsn, epoch, operation, chain } in step.operations {
            operations.push(OperationRow {
                lsn,
                epoch: epoch.0,
                chain,
                detached: operation.encode_detached(),
            });
            for effect in operation.effects {
                changes.push(Change::new(effect)?);
            }
        }
        Ok(Self { log: step.log, fence: step.fence, operations, changes, head })
    }

    pub(crate) fn appended(&self) -> impl Iterator<Item = &EntryRow> {
        self.changes.iter().filter_map(|change| match change {
            Change::Append(entry) => Some(entry),
            _ => None,
        })
    }

    /// Roughly what the step adds to the memory of a group.
    pub(crate) fn bytes(&self) -> usize {
        let detached = self.operations.iter().map(|row| row.detached.len());
        let bodies = self.appended().map(|entry| entry.body.as_ref().map_or(0, Bytes::len));
        detached.chain(bodies).sum()
    }
}

impl Change {
    fn new(effect: Effect) -> Result<Self> {
        Ok(match effect {
            Effect::Append { entry, .. } => Self::Append(EntryRow::new(entry)),
            Effect::Erase { conversation, seq } => Self::Erase { conversation, seq },
            Effect::PutObject(object) => Self::PutObject(object),
            Effect::DeleteObject { kind, id } => Self::DeleteObject { kind, id },
            Effect::PutRelation(relation) => Self::PutRelation(relation),
            Effect::RaiseRelation(relation) => Self::RaiseRelation(relation),
            Effect::DeleteRelation { kind, from, to } => Self::DeleteRelation { kind, from, to },
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "append",
                    "an effect this store does not know",
                ));
            }
        })
    }
}

impl EntryRow {
    fn new(entry: Entry) -> Self {
        Self {
            header: entry.encode_header(),
            conversation: entry.conversation,
            seq: entry.seq,
            message_id: entry.message_id,
            at: entry.at,
            idempotency: entry.idempotency,
            body: entry.body,
        }
    }
}
