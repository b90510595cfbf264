//! One WebSocket: whole binary messages in, frames out, with a deadline on every write.
//!
//! Small frames go through tungstenite's buffer and are written together by [`Socket::flush`]. Large ones are written
//! straight to the stream: the buffer would keep their size for the life of the connection, and an idle connection
//! must stay small.

use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt, future::BoxFuture};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

const BUFFER: usize = 4096;
/// What [`Pieces`] gives on at once.
const PIECE: usize = 2 * BUFFER;
/// Bytes per second below which a client counts as not reading.
const SLOWEST: u64 = 4096;
/// How long the peer may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the end of a connection may take to reach a client on a slow line. Until then the connection stays open for
/// reading: the kernel answers what still comes with one reset, and when the line loses that, the client waits for minutes.
const LINGER: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: WebSocketStream<Listening<S>>,
    write_timeout: Duration,
    /// What is fed are texts, in UTF-8.
    texts: bool,
    /// Something waits for a flush.
    dirty: bool,
    /// A write broke off in the middle of a frame: nothing more can be said.
    broken: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket<S> {
    /// Takes a connection after its handshake; `read` is what was read too much.
    pub(crate) async fn new(stream: S, read: Bytes, max_message: usize, write_timeout: Duration) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(16 * BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        // A copy: what was read shares the buffer of the HTTP part, 16 KiB for as long as the connection lives.
        let read = read.to_vec();
        let stream = Listening { stream, heard_at: Instant::now() };
        let stream = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
        Self { stream, write_timeout, texts: false, dirty: false, broken: false }
    }

    /// The next message; `None` when the peer has closed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, Error>> {
        self.stream.next().await
    }

    /// When the last byte came.
    pub(crate) fn heard_at(&self) -> Instant {
        self.stream.get_ref().heard_at
    }

    /// From here on messages are texts.
    pub(crate) fn speak_text(&mut self) {
        self.texts = true;
    }

    /// Puts a message into the buffer, or writes it when it is large.
    pub(crate) async fn feed(&mut self, frame: Bytes) -> Result<(), Error> {
        if frame.len() <= BUFFER {
            let message = match self.texts {
                true => Message::Text(Utf8Bytes::try_from(frame)?),
                false => Message::Binary(frame),
            };
            self.feed_message(message).await
        } else {
            self.write_large(frame).await
        }
    }

    /// Boxed, like [`Socket::close`]: rare, and large as a future.
    fn write_large(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.write_past_buffer(frame))
    }

    async fn write_past_buffer(&mut self, frame: Bytes) -> Result<(), Error> {
        // Also when nothing was fed: half an automatic pong may be in the buffer.
        self.dirty = true;
        self.flush().await?;
        self.broken = true;
        let limit = self.write_timeout + Duration::from_secs(frame.len() as u64 / SLOWEST);
        let mut bytes = frame_header(self.texts, frame.len()).chain(frame);
        let write = async {
            // A deadline for each step as well: a client that does not read at all is noticed sooner.
            while bytes.has_remaining() {
                let step = self.stream.get_mut().write_buf(&mut bytes);
                if timeout(self.write_timeout, step).await.map_err(|_| timed_out())?? == 0 {
                    return Err(Error::Io(io::ErrorKind::WriteZero.into()));
                }
            }
            Ok(())
        };
        timeout(limit, write).await.map_err(|_| timed_out())??;
        self.broken = false;
        // TLS may keep the end until it is flushed.
        self.dirty = true;
        Ok(())
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        self.feed_message(Message::Ping(Bytes::new())).await
    }

    async fn feed_message(&mut self, message: Message) -> Result<(), Error> {
        self.dirty = true;
        timeout(self.write_timeout, self.stream.feed(message)).await.map_err(|_| timed_out())?
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        if self.dirty {
            timeout(self.write_timeout, self.stream.flush()).await.map_err(|_| timed_out())??;
            self.dirty = false;
        }
        Ok(())
    }

    /// Says goodbye, and waits a little for the answer, so that what was written before is not lost to a reset.
    pub(crate) fn close(self: Box<Self>, code: CloseCode, reason: &'static str) -> BoxFuture<'static, ()>
    where
        S: 'static,
    {
        Box::pin(self.say_goodbye(code, reason, CLOSE_TIMEOUT))
    }

    /// The same, for a line that loses packets.
    pub(crate) fn close_slowly(
        self: Box<Self>,
        code: CloseCode,
        reason: &'static str,
    ) -> BoxFuture<'static, ()>
    where
        S: 'static,
    {
        Box::pin(self.say_goodbye(code, reason, LINGER))
    }

    async fn say_goodbye(mut self: Box<Self>, code: CloseCode, reason: &'static str, limit: Duration) {
        let until = Instant::now() + limit;
        if !self.broken {
            let goodbye = async {
                let frame = CloseFrame { code, reason: reason.into() };
                // Fails when the peer said goodbye first; then reading sends the answer to that.
                let _ = self.stream.send(Message::Close(Some(frame))).await;
                while let Some(Ok(_)) = self.stream.next().await {}
            };
            let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
        }
        let end = async {
            // What is left unread when the stream closes would reset it, and the peer would lose the goodbye.
            let stream = self.stream.get_mut();
            stream.shutdown().await?;
            let mut rest = [0; 512];
            while stream.read(&mut rest).await? > 0 {}
            Ok::<_, Error>(())
        };
        // Whatever happens here, the connection ends now.
        let _ = timeout_at(until, end).await;
    }
}

