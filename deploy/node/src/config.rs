//! Configuration: defaults, then file, then environment, then flags. An unknown key or a bad value stops the start with a
//! message that names the key and where it came from.

use crate::roles::Role;
use meridian_gateway::Network;
use meridian_link::TlsFiles;
use meridian_ports::BackendUrl;
use meridian_topology::Place;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

/// Environment variables that configure begin with this: `MERIDIAN_SESSION_IDLE_S` is `session.idle_s`.
const PREFIX: &str = "MERIDIAN_";
/// Set for other purposes.
const NOT_KEYS: [&str; 1] = ["MERIDIAN_CONFIG"];

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address for REST and WebSocket clients.
    pub listen: String,
    /// Address for metrics and administration.
    pub admin: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where logs and what they make are kept.
    #[serde(deserialize_with = "url")]
    pub store: BackendUrl,
    /// Where files are kept.
    #[serde(deserialize_with = "url")]
    pub blobs: BackendUrl,
    /// Where presence, sessions and rate limits are kept: what may be lost.
    #[serde(deserialize_with = "url")]
    pub soft: BackendUrl,
    /// How cores hint each other. `None`: as `soft` where that backend is a bus too, else `memory:`.
    #[serde(deserialize_with = "some_url")]
    pub bus: Option<BackendUrl>,
    /// Where cores see each other. `None`: as `store` where its scheme is a directory, else `memory:`.
    #[serde(deserialize_with = "some_url")]
    pub directory: Option<BackendUrl>,
    /// Stores behind `store = "sharded:"`, by name.
    #[serde(deserialize_with = "urls")]
    pub shards: BTreeMap<String, BackendUrl>,
    /// Logs (`7.O0.3`) that begin on another shard than the one their hash names.
    pub placement: BTreeMap<String, String>,
    /// Whether the first start makes the app `demo#chat`.
    pub demo_app: bool,
    pub region: u8,
    /// What this process does: `["edge", "core"]`, or one of them.
    #[serde(deserialize_with = "crate::roles::roles")]
    pub roles: Vec<Role>,
    pub log: LogConfig,
    pub gateway: GatewayConfig,
    pub core: CoreConfig,
    pub sqlite: SqliteConfig,
    pub cluster: ClusterConfig,
    pub link: LinkConfig,
}

/// Between edges and cores. Never shows the secret.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkConfig {
    /// On a core: the address where edges reach it. Unset: it serves only the edge in its own process.
    pub listen: Option<String>,
    /// On an edge without a core: where the cores are, each `host:port` or `srv:_service._tcp.name`.
    #[serde(deserialize_with = "crate::roles::list")]
    pub cores: Vec<String>,
    /// What edges and cores of the region know, and nobody else; at least 16 bytes.
    pub secret: Option<String>,
    /// Mutual TLS, also between cores: the authority of all certificates, the own chain and its key (PEM files), and the
    /// name in the certificates of cores. All or none.
    pub tls_authority: Option<PathBuf>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_name: Option<String>,
}

impl std::fmt::Debug for LinkConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkConfig")
            .field("listen", &self.listen)
            .field("cores", &self.cores)
            .finish_non_exhaustive()
    }
}

/// Several cores in one region. Never shows the secret.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Address where other cores reach this one. Unset: this is the only core.
    pub listen: Option<String>,
    /// What other cores are told instead, `host:port`, where `listen` is not what they can reach.
    pub advertise: Option<String>,
    /// What all cores of the region know, and nobody else; at least 16 bytes.
    pub secret: Option<String>,
    /// How long a core that is silent counts as alive, in milliseconds. Its logs are taken over after that.
    pub lease_ms: u64,
}

impl std::fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterConfig")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .finish_non_exhaustive()
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self { listen: None, advertise: None, secret: None, lease_ms: 1500 }
    }
}

