//! What a device has not received: the entries behind its position, conversation by conversation.

use crate::{log::JOINED, muc::read_stay, sessions::admits};
use meridian_ports::{ConversationHead, EntryRange, RelationPage, Result, Store};
use meridian_types::{ConversationKey, Entry, LogId, Position, Seq, Stay, UserName};
use std::{collections::HashMap, sync::Arc};

/// Entries counted per conversation.
pub(crate) const COUNT_LIMIT: usize = 500;
const PAGE: usize = 500;

/// A conversation that a person takes part in.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) log: LogId,
    pub(crate) conversation: ConversationKey,
    /// The person has nothing to do with what is up to here.
    pub(crate) from: Position,
    pub(crate) head: ConversationHead,
    /// What the person may read of a group.
    pub(crate) stay: Option<Stay>,
}

impl Joined {
    /// Nothing behind this is for the person.
    pub(crate) fn end(&self) -> Seq {
        end_of(self.stay.as_ref())
    }

    pub(crate) fn admits(&self, entry: &Entry, user: &UserName) -> bool {
        self.stay.as_ref().is_none_or(|stay| admits(stay, entry, user))
    }
}

pub(crate) fn end_of(stay: Option<&Stay>) -> Seq {
    Seq(stay.and_then(Stay::end).unwrap_or(u64::MAX))
}

/// Every conversation of a person that has entries, with its head. `seen` is told of the groups before their heads are read.
pub(crate) async fn conversations_of(
    store: &dyn Store,
    logs: &[LogId],
    user: &UserName,
    seen: impl Fn(Vec<(ConversationKey, Stay)>),
) -> Result<Vec<Joined>> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = RelationPage::new(after.take(), PAGE);
        let relations = store.relations(logs, &JOINED, user.as_str(), page).await?;
        let full = relations.len() == PAGE;
        after = relations.last().map(|(_, relation)| relation.to.clone());
        let mut joined: HashMap<(LogId, ConversationKey), (Position, Option<Stay>)> = relations
            .into_iter()
            .map(|(log, row)| {
                let key = ConversationKey::from_stored(&row.to);
                let stay = key.muc().map(|_| read_stay(&row));
                ((log, key), (Position::from_rank(row.rank), stay))
            })
            .collect();
        let stays = joined.iter().filter_map(|((_, key), (_, stay))| Some((key.clone(), stay.clone()?)));
        seen(stays.collect());
        let wanted: Vec<_> = joined.keys().cloned().collect();
        for head in store.conversation_heads(&wanted).await? {
            let key = (head.log, head.conversation.clone());
            if let Some((from, stay)) = joined.remove(&key) {
                all.push(Joined { log: key.0, conversation: key.1, from, head, stay });
            }
        }
        if !full {
            return Ok(all);
        }
    }
}

/// Counts the entries after `from` that `wanted` accepts, up to [`COUNT_LIMIT`]. Gives also the position up to which
/// nothing is wanted.
pub(crate) async fn count_after(
    store: &dyn Store,
    joined: &Joined,
    from: Position,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<(usize, Position)> {
    let (mut seq, mut count, mut clear_up_to) = (from.seq, 0, from);
    let end = joined.end();
    if let Some(stay) = &joined.stay {
        seq = Seq(stay.skip(seq.0));
        clear_up_to.seq = seq;
    }
    loop {
        let range = EntryRange::after(seq, PAGE);
        let entries = store.entries(joined.log, &joined.conversation, range).await?;
        for entry in &entries {
            if entry.seq > end {
                return Ok((count.min(COUNT_LIMIT), clear_up_to));
            }
            seq = entry.seq;
            if wanted(entry) {
                count += 1;
            } else if count == 0 {
                clear_up_to = Position { seq, ..from };
            }
        }
        if entries.len() < PAGE || count >= COUNT_LIMIT {
            return Ok((count.min(COUNT_LIMIT), clear_up_to));
        }
    }
}

/// A stretch of a conversation for one device.
pub(crate) async fn read_batch(
    store: &dyn Store,
    (log, conversation): (LogId, &ConversationKey),
    (after, end): (Seq, Seq),
    (max_entries, max_bytes): (usize, usize),
    wanted: impl Fn(&Entry) -> bool,
) -> Result<(Vec<Arc<Entry>>, Seq, bool)> {
    let (mut batch, mut bytes, mut seq) = (Vec::new(), 0, after);
    loop {
        let page = (max_entries - batch.len()).clamp(1, PAGE);
        let entries = store.entries(log, conversation, EntryRange::after(seq, page)).await?;
        let is_last = entries.len() < page;
        for entry in entries {
            if entry.seq > end {
                return Ok((batch, seq, false));
            }
            let size = entry.body.as_ref().map_or(0, bytes::Bytes::len) + entry.ext.len();
            if wanted(&entry) {
                if !batch.is_empty() && bytes + size > max_bytes {
                    return Ok((batch, seq, true));
                }
                bytes += size;
                seq = entry.seq;
                batch.push(Arc::new(entry));
            } else {
                seq = entry.seq;
            }
        }
        if is_last {
            return Ok((batch, seq, false));
        }
        if batch.len() >= max_entries {
            return Ok((batch, seq, true));
        }
    }
}
