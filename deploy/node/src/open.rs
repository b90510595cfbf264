//! Opens what the configuration names, says what it is in one table, and refuses what cannot work together.

use crate::{
    config::{Config, known_url},
    registry::{Factories, Registry, RegistryError},
};
use anyhow::Context;
use meridian_ports::{BackendUrl, Blobs, Bus, Directory, OpenRequest, Opened, Reach, SoftState, Store};
use std::{os::unix::fs::DirBuilderExt, path::Path};

/// Truth: what the data tools read and write.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) store: Opened<dyn Store>,
    pub(crate) blobs: Opened<dyn Blobs>,
}

impl Data {
    pub(crate) async fn open(registry: &Registry, config: &Config, read_only: bool) -> anyhow::Result<Self> {
        if !read_only {
            make_data_dir(&config.data_dir)?;
        }
        let mut store = open_store(registry, config, read_only).await?;
        match open(&registry.blobs, &config.blobs, config, read_only).await {
            Ok(blobs) => Ok(Self { store, blobs }),
            Err(error) => {
                store.close().await;
                Err(error)
            }
        }
    }

    pub(crate) async fn close(&mut self) {
        self.blobs.close().await;
        self.store.close().await;
    }
}

/// Everything that a core runs on.
#[derive(Debug)]
pub(crate) struct Backends {
    pub(crate) data: Data,
    pub(crate) soft: Opened<dyn SoftState>,
    pub(crate) bus: Opened<dyn Bus>,
    pub(crate) directory: Opened<dyn Directory>,
}

impl Backends {
    /// Opens all five, prints the table, and refuses what cannot work together. What was opened is closed again then.
    pub(crate) async fn open(registry: &Registry, config: &Config) -> anyhow::Result<Self> {
        let mut data = Data::open(registry, config, false).await?;
        let rest = async {
            anyhow::Ok((
                open(&registry.soft, &config.soft, config, false).await?,
                open_following(&registry.buses, config.bus.as_ref(), &config.soft, config).await?,
                open_following(&registry.directories, config.directory.as_ref(), &config.store, config)
                    .await?,
            ))
        };
        let (soft, (bus_url, bus), (directory_url, directory)) = match rest.await {
            Ok(opened) => opened,
            Err(error) => {
                data.close().await;
                return Err(error);
            }
        };
        let mut backends = Self { data, soft, bus, directory };
        let urls = [&config.store, &config.blobs, &config.soft, &bus_url, &directory_url];
        let rows = backends.rows(&urls);
        show(&rows);
        if let Err(refused) = compatible(&rows, config.cluster.listen.is_some()) {
            backends.close().await;
            return Err(refused);
        }
        Ok(backends)
    }

    fn rows<'u>(&self, urls: &[&'u BackendUrl; 5]) -> [Row<'u>; 5] {
        [
            Row::new("store", urls[0], self.data.store.backend.describe(), &self.data.store),
            Row::new("blobs", urls[1], self.data.blobs.backend.describe(), &self.data.blobs),
            Row::new("soft", urls[2], self.soft.backend.describe(), &self.soft),
            Row::new("bus", urls[3], self.bus.backend.describe(), &self.bus),
            Row::new("directory", urls[4], self.directory.backend.describe(), &self.directory),
        ]
    }

    pub(crate) async fn close(&mut self) {
        self.directory.close().await;
        self.bus.close().await;
        self.soft.close().await;
        self.data.close().await;
    }
}

/// The store alone, `sharded:` included.
pub(crate) async fn open_store(
    registry: &Registry,
    config: &Config,
    read_only: bool,
) -> anyhow::Result<Opened<dyn Store>> {
    open(&registry.stores, &config.store, config, read_only).await
}

/// An unset URL follows another contract's where the backend offers both.
pub(crate) fn follow<T: ?Sized>(
    own: Option<&BackendUrl>,
    other: &BackendUrl,
    factories: &Factories<T>,
) -> BackendUrl {
    match own {
        Some(url) => url.clone(),
        None if factories.knows(other.scheme()) => other.clone(),
        None => known_url("memory:"),
    }
}

