//! The envelope: what a client's frame says, and how answers are put into one.

use bytes::{BufMut, Bytes, BytesMut};
use meridian_types::msync::{
    CommNotice, CommSyncDl, CommSyncUl, CommUnreadDl, Jid, MSync, Meta, MetaQueue, Provision, Status,
    m_sync::Command,
};
use prost::{
    Message,
    encoding::{encode_varint, encoded_len_varint},
};

pub(super) const USER_DOMAIN: &str = "easemob.com";
pub(super) const CONFERENCE_DOMAIN: &str = "conference.easemob.com";

/// A frame from a client.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    Provision(Box<ProvisionFrame>),
    /// An item to send.
    Send(Box<Meta>),
    /// Asks for what is in a queue; the key acknowledges a batch.
    Pull {
        queue: Jid,
        key: Option<u64>,
    },
    Unread,
    Logout,
    /// A SYNC with neither an item nor a queue.
    Empty,
    /// A command that only servers send, or an unknown one.
    Unexpected(i32),
}

/// The login frame: the payload, and what the envelope adds.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvisionFrame {
    pub guid: Jid,
    pub auth: String,
    pub provision: Provision,
}

/// A frame that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an MSync frame: {0}")]
pub struct FrameError(#[from] prost::DecodeError);

/// Decodes one binary message of a client. Never panics; allocates in proportion to the input.
pub fn decode_frame(bytes: &[u8]) -> Result<ClientFrame, FrameError> {
    decode(Bytes::copy_from_slice(bytes))
}

/// Like [`decode_frame`]; byte fields of the result share `bytes`.
pub(super) fn decode(bytes: Bytes) -> Result<ClientFrame, FrameError> {
    let envelope = MSync::decode(bytes)?;
    let command = envelope.command.unwrap_or_default();
    let payload = envelope.payload.unwrap_or_default();
    Ok(match Command::try_from(command) {
        Ok(Command::Sync) => {
            let sync = CommSyncUl::decode(payload)?;
            match (sync.meta, sync.queue) {
                (Some(meta), _) => ClientFrame::Send(Box::new(meta)),
                (None, Some(queue)) => ClientFrame::Pull { queue, key: sync.key },
                (None, None) => ClientFrame::Empty,
            }
        }
        Ok(Command::Unread) => ClientFrame::Unread,
        Ok(Command::Provision) => ClientFrame::Provision(Box::new(ProvisionFrame {
            guid: envelope.guid.unwrap_or_default(),
            auth: envelope.auth.unwrap_or_default(),
            provision: Provision::decode(payload)?,
        })),
        // Its payload tells nothing that is needed.
        Ok(Command::Logout) => ClientFrame::Logout,
        Ok(Command::Notice) | Err(_) => ClientFrame::Unexpected(command),
    })
}

impl ClientFrame {
    /// For metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Provision(_) => "provision",
            Self::Send(_) => "send",
            Self::Pull { .. } => "pull",
            Self::Unread => "unread",
            Self::Logout => "logout",
            Self::Empty => "empty",
            Self::Unexpected(_) => "unexpected",
        }
    }
}

/// Success: present, with an explicit 0.
pub(super) fn ok() -> Status {
    status(0, None)
}

pub(super) fn status(code: i32, reason: Option<&str>) -> Status {
    Status { error_code: Some(code), reason: reason.map(str::to_owned), redirect_info: Vec::new() }
}

/// A person's address, without a device.
pub(super) fn user_jid(app: &str, name: &str) -> Jid {
    jid(app, name, USER_DOMAIN)
}

pub(super) fn jid(app: &str, name: &str, domain: &str) -> Jid {
    Jid {
        app_key: Some(app.to_owned()),
        name: Some(name.to_owned()),
        domain: Some(domain.to_owned()),
        client_resource: None,
    }
}

pub(super) fn provision(answer: &Provision) -> Bytes {
    envelope(Command::Provision, answer)
}

pub(super) fn sync(answer: &CommSyncDl) -> Bytes {
    envelope(Command::Sync, answer)
}

pub(super) fn notice(queue: Jid) -> Bytes {
    envelope(Command::Notice, &CommNotice { queue: Some(queue) })
}

pub(super) fn unread(queues: Vec<MetaQueue>, now: u64) -> Bytes {
    envelope(Command::Unread, &CommUnreadDl { status: Some(ok()), unread: queues, timestamp: Some(now) })
}

/// "Empty, last": the queue is drained.
pub(super) fn drained(queue: Jid) -> Bytes {
    sync(&CommSyncDl {
        status: Some(ok()),
        meta_id: Some(0),
        queue: Some(queue),
        is_last: Some(true),
        ..CommSyncDl::default()
    })
}

fn envelope(command: Command, payload: &impl Message) -> Bytes {
    let length = payload.encoded_len();
    let mut out = begin_envelope(command, length);
    // Fails only when a buffer cannot grow; this one can.
    let written = payload.encode(&mut out);
    debug_assert!(written.is_ok());
    out.freeze()
}

