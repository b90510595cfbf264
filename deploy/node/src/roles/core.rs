//! The core role: backends, the chat logic, and the ports where other cores and edges reach it.

use crate::{Config, Registry, demo, open::Backends};
use anyhow::Context;
use meridian_api::{Api, ApiConfig};
use meridian_chat::{Chat, ChatConfig, Region};
use meridian_link::{
    CoreHandle, LinkServer, Sessions, Tls,
    peer::{PeerClient, PeerServer, Secret},
};
use meridian_server::{ChatPeers, LocalCore, PeerService};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// A core that runs.
#[derive(Debug)]
pub(crate) struct CoreRole {
    backends: Backends,
    pub(crate) chat: Chat,
    pub(crate) local: LocalCore,
    /// The demo app's key, if there is one.
    pub(crate) demo: Option<String>,
    /// Where edges reach it.
    pub(crate) link: Option<SocketAddr>,
    pub(crate) sessions: Sessions,
    /// The listeners for other cores and for edges.
    listeners: Vec<JoinHandle<()>>,
}

impl CoreRole {
    pub(crate) async fn start(registry: &Registry, config: &Config, tls: Tls) -> anyhow::Result<Self> {
        let backends = Backends::open(registry, config).await?;
        let data = &backends.data;
        let (store, blobs) = (data.store.backend.clone(), data.blobs.backend.clone());
        let mut listeners = Vec::new();
        let chat = match config.cluster_address()? {
            None => Chat::open(chat_config(config), store, blobs).await?,
            Some(listen) => {
                let secret = Secret::new(config.cluster.secret.clone().unwrap_or_default());
                let server = PeerServer::bind(listen, secret.clone(), tls.clone())
                    .await
                    .with_context(|| format!("cluster.listen: cannot listen on {listen}"))?;
                let bound = server.local_addr()?.to_string();
                let region = Region {
                    directory: backends.directory.backend.clone(),
                    soft: backends.soft.backend.clone(),
                    bus: backends.bus.backend.clone(),
                    peers: Arc::new(ChatPeers(PeerClient::new(secret, tls.clone()))),
                    address: config.cluster.advertise.clone().unwrap_or(bound),
                    lease: Duration::from_millis(config.cluster.lease_ms),
                };
                let address = region.address.clone();
                let chat = Chat::join(chat_config(config), store, blobs, region).await?;
                tracing::info!(address, "joined the cores of the region");
                listeners.push(tokio::spawn(server.run(Arc::new(PeerService(chat.clone())))));
                chat
            }
        };
        let demo = if config.demo_app { demo::ensure(&chat, &config.data_dir).await? } else { None };
        let local = LocalCore::new(chat.clone(), Api::new(chat.clone(), ApiConfig::default()));
        let (mut link, mut sessions) = (None, Sessions::default());
        if let Some(listen) = config.link_address()? {
            let secret = Secret::new(config.link.secret.clone().unwrap_or_default());
            let server = LinkServer::bind(listen, secret, tls)
                .await
                .with_context(|| format!("link.listen: cannot listen on {listen}"))?;
            link = Some(server.local_addr()?);
            sessions = server.sessions();
            listeners.push(tokio::spawn(server.run(CoreHandle::new(local.clone()))));
        }
        let demo = demo.map(|app| app.key.to_string());
        Ok(Self { backends, chat, local, demo, link, sessions, listeners })
    }

    /// Lets edges move their sessions to other cores, commits what is in hand, and leaves.
    pub(crate) async fn close(mut self, patience: Duration) {
        self.local.drain();
        if crate::drain::moved(&self.sessions, patience).await > 0 {
            tracing::warn!(sessions = self.sessions.count(), "sessions did not move in time");
        }
        self.local.close().await;
        for listener in self.listeners {
            listener.abort();
        }
        self.backends.close().await;
    }
}

fn chat_config(config: &Config) -> ChatConfig {
    ChatConfig {
        region: config.region,
        writer_queue: config.core.writer_queue,
        position_flush_ms: config.core.position_flush_ms,
        password_workers: config.core.password_workers,
        room_sweep_ms: config.core.room_sweep_ms,
        ..ChatConfig::default()
    }
}