/// Logs, on standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `info`, or finer: `info,meridian_gateway=debug`.
    pub level: String,
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Connections at the same time.
    pub connections: usize,
    /// A WebSocket whose client never answered a ping, and is silent for so long, is closed, in seconds.
    pub idle_s: u64,
    /// Longest time between pings, in seconds.
    pub ping_s: u64,
    /// The same as `idle_s` for a client that answers pings, and is silent after one.
    pub pong_s: u64,
    /// Largest frame that a client may send, in bytes.
    pub frame_limit: usize,
    /// How long a stop waits for connections to end, in seconds.
    pub drain_s: u64,
    /// PEM file of the certificate and what leads from it to a root. With it every connection is TLS.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of its key. Both are looked at again while the server runs.
    pub tls_key: Option<PathBuf>,
    /// WebSockets that may be opened per second, on average; 0: no limit.
    pub logins_per_second: u32,
    /// Requests of one address per second. 0: no limit.
    pub requests_per_second: u32,
    /// Proxies that are believed what they say of clients: addresses or `address/prefix`, as a list or separated by
    /// commas.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<Network>,
}

impl GatewayConfig {
    /// Both files or none, which `Config::check` has seen to.
    pub(crate) fn tls(&self) -> Option<meridian_gateway::TlsFiles> {
        let (certificate, key) = self.tls_certificate.clone().zip(self.tls_key.clone())?;
        Some(meridian_gateway::TlsFiles { certificate, key })
    }
}

/// The chat logic.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoreConfig {
    /// Commands that may wait for one log; one more is answered "busy".
    pub writer_queue: usize,
    /// How long acknowledged positions may stay in memory, in milliseconds.
    pub position_flush_ms: u64,
    /// Passwords hashed at the same time.
    pub password_workers: usize,
    /// Between two looks for people who have left their rooms without a word, in milliseconds.
    pub room_sweep_ms: u64,
}

/// The embedded store.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// Connections for reads.
    pub read_connections: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            admin: "127.0.0.1:8081".into(),
            data_dir: "./data".into(),
            store: known_url("sqlite:meridian.db"),
            blobs: known_url("file:files"),
            soft: known_url("memory:"),
            bus: None,
            directory: None,
            shards: BTreeMap::new(),
            placement: BTreeMap::new(),
            demo_app: true,
            region: 0,
            roles: vec![Role::Edge, Role::Core],
            log: LogConfig::default(),
            gateway: GatewayConfig::default(),
            core: CoreConfig::default(),
            sqlite: SqliteConfig::default(),
            cluster: ClusterConfig::default(),
            link: LinkConfig::default(),
        }
    }
}

/// A URL that is written in this program.
#[allow(clippy::expect_used)] // a constant; `defaults_are_urls` would fail
pub(crate) fn known_url(text: &'static str) -> BackendUrl {
    BackendUrl::parse(text).expect("a default is a URL")
}

// The text never gets into an error: it may hold a password.
fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BackendUrl, D::Error> {
    BackendUrl::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn some_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BackendUrl>, D::Error> {
    url(deserializer).map(Some)
}

fn urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, BackendUrl>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    texts
        .into_iter()
        .map(|(name, text)| Ok((name, BackendUrl::parse(&text).map_err(D::Error::custom)?)))
        .collect()
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    // Environment variables have no lists.
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of networks, or text with commas")]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    let texts = match Texts::deserialize(deserializer)? {
        Texts::One(text) => text.split(',').map(|text| text.trim().to_owned()).collect(),
        Texts::Many(texts) => texts,
    };
    texts.iter().filter(|text| !text.is_empty()).map(|text| text.parse().map_err(D::Error::custom)).collect()
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            connections: 15_000,
            idle_s: 75,
            ping_s: 30,
            pong_s: 10,
            frame_limit: 64 * 1024,
            drain_s: 10,
            tls_certificate: None,
            tls_key: None,
            logins_per_second: 500,
            requests_per_second: 1000,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self { writer_queue: 4096, position_flush_ms: 1000, password_workers: 2, room_sweep_ms: 30_000 }
    }
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self { read_connections: 2 }
    }
}

