//! Reading what the server sends, without copying: the tool shares its processors with the server, and most of what
//! arrives is looked at for a few numbers and dropped.

/// Bytes that are not the protobuf records they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server sent a frame that cannot be read")
    }
}

impl std::error::Error for Malformed {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of one record, in order.
#[derive(Clone, Copy, Debug)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return Err(Malformed),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for position in 0..10 {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }
}

/// A frame from the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame<'a> {
    /// The answer to a send.
    Answer { client_id: u64, server_id: u64, refusal: Option<Refusal> },
    /// Items of a queue, or the end of one.
    Delivery(Delivery<'a>),
    /// The addresses of the queues that hold something.
    Unread { queues: Vec<&'a [u8]> },
    /// The address of a queue that holds something.
    Notice { queue: &'a [u8] },
    /// The answer to the login.
    Provision { refusal: Option<Refusal> },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u64,
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Delivery<'a> {
    /// The queue's address, to be given back as it is.
    pub(crate) queue: &'a [u8],
    pub(crate) next_key: Option<u64>,
    pub(crate) is_last: bool,
    payload: &'a [u8],
}

/// One delivered item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Item<'a> {
    pub(crate) id: u64,
    pub(crate) namespace: u64,
    pub(crate) from: &'a str,
    /// Text of the first content.
    pub(crate) text: &'a str,
}

pub(crate) const CHAT: u64 = 1;

impl<'a> Frame<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut command, mut payload) = (0, &[][..]);
        let mut fields = Fields(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (8, Value::Number(number)) => command = number,
                (9, Value::Bytes(bytes)) => payload = bytes,
                _ => {}
            }
        }
        match command {
            0 => Self::sync(payload),
            1 => Self::unread(payload),
            2 => Ok(Self::Notice { queue: first_bytes(payload, 1)?.unwrap_or_default() }),
            3 => Ok(Self::Provision { refusal: status(first_bytes(payload, 8)?)? }),
            _ => Err(Malformed),
        }
    }

    fn sync(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut delivery = Delivery { payload, ..Delivery::default() };
        let (mut client_id, mut server_id, mut status_bytes) = (0, 0, None);
        let mut fields = Fields(payload);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(bytes)) => status_bytes = Some(bytes),
                (2, Value::Number(number)) => client_id = number,
                (3, Value::Number(number)) => server_id = number,
                (5, Value::Number(number)) => delivery.next_key = Some(number),
                (6, Value::Bytes(bytes)) => delivery.queue = bytes,
                (7, Value::Number(number)) => delivery.is_last = number != 0,
                _ => {}
            }
        }
        let refusal = status(status_bytes)?;
        Ok(match client_id {
            0 => Self::Delivery(delivery),
            client_id => Self::Answer { client_id, server_id, refusal },
        })
    }

    fn unread(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut queues = Vec::new();
        let mut fields = Fields(payload);
        while let Some(field) = fields.next()? {
            if let (2, Value::Bytes(listed)) = field {
                queues.push(first_bytes(listed, 1)?.ok_or(Malformed)?);
            }
        }
        Ok(Self::Unread { queues })
    }
}

impl<'a> Delivery<'a> {
    /// Calls `take` for each item, in order.
    pub(crate) fn each(&self, mut take: impl FnMut(Item<'a>)) -> Result<(), Malformed> {
        let mut fields = Fields(self.payload);
        while let Some(field) = fields.next()? {
            if let (4, Value::Bytes(meta)) = field {
                take(item(meta)?);
            }
        }
        Ok(())
    }
}

fn item(meta: &[u8]) -> Result<Item<'_>, Malformed> {
    let (mut item, mut body) = (Item::default(), &[][..]);
    let mut fields = Fields(meta);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Number(number)) => item.id = number,
            (2, Value::Bytes(jid)) => item.from = text(first_bytes(jid, 2)?)?,
            (5, Value::Number(number)) => item.namespace = number,
            (6, Value::Bytes(bytes)) => body = bytes,
            _ => {}
        }
    }
    if item.namespace == CHAT {
        let content = first_bytes(body, 4)?.unwrap_or_default();
        item.text = text(first_bytes(content, 2)?)?;
    }
    Ok(item)
}

fn text(bytes: Option<&[u8]>) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes.unwrap_or_default()).map_err(|_| Malformed)
}

