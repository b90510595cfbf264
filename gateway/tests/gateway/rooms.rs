//! Rooms: coming in, news, and reading on after a gap.

use crate::{
    client::{Client, jid},
    core::{Call, Seat, Stage},
};
use bytes::Bytes;
use meridian_link::{RoomError, RoomNews, RoomRequest, SessionEvent, Standing};
use meridian_types::{
    Audience, Entry, EntryKind, MessageId, Millis, MucId, Notice, Position, Resource, Seq, UserName,
    msync::{CommSyncDl, Jid, Meta, MucBody, muc_body::Operation},
    notice::{Joining, MucChange, MucNotice},
};
use prost::Message as _;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::oneshot;

pub(crate) const ROOM: &str = "288230376218820608";

pub(crate) fn room() -> MucId {
    MucId::parse(ROOM).unwrap()
}

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn entry(seq: u64, kind: EntryKind, sender: &str, body: Bytes) -> Arc<Entry> {
    Arc::new(Entry {
        conversation: room().into(),
        seq: Seq(seq),
        message_id: MessageId(1000 + seq),
        at: Millis(1),
        kind,
        sender: name(sender),
        sender_device: Some(Resource::parse("d1").unwrap()),
        audience: Audience::Everyone,
        target: None,
        idempotency: None,
        ext: Bytes::new(),
        body: Some(body),
    })
}

pub(crate) fn said(seq: u64) -> Arc<Entry> {
    entry(seq, EntryKind::Message, "alice", crate::core::body(seq))
}

pub(crate) fn changed(sender: &str, change: MucChange) -> Arc<Entry> {
    let body = Notice::Muc(MucNotice { name: "R".into(), parent: None, change }).encode();
    entry(0, EntryKind::Notice, sender, body)
}

pub(crate) fn joined(people: &[&str]) -> MucChange {
    let people = people.iter().map(|person| name(person)).collect();
    MucChange::Joined { people, how: Joining::Joined, size: 5, ext: "hey".into() }
}

pub(crate) fn news(entries: Vec<Arc<Entry>>) -> SessionEvent {
    SessionEvent::Room(Arc::new(RoomNews::new(room().into(), entries)))
}

pub(crate) fn standing() -> Standing {
    Standing {
        members: 3,
        created: Millis(7),
        all_muted: true,
        allowed: false,
        muted_until: u64::MAX,
        seq: 2,
        history: vec![said(2)],
    }
}

pub(crate) async fn asked(seat: &mut Seat) -> (RoomRequest, oneshot::Sender<Result<Standing, RoomError>>) {
    match seat.call().await {
        Call::Room(request, answer) => (request, answer),
        other => panic!("expected a room, got {other:?}"),
    }
}

async fn pulled(
    seat: &mut Seat,
    after: u64,
) -> oneshot::Sender<Result<meridian_link::Batch, meridian_link::LinkError>> {
    match seat.call().await {
        Call::Pull(request, answer) => {
            assert_eq!((request.conversation.muc(), request.after.seq), (Some(room()), Seq(after)));
            answer
        }
        other => panic!("expected a pull, got {other:?}"),
    }
}

async fn ask(client: &mut Client, id: u64, operation: Operation, room: &str) {
    let body = MucBody {
        muc_id: Some(Jid { domain: Some("conference.easemob.com".into()), ..jid(room) }),
        operation: Some(operation as i32),
        is_chatroom: Some(true),
        ext: Some("hey".into()),
        leave_other_rooms: Some(true),
        ..MucBody::default()
    };
    let payload = Some(body.encode_to_vec().into());
    client.item(Meta { id: Some(id), ns: Some(2), payload, ..Meta::default() }).await;
}

/// Numbers of the messages and operations of a piece.
fn read(sync: &CommSyncDl) -> Vec<String> {
    let queue = sync.queue.as_ref().unwrap();
    assert_eq!((queue.name(), queue.domain()), (ROOM, "conference.easemob.com"));
    assert_eq!((sync.is_last, sync.next_key), (Some(true), None), "nothing of it is acknowledged");
    let read = |meta: &Meta| match meta.ns {
        Some(1) => (meta.id() - 1000).to_string(),
        _ => {
            let body = MucBody::decode(meta.payload.clone().unwrap()).unwrap();
            assert_eq!(body.is_chatroom, Some(true));
            format!("{:?} {}", body.operation(), body.from.unwrap().name())
        }
    };
    sync.metas.iter().map(read).collect()
}

async fn come_in(client: &mut Client, seat: &mut Seat) {
    ask(client, 1, Operation::Join, ROOM).await;
    let (request, answer) = asked(seat).await;
    let expected = RoomRequest::Join { room: room(), ext: "hey".into(), leave_others: true };
    assert_eq!(request, expected);
    answer.send(Ok(standing())).unwrap();
    let answer = client.sync().await;
    assert_eq!((answer.meta_id, answer.status.unwrap().error_code), (Some(1), Some(0)));
    let body = MucBody::decode(answer.metas[0].payload.clone().unwrap()).unwrap();
    let info: Value = serde_json::from_str(body.status.unwrap().chatroom_info()).unwrap();
    let expected = json!({ "bob": { "is_all_mute": true, "create_timestamp": 7, "is_in_white_list": false,
        "member_count": 3, "mute_duration": (1u64 << 53) - 1 } });
    assert_eq!(info, expected);
    assert_eq!(read(&client.sync().await), ["2"]);
}

