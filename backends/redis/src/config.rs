//! Where Redis is.

use crate::error::invalid;
use meridian_ports::Result;
use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use std::fmt;

/// How to reach Redis.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host:port/db` or `redis-cluster://[user:password@]host:port,host:port`; with TLS
    /// `rediss://…` and `rediss-cluster://…`.
    pub url: String,
    /// Begins every key and channel, so that several regions can share a server. No braces.
    pub prefix: String,
}

/// A password may be in the URL.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match (self.url.split_once("://"), self.url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, hosts))) => format!("{scheme}://***@{hosts}"),
            _ => self.url.clone(),
        };
        f.debug_struct("RedisConfig").field("url", &url).field("prefix", &self.prefix).finish()
    }
}

#[derive(Clone)]
pub(crate) enum Place {
    Single(Box<ConnectionInfo>),
    Cluster(Vec<ConnectionInfo>),
}

impl RedisConfig {
    pub(crate) fn place(&self) -> Result<Place> {
        if self.prefix.len() > 64 || self.prefix.contains(['{', '}']) {
            return Err(invalid("open", "the prefix is at most 64 bytes long and without braces"));
        }
        let cluster = [("redis-cluster://", "redis"), ("rediss-cluster://", "rediss")];
        let cluster = cluster.iter().find_map(|(start, one)| Some((self.url.strip_prefix(start)?, one)));
        if let Some((rest, scheme)) = cluster {
            let (credentials, hosts) = match rest.rsplit_once('@') {
                Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
                None => (String::new(), rest),
            };
            let hosts = hosts.trim_end_matches('/').split(',');
            let nodes = hosts.map(|host| info(&format!("{scheme}://{credentials}{host}")));
            return Ok(Place::Cluster(nodes.collect::<Result<_>>()?));
        }
        if !self.url.starts_with("redis://") && !self.url.starts_with("rediss://") {
            return Err(invalid(
                "open",
                "the URL begins with redis://, rediss://, redis-cluster:// or rediss-cluster://",
            ));
        }
        Ok(Place::Single(Box::new(info(&self.url)?)))
    }
}

/// The error of the driver is left out: it may repeat the URL.
fn info(url: &str) -> Result<ConnectionInfo> {
    let info = url.into_connection_info().map_err(|_| invalid("open", "the URL of Redis cannot be read"))?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}
