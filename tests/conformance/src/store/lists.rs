//! Objects, relations, and scans.

use super::{
    StoreFixture, history,
    log::{LogWriter, delete_object, delete_relation, erase, log_id, message, object, pair, raise, relation},
};
use crate::Outcome;
use bytes::Bytes;
use meridian_ports::{ErrorKind, ObjectPage, Record, RelationPage, ScanCursor, Shape};
use meridian_types::{Effect, Kind, LogId, Object, Relation, Seq};

const USER: Kind = Kind::new("user");

pub async fn objects_are_put_read_and_deleted(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let read = async |id| store.object(log_id(1), &USER, id).await.unwrap();
    assert_eq!(read("alice").await, None);
    let odd = [
        object("user", "alice", i64::MIN, u64::MAX),
        object("user", "ALICE", i64::MAX, 0),
        Object { body: Bytes::new(), ..object("user", "", -1, 1) },
        Object { body: Bytes::from_static(b"\0\xff"), ..object("user", "é '\"\\ 😀", 0, 1) },
    ];
    writer.append(odd.iter().map(|object| Effect::PutObject(object.clone())).collect()).await;
    for object in &odd {
        assert_eq!(read(&object.id).await.as_ref(), Some(object));
    }
    assert_eq!(store.object(log_id(1), &Kind::new("use"), "alice").await.unwrap(), None);
    writer
        .append(vec![Effect::PutObject(object("user", "alice", 7, 2)), delete_object("user", "ALICE")])
        .await;
    assert_eq!(read("alice").await, Some(object("user", "alice", 7, 2)));
    assert_eq!(read("ALICE").await, None);
    writer.append(vec![delete_object("user", "alice"), delete_object("user", "never")]).await;
    assert_eq!(read("alice").await, None);
    assert_eq!(store.object(log_id(9), &USER, "alice").await.unwrap(), None);
    Outcome::Ran
}

pub async fn objects_are_listed_by_rank_over_logs(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut one = LogWriter::claim(store, 1).await;
    let mut two = LogWriter::claim(store, 2).await;
    let put = |id, rank| Effect::PutObject(object("user", id, rank, 1));
    one.append(vec![put("d", 3), put("b", 1), put("z", -5), Effect::PutObject(object("app", "x", 0, 1))])
        .await;
    two.append(vec![put("c", 3), put("a", 2), put("e", i64::MAX), put("aa", 2), put("m", i64::MIN)]).await;
    one.append(vec![put("b", 2)]).await; // a rank may change

    let list = async |logs: &[LogId], after: Option<(i64, &str)>, limit| -> Vec<(u16, String)> {
        let page = ObjectPage::new(after.map(|(rank, id)| (rank, id.to_owned())), limit);
        let found = store.objects(logs, &USER, page).await.unwrap();
        found
            .into_iter()
            .map(|(log, object)| {
                assert_eq!(object.kind, USER);
                (log.index(), object.id)
            })
            .collect()
    };
    let both = [two.log(), one.log()];
    let sorted = [(2, "m"), (1, "z"), (2, "a"), (2, "aa"), (1, "b"), (2, "c"), (1, "d"), (2, "e")].map(own);
    assert_eq!(list(&both, None, 100).await, sorted);
    assert_eq!(list(&both, None, 3).await, sorted[..3]);
    assert_eq!(list(&both, Some((2, "a")), 3).await, sorted[3..6]);
    assert_eq!(list(&both, Some((2, "zzz")), 100).await, sorted[5..]);
    assert_eq!(list(&both, Some((i64::MAX, "e")), 100).await, []);
    assert_eq!(list(&[one.log()], None, 100).await, [(1, "z"), (1, "b"), (1, "d")].map(own));
    assert_eq!(list(&[one.log(), one.log(), log_id(9)], None, 2).await, [(1, "z"), (1, "b")].map(own));
    assert_eq!(list(&[], None, 100).await, []);
    assert_eq!(list(&both, None, 0).await, []);
    let bodies = store.objects(&[two.log()], &USER, ObjectPage::new(None, 1)).await.unwrap();
    assert_eq!(bodies, [(two.log(), object("user", "m", i64::MIN, 1))]);
    Outcome::Ran
}

