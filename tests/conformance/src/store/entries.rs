//! Conversations: ranges, erasure, heads, idempotency, look-up by id.

use super::{
    StoreFixture, history,
    log::{LogWriter, append, entry, erase, keyed_message, log_id, message, pair},
};
use crate::Outcome;
use bytes::Bytes;
use meridian_ports::{ConversationHead, EntryRange, IdempotencyHit, find_message};
use meridian_types::{
    Audience, ConversationKey, Entry, EntryKind, IdempotencyKey, LogId, Lsn, MessageId, Millis, Resource, Seq,
};

pub async fn entries_are_read_both_ways(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    // Neighbours in key order must not leak in.
    let (before, chat, after) = (pair("alice", "bo"), pair("alice", "bob"), pair("alice", "bob.x"));
    for seq in 1..=10 {
        writer.append([&before, &chat, &after].map(|chat| message(chat, seq)).into()).await;
    }
    let read = async |range: EntryRange| -> Vec<u64> {
        let entries = store.entries(writer.log(), &chat, range).await.unwrap();
        assert!(entries.iter().all(|entry| entry.conversation == chat));
        entries.iter().map(|entry| entry.seq.0).collect()
    };
    let all: Vec<u64> = (1..=10).collect();
    assert_eq!(read(EntryRange::after(Seq(0), 100)).await, all);
    assert_eq!(read(EntryRange::after(Seq(0), 3)).await, [1, 2, 3]);
    assert_eq!(read(EntryRange::after(Seq(8), 100)).await, [9, 10]);
    assert!(read(EntryRange::after(Seq(10), 100)).await.is_empty());
    assert!(read(EntryRange::after(Seq(u64::MAX), 100)).await.is_empty());
    assert_eq!(read(EntryRange::before(Seq(u64::MAX), 3)).await, [10, 9, 8]);
    assert_eq!(read(EntryRange::before(Seq(4), 100)).await, [3, 2, 1]);
    assert_eq!(read(EntryRange::before(Seq(4), 1)).await, [3]);
    assert!(read(EntryRange::before(Seq(1), 100)).await.is_empty());
    assert!(read(EntryRange::before(Seq(0), 100)).await.is_empty());
    assert!(read(EntryRange::after(Seq(0), 0)).await.is_empty());
    assert!(read(EntryRange::before(Seq(5), 0)).await.is_empty());
    assert_eq!(read(EntryRange::before(Seq(u64::MAX), usize::MAX)).await.len(), 10);
    let unknown = store.entries(writer.log(), &pair("x", "y"), EntryRange::after(Seq(0), 5)).await.unwrap();
    assert_eq!(unknown, []);
    let unknown = store.entries(log_id(9), &chat, EntryRange::before(Seq(9), 5)).await.unwrap();
    assert_eq!(unknown, []);
    Outcome::Ran
}

pub async fn odd_entries_come_back_exactly(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let chat = ConversationKey::from_stored("g/ключ 'quoted\" \\ 😀/x");
    let odd = [
        Entry { body: Some(Bytes::new()), ..entry(&chat, 1) },
        Entry { body: None, ..entry(&chat, 2) },
        Entry { message_id: MessageId((1 << 63) - 1), at: Millis(u64::MAX), ..entry(&chat, 3) },
        Entry {
            kind: EntryKind::Recall,
            sender_device: Some(Resource::parse("webim_1").unwrap()),
            audience: Audience::Device(Resource::parse("ios_2").unwrap()),
            target: Some(MessageId(30)),
            idempotency: Some(IdempotencyKey { stream: u64::MAX, id: u64::MAX }),
            ext: Bytes::from_static(b"\0\xff ext"),
            body: Some(Bytes::from_static(b"\0\xfe\xff")),
            ..entry(&chat, 4)
        },
        Entry { audience: Audience::Others, at: Millis(0), ..entry(&chat, 5) },
    ];
    let (step, head) = writer.step(odd.iter().map(|entry| vec![append(entry.clone())]).collect());
    store.append(step.clone()).await.unwrap();
    writer.head = head;
    assert_eq!(store.entries(writer.log(), &chat, EntryRange::after(Seq(0), 9)).await.unwrap(), odd);
    assert_eq!(store.operations(writer.log(), Lsn(0), 9).await.unwrap(), step.operations);
    let heads = store.conversation_heads(&[(writer.log(), chat.clone())]).await.unwrap();
    assert_eq!(heads.first().map(|head| head.seq), Some(Seq(5)));
    writer.append(vec![message(&chat, 6)]).await;
    Outcome::Ran
}