/// What flags set.
#[derive(Debug, Default)]
pub struct Overrides {
    pub listen: Option<String>,
    pub admin: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub store: Option<String>,
    pub blobs: Option<String>,
    pub soft: Option<String>,
    pub bus: Option<String>,
    pub directory: Option<String>,
    pub roles: Vec<Role>,
}

/// Why a configuration cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Puts the configuration together.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        let mut table = match file {
            Some(path) => read_file(path)?,
            None => toml::Table::new(),
        };
        // Alone first, so that a mistake is laid at the right door.
        parse(&table).map_err(|text| {
            ConfigError(format!("configuration file {}: {text}", file.unwrap_or(Path::new("")).display()))
        })?;
        let ours: BTreeMap<String, String> = environment
            .filter(|(name, _)| name.starts_with(PREFIX) && !NOT_KEYS.contains(&name.as_str()))
            .collect();
        for (name, value) in ours {
            set_from_environment(&mut table, &name, &value)
                .and_then(|()| parse(&table).map(drop))
                .map_err(|text| ConfigError(format!("environment variable {name}: {text}")))?;
        }
        let mut config = parse(&table).map_err(ConfigError)?;
        config.listen = overrides.listen.unwrap_or(config.listen);
        config.admin = overrides.admin.unwrap_or(config.admin);
        config.data_dir = overrides.data_dir.unwrap_or(config.data_dir);
        let given = |key: &str, text: Option<String>| {
            let parsed = text.map(|text| BackendUrl::parse(&text)).transpose();
            parsed.map_err(|error| ConfigError(format!("--{key}: {error}")))
        };
        config.store = given("store", overrides.store)?.unwrap_or(config.store);
        config.blobs = given("blobs", overrides.blobs)?.unwrap_or(config.blobs);
        config.soft = given("soft", overrides.soft)?.unwrap_or(config.soft);
        config.bus = given("bus", overrides.bus)?.or(config.bus);
        config.directory = given("directory", overrides.directory)?.or(config.directory);
        if !overrides.roles.is_empty() {
            config.roles = overrides.roles;
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        address("listen", &self.listen)?;
        address("admin", &self.admin)?;
        if let Some(listen) = &self.cluster.listen {
            let listen = address("cluster.listen", listen)?;
            if listen.ip().is_unspecified() && self.cluster.advertise.is_none() {
                let text = "cluster.advertise: is needed where cluster.listen is no address of one machine";
                return Err(ConfigError(text.into()));
            }
            if self.cluster.secret.as_ref().is_none_or(|secret| secret.len() < 16) {
                let text = "cluster.secret: of at least 16 bytes, the same on every core, is needed with cluster.listen";
                return Err(ConfigError(text.into()));
            }
        }
        if let Some(advertise) = &self.cluster.advertise {
            if self.cluster.listen.is_none() {
                return Err(ConfigError("cluster.advertise: is set, and cluster.listen is not".into()));
            }
            // Other machines look it up: it need not have an address here.
            let port = advertise.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if advertise.len() > 255 || port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                return Err(ConfigError(format!("cluster.advertise: {advertise:?} is no host:port")));
            }
        }
        self.check_link()?;
        if self.gateway.tls_certificate.is_some() != self.gateway.tls_key.is_some() {
            let text = "gateway.tls_certificate: it and gateway.tls_key belong together";
            return Err(ConfigError(text.into()));
        }
        let sharded = self.store.scheme() == "sharded";
        if sharded == self.shards.is_empty() {
            let text = "shards: a [shards] table and store = \"sharded:\" belong together";
            return Err(ConfigError(text.into()));
        }
        let within = |key: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError(format!("{key}: {value} is not within {low}..={high}")))
            }
        };
        within("region", self.region.into(), 0, 63)?;
        within("gateway.connections", self.gateway.connections as u64, 1, 1_000_000)?;
        within("gateway.idle_s", self.gateway.idle_s, 1, 3600)?;
        within("gateway.ping_s", self.gateway.ping_s, 1, 3600)?;
        within("gateway.pong_s", self.gateway.pong_s, 1, 3600)?;
        within("gateway.frame_limit", self.gateway.frame_limit as u64, 8 * 1024, 1024 * 1024)?;
        within("gateway.drain_s", self.gateway.drain_s, 0, 600)?;
        within("core.writer_queue", self.core.writer_queue as u64, 1, 1_000_000)?;
        within("core.position_flush_ms", self.core.position_flush_ms, 10, 60_000)?;
        within("core.password_workers", self.core.password_workers as u64, 1, 256)?;
        within("core.room_sweep_ms", self.core.room_sweep_ms, 10, 3_600_000)?;
        within("cluster.lease_ms", self.cluster.lease_ms, 500, 60_000)?;
        within("sqlite.read_connections", self.sqlite.read_connections.into(), 1, 64)
    }

    pub fn listen_address(&self) -> Result<SocketAddr, ConfigError> {
        address("listen", &self.listen)
    }

    pub fn cluster_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        self.cluster.listen.as_deref().map(|listen| address("cluster.listen", listen)).transpose()
    }

    /// Whether this process has a role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    fn check_link(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError(text.into()));
        let (edge, core) = (self.has(Role::Edge), self.has(Role::Core));
        if !edge && !core {
            return refuse("roles: a node needs edge, core, or both");
        }
        if let Some(listen) = &self.link.listen {
            address("link.listen", listen)?;
        }
        if !core && self.link.listen.is_some() {
            return refuse("link.listen: is for nodes with the core role");
        }
        if !edge && self.link.listen.is_none() {
            return refuse("link.listen: is needed on a node with the core role alone");
        }
        if !core && self.link.cores.is_empty() {
            return refuse("link.cores: is needed on a node with the edge role alone");
        }
        if core && !self.link.cores.is_empty() {
            return refuse("link.cores: is for nodes with the edge role alone; this one uses its own core");
        }
        self.places()?;
        let link = &self.link;
        let tls = [link.tls_authority.is_some(), link.tls_certificate.is_some(), link.tls_key.is_some()];
        if tls.contains(&true) && tls.contains(&false) {
            return refuse("link.tls_authority, link.tls_certificate, link.tls_key: all or none");
        }
        if !tls[0] && link.tls_name.is_some() {
            return refuse("link.tls_name: is for a link with certificates");
        }
        let linked = self.link.listen.is_some() || !self.link.cores.is_empty();
        if linked && self.link.secret.as_ref().is_none_or(|secret| secret.len() < 16) {
            return refuse("link.secret: of at least 16 bytes, the same on every edge and core, is needed");
        }
        Ok(())
    }

    /// The certificates between the processes of the region, if there are any.
    #[must_use]
    pub fn link_tls(&self) -> Option<TlsFiles> {
        let link = &self.link;
        Some(TlsFiles {
            authority: link.tls_authority.clone()?,
            certificate: link.tls_certificate.clone()?,
            key: link.tls_key.clone()?,
            name: link.tls_name.clone().unwrap_or_else(|| "meridian-core".into()),
        })
    }

    /// Where an edge looks for cores.
    pub fn places(&self) -> Result<Vec<Place>, ConfigError> {
        let read = |text: &String| text.parse().map_err(|error| ConfigError(format!("link.cores: {error}")));
        self.link.cores.iter().map(read).collect()
    }

    pub fn link_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        self.link.listen.as_deref().map(|listen| address("link.listen", listen)).transpose()
    }

    pub fn admin_address(&self) -> Result<SocketAddr, ConfigError> {
        address("admin", &self.admin)
    }
}