fn own((log, id): (u16, &str)) -> (u16, String) {
    (log, id.to_owned())
}

pub async fn relations_are_put_raised_and_deleted(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    let read = async |from, to| store.relation(log_id(1), &Kind::new("r"), from, to).await.unwrap();
    let tie = |rank, body| Some(relation("r", "a", "b", rank, body));
    assert_eq!(read("a", "b").await, None);

    writer.append(vec![raise("r", "a", "b", -5)]).await;
    assert_eq!(read("a", "b").await, tie(-5, ""), "raising makes it, with an empty body");
    writer.append(vec![raise("r", "a", "b", -9)]).await;
    assert_eq!(read("a", "b").await, tie(-5, ""), "raising never lowers");
    writer.append(vec![raise("r", "a", "b", 3)]).await;
    assert_eq!(read("a", "b").await, tie(3, ""));
    writer.append(vec![Effect::PutRelation(relation("r", "a", "b", 1, "body"))]).await;
    assert_eq!(read("a", "b").await, tie(1, "body"), "putting may lower");
    writer.append(vec![Effect::RaiseRelation(relation("r", "a", "b", 1, "a body"))]).await;
    assert_eq!(read("a", "b").await, tie(1, "body"), "of equal ranks the greater body stays");
    writer.append(vec![Effect::RaiseRelation(relation("r", "a", "b", 1, "other"))]).await;
    assert_eq!(read("a", "b").await, tie(1, "other"), "of equal ranks the greater body wins");
    writer.append(vec![raise("r", "a", "b", i64::MAX)]).await;
    assert_eq!(read("a", "b").await, tie(i64::MAX, ""), "a greater rank brings its body");

    assert_eq!(read("b", "a").await, None, "a tie has a direction");
    assert_eq!(store.relation(log_id(1), &Kind::new("s"), "a", "b").await.unwrap(), None);
    writer.append(vec![delete_relation("r", "a", "b"), delete_relation("r", "x", "y")]).await;
    assert_eq!(read("a", "b").await, None);
    writer.append(vec![raise("r", "a", "b", i64::MIN)]).await;
    assert_eq!(read("a", "b").await, tie(i64::MIN, ""));
    Outcome::Ran
}

pub async fn relations_are_listed_over_logs(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut one = LogWriter::claim(store, 1).await;
    let mut two = LogWriter::claim(store, 2).await;
    let put = |from, to| Effect::PutRelation(relation("contact", from, to, 1, "x"));
    one.append(vec![put("alice", "d"), put("alice", "b"), put("alic", "n"), put("alicea", "n")]).await;
    one.append(vec![Effect::PutRelation(relation("blocks", "alice", "n", 1, ""))]).await;
    two.append(vec![put("alice", "c"), put("alice", "a"), put("alice", "e"), put("bob", "n")]).await;

    let kind = Kind::new("contact");
    let list = async |logs: &[LogId], after: Option<&str>, limit| -> Vec<(u16, String)> {
        let page = RelationPage::new(after.map(str::to_owned), limit);
        let found = store.relations(logs, &kind, "alice", page).await.unwrap();
        found.into_iter().map(|(log, relation)| (log.index(), relation.to)).collect()
    };
    let both = [two.log(), one.log()];
    let sorted = [(2, "a"), (1, "b"), (2, "c"), (1, "d"), (2, "e")].map(own);
    assert_eq!(list(&both, None, 100).await, sorted);
    assert_eq!(list(&both, None, 2).await, sorted[..2]);
    assert_eq!(list(&both, Some("b"), 2).await, sorted[2..4]);
    assert_eq!(list(&both, Some("bb"), 100).await, sorted[2..]);
    assert_eq!(list(&both, Some("e"), 100).await, []);
    assert_eq!(list(&both, Some(""), 100).await, sorted);
    assert_eq!(list(&[one.log(), log_id(9), one.log()], None, 100).await, [(1, "b"), (1, "d")].map(own));
    assert_eq!(list(&[], None, 100).await, []);
    assert_eq!(list(&both, None, 0).await, []);
    let back = async |after: Option<&str>, limit| -> Vec<(u16, String)> {
        let page = RelationPage::backwards(after.map(str::to_owned), limit);
        let found = store.relations(&both, &kind, "alice", page).await.unwrap();
        found.into_iter().map(|(log, relation)| (log.index(), relation.to)).collect()
    };
    let mut reversed = sorted.clone();
    reversed.reverse();
    assert_eq!(back(None, 100).await, reversed);
    assert_eq!(back(None, 2).await, reversed[..2]);
    assert_eq!(back(Some("d"), 2).await, reversed[2..4]);
    assert_eq!(back(Some("bb"), 100).await, reversed[3..]);
    assert_eq!(back(Some("a"), 100).await, []);
    assert_eq!(back(Some("zz"), 100).await, reversed);
    let page = RelationPage::new(None, 1);
    let found: Vec<(LogId, Relation)> = store.relations(&both, &kind, "alice", page).await.unwrap();
    assert_eq!(found, [(two.log(), relation("contact", "alice", "a", 1, "x"))]);
    Outcome::Ran
}

