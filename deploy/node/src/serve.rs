//! A running node: its roles and the admin port, started in that order and stopped in the other.

use crate::{
    Config, NodeBuilder, Registry,
    admin::Admin,
    demo,
    roles::{Role, core::CoreRole, edge},
    telemetry,
};
use anyhow::Context;
use meridian_gateway::Gateway;
use meridian_link::{CoreHandle, Tls};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

/// Where the running server's addresses are written, for tools that start it on port 0.
const ADDRESSES: &str = "listening.json";

/// A node with its roles, ready to run.
#[derive(Debug)]
pub struct Node {
    config: Config,
    /// Read certificates again, and look for cores.
    keepers: Vec<JoinHandle<()>>,
    core: Option<CoreRole>,
    gateway: Option<Gateway>,
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
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("data_dir: cannot make {}", data_dir.display()))?;
        let mut keepers = Vec::new();
        let tls = match config.link_tls() {
            Some(files) => {
                let (tls, keeping) = Tls::load(files).context("link.tls")?;
                keepers.push(tokio::spawn(keeping));
                tls
            }
            None => Tls::none(),
        };
        let core = match config.has(Role::Core) {
            true => Some(CoreRole::start(registry, &config, tls.clone()).await?),
            false => None,
        };
        let handle = match &core {
            Some(core) => CoreHandle::new(core.local.clone()),
            None => {
                let (cores, finding) = edge::connect(&config, tls)?;
                keepers.push(finding);
                cores
            }
        };
        let gateway = match config.has(Role::Edge) {
            true => {
                let demo = core.as_ref().and_then(|core| core.demo.clone());
                Some(edge::start(&config, handle.clone(), demo).await?)
            }
            false => None,
        };
        let admin = Admin::bind(config.admin_address()?, handle, core.as_ref(), metrics)
            .await
            .with_context(|| format!("admin: cannot listen on {}", config.admin))?;
        let listen = gateway.as_ref().map(Gateway::local_addr);
        let link = core.as_ref().and_then(|core| core.link);
        write_addresses(&data_dir.join(ADDRESSES), listen, admin.local_addr(), link)?;
        let (listen_text, link_text) = (text(listen), text(link));
        tracing::info!(listen = listen_text, link = link_text, admin = %admin.local_addr(), data_dir = %data_dir.display(), "ready");
        if let (Some(listen), Some(app)) = (listen, core.as_ref().and_then(|core| core.demo.as_ref())) {
            greet(listen, config.gateway.tls().is_some(), &data_dir.join(demo::FILE), app);
        }
        Ok(Self { config, keepers, core, gateway, admin })
    }

    /// Serves until `stop`, then refuses new work, lets clients go, commits what is in hand, and leaves.
    async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { config, keepers, core, gateway, admin } = self;
        let patience = Duration::from_secs(config.gateway.drain_s);
        let (stopping, stopped) = watch::channel(false);
        let mut gateway = gateway.map(|gateway| tokio::spawn(gateway.run(wait_for(stopped.clone()))));
        let mut admin = tokio::spawn(admin.run(wait_for(stopped)));
        tokio::select! {
            () = stop => tracing::info!("stopping"),
            ended = ended(&mut gateway) => tracing::error!(?ended, "the gateway ended by itself"),
            ended = &mut admin => tracing::error!(?ended, "the admin port ended by itself"),
        }
        if let Some(core) = &core {
            core.local.drain();
        }
        // Every receiver lives in the two tasks.
        let _ = stopping.send(true);
        if let Some(mut gateway) = gateway.filter(|gateway| !gateway.is_finished())
            && tokio::time::timeout(patience + Duration::from_secs(5), &mut gateway).await.is_err()
        {
            tracing::warn!("connections did not end in time");
            gateway.abort();
        }
        if let Some(core) = core {
            core.close(patience).await;
        }
        if !admin.is_finished() && tokio::time::timeout(Duration::from_secs(2), &mut admin).await.is_err() {
            admin.abort();
        }
        keepers.iter().for_each(JoinHandle::abort);
        remove_addresses(&config.data_dir.join(ADDRESSES));
        tracing::info!("stopped");
        Ok(())
    }
}

async fn ended(gateway: &mut Option<JoinHandle<()>>) -> Result<(), tokio::task::JoinError> {
    match gateway {
        Some(gateway) => gateway.await,
        None => std::future::pending().await,
    }
}

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // An error means that the node is gone, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn text(address: Option<SocketAddr>) -> Option<String> {
    address.map(|address| address.to_string())
}

fn write_addresses(
    path: &Path,
    listen: Option<SocketAddr>,
    admin: SocketAddr,
    link: Option<SocketAddr>,
) -> anyhow::Result<()> {
    let json = serde_json::json!({ "listen": text(listen), "admin": admin.to_string(), "link": text(link) });
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
        "\nMeridian is ready.\n  Try it     http{s}://{listen}/   (a chat; open it in two tabs)\n  REST       http{s}://{listen}\n  WebSocket  ws{s}://{listen}/websocket\n  \
         App key    {app_key}   (anyone may register users in this demo app)\n  Secrets    {}\n",
        credentials.display()
    );
}
