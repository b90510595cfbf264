//! A request body that nobody reads to its end. A client that is still sending when its connection closes sees a broken
//! connection in place of the answer, so what it still sends is read and thrown away, within bounds.

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::timeout;

const LIMIT: usize = 16 * 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Linger {
    /// Taken only by the drop.
    body: Option<Incoming>,
    /// The client sends nothing before it is asked to, which reading would do.
    waits: bool,
}

impl Linger {
    pub(super) fn new(body: Incoming, headers: &HeaderMap) -> Self {
        Self { body: Some(body), waits: headers.contains_key(header::EXPECT) }
    }
}

impl Body for Linger {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        self.waits &= frame.is_pending();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Linger {
    fn drop(&mut self) {
        if let Some(body) = self.body.take_if(|body| !self.waits && !body.is_end_stream()) {
            // Ends with the connection at the latest.
            tokio::spawn(timeout(DEADLINE, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > LIMIT {
            return;
        }
    }
}
