//! Looks places up, again and again.

use crate::Place;
use futures_util::future::join_all;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};
use rand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// Addresses that are kept; more are left out, with a warning.
const ADDRESSES: usize = 256;
/// How long a place that cannot be looked up keeps what it had.
const STALE: Duration = Duration::from_secs(300);

/// How places are looked up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name servers to ask. `None`: those of the system's configuration.
    pub servers: Option<Vec<SocketAddr>>,
    /// Places are asked for again when the shortest time to live ends, within these bounds.
    pub at_least: Duration,
    pub at_most: Duration,
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: None,
            at_least: Duration::from_secs(1),
            at_most: Duration::from_secs(60),
            deadline: Duration::from_secs(2),
        }
    }
}

/// The system's configuration of name servers cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("names cannot be looked up: {0}")]
pub struct FinderError(#[from] NetError);

/// Looks places up.
#[derive(Debug)]
pub struct Finder {
    places: Vec<Place>,
    resolver: Option<TokioResolver>,
    options: Options,
    known: BTreeMap<usize, Known>,
}

/// What a place gave when it was last looked up.
#[derive(Debug)]
struct Known {
    addresses: BTreeSet<SocketAddr>,
    at: Instant,
    failing: bool,
}

impl Finder {
    /// Where all places are addresses, no name server is needed.
    pub fn new(places: Vec<Place>, options: Options) -> Result<Self, FinderError> {
        let names = places.iter().any(|place| !matches!(place, Place::Address(_)));
        let resolver = if names { Some(resolver(&options)?) } else { None };
        Ok(Self { places, resolver, options, known: BTreeMap::new() })
    }

    /// The addresses, and the task that keeps them. The first list is there when the first look-up has ended.
    pub fn start(self) -> (watch::Receiver<Vec<String>>, impl Future<Output = ()> + Send + 'static) {
        let fixed = self.places.iter().filter_map(|place| match place {
            Place::Address(address) => Some(*address),
            _ => None,
        });
        let (sender, receiver) = watch::channel(texts(&fixed.collect()));
        (receiver, self.keep(sender))
    }

    async fn keep(mut self, sender: watch::Sender<Vec<String>>) {
        if self.resolver.is_none() {
            return sender.closed().await;
        }
        loop {
            let (addresses, next) = self.look().await;
            let addresses = texts(&addresses);
            sender.send_if_modified(|old| {
                let changed = *old != addresses;
                if changed {
                    tracing::info!(?addresses, "the list of cores has changed");
                    *old = addresses;
                }
                changed
            });
            let pause = next.clamp(self.options.at_least, self.options.at_most);
            tokio::select! {
                // Edges that start together do not ask together for ever.
                () = sleep(pause.mul_f64(rand::rng().random_range(1.0..1.1))) => {}
                () = sender.closed() => return,
            }
        }
    }

    /// Every address now, and how long that holds.
    async fn look(&mut self) -> (BTreeSet<SocketAddr>, Duration) {
        let (resolver, deadline) = (self.resolver.clone(), self.options.deadline);
        let asked = self.places.iter().map(|place| async {
            timeout(deadline, look_up(resolver.as_ref(), place))
                .await
                .unwrap_or_else(|_| Err("no answer in time".into()))
        });
        let answers = join_all(asked).await;
        let now = Instant::now();
        let (mut all, mut next) = (BTreeSet::new(), self.options.at_most);
        for (number, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok((addresses, valid)) => {
                    next = next.min(valid);
                    if self.known.get(&number).is_some_and(|known| known.failing) {
                        tracing::info!(place = ?self.places[number], "cores are found again");
                    }
                    self.known.insert(number, Known { addresses, at: now, failing: false });
                }
                Err(why) => {
                    next = next.min(self.options.at_least);
                    let known = self.known.entry(number).or_insert_with(|| Known {
                        addresses: BTreeSet::new(),
                        at: now,
                        failing: false,
                    });
                    if !known.failing {
                        tracing::warn!(place = ?self.places[number], why, "cores are not found; what was known stays");
                        known.failing = true;
                    }
                    // An outage of the DNS is no reason to leave cores that run.
                    if now.duration_since(known.at) > STALE {
                        known.addresses.clear();
                    }
                }
            }
            all.extend(self.known.get(&number).into_iter().flat_map(|known| known.addresses.iter().copied()));
        }
        if all.len() > ADDRESSES {
            tracing::warn!(found = all.len(), kept = ADDRESSES, "more cores than are kept");
            all = all.into_iter().take(ADDRESSES).collect();
        }
        (all, next)
    }
}

fn resolver(options: &Options) -> Result<TokioResolver, NetError> {
    let mut builder = match &options.servers {
        None => TokioResolver::builder_tokio()?,
        Some(servers) => {
            let server = |address: &SocketAddr| {
                let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                ways.iter_mut().for_each(|way| way.port = address.port());
                NameServerConfig::new(address.ip(), true, ways)
            };
            let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let settings = builder.options_mut();
    // Asked again only when the time to live has ended; what is kept beyond that is kept here.
    settings.cache_size = 0;
    settings.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    settings.timeout = options.deadline / 2;
    builder.build()
}

type Found = (BTreeSet<SocketAddr>, Duration);

async fn look_up(resolver: Option<&TokioResolver>, place: &Place) -> Result<Found, String> {
    match (place, resolver) {
        (Place::Address(address), _) => Ok((BTreeSet::from([*address]), Duration::MAX)),
        (Place::Name { name, port }, Some(resolver)) => addresses(resolver, name, *port).await,
        (Place::Srv(name), Some(resolver)) => services(resolver, name).await,
        (_, None) => Err("there is no name server".into()),
    }
}

async fn addresses(resolver: &TokioResolver, name: &str, port: u16) -> Result<Found, String> {
    let found = resolver.lookup_ip(name).await.map_err(|error| error.to_string())?;
    let addresses = found.iter().map(|ip| SocketAddr::new(ip, port)).collect();
    Ok((addresses, found.valid_until().saturating_duration_since(Instant::now())))
}

async fn services(resolver: &TokioResolver, name: &str) -> Result<Found, String> {
    let found = resolver.srv_lookup(name).await.map_err(|error| error.to_string())?;
    let mut valid = found.valid_until().saturating_duration_since(Instant::now());
    let mut groups: BTreeMap<u16, Vec<(String, u16)>> = BTreeMap::new();
    for record in found.answers() {
        if let RData::SRV(service) = &record.data {
            groups.entry(service.priority).or_default().push((service.target.to_string(), service.port));
        }
    }
    let mut why = "there is no record".to_owned();
    for targets in groups.into_values() {
        let asked = targets.iter().map(|(target, port)| addresses(resolver, target, *port));
        let (mut found, mut failed) = (BTreeSet::new(), None);
        for answer in join_all(asked).await {
            match answer {
                Ok((addresses, time)) => {
                    found.extend(addresses);
                    valid = valid.min(time);
                }
                Err(error) => failed = Some(error),
            }
        }
        if !found.is_empty() {
            return Ok((found, valid));
        }
        why = failed.unwrap_or(why);
    }
    Err(why)
}

fn texts(addresses: &BTreeSet<SocketAddr>) -> Vec<String> {
    addresses.iter().map(SocketAddr::to_string).collect()
}