/// Remembers when something came: a large message on a slow line is life as well.
#[derive(Debug)]
struct Listening<S> {
    stream: S,
    heard_at: Instant,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard_at = Instant::now();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Takes little at a time. A stream of HTTP/2 would copy all that it is given at once, and has no progress to show
/// before all of that is gone.
#[derive(Debug)]
pub(crate) struct Pieces<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for Pieces<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pieces<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(PIECE)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn timed_out() -> Error {
    Error::Io(io::ErrorKind::TimedOut.into())
}

/// The header of a final, unmasked frame of more than 125 bytes (RFC 6455, 5.2).
fn frame_header(text: bool, length: usize) -> Bytes {
    let mut header = vec![if text { 0x81 } else { 0x82 }];
    match u16::try_from(length) {
        Ok(length) => {
            header.push(126);
            header.extend(length.to_be_bytes());
        }
        Err(_) => {
            header.push(127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::duplex;

    async fn pair() -> (Socket<tokio::io::DuplexStream>, WebSocketStream<tokio::io::DuplexStream>) {
        let (near, far) = duplex(1024);
        let socket = Socket::new(near, Bytes::new(), 1024, Duration::from_secs(20)).await;
        (socket, WebSocketStream::from_raw_socket(far, Role::Client, None).await)
    }

    #[tokio::test]
    async fn frames_of_every_size_arrive_whole_and_in_order() {
        let (mut socket, mut client) = pair().await;
        let sizes = [0, 125, 126, 4096, 4097, 65_535, 65_536, 300_000, 1];
        let writer = tokio::spawn(async move {
            for (number, size) in sizes.into_iter().enumerate() {
                socket.feed(vec![number as u8; size].into()).await.unwrap();
            }
            socket.flush().await.unwrap();
            socket
        });
        for (number, size) in sizes.into_iter().enumerate() {
            let message = client.next().await.unwrap().unwrap();
            assert_eq!(message, Message::Binary(vec![number as u8; size].into()));
        }
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_large_frame_waits_for_a_pong_that_is_half_written() {
        let (near, far) = duplex(256);
        let mut socket = Socket::new(near, Bytes::new(), 1024, Duration::from_secs(20)).await;
        let mut client = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        for _ in 0..3 {
            client.send(Message::Ping(vec![7; 100].into())).await.unwrap();
            assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))));
        }
        // Writes what fits of the pongs.
        assert!(socket.next().now_or_never().is_none());
        let writer = tokio::spawn(async move { socket.feed(vec![1; 10_000].into()).await });
        for _ in 0..3 {
            assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong(vec![7; 100].into()));
        }
        assert_eq!(client.next().await.unwrap().unwrap(), Message::Binary(vec![1; 10_000].into()));
        writer.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_reads_meets_the_deadline() {
        for size in [2000, 20_000] {
            let (mut socket, _client) = pair().await;
            let error = async {
                loop {
                    if let Err(error) = socket.feed(vec![0; size].into()).await {
                        break error;
                    }
                    if let Err(error) = socket.flush().await {
                        break error;
                    }
                }
            }
            .await;
            assert!(matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::TimedOut));
            Box::new(socket).close(CloseCode::Normal, "").await;
        }
    }
}
