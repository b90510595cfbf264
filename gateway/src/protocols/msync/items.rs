//! What is delivered: entries as items, in a delivery frame.
//!
//! Written by hand and not through the generated types: the body, most of the bytes, is copied once, straight into
//! the frame, and names are not cloned. The tests read the result back with the generated types.

use super::{
    frame::{CONFERENCE_DOMAIN, USER_DOMAIN, begin_envelope, jid},
    notices,
};
use bytes::{BufMut, Bytes, BytesMut};
use meridian_types::{
    AppKey, Audience, ConversationKey, Entry, EntryKind, Millis, MucId, MucKind, Resource, UserName,
    msync::{Jid, m_sync::Command},
};
use prost::encoding::{encode_varint, encoded_len_varint};
use std::borrow::Cow;

/// The name space of messages.
const CHAT: u64 = 1;

/// Whose connection it is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) app: AppKey,
    pub(super) user: UserName,
    pub(super) attached_at: Millis,
}

/// Who reads what is delivered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reader<'a> {
    Me(&'a Identity),
    /// Whoever is in a room of this app.
    All(&'a AppKey),
}

impl<'a> Reader<'a> {
    pub(super) fn app(self) -> &'a str {
        match self {
            Self::Me(me) => me.app.as_str(),
            Self::All(app) => app.as_str(),
        }
    }

    /// `None`: it could be anybody but those whom it is about.
    pub(super) fn user(self) -> Option<&'a UserName> {
        match self {
            Self::Me(me) => Some(&me.user),
            Self::All(_) => None,
        }
    }
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// The client acknowledges with this key.
    Key(u64),
    /// Deliver and forget: the client sends nothing back.
    Last,
}

/// What a queue is called: who is talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QueueName {
    User(UserName),
    /// A group, thread or room.
    Conference(String),
}

impl QueueName {
    fn as_str(&self) -> &str {
        match self {
            Self::User(name) => name.as_str(),
            Self::Conference(id) => id,
        }
    }

    fn domain(&self) -> &'static str {
        match self {
            Self::User(_) => USER_DOMAIN,
            Self::Conference(_) => CONFERENCE_DOMAIN,
        }
    }

    pub(super) fn jid(&self, app: &str) -> Jid {
        jid(app, self.as_str(), self.domain())
    }
}

#[derive(Clone, Copy, Debug)]
struct Address<'a> {
    app: &'a str,
    name: &'a str,
    domain: &'static str,
    resource: Option<&'a str>,
}

const ONLINE: &[u8] = br#"{"is_online":1}"#;
const OFFLINE: &[u8] = br#"{"is_online":0}"#;

/// A delivery of entries of one queue. Entries without a body, which were recalled meanwhile, are left out.
pub(super) fn delivery<'a>(
    reader: Reader<'_>,
    queue: &QueueName,
    entries: impl Iterator<Item = &'a Entry> + Clone,
    cursor: Cursor,
) -> Bytes {
    let queue = Address { app: reader.app(), name: queue.as_str(), domain: queue.domain(), resource: None };
    let items = entries.filter_map(|entry| Item::new(reader, entry));
    let (key, last) = match cursor {
        Cursor::Key(key) => (Some(key), false),
        Cursor::Last => (None, true),
    };
    let mut length = STATUS_AND_META_ID.len() + 2 + embedded(queue.length());
    length += items.clone().map(|item| embedded(item.length())).sum::<usize>();
    length += key.map_or(0, |key| 1 + encoded_len_varint(key));

    let mut out = begin_envelope(Command::Sync, length);
    out.put_slice(STATUS_AND_META_ID);
    for item in items {
        begin(&mut out, 4, item.length());
        item.put(&mut out);
    }
    if let Some(key) = key {
        number(&mut out, 5, key);
    }
    begin(&mut out, 6, queue.length());
    queue.put(&mut out);
    number(&mut out, 7, u64::from(last));
    out.freeze()
}

/// `status{errorCode 0}`, `metaId 0`: success, and not the answer to a send.
const STATUS_AND_META_ID: &[u8] = &[0x0a, 0x02, 0x08, 0x00, 0x10, 0x00];

/// The name of the queue that carries a conversation: the peer, or the group.
pub(super) fn queue_name(me: &Identity, conversation: &ConversationKey) -> Option<QueueName> {
    match conversation.muc() {
        Some(id) => Some(QueueName::Conference(id.to_string())),
        None => conversation.peer(&me.user).map(QueueName::User),
    }
}

/// The conversation that a queue carries.
pub(super) fn conversation_of(me: &Identity, queue: &Jid) -> Option<ConversationKey> {
    match queue.domain.as_deref() {
        Some(CONFERENCE_DOMAIN) => MucId::parse(queue.name()).map(ConversationKey::from),
        _ => UserName::parse(queue.name()).ok().map(|peer| ConversationKey::pair(&me.user, &peer)),
    }
}

