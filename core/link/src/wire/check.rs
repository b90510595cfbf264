//! Reads what a stranger could write on the link, as the two ends read it. For fuzzing.

use super::{Cutter, pb, read, write};
use bytes::Bytes;
use meridian_types::{
    Audience, ConversationKey, Entry, EntryKind, MessageId, Millis, Seq, UserName,
    room::{RoomError, Standing},
    session::{CloseReason, LinkError, Refusal, SendError},
};
use pb::{to_core::What as Down, to_edge::What as Up};
use prost::Message;

/// Reads a stream as a core does, cut into pieces of the given size. Gives how many messages were well formed.
///
/// # Panics
/// When what was read of a message is not what is written for it.
pub fn as_core(bytes: &[u8], piece: usize) -> usize {
    messages(bytes, piece, |message| {
        let Ok(message) = pb::ToCore::decode(message) else { return false };
        match message.what {
            Some(Down::Attach(attach)) => read::attach(attach).is_ok_and(|login| {
                let written = write::write_attach(&login);
                let Down::Attach(again) = written.clone() else { return false };
                let again = read::attach(again).map(|login| write::write_attach(&login));
                assert_eq!(again.as_ref(), Ok(&written));
                true
            }),
            Some(Down::Send(send)) => {
                let written = write::write_send(&read::submission(send));
                let Down::Send(again) = written.clone() else { return false };
                assert_eq!(write::write_send(&read::submission(again)), written);
                true
            }
            Some(Down::Pull(pull)) => read::pull(&pull).is_ok(),
            Some(Down::Acknowledge(place)) => {
                read::place(Some(&place)).is_ok_and(|(conversation, position)| {
                    let again = read::place(Some(&write::place(&conversation, position)));
                    assert_eq!(again, Ok((conversation, position)));
                    true
                })
            }
            Some(Down::Room(ask)) => read::room_request(ask).is_ok_and(|request| {
                let Down::Room(again) = write::write_room_request(&request) else { return false };
                assert_eq!(read::room_request(again), Ok(request));
                true
            }),
            Some(Down::Unread(_) | Down::Detach(_) | Down::Ping(_)) => true,
            None => false,
        }
    })
}

/// Reads a stream as an edge does.
///
/// # Panics
/// When what was read of an entry is not what is written for it.
pub fn as_edge(bytes: &[u8], piece: usize) -> usize {
    messages(bytes, piece, |message| {
        let Ok(message) = pb::ToEdge::decode(message) else { return false };
        match message.what {
            Some(Up::Unread(unread)) => read::unread(unread).is_ok(),
            Some(Up::Batch(batch)) => read::batch(batch).is_ok_and(|batch| {
                for entry in &batch.entries {
                    let again = read::entry(write::entry(entry));
                    assert_eq!(again.as_ref(), Ok(entry));
                }
                true
            }),
            Some(Up::Event(event)) => read::event(event).is_ok_and(|events| events.count() > 0),
            Some(Up::Room(answer)) => read::room_answer(answer).is_ok_and(|answer| answer.is_ok()),
            Some(Up::RoomNews(news)) => read::room_news(news).is_ok_and(|(sessions, _)| !sessions.is_empty()),
            Some(Up::Closed(reason)) => read::reason(&reason).is_some(),
            Some(Up::Refused(why)) => {
                let _ = read::refused(&why, Refusal::Unavailable);
                let _ = read::refused(&why, SendError::Unavailable);
                let _ = read::refused(&why, LinkError::Unavailable);
                true
            }
            Some(Up::Attached(attached)) => attached.resume.map(|resume| read::resume(&resume)).is_some(),
            Some(Up::Sent(_) | Up::Lagged(_) | Up::Pong(_)) => true,
            None => false,
        }
    })
}

fn messages(bytes: &[u8], piece: usize, mut is_well: impl FnMut(Bytes) -> bool) -> usize {
    let mut cutter = Cutter::default();
    let mut well = 0;
    for piece in bytes.chunks(piece.max(1)) {
        cutter.push(Bytes::copy_from_slice(piece));
        loop {
            match cutter.next() {
                Ok(Some(message)) => well += usize::from(is_well(message)),
                Ok(None) => break,
                // The stream ends here.
                Err(_) => return well,
            }
        }
    }
    well
}

