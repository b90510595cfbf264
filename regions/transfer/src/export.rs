//! A tenant out of a store.

use crate::{
    TransferError,
    frame::{self, PAYLOAD_LIMIT, Writer},
    model::{AppRecord, BlobHeader, Header, LogHeader, Summary, Trailer},
    operation, tenant,
};
use futures_util::StreamExt;
use meridian_ports::{Blobs, Record, ScanCursor, Shape, Store};
use meridian_replication::check_follows;
use meridian_types::{AppKey, Epoch, Hash, Hlc, Kind, LogHead, LogId, Lsn, RegionId, TenantId};
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWrite;

/// Operations per read.
const BATCH: usize = 256;
/// Largest piece of a file in one frame, in bytes.
const PIECE: usize = 1 << 20;

/// Writes an app with all it has to `out`, and says how much that was. The logs are checked on the way: what is not sound
/// is not exported.
///
/// Nobody may write meanwhile: a device's position, in one log, may otherwise be ahead of the conversation in another.
pub async fn export(
    store: &dyn Store,
    blobs: &dyn Blobs,
    region: RegionId,
    app: &AppKey,
    out: impl AsyncWrite + Unpin,
) -> Result<Summary, TransferError> {
    let system = tenant::system(region);
    let record = store.object(system, &tenant::APP, app.as_str()).await;
    let record = record
        .map_err(TransferError::store("the apps cannot be read"))?
        .ok_or_else(|| TransferError::NoApp { app: app.to_string() })?;
    let unreadable = || TransferError::App { app: app.to_string() };
    let number = tenant::number(&record).ok_or_else(unreadable)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let header = Header {
        app: app.to_string(),
        tenant: number.0,
        region: region.0,
        system_epoch: tenant::head(store, system).await?.map_or(1, |head| head.epoch.0),
        record: AppRecord {
            rank: record.rank,
            version: record.version,
            body: String::from_utf8(record.body.to_vec()).map_err(|_| unreadable())?,
        },
        exported_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        source: store.describe(),
    };
    let mut writer = Writer::begin(out).await?;
    json(&mut writer, frame::HEADER, &header).await?;

    let mut summary = Summary::default();
    let heads = tenant::logs(store, number).await?;
    for head in &heads {
        export_log(store, head, &mut writer).await?;
        summary.logs += 1;
        summary.operations += head.lsn.0;
    }
    for head in &heads {
        export_files(store, blobs, number, head.log, &mut writer, &mut summary).await?;
    }
    let trailer = Trailer { summary: summary.clone(), sha256: hex::encode(writer.digest()) };
    json(&mut writer, frame::END, &trailer).await?;
    writer.finish().await?;
    Ok(summary)
}

async fn json<W: AsyncWrite + Unpin>(
    writer: &mut Writer<W>,
    kind: u8,
    value: &impl Serialize,
) -> Result<(), TransferError> {
    let text = serde_json::to_vec(value).map_err(|error| TransferError::Io(error.into()))?;
    writer.frame(kind, &text).await
}

/// All operations up to `head`.
async fn export_log<W: AsyncWrite + Unpin>(
    store: &dyn Store,
    head: &LogHead,
    writer: &mut Writer<W>,
) -> Result<(), TransferError> {
    let log = head.log;
    let header = LogHeader {
        log: log.raw(),
        name: log.to_string(),
        epoch: head.epoch.0,
        lsn: head.lsn.0,
        chain: hex::encode(head.chain.0),
    };
    json(writer, frame::LOG, &header).await?;
    let mut reached = LogHead { epoch: Epoch(0), lsn: Lsn(0), hlc: Hlc(0), chain: Hash::default(), ..*head };
    while reached.lsn < head.lsn {
        let rest = usize::try_from(head.lsn.0 - reached.lsn.0).unwrap_or(BATCH);
        let batch = store.operations(log, reached.lsn, rest.min(BATCH)).await;
        let batch = batch.map_err(TransferError::store("operations cannot be read"))?;
        if batch.is_empty() {
            return Err(TransferError::Diverged { log });
        }
        reached = check_follows(&reached, &batch).map_err(TransferError::Log)?;
        for logged in &batch {
            let payload = operation::encode(logged);
            if payload.len() > PAYLOAD_LIMIT {
                return Err(TransferError::TooLarge { log, limit: PAYLOAD_LIMIT });
            }
            writer.frame(frame::OPERATION, &payload).await?;
        }
    }
    if reached.chain != head.chain {
        return Err(TransferError::Diverged { log });
    }
    Ok(())
}

/// The bytes of every file that has a record in a log.
async fn export_files<W: AsyncWrite + Unpin>(
    store: &dyn Store,
    blobs: &dyn Blobs,
    number: TenantId,
    log: LogId,
    writer: &mut Writer<W>,
    summary: &mut Summary,
) -> Result<(), TransferError> {
    let mut cursor = ScanCursor::Object(tenant::FILE, String::new());
    loop {
        let page = store.scan(log, Shape::Objects, Some(cursor), tenant::PAGE).await;
        let page = page.map_err(TransferError::store("the records of files cannot be read"))?;
        for record in &page {
            let Some(uuid) = file_id(record) else { return Ok(()) };
            if !export_blob(blobs, number, uuid.to_owned(), writer, summary).await? {
                summary.blobs_missing += 1;
            }
            // Made on demand when it is missing, but then not always in the size that was asked for at first.
            export_blob(blobs, number, format!("{uuid}.thumb"), writer, summary).await?;
        }
        let Some(last) = page.last() else { return Ok(()) };
        cursor = last.cursor();
    }
}

fn file_id(record: &Record) -> Option<&str> {
    const FILE: &Kind = &tenant::FILE;
    match record {
        Record::Object(object) if object.kind == *FILE => Some(&object.id),
        _ => None,
    }
}

/// Writes a blob; false when there is none.
async fn export_blob<W: AsyncWrite + Unpin>(
    blobs: &dyn Blobs,
    number: TenantId,
    key: String,
    writer: &mut Writer<W>,
    summary: &mut Summary,
) -> Result<bool, TransferError> {
    let full = format!("{number}/{key}");
    let failed = |source| TransferError::Blobs { key: full.clone(), source };
    let Some(meta) = blobs.head(&full).await.map_err(failed)? else { return Ok(false) };
    let Some(mut content) = blobs.get(&full, None).await.map_err(failed)? else { return Ok(false) };
    json(writer, frame::BLOB, &BlobHeader { key, size: meta.size }).await?;
    let mut written = 0;
    while let Some(bytes) = content.next().await {
        let bytes = bytes.map_err(failed)?;
        for piece in bytes.chunks(PIECE) {
            writer.frame(frame::DATA, piece).await?;
        }
        written += bytes.len() as u64;
    }
    if written != meta.size {
        return Err(TransferError::BlobChanged { key: full });
    }
    summary.blobs += 1;
    summary.blob_bytes += written;
    Ok(true)
}
