//! `Blobs` with a layer.

use crate::{Call, Effect, Layer, Layered};
use async_trait::async_trait;
use meridian_ports::{BlobMeta, BlobStream, Blobs, Result};
use std::{ops::Range, time::Duration};

const fn call(verb: &'static str, effect: Effect) -> Call {
    Call { contract: "blobs", verb, effect }
}

#[async_trait]
impl<L: Layer> Blobs for Layered<dyn Blobs, L> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn put(&self, key: &str, content: BlobStream, limit: u64) -> Result<BlobMeta> {
        let mut content = Some(content);
        let mut attempt = || match content.take() {
            Some(content) => self.inner.put(key, content, limit),
            None => super::consumed("put"),
        };
        self.layer.around(call("put", Effect::Upload), &mut attempt).await
    }

    async fn head(&self, key: &str) -> Result<Option<BlobMeta>> {
        self.layer.around(call("head", Effect::Read), &mut || self.inner.head(key)).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<BlobStream>> {
        self.layer.open(call("get", Effect::Read), &mut || self.inner.get(key, range.clone())).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.layer.around(call("delete", Effect::Write), &mut || self.inner.delete(key)).await
    }

    async fn signed_url(&self, key: &str, ttl: Duration) -> Result<String> {
        self.layer.around(call("signed_url", Effect::Read), &mut || self.inner.signed_url(key, ttl)).await
    }
}
