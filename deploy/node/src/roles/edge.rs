//! The edge role: the gateway, and its way to the cores.

use crate::Config;
use anyhow::Context;
use meridian_gateway::{Gateway, GatewayConfig};
use meridian_link::{CoreHandle, Cores, Patience, Tls, peer::Secret};
use std::time::Duration;
use tokio::sync::watch;

/// The way to the cores of the configuration, for an edge that has none in its process.
pub(crate) fn connect(config: &Config, tls: Tls) -> CoreHandle {
    let secret = Secret::new(config.link.secret.clone().unwrap_or_default());
    let (_, addresses) = watch::channel(config.link.cores.clone());
    CoreHandle::new(Cores::connect(addresses, secret, tls, Patience::default()))
}

pub(crate) async fn start(config: &Config, core: CoreHandle) -> anyhow::Result<Gateway> {
    Gateway::bind(gateway_config(config)?, core)
        .await
        .with_context(|| format!("listen: cannot serve on {}", config.listen))
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