/// Opens what [`follow`] gives. Whether a plugin offers the other contract shows only when it is asked.
async fn open_following<T: ?Sized>(
    factories: &Factories<T>,
    own: Option<&BackendUrl>,
    other: &BackendUrl,
    config: &Config,
) -> anyhow::Result<(BackendUrl, Opened<T>)> {
    let mut url = follow(own, other, factories);
    let opened = match factories.open(OpenRequest::new(url.clone(), &config.data_dir)).await {
        Err(RegistryError::NotOffered { .. }) if own.is_none() => {
            url = known_url("memory:");
            open(factories, &url, config, false).await?
        }
        opened => opened?,
    };
    Ok((url, opened))
}

pub(crate) async fn open<T: ?Sized>(
    factories: &Factories<T>,
    url: &BackendUrl,
    config: &Config,
    read_only: bool,
) -> anyhow::Result<Opened<T>> {
    let request = OpenRequest::new(url.clone(), &config.data_dir).read_only(read_only);
    Ok(factories.open(request).await?)
}

fn make_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    // Holds secrets: nobody else may look.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .with_context(|| format!("data_dir: cannot make {}", data_dir.display()))
}

/// What the table says of one contract.
struct Row<'u> {
    key: &'static str,
    url: &'u BackendUrl,
    version: String,
    reach: Reach,
    durable: bool,
    notes: String,
}

impl<'u> Row<'u> {
    fn new<T: ?Sized>(key: &'static str, url: &'u BackendUrl, version: String, opened: &Opened<T>) -> Self {
        let (reach, durable, notes) = (opened.reach, opened.durable, opened.notes.clone());
        Self { key, url, version, reach, durable, notes }
    }

    fn reach(&self) -> &'static str {
        match self.reach {
            Reach::Process => "in this process",
            Reach::Machine => "on this machine",
            Reach::Region => "shared",
        }
    }
}

#[allow(clippy::print_stdout)] // what a person who has just started the server reads
fn show(rows: &[Row<'_>]) {
    println!("{}", table(rows));
}

fn table(rows: &[Row<'_>]) -> String {
    let head = ["contract", "backend", "version", "reach", "durable", "notes"].map(str::to_owned);
    let mut lines = vec![head];
    lines.extend(rows.iter().map(|row| {
        let durable = if row.durable { "yes" } else { "no" };
        let scheme = row.url.scheme().to_owned();
        [row.key.into(), scheme, row.version.clone(), row.reach().into(), durable.into(), row.notes.clone()]
    }));
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Several cores must see the same of everything; a restart must not lose what was answered while other parts keep theirs.
fn compatible(rows: &[Row<'_>], cluster: bool) -> anyhow::Result<()> {
    if !cluster {
        return Ok(());
    }
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| row.reach != Reach::Region)
        .map(|row| {
            let (key, scheme) = (row.key, row.url.scheme());
            format!("{key}: {scheme}: is {} only, and cluster.listen is set", row.reach())
        })
        .collect();
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(urls: &[BackendUrl; 2], reach: Reach) -> [Row<'_>; 2] {
        let row = |key, url, version: &str, reach, notes: &str| Row {
            key,
            url,
            version: version.into(),
            reach,
            durable: true,
            notes: notes.into(),
        };
        [
            row("store", &urls[0], "postgres 17.6", Reach::Region, "2 shards"),
            row("blobs", &urls[1], "fs 0.1.0", reach, ""),
        ]
    }

    #[test]
    fn a_cluster_needs_everything_shared() {
        let urls = ["postgres://me:hunter2@db/x", "file:files"].map(|url| BackendUrl::parse(url).unwrap());
        let local = rows(&urls, Reach::Machine);
        assert!(compatible(&local, false).is_ok());
        let refused = compatible(&local, true).unwrap_err().to_string();
        assert_eq!(refused, "blobs: file: is on this machine only, and cluster.listen is set");
        assert!(compatible(&rows(&urls, Reach::Region), true).is_ok());
    }

    #[test]
    fn the_table_is_aligned_and_shows_no_secret() {
        let urls = ["postgres://me:hunter2@db/x", "file:files"].map(|url| BackendUrl::parse(url).unwrap());
        let expected = "\
contract  backend   version        reach            durable  notes
store     postgres  postgres 17.6  shared           yes      2 shards
blobs     file      fs 0.1.0       on this machine  yes
";
        assert_eq!(table(&rows(&urls, Reach::Machine)), expected);
    }
}
