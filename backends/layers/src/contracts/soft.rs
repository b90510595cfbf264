//! `SoftState` with a layer.

use crate::{Call, Effect, Layer, Layered};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::{Result, SoftState};
use std::time::Duration;

const fn read(verb: &'static str) -> Call {
    Call { contract: "soft", verb, effect: Effect::Read }
}

const fn write(verb: &'static str) -> Call {
    Call { contract: "soft", verb, effect: Effect::Write }
}

#[async_trait]
impl<L: Layer> SoftState for Layered<dyn SoftState, L> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.layer.around(write("set"), &mut || self.inner.set(key, value.clone(), ttl)).await
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        let mut attempt = || self.inner.set_if_absent(key, value.clone(), ttl);
        self.layer.around(write("set_if_absent"), &mut attempt).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.layer.around(read("get"), &mut || self.inner.get(key)).await
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.layer.around(write("remove"), &mut || self.inner.remove(key)).await
    }

    async fn add(&self, counter: &str, by: i64, ttl: Duration) -> Result<i64> {
        self.layer.around(write("add"), &mut || self.inner.add(counter, by, ttl)).await
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.layer.around(write("join"), &mut || self.inner.join(set, member, value.clone(), ttl)).await
    }

    async fn leave(&self, set: &str, member: &str) -> Result<()> {
        self.layer.around(write("leave"), &mut || self.inner.leave(set, member)).await
    }

    async fn members(&self, set: &str) -> Result<Vec<(String, Bytes)>> {
        self.layer.around(read("members"), &mut || self.inner.members(set)).await
    }
}
