use super::*;
use meridian_types::msync::key_value::{Value as Held, ValueType};
use serde_json::json;

/// Encodes as a send does and decodes as a client does.
fn sent(kind: &str, body: Value) -> Content {
    let draft = Draft::parse(kind, body.as_object().unwrap(), None).unwrap();
    let (alice, bob) = (UserName::parse("alice").unwrap(), UserName::parse("bob").unwrap());
    let mut message = MessageBody::decode(draft.encode(&alice, &Target::User(bob))).unwrap();
    assert_eq!(message.r#type, Some(message_body::Type::Chat as i32));
    assert_eq!(message.from.unwrap(), Jid { name: Some("alice".into()), ..Jid::default() });
    assert_eq!(message.to.unwrap(), Jid { name: Some("bob".into()), ..Jid::default() });
    assert_eq!(message.contents.len(), 1);
    message.contents.remove(0)
}

fn refused(kind: &str, body: Value) -> String {
    let error = Draft::parse(kind, body.as_object().unwrap(), None).unwrap_err();
    assert_eq!((error.status.as_u16(), error.error), (400, "illegal_argument"));
    error.description.into_owned()
}

const TEXT: Option<i32> = Some(Type::Text as i32);

#[test]
fn a_text_has_only_its_text() {
    let content = sent("txt", json!({"msg": "hi", "unknown": 1}));
    assert_eq!(content, Content { r#type: TEXT, text: Some("hi".into()), ..Content::default() });
    assert!(content.sub_type.is_none(), "a subType would make it a forwarded history");
    assert_eq!(sent("txt", json!({"msg": ""})).text.as_deref(), Some(""));
    assert_eq!(refused("txt", json!({})), "msg is required");
    assert_eq!(refused("txt", json!({"msg": 5})), "msg must be a string");
}

#[test]
fn an_image_has_its_file_and_size() {
    let content = sent(
        "img",
        json!({"url": "https://h/o/a/chatfiles/1", "filename": "p.jpg", "secret": "s",
            "size": {"width": 480, "height": 720.5}, "file_length": 1234}),
    );
    let expected = Content {
        r#type: Some(Type::Image.into()),
        remote_path: Some("https://h/o/a/chatfiles/1".into()),
        display_name: Some("p.jpg".into()),
        secret_key: Some("s".into()),
        file_length: Some(1234),
        size: Some(Size { width: Some(480.0), height: Some(720.5) }),
        ..Content::default()
    };
    assert_eq!(content, expected);
    assert_eq!(sent("img", json!({"url": "u", "subType": "sub_gif"})).sub_type, Some(SubType::Gif.into()));
    assert_eq!(refused("img", json!({"filename": "p.jpg"})), "url is required");
    assert_eq!(refused("img", json!({"url": "u", "size": 3})), "size must be an object");
}

#[test]
fn an_audio_has_a_duration() {
    let content = sent("audio", json!({"url": "u", "filename": "a.amr", "length": 10}));
    assert_eq!((content.r#type, content.duration), (Some(Type::Voice.into()), Some(10)));
    assert_eq!(sent("audio", json!({"url": "u", "Length": "7"})).duration, Some(7));
    assert_eq!(sent("audio", json!({"url": "u", "length": 1e18})).duration, Some(i32::MAX));
    assert_eq!(refused("audio", json!({"url": "u", "length": "long"})), "length must be a number");
}

#[test]
fn a_video_has_a_thumbnail() {
    let content = sent(
        "video",
        json!({"url": "u", "thumb": "t", "thumb_secret": "ts", "secret": "s", "length": 3, "file_length": 9,
            "filename": "v.mp4"}),
    );
    let expected = Content {
        r#type: Some(Type::Video.into()),
        remote_path: Some("u".into()),
        display_name: Some("v.mp4".into()),
        secret_key: Some("s".into()),
        file_length: Some(9),
        duration: Some(3),
        thumbnail_remote_path: Some("t".into()),
        thumbnail_secret_key: Some("ts".into()),
        ..Content::default()
    };
    assert_eq!(content, expected);
}

#[test]
fn a_file_has_its_name() {
    let content = sent("file", json!({"url": "u", "filename": "f.zip", "secret": null}));
    assert_eq!(content.r#type, Some(Type::File.into()));
    assert_eq!((content.display_name.as_deref(), content.secret_key), (Some("f.zip"), None));
}

#[test]
fn a_place_may_be_numbers_or_text() {
    for (lat, lng) in [(json!(39.5), json!(116)), (json!("39.5"), json!("116"))] {
        let content = sent("loc", json!({"lat": lat, "lng": lng, "addr": "Beijing"}));
        let expected = Content {
            r#type: Some(Type::Location.into()),
            latitude: Some(39.5),
            longitude: Some(116.0),
            address: Some("Beijing".into()),
            ..Content::default()
        };
        assert_eq!(content, expected);
    }
    assert_eq!(refused("loc", json!({"lat": 1})), "lng is required");
    assert_eq!(refused("loc", json!({"lat": "north", "lng": 1})), "lat must be a number");
    assert_eq!(refused("loc", json!({"lat": "NaN", "lng": 1})), "lat must be a number");
}

#[test]
fn a_command_has_an_action() {
    let content = sent("cmd", json!({"action": "go", "param": {"a": "b"}}));
    assert_eq!((content.r#type, content.action.as_deref()), (Some(Type::Command.into()), Some("go")));
    assert_eq!(content.params.len(), 1);
    assert_eq!(refused("cmd", json!({})), "action is required");
}

#[test]
fn a_custom_message_has_an_event_and_pairs() {
    let content = sent("custom", json!({"customEvent": "a/b.c-d_1", "customExts": {"k": "v"}}));
    assert_eq!(
        (content.r#type, content.custom_event.as_deref()),
        (Some(Type::Custom.into()), Some("a/b.c-d_1"))
    );
    let pair = &content.custom_exts[0];
    assert_eq!((pair.key.as_deref(), pair.r#type), (Some("k"), Some(ValueType::String.into())));
    assert_eq!(pair.value, Some(Held::StringValue("v".into())));

    let from_history = sent("custom", json!({"customExts": [{"k": "v"}, {"l": "w"}]}));
    assert_eq!(from_history.custom_exts.len(), 2);
    assert_eq!(refused("custom", json!({"customEvent": "a b"})), "customEvent is not legal");
    assert_eq!(refused("custom", json!({"customEvent": "e".repeat(33)})), "customEvent is not legal");
    let many: Fields = (0..17).map(|n| (n.to_string(), json!("v"))).collect();
    assert_eq!(refused("custom", json!({"customExts": many})), "customExts has more than 16 pairs");
}

#[test]
fn ext_is_an_object_of_typed_values() {
    let body = json!({"msg": "hi"});
    let ext = json!({"flag": true, "n": 5, "nested": {"a": 1}});
    let draft = Draft::parse("txt", body.as_object().unwrap(), Some(&ext)).unwrap();
    let kinds: Vec<_> =
        draft.ext.iter().map(|pair| (pair.key.as_deref().unwrap(), pair.r#type.unwrap())).collect();
    let expected = [
        ("flag", ValueType::Bool as i32),
        ("n", ValueType::Int as i32),
        ("nested", ValueType::JsonString as i32),
    ];
    assert_eq!(kinds, expected);
    for bad in [Value::Null, json!([]), json!("x")] {
        assert!(Draft::parse("txt", body.as_object().unwrap(), Some(&bad)).is_err(), "{bad}");
    }
}

#[test]
fn unknown_types_are_refused() {
    assert_eq!(refused("text", json!({"msg": "hi"})), "type is not a message type");
}
