//! Stores with something of everything.

use meridian_conformance::store::log::{
    LogWriter, delete_object, delete_relation, erase, keyed_message, message, object, pair, raise, relation,
};
use meridian_ports::Store;
use meridian_sqlite::{SqliteConfig, SqliteStore};
use meridian_types::Effect;
use tempfile::TempDir;

pub(crate) async fn sqlite() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(SqliteConfig::new(folder.path().join("store.db"))).await.unwrap();
    (store, folder)
}

/// Three logs of 21 operations each; some bodies are erased.
pub(crate) async fn fill(store: &dyn Store) -> Vec<LogWriter<'_>> {
    let mut writers = Vec::new();
    for index in 0..3 {
        let mut writer = LogWriter::claim(store, index).await;
        let chats = [pair("alice", "bob"), pair("alice", "carol")];
        for seq in 1..=20_u64 {
            let name = format!("user{seq}");
            writer
                .append(vec![
                    message(&chats[0], seq),
                    keyed_message(&chats[1], seq, 9, seq),
                    Effect::PutObject(object("user", &name, seq as i64, 1)),
                    Effect::PutRelation(relation("contact", "alice", &name, 1, "x")),
                    raise("read", "alice", "bob", seq as i64),
                ])
                .await;
        }
        writer
            .append(vec![
                erase(&chats[0], 3),
                erase(&chats[1], 20),
                delete_object("user", "user4"),
                delete_relation("contact", "alice", "user5"),
            ])
            .await;
        writers.push(writer);
    }
    writers
}
