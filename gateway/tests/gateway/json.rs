//! The open JSON protocol, on a real socket. Every frame that is sent or received here is checked against the protocol's
//! description for machines.

use crate::core::{Attach, Call, PATIENCE, Seat, Stage, at, batch, unread, with};
use futures_util::{SinkExt, StreamExt};
use meridian_link::{CloseReason, LinkError, Refusal, RouteTo, SendError, Sent, SessionEvent, Unread};
use meridian_types::{
    MessageId, Millis,
    msync::{MessageBody, message_body::Type},
};
use prost::Message as _;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::LazyLock};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../src/protocols/json/asyncapi.json")).unwrap());

/// Checks a frame against its schema: the parts of JSON Schema that the description uses.
fn check(side: &str, frame: &Value) {
    let messages = DESCRIPTION["channels"]["session"]["messages"].as_object().unwrap();
    let kind = frame["type"].as_str().unwrap();
    let found = messages.iter().find(|(key, message)| key.starts_with(side) && message["name"] == kind);
    let (_, message) = found.unwrap_or_else(|| panic!("{side} has no {kind}"));
    fits(frame, &message["payload"], kind);
    let properties = message["payload"]["properties"].as_object().unwrap();
    for field in frame.as_object().unwrap().keys() {
        assert!(properties.contains_key(field), "{kind}.{field} is not described");
    }
}

fn fits(value: &Value, schema: &Value, place: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => DESCRIPTION.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let is = |kind: &&str| match *kind {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        other => panic!("a type {other}"),
    };
    assert!(types.is_empty() || types.iter().any(is), "{place}: {value} is not {types:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{place}: {value}");
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{place}: {name} is missing");
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            fits(value, inner, &format!("{place}.{name}"));
        }
    }
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self(client_async(format!("ws://{address}/ws/v1"), stream).await.unwrap().0)
    }

    /// Says hello as bob, and takes the welcome.
    async fn log_in(stage: &mut Stage, positions: Value) -> (Self, Seat) {
        let mut client = Self::connect(stage.address).await;
        client.say(hello(positions)).await;
        let welcome = client.hear("welcome").await;
        assert_eq!(
            (&welcome["user"], &welcome["device"], &welcome["version"]),
            (&json!("bob"), &json!("tab-1"), &json!(1))
        );
        (client, stage.seat().await)
    }

    async fn online(stage: &mut Stage, list: Vec<Unread>) -> (Self, Seat) {
        let nothing = list.is_empty();
        let (mut client, mut seat) = Self::log_in(stage, json!({})).await;
        seat.unread(list).await;
        if nothing {
            client.hear("synced").await;
        }
        (client, seat)
    }

    async fn say(&mut self, frame: Value) {
        check("client", &frame);
        self.raw(&frame.to_string()).await;
    }

    async fn raw(&mut self, text: &str) {
        self.0.send(Message::Text(text.into())).await.unwrap();
    }

    /// The next frame, which must be of this type.
    async fn hear(&mut self, kind: &str) -> Value {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("nothing heard").unwrap().unwrap() {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    check("server", &frame);
                    assert_eq!(frame["type"], kind, "{frame}");
                    return frame;
                }
                Message::Ping(_) => {}
                other => panic!("expected {kind}, got {other:?}"),
            }
        }
    }

    async fn bye(&mut self) -> (String, bool) {
        let bye = self.hear("bye").await;
        loop {
            match timeout(PATIENCE, self.0.next()).await.unwrap() {
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
            }
        }
        (bye["code"].as_str().unwrap().to_owned(), bye["reconnect"].as_bool().unwrap())
    }
}

fn hello(positions: Value) -> Value {
    json!({ "type": "hello", "app": "org#app", "user": "bob", "token": "T", "positions": positions,
        "device": { "id": "tab-1", "platform": "web", "name": "a tab" } })
}

fn sent(id: u64) -> Sent {
    Sent { message_id: MessageId(id), at: Millis(id + 1), notice: None }
}

