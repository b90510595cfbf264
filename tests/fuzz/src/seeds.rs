//! The seed corpus: golden frames from files, and every kind of item that the SDK makes.

use anyhow::Context;
use meridian_gateway::msync::decode_frame;
use meridian_types::{
    Audience, ConversationKey, Effect, Entry, EntryKind, Hash, Hlc, IdempotencyKey, Kind, MessageId, Millis,
    Object, Operation, Relation, Resource, Seq, UserName,
    msync::{
        CommSyncUl, Jid, KeyValue, MSync, MessageBody, Meta,
        key_value::{Value, ValueType},
        message_body::{Content, MessageConfig, content::Size},
    },
};
use prost::Message;
use std::path::Path;

/// One frame of the open protocol a line.
const JSON: &str = include_str!("../seeds/frames.jsonl");

/// A seed: the target it is for, its name, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// Bytes of a hexadecimal text; white space is for the reader, and so is what follows a `#`.
pub fn hex(text: &str) -> anyhow::Result<Vec<u8>> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let digits: Vec<u8> = code.flat_map(str::bytes).filter(|byte| !byte.is_ascii_whitespace()).collect();
    anyhow::ensure!(digits.len().is_multiple_of(2), "half a byte at the end");
    let byte = |pair: &[u8]| anyhow::Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    digits.chunks(2).map(byte).collect()
}

/// The golden frames in `folder`: `*.hex`.
pub fn golden(folder: &Path) -> anyhow::Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = hex(&std::fs::read_to_string(&path)?).with_context(|| format!("{}", path.display()))?;
        // A slip in a file would make a seed that is refused at once.
        MSync::decode(&bytes[..]).with_context(|| format!("{} is no frame", path.display()))?;
        if name.ends_with("-up") {
            decode_frame(&bytes).with_context(|| format!("{} is refused", path.display()))?;
        }
        seeds.push(("frame", format!("golden-{name}"), bytes));
    }
    anyhow::ensure!(!seeds.is_empty(), "no golden frames in {}", folder.display());
    Ok(seeds)
}

/// Items as the SDK makes them, as frames and as bare bodies, and stored records of every shape.
pub fn made() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, body) in bodies() {
        let body = body.encode_to_vec();
        for (kind, domain, routetype) in
            [("user", "easemob.com", 0), ("group", "conference.easemob.com", 1), ("device", "easemob.com", 2)]
        {
            let meta = Meta {
                id: Some(530_407_262_294),
                to: Some(Jid {
                    app_key: Some("org#app".into()),
                    name: Some("bob".into()),
                    domain: Some(domain.into()),
                    client_resource: (kind == "device").then(|| "webim_web_1".into()),
                }),
                ns: Some(1),
                payload: Some(body.clone().into()),
                routetype: Some(routetype),
                ext: if kind == "group" { pairs() } else { Vec::new() },
                directed_users: if kind == "device" { vec!["carol".into()] } else { Vec::new() },
                ..Meta::default()
            };
            let sync = CommSyncUl { meta: Some(meta), ..CommSyncUl::default() };
            let frame = MSync {
                version: Some(0),
                command: Some(0),
                payload: Some(sync.encode_to_vec().into()),
                encrypt_type: vec![0],
                ..MSync::default()
            };
            seeds.push(("frame", format!("{name}-to-{kind}"), frame.encode_to_vec()));
        }
        seeds.push(("body", name.to_owned(), body));
    }
    let entries = entries();
    for entry in &entries {
        let name = format!("header-{:?}-{}", entry.kind, entry.seq);
        seeds.push(("stored", name, entry.encode_header().to_vec()));
    }
    seeds.push(("stored", "operation".into(), operation(entries).encode_detached().to_vec()));
    for (name, stream) in ["down", "up"].into_iter().zip(meridian_link::check::samples()) {
        seeds.push(("link", name.to_owned(), stream));
    }
    for (number, frame) in JSON.lines().enumerate() {
        seeds.push(("json", format!("frame-{number}"), frame.into()));
    }
    for text in ["alice", "org#app", "webim_web_1", "u/alice/bob"] {
        seeds.push(("stored", format!("name-{}", text.replace(['/', '#'], "-")), text.into()));
    }
    seeds
}