#[tokio::test]
async fn who_comes_in_is_told_how_it_is_and_what_was_said_last() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    come_in(&mut client, &mut seat).await;
    ask(&mut client, 2, Operation::Leave, ROOM).await;
    let (request, answer) = asked(&mut seat).await;
    assert_eq!(request, RoomRequest::Leave { room: room() });
    answer.send(Ok(standing())).unwrap();
    let answer = client.sync().await;
    assert_eq!((answer.meta_id, answer.metas.len()), (Some(2), 0));
}

#[tokio::test]
async fn refusals_have_the_words_that_the_sdk_looks_for() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    let blocked = "can not join this group, reason: user bob is in the blacklist";
    for (n, (error, text)) in [
        (RoomError::NotFound, &*format!("grpID {ROOM} does not exist!")),
        (RoomError::Full, "group member list is full!"),
        (RoomError::Blocked, blocked),
        (RoomError::TooMany, "user bob has joined too many chatrooms!"),
        (RoomError::NotMember, "not in group or chatroom"),
        (RoomError::Busy, "server busy"),
    ]
    .into_iter()
    .enumerate()
    {
        ask(&mut client, n as u64 + 1, Operation::Join, ROOM).await;
        asked(&mut seat).await.1.send(Err(error)).unwrap();
        let answer = client.sync().await;
        let status = answer.status.unwrap();
        assert_eq!((answer.meta_id, status.error_code, status.reason()), (Some(n as u64 + 1), Some(1), text));
    }
    // A group is no room.
    ask(&mut client, 20, Operation::Join, "77").await;
    assert_eq!(client.sync().await.status.unwrap().reason(), "grpID 77 does not exist!");
    ask(&mut client, 21, Operation::Destroy, ROOM).await;
    assert_eq!(client.sync().await.status.unwrap().error_code, Some(1));
    assert!(seat.nothing_called());
}

#[tokio::test]
async fn all_get_one_frame_and_those_concerned_their_own() {
    let mut stage = Stage::new().await;
    let (mut client, seat) = Client::online(&mut stage, vec![]).await;
    let change = changed("carol", joined(&["carol"]));
    seat.event(news(vec![said(3), change, said(5)])).await;
    let piece = client.sync().await;
    assert_eq!(read(&piece), ["3", "Presence carol", "5"]);
    let came = MucBody::decode(piece.metas[1].payload.clone().unwrap()).unwrap();
    assert_eq!((came.muc_member_count, came.ext()), (Some(5), "hey"));
    // Bob came in on another device: that says nothing to this one.
    seat.event(news(vec![changed("bob", joined(&["bob"])), said(6)])).await;
    assert_eq!(read(&client.sync().await), ["6"]);
    let added =
        MucChange::Joined { people: vec![name("bob")], how: Joining::Added, size: 5, ext: String::new() };
    seat.event(news(vec![changed("carol", added)])).await;
    assert_eq!(read(&client.sync().await), ["DirectJoined carol"]);
    let attributes =
        MucChange::RoomAttributesSet { attributes: [("k".into(), "v".into())].into(), ext: String::new() };
    let keys = MucChange::RoomAttributesRemoved { keys: vec!["k".into()] };
    seat.event(news(vec![changed("carol", attributes), changed("carol", keys)])).await;
    let piece = client.sync().await;
    assert_eq!(read(&piece), ["SetMetadata carol", "DeleteMetadata carol"]);
    let words = |meta: &Meta| {
        let body = MucBody::decode(meta.payload.clone().unwrap()).unwrap();
        serde_json::from_str::<Value>(body.event_info.unwrap().ext()).unwrap()
    };
    let keys = json!({ "successKeys": ["k"] });
    assert_eq!(words(&piece.metas[0]), json!({ "result": keys, "properties": { "k": "v" } }));
    assert_eq!(words(&piece.metas[1]), json!({ "result": keys }));
    // Put out: by itself, and the place in the room is forgotten.
    let removed = MucChange::Removed { people: vec![name("bob")], blocked: false, size: 1 };
    seat.event(SessionEvent::Transient(changed("carol", removed))).await;
    assert_eq!(read(&client.sync().await), ["Kick carol"]);
}

#[tokio::test]
async fn what_was_missed_is_read_and_nothing_comes_twice() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    come_in(&mut client, &mut seat).await;
    seat.event(news(vec![said(3)])).await;
    assert_eq!(read(&client.sync().await), ["3"]);
    seat.event(SessionEvent::Lagged).await;
    seat.unread(vec![]).await;
    let answer = pulled(&mut seat, 3).await;
    let batch = |entries: Vec<u64>, seq| meridian_link::Batch {
        entries: entries.into_iter().map(said).collect(),
        position: Position { seq: Seq(seq), ..Position::default() },
        more: false,
    };
    // It may be missing in what is read. That it was heard shows what comes behind it.
    seat.event(news(vec![said(5)])).await;
    seat.entry(1).await;
    assert_eq!(client.delivery().await.1, [1]);
    answer.send(Ok(batch(vec![4], 4))).unwrap();
    assert_eq!(read(&client.sync().await), ["4"]);
    pulled(&mut seat, 4).await.send(Ok(batch(vec![5], 5))).unwrap();
    assert_eq!(read(&client.sync().await), ["5"]);
    seat.event(news(vec![said(5), said(6)])).await;
    assert_eq!(read(&client.sync().await), ["6"]);
}
