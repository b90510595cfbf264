//! Claims and steps: one transaction each, dropped as a whole by any error before its commit.

use crate::{
    error::{In, engine},
    tables::{self, ENTRIES, HEADS, IDEMPOTENCY, OBJECTS, OPERATIONS, RANKS, RELATIONS},
};
use meridian_sdk::{
    Error, ErrorKind, Result,
    types::{
        Effect, Entry, Epoch, Hash, Hlc, Incarnation, LogHead, LogId, LoggedOperation, Lsn, Object, Relation,
        Seq, Step,
    },
};
use redb::{Database, ReadableTable, WriteTransaction};

pub(crate) fn claim(
    database: &Database,
    log: LogId,
    epoch: Epoch,
    expected: Option<Incarnation>,
) -> Result<LogHead> {
    const VERB: &str = "claim";
    let transaction = database.begin_write().within(VERB)?;
    let mut head = stored_head(VERB, &transaction, log)?.unwrap_or(LogHead {
        log,
        epoch,
        writer: Incarnation(0),
        lsn: Lsn(0),
        hlc: Hlc(0),
        chain: Hash::default(),
    });
    if expected.is_some_and(|expected| expected != head.writer) {
        return Err(Error::new(ErrorKind::Conflict, VERB, format!("log {log} has writer {}", head.writer)));
    }
    if epoch < head.epoch {
        return Err(Error::new(ErrorKind::Fenced, VERB, format!("log {log} is at epoch {}", head.epoch)));
    }
    head.epoch = epoch;
    head.writer = Incarnation(head.writer.0 + 1);
    write_head(VERB, &transaction, &head)?;
    commit(VERB, transaction)?;
    Ok(head)
}

pub(crate) fn append(database: &Database, step: &Step) -> Result<()> {
    const VERB: &str = "append";
    let lsns = step.operations.iter().map(|logged| logged.lsn.0.checked_sub(step.fence.head.0));
    if step.operations.is_empty() || !lsns.zip(1..).all(|(offset, place)| offset == Some(place)) {
        let message = format!("operations of log {} are empty or not dense", step.log);
        return Err(Error::new(ErrorKind::Invalid, VERB, message));
    }
    let transaction = database.begin_write().within(VERB)?;
    let Some(mut head) = stored_head(VERB, &transaction, step.log)? else {
        return Err(Error::new(ErrorKind::Fenced, VERB, format!("log {} was never claimed", step.log)));
    };
    let fence = &step.fence;
    if (head.epoch, head.writer, head.lsn) != (fence.epoch, fence.writer, fence.head) {
        let message =
            format!("log {} is at epoch {}, writer {}, lsn {}", step.log, head.epoch, head.writer, head.lsn);
        return Err(Error::new(ErrorKind::Fenced, VERB, message));
    }
    for logged in &step.operations {
        write_operation(VERB, &transaction, step.log, logged)?;
        for effect in &logged.operation.effects {
            apply(VERB, &transaction, step.log, effect)?;
        }
        // Only claims change a log's epoch: a replica may take older operations under a newer one.
        head = LogHead { epoch: head.epoch, ..head.advanced_by(logged) };
    }
    write_head(VERB, &transaction, &head)?;
    commit(VERB, transaction)
}

/// A commit that fails may have reached the disk.
fn commit(verb: &'static str, transaction: WriteTransaction) -> Result<()> {
    transaction.commit().map_err(|error| engine(verb, error).maybe_done())
}

fn stored_head(verb: &'static str, transaction: &WriteTransaction, log: LogId) -> Result<Option<LogHead>> {
    let heads = transaction.open_table(HEADS).within(verb)?;
    let stored = heads.get(log.raw()).within(verb)?;
    stored.map(|stored| tables::head(verb, log.raw(), stored.value())).transpose()
}

fn write_head(verb: &'static str, transaction: &WriteTransaction, head: &LogHead) -> Result<()> {
    let mut heads = transaction.open_table(HEADS).within(verb)?;
    heads.insert(head.log.raw(), tables::head_value(head)).within(verb)?;
    Ok(())
}

fn write_operation(
    verb: &'static str,
    transaction: &WriteTransaction,
    log: LogId,
    logged: &LoggedOperation,
) -> Result<()> {
    let mut operations = transaction.open_table(OPERATIONS).within(verb)?;
    let detached = logged.operation.encode_detached();
    let value = (logged.epoch.0, logged.chain.0.as_slice(), detached.as_ref());
    operations.insert((log.raw(), logged.lsn.0), value).within(verb)?;
    Ok(())
}