pub async fn an_erased_body_is_nowhere(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let (chat, other) = (pair("a", "b"), pair("a", "c"));
    for seq in 1..=3 {
        writer.append(vec![message(&chat, seq), message(&other, seq)]).await;
    }
    writer.append(vec![message(&chat, 4), erase(&chat, 2)]).await;
    // Again, and one that does not exist: nothing happens.
    writer.append(vec![erase(&chat, 2), erase(&chat, 99), erase(&pair("x", "y"), 1)]).await;

    let erased = Entry { body: None, ..entry(&chat, 2) };
    let entries = store.entries(writer.log(), &chat, EntryRange::after(Seq(0), 9)).await.unwrap();
    assert_eq!(entries, [entry(&chat, 1), erased.clone(), entry(&chat, 3), entry(&chat, 4)]);
    let mut operations = history::operations(store, writer.log()).await;
    let bodies: Vec<_> = operations
        .iter_mut()
        .flat_map(|logged| logged.operation.appended_mut())
        .filter(|entry| entry.body.is_none())
        .map(|entry| entry.clone())
        .collect();
    assert_eq!(bodies, [erased], "the feed has every body but the erased one");
    let mut head = LogWriter::claim(store, 2).await.head;
    head = meridian_types::LogHead { log: writer.log(), ..head };
    for logged in &operations {
        assert!(logged.follows(head.lsn, &head.chain), "the chain breaks at {}", logged.lsn);
        head = head.advanced_by(logged);
    }
    assert_eq!((head.lsn, head.chain), (writer.head.lsn, writer.head.chain));
    Outcome::Ran
}

pub async fn conversation_heads_are_the_last_entries(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut one = LogWriter::claim(store, 1).await;
    let mut two = LogWriter::claim(store, 2).await;
    let chats: Vec<_> = (0..150).map(|number| pair("alice", &format!("friend{number}"))).collect();
    let mut expected = Vec::new();
    for (number, chat) in (1_u64..).zip(&chats) {
        let writer = if number % 2 == 0 { &mut one } else { &mut two };
        let last = 1 + number % 3;
        writer.append((1..=last).map(|seq| message(chat, seq)).collect()).await;
        expected.push(head(writer.log(), chat, last));
    }
    let mut wanted: Vec<_> = expected.iter().map(|head| (head.log, head.conversation.clone())).collect();
    wanted.push((one.log(), pair("no", "body"))); // no entries
    wanted.push((log_id(9), chats[0].clone())); // no log
    wanted.push(wanted[0].clone()); // asked twice, told once
    let mut found = store.conversation_heads(&wanted).await.unwrap();
    let key = |head: &ConversationHead| (head.log, head.conversation.clone());
    found.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(found, expected);
    assert_eq!(store.conversation_heads(&[]).await.unwrap(), []);

    one.append(vec![message(&chats[1], 4), erase(&chats[1], 4)]).await;
    let found = store.conversation_heads(&[(one.log(), chats[1].clone())]).await.unwrap();
    assert_eq!(found, [head(one.log(), &chats[1], 4)], "an erased entry is still the last");
    Outcome::Ran
}

fn head(log: LogId, chat: &ConversationKey, seq: u64) -> ConversationHead {
    let entry = entry(chat, seq);
    ConversationHead {
        log,
        conversation: chat.clone(),
        seq: entry.seq,
        message_id: entry.message_id,
        at: entry.at,
    }
}