/// The envelope up to its payload of `length` bytes, which the caller appends.
pub(super) fn begin_envelope(command: Command, length: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(5 + encoded_len_varint(length as u64) + length);
    out.put_slice(&[0x08, 0x00, 0x40, command as u8, 0x4a]);
    encode_varint(length as u64, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::msync::tests_hex::hex;

    const ALICE: &str = "0a076f726723617070 1205616c696365 1a0b656173656d6f622e636f6d";

    #[test]
    fn the_login_frame_of_the_sdk_is_read() {
        let resource = "776562696d5f72616e646f6d5f7765625f31373935333839363631383736";
        let payload = hex(&format!(
            "0810 1206342e32312e31 2800 3000 6205776562696d 6a1e{resource} 8a010476352e32
             9201167b22746f6b656e223a22247424542d616c696365227d a2010e313739353338393636313837393a b2010102"
        ));
        let mut bytes = hex(&format!("0800 123d {ALICE} 221e{resource} 1a0a247424542d616c696365 4003 4a"));
        encode_varint(payload.len() as u64, &mut bytes);
        bytes.extend(payload);
        bytes.extend(hex("5000 5800 a00180a080f48a81d9c068"));
        let ClientFrame::Provision(frame) = decode_frame(&bytes).unwrap() else { panic!("not a login") };
        assert_eq!(frame.guid.name(), "alice");
        assert_eq!(frame.guid.client_resource(), "webim_random_web_1795389661876");
        assert_eq!(frame.auth, "$t$T-alice");
        assert_eq!(frame.provision.auth_token(), r#"{"token":"$t$T-alice"}"#);
        assert_eq!(frame.provision.session_id(), "1795389661879:");
        assert_eq!(frame.provision.protocol_compress_type, [2]);
    }

    #[test]
    fn the_other_frames_of_the_sdk_are_read() {
        let unread = hex("0800 4001 5800 a00180a080968b81d9c068");
        assert_eq!(decode_frame(&unread).unwrap(), ClientFrame::Unread);

        let ping = hex("0800 4000 4a0f 0a0d 08cdc5c0aca034 2800 3202 0800 5800");
        let ClientFrame::Send(meta) = decode_frame(&ping).unwrap() else { panic!("not a send") };
        assert_eq!((meta.ns, meta.payload.as_deref()), (Some(0), Some(&[8, 0][..])));

        let pull = hex(&format!("0800 4000 4a1f 1a1d {ALICE} 5800"));
        let queue = user_jid("org#app", "alice");
        assert_eq!(decode_frame(&pull).unwrap(), ClientFrame::Pull { queue: queue.clone(), key: None });

        let acknowledge = hex(&format!("0800 4000 4a26 10a5c5c0aca034 1a1d {ALICE} 5800"));
        let key = Some(1_795_389_661_861);
        assert_eq!(decode_frame(&acknowledge).unwrap(), ClientFrame::Pull { queue, key });

        let logout = hex("0800 1200 1a0a247424542d616c696365 4004 4a1e
             0a0e313739353338393636313837393a 120c696e6e65723a6c6f676f7574");
        assert_eq!(decode_frame(&logout).unwrap(), ClientFrame::Logout);
    }

    #[test]
    fn a_text_is_read_with_its_payload_verbatim() {
        let body = "0801 12071205616c696365 1a051203626f62 2209 0800 120568656c6c6f
            2a070a016110021801 2a080a01621007320178 2a070a016310011801 2a0e0a0164100629000000000000f83f
            2a100a0165100832097b2266223a5b315d7d";
        let frame = hex(&format!(
            "0800 4000 4a8801 0a8501 08d690f2f5b70f
             1a1b 0a076f726723617070 1203626f62 1a0b656173656d6f622e636f6d 2801 325b {body} 3800 5800"
        ));
        let ClientFrame::Send(meta) = decode_frame(&frame).unwrap() else { panic!("not a send") };
        assert_eq!(meta.id(), 530_407_262_294);
        assert_eq!(meta.to.as_ref().unwrap().name(), "bob");
        assert_eq!(meta.payload.as_deref(), Some(&hex(body)[..]));
    }

    #[test]
    fn other_commands_and_garbage_are_told_apart() {
        assert_eq!(decode_frame(&hex("4002")).unwrap(), ClientFrame::Unexpected(2));
        assert_eq!(decode_frame(&hex("4063")).unwrap(), ClientFrame::Unexpected(99));
        assert_eq!(decode_frame(&hex("4000")).unwrap(), ClientFrame::Empty);
        assert!(decode_frame(&hex("ffffff")).is_err());
        assert!(decode_frame(&hex("4000 4a02 0a7f")).is_err());
    }

    #[test]
    fn damaged_frames_never_panic() {
        let frame = hex(&format!(
            "0800 123d {ALICE} 1a0a247424542d616c696365 4000 4a26 10a5c5c0aca034 1a1d {ALICE} 5800"
        ));
        for length in 0..frame.len() {
            let _ = decode_frame(&frame[..length]);
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = frame.clone();
                damaged[length] ^= flip;
                let _ = decode_frame(&damaged);
            }
        }
    }

    #[test]
    fn answers_are_the_bytes_that_the_sdk_was_seen_to_take() {
        assert_eq!(unread(Vec::new(), 1_795_389_661_911), hex("0800 4001 4a0b 0a020800 18d7c5c0aca034"));
        assert_eq!(notice(user_jid("org#app", "alice")), hex(&format!("0800 4002 4a1f 0a1d {ALICE}")));
        assert_eq!(
            drained(user_jid("org#app", "alice")),
            hex(&format!("0800 4000 4a27 0a020800 1000 321d {ALICE} 3801"))
        );
        assert_eq!(
            provision(&Provision {
                status: Some(ok()),
                resource: Some("r".into()),
                auth_token: Some(r#"{"expires_in":1795476061895}"#.into()),
                session_id: Some("1795389661879:".into()),
                ..Provision::default()
            }),
            hex("0800 4003 4a37 42020800 6a0172
                 92011c7b22657870697265735f696e223a313739353437363036313839357d
                 a2010e313739353338393636313837393a")
        );
    }
}
