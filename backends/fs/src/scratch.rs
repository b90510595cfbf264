//! Where unfinished blobs live, and who cleans up after a process that died.
//!
//! A lock file per process, and not an age limit, decides what is stale: an upload may take hours, and a process that
//! is gone needs no grace.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// This process's folder for unfinished blobs. Its lock lasts as long as this value.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes this process's folder under `tmp`, and removes what dead processes left there.
    pub(crate) fn open(tmp: &Path) -> io::Result<Self> {
        fs::create_dir_all(tmp)?;
        // One opener at a time, or one could take another's lock file, made but not locked yet, for a stale one.
        let gate = File::create(tmp.join("open.lock"))?;
        gate.lock()?;
        remove_stale(tmp)?;
        let name = uuid::Uuid::new_v4().simple().to_string();
        let lock = File::create(tmp.join(format!("{name}.lock")))?;
        lock.lock()?;
        let folder = tmp.join(name);
        fs::create_dir(&folder)?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn new_path(&self) -> PathBuf {
        self.folder.join(uuid::Uuid::new_v4().simple().to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A clean end leaves nothing; anything that stays is stale for the next opener.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(self.folder.with_extension("lock"));
    }
}

fn remove_stale(tmp: &Path) -> io::Result<()> {
    for entry in fs::read_dir(tmp)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            if !is_held(&path.with_extension("lock"))? {
                fs::remove_dir_all(&path)?;
            }
        } else if extension != Some("lock") || (path.file_stem() != Some("open".as_ref()) && !is_held(&path)?)
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn is_held(lock: &Path) -> io::Result<bool> {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_removes_the_dead_and_spares_the_living() {
        let root = tempfile::tempdir().unwrap();
        let tmp = root.path().join("tmp");
        let living = Scratch::open(&tmp).unwrap();
        let unfinished = living.new_path();
        fs::write(&unfinished, b"half").unwrap();
        // A process that died: a folder and a lock file that nobody holds.
        fs::create_dir(tmp.join("dead")).unwrap();
        fs::write(tmp.join("dead/half"), b"half").unwrap();
        fs::write(tmp.join("dead.lock"), b"").unwrap();
        fs::write(tmp.join("stray"), b"").unwrap();

        let second = Scratch::open(&tmp).unwrap();
        assert!(unfinished.exists());
        for gone in ["dead", "dead.lock", "stray"] {
            assert!(!tmp.join(gone).exists(), "{gone}");
        }
        drop((living, second));
        let left: Vec<_> = fs::read_dir(&tmp).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["open.lock"]);
    }
}
