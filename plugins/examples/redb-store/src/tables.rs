//! What is kept where. Keys are tuples that order as the contract's lists do, so that every page is one range.

use crate::error::corrupt;
use meridian_sdk::{
    Bytes, Result,
    types::{
        ConversationKey, Entry, Epoch, Hash, Hlc, Incarnation, Kind, LogHead, LogId, LoggedOperation, Lsn,
        MessageId, Millis, Object, Operation, Relation, Seq,
    },
};
use redb::TableDefinition;

/// log → (epoch, writer, lsn, hlc, chain)
pub(crate) const HEADS: TableDefinition<u64, (u64, u64, u64, u64, &[u8])> = TableDefinition::new("heads");

/// (log, lsn) → (epoch, chain, operation without bodies)
pub(crate) const OPERATIONS: TableDefinition<(u64, u64), OperationValue> = TableDefinition::new("operations");
pub(crate) type OperationValue = (u64, &'static [u8], &'static [u8]);

/// (log, conversation, seq) → (message id, at, header, body)
pub(crate) const ENTRIES: TableDefinition<(u64, &str, u64), EntryValue> = TableDefinition::new("entries");
pub(crate) type EntryValue = (u64, u64, &'static [u8], Option<&'static [u8]>);

/// (log, stream, id, conversation, seq)
pub(crate) const IDEMPOTENCY: TableDefinition<(u64, u64, u64, &str, u64), ()> =
    TableDefinition::new("idempotency");

/// (log, kind, id) → (rank, version, body)
pub(crate) const OBJECTS: TableDefinition<(u64, &str, &str), ObjectValue> = TableDefinition::new("objects");
pub(crate) type ObjectValue = (i64, u64, &'static [u8]);

/// (log, kind, rank, id): the order of lists.
pub(crate) const RANKS: TableDefinition<(u64, &str, i64, &str), ()> = TableDefinition::new("ranks");

/// (log, kind, from, to) → (rank, body)
pub(crate) const RELATIONS: TableDefinition<(u64, &str, &str, &str), RelationValue> =
    TableDefinition::new("relations");
pub(crate) type RelationValue = (i64, &'static [u8]);

type HeadValue<'a> = (u64, u64, u64, u64, &'a [u8]);

pub(crate) fn head_value(head: &LogHead) -> HeadValue<'_> {
    (head.epoch.0, head.writer.0, head.lsn.0, head.hlc.0, &head.chain.0)
}

pub(crate) fn head(verb: &'static str, log: u64, value: HeadValue<'_>) -> Result<LogHead> {
    let (epoch, writer, lsn, hlc, chain) = value;
    Ok(LogHead {
        log: LogId::from_raw(log),
        epoch: Epoch(epoch),
        writer: Incarnation(writer),
        lsn: Lsn(lsn),
        hlc: Hlc(hlc),
        chain: Hash::from_slice(chain).ok_or_else(|| corrupt(verb, "chain"))?,
    })
}

pub(crate) fn entry(
    verb: &'static str,
    (conversation, seq): (&str, u64),
    (message_id, at, header, body): (u64, u64, &[u8], Option<&[u8]>),
) -> Result<Entry> {
    Entry::from_parts(
        ConversationKey::from_stored(conversation),
        Seq(seq),
        MessageId(message_id),
        Millis(at),
        header,
        body.map(Bytes::copy_from_slice),
    )
    .map_err(|error| corrupt(verb, "entry").with_source(error))
}

/// An operation, still without bodies.
pub(crate) fn operation(
    verb: &'static str,
    lsn: u64,
    (epoch, chain, detached): (u64, &[u8], &[u8]),
) -> Result<LoggedOperation> {
    let operation = Operation::decode_detached(detached)
        .map_err(|error| corrupt(verb, "operation").with_source(error))?;
    let chain = Hash::from_slice(chain).ok_or_else(|| corrupt(verb, "chain"))?;
    Ok(LoggedOperation { lsn: Lsn(lsn), epoch: Epoch(epoch), operation, chain })
}

pub(crate) fn object(kind: &str, id: &str, (rank, version, body): (i64, u64, &[u8])) -> Object {
    Object {
        kind: Kind::from_stored(kind),
        id: id.to_owned(),
        rank,
        version,
        body: Bytes::copy_from_slice(body),
    }
}

pub(crate) fn relation(kind: &str, from: &str, to: &str, (rank, body): (i64, &[u8])) -> Relation {
    Relation {
        kind: Kind::from_stored(kind),
        from: from.to_owned(),
        to: to.to_owned(),
        rank,
        body: Bytes::copy_from_slice(body),
    }
}