fn address(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let mut found = text
        .to_socket_addrs()
        .map_err(|error| ConfigError(format!("{key}: {text:?} is no address: {error}")))?;
    found.next().ok_or_else(|| ConfigError(format!("{key}: {text:?} has no address")))
}

fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let problem = |text: String| ConfigError(format!("configuration file {}: {text}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| problem(error.message().to_owned()))
}

fn parse(table: &toml::Table) -> Result<Config, String> {
    // Section by section, so that an error names its key.
    Config::deserialize(toml::Value::Table(table.clone()))
        .map_err(|error| name_the_key(table, &error.to_string()))
}

/// The deserialiser of a value says what is wrong but not always where: find the one key whose removal mends it.
fn name_the_key(table: &toml::Table, text: &str) -> String {
    let text = text.trim().replace('\n', " ");
    for path in leaves(table) {
        let mut without = table.clone();
        remove(&mut without, &path);
        let still = Config::deserialize(toml::Value::Table(without)).map_err(|error| error.to_string());
        if still.as_ref().err().is_none_or(|other| other.trim().replace('\n', " ") != text) {
            return format!("{}: {text}", path.join("."));
        }
    }
    text
}

fn leaves(table: &toml::Table) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) if !inner.is_empty() => {
                found.extend(leaves(inner).into_iter().map(|mut path| {
                    path.insert(0, key.clone());
                    path
                }));
            }
            _ => found.push(vec![key.clone()]),
        }
    }
    found
}

