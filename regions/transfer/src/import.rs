//! A tenant into a store.
//!
//! In this order, so that nothing half-done can be seen: the number is reserved, logs and files are written, the trailer is
//! checked, and then the app's record is put. Without the record nobody can name what was written. An import that broke
//! off is run again with the same file: it goes on where the logs end.

use crate::{
    TransferError,
    frame::{self, Reader},
    model::{BlobHeader, Header, LogHeader, Summary, Trailer},
    operation, tenant,
};
use bytes::Bytes;
use futures_util::stream;
use meridian_ports::{BlobStream, Blobs, Error, ErrorKind, Store};
use meridian_replication::apply;
use meridian_types::{
    AppKey, Effect, Epoch, Fence, Hash, LogHead, LogId, LoggedOperation, Millis, Object, Operation, RegionId,
    Step, TenantId,
};
use serde::de::DeserializeOwned;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::{io::AsyncRead, sync::mpsc};

/// Operations per step, and bytes of them.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 4 << 20;
/// Pieces of a file between the reader and the blob store.
const PIECES: usize = 4;

/// Reads an export and makes the app; gives its key and how much came. No core may run on the store.
pub async fn import(
    store: &dyn Store,
    blobs: &dyn Blobs,
    region: RegionId,
    input: impl AsyncRead + Unpin,
) -> Result<(AppKey, Summary), TransferError> {
    let mut reader = Reader::begin(input).await?;
    let (kind, payload) = reader.frame().await?;
    let header: Header = expect(&reader, frame::HEADER, kind, &payload)?;
    let app = AppKey::parse(&header.app).map_err(|_| reader.malformed("the app key"))?;
    let (system, number) = (tenant::system(region), TenantId(header.tenant));
    let record = Object {
        kind: tenant::APP,
        id: app.to_string(),
        rank: header.record.rank,
        version: header.record.version,
        body: header.record.body.into_bytes().into(),
    };
    if number == TenantId(0) || tenant::number(&record) != Some(number) {
        return Err(reader.malformed("the tenant number"));
    }
    if header.region != region.0 {
        return Err(TransferError::Region { found: RegionId(header.region), here: region });
    }
    let system = System { store, log: system, epoch: Epoch(header.system_epoch) };
    system.refuse_taken(&app, region, number).await?;
    system.reserve(number).await?;

    let mut summary = Summary::default();
    let mut next = reader.frame().await?;
    let trailer = loop {
        next = match next {
            (frame::LOG, payload) => {
                let header: LogHeader = expect(&reader, frame::LOG, frame::LOG, &payload)?;
                summary.logs += 1;
                summary.operations += header.lsn;
                import_log(store, number, header, &mut reader).await?
            }
            (frame::BLOB, payload) => {
                let header: BlobHeader = expect(&reader, frame::BLOB, frame::BLOB, &payload)?;
                summary.blobs += 1;
                summary.blob_bytes += header.size;
                import_blob(blobs, number, &header, &mut reader).await?
            }
            (frame::END, payload) => break payload,
            _ => return Err(reader.malformed("a frame in the wrong place")),
        };
    };
    let trailer: Trailer = expect(&reader, frame::END, frame::END, &trailer)?;
    summary.blobs_missing = trailer.summary.blobs_missing;
    if trailer.summary != summary || trailer.sha256 != hex::encode(reader.digest_before_last()) {
        return Err(reader.malformed("the counts or the hash of the trailer"));
    }
    reader.end().await?;
    system.put_app(&app, region, number, record).await?;
    Ok((app, summary))
}

fn expect<R: AsyncRead + Unpin, T: DeserializeOwned>(
    reader: &Reader<R>,
    wanted: u8,
    kind: u8,
    payload: &Bytes,
) -> Result<T, TransferError> {
    if kind != wanted {
        return Err(reader.malformed("a frame in the wrong place"));
    }
    serde_json::from_slice(payload).map_err(|_| reader.malformed("a frame that is not the JSON it should be"))
}

type Frame = (u8, Bytes);

/// Takes the operations of one log; gives the frame after them.
async fn import_log<R: AsyncRead + Unpin>(
    store: &dyn Store,
    number: TenantId,
    header: LogHeader,
    reader: &mut Reader<R>,
) -> Result<Frame, TransferError> {
    let (log, epoch) = (LogId::from_raw(header.log), Epoch(header.epoch));
    let chain = hex::decode(&header.chain).ok().and_then(|bytes| Hash::from_slice(&bytes));
    let Some(chain) = chain.filter(|_| log.tenant() == number && log.raw() == header.log) else {
        return Err(reader.malformed("the header of a log"));
    };
    if let Some(here) = tenant::head(store, log).await?.map(|head| head.epoch)
        && here > epoch
    {
        return Err(TransferError::NewerEpoch { log, here, found: epoch });
    }
    let claimed = store.claim(log, epoch, None).await;
    let mut head = claimed.map_err(TransferError::store("a log cannot be claimed"))?;
    // Of an import that broke off, or of something else: the chains tell.
    let kept = head;
    if kept.lsn.0 > header.lsn {
        return Err(TransferError::Diverged { log });
    }
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for lsn in 1..=header.lsn {
        let (kind, payload) = reader.frame().await?;
        if kind != frame::OPERATION {
            return Err(reader.malformed("a log with too few operations"));
        }
        let size = payload.len();
        let Some(logged) = operation::decode(payload).filter(|logged| logged.lsn.0 == lsn) else {
            return Err(reader.malformed("an operation"));
        };
        if logged.lsn <= kept.lsn {
            if logged.lsn == kept.lsn && logged.chain != kept.chain {
                return Err(TransferError::Diverged { log });
            }
            continue;
        }
        batch.push(logged);
        bytes += size;
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            head = apply(store, &head, std::mem::take(&mut batch)).await.map_err(TransferError::Log)?;
            bytes = 0;
        }
    }
    head = apply(store, &head, batch).await.map_err(TransferError::Log)?;
    if head.chain != chain {
        return Err(TransferError::Diverged { log });
    }
    reader.frame().await
}

