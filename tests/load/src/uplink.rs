//! What the tool sends. Login frames are built once per connection; sends and acknowledgements are made by copying.

use bytes::Bytes;
use meridian_types::msync::{
    CommSyncUl, Jid, MSync, MessageBody, Meta, MucBody, Provision, m_sync::Command, message_body::Content,
    meta::NameSpace, muc_body::Operation, provision::OsType,
};
use prost::{
    Message,
    encoding::{encode_varint, encoded_len_varint},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2010-02-01 UTC in milliseconds: where the SDK's own ids begin.
const ID_ORIGIN_MS: u64 = 1_264_982_400_000;
/// Ids from 2^35 to below 2^42 take six bytes; the SDK's are in there until 2149.
const ID_BYTES: usize = 6;
const NUMBER_DIGITS: usize = 10;
const TIME_DIGITS: usize = 12;
/// Number, a space, time, a space.
pub(crate) const STAMP_LENGTH: usize = NUMBER_DIGITS + 1 + TIME_DIGITS + 1;

fn envelope(command: Command, payload: &impl Message) -> Vec<u8> {
    MSync {
        version: Some(0),
        command: Some(command as i32),
        payload: Some(payload.encode_to_vec().into()),
        encrypt_type: vec![0],
        ..MSync::default()
    }
    .encode_to_vec()
}

pub(crate) fn user_jid(app_key: &str, name: &str) -> Jid {
    Jid {
        app_key: Some(app_key.to_owned()),
        name: Some(name.to_owned()),
        domain: Some("easemob.com".to_owned()),
        client_resource: None,
    }
}

/// The login frame, as the SDK makes it.
pub(crate) fn login(app_key: &str, user: &str, token: &str, resource: &str) -> Bytes {
    let provision = Provision {
        os_type: Some(OsType::OsOther as i32),
        version: Some("4.21.1".into()),
        compress_type: vec![0],
        encrypt_type: vec![0],
        device_uuid: Some(resource.to_owned()),
        device_name: Some("webim".into()),
        resource: Some(resource.to_owned()),
        action_version: Some("v5.2".into()),
        auth_token: Some(format!(r#"{{"token":"$t${token}"}}"#)),
        session_id: Some("1:".into()),
        protocol_compress_type: vec![2],
        ..Provision::default()
    };
    MSync {
        version: Some(0),
        guid: Some(Jid { client_resource: Some(resource.to_owned()), ..user_jid(app_key, user) }),
        auth: Some(format!("$t${token}")),
        command: Some(Command::Provision as i32),
        payload: Some(provision.encode_to_vec().into()),
        device_id: Some(0),
        encrypt_type: vec![0],
        ..MSync::default()
    }
    .encode_to_vec()
    .into()
}

/// Comes into a room, as the SDK does.
pub(crate) fn join_room(app_key: &str, user: &str, room: &str) -> Bytes {
    let conference = Jid { domain: Some("conference.easemob.com".to_owned()), ..user_jid(app_key, room) };
    let body = MucBody {
        muc_id: Some(conference),
        operation: Some(Operation::Join as i32),
        from: Some(Jid { name: Some(user.to_owned()), ..Jid::default() }),
        is_chatroom: Some(true),
        ..MucBody::default()
    };
    let meta = Meta {
        id: Some(1),
        from: Some(user_jid(app_key, user)),
        ns: Some(NameSpace::Muc as i32),
        payload: Some(body.encode_to_vec().into()),
        ..Meta::default()
    };
    envelope(Command::Sync, &CommSyncUl { meta: Some(meta), ..CommSyncUl::default() }).into()
}

pub(crate) fn unread() -> Bytes {
    Bytes::from_static(&[0x08, 0x00, 0x40, 0x01, 0x58, 0x00])
}

/// Asks for what is in a queue; the key acknowledges a batch. `queue` is the address as the server gave it.
pub(crate) fn pull(queue: &[u8], key: Option<u64>) -> Bytes {
    let length =
        key.map_or(0, |key| 1 + encoded_len_varint(key)) + 1 + encoded_len_varint(queue.len() as u64);
    let length = (length + queue.len()) as u64;
    let mut frame = Vec::with_capacity(16 + length as usize);
    frame.extend([0x08, 0x00, 0x40, 0x00, 0x4a]);
    encode_varint(length, &mut frame);
    if let Some(key) = key {
        frame.push(0x10);
        encode_varint(key, &mut frame);
    }
    frame.push(0x1a);
    encode_varint(queue.len() as u64, &mut frame);
    frame.extend(queue);
    frame.extend([0x58, 0x00]);
    frame.into()
}

/// Text messages from one device to one person, numbered 1, 2, 3…: one frame, patched in place.
///
/// The text begins with the number and the time at which the message was due, so that a receiver can tell order and
/// latency; the rest is padding.
#[derive(Debug)]
pub(crate) struct Texts {
    frame: Vec<u8>,
    id_at: usize,
    text_at: usize,
    first_id: u64,
    sent: u64,
}

impl Texts {
    /// `length` is that of the text in bytes, at least [`STAMP_LENGTH`].
    pub(crate) fn new(app_key: &str, from: &str, to: &str, length: usize) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
        Self::starting_at(now.saturating_sub(ID_ORIGIN_MS).clamp(1 << 35, 1 << 41), app_key, from, to, length)
    }

    fn starting_at(first_id: u64, app_key: &str, from: &str, to: &str, length: usize) -> Self {
        let name = |name: &str| Some(Jid { name: Some(name.to_owned()), ..Jid::default() });
        let mut text = stamp(0, 0);
        text.extend(std::iter::repeat_n(b'x', length.saturating_sub(STAMP_LENGTH)));
        let text = String::from_utf8_lossy(&text).into_owned();
        let content = Content { r#type: Some(0), text: Some(text.clone()), ..Content::default() };
        let body = MessageBody {
            r#type: Some(1),
            from: name(from),
            to: name(to),
            contents: vec![content],
            ..MessageBody::default()
        };
        let meta = Meta {
            id: Some(first_id),
            to: Some(user_jid(app_key, to)),
            ns: Some(NameSpace::Chat as i32),
            payload: Some(body.encode_to_vec().into()),
            routetype: Some(0),
            ..Meta::default()
        };
        let frame = envelope(Command::Sync, &CommSyncUl { meta: Some(meta), ..CommSyncUl::default() });
        let mut id = vec![0x08];
        encode_varint(first_id, &mut id);
        // Both are in the frame because they were just put there.
        let id_at = find(&frame, &id).unwrap_or_default() + 1;
        let text_at = find(&frame, text.as_bytes()).unwrap_or_default();
        Self { frame, id_at, text_at, first_id, sent: 0 }
    }

    /// The next message: its number and its frame.
    pub(crate) fn next(&mut self, due: Duration) -> (u64, Bytes) {
        self.sent += 1;
        let mut id = self.client_id(self.sent);
        for byte in &mut self.frame[self.id_at..self.id_at + ID_BYTES] {
            *byte = (id & 0x7f) as u8 | 0x80;
            id >>= 7;
        }
        self.frame[self.id_at + ID_BYTES - 1] &= 0x7f;
        let stamp = stamp(self.sent, due.as_micros() as u64);
        self.frame[self.text_at..self.text_at + STAMP_LENGTH].copy_from_slice(&stamp);
        (self.sent, Bytes::copy_from_slice(&self.frame))
    }

    pub(crate) fn client_id(&self, number: u64) -> u64 {
        self.first_id + number
    }

    /// The message that a client id names; `None` for one that was never sent.
    pub(crate) fn number(&self, client_id: u64) -> Option<u64> {
        let number = client_id.checked_sub(self.first_id)?;
        (1..=self.sent).contains(&number).then_some(number)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn stamp(number: u64, micros: u64) -> Vec<u8> {
    format!("{number:0NUMBER_DIGITS$} {micros:0TIME_DIGITS$} ").into_bytes()
}

/// The number and due time of a text made by [`Texts`].
pub(crate) fn read_stamp(text: &str) -> Option<(u64, Duration)> {
    let number = text.get(..NUMBER_DIGITS)?.parse().ok()?;
    let micros = text.get(NUMBER_DIGITS + 1..STAMP_LENGTH - 1)?.parse().ok()?;
    Some((number, Duration::from_micros(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync(frame: &[u8]) -> CommSyncUl {
        let envelope = MSync::decode(frame).unwrap();
        assert_eq!(envelope.command, Some(0));
        CommSyncUl::decode(envelope.payload.unwrap()).unwrap()
    }

    #[test]
    fn a_patched_frame_is_a_whole_message() {
        let mut texts = Texts::new("org#app", "alice", "bob", 100);
        for (expected, micros) in [(1, 0), (2, 17), (3, 999_999_999_999)] {
            let due = Duration::from_micros(micros);
            let (number, frame) = texts.next(due);
            assert_eq!(number, expected);
            let meta = sync(&frame).meta.unwrap();
            assert_eq!(meta.id(), texts.client_id(number));
            assert_eq!(texts.number(meta.id()), Some(number));
            assert_eq!(meta.to, Some(user_jid("org#app", "bob")));
            let body = MessageBody::decode(meta.payload.unwrap()).unwrap();
            assert_eq!(body.from.unwrap().name(), "alice");
            let text = body.contents[0].text();
            assert_eq!((text.len(), read_stamp(text)), (100, Some((number, due))));
        }
        assert_eq!(texts.number(texts.client_id(4)), None);
        assert_eq!(texts.number(texts.client_id(0)), None);
    }

    #[test]
    fn every_id_of_the_range_keeps_the_frame_valid() {
        for first in [1 << 35, (1 << 35) + 0x7f, 530_407_262_294, 1 << 41] {
            let mut texts = Texts::starting_at(first, "o#a", "a", "b", 24);
            for _ in 0..300 {
                let (number, frame) = texts.next(Duration::ZERO);
                assert_eq!(sync(&frame).meta.unwrap().id(), first + number);
            }
        }
    }

    #[test]
    fn texts_of_others_have_no_stamp() {
        for text in ["", "hello", "0000000001", "000000000é 000000000000 "] {
            assert_eq!(read_stamp(text), None);
        }
    }

    #[test]
    fn a_pull_gives_the_address_back_as_it_was() {
        let queue = user_jid("org#app", "alice");
        let bytes = queue.encode_to_vec();
        let read = sync(&pull(&bytes, Some(1_795_389_661_861)));
        assert_eq!((read.queue, read.key), (Some(queue.clone()), Some(1_795_389_661_861)));
        let read = sync(&pull(&bytes, None));
        assert_eq!((read.queue, read.key), (Some(queue), None));
    }

    #[test]
    fn the_login_carries_the_token_twice() {
        let frame = MSync::decode(login("org#app", "alice", "T", "r")).unwrap();
        assert_eq!((frame.auth(), frame.guid.clone().unwrap().client_resource()), ("$t$T", "r"));
        let provision = Provision::decode(frame.payload.unwrap()).unwrap();
        assert_eq!((provision.resource(), provision.auth_token()), ("r", r#"{"token":"$t$T"}"#));
        assert_eq!(MSync::decode(unread()).unwrap().command, Some(1));
    }
}
