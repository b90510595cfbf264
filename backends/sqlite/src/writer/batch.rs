//! What a group writes: the changes of its accepted steps, folded so that each row is written once and the order in which
//! tables are written does not matter.

use super::{claim::StoredHead, heads::Lasts, tables::Tables};
use crate::{
    error::Failure,
    numbers::{bits, ordered},
    step::{Change, EntryRow, NewHead, OperationRow, PreparedStep},
};
use meridian_ports::ErrorKind;
use meridian_types::{ConversationKey, Kind, LogId, Object, Seq};
use sqlx::SqliteConnection;
use std::collections::{BTreeMap, HashMap};

/// Rows in key order land side by side in the tables.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    /// From the committed head to the new one.
    logs: BTreeMap<LogId, (StoredHead, NewHead)>,
    operations: Vec<(LogId, &'a OperationRow)>,
    entries: BTreeMap<(LogId, &'a ConversationKey, Seq), &'a EntryRow>,
    erased: Vec<(LogId, &'a ConversationKey, Seq)>,
    /// `None` deletes.
    objects: BTreeMap<(LogId, &'a Kind, &'a str), Option<&'a Object>>,
    relations: BTreeMap<(LogId, &'a Kind, &'a str, &'a str), RelationChange<'a>>,
}

enum RelationChange<'a> {
    Put {
        rank: i64,
        body: &'a [u8],
    },
    /// Over what is stored, which is not known here.
    Raise {
        rank: i64,
        body: &'a [u8],
    },
    Delete,
}

impl<'a> Batch<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Adds a step unless its fence or its entries forbid it. `heads` and `lasts` stand where the group has come to.
    pub(crate) fn add(
        &mut self,
        step: &'a PreparedStep,
        heads: &mut HashMap<LogId, StoredHead>,
        lasts: &mut Lasts,
    ) -> Result<(), Failure> {
        let log = step.log;
        let fence = StoredHead { epoch: step.fence.epoch, writer: step.fence.writer, lsn: step.fence.head };
        let Some(head) = heads.get_mut(&log) else {
            return Err(Failure::new(ErrorKind::Fenced, format!("log {log} was never claimed")));
        };
        if *head != fence {
            let StoredHead { epoch, writer, lsn } = *head;
            let message = format!("log {log} is at epoch {epoch}, writer {writer}, lsn {lsn}");
            return Err(Failure::new(ErrorKind::Fenced, message));
        }
        check_entries(step, lasts)?;

        self.logs.entry(log).or_insert((*head, step.head)).1 = step.head;
        head.lsn = step.head.lsn;
        self.operations.extend(step.operations.iter().map(|row| (log, row)));
        for change in &step.changes {
            self.fold(log, change, lasts);
        }
        Ok(())
    }

    fn fold(&mut self, log: LogId, change: &'a Change, lasts: &mut Lasts) {
        match change {
            Change::Append(entry) => {
                lasts.insert((log, entry.conversation.clone()), entry.seq);
                self.entries.insert((log, &entry.conversation, entry.seq), entry);
            }
            Change::Erase { conversation, seq } => {
                // Erasures are written after entries, so one of an entry that only comes later must be left out here.
                // A conversation that is not in `lasts` gets no entry in this group.
                let last = lasts.get(&(log, conversation.clone()));
                if last.is_none_or(|last| seq <= last) {
                    self.erased.push((log, conversation, *seq));
                }
            }
            Change::PutObject(object) => {
                self.objects.insert((log, &object.kind, &object.id), Some(object));
            }
            Change::DeleteObject { kind, id } => {
                self.objects.insert((log, kind, id), None);
            }
            Change::PutRelation(relation) => {
                let key = (log, &relation.kind, relation.from.as_str(), relation.to.as_str());
                let put = RelationChange::Put { rank: relation.rank, body: &relation.body };
                self.relations.insert(key, put);
            }
            Change::RaiseRelation(relation) => {
                let key = (log, &relation.kind, relation.from.as_str(), relation.to.as_str());
                let raised = (relation.rank, &relation.body[..]);
                match self.relations.get_mut(&key) {
                    Some(RelationChange::Put { rank, body } | RelationChange::Raise { rank, body }) => {
                        (*rank, *body) = raised.max((*rank, *body));
                    }
                    Some(deleted @ RelationChange::Delete) => {
                        *deleted = RelationChange::Put { rank: raised.0, body: raised.1 };
                    }
                    None => {
                        self.relations.insert(key, RelationChange::Raise { rank: raised.0, body: raised.1 });
                    }
                }
            }
            Change::DeleteRelation { kind, from, to } => {
                self.relations.insert((log, kind, from, to), RelationChange::Delete);
            }
        }
    }

    /// Writes everything inside the open transaction.
    pub(crate) async fn write(
        self,
        connection: &mut SqliteConnection,
        tables: &Tables,
    ) -> Result<(), Failure> {
        let logs: Vec<_> = self.logs.into_iter().collect();
        let moved = tables.logs.write(connection, &logs, |(log, (from, to)), row| {
            row.number(bits(log.raw()))?;
            row.number(bits(from.epoch.0))?;
            row.number(bits(from.writer.0))?;
            row.number(bits(from.lsn.0))?;
            row.number(bits(to.lsn.0))?;
            row.number(bits(to.hlc.0))?;
            row.bytes(&to.chain.0)
        });
        if moved.await? != logs.len() as u64 {
            return Err(Failure::new(ErrorKind::Fenced, "a log was moved by another writer"));
        }
        write_operations(connection, tables, &self.operations).await?;
        write_entries(connection, tables, &self.entries.into_iter().collect::<Vec<_>>()).await?;
        tables
            .erased
            .write(connection, &self.erased, |(log, conversation, seq), row| {
                row.number(bits(log.raw()))?;
                row.text(conversation.as_str())?;
                row.number(crate::numbers::bound(seq.0))
            })
            .await?;
        write_objects(connection, tables, &self.objects.into_iter().collect::<Vec<_>>()).await?;
        write_relations(connection, tables, &self.relations.into_iter().collect::<Vec<_>>()).await?;
        Ok(())
    }
}

fn check_entries(step: &PreparedStep, lasts: &Lasts) -> Result<(), Failure> {
    let mut reached = HashMap::<&ConversationKey, Seq>::new();
    for entry in step.appended() {
        let conversation = &entry.conversation;
        let last = reached
            .entry(conversation)
            .or_insert_with(|| lasts.get(&(step.log, conversation.clone())).copied().unwrap_or_default());
        if entry.seq != last.next() {
            let message = format!("entry {} of {conversation:?} does not follow {last}", entry.seq);
            return Err(Failure::new(ErrorKind::Invalid, message));
        }
        *last = entry.seq;
    }
    Ok(())
}

async fn write_operations(
    connection: &mut SqliteConnection,
    tables: &Tables,
    operations: &[(LogId, &OperationRow)],
) -> Result<(), sqlx::Error> {
    let written = tables.operations.write(connection, operations, |(log, operation), row| {
        row.number(bits(log.raw()))?;
        row.number(bits(operation.lsn.0))?;
        row.number(bits(operation.epoch))?;
        row.bytes(&operation.chain.0)?;
        row.bytes(&operation.detached)
    });
    written.await.map(drop)
}

async fn write_entries(
    connection: &mut SqliteConnection,
    tables: &Tables,
    entries: &[((LogId, &ConversationKey, Seq), &EntryRow)],
) -> Result<(), sqlx::Error> {
    let written = tables.entries.write(connection, entries, |((log, conversation, seq), entry), row| {
        row.number(bits(log.raw()))?;
        row.text(conversation.as_str())?;
        row.number(bits(seq.0))?;
        row.number(bits(entry.message_id.0))?;
        row.number(bits(entry.at.0))?;
        row.maybe_number(entry.idempotency.map(|key| bits(key.stream)))?;
        row.maybe_number(entry.idempotency.map(|key| ordered(key.id)))?;
        row.bytes(&entry.header)?;
        row.maybe_bytes(entry.body.as_deref())
    });
    written.await.map(drop)
}

type ObjectChange<'a> = ((LogId, &'a Kind, &'a str), Option<&'a Object>);

