//! A backend that fails by a script, and else does its work.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use meridian_layers::{Attempt, Call, Layer, Layered};
use meridian_memory::MemoryStore;
use meridian_ports::{BlobMeta, BlobStream, Blobs, Error, ErrorKind, Result, Store};
use meridian_types::{
    Epoch, Fence, Hlc, LogClass, LogId, LoggedOperation, Operation, RegionId, Step, TenantId,
};
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex},
};

/// What the next call does. Once the script is over, calls succeed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    Fail(ErrorKind),
    /// Fails with an open outcome.
    MaybeDone(ErrorKind),
    Hang,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    next: Arc<Mutex<VecDeque<Next>>>,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Script {
    pub(crate) fn new(next: impl IntoIterator<Item = Next>) -> Self {
        Self { next: Arc::new(Mutex::new(next.into_iter().collect())), calls: Arc::default() }
    }

    /// The verbs called so far.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Arc::new(Layered::new(memory, self.clone()))
    }

    pub(crate) fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(Layered::new(Arc::new(EndlessBlobs) as Arc<dyn Blobs>, self.clone()))
    }
}

#[async_trait]
impl Layer for Script {
    async fn around<'a, T: Send + 'a>(&'a self, call: Call, attempt: Attempt<'a, T>) -> Result<T> {
        self.calls.lock().unwrap().push(call.verb);
        let next = self.next.lock().unwrap().pop_front();
        match next {
            None => attempt().await,
            Some(Next::Fail(kind)) => Err(Error::new(kind, call.verb, "by the script")),
            Some(Next::MaybeDone(kind)) => Err(Error::new(kind, call.verb, "by the script").maybe_done()),
            Some(Next::Hang) => future::pending().await,
        }
    }
}

/// Blobs that take anything and give one piece and then nothing more, without an end.
#[derive(Debug)]
struct EndlessBlobs;

#[async_trait]
impl Blobs for EndlessBlobs {
    fn describe(&self) -> String {
        "endless".to_owned()
    }

    async fn put(&self, _: &str, mut content: BlobStream, _: u64) -> Result<BlobMeta> {
        let mut size = 0;
        while let Some(piece) = content.next().await {
            size += piece?.len() as u64;
        }
        Ok(BlobMeta::new(size))
    }

    async fn head(&self, _: &str) -> Result<Option<BlobMeta>> {
        Ok(None)
    }

    async fn get(&self, _: &str, _: Option<Range<u64>>) -> Result<Option<BlobStream>> {
        let piece = stream::iter([Ok(Bytes::from_static(b"first"))]);
        Ok(Some(piece.chain(stream::pending()).boxed()))
    }

    async fn delete(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn log() -> LogId {
    LogId::new(TenantId(1), LogClass::Owned, RegionId(0), 0)
}

/// A first step for a log that is claimed here.
pub(crate) async fn first_step(store: &dyn Store) -> Step {
    let head = store.claim(log(), Epoch(1), None).await.unwrap();
    let operation = Operation { name: "test".into(), at: Hlc(1), effects: Vec::new() };
    let fence = Fence { epoch: head.epoch, writer: head.writer, head: head.lsn };
    Step { log: head.log, fence, operations: vec![LoggedOperation::after(&head, operation)] }
}

pub(crate) fn content() -> BlobStream {
    stream::iter([Ok(Bytes::from_static(b"content"))]).boxed()
}
