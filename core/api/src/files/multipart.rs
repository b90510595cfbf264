//! Multipart bodies without buffering them.
//!
//! The parser takes from its source for as long as the source is ready, so a sender that is faster than the disk would
//! fill the memory. [`Paced`] hands it one piece, then pauses for one poll: what was given is consumed before more comes.
//! An allowance bounds what the parser may gather without yielding anything (endless part headers, for instance).

use crate::service::Body;
use bytes::Bytes;
use futures_util::Stream;
use http_body::Body as _;
use std::{
    error::Error as StdError,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

const PIECE: usize = 64 * 1024;
const ALLOWANCE: usize = 4 * PIECE;

/// How many bytes the parser may still take before it has to yield something.
#[derive(Clone, Debug)]
pub(crate) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(ALLOWANCE)))
    }

    /// The parser has made progress.
    pub(crate) fn renew(&self) {
        self.0.store(ALLOWANCE, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// A request body as small pieces with a pause after each.
#[derive(Debug)]
pub(crate) struct Paced {
    body: Body,
    rest: Bytes,
    pause: bool,
    allowance: Allowance,
}

impl Paced {
    pub(crate) fn new(body: Body) -> (Self, Allowance) {
        let allowance = Allowance::new();
        (Self { body, rest: Bytes::new(), pause: false, allowance: allowance.clone() }, allowance)
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, Box<dyn StdError + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        let n = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(n);
        if !self.allowance.take(piece.len()) {
            return Poll::Ready(Some(Err("a part's headers are too long".into())));
        }
        self.pause = true;
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::bytes_body;
    use futures_util::StreamExt;

    fn form(parts: &str) -> String {
        format!("--B\r\n{parts}\r\n--B--\r\n")
    }

    #[tokio::test]
    async fn pieces_are_small_and_complete() {
        let content = vec![7_u8; 3 * PIECE + 5];
        let (mut paced, allowance) = Paced::new(bytes_body(content.clone()));
        let mut read = Vec::new();
        while let Some(piece) = paced.next().await {
            let piece = piece.unwrap();
            assert!(piece.len() <= PIECE);
            read.extend_from_slice(&piece);
            allowance.renew();
        }
        assert_eq!(read, content);
    }

    #[tokio::test]
    async fn the_parser_holds_no_more_than_a_piece() {
        let content = "x".repeat(40 * PIECE);
        let text =
            form(&format!("Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{content}"));
        let (paced, allowance) = Paced::new(bytes_body(text));
        let mut multipart = multer::Multipart::new(paced, "B");
        let mut field = multipart.next_field().await.unwrap().unwrap();
        let mut size = 0;
        while let Some(piece) = field.next().await {
            let piece = piece.unwrap();
            assert!(piece.len() <= 2 * PIECE, "{}", piece.len());
            size += piece.len();
            allowance.renew();
        }
        assert_eq!(size, content.len());
        drop(field);
        assert!(multipart.next_field().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn endless_headers_are_cut() {
        let text = format!("--B\r\nX: {}", "x".repeat(40 * PIECE));
        let (paced, _allowance) = Paced::new(bytes_body(text));
        let mut multipart = multer::Multipart::new(paced, "B");
        assert!(matches!(multipart.next_field().await, Err(multer::Error::StreamReadFailed(_))));
    }
}
