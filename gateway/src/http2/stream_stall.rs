//! A client that opens a stream and never lets its answer flow must not hold it for ever: the connection itself is
//! well and answers pings, so that [`crate::stall`] sees nothing.
//!
//! hyper asks a body for its next frame once the one before has left; a large one therefore goes in pieces, of which
//! each is progress. The body is made within the stream's task and
//! finds the clock of that task there: hyper gives the task and the body no other way to meet.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use meridian_link::Body as LinkBody;
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// What goes at once. At the default write timeout, a client that takes 820 bytes per second gets everything.
const PIECE: usize = 16 * 1024;

tokio::task_local! {
    static CLOCK: Arc<Clock>;
}

#[derive(Debug, Default)]
struct Clock {
    /// There is a body to watch.
    has_body: Notify,
    /// When a frame was given away, while no other was asked for.
    given_at: Mutex<Option<Instant>>,
}

impl Clock {
    fn set(&self, given_at: Option<Instant>) {
        *self.given_at.lock().unwrap_or_else(PoisonError::into_inner) = given_at;
    }

    /// Streams without a body have no timer.
    async fn stalled(&self, limit: Duration) {
        self.has_body.notified().await;
        loop {
            let now = Instant::now();
            let given_at = *self.given_at.lock().unwrap_or_else(PoisonError::into_inner);
            let due = given_at.unwrap_or(now) + limit;
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// Runs a stream until it ends, or until a frame of its [`Watched`] body has not left for so long; that resets it.
pub(super) async fn until_stalled(stream: impl Future<Output = ()>, limit: Duration) {
    let clock = Arc::new(Clock::default());
    tokio::select! {
        () = CLOCK.scope(clock.clone(), stream) => {}
        () = clock.stalled(limit) => tracing::debug!("a stream without progress was reset"),
    }
}

/// A body that tells the clock of its stream's task how it gets on.
#[derive(Debug)]
pub(super) struct Watched {
    body: LinkBody,
    /// What remains of a large frame.
    rest: Bytes,
    clock: Option<Arc<Clock>>,
}

impl Watched {
    /// To be made within the stream's task.
    pub(super) fn new(body: LinkBody) -> Self {
        let clock = if body.is_end_stream() { None } else { CLOCK.try_with(Clone::clone).ok() };
        if let Some(clock) = &clock {
            // The first frame as well is asked for only when it may leave.
            clock.set(Some(Instant::now()));
            clock.has_body.notify_one();
        }
        Self { body, rest: Bytes::new(), clock }
    }
}

type Piece = Option<Result<Frame<Bytes>, <LinkBody as Body>::Error>>;

impl Watched {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = <LinkBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = self.poll_piece(cx);
        if let Some(clock) = &self.clock {
            clock.set(frame.is_ready().then(Instant::now));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut whole = SizeHint::new();
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole.set_lower(hint.lower().saturating_add(rest));
        whole
    }
}