async fn write_objects(
    connection: &mut SqliteConnection,
    tables: &Tables,
    objects: &[ObjectChange<'_>],
) -> Result<(), sqlx::Error> {
    let put: Vec<_> = objects.iter().filter_map(|(key, object)| object.map(|object| (key, object))).collect();
    let deleted: Vec<_> = objects.iter().filter(|(_, object)| object.is_none()).map(|(key, _)| key).collect();
    let written = tables.objects.write(connection, &put, |((log, kind, id), object), row| {
        row.number(bits(log.raw()))?;
        row.text(kind.as_str())?;
        row.text(id)?;
        row.number(object.rank)?;
        row.number(bits(object.version))?;
        row.bytes(&object.body)
    });
    written.await?;
    let written = tables.deleted_objects.write(connection, &deleted, |(log, kind, id), row| {
        row.number(bits(log.raw()))?;
        row.text(kind.as_str())?;
        row.text(id)
    });
    written.await.map(drop)
}

type RelationRow<'a> = ((LogId, &'a Kind, &'a str, &'a str), RelationChange<'a>);

async fn write_relations(
    connection: &mut SqliteConnection,
    tables: &Tables,
    relations: &[RelationRow<'_>],
) -> Result<(), sqlx::Error> {
    let (mut put, mut raised, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for (key, change) in relations {
        match change {
            RelationChange::Put { rank, body } => put.push((key, *rank, *body)),
            RelationChange::Raise { rank, body } => raised.push((key, *rank, *body)),
            RelationChange::Delete => deleted.push(key),
        }
    }
    for (statement, rows) in [(&tables.relations, put), (&tables.raised_relations, raised)] {
        let written = statement.write(connection, &rows, |((log, kind, from, to), rank, body), row| {
            row.number(bits(log.raw()))?;
            row.text(kind.as_str())?;
            row.text(from)?;
            row.text(to)?;
            row.number(*rank)?;
            row.bytes(body)
        });
        written.await?;
    }
    let written = tables.deleted_relations.write(connection, &deleted, |(log, kind, from, to), row| {
        row.number(bits(log.raw()))?;
        row.text(kind.as_str())?;
        row.text(from)?;
        row.text(to)
    });
    written.await.map(drop)
}
