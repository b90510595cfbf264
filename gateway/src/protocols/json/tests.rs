//! The description for machines and the code have the same frames; bodies come back as they were.

use super::{
    body::{self, About},
    event::SERVER_FRAMES,
    frame::{self, CLIENT_FRAMES, Chat},
};
use meridian_types::{MessageId, UserName, content, msync::MessageBody};
use prost::Message;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ASYNCAPI: &str = include_str!("asyncapi.json");

#[test]
fn the_description_has_the_frames_of_the_code() {
    let description: Value = serde_json::from_str(ASYNCAPI).unwrap();
    let messages = description["channels"]["session"]["messages"].as_object().unwrap();
    let names = |side: &str| -> BTreeSet<String> {
        let of_side = messages.iter().filter(|(key, _)| key.starts_with(side));
        of_side.map(|(_, message)| message["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("client"), CLIENT_FRAMES.map(str::to_owned).into());
    assert_eq!(names("server"), SERVER_FRAMES.map(str::to_owned).into());
    for name in CLIENT_FRAMES {
        let mistake = frame::read(&json!({ "type": name }).to_string()).err();
        assert_ne!(mistake.map(|mistake| mistake.code), Some("unknown_type"), "{name}");
    }
}

#[test]
fn bodies_of_every_type_come_back_as_they_were() {
    let file = |kind: &str| json!({ "type": kind, "url": "https://x/1", "filename": "a", "secret": "s", "file_length": 7 });
    let with = |kind: &str, more: Value| {
        let mut body = file(kind);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let bodies = [
        json!({ "type": "txt", "msg": "hi \u{1f600}" }),
        with(
            "img",
            json!({ "size": { "width": 1.0, "height": 2.0 }, "thumb": "t", "thumb_secret": "ts", "subType": "sub_gif" }),
        ),
        with("audio", json!({ "length": 3 })),
        with("video", json!({ "length": 3, "size": { "width": 1.0, "height": 2.0 }, "thumb": "t" })),
        file("file"),
        json!({ "type": "loc", "lat": 1.5, "lng": -2.5, "addr": "there", "buildingName": "b" }),
        json!({ "type": "cmd", "action": "go", "param": { "a": 1 } }),
        json!({ "type": "custom", "customEvent": "e", "customExts": { "k": "v", "n": 1.5, "b": true, "o": { "x": [1] } } }),
        with("combine", json!({ "title": "t", "summary": "s", "compatibleText": "c", "combineLevel": 1 })),
    ];
    for body in bodies {
        let content = body::read(body.as_object().unwrap()).unwrap();
        assert_eq!(content::write(&content), body);
    }
}

#[test]
fn a_wrong_body_is_named() {
    let wrong = |body: Value| body::read(body.as_object().unwrap()).unwrap_err();
    assert_eq!(wrong(json!({})), "body.type is missing");
    assert_eq!(wrong(json!({ "type": "song" })), "body.type \"song\" is no message type");
    assert_eq!(wrong(json!({ "type": "txt" })), "body.msg is missing");
    assert_eq!(wrong(json!({ "type": "txt", "msg": 5 })), "body.msg must be a string");
    assert_eq!(wrong(json!({ "type": "loc", "lat": "x", "lng": 1 })), "body.lat must be a number");
    assert_eq!(wrong(json!({ "type": "img", "url": "u", "size": 1 })), "body.size must be an object");
}

#[test]
fn what_is_about_a_message_names_it_where_sdks_look() {
    let alice = UserName::parse("alice").unwrap();
    let read =
        |about| MessageBody::decode(body::encode(about, (&alice, Chat::User, "bob"), None, None)).unwrap();
    let id = MessageId(9);
    let types =
        [About::Edit(id), About::Recall(id), About::Delivered(id), About::Read(id), About::ConversationRead]
            .map(|about| {
                let body = read(about);
                (body.r#type.unwrap(), body.ack_message_id, body.edit_message_id)
            });
    assert_eq!(
        types,
        [(8, None, Some(9)), (6, Some(9), None), (5, Some(9), None), (4, Some(9), None), (7, None, None)]
    );
}

#[test]
fn mistakes_are_named_and_bounded() {
    let code = |text: &str| frame::read(text).map_err(|mistake| (mistake.code, mistake.id)).unwrap_err();
    assert_eq!(code("{"), ("bad_frame", None));
    assert_eq!(code("[]"), ("bad_frame", None));
    assert_eq!(code(r#"{"type":7}"#), ("bad_frame", None));
    assert_eq!(code(r#"{"type":"fly","id":3}"#), ("unknown_type", Some(3)));
    assert_eq!(code(r#"{"type":"send","id":3}"#), ("bad_frame", Some(3)));
    for id in ["0", "-1", "1.5", "9223372036854775808", "\"x\"", "null"] {
        assert_eq!(
            code(&format!(r#"{{"type":"recall","id":{id},"to":"b","message":"1"}}"#)),
            ("bad_frame", None),
            "{id}"
        );
    }
    for position in ["1", "1.", ".1", "-1.2", "8388608.1", "1.1099511627776", "x.y"] {
        let ack = format!(r#"{{"type":"ack","conversation":"bob","position":"{position}"}}"#);
        assert_eq!(code(&ack), ("bad_frame", None), "{position}");
    }
    let long = frame::read(&json!({ "type": "x".repeat(5000) }).to_string()).unwrap_err();
    assert!(long.text.chars().count() <= 200);
    assert_eq!(code(&format!("{}1{}", "[".repeat(500), "]".repeat(500))), ("bad_frame", None));
}