/// One message of every kind, as a core and as an edge would hear it: seeds.
#[must_use]
pub fn samples() -> [Vec<u8>; 2] {
    let place = || pb::Place { conversation: "u/alice/bob".into(), epoch: 1, seq: 7 };
    let resume = pb::Resume { token_epoch: 1, attached_at: 2, token_expires_at: Some(3) };
    let attach = |credential| pb::Attach {
        app_key: "org#app".into(),
        user: "alice".into(),
        credential: Some(credential),
        resource: "web".into(),
        platform: 6,
        address: "127.0.0.1".into(),
        ..pb::Attach::default()
    };
    let send = pb::Send { client_id: 5, to: "bob".into(), body: vec![1].into(), ..pb::Send::default() };
    let down = [
        Down::Attach(attach(pb::attach::Credential::Token("t".into()))),
        Down::Attach(attach(pb::attach::Credential::Resume(resume))),
        Down::Send(pb::Send { directed: true, members: vec!["carol".into()], ..send.clone() }),
        Down::Send(send),
        Down::Unread(pb::Nothing {}),
        Down::Pull(pb::Pull { after: Some(place()), max_entries: 10, max_bytes: 1000 }),
        Down::Acknowledge(place()),
        Down::Room(pb::AskRoom {
            room: "288230376218820608".into(),
            join: true,
            ext: "hey".into(),
            leave_others: true,
        }),
        Down::Detach(pb::Detach { logged_out: true }),
        Down::Ping(pb::Nothing {}),
    ];
    let alice = UserName::parse("alice").unwrap_or_else(|_| unreachable!("a good name"));
    let entry = write::entry(&Entry {
        conversation: ConversationKey::pair(&alice, &alice),
        seq: Seq(7),
        message_id: MessageId(9),
        at: Millis(1),
        kind: EntryKind::Message,
        sender: alice,
        sender_device: None,
        audience: Audience::Everyone,
        target: None,
        idempotency: None,
        ext: Bytes::new(),
        body: Some(Bytes::from_static(b"body")),
    });
    let standing = Standing {
        members: 1,
        created: Millis(1),
        all_muted: false,
        allowed: false,
        muted_until: 0,
        seq: 7,
        history: Vec::new(),
    };
    let up = [
        Up::Attached(pb::Attached {
            app: "org#app".into(),
            user: "alice".into(),
            resource: "web".into(),
            resume: Some(resume),
        }),
        Up::Sent(pb::Sent { message_id: 9, at: 1, notice: Some("n".into()) }),
        Up::Unread(pb::Unread { owed: vec![pb::Owed { place: Some(place()), count: 2 }] }),
        Up::Batch(pb::Batch { entries: vec![entry.clone()], position: Some(place()), more: true }),
        Up::Room(pb::RoomAnswer {
            outcome: write::write_reason(&Ok::<_, RoomError>(standing)),
            history: vec![entry.clone()],
        }),
        Up::RoomNews(pb::RoomNews {
            conversation: "r/288230376218820608".into(),
            entries: vec![entry.clone()],
            sessions: vec![1, 2],
        }),
        Up::Event(pb::Event { entry: Some(entry), position: Some(place()), deliver: vec![1], pass: vec![2] }),
        Up::Lagged(pb::Lagged { sessions: vec![1, 2] }),
        Up::Closed(write::write_reason(&CloseReason::Kicked)),
        Up::Pong(pb::Pong { ready: true, sessions: 3 }),
        Up::Refused(write::write_reason(&LinkError::Busy)),
    ];
    let mut streams = [bytes::BytesMut::new(), bytes::BytesMut::new()];
    for what in down {
        super::put(&mut streams[0], &write::to_core(1, 2, what));
    }
    for what in up {
        super::put(&mut streams[1], &write::to_edge(1, 2, what));
    }
    streams.map(|stream| stream.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_every_kind_is_well_formed_however_it_is_cut() {
        let [down, up] = samples();
        for piece in [1, 3, 1000, 100_000] {
            assert_eq!(as_core(&down, piece), 10);
            assert_eq!(as_edge(&up, piece), 11);
        }
    }
}