pub async fn idempotency_finds_the_greatest_not_above(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut one = LogWriter::claim(store, 1).await;
    let mut two = LogWriter::claim(store, 2).await;
    let (chat, other) = (pair("a", "b"), pair("a", "c"));
    one.append(vec![keyed_message(&chat, 1, 5, 100), message(&chat, 2), keyed_message(&chat, 3, 5, 90)])
        .await;
    one.append(vec![keyed_message(&chat, 4, 5, 200), keyed_message(&other, 1, 6, 150)]).await;
    two.append(vec![keyed_message(&chat, 1, 5, 120)]).await;
    let find = async |log, stream, id| -> Option<(u64, ConversationKey, u64)> {
        let hit = store.idempotency(log, IdempotencyKey { stream, id }).await.unwrap()?;
        let expected = entry(&hit.conversation, hit.seq.0);
        assert_eq!((hit.message_id, hit.at), (expected.message_id, expected.at));
        let IdempotencyHit { id, conversation, seq, .. } = hit;
        Some((id, conversation, seq.0))
    };
    for (id, expected) in [
        (89, None),
        (90, Some((90, 3))),
        (99, Some((90, 3))),
        (100, Some((100, 1))),
        (199, Some((100, 1))),
        (200, Some((200, 4))),
        (u64::MAX, Some((200, 4))),
    ] {
        assert_eq!(find(one.log(), 5, id).await, expected.map(|(id, seq)| (id, chat.clone(), seq)), "{id}");
    }
    assert_eq!(find(one.log(), 6, 999).await, Some((150, other.clone(), 1)));
    assert_eq!(find(one.log(), 7, 999).await, None, "a stream that was never used");
    assert_eq!(find(two.log(), 5, 119).await, None, "a key is known in its log only");
    assert_eq!(find(two.log(), 5, 999).await, Some((120, chat.clone(), 1)));
    assert_eq!(find(log_id(9), 5, 999).await, None);

    // An erased message was sent all the same.
    one.append(vec![erase(&chat, 4)]).await;
    assert_eq!(find(one.log(), 5, 300).await, Some((200, chat.clone(), 4)));
    // A key that was stored twice is no reason to refuse a step; the lower place answers.
    one.append(vec![keyed_message(&chat, 5, 5, 200)]).await;
    assert_eq!(find(one.log(), 5, 300).await, Some((200, chat, 4)));
    Outcome::Ran
}

pub async fn idempotency_orders_all_numbers(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let chat = pair("a", "b");
    let ids = [0, 1, (1 << 63) - 1, 1 << 63, u64::MAX];
    for stream in [0, 1 << 63, u64::MAX] {
        let find = async |id| {
            let hit = store.idempotency(log_id(1), IdempotencyKey { stream, id }).await.unwrap();
            hit.map(|hit| hit.id)
        };
        assert_eq!(find(u64::MAX).await, None);
        let heads = store.conversation_heads(&[(writer.log(), chat.clone())]).await.unwrap();
        let last = heads.first().map_or(0, |head| head.seq.0);
        let keyed = (last + 1..).zip(ids).map(|(seq, id)| keyed_message(&chat, seq, stream, id));
        writer.append(keyed.collect()).await;
        for id in ids {
            assert_eq!(find(id).await, Some(id), "stream {stream}");
        }
        assert_eq!(find((1 << 63) - 2).await, Some(1));
        assert_eq!(find(u64::MAX - 1).await, Some(1 << 63));
    }
    Outcome::Ran
}

pub async fn a_message_is_found_by_id(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let chat = pair("a", "b");
    writer.append((1..=33).map(|seq| message(&chat, seq)).collect()).await;
    writer.append(vec![erase(&chat, 7)]).await;
    for head in [1, 2, 32, 33] {
        for id in 0..=340 {
            let found = find_message(store, writer.log(), &chat, Seq(head), MessageId(id)).await.unwrap();
            let expected = (id % 10 == 0 && (1..=head).contains(&(id / 10))).then_some(Seq(id / 10));
            assert_eq!(found.map(|entry| entry.seq), expected, "id {id} up to {head}");
        }
    }
    let none = find_message(store, writer.log(), &pair("x", "y"), Seq(0), MessageId(10)).await.unwrap();
    assert_eq!(none, None);
    Outcome::Ran
}
