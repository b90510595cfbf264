//! The stored form of operations and entry headers: protobuf, so that fields can be added and old rows still read.
//! Tags are for ever; a removed field's tag is never used again.

use crate::{
    Audience, ConversationKey, Effect, Entry, EntryKind, Hash, Hlc, IdempotencyKey, Kind, MessageId, Millis,
    Object, Operation, Relation, Resource, Seq, UserName,
};
use bytes::Bytes;
use prost::Message;

/// A stored operation or entry that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("not a valid protobuf record: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("record has no {0}, or an unknown one")]
    Field(&'static str),
}

#[derive(Clone, PartialEq, Message)]
struct PbOperation {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(message, repeated, tag = "3")]
    effects: Vec<PbEffect>,
}

#[derive(Clone, PartialEq, Message)]
struct PbEffect {
    #[prost(oneof = "PbChange", tags = "1, 2, 3, 4, 5, 6, 7")]
    change: Option<PbChange>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum PbChange {
    #[prost(message, tag = "1")]
    Append(PbAppend),
    #[prost(message, tag = "2")]
    Erase(PbErase),
    #[prost(message, tag = "3")]
    PutObject(PbObject),
    #[prost(message, tag = "4")]
    DeleteObject(PbKey),
    #[prost(message, tag = "5")]
    PutRelation(PbRelation),
    #[prost(message, tag = "6")]
    RaiseRelation(PbRelation),
    #[prost(message, tag = "7")]
    DeleteRelation(PbKey),
}

#[derive(Clone, PartialEq, Message)]
struct PbAppend {
    #[prost(string, tag = "1")]
    conversation: String,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(uint64, tag = "3")]
    message_id: u64,
    #[prost(uint64, tag = "4")]
    at: u64,
    #[prost(message, optional, tag = "5")]
    header: Option<PbHeader>,
    #[prost(bytes = "bytes", tag = "6")]
    body_hash: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PbHeader {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    sender: String,
    #[prost(string, tag = "3")]
    sender_device: String,
    #[prost(uint32, tag = "4")]
    audience: u32,
    #[prost(string, tag = "5")]
    audience_device: String,
    #[prost(uint64, optional, tag = "6")]
    target: Option<u64>,
    #[prost(message, optional, tag = "7")]
    idempotency: Option<PbIdempotency>,
    #[prost(bytes = "bytes", tag = "8")]
    ext: Bytes,
    #[prost(string, repeated, tag = "9")]
    audience_people: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct PbIdempotency {
    #[prost(fixed64, tag = "1")]
    stream: u64,
    #[prost(uint64, tag = "2")]
    id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PbErase {
    #[prost(string, tag = "1")]
    conversation: String,
    #[prost(uint64, tag = "2")]
    seq: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PbObject {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(int64, tag = "3")]
    rank: i64,
    #[prost(uint64, tag = "4")]
    version: u64,
    #[prost(bytes = "bytes", tag = "5")]
    body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PbRelation {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    from: String,
    #[prost(string, tag = "3")]
    to: String,
    #[prost(int64, tag = "4")]
    rank: i64,
    #[prost(bytes = "bytes", tag = "5")]
    body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PbKey {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    to: String,
}

pub(crate) fn encode_operation(operation: &Operation) -> Bytes {
    let effects = operation.effects.iter().map(|effect| PbEffect { change: Some(encode_effect(effect)) });
    PbOperation { name: operation.name.to_string(), at: operation.at.0, effects: effects.collect() }
        .encode_to_vec()
        .into()
}

pub(crate) fn decode_operation(bytes: &[u8]) -> Result<Operation, DecodeError> {
    let stored = PbOperation::decode(bytes)?;
    let effects = stored.effects.into_iter().map(decode_effect).collect::<Result<_, _>>()?;
    Ok(Operation { name: stored.name.into(), at: Hlc(stored.at), effects })
}

fn encode_effect(effect: &Effect) -> PbChange {
    let text = |kind: &Kind| kind.as_str().to_owned();
    match effect {
        Effect::Append { entry, body_hash } => PbChange::Append(PbAppend {
            conversation: entry.conversation.to_string(),
            seq: entry.seq.0,
            message_id: entry.message_id.0,
            at: entry.at.0,
            header: Some(encode_header(entry)),
            body_hash: Bytes::copy_from_slice(&body_hash.0),
        }),
        Effect::Erase { conversation, seq } => {
            PbChange::Erase(PbErase { conversation: conversation.to_string(), seq: seq.0 })
        }
        Effect::PutObject(object) => PbChange::PutObject(PbObject {
            kind: text(&object.kind),
            id: object.id.clone(),
            rank: object.rank,
            version: object.version,
            body: object.body.clone(),
        }),
        Effect::DeleteObject { kind, id } => {
            PbChange::DeleteObject(PbKey { kind: text(kind), id: id.clone(), to: String::new() })
        }
        Effect::PutRelation(relation) => PbChange::PutRelation(encode_relation(relation)),
        Effect::RaiseRelation(relation) => PbChange::RaiseRelation(encode_relation(relation)),
        Effect::DeleteRelation { kind, from, to } => {
            PbChange::DeleteRelation(PbKey { kind: text(kind), id: from.clone(), to: to.clone() })
        }
    }
}

fn decode_effect(effect: PbEffect) -> Result<Effect, DecodeError> {
    Ok(match effect.change.ok_or(DecodeError::Field("effect"))? {
        PbChange::Append(append) => {
            let body_hash = Hash::from_slice(&append.body_hash).ok_or(DecodeError::Field("body hash"))?;
            let place = (Seq(append.seq), MessageId(append.message_id), Millis(append.at));
            let header = append.header.ok_or(DecodeError::Field("header"))?;
            let conversation = ConversationKey::from_stored(&append.conversation);
            Effect::Append { entry: decode_header(conversation, place, header, None)?, body_hash }
        }
        PbChange::Erase(erase) => Effect::Erase {
            conversation: ConversationKey::from_stored(&erase.conversation),
            seq: Seq(erase.seq),
        },
        PbChange::PutObject(object) => Effect::PutObject(Object {
            kind: Kind::from_stored(&object.kind),
            id: object.id,
            rank: object.rank,
            version: object.version,
            body: object.body,
        }),
        PbChange::DeleteObject(key) => {
            Effect::DeleteObject { kind: Kind::from_stored(&key.kind), id: key.id }
        }
        PbChange::PutRelation(relation) => Effect::PutRelation(decode_relation(relation)),
        PbChange::RaiseRelation(relation) => Effect::RaiseRelation(decode_relation(relation)),
        PbChange::DeleteRelation(key) => {
            Effect::DeleteRelation { kind: Kind::from_stored(&key.kind), from: key.id, to: key.to }
        }
    })
}

fn encode_relation(relation: &Relation) -> PbRelation {
    PbRelation {
        kind: relation.kind.as_str().to_owned(),
        from: relation.from.clone(),
        to: relation.to.clone(),
        rank: relation.rank,
        body: relation.body.clone(),
    }
}

fn decode_relation(relation: PbRelation) -> Relation {
    let PbRelation { kind, from, to, rank, body } = relation;
    Relation { kind: Kind::from_stored(&kind), from, to, rank, body }
}

fn encode_header(entry: &Entry) -> PbHeader {
    let (audience, audience_device) = match &entry.audience {
        Audience::Everyone => (0, String::new()),
        Audience::Others => (1, String::new()),
        Audience::Device(device) => (2, device.to_string()),
        Audience::Own => (3, String::new()),
        Audience::People(_) => (4, String::new()),
    };
    let audience_people = match &entry.audience {
        Audience::People(people) => people.iter().map(UserName::to_string).collect(),
        _ => Vec::new(),
    };
    PbHeader {
        kind: entry.kind as u32,
        sender: entry.sender.to_string(),
        sender_device: entry.sender_device.as_ref().map(Resource::to_string).unwrap_or_default(),
        audience,
        audience_device,
        target: entry.target.map(|id| id.0),
        idempotency: entry.idempotency.map(|key| PbIdempotency { stream: key.stream, id: key.id }),
        ext: entry.ext.clone(),
        audience_people,
    }
}

fn decode_header(
    conversation: ConversationKey,
    (seq, message_id, at): (Seq, MessageId, Millis),
    header: PbHeader,
    body: Option<Bytes>,
) -> Result<Entry, DecodeError> {
    let device = |text: &str| Resource::parse(text).map_err(|_| DecodeError::Field("device"));
    let user = |text: &str| UserName::parse(text).map_err(|_| DecodeError::Field("audience"));
    Ok(Entry {
        conversation,
        seq,
        message_id,
        at,
        kind: EntryKind::from_number(header.kind).ok_or(DecodeError::Field("entry kind"))?,
        sender: UserName::parse(&header.sender).map_err(|_| DecodeError::Field("sender"))?,
        sender_device: match header.sender_device.as_str() {
            "" => None,
            text => Some(device(text)?),
        },
        audience: match header.audience {
            0 => Audience::Everyone,
            1 => Audience::Others,
            2 => Audience::Device(device(&header.audience_device)?),
            3 => Audience::Own,
            4 => Audience::People(
                header.audience_people.iter().map(|name| user(name)).collect::<Result<_, _>>()?,
            ),
            _ => return Err(DecodeError::Field("audience")),
        },
        target: header.target.map(MessageId),
        idempotency: header.idempotency.map(|key| IdempotencyKey { stream: key.stream, id: key.id }),
        ext: header.ext,
        body,
    })
}

impl Entry {
    /// What a store keeps of an entry beside conversation, `seq`, `message_id`, `at` and body.
    #[must_use]
    pub fn encode_header(&self) -> Bytes {
        encode_header(self).encode_to_vec().into()
    }

    /// Puts an entry together again from its stored parts.
    pub fn from_parts(
        conversation: ConversationKey,
        seq: Seq,
        message_id: MessageId,
        at: Millis,
        header: &[u8],
        body: Option<Bytes>,
    ) -> Result<Self, DecodeError> {
        decode_header(conversation, (seq, message_id, at), PbHeader::decode(header)?, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Incarnation, LogClass, LogHead, LogId, LoggedOperation, Lsn, RegionId, TenantId};

    fn entry() -> Entry {
        let (alice, bob) = (UserName::parse("alice").unwrap(), UserName::parse("bob").unwrap());
        Entry {
            conversation: ConversationKey::pair(&alice, &bob),
            seq: Seq(5),
            message_id: MessageId(77),
            at: Millis(1_700_000_000_000),
            kind: EntryKind::Recall,
            sender: bob,
            sender_device: Some(Resource::parse("webim_web_1").unwrap()),
            audience: Audience::Device(Resource::parse("x").unwrap()),
            target: Some(MessageId(12)),
            idempotency: Some(IdempotencyKey { stream: u64::MAX, id: 3 }),
            ext: Bytes::from_static(b"ext"),
            body: Some(Bytes::from_static(b"body")),
        }
    }

    fn operation() -> Operation {
        let kind = Kind::new("user");
        let relation = Relation {
            kind: kind.clone(),
            from: "a".into(),
            to: "b".into(),
            rank: -4,
            body: Bytes::from_static(b"{}"),
        };
        Operation {
            name: "everything".into(),
            at: Hlc(9),
            effects: vec![
                Effect::Append { entry: entry(), body_hash: Hash::of(b"body") },
                Effect::Erase { conversation: ConversationKey::from_stored("u/a/b"), seq: Seq(1) },
                Effect::PutObject(Object {
                    kind: kind.clone(),
                    id: "alice".into(),
                    rank: 1,
                    version: 2,
                    body: Bytes::from_static(b"{}"),
                }),
                Effect::DeleteObject { kind: kind.clone(), id: "bob".into() },
                Effect::PutRelation(relation),
                Effect::RaiseRelation(Relation {
                    kind: kind.clone(),
                    from: "a".into(),
                    to: "b".into(),
                    rank: 8,
                    body: Bytes::new(),
                }),
                Effect::DeleteRelation { kind, from: "a".into(), to: "c".into() },
            ],
        }
    }

    #[test]
    fn an_operation_comes_back_without_bodies() {
        let original = operation();
        let mut read = Operation::decode_detached(&original.encode_detached()).unwrap();
        assert_ne!(read, original);
        for entry in read.appended_mut() {
            entry.body = Some(Bytes::from_static(b"body"));
        }
        assert_eq!(read, original);
    }

    #[test]
    fn an_entry_comes_back_from_its_parts() {
        let entry = entry();
        let read = Entry::from_parts(
            entry.conversation.clone(),
            entry.seq,
            entry.message_id,
            entry.at,
            &entry.encode_header(),
            entry.body.clone(),
        );
        assert_eq!(read.unwrap(), entry);
    }

    #[test]
    fn named_people_come_back() {
        let people = ["ann", "bob"].map(|name| UserName::parse(name).unwrap());
        let entry = Entry { audience: Audience::People(people.to_vec()), ..entry() };
        let read = Entry::from_parts(
            entry.conversation.clone(),
            entry.seq,
            entry.message_id,
            entry.at,
            &entry.encode_header(),
            entry.body.clone(),
        );
        assert_eq!(read.unwrap(), entry);
    }

    #[test]
    fn a_chain_notices_any_change_but_an_erased_body() {
        let head = LogHead {
            log: LogId::new(TenantId(1), LogClass::Owned, RegionId(0), 0),
            epoch: Epoch(1),
            writer: Incarnation(1),
            lsn: Lsn(0),
            hlc: Hlc(0),
            chain: Hash::default(),
        };
        let logged = LoggedOperation::after(&head, operation());
        assert!(logged.follows(head.lsn, &head.chain));

        let mut erased = logged.clone();
        erased.operation.appended_mut().for_each(|entry| entry.body = None);
        assert!(erased.follows(head.lsn, &head.chain));

        let mut renamed = logged.clone();
        renamed.operation.name = "other".into();
        assert!(!renamed.follows(head.lsn, &head.chain));
        assert!(!logged.follows(Lsn(1), &head.chain));
    }

    /// Rows written by the first version must stay readable: these bytes are what it wrote.
    #[test]
    fn the_stored_form_does_not_drift() {
        let stored = operation().encode_detached();
        assert_eq!(
            Hash::of(&stored).0[..4],
            GOLDEN_PREFIX,
            "stored form changed: {:02x?}",
            &Hash::of(&stored).0[..4]
        );
    }

    const GOLDEN_PREFIX: [u8; 4] = [0xca, 0x5e, 0x1b, 0x4a];
}