fn apply(verb: &'static str, transaction: &WriteTransaction, log: LogId, effect: &Effect) -> Result<()> {
    match effect {
        Effect::Append { entry, .. } => append_entry(verb, transaction, log, entry),
        Effect::Erase { conversation, seq } => {
            erase(verb, transaction, (log.raw(), conversation.as_str(), seq.0))
        }
        Effect::PutObject(object) => put_object(verb, transaction, log, object),
        Effect::DeleteObject { kind, id } => delete_object(verb, transaction, log, kind.as_str(), id),
        Effect::PutRelation(relation) => {
            let mut relations = transaction.open_table(RELATIONS).within(verb)?;
            let key = (log.raw(), relation.kind.as_str(), relation.from.as_str(), relation.to.as_str());
            relations.insert(key, (relation.rank, relation.body.as_ref())).within(verb)?;
            Ok(())
        }
        Effect::RaiseRelation(relation) => raise(verb, transaction, log, relation),
        Effect::DeleteRelation { kind, from, to } => {
            let mut relations = transaction.open_table(RELATIONS).within(verb)?;
            relations.remove((log.raw(), kind.as_str(), from.as_str(), to.as_str())).within(verb)?;
            Ok(())
        }
        // Nothing is durable that was not understood.
        _ => Err(Error::new(ErrorKind::Unsupported, verb, "an effect this store does not know")),
    }
}

fn append_entry(verb: &'static str, transaction: &WriteTransaction, log: LogId, entry: &Entry) -> Result<()> {
    let conversation = entry.conversation.as_str();
    let mut entries = transaction.open_table(ENTRIES).within(verb)?;
    let all = (log.raw(), conversation, 0)..=(log.raw(), conversation, u64::MAX);
    let last = entries.range(all).within(verb)?.next_back().transpose().within(verb)?;
    let last = last.map_or(Seq(0), |(key, _)| Seq(key.value().2));
    if entry.seq != last.next() {
        let message = format!("entry {} of {:?} does not follow {last}", entry.seq, entry.conversation);
        return Err(Error::new(ErrorKind::Invalid, verb, message));
    }
    let header = entry.encode_header();
    let value = (entry.message_id.0, entry.at.0, header.as_ref(), entry.body.as_deref());
    entries.insert((log.raw(), conversation, entry.seq.0), value).within(verb)?;
    if let Some(key) = entry.idempotency {
        let mut idempotency = transaction.open_table(IDEMPOTENCY).within(verb)?;
        idempotency.insert((log.raw(), key.stream, key.id, conversation, entry.seq.0), ()).within(verb)?;
    }
    Ok(())
}

fn erase(verb: &'static str, transaction: &WriteTransaction, key: (u64, &str, u64)) -> Result<()> {
    let mut entries = transaction.open_table(ENTRIES).within(verb)?;
    let Some((message_id, at, header)) = entries.get(key).within(verb)?.map(|stored| {
        let (message_id, at, header, _) = stored.value();
        (message_id, at, header.to_vec())
    }) else {
        return Ok(());
    };
    entries.insert(key, (message_id, at, header.as_slice(), None)).within(verb)?;
    Ok(())
}

fn put_object(verb: &'static str, transaction: &WriteTransaction, log: LogId, object: &Object) -> Result<()> {
    let (log, kind, id) = (log.raw(), object.kind.as_str(), object.id.as_str());
    delete_object(verb, transaction, LogId::from_raw(log), kind, id)?;
    let mut objects = transaction.open_table(OBJECTS).within(verb)?;
    objects.insert((log, kind, id), (object.rank, object.version, object.body.as_ref())).within(verb)?;
    let mut ranks = transaction.open_table(RANKS).within(verb)?;
    ranks.insert((log, kind, object.rank, id), ()).within(verb)?;
    Ok(())
}

fn delete_object(
    verb: &'static str,
    transaction: &WriteTransaction,
    log: LogId,
    kind: &str,
    id: &str,
) -> Result<()> {
    let mut objects = transaction.open_table(OBJECTS).within(verb)?;
    let rank = objects.remove((log.raw(), kind, id)).within(verb)?.map(|stored| stored.value().0);
    if let Some(rank) = rank {
        let mut ranks = transaction.open_table(RANKS).within(verb)?;
        ranks.remove((log.raw(), kind, rank, id)).within(verb)?;
    }
    Ok(())
}

fn raise(verb: &'static str, transaction: &WriteTransaction, log: LogId, raised: &Relation) -> Result<()> {
    let key = (log.raw(), raised.kind.as_str(), raised.from.as_str(), raised.to.as_str());
    let mut relations = transaction.open_table(RELATIONS).within(verb)?;
    let new = (raised.rank, raised.body.as_ref());
    let is_greater = relations.get(key).within(verb)?.is_none_or(|stored| new > stored.value());
    if is_greater {
        relations.insert(key, new).within(verb)?;
    }
    Ok(())
}
