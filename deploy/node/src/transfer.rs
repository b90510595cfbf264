//! `meridian export` and `meridian import`: a tenant through standard output and input.

use crate::{
    config::Config,
    open::{Data, follow, open},
    registry::Registry,
};
use meridian_ports::Directory;
use meridian_transfer::Summary;
use meridian_types::{AppKey, RegionId};
use tokio::io::{BufReader, BufWriter};

/// Buffers of the pipe, in bytes.
const BUFFER: usize = 256 * 1024;

/// Writes an app to standard output.
pub(crate) async fn export(registry: &Registry, config: &Config, app: &AppKey) -> anyhow::Result<()> {
    refuse_living_cores(registry, config).await?;
    let mut data = Data::open(registry, config, false).await?;
    let out = BufWriter::with_capacity(BUFFER, tokio::io::stdout());
    let (store, blobs) = (&*data.store.backend, &*data.blobs.backend);
    let exported = meridian_transfer::export(store, blobs, RegionId(config.region), app, out).await;
    data.close().await;
    tell("exported", app, &exported?);
    Ok(())
}

/// Makes an app from standard input.
pub(crate) async fn import(registry: &Registry, config: &Config) -> anyhow::Result<()> {
    refuse_living_cores(registry, config).await?;
    let mut data = Data::open(registry, config, false).await?;
    let input = BufReader::with_capacity(BUFFER, tokio::io::stdin());
    let (store, blobs) = (&*data.store.backend, &*data.blobs.backend);
    let imported = meridian_transfer::import(store, blobs, RegionId(config.region), input).await;
    data.close().await;
    let (app, summary) = imported?;
    tell("imported", &app, &summary);
    Ok(())
}

/// On standard error: standard output may be the export.
#[allow(clippy::print_stderr)] // the command's answer
fn tell(what: &str, app: &AppKey, summary: &Summary) {
    eprintln!(
        "{what} {app}: {} logs, {} operations, {} files of {} bytes",
        summary.logs, summary.operations, summary.blobs, summary.blob_bytes
    );
    if summary.blobs_missing > 0 {
        eprintln!("warning: {} files have a record and no bytes", summary.blobs_missing);
    }
}

/// Writing goes on while a core lives: positions of one log could be ahead of conversations of another. A store that one
/// process opens at a time says so itself.
async fn refuse_living_cores(registry: &Registry, config: &Config) -> anyhow::Result<()> {
    let url = follow(config.directory.as_ref(), &config.store, &registry.directories);
    let mut directory = open::<dyn Directory>(&registry.directories, &url, config, true).await?;
    let nodes = directory.backend.nodes().await;
    directory.close().await;
    let nodes = nodes?;
    let addresses: Vec<_> = nodes.iter().map(|lease| lease.node.address.as_str()).collect();
    anyhow::ensure!(addresses.is_empty(), "cores are running, stop them first: {}", addresses.join(", "));
    Ok(())
}
