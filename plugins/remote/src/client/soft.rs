//! Soft state behind a plugin.

use super::{RemotePlugin, unary, within};
use crate::{
    proto::{
        AddRequest, JoinRequest, LeaveRequest, MembersRequest, RemoveRequest, SetIfAbsentRequest, SetRequest,
        ValueRequest, soft_state_client::SoftStateClient,
    },
    wire::{MEMBERS, millis},
};
use meridian_sdk::{Bytes, Error, ErrorKind, Result, async_trait, ports::SoftState};
use std::time::Duration;
use tonic::{Request, transport::Channel};

/// Soft state that a plugin keeps.
#[derive(Clone, Debug)]
pub struct RemoteSoftState {
    plugin: RemotePlugin,
    client: SoftStateClient<Channel>,
}

impl RemoteSoftState {
    pub(super) fn new(plugin: RemotePlugin) -> Self {
        let client = SoftStateClient::new(plugin.channel.clone());
        Self { plugin, client }
    }

    fn patience(&self) -> Duration {
        self.plugin.config.call
    }
}

#[async_trait]
impl SoftState for RemoteSoftState {
    fn describe(&self) -> String {
        self.plugin.described.clone()
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        let message = SetRequest { key: key.to_owned(), value, ttl_ms: millis(ttl) };
        let mut client = self.client.clone();
        unary("set", true, self.patience(), message, |request| async move { client.set(request).await })
            .await?;
        Ok(())
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool> {
        let message = SetIfAbsentRequest { key: key.to_owned(), value, ttl_ms: millis(ttl) };
        let mut client = self.client.clone();
        let answer = unary("set_if_absent", true, self.patience(), message, |request| async move {
            client.set_if_absent(request).await
        });
        Ok(answer.await?.written)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let message = ValueRequest { key: key.to_owned() };
        let mut client = self.client.clone();
        let answer =
            unary("get", false, self.patience(), message, |request| async move { client.get(request).await });
        Ok(answer.await?.value)
    }

    async fn remove(&self, key: &str) -> Result<()> {
        let message = RemoveRequest { key: key.to_owned() };
        let mut client = self.client.clone();
        unary(
            "remove",
            true,
            self.patience(),
            message,
            |request| async move { client.remove(request).await },
        )
        .await?;
        Ok(())
    }

    async fn add(&self, counter: &str, by: i64, ttl: Duration) -> Result<i64> {
        let message = AddRequest { counter: counter.to_owned(), by, ttl_ms: millis(ttl) };
        let mut client = self.client.clone();
        let answer =
            unary("add", true, self.patience(), message, |request| async move { client.add(request).await });
        Ok(answer.await?.sum)
    }

    async fn join(&self, set: &str, member: &str, value: Bytes, ttl: Duration) -> Result<()> {
        let (set, member) = (set.to_owned(), member.to_owned());
        let message = JoinRequest { set, member, value, ttl_ms: millis(ttl) };
        let mut client = self.client.clone();
        unary("join", true, self.patience(), message, |request| async move { client.join(request).await })
            .await?;
        Ok(())
    }

    async fn leave(&self, set: &str, member: &str) -> Result<()> {
        let message = LeaveRequest { set: set.to_owned(), member: member.to_owned() };
        let mut client = self.client.clone();
        unary("leave", true, self.patience(), message, |request| async move { client.leave(request).await })
            .await?;
        Ok(())
    }

    async fn members(&self, set: &str) -> Result<Vec<(String, Bytes)>> {
        const VERB: &str = "members";
        let patience = self.patience();
        let mut request = Request::new(MembersRequest { set: set.to_owned() });
        request.set_timeout(patience);
        let mut client = self.client.clone();
        let collected = async {
            let mut pages = client.members(request).await?.into_inner();
            let mut members = Vec::new();
            while let Some(page) = pages.message().await? {
                members.extend(page.members.into_iter().map(|member| (member.name, member.value)));
                if members.len() > MEMBERS {
                    break;
                }
            }
            Ok(members)
        };
        let members = within(VERB, false, patience, collected).await?;
        if members.len() > MEMBERS {
            let message = format!("the plugin gave more than {MEMBERS} members");
            return Err(Error::new(ErrorKind::Corrupt, VERB, message));
        }
        Ok(members)
    }
}
