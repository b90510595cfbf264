//! Which HTTP a connection without TLS speaks: HTTP/2 begins with a preface that no HTTP/1 request can begin with
//! (RFC 9113, 3.4).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the first byte that is not the preface's, at most to its end.
pub(crate) async fn read<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Protocol, Rewound<S>)> {
    let mut read = [0; PREFACE.len()];
    let mut length = 0;
    loop {
        let count = stream.read(&mut read[length..]).await?;
        length += count;
        let protocol = match read[..length] == PREFACE[..length] {
            true if length == PREFACE.len() => Protocol::Http2,
            true if count > 0 => continue,
            _ => Protocol::Http1,
        };
        return Ok((protocol, Rewound { stream, read, from: 0, to: length }));
    }
}

/// A stream of which some bytes have been read, and are read again.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    stream: S,
    read: [u8; PREFACE.len()],
    from: usize,
    to: usize,
}

impl<S> Rewound<S> {
    /// The stream itself. What was to be read again must have been: any whole request is longer.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if me.from == me.to {
            return Pin::new(&mut me.stream).poll_read(cx, buffer);
        }
        let length = buffer.remaining().min(me.to - me.from);
        buffer.put_slice(&me.read[me.from..me.from + length]);
        me.from += length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    /// A stream that gives what is written in pieces of one size, then ends.
    fn pieces(text: &[u8], size: usize) -> DuplexStream {
        let (near, mut far) = duplex(size);
        let text = text.to_vec();
        tokio::spawn(async move { far.write_all(&text).await });
        near
    }

    #[tokio::test]
    async fn the_preface_tells_and_nothing_is_lost() {
        let http2 = [&PREFACE[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        for (text, protocol) in [
            (&http2[..], Protocol::Http2),
            (b"POST / HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r!", Protocol::Http1),
            (b"PRI", Protocol::Http1),
            (b"", Protocol::Http1),
        ] {
            for size in [1, 2, 7, 100] {
                let (found, mut stream) = read(pieces(text, size)).await.unwrap();
                assert_eq!(found, protocol);
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, text);
            }
        }
    }
}