#[tokio::test]
async fn a_hello_that_is_refused_says_why() {
    let stage = Stage::new().await;
    for (refusal, code, reconnect) in [
        (Refusal::TokenExpired, "token_expired", false),
        (Refusal::UserNotFound, "user_not_found", false),
        (Refusal::Busy, "busy", true),
    ] {
        stage.attach(Attach::Refuse(refusal));
        let mut client = Client::connect(stage.address).await;
        client.say(hello(json!({}))).await;
        assert_eq!(client.hear("error").await["code"], code);
        assert_eq!(client.bye().await, (code.to_owned(), reconnect));
    }
    for (first, code) in [
        (json!({ "type": "ping" }).to_string(), "no_hello"),
        ("nonsense".to_owned(), "bad_frame"),
        (json!({ "type": "hello", "app": "a#b", "user": "c", "device": { "id": "d" } }).to_string(), "malformed_login"),
        (json!({ "type": "hello", "app": "a#b", "user": "c", "token": "t", "device": { "id": "a/b" } }).to_string(), "malformed_login"),
        (json!({ "type": "hello", "app": "a#b", "user": "c", "token": "t", "device": { "id": "d", "platform": "toaster" } }).to_string(), "malformed_login"),
        (json!({ "type": "hello", "app": "a#b", "user": "c", "token": "t" }).to_string(), "bad_frame"),
    ] {
        let mut client = Client::connect(stage.address).await;
        client.raw(&first).await;
        assert_eq!(client.hear("error").await["code"], code, "{first}");
        client.bye().await;
    }
}

#[tokio::test]
async fn sends_of_every_sort_become_submissions_and_are_answered() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    let frames = [
        (
            json!({ "type": "send", "id": 1, "to": "alice", "body": { "type": "txt", "msg": "hi" }, "ext": { "k": 1 } }),
            Type::Chat,
        ),
        (
            json!({ "type": "edit", "id": "2", "to": "alice", "message": "77", "body": { "type": "txt", "msg": "ho" } }),
            Type::Edit,
        ),
        (json!({ "type": "recall", "id": 3, "to": "alice", "message": "77" }), Type::Recall),
        (
            json!({ "type": "receipt", "id": 4, "to": "alice", "kind": "read", "message": "77" }),
            Type::ReadAck,
        ),
        (
            json!({ "type": "receipt", "id": 5, "to": "alice", "kind": "delivered", "message": "77" }),
            Type::DeliverAck,
        ),
        (json!({ "type": "receipt", "id": 6, "to": "alice", "kind": "read" }), Type::ChannelAck),
    ];
    for (number, (frame, kind)) in (1..).zip(frames) {
        client.say(frame).await;
        let (submission, answer) = seat.sent().await;
        assert_eq!(
            (submission.client_id, submission.to.as_str(), submission.to_conference),
            (number, "alice", false)
        );
        assert_eq!(submission.route, RouteTo::Everyone);
        let body = MessageBody::decode(submission.body).unwrap();
        assert_eq!(body.r#type(), kind);
        assert_eq!((body.from.unwrap().name(), body.to.unwrap().name()), ("bob", "alice"));
        answer.send(Ok(sent(number + 100))).unwrap();
        let told = client.hear("sent").await;
        assert_eq!((&told["id"], &told["message"]), (&json!(number), &json!((number + 100).to_string())));
    }
    client.say(json!({ "type": "typing", "to": "alice" })).await;
    let (submission, _) = seat.sent().await;
    assert_eq!(submission.route, RouteTo::OnlineOnly);
    assert_eq!(MessageBody::decode(submission.body).unwrap().contents[0].action(), "TypingBegin");

    client.say(json!({ "type": "send", "id": 8, "to": "77", "chat": "group", "body": { "type": "txt", "msg": "hi" } })).await;
    let (submission, answer) = seat.sent().await;
    assert!(submission.to_conference);
    answer.send(Err(SendError::GroupNotFound)).unwrap();
    let refused = client.hear("error").await;
    assert_eq!((&refused["id"], &refused["code"]), (&json!(8), &json!("group_not_found")));
    client
        .say(json!({ "type": "send", "id": 9, "to": "alice", "body": { "type": "txt", "msg": "long" } }))
        .await;
    seat.sent().await.1.send(Err(SendError::TooLarge { limit: 5 })).unwrap();
    assert_eq!(client.hear("error").await["limit"], 5);
    for frame in ["react", "presence"] {
        client.say(json!({ "type": frame, "id": 10 })).await;
        assert_eq!(client.hear("error").await["code"], "not_supported");
    }
    client.say(json!({ "type": "ping", "id": 11 })).await;
    assert_eq!(client.hear("pong").await["id"], 11);
}

