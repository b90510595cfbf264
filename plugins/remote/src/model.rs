//! The store's model on the wire, both ways. What does not decode is named; whose fault that is, the caller knows.

use crate::proto::{self, effect::Change};
use meridian_sdk::types::{
    ConversationKey, Effect, Entry, Epoch, Hash, Hlc, Incarnation, Kind, LogHead, LogId, LoggedOperation,
    Lsn, MessageId, Millis, Object, Operation, Relation, Seq,
};

/// Why a message is none of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It breaks the protocol.
    Field(&'static str),
    /// An effect of a later version.
    UnknownEffect,
}

pub(crate) type Decoded<T> = Result<T, Wrong>;

pub(crate) fn log_id(raw: u64) -> Decoded<LogId> {
    Some(LogId::from_raw(raw)).filter(|log| log.raw() == raw).ok_or(Wrong::Field("log"))
}

fn hash(bytes: &[u8]) -> Decoded<Hash> {
    Hash::from_slice(bytes).ok_or(Wrong::Field("hash of 32 bytes"))
}

fn from_hash(hash: &Hash) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&hash.0)
}

pub(crate) fn from_head(head: &LogHead) -> proto::LogHead {
    proto::LogHead {
        log: head.log.raw(),
        epoch: head.epoch.0,
        writer: head.writer.0,
        lsn: head.lsn.0,
        hlc: head.hlc.0,
        chain: from_hash(&head.chain),
    }
}

pub(crate) fn to_head(head: proto::LogHead) -> Decoded<LogHead> {
    Ok(LogHead {
        log: log_id(head.log)?,
        epoch: Epoch(head.epoch),
        writer: Incarnation(head.writer),
        lsn: Lsn(head.lsn),
        hlc: Hlc(head.hlc),
        chain: hash(&head.chain)?,
    })
}

pub(crate) fn from_entry(entry: Entry) -> proto::Entry {
    let header = entry.encode_header();
    let idempotency = entry.idempotency.map(|key| proto::IdempotencyKey { stream: key.stream, id: key.id });
    proto::Entry {
        conversation: entry.conversation.to_string(),
        seq: entry.seq.0,
        message_id: entry.message_id.0,
        at: entry.at.0,
        header,
        body: entry.body,
        idempotency,
    }
}

pub(crate) fn to_entry(entry: proto::Entry) -> Decoded<Entry> {
    let place = (Seq(entry.seq), MessageId(entry.message_id), Millis(entry.at));
    let conversation = ConversationKey::from_stored(&entry.conversation);
    Entry::from_parts(conversation, place.0, place.1, place.2, &entry.header, entry.body)
        .map_err(|_| Wrong::Field("header of an entry"))
}

pub(crate) fn from_object(object: Object) -> proto::Object {
    let Object { kind, id, rank, version, body } = object;
    proto::Object { kind: kind.as_str().to_owned(), id, rank, version, body }
}

pub(crate) fn to_object(object: proto::Object) -> Object {
    let proto::Object { kind, id, rank, version, body } = object;
    Object { kind: Kind::from_stored(&kind), id, rank, version, body }
}

pub(crate) fn from_relation(relation: Relation) -> proto::Relation {
    let Relation { kind, from, to, rank, body } = relation;
    proto::Relation { kind: kind.as_str().to_owned(), from, to, rank, body }
}

pub(crate) fn to_relation(relation: proto::Relation) -> Relation {
    let proto::Relation { kind, from, to, rank, body } = relation;
    Relation { kind: Kind::from_stored(&kind), from, to, rank, body }
}

pub(crate) fn from_operation(logged: LoggedOperation) -> Decoded<proto::Operation> {
    let LoggedOperation { lsn, epoch, operation, chain } = logged;
    Ok(proto::Operation {
        lsn: lsn.0,
        epoch: epoch.0,
        chain: from_hash(&chain),
        name: operation.name.into_owned(),
        hlc: operation.at.0,
        effects: operation.effects.into_iter().map(from_effect).collect::<Decoded<_>>()?,
    })
}