/// A room stores nothing for those who are away.
fn is_of_room(entry: &Entry) -> bool {
    entry.conversation.muc().is_some_and(|id| id.kind() == MucKind::Room)
}

struct Item<'a> {
    entry: &'a Entry,
    /// What the payload is.
    space: u64,
    body: Cow<'a, [u8]>,
    app: &'a str,
    to: QueueName,
    meta: &'static [u8],
}

impl<'a> Item<'a> {
    fn new(reader: Reader<'a>, entry: &'a Entry) -> Option<Self> {
        let (space, body) = match entry.kind {
            EntryKind::Notice => {
                let (space, body) = notices::render(reader, entry)?;
                (space, Cow::Owned(body))
            }
            _ => (CHAT, Cow::Borrowed(entry.body.as_deref()?)),
        };
        Some(Self {
            entry,
            space,
            body,
            app: reader.app(),
            to: match entry.conversation.muc() {
                Some(id) => QueueName::Conference(id.to_string()),
                None => {
                    let peer = entry.conversation.peer(&entry.sender);
                    QueueName::User(peer.or_else(|| reader.user().cloned())?)
                }
            },
            meta: match reader {
                Reader::Me(me) if entry.at < me.attached_at && !is_of_room(entry) => OFFLINE,
                _ => ONLINE,
            },
        })
    }

    fn from(&self) -> Address<'_> {
        let resource = self.entry.sender_device.as_ref().map(Resource::as_str);
        Address { app: self.app, name: self.entry.sender.as_str(), domain: USER_DOMAIN, resource }
    }

    /// Names a device only when the sender did: the client would show it as part of the name.
    fn to(&self) -> Address<'_> {
        let resource = match &self.entry.audience {
            Audience::Device(device) => Some(device.as_str()),
            _ => None,
        };
        Address { app: self.app, name: self.to.as_str(), domain: self.to.domain(), resource }
    }

    fn length(&self) -> usize {
        2 + encoded_len_varint(self.entry.message_id.0)
            + encoded_len_varint(self.entry.at.0)
            + embedded(self.from().length())
            + embedded(self.to().length())
            + 2
            + embedded(self.body.len())
            + self.entry.ext.len()
            + embedded(self.meta.len())
    }

    fn put(&self, out: &mut BytesMut) {
        number(out, 1, self.entry.message_id.0);
        begin(out, 2, self.from().length());
        self.from().put(out);
        begin(out, 3, self.to().length());
        self.to().put(out);
        number(out, 4, self.entry.at.0);
        number(out, 5, self.space);
        begin(out, 6, self.body.len());
        out.put_slice(&self.body);
        // A serialised `Meta` with only `ext` set: appended, it becomes part of this one.
        out.put_slice(&self.entry.ext);
        begin(out, 9, self.meta.len());
        out.put_slice(self.meta);
    }
}

impl Address<'_> {
    fn length(&self) -> usize {
        embedded(self.app.len())
            + embedded(self.name.len())
            + embedded(self.domain.len())
            + self.resource.map_or(0, |resource| embedded(resource.len()))
    }

    fn put(&self, out: &mut BytesMut) {
        let fields = [Some(self.app), Some(self.name), Some(self.domain), self.resource];
        for (tag, text) in (1..).zip(fields) {
            if let Some(text) = text {
                begin(out, tag, text.len());
                out.put_slice(text.as_bytes());
            }
        }
    }
}