#[tokio::test]
async fn frames_behind_the_hello_need_not_wait_for_the_welcome() {
    let mut stage = Stage::new().await;
    let mut client = Client::connect(stage.address).await;
    client.say(hello(json!({}))).await;
    for id in 1..=3 {
        client
            .say(json!({ "type": "send", "id": id, "to": "alice", "body": { "type": "txt", "msg": "hi" } }))
            .await;
    }
    client.hear("welcome").await;
    let mut seat = stage.seat().await;
    let Call::Unread(list) = seat.call().await else { panic!() };
    let mut answers = Vec::new();
    for id in 1..=3 {
        let (submission, answer) = seat.sent().await;
        assert_eq!(submission.client_id, id);
        answers.push(answer);
    }
    list.send(Ok(vec![])).unwrap();
    client.hear("synced").await;
    for (id, answer) in (1..).zip(answers) {
        answer.send(Ok(sent(id))).unwrap();
        assert_eq!(client.hear("sent").await["id"], id);
    }
}

#[tokio::test]
async fn what_is_owed_comes_in_order_and_is_acknowledged() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 4, 3)]).await;
    seat.pull(4).await.send(Ok(batch(5..=6, 7, true))).unwrap();
    for seq in 5..=6 {
        let message = client.hear("message").await;
        assert_eq!((&message["conversation"], &message["from"]), (&json!("alice"), &json!("alice")));
        assert!(message["position"].as_str().unwrap().ends_with(&format!(".{seq}")));
    }
    seat.pull(7).await.send(Ok(batch(8..=8, 9, false))).unwrap();
    let last = client.hear("message").await;
    client.hear("synced").await;
    client.say(json!({ "type": "ack", "conversation": "alice", "position": last["position"] })).await;
    assert_eq!(seat.acknowledged().await, 9, "what follows the last one is not for this device");
    // Live: dense ones are told, what is known is not told again, a gap is pulled.
    seat.entry(10).await;
    client.hear("message").await;
    seat.entry(10).await;
    seat.entry(12).await;
    seat.pull(10).await.send(Ok(batch(11..=12, 12, false))).unwrap();
    client.hear("message").await;
    client.hear("message").await;
    client.say(json!({ "type": "ack", "conversation": "alice", "position": "9999.1" })).await;
    assert_eq!(seat.acknowledged().await, 12, "never past what was told");
}

#[tokio::test]
async fn a_client_that_keeps_its_own_book_goes_on_from_there() {
    let mut stage = Stage::new().await;
    let place = |seq: u64| format!("{}.{seq}", at(seq).epoch);
    let (mut client, mut seat) =
        Client::log_in(&mut stage, json!({ "alice": place(6), "carol": place(2) })).await;
    seat.unread(vec![unread("alice", 4, 3), unread("carol", 5, 1)]).await;
    assert_eq!(seat.acknowledged().await, 6);
    let mut pulled = Vec::new();
    for _ in 0..2 {
        let Call::Pull(request, answer) = seat.call().await else { panic!() };
        pulled.push((request.conversation.clone(), request.after));
        let empty = meridian_link::Batch { entries: vec![], position: request.after, more: false };
        answer.send(Ok(empty)).unwrap();
        // Nothing was told, so the position may be raised.
        assert!(matches!(seat.call().await, Call::Acknowledge(..)));
    }
    pulled.sort();
    let mut expected = vec![(with("alice"), at(6)), (with("carol"), at(5))];
    expected.sort();
    assert_eq!(pulled, expected);
    client.hear("synced").await;
}

