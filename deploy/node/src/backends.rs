//! The in-tree backends and their schemes. The only file that names them.

use crate::{
    config::Config,
    registry::{Registry, RegistryError},
};
use meridian_fs::FsBlobs;
use meridian_memory::{MemoryBus, MemoryDirectory, MemorySoftState, MemoryStore};
use meridian_ports::{Blobs, Bus, Directory, OpenError, OpenRequest, Opened, Reach, SoftState, Store};
use meridian_postgres::{PgConfig, PgDirectory, PgStore};
use meridian_redis::{RedisBus, RedisConfig, RedisSoftState};
use meridian_s3::{S3Blobs, S3Config};
use meridian_sqlite::{SqliteConfig, SqliteStore};
use std::sync::Arc;

/// Puts every in-tree backend into a registry.
pub(crate) fn register(registry: &mut Registry, config: &Config) -> Result<(), RegistryError> {
    let read_connections = config.sqlite.read_connections;
    registry.store("sqlite", move |request| sqlite(request, read_connections))?;
    registry.store("memory", memory_store)?;
    // Both names are in use.
    for scheme in ["postgres", "postgresql"] {
        registry.store(scheme, postgres)?;
        registry.directory(scheme, postgres_directory)?;
    }
    registry.blobs("file", files)?;
    registry.blobs("s3", s3)?;
    registry.soft("memory", memory_soft)?;
    registry.bus("memory", memory_bus)?;
    for scheme in ["redis", "rediss", "redis-cluster", "rediss-cluster"] {
        registry.soft(scheme, redis_soft)?;
        registry.bus(scheme, redis_bus)?;
    }
    registry.directory("memory", memory_directory)?;
    // Another process, in any language: `grpc://host:port`.
    registry.blobs("grpc", meridian_remote::open_blobs)?;
    registry.soft("grpc", meridian_remote::open_soft_state)?;
    registry.bus("grpc", meridian_remote::open_bus)?;
    registry.directory("grpc", meridian_remote::open_directory)?;
    registry.store("grpc", meridian_remote::open_store)?;
    Ok(())
}

/// `sqlite:meridian.db`: a file.
async fn sqlite(request: OpenRequest, read_connections: u32) -> Result<Opened<dyn Store>, OpenError> {
    let path = request.file();
    if request.read_only && !path.exists() {
        return Err(format!("no store at {}", path.display()).into());
    }
    let mut config = SqliteConfig::new(path);
    config.read_connections = read_connections;
    let store = if request.read_only {
        SqliteStore::open_read_only(config).await?
    } else {
        SqliteStore::open(config).await?
    };
    let store = Arc::new(store);
    let closing = store.clone();
    Ok(Opened::<dyn Store>::new(store, Reach::Machine, true)
        .with_notes("one process at a time, synced commits")
        .on_close(move || async move { closing.close().await }))
}

/// `memory:`: for trying things out.
async fn memory_store(_: OpenRequest) -> Result<Opened<dyn Store>, OpenError> {
    Ok(Opened::<dyn Store>::new(Arc::new(MemoryStore::new()), Reach::Process, false)
        .with_notes("gone when the process ends"))
}

/// `postgres://user:password@host:port,host:port/database`: shared by cores.
async fn postgres(request: OpenRequest) -> Result<Opened<dyn Store>, OpenError> {
    let store = Arc::new(PgStore::open(PgConfig::parse(request.url.expose())?).await?);
    let closing = store.clone();
    Ok(Opened::<dyn Store>::new(store, Reach::Region, true)
        .with_notes("as durable as the server is set up")
        .on_close(move || async move { closing.close().await }))
}

async fn postgres_directory(request: OpenRequest) -> Result<Opened<dyn Directory>, OpenError> {
    let directory = PgDirectory::open(PgConfig::parse(request.url.expose())?).await?;
    Ok(Opened::<dyn Directory>::new(Arc::new(directory), Reach::Region, false))
}

/// `file:files`: a folder; `?shared=true` says that every core has it mounted.
async fn files(request: OpenRequest) -> Result<Opened<dyn Blobs>, OpenError> {
    let blobs = FsBlobs::open(request.file()).await?;
    let reach = match request.url.parameter("shared") {
        None | Some("false") => Reach::Machine,
        Some("true") => Reach::Region,
        Some(_) => return Err("shared must be true or false".into()),
    };
    Ok(Opened::<dyn Blobs>::new(Arc::new(blobs), reach, true).with_notes("no signed URLs"))
}

/// `s3://bucket/prefix?endpoint=…`: shared by cores, and may be away.
async fn s3(request: OpenRequest) -> Result<Opened<dyn Blobs>, OpenError> {
    let config = S3Config::parse(request.url.expose())?;
    let notes = match &config.encryption {
        None => "signed URLs",
        Some(_) => "signed URLs, encrypted by the server",
    };
    let blobs = Arc::new(S3Blobs::open(config).await?);
    let closing = blobs.clone();
    Ok(Opened::<dyn Blobs>::new(blobs, Reach::Region, true)
        .with_notes(notes)
        .on_close(move || async move { closing.close().await }))
}

/// `?prefix=` keeps several installations on one server apart.
fn redis_config(request: &OpenRequest) -> RedisConfig {
    let url = request.url.expose();
    let url = url.split_once('?').map_or(url, |(url, _)| url).to_owned();
    RedisConfig { url, prefix: request.url.parameter("prefix").unwrap_or("meridian:").to_owned() }
}

/// `redis://user:password@host:port/number` or `redis-cluster://host:port,host:port`: shared by cores, and may be away.
async fn redis_soft(request: OpenRequest) -> Result<Opened<dyn SoftState>, OpenError> {
    let soft = RedisSoftState::open(redis_config(&request)).await?;
    Ok(Opened::<dyn SoftState>::new(Arc::new(soft), Reach::Region, false))
}

async fn redis_bus(request: OpenRequest) -> Result<Opened<dyn Bus>, OpenError> {
    let bus = RedisBus::open(redis_config(&request)).await?;
    Ok(Opened::<dyn Bus>::new(Arc::new(bus), Reach::Region, false))
}

async fn memory_soft(_: OpenRequest) -> Result<Opened<dyn SoftState>, OpenError> {
    Ok(Opened::<dyn SoftState>::new(Arc::new(MemorySoftState::new()), Reach::Process, false))
}

async fn memory_bus(_: OpenRequest) -> Result<Opened<dyn Bus>, OpenError> {
    Ok(Opened::<dyn Bus>::new(Arc::new(MemoryBus::new()), Reach::Process, false))
}

async fn memory_directory(_: OpenRequest) -> Result<Opened<dyn Directory>, OpenError> {
    Ok(Opened::<dyn Directory>::new(Arc::new(MemoryDirectory::new()), Reach::Process, false))
}
