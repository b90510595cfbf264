//! Blobs behind a plugin.

use super::{RemotePlugin, unary, within};
use crate::{
    proto::{
        DeleteRequest, GetRequest, GetResponse, HeadRequest, PutRequest, SignedUrlRequest,
        blobs_client::BlobsClient,
        get_request, get_response,
        put_request::{Finish, Part, Start},
    },
    wire::{PIECE, from_status, millis},
};
use meridian_sdk::{
    Error, ErrorKind, Result, async_trait,
    futures_util::{FutureExt, Stream, StreamExt, stream},
    ports::{BlobMeta, BlobStream, Blobs},
};
use std::{
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;
use tonic::{Request, Streaming, transport::Channel};

/// Blobs that a plugin keeps.
#[derive(Clone, Debug)]
pub struct RemoteBlobs {
    plugin: RemotePlugin,
    client: BlobsClient<Channel>,
}

impl RemoteBlobs {
    pub(super) fn new(plugin: RemotePlugin) -> Self {
        let client = BlobsClient::new(plugin.channel.clone());
        Self { plugin, client }
    }

    fn patience(&self) -> Duration {
        self.plugin.config.call
    }
}

#[async_trait]
impl Blobs for RemoteBlobs {
    fn describe(&self) -> String {
        self.plugin.described.clone()
    }

    async fn put(&self, key: &str, content: BlobStream, limit: u64) -> Result<BlobMeta> {
        let (parts, taken) = mpsc::channel(2);
        let mut request = Request::new(Parts(taken));
        request.set_timeout(self.plugin.config.transfer);
        let mut client = self.client.clone();
        let mut answer = client.put(request).boxed();
        let start = Part::Start(Start { key: key.to_owned(), limit });
        let sending = send(parts, start, content, self.patience()).boxed();
        // Dropping the call, on every way out but an answer, ends it before `finish`: nothing is stored.
        let transfer = async {
            tokio::select! {
                // What the plugin says comes first: it may refuse before it has taken everything.
                biased;
                answered = &mut answer => {
                    return Err(match answered {
                        Err(status) => from_status("put", true, status),
                        Ok(_) => Error::new(ErrorKind::Corrupt, "put", "the plugin answered before `finish`"),
                    });
                }
                sent = sending => sent?,
            }
            within("put", true, self.patience(), &mut answer).await
        };
        match tokio::time::timeout(self.plugin.config.transfer, transfer).await {
            Ok(answered) => Ok(BlobMeta::new(answered?.into_inner().size)),
            Err(_) => Err(stalled("put", self.plugin.config.transfer).maybe_done()),
        }
    }

    async fn head(&self, key: &str) -> Result<Option<BlobMeta>> {
        let message = HeadRequest { key: key.to_owned() };
        let mut client = self.client.clone();
        let answer =
            unary(
                "head",
                false,
                self.patience(),
                message,
                |request| async move { client.head(request).await },
            );
        Ok(answer.await?.size.map(BlobMeta::new))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<BlobStream>> {
        let range = range.map(|range| get_request::Range { start: range.start, end: range.end });
        let mut request = Request::new(GetRequest { key: key.to_owned(), range });
        request.set_timeout(self.plugin.config.transfer);
        let mut client = self.client.clone();
        let opened = async {
            let mut parts = client.get(request).await?.into_inner();
            let first = parts.message().await?;
            Ok(first.map(|first| (first, parts)))
        };
        let Some((first, parts)) = within("get", false, self.patience(), opened).await? else {
            return Ok(None);
        };
        if !matches!(first.part, Some(get_response::Part::Found(_))) {
            return Err(Error::new(ErrorKind::Corrupt, "get", "the plugin's first message is not `found`"));
        }
        Ok(Some(pieces(parts, self.patience())))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let message = DeleteRequest { key: key.to_owned() };
        let mut client = self.client.clone();
        unary(
            "delete",
            true,
            self.patience(),
            message,
            |request| async move { client.delete(request).await },
        )
        .await?;
        Ok(())
    }

    async fn signed_url(&self, key: &str, ttl: Duration) -> Result<String> {
        let message = SignedUrlRequest { key: key.to_owned(), ttl_ms: millis(ttl) };
        let mut client = self.client.clone();
        let answer = unary("signed_url", false, self.patience(), message, |request| async move {
            client.signed_url(request).await
        });
        Ok(answer.await?.url)
    }
}

/// The parts as a stream.
struct Parts(mpsc::Receiver<PutRequest>);

impl Stream for Parts {
    type Item = PutRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PutRequest>> {
        self.0.poll_recv(context)
    }
}

/// Sends a blob part by part. Only the plugin is on the clock: how fast the content comes is the caller's affair.
async fn send(
    parts: mpsc::Sender<PutRequest>,
    start: Part,
    mut content: BlobStream,
    patience: Duration,
) -> Result<()> {
    send_part(&parts, start, patience).await?;
    let mut size = 0;
    while let Some(piece) = content.next().await {
        let mut piece = piece?;
        size += piece.len() as u64;
        while !piece.is_empty() {
            let part = piece.split_to(piece.len().min(PIECE));
            send_part(&parts, Part::Piece(part), patience).await?;
        }
    }
    send_part(&parts, Part::Finish(Finish { size }), patience).await
}

async fn send_part(parts: &mpsc::Sender<PutRequest>, part: Part, patience: Duration) -> Result<()> {
    match tokio::time::timeout(patience, parts.send(PutRequest { part: Some(part) })).await {
        Ok(Ok(())) => Ok(()),
        // The call is over, and its answer says why.
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => Err(stalled("put", patience)),
    }
}

fn stalled(verb: &'static str, patience: Duration) -> Error {
    Error::new(ErrorKind::Timeout, verb, format!("the plugin made no progress within {patience:?}"))
}

/// The pieces after `found`. The time runs only while a reader waits; an error is the last word.
fn pieces(parts: Streaming<GetResponse>, patience: Duration) -> BlobStream {
    let next = move |parts: Option<Streaming<GetResponse>>| async move {
        let mut parts = parts?;
        match within("get", false, patience, parts.message()).await {
            Ok(Some(GetResponse { part: Some(get_response::Part::Piece(piece)) })) => {
                Some((Ok(piece), Some(parts)))
            }
            Ok(Some(_)) => {
                Some((Err(Error::new(ErrorKind::Corrupt, "get", "the plugin sent no piece")), None))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    };
    stream::unfold(Some(parts), next).boxed()
}