#[tokio::test]
async fn a_client_that_acknowledges_nothing_is_told_so_much_and_no_more() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![unread("alice", 0, 500)]).await;
    let mut from = 0;
    while from < 256 {
        let Call::Pull(request, answer) = seat.call().await else { panic!() };
        assert_eq!(request.after, at(from));
        let to = from + request.max_entries as u64;
        answer.send(Ok(batch(from + 1..=to, to, true))).unwrap();
        for _ in from..to {
            client.hear("message").await;
        }
        from = to;
    }
    assert_eq!(from, 256);
    seat.entry(400).await;
    client.say(json!({ "type": "ping" })).await;
    client.hear("pong").await;
    assert!(seat.nothing_called());
    let position = format!("{}.10", at(10).epoch);
    client.say(json!({ "type": "ack", "conversation": "alice", "position": position })).await;
    assert_eq!(seat.acknowledged().await, 10);
    seat.pull(256).await.send(Ok(batch(257..=260, 260, false))).unwrap();
    for _ in 257..=260 {
        client.hear("message").await;
    }
}

#[tokio::test]
async fn after_a_gap_in_the_events_nothing_is_told_twice() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    seat.entry(1).await;
    client.hear("message").await;
    seat.event(SessionEvent::Lagged).await;
    seat.unread(vec![unread("alice", 0, 2)]).await;
    seat.pull(1).await.send(Ok(batch(2..=2, 2, false))).unwrap();
    let message = client.hear("message").await;
    assert!(message["position"].as_str().unwrap().ends_with(".2"));
}

#[tokio::test]
async fn a_history_is_a_page() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    client.say(json!({ "type": "history", "id": 5, "with": "alice", "limit": 3, "after": format!("{}.1", at(1).epoch) })).await;
    seat.pull(1).await.send(Err(LinkError::Busy)).unwrap();
    assert_eq!(client.hear("error").await["code"], "busy");
    let after = format!("{}.2", at(2).epoch);
    client.say(json!({ "type": "history", "id": 6, "with": "alice", "after": after })).await;
    seat.pull(2).await.send(Ok(batch(3..=4, 4, true))).unwrap();
    let page = client.hear("history").await;
    assert_eq!((page["entries"].as_array().unwrap().len(), &page["more"]), (2, &json!(true)));
    page["entries"].as_array().unwrap().iter().for_each(|entry| check("server", entry));
}

#[tokio::test]
async fn a_session_ends_with_its_reason() {
    for (reason, code, reconnect) in [
        (CloseReason::Replaced { extension: "there".into() }, "replaced", false),
        (CloseReason::PasswordChanged, "password_changed", false),
        (CloseReason::Kicked, "kicked", false),
        (CloseReason::Removed, "user_removed", false),
        (CloseReason::Draining, "going_away", true),
    ] {
        let mut stage = Stage::new().await;
        let (mut client, seat) = Client::online(&mut stage, vec![]).await;
        seat.closed.send(reason).unwrap();
        assert_eq!(client.bye().await, (code.to_owned(), reconnect));
    }
    let mut stage = Stage::new().await;
    let (mut client, seat) = Client::online(&mut stage, vec![]).await;
    drop(seat.closed);
    assert_eq!(client.bye().await, ("restarting".to_owned(), true));
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    client
        .say(json!({ "type": "send", "id": 1, "to": "alice", "body": { "type": "txt", "msg": "hi" } }))
        .await;
    let (_, answer) = seat.sent().await;
    stage.shut_down();
    answer.send(Ok(sent(1))).unwrap();
    client.hear("sent").await;
    assert_eq!(client.bye().await, ("going_away".to_owned(), true));
}

