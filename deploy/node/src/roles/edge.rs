//! The edge role: the gateway, and its way to the cores.

use crate::Config;
use anyhow::Context;
use meridian_gateway::{Gateway, GatewayConfig};
use meridian_link::{CoreHandle, Cores, Patience, Tls, peer::Secret};
use meridian_topology::{Finder, Options};
use std::{io, time::Duration};
use tokio::task::JoinHandle;

/// The way to the cores of the configuration, for an edge that has none in its process, and the task that finds them.
pub(crate) fn connect(config: &Config, tls: Tls) -> anyhow::Result<(CoreHandle, JoinHandle<()>)> {
    let secret = Secret::new(config.link.secret.clone().unwrap_or_default());
    let finder = Finder::new(config.places()?, Options::default()).context("link.cores")?;
    let (addresses, finding) = finder.start();
    let finding = tokio::spawn(finding);
    Ok((CoreHandle::new(Cores::connect(addresses, secret, tls, Patience::default())), finding))
}

pub(crate) async fn start(
    config: &Config,
    core: CoreHandle,
    demo: Option<String>,
) -> anyhow::Result<Gateway> {
    Gateway::bind(GatewayConfig { demo, ..gateway_config(config)? }, core).await.map_err(|error| {
        let key = match error.kind() {
            io::ErrorKind::InvalidInput if config.gateway.tls().is_some() => "gateway.tls_certificate",
            _ => "listen",
        };
        anyhow::Error::new(error).context(format!("{key}: cannot serve on {}", config.listen))
    })
}

fn gateway_config(config: &Config) -> anyhow::Result<GatewayConfig> {
    Ok(GatewayConfig {
        listen: config.listen_address()?,
        max_connections: config.gateway.connections,
        idle_timeout: Duration::from_secs(config.gateway.idle_s),
        pong_timeout: Duration::from_secs(config.gateway.pong_s),
        ping_interval: Duration::from_secs(config.gateway.ping_s),
        max_frame_bytes: config.gateway.frame_limit,
        drain_timeout: Duration::from_secs(config.gateway.drain_s),
        tls: config.gateway.tls(),
        requests_per_second: config.gateway.requests_per_second,
        logins_per_second: config.gateway.logins_per_second,
        trusted_proxies: config.gateway.trusted_proxies.clone(),
        ..GatewayConfig::default()
    })
}
