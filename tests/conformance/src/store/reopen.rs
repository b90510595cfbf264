//! What stays when the process goes.

use super::{
    StoreFixture, history,
    log::{LogWriter, append, entry, erase, keyed_message, log_id, message, object, pair, raise, relation},
};
use crate::Outcome;
use meridian_ports::EntryRange;
use meridian_types::{Effect, Entry, Epoch, IdempotencyKey, Incarnation, Seq};

pub async fn reopening_keeps_everything(fixture: StoreFixture) -> Outcome {
    let StoreFixture { mut store, reopen, _guard } = fixture;
    let Some(mut reopen) = reopen else { return Outcome::Skipped("the fixture cannot reopen its store") };
    let chat = pair("a", "b");
    let mut seq = 0;
    let mut heads = Vec::new();
    for generation in 1..=3_u64 {
        for index in 0..3 {
            // The first generation claims; later ones go on with the claim that was stored.
            let mut writer = match heads.get(usize::from(index)) {
                None => LogWriter::claim(&*store, index).await,
                Some(head) => LogWriter { store: &*store, head: *head },
            };
            writer
                .append(vec![
                    message(&chat, seq + 1),
                    keyed_message(&chat, seq + 2, 5, generation),
                    append(Entry { body: None, ..entry(&chat, seq + 3) }),
                    erase(&chat, seq + 1),
                    Effect::PutObject(object("user", &format!("u{generation}"), 1, generation)),
                    Effect::PutRelation(relation("contact", "a", &format!("u{generation}"), 1, "x")),
                    raise("read", "a", "b", generation as i64),
                ])
                .await;
            let head = writer.head;
            heads.truncate(3);
            match heads.get_mut(usize::from(index)) {
                None => heads.push(head),
                Some(stored) => *stored = head,
            }
        }
        seq += 3;
        let before = history::read(&*store).await;
        assert_eq!(before.logs.iter().map(|log| log.head).collect::<Vec<_>>(), heads);
        drop(store);
        store = reopen().await;
        assert_eq!(history::read(&*store).await, before, "generation {generation}");
    }
    let hit = store.idempotency(log_id(1), IdempotencyKey { stream: 5, id: 9 }).await.unwrap();
    assert_eq!(hit.map(|hit| (hit.id, hit.seq)), Some((3, Seq(8))));
    let last = store.entries(log_id(2), &chat, EntryRange::before(Seq(u64::MAX), 1)).await.unwrap();
    assert_eq!(last, [Entry { body: None, ..entry(&chat, 9) }]);
    let claimed = store.claim(log_id(1), Epoch(1), Some(Incarnation(1))).await.unwrap();
    assert_eq!(claimed.writer, Incarnation(2));
    Outcome::Ran
}