pub(crate) fn to_operation(logged: proto::Operation) -> Decoded<LoggedOperation> {
    let effects = logged.effects.into_iter().map(to_effect).collect::<Decoded<_>>()?;
    Ok(LoggedOperation {
        lsn: Lsn(logged.lsn),
        epoch: Epoch(logged.epoch),
        operation: Operation { name: logged.name.into(), at: Hlc(logged.hlc), effects },
        chain: hash(&logged.chain)?,
    })
}

fn from_effect(effect: Effect) -> Decoded<proto::Effect> {
    let text = |kind: Kind| kind.as_str().to_owned();
    let change = match effect {
        Effect::Append { entry, body_hash } => Change::Append(proto::effect::Append {
            entry: Some(from_entry(entry)),
            body_hash: from_hash(&body_hash),
        }),
        Effect::Erase { conversation, seq } => {
            Change::Erase(proto::effect::Erase { conversation: conversation.to_string(), seq: seq.0 })
        }
        Effect::PutObject(object) => Change::PutObject(from_object(object)),
        Effect::DeleteObject { kind, id } => {
            Change::DeleteObject(proto::effect::DeleteObject { kind: text(kind), id })
        }
        Effect::PutRelation(relation) => Change::PutRelation(from_relation(relation)),
        Effect::RaiseRelation(relation) => Change::RaiseRelation(from_relation(relation)),
        Effect::DeleteRelation { kind, from, to } => {
            Change::DeleteRelation(proto::effect::DeleteRelation { kind: text(kind), from, to })
        }
        _ => return Err(Wrong::UnknownEffect),
    };
    Ok(proto::Effect { change: Some(change) })
}

fn to_effect(effect: proto::Effect) -> Decoded<Effect> {
    Ok(match effect.change.ok_or(Wrong::UnknownEffect)? {
        Change::Append(append) => Effect::Append {
            entry: to_entry(append.entry.ok_or(Wrong::Field("entry"))?)?,
            body_hash: hash(&append.body_hash)?,
        },
        Change::Erase(erase) => Effect::Erase {
            conversation: ConversationKey::from_stored(&erase.conversation),
            seq: Seq(erase.seq),
        },
        Change::PutObject(object) => Effect::PutObject(to_object(object)),
        Change::DeleteObject(key) => Effect::DeleteObject { kind: Kind::from_stored(&key.kind), id: key.id },
        Change::PutRelation(relation) => Effect::PutRelation(to_relation(relation)),
        Change::RaiseRelation(relation) => Effect::RaiseRelation(to_relation(relation)),
        Change::DeleteRelation(key) => {
            Effect::DeleteRelation { kind: Kind::from_stored(&key.kind), from: key.from, to: key.to }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_none_of_the_model_is_named() {
        let operation = |chain: &[u8], effects| proto::Operation {
            chain: bytes::Bytes::copy_from_slice(chain),
            effects,
            ..proto::Operation::default()
        };
        assert!(to_operation(operation(&[0; 32], vec![])).is_ok());
        assert_eq!(to_operation(operation(&[0; 31], vec![])), Err(Wrong::Field("hash of 32 bytes")));
        let unknown = proto::Effect { change: None };
        assert_eq!(to_operation(operation(&[0; 32], vec![unknown])), Err(Wrong::UnknownEffect));
        let empty = Change::Append(proto::effect::Append::default());
        let empty = proto::Effect { change: Some(empty) };
        assert_eq!(to_operation(operation(&[0; 32], vec![empty])), Err(Wrong::Field("entry")));
        assert_eq!(to_entry(proto::Entry::default()), Err(Wrong::Field("header of an entry")));
        assert_eq!(log_id(1 << 48), Err(Wrong::Field("log")));
    }
}