#[tokio::test]
async fn abuse_is_answered_and_then_ended() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    let bad = [
        "{",
        "null",
        "[]",
        "{}",
        r#"{"type":"x"}"#,
        r#"{"type":"send"}"#,
        r#"{"type":"hello"}"#,
        r#"{"type":"send","id":1,"to":"a","body":{"type":"txt"}}"#,
        r#"{"type":"ack","conversation":"","position":"1.1"}"#,
        r#"{"type":"history","id":1,"with":"x y"}"#,
        r#"{"type":"receipt","id":1,"to":"a","kind":"delivered"}"#,
        r#"{"type":"recall","id":1,"to":"a","message":"x"}"#,
        r#"{"type":"ping","id":{}}"#,
        "\"",
        "1",
        "{\"type\":null}",
    ];
    for (number, text) in (1..).zip(bad) {
        client.raw(text).await;
        let error = client.hear("error").await;
        assert!(error["message"].as_str().unwrap().len() < 400, "{number}: {error}");
    }
    assert_eq!(client.bye().await, ("too_many_mistakes".to_owned(), false));
    assert!(!seat.detached().await);

    let (mut client, _seat) = Client::online(&mut stage, vec![]).await;
    client.0.send(Message::Binary(vec![1].into())).await.unwrap();
    assert_eq!(client.bye().await, ("binary_frame".to_owned(), false));
    let (mut client, _seat) = Client::online(&mut stage, vec![]).await;
    client.raw(&"x".repeat(70_000)).await;
    assert_eq!(client.bye().await, ("frame_too_large".to_owned(), false));
}

#[tokio::test]
async fn rooms_are_joined_heard_and_left() {
    use crate::rooms::{ROOM, asked, changed, joined, news, room, said, standing};
    use meridian_link::{RoomError, RoomRequest};
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::online(&mut stage, vec![]).await;
    client.say(json!({ "type": "join", "id": 1, "room": ROOM, "ext": "hey" })).await;
    let (request, answer) = asked(&mut seat).await;
    assert_eq!(request, RoomRequest::Join { room: room(), ext: "hey".into(), leave_others: false });
    answer.send(Ok(standing())).unwrap();
    let frame = client.hear("joined").await;
    assert_eq!((&frame["id"], &frame["members"], &frame["muted"]), (&json!(1), &json!(3), &json!(true)));
    assert_eq!(frame["entries"][0]["message"], "1002");
    assert_eq!(frame.get("muted_until"), None);

    seat.event(news(vec![said(3), changed("carol", joined(&["carol"]))])).await;
    let frame = client.hear("room").await;
    assert_eq!((&frame["room"], frame["entries"].as_array().unwrap().len()), (&json!(ROOM), 2));
    let (message, change) = (&frame["entries"][0], &frame["entries"][1]);
    check("server", message);
    check("server", change);
    assert_eq!((&message["chat"], &message["priority"]), (&json!("room"), &json!("normal")));
    assert_eq!((message.get("position"), message.get("online_only")), (None, None));
    assert_eq!((&change["type"], &change["change"]), (&json!("room_changed"), &json!("joined")));

    // What is about this user alone comes by itself.
    let removed = meridian_types::notice::MucChange::Removed {
        people: vec![meridian_types::UserName::parse("bob").unwrap()],
        blocked: true,
        size: 1,
    };
    seat.event(SessionEvent::Transient(changed("carol", removed))).await;
    assert_eq!(client.hear("room_changed").await["change"], "removed");

    client.say(json!({ "type": "leave", "id": 2, "room": ROOM })).await;
    let (request, answer) = asked(&mut seat).await;
    assert_eq!(request, RoomRequest::Leave { room: room() });
    answer.send(Err(RoomError::NotMember)).unwrap();
    assert_eq!(client.hear("error").await["code"], "not_member");
    client.say(json!({ "type": "leave", "id": 3, "room": ROOM })).await;
    asked(&mut seat).await.1.send(Ok(standing())).unwrap();
    assert_eq!(client.hear("left").await["room"], ROOM);
    client.say(json!({ "type": "join", "id": 4, "room": "77" })).await;
    assert_eq!(client.hear("error").await["code"], "room_not_found");

    let body = json!({ "type": "txt", "msg": "hi" });
    let send =
        json!({ "type": "send", "id": 5, "to": ROOM, "chat": "room", "priority": "low", "body": body });
    client.say(send).await;
    let (submission, answer) = seat.sent().await;
    assert_eq!(submission.ext, meridian_types::room::Priority::Low.ext(false));
    answer.send(Err(SendError::NotMember)).unwrap();
    assert_eq!(client.hear("error").await["code"], "not_member");
}
