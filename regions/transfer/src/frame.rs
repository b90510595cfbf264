//! The outer form of an export: frames, each with a check over everything before it, so that a frame that is damaged, missing
//! or in another place is noticed when it is read, before anything is made of it.

use crate::TransferError;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The version that is written, and the only one that is read.
pub(crate) const FORMAT: u32 = 1;
const MAGIC: &[u8] = b"meridian-export ";
const MAGIC_LINE: &[u8] = b"meridian-export 1\n";
/// Largest payload, in bytes: bounds what a reader holds.
pub(crate) const PAYLOAD_LIMIT: usize = 64 << 20;
const CHECK: usize = 8;

pub(crate) const HEADER: u8 = b'H';
pub(crate) const LOG: u8 = b'L';
pub(crate) const OPERATION: u8 = b'O';
pub(crate) const BLOB: u8 = b'B';
pub(crate) const DATA: u8 = b'D';
pub(crate) const END: u8 = b'Z';

/// Writes frames.
pub(crate) struct Writer<W> {
    out: W,
    hash: Sha256,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(crate) async fn begin(mut out: W) -> Result<Self, TransferError> {
        out.write_all(MAGIC_LINE).await.map_err(TransferError::Io)?;
        Ok(Self { out, hash: Sha256::new_with_prefix(MAGIC_LINE) })
    }

    pub(crate) async fn frame(&mut self, kind: u8, payload: &[u8]) -> Result<(), TransferError> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.hash.update([kind]);
        self.hash.update(length);
        self.hash.update(payload);
        let digest = self.hash.clone().finalize();
        self.hash.update(&digest[..CHECK]);
        for part in [&[kind][..], &length, payload, &digest[..CHECK]] {
            self.out.write_all(part).await.map_err(TransferError::Io)?;
        }
        Ok(())
    }

    /// The digest of everything written so far.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    pub(crate) async fn finish(mut self) -> Result<(), TransferError> {
        self.out.flush().await.map_err(TransferError::Io)
    }
}

/// Reads frames.
pub(crate) struct Reader<R> {
    input: R,
    hash: Sha256,
    /// Before the last frame.
    before: Sha256,
    at: u64,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) async fn begin(mut input: R) -> Result<Self, TransferError> {
        let mut line = Vec::new();
        // Byte by byte, once: what follows is not ours to take.
        while line.len() < 32 && line.last() != Some(&b'\n') {
            match input.read_u8().await {
                Ok(byte) => line.push(byte),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(TransferError::Io(error)),
            }
        }
        if line != MAGIC_LINE {
            return Err(match line.strip_prefix(MAGIC).and_then(|rest| rest.strip_suffix(b"\n")) {
                Some(version) => TransferError::Format {
                    found: String::from_utf8_lossy(version).escape_default().to_string(),
                    known: FORMAT,
                },
                None => TransferError::NotAnExport,
            });
        }
        let hash = Sha256::new_with_prefix(MAGIC_LINE);
        Ok(Self { input, before: hash.clone(), hash, at: MAGIC_LINE.len() as u64 })
    }

    /// The next frame, checked.
    pub(crate) async fn frame(&mut self) -> Result<(u8, Bytes), TransferError> {
        let from = self.at;
        let mut head = [0; 5];
        self.exactly(&mut head).await?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > PAYLOAD_LIMIT {
            return Err(TransferError::Damaged { from, to: self.at });
        }
        // Grows with what is there, not with what a damaged length says.
        let mut payload = Vec::with_capacity(length.min(1 << 20));
        let read = (&mut self.input).take(length as u64).read_to_end(&mut payload).await;
        let read = read.map_err(TransferError::Io)?;
        self.at += read as u64;
        if read < length {
            return Err(TransferError::CutOff { at: self.at });
        }
        let mut check = [0; CHECK];
        self.exactly(&mut check).await?;
        self.before = self.hash.clone();
        self.hash.update(head);
        self.hash.update(&payload);
        if self.hash.clone().finalize()[..CHECK] != check {
            return Err(TransferError::Damaged { from, to: self.at });
        }
        self.hash.update(check);
        Ok((head[0], payload.into()))
    }

    async fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), TransferError> {
        match self.input.read_exact(buffer).await {
            Ok(read) => {
                self.at += read as u64;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(TransferError::CutOff { at: self.at })
            }
            Err(error) => Err(TransferError::Io(error)),
        }
    }

    /// Nothing may follow.
    pub(crate) async fn end(&mut self) -> Result<(), TransferError> {
        match self.input.read(&mut [0]).await {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.malformed("there is something behind the trailer")),
            Err(error) => Err(TransferError::Io(error)),
        }
    }

    /// The digest of everything before the last frame.
    pub(crate) fn digest_before_last(&self) -> [u8; 32] {
        self.before.clone().finalize().into()
    }

    pub(crate) fn malformed(&self, what: &'static str) -> TransferError {
        TransferError::Malformed { at: self.at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written() -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::begin(&mut out).await.unwrap();
        writer.frame(HEADER, b"head").await.unwrap();
        writer.frame(DATA, b"").await.unwrap();
        writer.finish().await.unwrap();
        out
    }

    async fn read(bytes: &[u8]) -> Result<Vec<(u8, Bytes)>, TransferError> {
        let mut reader = Reader::begin(bytes).await?;
        let frames = vec![reader.frame().await?, reader.frame().await?];
        reader.end().await?;
        Ok(frames)
    }

    #[tokio::test]
    async fn frames_come_back() {
        let frames = read(&written().await).await.unwrap();
        assert_eq!(frames, [(HEADER, Bytes::from_static(b"head")), (DATA, Bytes::new())]);
    }

    #[tokio::test]
    async fn every_cut_and_every_flipped_bit_is_noticed() {
        let whole = written().await;
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).await.is_err(), "cut at {length}");
        }
        for place in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[place / 8] ^= 1 << (place % 8);
            assert!(read(&damaged).await.is_err(), "bit {place}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(matches!(read(&longer).await, Err(TransferError::Malformed { .. })));
    }

    #[tokio::test]
    async fn the_first_line_says_what_it_is() {
        assert!(matches!(read(b"hello\n").await, Err(TransferError::NotAnExport)));
        let newer = read(b"meridian-export 2\n").await.unwrap_err();
        assert_eq!(newer.to_string(), "export format 2; this program reads 1");
    }
}
