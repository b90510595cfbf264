//! A running node: backends, core, edge and admin port, started in that order and stopped in the other.

use crate::{Config, NodeBuilder, Registry, admin::Admin, demo, open::Backends, telemetry};
use anyhow::Context;
use meridian_api::{Api, ApiConfig};
use meridian_chat::{Chat, ChatConfig, Region};
use meridian_gateway::{Gateway, GatewayConfig};
use meridian_link::{
    CoreHandle,
    peer::{PeerClient, PeerServer, Secret},
};
use meridian_server::{ChatPeers, LocalCore, PeerService};
use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

/// Where the running server's addresses are written, for tools that start it on port 0.
const ADDRESSES: &str = "listening.json";

/// A node with every role in this process, ready to run.
#[derive(Debug)]
pub struct Node {
    config: Config,
    backends: Backends,
    core: LocalCore,
    /// Answers other cores, if there are any.
    peers: Option<JoinHandle<()>>,
    gateway: Gateway,
    admin: Admin,
}

/// Runs a node until it is told to stop.
pub(crate) async fn serve(registry: Registry, config: Config) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    let node = Node::start(&registry, config, metrics).await?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    node.run(stop).await
}

impl Node {
    /// A command line like `meridian`'s with more backends.
    #[must_use]
    pub fn builder() -> NodeBuilder {
        NodeBuilder::new()
    }

    /// Opens everything; when this returns, clients can connect.
    async fn start(
        registry: &Registry,
        config: Config,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
    ) -> anyhow::Result<Self> {
        let data_dir = &config.data_dir;
        let backends = Backends::open(registry, &config).await?;
        let data = &backends.data;
        let (store, blobs) = (data.store.backend.clone(), data.blobs.backend.clone());
        let (chat, peers) = match config.cluster_address()? {
            None => (Chat::open(chat_config(&config), store, blobs).await?, None),
            Some(listen) => {
                let secret = Secret::new(config.cluster.secret.clone().unwrap_or_default());
                let server = PeerServer::bind(listen, secret.clone())
                    .await
                    .with_context(|| format!("cluster.listen: cannot listen on {listen}"))?;
                let bound = server.local_addr()?.to_string();
                let region = Region {
                    directory: backends.directory.backend.clone(),
                    soft: backends.soft.backend.clone(),
                    bus: backends.bus.backend.clone(),
                    peers: Arc::new(ChatPeers(PeerClient::new(secret))),
                    address: config.cluster.advertise.clone().unwrap_or(bound),
                    lease: Duration::from_millis(config.cluster.lease_ms),
                };
                let address = region.address.clone();
                let chat = Chat::join(chat_config(&config), store, blobs, region).await?;
                tracing::info!(address, "joined the cores of the region");
                (chat.clone(), Some(tokio::spawn(server.run(Arc::new(PeerService(chat))))))
            }
        };
        let demo = if config.demo_app { demo::ensure(&chat, data_dir).await? } else { None };
        let core = LocalCore::new(chat.clone(), Api::new(chat.clone(), ApiConfig::default()));
        let gateway = Gateway::bind(gateway_config(&config)?, CoreHandle::local(core.clone()))
            .await
            .map_err(|error| {
                let key = match error.kind() {
                    io::ErrorKind::InvalidInput if config.gateway.tls().is_some() => {
                        "gateway.tls_certificate"
                    }
                    _ => "listen",
                };
                anyhow::Error::new(error).context(format!("{key}: cannot serve on {}", config.listen))
            })?;
        let admin = Admin::bind(config.admin_address()?, chat, core.clone(), metrics)
            .await
            .with_context(|| format!("admin: cannot listen on {}", config.admin))?;
        let (listen, admin_address) = (gateway.local_addr(), admin.local_addr());
        write_addresses(&data_dir.join(ADDRESSES), listen, admin_address)?;
        tracing::info!(%listen, admin = %admin_address, data_dir = %data_dir.display(), "ready");
        if let Some(app) = demo {
            greet(listen, config.gateway.tls().is_some(), &data_dir.join(demo::FILE), app.key.as_str());
        }
        Ok(Self { config, backends, core, peers, gateway, admin })
    }

    /// Serves until `stop`, then refuses new work, lets clients go, commits what is in hand, and leaves.
    async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (stopping, stopped) = watch::channel(false);
        let mut gateway = tokio::spawn(self.gateway.run(wait_for(stopped.clone())));
        let mut admin = tokio::spawn(self.admin.run(wait_for(stopped)));
        tokio::select! {
            () = stop => tracing::info!("stopping"),
            ended = &mut gateway => tracing::error!(?ended, "the gateway ended by itself"),
            ended = &mut admin => tracing::error!(?ended, "the admin port ended by itself"),
        }
        self.core.drain();
        // Every receiver lives in the two tasks.
        let _ = stopping.send(true);
        let patience = Duration::from_secs(self.config.gateway.drain_s + 5);
        if !gateway.is_finished() && tokio::time::timeout(patience, &mut gateway).await.is_err() {
            tracing::warn!("connections did not end in time");
            gateway.abort();
        }
        self.core.close().await;
        if let Some(peers) = self.peers.take() {
            peers.abort();
        }
        if !admin.is_finished() && tokio::time::timeout(Duration::from_secs(2), &mut admin).await.is_err() {
            admin.abort();
        }
        self.backends.close().await;
        remove_addresses(&self.config.data_dir.join(ADDRESSES));
        tracing::info!("stopped");
        Ok(())
    }
}

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // An error means that the node is gone, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn chat_config(config: &Config) -> ChatConfig {
    ChatConfig {
        region: config.region,
        writer_queue: config.core.writer_queue,
        position_flush_ms: config.core.position_flush_ms,
        password_workers: config.core.password_workers,
        ..ChatConfig::default()
    }
}

fn gateway_config(config: &Config) -> anyhow::Result<GatewayConfig> {
    Ok(GatewayConfig {
        listen: config.listen_address()?,
        max_connections: config.gateway.connections,
        idle_timeout: Duration::from_secs(config.gateway.idle_s),
        ping_interval: Duration::from_secs(config.gateway.ping_s),
        max_frame_bytes: config.gateway.frame_limit,
        drain_timeout: Duration::from_secs(config.gateway.drain_s),
        tls: config.gateway.tls(),
        logins_per_second: config.gateway.logins_per_second,
        trusted_proxies: config.gateway.trusted_proxies.clone(),
        ..GatewayConfig::default()
    })
}

fn write_addresses(path: &Path, listen: SocketAddr, admin: SocketAddr) -> anyhow::Result<()> {
    let json = serde_json::json!({ "listen": listen.to_string(), "admin": admin.to_string() });
    let draft = path.with_extension("json.new");
    std::fs::write(&draft, json.to_string())?;
    // A reader sees the whole file or none.
    std::fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
}

fn remove_addresses(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "no addresses to remove");
    }
}

#[allow(clippy::print_stdout)] // what a person who has just started the server reads
fn greet(listen: SocketAddr, tls: bool, credentials: &Path, app_key: &str) {
    let s = if tls { "s" } else { "" };
    println!(
        "\nMeridian is ready.\n  REST       http{s}://{listen}\n  WebSocket  ws{s}://{listen}/websocket\n  \
         App key    {app_key}   (anyone may register users in this demo app)\n  Secrets    {}\n",
        credentials.display()
    );
}
