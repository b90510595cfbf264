//! The `Blobs` contract over files.

use crate::{error::from_io, key, scratch::Scratch};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use meridian_ports::{BlobMeta, BlobStream, Blobs, Error, ErrorKind, Result};
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufWriter},
};

/// Size of the pieces in which a blob is read, in bytes.
const PIECE: usize = 64 * 1024;
/// Small pieces of an upload are gathered to writes of this size, in bytes.
const WRITE: usize = 256 * 1024;

/// Blobs in a folder.
#[derive(Debug)]
pub struct FsBlobs {
    base: PathBuf,
    scratch: Arc<Scratch>,
}

impl FsBlobs {
    /// Opens (or makes) the folder, and removes what dead processes left unfinished in it.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        blocking("open", "opening the folder", move || {
            let base = root.join("blobs");
            std::fs::create_dir_all(&base)?;
            let scratch = Arc::new(Scratch::open(&root.join("tmp"))?);
            sync_folder(&root)?;
            Ok(Self { base, scratch })
        })
        .await
    }
}

#[async_trait]
impl Blobs for FsBlobs {
    fn describe(&self) -> String {
        format!("fs {}", env!("CARGO_PKG_VERSION"))
    }

    async fn put(&self, key: &str, content: BlobStream, limit: u64) -> Result<BlobMeta> {
        let target = key::path(&self.base, key, "put")?;
        let mut unfinished = Unfinished::new(self.scratch.new_path());
        let size = write(unfinished.path(), content, limit).await?;

        let base = self.base.clone();
        let folder = target.parent().unwrap_or(&self.base).to_path_buf();
        let made = folder.clone();
        blocking("put", "making the folder", move || make_folders(&base, &made)).await?;
        // Done in place and not on another thread, so that a dropped `put` cannot be stored behind the caller's back.
        std::fs::rename(unfinished.path(), &target)
            .map_err(|error| from_io("put", "moving into place", error))?;
        unfinished.moved_to(target);
        blocking("put", "syncing the folder", move || sync_folder(&folder)).await?;
        unfinished.finish();
        Ok(BlobMeta::new(size))
    }

    async fn head(&self, key: &str) -> Result<Option<BlobMeta>> {
        let path = key::path(&self.base, key, "head")?;
        let meta = missing_is_none(fs::metadata(path).await, "head", "reading the size")?;
        Ok(meta.map(|meta| BlobMeta::new(meta.len())))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<BlobStream>> {
        let path = key::path(&self.base, key, "get")?;
        let Some(mut file) = missing_is_none(File::open(path).await, "get", "opening the blob")? else {
            return Ok(None);
        };
        let meta = file.metadata().await.map_err(|error| from_io("get", "reading the size", error))?;
        let wanted = range.unwrap_or(0..meta.len());
        let end = wanted.end.min(meta.len());
        let start = wanted.start.min(end);
        if start > 0 {
            let sought = file.seek(io::SeekFrom::Start(start)).await;
            sought.map_err(|error| from_io("get", "seeking", error))?;
        }
        Ok(Some(read(file, end - start)))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let path = key::path(&self.base, key, "delete")?;
        blocking("delete", "removing the blob", move || match std::fs::remove_file(&path) {
            Ok(()) => sync_folder(path.parent().unwrap_or(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }
}

/// Removes the file when `put` fails or is dropped.
#[derive(Debug)]
struct Unfinished(Option<PathBuf>);

impl Unfinished {
    fn new(path: PathBuf) -> Self {
        Self(Some(path))
    }

    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    fn moved_to(&mut self, path: PathBuf) {
        self.0 = Some(path);
    }

    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Writes the whole stream to a new file, durably, and gives its size.
async fn write(path: &Path, mut content: BlobStream, limit: u64) -> Result<u64> {
    let failed = |error| from_io("put", "writing", error);
    // Created in place: on another thread the file could appear after the guard has run.
    let file = std::fs::File::create_new(path).map_err(failed)?;
    let mut file = BufWriter::with_capacity(WRITE, File::from_std(file));
    let mut size = 0_u64;
    while let Some(piece) = content.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        if size > limit {
            return Err(Error::new(ErrorKind::Invalid, "put", format!("larger than {limit} bytes")));
        }
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    file.get_ref().sync_all().await.map_err(failed)?;
    Ok(size)
}

/// Reads the next `left` bytes of a file, in pieces.
fn read(file: File, left: u64) -> BlobStream {
    stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let wanted = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = BytesMut::with_capacity(wanted);
        while piece.len() < wanted {
            let mut rest = (&mut file).take((wanted - piece.len()) as u64);
            let n = rest.read_buf(&mut piece).await.map_err(|error| from_io("get", "reading", error))?;
            if n == 0 {
                return Err(Error::new(ErrorKind::Corrupt, "get", "the blob is shorter than it was"));
            }
        }
        let piece: Bytes = piece.freeze();
        let left = left - piece.len() as u64;
        Ok(Some((piece, (file, left))))
    })
    .boxed()
}

/// Makes the folders between `base` and `folder`, each durable in its parent.
fn make_folders(base: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() || folder == base {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(base);
    make_folders(base, parent)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

/// A name is durable only when its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

fn missing_is_none<T>(result: io::Result<T>, verb: &'static str, doing: &'static str) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(from_io(verb, doing, error)),
    }
}

async fn blocking<T: Send + 'static>(
    verb: &'static str,
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| from_io(verb, doing, error)),
        Err(error) => Err(Error::new(ErrorKind::Unavailable, verb, doing).with_source(error)),
    }
}