pub async fn scans_walk_each_shape_in_order(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    for seq in 1..=5 {
        let chats = ["zoe", "bob", "bob.b"].map(|friend| message(&pair("alice", friend), seq));
        writer.append(chats.into()).await;
    }
    writer.append(vec![erase(&pair("alice", "bob"), 2)]).await;
    for (kind, id) in [("user", "b"), ("app", "z"), ("user", "a"), ("users", "a"), ("app", "a")] {
        writer.append(vec![Effect::PutObject(object(kind, id, -(id.len() as i64), 1))]).await;
    }
    for (kind, from, to) in
        [("r", "b", "a"), ("q", "z", "z"), ("r", "a", "z"), ("r", "a", "b"), ("r", "aa", "a")]
    {
        writer.append(vec![Effect::PutRelation(relation(kind, from, to, 0, ""))]).await;
    }

    let keys = async |shape| -> Vec<ScanCursor> {
        history::scan(store, log_id(1), shape).await.iter().map(Record::cursor).collect()
    };
    let chats = ["bob", "bob.b", "zoe"].map(|friend| pair("alice", friend));
    let expected = chats.iter().flat_map(|chat| (1..=5).map(|seq| ScanCursor::Entry(chat.clone(), Seq(seq))));
    assert_eq!(keys(Shape::Entries).await, expected.collect::<Vec<_>>());
    let expected = [("app", "a"), ("app", "z"), ("user", "a"), ("user", "b"), ("users", "a")];
    let expected = expected.map(|(kind, id)| ScanCursor::Object(Kind::new(kind), id.into()));
    assert_eq!(keys(Shape::Objects).await, expected);
    let expected = [("q", "z", "z"), ("r", "a", "b"), ("r", "a", "z"), ("r", "aa", "a"), ("r", "b", "a")];
    let expected =
        expected.map(|(kind, from, to)| ScanCursor::Relation(Kind::new(kind), from.into(), to.into()));
    assert_eq!(keys(Shape::Relations).await, expected);

    // Every start and every limit, also after a key that is not there.
    for shape in [Shape::Entries, Shape::Objects, Shape::Relations] {
        let all = history::scan(store, log_id(1), shape).await;
        for start in 0..all.len() {
            let page = store.scan(log_id(1), shape, Some(all[start].cursor()), 3).await.unwrap();
            assert_eq!(page, all[start + 1..].iter().take(3).cloned().collect::<Vec<_>>());
        }
        assert_eq!(store.scan(log_id(1), shape, None, 0).await.unwrap(), []);
        assert_eq!(store.scan(log_id(9), shape, None, 5).await.unwrap(), []);
    }
    let missing = Some(ScanCursor::Object(Kind::new("appz"), String::new()));
    assert_eq!(store.scan(log_id(1), Shape::Objects, missing, 9).await.unwrap().len(), 3);
    Outcome::Ran
}

pub async fn a_scan_refuses_a_foreign_cursor(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    LogWriter::claim(store, 1).await;
    let cursor = ScanCursor::Object(USER, "a".into());
    for shape in [Shape::Entries, Shape::Relations] {
        let refused = store.scan(log_id(1), shape, Some(cursor.clone()), 9).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    let cursor = ScanCursor::Entry(pair("a", "b"), Seq(1));
    let refused = store.scan(log_id(1), Shape::Objects, Some(cursor), 9).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    Outcome::Ran
}