fn bodies() -> Vec<(&'static str, MessageBody)> {
    let name = |name: &str| Some(Jid { name: Some(name.into()), ..Jid::default() });
    let of = |r#type: i32| MessageBody {
        r#type: Some(r#type),
        from: name("alice"),
        to: name("bob"),
        ..MessageBody::default()
    };
    let holding = |content: Content| MessageBody { contents: vec![content], ext: pairs(), ..of(1) };
    let file = |r#type: i32| Content {
        r#type: Some(r#type),
        display_name: Some("a.png".into()),
        remote_path: Some("http://127.0.0.1/org/app/chatfiles/1".into()),
        secret_key: Some("secret".into()),
        file_length: Some(1234),
        size: Some(Size { width: Some(1.5), height: Some(f64::NAN) }),
        duration: Some(3),
        thumbnail_remote_path: Some("http://127.0.0.1/thumbnail".into()),
        ..Content::default()
    };
    let text = |text: &str| Content { r#type: Some(0), text: Some(text.into()), ..Content::default() };
    let edit = MessageBody { edit_message_id: Some(9), edit_scope: Some(2), ..holding(text("new")) };
    let about = |r#type: i32| MessageBody {
        ack_message_id: Some(1_882_602_436_052_385_800),
        contents: vec![Content::default()],
        ..of(r#type)
    };
    vec![
        ("text", holding(text("hello, wörld"))),
        ("image", holding(file(1))),
        ("video", holding(file(2))),
        ("voice", holding(file(4))),
        ("file", holding(file(5))),
        (
            "location",
            holding(Content {
                r#type: Some(3),
                latitude: Some(52.5),
                longitude: Some(-0.1),
                address: Some("here".into()),
                building_name: Some("tower".into()),
                ..Content::default()
            }),
        ),
        ("cmd", holding(Content { r#type: Some(6), action: Some("typing".into()), ..Content::default() })),
        (
            "custom",
            holding(Content {
                r#type: Some(7),
                custom_event: Some("gift".into()),
                custom_exts: pairs(),
                ..Content::default()
            }),
        ),
        (
            "combine",
            holding(Content {
                sub_type: Some(0),
                title: Some("history".into()),
                summary: Some("a: b".into()),
                combine_level: Some(1),
                ..text("not supported")
            }),
        ),
        ("read", about(4)),
        ("delivered", about(5)),
        ("recall", about(6)),
        ("conversation-read", of(7)),
        ("edit", MessageBody { r#type: Some(8), ..edit }),
        (
            "group-read",
            MessageBody {
                msg_config: Some(MessageConfig { allow_group_ack: Some(true) }),
                ack_content: Some("{}".into()),
                meta: Some(r#"{"thread":{}}"#.into()),
                ..about(4)
            },
        ),
        ("empty", MessageBody::default()),
    ]
}

/// Custom attributes of every type.
fn pairs() -> Vec<KeyValue> {
    let pair = |key: &str, r#type: ValueType, value: Value| KeyValue {
        key: Some(key.into()),
        r#type: Some(r#type as i32),
        value: Some(value),
    };
    vec![
        pair("bool", ValueType::Bool, Value::VarintValue(1)),
        pair("int", ValueType::Int, Value::VarintValue(-1)),
        pair("long", ValueType::Llint, Value::VarintValue(i64::MAX)),
        pair("float", ValueType::Float, Value::FloatValue(1.5)),
        pair("double", ValueType::Double, Value::DoubleValue(-1e300)),
        pair("text", ValueType::String, Value::StringValue("x".into())),
        pair("json", ValueType::JsonString, Value::StringValue(r#"{"f":[1,{"g":null}]}"#.into())),
    ]
}

fn entries() -> Vec<Entry> {
    let name = |text: &str| UserName::parse(text).expect("a good name");
    let (alice, bob) = (name("alice"), name("bob"));
    let device = || Resource::parse("webim_web_1").expect("a good device");
    let audiences = [Audience::Everyone, Audience::Others, Audience::Device(device())];
    (1..=6)
        .zip(audiences.into_iter().cycle())
        .map(|(number, audience)| Entry {
            conversation: ConversationKey::pair(&alice, &bob),
            seq: Seq(u64::from(number)),
            message_id: MessageId(77 + u64::from(number)),
            at: Millis(1_700_000_000_000),
            kind: EntryKind::from_number(number).expect("a known kind"),
            sender: bob.clone(),
            sender_device: (number % 2 == 0).then(device),
            audience,
            target: (number > 1).then_some(MessageId(12)),
            idempotency: (number < 4).then_some(IdempotencyKey { stream: u64::MAX, id: 3 }),
            ext: b"ext".as_slice().into(),
            body: None,
        })
        .collect()
}

fn operation(entries: Vec<Entry>) -> Operation {
    let kind = || Kind::new("user");
    let (from, to) = (String::from("alice"), String::from("bob"));
    let body = || b"{}".as_slice().into();
    let mut effects: Vec<Effect> =
        entries.into_iter().map(|entry| Effect::Append { entry, body_hash: Hash::of(b"body") }).collect();
    effects.extend([
        Effect::Erase { conversation: ConversationKey::from_stored("u/alice/bob"), seq: Seq(1) },
        Effect::PutObject(Object { kind: kind(), id: from.clone(), rank: 1, version: 2, body: body() }),
        Effect::DeleteObject { kind: kind(), id: to.clone() },
        Effect::PutRelation(Relation {
            kind: kind(),
            from: from.clone(),
            to: to.clone(),
            rank: -4,
            body: body(),
        }),
        Effect::RaiseRelation(Relation { kind: kind(), from: from.clone(), to: to.clone(), rank: 8, body: bytes::Bytes::from_static(b"{}") }),
        Effect::DeleteRelation { kind: kind(), from, to },
    ]);
    Operation { name: "seed".into(), at: Hlc(9), effects }
}
