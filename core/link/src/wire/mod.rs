//! The messages between edge and core (`proto/link.proto`), and what they mean here.

pub mod check;
mod read;
mod write;

pub(crate) mod pb {
    #![allow(clippy::all, missing_debug_implementations, unreachable_pub)] // generated code
    include!(concat!(env!("OUT_DIR"), "/meridian.link.v1.rs"));
}

pub(crate) use read::{
    Bad, attach, batch, event, place as read_place, pull, reason, refused, resume, room_answer, room_news,
    room_request, submission, unread,
};
pub(crate) use write::{
    entry, place, to_core, to_edge, write_attach, write_reason, write_resume, write_room_answer,
    write_room_news, write_room_request, write_send,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use std::collections::VecDeque;

/// Largest message, without its length.
pub(crate) const LIMIT: usize = 16 << 20;

/// Puts a message behind those of a buffer.
pub(crate) fn put(out: &mut BytesMut, message: &impl Message) {
    let length = message.encoded_len();
    out.reserve(4 + length);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // Cannot fail: there is room.
    let _ = message.encode(out);
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    parts: VecDeque<Bytes>,
    waiting: usize,
}

impl Cutter {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.waiting += bytes.len();
        self.parts.push_back(bytes);
    }

    /// The next whole message; `None`: more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Bad> {
        let Some(length) = self.length() else { return Ok(None) };
        if length > LIMIT {
            return Err(Bad("a message of an impossible length"));
        }
        if self.waiting < 4 + length {
            return Ok(None);
        }
        self.take(4);
        Ok(Some(self.take(length)))
    }

    fn length(&self) -> Option<usize> {
        let mut bytes = self.parts.iter().flat_map(|part| part.iter().copied());
        let length = [bytes.next()?, bytes.next()?, bytes.next()?, bytes.next()?];
        Some(u32::from_be_bytes(length) as usize)
    }

    /// Exactly so many bytes, which must be there; copied only where they lie in several parts.
    fn take(&mut self, count: usize) -> Bytes {
        self.waiting -= count;
        let mut out = BytesMut::new();
        while let Some(part) = self.parts.front_mut() {
            let missing = count - out.len();
            if part.len() > missing {
                let piece = part.split_to(missing);
                if out.is_empty() {
                    return piece;
                }
                out.put(piece);
                break;
            }
            let Some(part) = self.parts.pop_front() else { break };
            if out.is_empty() && part.remaining() == count {
                return part;
            }
            out.put(part);
            if out.len() == count {
                break;
            }
        }
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_however_their_bytes_are_split() {
        let sent: Vec<pb::Pong> = [0, 1, 127, 300, 70_000]
            .map(|sessions| pb::Pong { ready: sessions % 2 == 0, sessions })
            .into_iter()
            .chain([pb::Pong::default()])
            .collect();
        let mut stream = BytesMut::new();
        sent.iter().for_each(|message| put(&mut stream, message));
        let stream = stream.freeze();
        for size in 1..=stream.len() {
            let (mut cutter, mut read) = (Cutter::default(), Vec::new());
            for start in (0..stream.len()).step_by(size) {
                cutter.push(stream.slice(start..(start + size).min(stream.len())));
                while let Some(message) = cutter.next().unwrap() {
                    read.push(pb::Pong::decode(message).unwrap());
                }
            }
            assert_eq!(read, sent, "in parts of {size}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_at_once() {
        let mut cutter = Cutter::default();
        cutter.push(Bytes::from_static(&[0xff; 4]));
        assert!(cutter.next().is_err());
    }
}