fn first_bytes(record: &[u8], number: u64) -> Result<Option<&[u8]>, Malformed> {
    let mut fields = Fields(record);
    while let Some((tag, value)) = fields.next()? {
        if let Value::Bytes(bytes) = value
            && tag == number
        {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// Success must be said, not left out: real clients hang on an absent status.
fn status(status: Option<&[u8]>) -> Result<Option<Refusal>, Malformed> {
    let mut refusal = Refusal::default();
    let mut fields = Fields(status.ok_or(Malformed)?);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Number(code)) => refusal.code = code,
            (2, Value::Bytes(bytes)) => refusal.reason = text(Some(bytes))?.to_owned(),
            _ => {}
        }
    }
    Ok((refusal.code != 0).then_some(refusal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_types::msync::{
        CommNotice, CommSyncDl, CommUnreadDl, Jid, MSync, MessageBody, Meta, MetaQueue, Provision, Status,
        message_body::Content,
    };
    use prost::Message;

    fn frame(command: i32, payload: &impl Message) -> Vec<u8> {
        MSync { command: Some(command), payload: Some(payload.encode_to_vec().into()), ..MSync::default() }
            .encode_to_vec()
    }

    fn status(code: i32, reason: &str) -> Option<Status> {
        Some(Status { error_code: Some(code), reason: Some(reason.into()), ..Status::default() })
    }

    fn jid(name: &str) -> Jid {
        Jid { name: Some(name.into()), app_key: Some("o#a".into()), ..Jid::default() }
    }

    fn text_item(id: u64, from: &str, text: &str) -> Meta {
        let content = Content { r#type: Some(0), text: Some(text.into()), ..Content::default() };
        let body = MessageBody { r#type: Some(1), contents: vec![content], ..MessageBody::default() };
        Meta {
            id: Some(id),
            from: Some(jid(from)),
            ns: Some(1),
            payload: Some(body.encode_to_vec().into()),
            meta: Some("{}".into()),
            ..Meta::default()
        }
    }

    #[test]
    fn answers_are_read() {
        let answer = CommSyncDl {
            status: status(0, ""),
            meta_id: Some(7),
            server_id: Some(u64::MAX >> 1),
            timestamp: Some(1),
            ..CommSyncDl::default()
        };
        assert_eq!(
            Frame::read(&frame(0, &answer)),
            Ok(Frame::Answer { client_id: 7, server_id: u64::MAX >> 1, refusal: None })
        );
        let refused =
            CommSyncDl { status: status(1, "server busy"), meta_id: Some(7), ..CommSyncDl::default() };
        let refusal = Some(Refusal { code: 1, reason: "server busy".into() });
        assert_eq!(
            Frame::read(&frame(0, &refused)),
            Ok(Frame::Answer { client_id: 7, server_id: 0, refusal: refusal.clone() })
        );
        let login = Provision { status: status(1, "server busy"), ..Provision::default() };
        assert_eq!(Frame::read(&frame(3, &login)), Ok(Frame::Provision { refusal }));
    }

    #[test]
    fn deliveries_are_read_item_by_item() {
        let sent = CommSyncDl {
            status: status(0, ""),
            metas: vec![text_item(1, "alice", "one"), text_item(2, "alice", "two")],
            next_key: Some(99),
            queue: Some(jid("alice")),
            is_last: Some(false),
            ..CommSyncDl::default()
        };
        let bytes = frame(0, &sent);
        let Ok(Frame::Delivery(delivery)) = Frame::read(&bytes) else { panic!("not a delivery") };
        assert_eq!((delivery.next_key, delivery.is_last), (Some(99), false));
        assert_eq!(delivery.queue, jid("alice").encode_to_vec());
        let mut items = Vec::new();
        delivery.each(|item| items.push(item)).unwrap();
        assert_eq!(
            items,
            [
                Item { id: 1, namespace: 1, from: "alice", text: "one" },
                Item { id: 2, namespace: 1, from: "alice", text: "two" },
            ]
        );
    }

    #[test]
    fn lists_and_notices_name_their_queues() {
        let queue = jid("bob").encode_to_vec();
        let listed = MetaQueue { queue: Some(jid("bob")), n: Some(3) };
        let unread = CommUnreadDl { status: status(0, ""), unread: vec![listed], timestamp: Some(1) };
        assert_eq!(Frame::read(&frame(1, &unread)), Ok(Frame::Unread { queues: vec![&queue] }));
        let notice = CommNotice { queue: Some(jid("bob")) };
        assert_eq!(Frame::read(&frame(2, &notice)), Ok(Frame::Notice { queue: &queue }));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(Frame::read(&frame(0, &CommSyncDl::default())), Err(Malformed), "no status");
        assert_eq!(Frame::read(&frame(9, &CommNotice::default())), Err(Malformed), "unknown command");
        assert_eq!(Frame::read(&[0x4a, 0x05, 0x00]), Err(Malformed), "cut off");
        assert_eq!(Frame::read(&[0xff; 12]), Err(Malformed), "endless number");
    }
}
