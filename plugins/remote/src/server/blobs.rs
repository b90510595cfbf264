//! Blobs, served.

use crate::{
    proto::{
        DeleteRequest, DeleteResponse, GetRequest, GetResponse, HeadRequest, HeadResponse, PutRequest,
        PutResponse, SignedUrlRequest, SignedUrlResponse, blobs_server::Blobs as Service, get_response,
        put_request::Part,
    },
    wire::{PIECE, to_status},
};
use meridian_sdk::{
    Bytes, Error, ErrorKind, async_trait,
    futures_util::{StreamExt, stream, stream::BoxStream},
    ports::{BlobStream, Blobs},
};
use std::{sync::Arc, time::Duration};
use tonic::{Request, Response, Status, Streaming};

#[derive(Debug)]
pub(super) struct Served(pub(super) Arc<dyn Blobs>);

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Service for Served {
    type GetStream = BoxStream<'static, Result<GetResponse, Status>>;

    async fn put(&self, request: Request<Streaming<PutRequest>>) -> Answer<PutResponse> {
        let mut parts = request.into_inner();
        let Some(PutRequest { part: Some(Part::Start(start)) }) = parts.message().await? else {
            return Err(to_status(&Error::new(
                ErrorKind::Invalid,
                "put",
                "the first message is not `start`",
            )));
        };
        let stored = self.0.put(&start.key, received(parts), start.limit).await;
        let meta = stored.map_err(|error| to_status(&error))?;
        Ok(Response::new(PutResponse { size: meta.size }))
    }

    async fn head(&self, request: Request<HeadRequest>) -> Answer<HeadResponse> {
        let meta = self.0.head(&request.get_ref().key).await.map_err(|error| to_status(&error))?;
        Ok(Response::new(HeadResponse { size: meta.map(|meta| meta.size) }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Answer<Self::GetStream> {
        let GetRequest { key, range } = request.into_inner();
        let range = range.map(|range| range.start..range.end);
        let content = self.0.get(&key, range).await.map_err(|error| to_status(&error))?;
        Ok(Response::new(match content {
            None => stream::empty().boxed(),
            Some(content) => {
                let found = GetResponse { part: Some(get_response::Part::Found(get_response::Found {})) };
                stream::iter([Ok(found)]).chain(sent(content)).boxed()
            }
        }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Answer<DeleteResponse> {
        self.0.delete(&request.get_ref().key).await.map_err(|error| to_status(&error))?;
        Ok(Response::new(DeleteResponse {}))
    }

    async fn signed_url(&self, request: Request<SignedUrlRequest>) -> Answer<SignedUrlResponse> {
        let SignedUrlRequest { key, ttl_ms } = request.into_inner();
        let url = self.0.signed_url(&key, Duration::from_millis(ttl_ms)).await;
        Ok(Response::new(SignedUrlResponse { url: url.map_err(|error| to_status(&error))? }))
    }
}

/// The content that a sender's parts make. It ends well only with `finish` and the right size.
fn received(parts: Streaming<PutRequest>) -> BlobStream {
    let next = |state: Option<(Streaming<PutRequest>, u64)>| async move {
        let (mut parts, size) = state?;
        let broken = |kind: ErrorKind, message: String| Some((Err(Error::new(kind, "put", message)), None));
        match parts.message().await {
            Ok(Some(PutRequest { part: Some(Part::Piece(piece)) })) => {
                let size = size + piece.len() as u64;
                Some((Ok(piece), Some((parts, size))))
            }
            Ok(Some(PutRequest { part: Some(Part::Finish(finish)) })) if finish.size == size => None,
            Ok(Some(PutRequest { part: Some(Part::Finish(finish)) })) => {
                broken(ErrorKind::Invalid, format!("{size} bytes came, {} were sent", finish.size))
            }
            Ok(Some(_)) => broken(ErrorKind::Invalid, "a message that is no part of a blob".to_owned()),
            Ok(None) => broken(ErrorKind::Unavailable, "the sender ended before `finish`".to_owned()),
            Err(status) => broken(ErrorKind::Unavailable, format!("the sender went away: {status}")),
        }
    };
    stream::unfold(Some((parts, 0)), next).boxed()
}

/// Content as messages of bounded size.
fn sent(content: BlobStream) -> BoxStream<'static, Result<GetResponse, Status>> {
    let message = |piece: Bytes| GetResponse { part: Some(get_response::Part::Piece(piece)) };
    content
        .flat_map(move |piece| match piece {
            Ok(piece) => {
                let starts = (0..piece.len()).step_by(PIECE);
                let parts = starts.map(move |start| piece.slice(start..piece.len().min(start + PIECE)));
                stream::iter(parts.map(move |part| Ok(message(part)))).boxed()
            }
            Err(error) => stream::iter([Err(to_status(&error))]).boxed(),
        })
        .boxed()
}
