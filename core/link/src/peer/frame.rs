//! The handshake and the frames.

use super::Secret;
use bytes::{Bytes, BytesMut};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MAGIC: [u8; 5] = *b"MRDN\x01";
/// Largest request or answer.
pub(super) const FRAME_LIMIT: usize = 16 << 20;

type Nonce = [u8; 16];

fn mac(secret: &Secret, role: &[u8], server: &Nonce, client: &Nonce) -> Result<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(&secret.0);
    let mac = mac.map_err(|_| Error::new(ErrorKind::InvalidInput, "the secret cannot be used"))?;
    Ok(mac.chain_update(role).chain_update(server).chain_update(client))
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::PermissionDenied, why)
}

/// The client's part of the handshake.
pub(crate) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, secret: &Secret) -> Result<()> {
    let (mut magic, mut server) = ([0; 5], Nonce::default());
    stream.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(refused("not a core of this version"));
    }
    stream.read_exact(&mut server).await?;
    let client: Nonce = rand::random();
    stream.write_all(&client).await?;
    stream.write_all(&mac(secret, b"client", &server, &client)?.finalize().into_bytes()).await?;
    stream.flush().await?;
    let mut proof = [0; 32];
    stream.read_exact(&mut proof).await?;
    let proven = mac(secret, b"server", &server, &client)?.verify_slice(&proof);
    proven.map_err(|_| refused("the core does not know the region's secret"))
}

/// The server's part of the handshake.
pub(crate) async fn admit<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, secret: &Secret) -> Result<()> {
    let server: Nonce = rand::random();
    stream.write_all(&MAGIC).await?;
    stream.write_all(&server).await?;
    stream.flush().await?;
    let (mut client, mut proof) = (Nonce::default(), [0; 32]);
    stream.read_exact(&mut client).await?;
    stream.read_exact(&mut proof).await?;
    let proven = mac(secret, b"client", &server, &client)?.verify_slice(&proof);
    proven.map_err(|_| refused("the caller does not know the region's secret"))?;
    stream.write_all(&mac(secret, b"server", &server, &client)?.finalize().into_bytes()).await?;
    stream.flush().await
}

/// The next frame; `None` at a clean end.
pub(super) async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Option<(u64, Bytes)>> {
    let length = match reader.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if !(8..=FRAME_LIMIT + 8).contains(&length) {
        return Err(Error::new(ErrorKind::InvalidData, "a frame of an impossible length"));
    }
    let id = reader.read_u64().await?;
    let mut payload = BytesMut::zeroed(length - 8);
    reader.read_exact(&mut payload).await?;
    Ok(Some((id, payload.freeze())))
}

pub(super) async fn write<W: AsyncWrite + Unpin>(writer: &mut W, id: u64, payload: &[u8]) -> Result<()> {
    let length = u32::try_from(payload.len() + 8)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "a frame of an impossible length"))?;
    writer.write_u32(length).await?;
    writer.write_u64(id).await?;
    writer.write_all(payload).await
}
