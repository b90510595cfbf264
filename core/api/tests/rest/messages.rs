use crate::server::Server;
use meridian_chat::AppSettings;
use meridian_types::{msync::MessageBody, session::PullRequest};
use prost::Message;
use serde_json::{Value, json};

/// The message bodies that wait for a device.
async fn received(attached: &meridian_chat::Attached) -> Vec<MessageBody> {
    let mut bodies = Vec::new();
    for unread in attached.session.unread().await.unwrap() {
        let request = PullRequest {
            conversation: unread.conversation,
            after: unread.position,
            max_entries: 100,
            max_bytes: 1 << 20,
        };
        let batch = attached.session.pull(request).await.unwrap();
        bodies.extend(
            batch.entries.iter().map(|entry| MessageBody::decode(entry.body.clone().unwrap()).unwrap()),
        );
    }
    bodies
}

fn id_of(json: &Value, user: &str) -> u64 {
    json["data"][user].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_message_reaches_its_receivers() {
    let server = Server::start().await;
    let bob = server.user("bob").await;
    server.user("carl").await;
    let body = json!({"from": "alice", "to": ["bob", "carl"], "type": "txt", "body": {"msg": "hi"},
        "ext": {"n": 1}});
    let json = server.post("/messages/users", body).await.ok();
    assert_eq!((&json["path"], &json["action"]), (&json!("/messages/users"), &json!("post")));
    assert_ne!(id_of(&json, "bob"), id_of(&json, "carl"));

    let path = format!("/users/bob/offline_msg_status/{}", id_of(&json, "bob"));
    let id = id_of(&json, "bob").to_string();
    assert_eq!(server.get(&path).await.ok()["data"], json!({id: "undelivered"}));
    assert_eq!(server.get("/users/bob/offline_msg_count").await.ok()["data"], json!({"bob": 1}));
    for unknown in ["1", "x", "99999999999999999999"] {
        let path = format!("/users/bob/offline_msg_status/{unknown}");
        assert_eq!(server.get(&path).await.ok()["data"], json!({unknown: "delivered"}));
    }

    let device = server.attach("bob", "webim_1", &bob).await;
    let messages = received(&device).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].contents[0].text.as_deref(), Some("hi"));
    assert_eq!(messages[0].from.as_ref().unwrap().name.as_deref(), Some("alice"));
    assert_eq!(messages[0].ext[0].key.as_deref(), Some("n"));
}

