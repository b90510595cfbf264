//! The last `seq` of the conversations written of late, so that a busy one is not looked up at every message. It is
//! right because nobody else writes; a failed transaction clears it.

use lru::LruCache;
use meridian_types::{ConversationKey, LogId, Seq};
use sqlx::{Row, SqliteConnection};
use std::{
    collections::{HashMap, hash_map::Entry},
    num::NonZeroUsize,
};

const CAPACITY: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("not zero");

/// The last entry of conversations: `?1` is JSON, `[[log, conversation], …]`; `place` is the index in it.
pub(crate) const SELECT_HEADS: &str = "\
    SELECT j.key AS place, e.seq, e.message_id, e.at FROM json_each(?1) AS j \
    CROSS JOIN entry AS e ON e.log = j.value ->> 0 AND e.conversation = j.value ->> 1 AND e.seq = \
    (SELECT max(seq) FROM entry WHERE log = j.value ->> 0 AND conversation = j.value ->> 1)";

/// The parameter of [`SELECT_HEADS`].
pub(crate) fn wanted<'a>(keys: impl Iterator<Item = &'a (LogId, ConversationKey)>) -> String {
    let keys = keys.map(|(log, conversation)| serde_json::json!([log.raw(), conversation.as_str()]));
    serde_json::Value::Array(keys.collect()).to_string()
}

pub(crate) type Lasts = HashMap<(LogId, ConversationKey), Seq>;

pub(crate) struct ConversationHeads {
    cache: LruCache<(LogId, ConversationKey), Seq>,
}

impl ConversationHeads {
    pub(crate) fn new() -> Self {
        Self { cache: LruCache::new(CAPACITY) }
    }

    pub(crate) fn clear(&mut self) {
        self.cache.clear();
    }

    /// The committed last `seq` of each of these conversations, 0 for a new one.
    pub(crate) async fn load(
        &mut self,
        connection: &mut SqliteConnection,
        keys: Vec<(LogId, ConversationKey)>,
    ) -> Result<Lasts, sqlx::Error> {
        let mut lasts = Lasts::new();
        let mut missing = Vec::new();
        for key in keys {
            let Entry::Vacant(last) = lasts.entry(key) else { continue };
            let cached = self.cache.get(last.key()).copied();
            if cached.is_none() {
                missing.push(last.key().clone());
            }
            last.insert(cached.unwrap_or_default());
        }
        if missing.is_empty() {
            return Ok(lasts);
        }
        let rows = sqlx::query(SELECT_HEADS).bind(wanted(missing.iter())).fetch_all(connection).await?;
        for row in rows {
            let (place, seq): (i64, i64) = (row.try_get("place")?, row.try_get("seq")?);
            if let Some(key) = usize::try_from(place).ok().and_then(|place| missing.get(place)) {
                lasts.insert(key.clone(), Seq(crate::numbers::from_bits(seq)));
            }
        }
        Ok(lasts)
    }

    /// Remembers what was committed.
    pub(crate) fn remember(&mut self, lasts: Lasts) {
        for (key, seq) in lasts {
            self.cache.put(key, seq);
        }
    }
}
