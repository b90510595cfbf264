//! One store against itself.
//!
//! The feed is walked once. Conversations are counted on the way, so memory grows with the number of conversations of
//! one log, not with its entries; then the entries are walked and held against the counts.

use crate::{
    apply::check_follows,
    error::{ReplicationError, of_log},
    pages::{Records, all_logs},
    replay::BATCH,
};
use meridian_ports::{Record, Shape, Store};
use meridian_types::{ConversationKey, Effect, Epoch, Hash, Hlc, LogHead, LoggedOperation, Lsn, Seq};
use std::collections::HashMap;

/// Checks every log: dense `lsn` up to the head, an unbroken chain that ends in the head's, bodies with their hashes,
/// and conversations whose `seq` is dense both in the feed and in the entries. Gives the number of operations.
///
/// A log that is written meanwhile is checked up to the head it had at the start.
pub async fn verify(store: &dyn Store) -> Result<u64, ReplicationError> {
    let mut operations = 0;
    for head in all_logs(store).await? {
        operations += head.lsn.0;
        let conversations = verify_feed(store, &head).await?;
        verify_entries(store, &head, conversations).await?;
    }
    Ok(operations)
}

type Conversations = HashMap<ConversationKey, Seq>;

async fn verify_feed(store: &dyn Store, head: &LogHead) -> Result<Conversations, ReplicationError> {
    let log = head.log;
    let mut reached = LogHead { epoch: Epoch(0), lsn: Lsn(0), hlc: Hlc(0), chain: Hash::default(), ..*head };
    let mut conversations = Conversations::new();
    while reached.lsn < head.lsn {
        let rest = usize::try_from(head.lsn.0 - reached.lsn.0).unwrap_or(BATCH);
        let batch = store.operations(log, reached.lsn, rest.min(BATCH)).await.map_err(of_log(log))?;
        let (Some(first), before) = (batch.first(), reached.epoch) else {
            return Err(ReplicationError::Head { log, head: head.lsn, found: reached.lsn });
        };
        if first.epoch < before {
            let (lsn, found) = (first.lsn, first.epoch);
            return Err(ReplicationError::EpochWentBack { log, lsn, reached: before, found });
        }
        reached = check_follows(&reached, &batch)?;
        for logged in &batch {
            count_entries(head, logged, &mut conversations)?;
        }
    }
    if reached.chain != head.chain {
        return Err(ReplicationError::Chain { log, lsn: head.lsn });
    }
    Ok(conversations)
}

fn count_entries(
    head: &LogHead,
    logged: &LoggedOperation,
    conversations: &mut Conversations,
) -> Result<(), ReplicationError> {
    for effect in &logged.operation.effects {
        let Effect::Append { entry, .. } = effect else { continue };
        let conversation = entry.conversation.clone();
        let last = conversations.entry(conversation.clone()).or_default();
        let expected = last.next();
        if entry.seq != expected {
            let (log, lsn, found) = (head.log, logged.lsn, entry.seq);
            return Err(ReplicationError::ConversationNotDense { log, lsn, conversation, expected, found });
        }
        *last = entry.seq;
    }
    Ok(())
}

async fn verify_entries(
    store: &dyn Store,
    head: &LogHead,
    mut left: Conversations,
) -> Result<(), ReplicationError> {
    let wrong = || ReplicationError::Records { log: head.log, shape: "entries" };
    let mut records = Records::new(store, head.log, Shape::Entries);
    let mut last: Option<(ConversationKey, Seq)> = None;
    while let Some(record) = records.next().await? {
        let Record::Entry(entry) = record else { return Err(wrong()) };
        let before = last.take().filter(|(conversation, _)| *conversation == entry.conversation);
        if entry.seq != before.map_or(Seq(0), |(_, seq)| seq).next() {
            return Err(wrong());
        }
        // Entries past the count were appended after the walk over the feed.
        if left.get(&entry.conversation) == Some(&entry.seq) {
            left.remove(&entry.conversation);
        }
        last = Some((entry.conversation, entry.seq));
    }
    if left.is_empty() { Ok(()) } else { Err(wrong()) }
}
