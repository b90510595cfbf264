//! How a node opens the store: `store = "redb:meridian.redb"`, a file below the data folder.

use crate::RedbStore;
use meridian_sdk::ports::{OpenError, OpenRequest, Opened, Reach, Store};
use std::sync::Arc;

/// The factory for `NodeBuilder::store`.
pub async fn open(request: OpenRequest) -> Result<Opened<dyn Store>, OpenError> {
    let path = request.file();
    if request.read_only && !path.exists() {
        return Err(format!("no store at {}", path.display()).into());
    }
    // A repair after a crash may take long, and blocks.
    let store = Arc::new(tokio::task::spawn_blocking(move || RedbStore::open(path)).await??);
    let closing = store.clone();
    Ok(Opened::<dyn Store>::new(store, Reach::Machine, true)
        .with_notes("one process at a time, synced commits")
        .on_close(move || async move { closing.close().await }))
}