#[tokio::test]
async fn every_type_is_taken() {
    let server = Server::start().await;
    let bob = server.user("bob").await;
    let url = "https://rest.example.org/demo/chat/chatfiles/1";
    for (kind, body) in [
        ("txt", json!({"msg": "hi"})),
        ("img", json!({"url": url, "filename": "p.jpg", "size": {"width": 1, "height": 2}})),
        ("audio", json!({"url": url, "filename": "a.amr", "length": 3})),
        ("video", json!({"url": url, "length": 3, "file_length": 4, "thumb": url})),
        ("file", json!({"url": url, "filename": "f.zip"})),
        ("loc", json!({"lat": "1.5", "lng": 2, "addr": "here"})),
        ("cmd", json!({"action": "go"})),
        ("custom", json!({"customEvent": "e", "customExts": {"k": "v"}})),
    ] {
        server.post("/messages/users", json!({"to": ["bob"], "type": kind, "body": body})).await.ok();
    }
    let device = server.attach("bob", "webim_1", &bob).await;
    let kinds: Vec<_> = received(&device).await.iter().map(|body| body.contents[0].r#type.unwrap()).collect();
    assert_eq!(kinds, [0, 1, 4, 2, 5, 3, 6, 7]);
}

#[tokio::test]
async fn the_sender_gets_a_copy_only_when_asked() {
    let server = Server::start().await;
    let alice = server.user("alice").await;
    for (text, sync) in [("plain", json!(false)), ("copied", json!(true))] {
        let body = json!({"from": "alice", "to": ["bob"], "type": "txt", "body": {"msg": text}, "sync_device": sync});
        server.post("/messages/users", body).await.ok();
    }
    let device = server.attach("alice", "webim_1", &alice).await;
    let texts: Vec<_> =
        received(&device).await.into_iter().map(|mut body| body.contents.remove(0).text).collect();
    assert_eq!(texts, [Some("copied".to_owned())]);
}

#[tokio::test]
async fn an_online_message_is_not_kept() {
    let server = Server::start().await;
    let bob = server.user("bob").await;
    let body = json!({"to": ["bob"], "type": "cmd", "body": {"action": "go"}, "routetype": "ROUTE_ONLINE"});
    let json = server.post("/messages/users", body).await.ok();
    assert!(id_of(&json, "bob") > 0);
    let device = server.attach("bob", "webim_1", &bob).await;
    assert!(received(&device).await.is_empty());
}

#[tokio::test]
async fn bad_sends_are_refused() {
    let server = Server::start().await;
    for (body, text) in [
        (json!({"to": ["bob"], "body": {"msg": "x"}}), "type is required"),
        (json!({"to": ["bob"], "type": "txt"}), "body is required"),
        (json!({"type": "txt", "body": {"msg": "x"}}), "to must be a list"),
        (json!({"to": ["bob"], "type": "txt", "body": {"msg": "x"}, "from": ""}), "from can't be empty"),
        (json!({"to": ["bob"], "type": "txt", "body": {"msg": "x"}, "ext": null}), "ext must be an object"),
        (json!({"to": ["bob"], "type": "txt", "body": {"msg": "x".repeat(9000)}}), "message is too large"),
    ] {
        server.post("/messages/users", body).await.is_error(400, "illegal_argument", text);
    }
    let huge = json!({"to": ["bob"], "type": "txt", "body": {"msg": "x".repeat(90_000)}});
    server.post("/messages/users", huge).await.is_error(413, "Request Entity Too Large", "");
}

#[tokio::test]
async fn many_targets_count_many_times() {
    let server = Server::start().await;
    let targets: Vec<_> = (0..600).map(|n| format!("u{n}")).collect();
    let body = json!({"to": targets, "type": "txt", "body": {"msg": "x"}, "routetype": "ROUTE_ONLINE"});
    let mut sent = 0;
    loop {
        let answer = server.post("/messages/users", body.clone()).await;
        if answer.status == 429 {
            break;
        }
        answer.ok();
        sent += 1;
        assert!(sent < 30, "the limit never came");
    }
    assert!(sent >= 10, "6000 a minute are allowed, {sent} calls went through");
}

#[tokio::test]
async fn the_older_send_answers_success_or_ids() {
    let server = Server::start().await;
    let body = |kind: &str| json!({"target_type": kind, "target": ["bob"], "from": "alice", "msg": {"type": "txt", "msg": "hi"}});
    let json = server.post("/messages", body("users")).await.ok();
    assert_eq!((&json["data"], &json["path"]), (&json!({"bob": "success"}), &json!("/messages")));
    assert!(id_of(&server.post("/messages?useMsgId=true", body("users")).await.ok(), "bob") > 0);
    let no_room = "do not find this group: bob";
    server.post("/messages", body("chatrooms")).await.is_error(404, "service_resource_not_found", no_room);
    let text = "target_type can only be 'users' or 'chatgroups' or 'chatrooms'";
    server.post("/messages", body("x")).await.is_error(400, "illegal_argument", text);
}

#[tokio::test]
async fn a_message_is_recalled_once() {
    let server = Server::start().await;
    let bob = server.user("bob").await;
    let send = json!({"from": "alice", "to": ["bob"], "type": "txt", "body": {"msg": "oops"}});
    let id = id_of(&server.post("/messages/users", send.clone()).await.ok(), "bob").to_string();
    let recall = json!({"msg_id": id, "from": "alice", "to": "bob", "chat_type": "chat", "force": true});
    let json = server.post("/messages/msg_recall", recall.clone()).await.ok();
    let expected = json!({"recalled": "yes", "chattype": "chat", "from": "alice", "to": "bob", "msg_id": id});
    assert_eq!(json["data"], expected);
    let json = server.post("/messages/msg_recall", recall).await.ok();
    assert_eq!(json["data"]["recalled"], "not_found msg");
    let device = server.attach("bob", "webim_1", &bob).await;
    assert!(received(&device).await.iter().all(|body| body.contents.iter().all(|part| part.text.is_none())));

    let id = id_of(&server.post("/messages/users", send).await.ok(), "bob");
    let many = json!({"msgs": [
        {"msg_id": id, "from": "alice", "to": "bob", "chat_type": "chat", "force": true},
        {"msg_id": "1", "from": "alice", "to": "bob", "chat_type": "chat"},
        {"msg_id": "x", "from": "alice", "to": "bob", "chat_type": "chat"},
    ]});
    let json = server.post("/messages/recall", many).await.ok();
    let words: Vec<_> = json["data"]["msgs"].as_array().unwrap().iter().map(|row| &row["recalled"]).collect();
    assert_eq!(words, ["yes", "not_found msg", "not_found msg"]);
    server.post("/messages/recall", json!({})).await.is_error(400, "illegal_argument", "msgs");
    let missing = json!({"msg_id": "1", "chat_type": "chat"});
    server.post("/messages/msg_recall", missing).await.is_error(400, "illegal_argument", "to is required");
}

#[tokio::test]
async fn recall_may_be_switched_off() {
    let server = Server::with(AppSettings { recall_enabled: false, ..AppSettings::default() }).await;
    let send = json!({"from": "alice", "to": ["bob"], "type": "txt", "body": {"msg": "oops"}});
    let id = id_of(&server.post("/messages/users", send).await.ok(), "bob");
    let recall = json!({"msg_id": id, "from": "alice", "to": "bob", "chat_type": "chat"});
    let answer = server.post("/messages/msg_recall", recall).await;
    answer.is_error(403, "forbidden_op", "message recall service is unopened");
}
