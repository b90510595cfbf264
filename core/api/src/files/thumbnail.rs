//! Thumbnails: made on the first request, kept beside the file.
//!
//! Decoding a picture is the dearest thing a caller can ask for, so it is bounded three ways: the pixels and memory of one
//! picture, the number at once, and the wait for a turn.

use crate::{call::Call, error::ApiError};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder};
use meridian_chat::{ChatError, FileRecord};
use meridian_ports::BlobStream;
use std::{io::Cursor, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A picture of at most this size is its own thumbnail.
const SMALL: u64 = 10 * 1024;
/// Files beyond this size are not read into memory for a thumbnail.
const MAX_FILE: u64 = 32 * 1024 * 1024;
const MAX_PIXELS: u64 = 40_000_000;
const MAX_MEMORY: u64 = 256 * 1024 * 1024;
const JPEG_QUALITY: u8 = 80;

#[derive(Debug)]
pub(crate) struct Thumbnailer {
    turns: Arc<Semaphore>,
    wait: Duration,
}

/// A picture ready to be sent.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: &'static str,
}

impl Thumbnailer {
    pub(crate) fn new(workers: usize, wait: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(workers.max(1))), wait }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or_else(ApiError::busy)
    }
}

/// The thumbnail of a file; `None` when the file is its own, or has none.
pub(crate) async fn of(call: &Call, file: &FileRecord) -> Result<Option<Picture>, ApiError> {
    if !may_have_one(file) {
        return Ok(None);
    }
    match kept(call, file).await? {
        Some(picture) => Ok(Some(picture)),
        None => prepare(call, file, file.thumbnail).await,
    }
}

/// Makes and keeps the thumbnail of a file, at most of this width and height.
pub(crate) async fn prepare(
    call: &Call,
    file: &FileRecord,
    size: (u32, u32),
) -> Result<Option<Picture>, ApiError> {
    if !may_have_one(file) {
        return Ok(None);
    }
    let turn = call.state.thumbnails.turn().await?;
    // Another request may have made it while this one waited.
    if let Some(picture) = kept(call, file).await? {
        return Ok(Some(picture));
    }
    let Some(content) = call.state.chat.read_file(&call.app, file, None).await? else {
        return Ok(None);
    };
    let original = collect(content, file.size).await?;
    let made = tokio::task::spawn_blocking(move || {
        // Held until the work is done, even when the request is gone.
        let _turn = turn;
        scale(&original, size)
    });
    let Some(bytes) = made.await.ok().flatten() else {
        return Ok(None);
    };
    let content: BlobStream = stream::iter([Ok(bytes.clone())]).boxed();
    if let Err(error) = call.state.chat.store_thumbnail(&call.app, file, content).await {
        tracing::warn!(%error, "thumbnail not kept");
    }
    Ok(Some(picture(bytes)))
}

fn may_have_one(file: &FileRecord) -> bool {
    let kind = file.content_type.as_str();
    let may_be_picture = kind.starts_with("image/") || kind.starts_with("application/octet-stream");
    may_be_picture && file.size > SMALL && file.size <= MAX_FILE
}

async fn kept(call: &Call, file: &FileRecord) -> Result<Option<Picture>, ApiError> {
    match call.state.chat.read_thumbnail(&call.app, file).await? {
        Some(content) => Ok(Some(picture(collect(content, MAX_FILE).await?))),
        None => Ok(None),
    }
}

async fn collect(mut content: BlobStream, limit: u64) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = content.try_next().await.map_err(ChatError::from)? {
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(ApiError::file_too_large(limit, false));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn picture(bytes: Bytes) -> Picture {
    let content_type =
        image::guess_format(&bytes).map_or("application/octet-stream", |format| format.to_mime_type());
    Picture { bytes, content_type }
}

/// A smaller copy, or `None` when this is no picture that can be read within the bounds.
fn scale(original: &[u8], (width, height): (u32, u32)) -> Option<Bytes> {
    let mut reader = ImageReader::new(Cursor::new(original)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    if !may_be_decoded(decoder.dimensions()) {
        return None;
    }
    // The copy carries no camera data, so it has to be turned itself.
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).ok()?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    if image.width() > width || image.height() > height {
        image = image.thumbnail(width.max(1), height.max(1));
    }
    let mut bytes = Vec::new();
    if image.color().has_alpha() {
        let image = DynamicImage::ImageRgba8(image.to_rgba8());
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).ok()?;
    } else {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        image.to_rgb8().write_with_encoder(encoder).ok()?;
    }
    Some(bytes.into())
}

fn may_be_decoded((width, height): (u32, u32)) -> bool {
    u64::from(width) * u64::from(height) <= MAX_PIXELS
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage, RgbaImage};

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.into().write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    fn dimensions(bytes: &[u8]) -> (ImageFormat, u32, u32) {
        let image = image::load_from_memory(bytes).unwrap();
        (image::guess_format(bytes).unwrap(), image.width(), image.height())
    }

    #[test]
    fn a_picture_is_scaled_and_keeps_its_shape() {
        let scaled = scale(&png(RgbImage::from_pixel(400, 200, Rgb([9, 9, 9]))), (170, 170)).unwrap();
        assert_eq!(dimensions(&scaled), (ImageFormat::Jpeg, 170, 85));
        let scaled = scale(&png(RgbaImage::new(100, 300)), (50, 60)).unwrap();
        assert_eq!(dimensions(&scaled), (ImageFormat::Png, 20, 60));
    }

    #[test]
    fn a_small_picture_does_not_grow() {
        let scaled = scale(&png(RgbImage::new(20, 10)), (170, 170)).unwrap();
        assert_eq!(dimensions(&scaled), (ImageFormat::Jpeg, 20, 10));
    }

    #[test]
    fn what_is_no_picture_has_no_thumbnail() {
        assert!(scale(b"not a picture", (170, 170)).is_none());
        let mut broken = png(RgbImage::new(400, 400));
        broken.truncate(100);
        assert!(scale(&broken, (170, 170)).is_none());
    }

    #[test]
    fn pixels_are_bounded() {
        assert!(may_be_decoded((8_000, 5_000)));
        assert!(!may_be_decoded((8_001, 5_000)));
        assert!(!may_be_decoded((u32::MAX, u32::MAX)));
    }

    /// A tiny file that claims to be 50,000 x 50,000 pixels.
    #[test]
    fn a_bomb_is_not_decoded() {
        let mut bomb = png(RgbImage::new(8, 8));
        for at in [16, 20] {
            bomb[at..at + 4].copy_from_slice(&50_000_u32.to_be_bytes());
        }
        let checksum = crc(&bomb[12..29]).to_be_bytes();
        bomb[29..33].copy_from_slice(&checksum);
        let reader = ImageReader::new(Cursor::new(&bomb)).with_guessed_format().unwrap();
        assert_eq!(reader.into_dimensions().unwrap(), (50_000, 50_000));
        assert!(scale(&bomb, (170, 170)).is_none());
    }

    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0xedb8_8320 * (crc & 1)))
        })
    }
}
