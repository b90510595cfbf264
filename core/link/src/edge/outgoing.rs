//! What an edge tells a core: what waits is taken together and written in one piece.

use crate::wire::{self, pb};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;

/// Messages that may wait for one core.
const WAITING: usize = 8192;
const TOGETHER: usize = 256;

#[derive(Debug)]
pub(super) struct Outgoing {
    receiver: mpsc::Receiver<pb::ToCore>,
    taken: Vec<pb::ToCore>,
}

impl Outgoing {
    pub(super) fn new() -> (Self, mpsc::Sender<pb::ToCore>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { receiver, taken: Vec::new() }, sender)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { receiver, taken } = &mut *self;
        if ready!(receiver.poll_recv_many(cx, taken, TOGETHER)) == 0 {
            return Poll::Ready(None);
        }
        let mut bytes = BytesMut::new();
        taken.drain(..).for_each(|message| wire::put(&mut bytes, &message));
        Poll::Ready(Some(Ok(Frame::data(bytes.freeze()))))
    }
}