/// Bytes of a length-delimited field with a tag below 16.
fn embedded(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

fn begin(out: &mut BytesMut, tag: u8, length: usize) {
    out.put_u8(tag << 3 | 2);
    encode_varint(length as u64, out);
}

fn number(out: &mut BytesMut, tag: u8, value: u64) {
    out.put_u8(tag << 3);
    encode_varint(value, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::msync::tests_hex::hex;
    use meridian_types::{
        MessageId, Seq,
        msync::{CommSyncDl, KeyValue, MSync, Meta, key_value::Value},
    };
    use prost::Message;

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn peer(text: &str) -> QueueName {
        QueueName::User(name(text))
    }

    #[test]
    fn a_group_has_a_queue_of_its_own() {
        let id = MucId::parse("77").unwrap();
        let entry = Entry { conversation: id.into(), ..entry() };
        let queue = queue_name(&bob(), &entry.conversation).unwrap();
        assert_eq!(conversation_of(&bob(), &queue.jid("org#app")), Some(entry.conversation.clone()));
        let sync = read(&delivery(Reader::Me(&bob()), &queue, [&entry].into_iter(), Cursor::Key(1)));
        let jid = Jid {
            app_key: Some("org#app".into()),
            name: Some("77".into()),
            domain: Some("conference.easemob.com".into()),
            client_resource: None,
        };
        assert_eq!((sync.queue.as_ref(), sync.metas[0].to.as_ref()), (Some(&jid), Some(&jid)));
        assert_eq!(sync.metas[0].from.as_ref().unwrap().domain(), "easemob.com");
    }

    fn bob() -> Identity {
        Identity { app: AppKey::parse("org#app").unwrap(), user: name("bob"), attached_at: Millis(1000) }
    }

    fn entry() -> Entry {
        Entry {
            conversation: ConversationKey::pair(&name("alice"), &name("bob")),
            seq: Seq(1),
            message_id: MessageId(1_882_602_510_530_641_921),
            at: Millis(1_795_389_662_295),
            kind: EntryKind::Message,
            sender: name("alice"),
            sender_device: Some(Resource::parse("webim_random_web_1795389661876").unwrap()),
            audience: Audience::Everyone,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: Some(Bytes::from_static(b"\x08\x01")),
        }
    }

    fn read(frame: &Bytes) -> CommSyncDl {
        CommSyncDl::decode(MSync::decode(frame.clone()).unwrap().payload.unwrap()).unwrap()
    }

    #[test]
    fn a_delivery_is_the_bytes_that_the_sdk_was_seen_to_take() {
        let alice = "0a076f726723617070 1205616c696365 1a0b656173656d6f622e636f6d";
        let resource = "221e776562696d5f72616e646f6d5f7765625f31373935333839363631383736";
        let expected = hex(&format!(
            "0800 4000 4ab501
             0a020800 1000
             228401 088180c0aba4a096901a
               123d {alice} {resource}
               1a1b 0a076f726723617070 1203626f62 1a0b656173656d6f622e636f6d
               20d7c8c0aca034 2801 32020801
               4a0f 7b2269735f6f6e6c696e65223a317d
             28a5c5c0aca034 321d {alice} 3800"
        ));
        let frame = delivery(
            Reader::Me(&bob()),
            &peer("alice"),
            [&entry()].into_iter(),
            Cursor::Key(1_795_389_661_861),
        );
        assert_eq!(frame, expected);
    }

    #[test]
    fn ext_device_and_age_reach_the_item() {
        let ext = KeyValue {
            key: Some("chatroom_msg_tag".into()),
            r#type: Some(2),
            value: Some(Value::VarintValue(1)),
        };
        let mut old = entry();
        old.at = Millis(999);
        old.sender_device = None;
        old.audience = Audience::Device(Resource::parse("b1").unwrap());
        old.ext = Meta { ext: vec![ext.clone()], ..Meta::default() }.encode_to_vec().into();
        let mut recalled = entry();
        recalled.body = None;
        let sync =
            read(&delivery(Reader::Me(&bob()), &peer("alice"), [&old, &recalled].into_iter(), Cursor::Last));
        assert_eq!((sync.next_key, sync.is_last, sync.metas.len()), (None, Some(true), 1));
        let meta = &sync.metas[0];
        assert_eq!(meta.ext, [ext]);
        assert_eq!(meta.meta.as_deref(), Some(OFFLINE));
        assert_eq!(meta.from.as_ref().unwrap().client_resource, None);
        let to = meta.to.clone().unwrap();
        assert_eq!(
            to,
            Jid {
                app_key: Some("org#app".into()),
                name: Some("bob".into()),
                domain: Some("easemob.com".into()),
                client_resource: Some("b1".into())
            }
        );
    }

    #[test]
    fn lengths_are_right_for_bodies_of_every_size() {
        for size in [0, 1, 127, 128, 16_383, 16_384, 300_000] {
            let mut entry = entry();
            entry.body = Some(vec![7; size].into());
            let entries = [&entry, &entry, &entry];
            let sync = read(&delivery(
                Reader::Me(&bob()),
                &peer("alice"),
                entries.into_iter(),
                Cursor::Key(u64::MAX >> 1),
            ));
            assert_eq!(sync.metas.len(), 3);
            assert!(sync.metas.iter().all(|meta| meta.payload.as_ref().unwrap().len() == size));
            assert_eq!((sync.next_key, sync.is_last), (Some(u64::MAX >> 1), Some(false)));
        }
    }

    #[test]
    fn an_own_message_from_another_device_keeps_its_target() {
        let me = Identity { user: name("alice"), ..bob() };
        assert_eq!(queue_name(&me, &entry().conversation), Some(peer("bob")));
        let sync = read(&delivery(Reader::Me(&me), &peer("bob"), [&entry()].into_iter(), Cursor::Key(1)));
        assert_eq!(sync.metas[0].to.as_ref().unwrap().name(), "bob");
        assert_eq!(sync.metas[0].from.as_ref().unwrap().name(), "alice");
    }
}
