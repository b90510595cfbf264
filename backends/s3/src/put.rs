//! A stream becomes an object: small ones in one call, others in parts.

use crate::{
    cleanup::{Place, Unfinished},
    config::Encryption,
    error::{from_sdk, invalid, is_refusal},
};
use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    types::{CompletedMultipartUpload, CompletedPart, ServerSideEncryption},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use meridian_ports::{BlobStream, Result};

/// What S3 allows.
const MAX_PARTS: i32 = 10_000;
const VERB: &str = "put";

pub(crate) struct Put<'p> {
    pub(crate) unfinished: Unfinished,
    pub(crate) part_bytes: usize,
    pub(crate) encryption: Option<&'p Encryption>,
    pub(crate) limit: u64,
}

impl Put<'_> {
    /// Stores the whole stream, or nothing, and gives its size.
    pub(crate) async fn run(mut self, content: BlobStream) -> Result<u64> {
        match self.send(content).await {
            Ok(size) => {
                self.unfinished.finished();
                Ok(size)
            }
            Err(error) => {
                self.unfinished.remove().await;
                Err(error)
            }
        }
    }

    async fn send(&mut self, content: BlobStream) -> Result<u64> {
        let mut parts = Parts { content, rest: Bytes::new(), size: 0, ended: false };
        let first = parts.next(self.part_bytes, self.limit).await?;
        if parts.ended {
            self.whole(first).await?;
        } else {
            self.in_parts(first, &mut parts).await?;
        }
        Ok(parts.size)
    }

    async fn whole(&mut self, content: Bytes) -> Result<()> {
        let Place { clients, bucket, key } = &self.unfinished.place;
        let (sse, kms_key) = server_side(self.encryption);
        let request = clients.large.put_object().bucket(bucket).key(key).body(content.into());
        let request = request.set_server_side_encryption(sse).set_ssekms_key_id(kms_key);
        self.unfinished.left.object = true;
        if let Err(failure) = request.send().await {
            self.unfinished.left.object = !is_refusal(&failure);
            return Err(from_sdk(VERB, "storing the blob", failure));
        }
        Ok(())
    }

    async fn in_parts(&mut self, first: Bytes, parts: &mut Parts) -> Result<()> {
        let Place { clients, bucket, key } = self.unfinished.place.clone();
        let (sse, kms_key) = server_side(self.encryption);
        let request = clients.small.create_multipart_upload().bucket(&bucket).key(&key);
        let request = request.set_server_side_encryption(sse).set_ssekms_key_id(kms_key);
        let begun =
            request.send().await.map_err(|failure| from_sdk(VERB, "beginning the upload", failure))?;
        let upload = begun.upload_id.ok_or_else(|| invalid(VERB, "the server gave the upload no name"))?;
        self.unfinished.left.upload = Some(upload.clone());

        let mut done = Vec::new();
        let mut part = first;
        for number in 1..=MAX_PARTS {
            let request = clients.large.upload_part().bucket(&bucket).key(&key).upload_id(&upload);
            let stored = request.part_number(number).body(part.into()).send().await;
            let stored = stored.map_err(|failure| from_sdk(VERB, "storing a part", failure))?;
            done.push(CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag).build());
            if parts.ended {
                break;
            }
            part = parts.next(self.part_bytes, self.limit).await?;
            // The stream may end where a part does.
            if part.is_empty() {
                break;
            }
        }
        if !parts.ended {
            return Err(invalid(VERB, format!("larger than {MAX_PARTS} parts of {} bytes", self.part_bytes)));
        }

        self.unfinished.left.object = true;
        let all = CompletedMultipartUpload::builder().set_parts(Some(done)).build();
        let request = clients.large.complete_multipart_upload().bucket(&bucket).key(&key).upload_id(&upload);
        if let Err(failure) = request.multipart_upload(all).send().await {
            // A try whose answer was lost may have done it; the next one finds no upload then.
            let gone = failure.code() == Some("NoSuchUpload");
            let error = from_sdk(VERB, "joining the parts", failure);
            let found = clients.small.head_object().bucket(&bucket).key(&key);
            if !gone
                || found.send().await.ok().and_then(|found| found.content_length) != Some(parts.size as i64)
            {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The content, cut to parts.
struct Parts {
    content: BlobStream,
    /// What was read and belongs to the next part.
    rest: Bytes,
    /// Of all parts given so far.
    size: u64,
    ended: bool,
}

impl Parts {
    /// A full part, or a shorter one at the end of the content.
    async fn next(&mut self, part_bytes: usize, limit: u64) -> Result<Bytes> {
        let mut part = BytesMut::new();
        loop {
            let room = part_bytes - part.len();
            if self.rest.len() >= room && room > 0 && !self.rest.is_empty() {
                part.extend_from_slice(&self.rest.split_to(room));
            } else {
                part.extend_from_slice(&std::mem::take(&mut self.rest));
            }
            if part.len() == part_bytes {
                return Ok(part.freeze());
            }
            let Some(piece) = self.content.next().await else {
                self.ended = true;
                return Ok(part.freeze());
            };
            self.rest = piece?;
            self.size += self.rest.len() as u64;
            if self.size > limit {
                return Err(invalid(VERB, format!("larger than {limit} bytes")));
            }
        }
    }
}

fn server_side(encryption: Option<&Encryption>) -> (Option<ServerSideEncryption>, Option<String>) {
    match encryption {
        None => (None, None),
        Some(Encryption::Aes256) => (Some(ServerSideEncryption::Aes256), None),
        Some(Encryption::Kms(key)) => (Some(ServerSideEncryption::AwsKms), key.clone()),
    }
}
