//! The `Blobs` contract over a bucket.

use crate::{
    cleanup::{Place, Removals, Unfinished},
    client::Clients,
    config::S3Config,
    error::{Failure, from_sdk, invalid, is_not_sent, is_refusal, status},
    put::Put,
};
use async_trait::async_trait;
use aws_sdk_s3::{error::ProvideErrorMetadata, presigning::PresigningConfig, primitives::ByteStream};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use meridian_ports::{BlobMeta, BlobStream, Blobs, Error, ErrorKind, Result, is_blob_key};
use std::{ops::Range, time::Duration};
use tokio::time::timeout;

/// A read in which nothing arrives for so long ends with an error.
const IDLE: Duration = Duration::from_secs(20);
/// Large pieces of the network's are handed on in pieces of this size, in bytes.
const PIECE: usize = 64 * 1024;
const SHORTEST_URL: Duration = Duration::from_secs(1);
const LONGEST_URL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Blobs in an S3 bucket.
#[derive(Debug)]
pub struct S3Blobs {
    clients: Clients,
    config: S3Config,
    removals: Removals,
}

impl S3Blobs {
    /// Makes the client and asks for the bucket. Fails when the server says that it cannot be used; when the server
    /// does not answer, blobs are unavailable until it does.
    pub async fn open(config: S3Config) -> Result<Self> {
        let clients = Clients::new(&config).await;
        if let Err(failure) = clients.small.head_bucket().bucket(&config.bucket).send().await {
            let hopeless = is_refusal(&failure) || is_not_sent(&failure);
            let error = match status(&failure) {
                // A HEAD has no body that would tell.
                Some(404) => invalid("open", format!("there is no bucket {}", config.bucket)),
                _ => from_sdk("open", &format!("asking for the bucket {}", config.bucket), failure),
            };
            if hopeless {
                return Err(error);
            }
            tracing::warn!(
                ?error,
                bucket = config.bucket,
                "S3 does not answer: files are unavailable until it does"
            );
        }
        Ok(Self { clients, config, removals: Removals::default() })
    }

    /// Waits until what broken uploads left behind is removed.
    pub async fn close(&self) {
        self.removals.finish().await;
    }

    fn key(&self, verb: &'static str, key: &str) -> Result<String> {
        if !is_blob_key(key) {
            return Err(invalid(verb, "not a blob key"));
        }
        Ok(format!("{}{key}", self.config.prefix))
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    fn describe(&self) -> String {
        format!("s3 {}", env!("CARGO_PKG_VERSION"))
    }

    async fn put(&self, key: &str, content: BlobStream, limit: u64) -> Result<BlobMeta> {
        let key = self.key("put", key)?;
        let place = Place { clients: self.clients.clone(), bucket: self.config.bucket.clone(), key };
        let put = Put {
            unfinished: Unfinished::new(place, self.removals.clone()),
            part_bytes: self.config.part_bytes,
            encryption: self.config.encryption.as_ref(),
            limit,
        };
        Ok(BlobMeta::new(Box::pin(put.run(content)).await?))
    }

    async fn head(&self, key: &str) -> Result<Option<BlobMeta>> {
        let key = self.key("head", key)?;
        let head = self.clients.small.head_object().bucket(&self.config.bucket).key(key);
        match head.send().await {
            Ok(found) => Ok(Some(BlobMeta::new(length("head", found.content_length)?))),
            Err(failure) if is_missing(&failure) => Ok(None),
            Err(failure) => Err(from_sdk("head", "asking for the blob", failure)),
        }
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<BlobStream>> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(self.head(key).await?.map(|_| stream::empty().boxed()));
        }
        let key = self.key("get", key)?;
        let get = self.clients.small.get_object().bucket(&self.config.bucket).key(key);
        match get.set_range(range.as_ref().map(header)).send().await {
            Ok(found) => {
                // A server that ignores the range would send the wrong bytes.
                if range.is_some() && found.content_range.is_none() {
                    return Err(Error::new(ErrorKind::Unavailable, "get", "the server ignores ranges"));
                }
                Ok(Some(read(found.body, length("get", found.content_length)?)))
            }
            Err(failure) if is_missing(&failure) => Ok(None),
            // The range begins at the end or behind it.
            Err(failure) if status(&failure) == Some(416) => Ok(Some(stream::empty().boxed())),
            Err(failure) => Err(from_sdk("get", "reading the blob", failure)),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let key = self.key("delete", key)?;
        let delete = self.clients.small.delete_object().bucket(&self.config.bucket).key(key);
        match delete.send().await {
            Err(failure) if !is_missing(&failure) => Err(from_sdk("delete", "removing the blob", failure)),
            _ => Ok(()),
        }
    }

    async fn signed_url(&self, key: &str, ttl: Duration) -> Result<String> {
        const VERB: &str = "signed_url";
        let key = self.key(VERB, key)?;
        if !(SHORTEST_URL..=LONGEST_URL).contains(&ttl) {
            return Err(invalid(VERB, "a URL lives for 1 second to 7 days"));
        }
        let expires = PresigningConfig::expires_in(ttl).map_err(|error| invalid(VERB, error.to_string()))?;
        let get = self.clients.small.get_object().bucket(&self.config.bucket).key(key);
        let signed = get.presigned(expires).await;
        Ok(signed.map_err(|failure| from_sdk(VERB, "signing", failure))?.uri().to_owned())
    }
}

/// 404 for another reason than the blob's absence is an error. A HEAD has no body to tell the reason.
fn is_missing<E: ProvideErrorMetadata>(failure: &Failure<E>) -> bool {
    status(failure) == Some(404) && failure.code() != Some("NoSuchBucket")
}

fn header(range: &Range<u64>) -> String {
    match range.end {
        u64::MAX => format!("bytes={}-", range.start),
        end => format!("bytes={}-{}", range.start, end - 1),
    }
}

fn length(verb: &'static str, length: Option<i64>) -> Result<u64> {
    let length = length.and_then(|length| u64::try_from(length).ok());
    length.ok_or_else(|| Error::new(ErrorKind::Unavailable, verb, "the server does not tell the blob's size"))
}

/// The body in small pieces; it is complete, or it ends with an error.
fn read(body: ByteStream, size: u64) -> BlobStream {
    stream::try_unfold((body, Bytes::new(), size), |(mut body, mut rest, left)| async move {
        while rest.is_empty() {
            let next = timeout(IDLE, body.next()).await;
            let next =
                next.map_err(|_| Error::new(ErrorKind::Timeout, "get", "the blob stopped arriving"))?;
            match next {
                Some(Ok(piece)) => rest = piece,
                Some(Err(error)) => {
                    let broken = Error::new(ErrorKind::Unavailable, "get", "reading the blob broke off");
                    return Err(broken.with_source(error));
                }
                None if left == 0 => return Ok(None),
                None => return Err(Error::new(ErrorKind::Unavailable, "get", "the blob broke off")),
            }
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        let left = left.saturating_sub(piece.len() as u64);
        Ok(Some((piece, (body, rest, left))))
    })
    .boxed()
}