/// Takes one file, piece by piece; gives the frame after it.
async fn import_blob<R: AsyncRead + Unpin>(
    blobs: &dyn Blobs,
    number: TenantId,
    header: &BlobHeader,
    reader: &mut Reader<R>,
) -> Result<Frame, TransferError> {
    let key = format!("{number}/{}", header.key);
    let (sender, receiver) = mpsc::channel::<meridian_ports::Result<Bytes>>(PIECES);
    let content: BlobStream = Box::pin(stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (piece, receiver))
    }));
    let read = async {
        let outcome = read_pieces(header.size, reader, &sender).await;
        if outcome.is_err() {
            // The store must not take what came so far for the whole.
            let broken = Error::new(ErrorKind::Corrupt, "put", "the export is damaged");
            let _ = sender.send(Err(broken)).await;
        }
        drop(sender);
        outcome
    };
    let (read, put) = tokio::join!(read, blobs.put(&key, content, header.size));
    match (read, put) {
        (Ok(next), Ok(_)) => Ok(next),
        // A store that failed stops taking pieces: its error is the cause.
        (Ok(_) | Err(None), Err(source)) => Err(TransferError::Blobs { key, source }),
        (Err(Some(error)), _) => Err(error),
        (Err(None), Ok(_)) => Err(TransferError::BlobChanged { key }),
    }
}

/// `None`: the blob store takes no more.
async fn read_pieces<R: AsyncRead + Unpin>(
    size: u64,
    reader: &mut Reader<R>,
    sender: &mpsc::Sender<meridian_ports::Result<Bytes>>,
) -> Result<Frame, Option<TransferError>> {
    let mut rest = size;
    while rest > 0 {
        let (kind, piece) = reader.frame().await.map_err(Some)?;
        let fits = rest.checked_sub(piece.len() as u64).filter(|_| kind == frame::DATA && !piece.is_empty());
        rest = fits.ok_or_else(|| Some(reader.malformed("the pieces of a file")))?;
        sender.send(Ok(piece)).await.map_err(|_| None)?;
    }
    reader.frame().await.map_err(Some)
}

/// The log of the apps.
struct System<'s> {
    store: &'s dyn Store,
    log: LogId,
    /// For a store that has none yet.
    epoch: Epoch,
}

impl System<'_> {
    async fn refuse_taken(
        &self,
        app: &AppKey,
        region: RegionId,
        number: TenantId,
    ) -> Result<(), TransferError> {
        if self.object(&tenant::APP, app.as_str()).await?.is_some() {
            return Err(TransferError::AppExists { app: app.to_string() });
        }
        match tenant::holder(self.store, region, number).await? {
            Some(app) => Err(TransferError::NumberTaken { tenant: number, app }),
            None => Ok(()),
        }
    }

    /// From now on no new app gets this number, and with it the logs that are about to be written.
    async fn reserve(&self, number: TenantId) -> Result<(), TransferError> {
        let head = self.claim().await?;
        let counter = self.object(&tenant::COUNTER, tenant::TENANTS).await?;
        let last = counter.as_ref().and_then(|counter| std::str::from_utf8(&counter.body).ok()?.parse().ok());
        if last.unwrap_or(0) >= number.0 {
            return Ok(());
        }
        let reserved = Object {
            kind: tenant::COUNTER,
            id: tenant::TENANTS.to_owned(),
            rank: 0,
            version: counter.map_or(0, |counter| counter.version) + 1,
            body: number.to_string().into_bytes().into(),
        };
        self.append(&head, "tenant.reserve", reserved).await
    }

    async fn put_app(
        &self,
        app: &AppKey,
        region: RegionId,
        number: TenantId,
        record: Object,
    ) -> Result<(), TransferError> {
        let head = self.claim().await?;
        // Nobody else can append under this claim: what is free now stays free.
        self.refuse_taken(app, region, number).await?;
        self.append(&head, "app.import", record).await
    }

    async fn claim(&self) -> Result<LogHead, TransferError> {
        let epoch = tenant::head(self.store, self.log).await?.map_or(self.epoch, |head| head.epoch);
        let claimed = self.store.claim(self.log, epoch, None).await;
        claimed.map_err(TransferError::store("the log of the apps cannot be claimed"))
    }

    async fn object(&self, kind: &meridian_types::Kind, id: &str) -> Result<Option<Object>, TransferError> {
        let object = self.store.object(self.log, kind, id).await;
        object.map_err(TransferError::store("the apps cannot be read"))
    }

    async fn append(&self, head: &LogHead, name: &'static str, object: Object) -> Result<(), TransferError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Millis(u64::try_from(now.as_millis()).unwrap_or_default());
        let effects = vec![Effect::PutObject(object)];
        let operation = Operation { name: name.into(), at: head.hlc.tick(now), effects };
        let step = Step {
            log: self.log,
            fence: Fence { epoch: head.epoch, writer: head.writer, head: head.lsn },
            operations: vec![LoggedOperation::after(head, operation)],
        };
        let appended = self.store.append(step).await;
        appended.map_err(TransferError::store("the app cannot be written"))
    }
}