fn remove(table: &mut toml::Table, path: &[String]) {
    match path {
        [last] => drop(table.remove(last)),
        [first, rest @ ..] => {
            if let Some(toml::Value::Table(inner)) = table.get_mut(first) {
                remove(inner, rest);
            }
        }
        [] => {}
    }
}

const SECTIONS: [&str; 7] = ["log", "gateway", "core", "sqlite", "cluster", "link", "shards"];

fn set_from_environment(table: &mut toml::Table, name: &str, value: &str) -> Result<(), String> {
    let key = name.trim_start_matches(PREFIX).to_ascii_lowercase();
    let value = match (value.parse::<i64>(), value) {
        (Ok(number), _) => toml::Value::Integer(number),
        (_, "true") => toml::Value::Boolean(true),
        (_, "false") => toml::Value::Boolean(false),
        (_, text) => toml::Value::String(text.to_owned()),
    };
    let section = SECTIONS.iter().find(|section| {
        key.strip_prefix(*section).is_some_and(|rest| rest.starts_with('_') && rest.len() > 1)
    });
    match section {
        Some(section) => {
            let inner = table
                .entry(section.to_string())
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut()
                .ok_or_else(|| format!("{section} is not a section"))?;
            inner.insert(key[section.len() + 1..].to_owned(), value);
        }
        None => {
            table.insert(key, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(file.path()), environment, Overrides::default())
    }

    #[test]
    fn flags_beat_environment_beat_file_beat_defaults() {
        let toml = "listen = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n[gateway]\nidle_s = 9";
        let config = load(toml, &[("MERIDIAN_ADMIN", "127.0.0.1:3"), ("HOME", "/")]).unwrap();
        assert_eq!((config.listen.as_str(), config.admin.as_str()), ("127.0.0.1:1", "127.0.0.1:3"));
        assert_eq!((config.gateway.idle_s, config.gateway.ping_s), (9, 30));
        let overrides = Overrides { admin: Some("127.0.0.1:4".into()), ..Overrides::default() };
        let environment = [("MERIDIAN_ADMIN".to_owned(), "127.0.0.1:3".to_owned())];
        assert_eq!(Config::load(None, environment.into_iter(), overrides).unwrap().admin, "127.0.0.1:4");
    }

    #[test]
    fn errors_name_the_key() {
        for (toml, environment, key) in [
            ("lisen = \"x\"", None, "lisen"),
            ("[gateway]\nidle = 5", None, "gateway.idle"),
            ("[gateway]\nidle_s = \"soon\"", None, "gateway.idle_s"),
            ("[gateway]\nidle_s = 0", None, "gateway.idle_s"),
            ("[gateway]\ntls_key = \"key.pem\"", None, "gateway.tls_certificate"),
            ("[gateway]\ntrusted_proxies = [\"10.0.0.0/33\"]", None, "gateway.trusted_proxies"),
            ("[gateway]\ntrusted_proxies = 10", None, "gateway.trusted_proxies"),
            ("", Some(("MERIDIAN_GATEWAY_TRUSTED_PROXIES", "proxy")), "MERIDIAN_GATEWAY_TRUSTED_PROXIES"),
            ("listen = \"nowhere\"", None, "listen"),
            ("region = 64", None, "region"),
            ("", Some(("MERIDIAN_GATEWAY_IDLE_S", "soon")), "MERIDIAN_GATEWAY_IDLE_S"),
            ("", Some(("MERIDIAN_COLOUR", "red")), "MERIDIAN_COLOUR"),
            ("listen = ", None, "configuration file"),
            ("store = \"hunter2\"", None, "store"),
            ("bus = 5", None, "bus"),
            ("", Some(("MERIDIAN_STORE", "hunter2")), "MERIDIAN_STORE"),
            ("[shards]\na = \"hunter2\"", None, "shards.a"),
            ("[shards]\na = \"memory:\"", None, "shards"),
            ("store = \"sharded:\"", None, "shards"),
            ("[cluster]\nlisten = \"nowhere\"", None, "cluster.listen"),
            ("[cluster]\nadvertise = \"core1:7000\"", None, "cluster.listen"),
            ("[cluster]\nlisten = \"127.0.0.1:0\"", None, "cluster.secret"),
            ("[cluster]\nlisten = \"127.0.0.1:0\"\nsecret = \"hunter2\"", None, "cluster.secret"),
            ("[cluster]\nlisten = \"0.0.0.0:0\"\nsecret = \"0123456789abcdef\"", None, "cluster.advertise"),
            (
                "[cluster]\nlisten = \"127.0.0.1:0\"\nsecret = \"0123456789abcdef\"\nadvertise = \"core1\"",
                None,
                "cluster.advertise",
            ),
        ] {
            let error = load(toml, environment.as_slice()).unwrap_err().to_string();
            assert!(error.contains(key), "{toml:?} {environment:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn proxies_are_a_list_or_text() {
        let list = load("[gateway]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]", &[]).unwrap();
        let text = load("", &[("MERIDIAN_GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8, ::1")]).unwrap();
        assert_eq!(list.gateway.trusted_proxies.len(), 2);
        assert_eq!(list.gateway.trusted_proxies, text.gateway.trusted_proxies);
        let none = load("", &[("MERIDIAN_GATEWAY_TRUSTED_PROXIES", "")]).unwrap();
        assert!(none.gateway.trusted_proxies.is_empty());
    }

    #[test]
    fn backends_are_chosen_by_url_and_passwords_are_not_shown() {
        let defaults = load("", &[]).unwrap();
        assert_eq!((defaults.store.scheme(), defaults.blobs.scheme()), ("sqlite", "file"));
        assert_eq!((defaults.bus, defaults.directory), (None, None));
        let toml = "store = \"sharded:\"\n[shards]\na = \"postgres://me:hunter2@a/x\"\n\
                    [placement]\n\"7.O0.3\" = \"a\"\n[cluster]\nlisten = \"127.0.0.1:0\"\n\
                    secret = \"hunter2hunter2hunter2\"";
        let config =
            load(toml, &[("MERIDIAN_SOFT", "redis://:hunter2@cache"), ("MERIDIAN_SHARDS_B", "memory:")]);
        let config = config.unwrap();
        assert_eq!(config.soft.expose(), "redis://:hunter2@cache");
        assert_eq!(config.shards.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(config.placement["7.O0.3"], "a");
        assert!(!format!("{config:?}").contains("hunter2"));
        let overrides = Overrides { store: Some("memory:".into()), ..Overrides::default() };
        assert_eq!(Config::load(None, std::iter::empty(), overrides).unwrap().store.scheme(), "memory");
    }
}
