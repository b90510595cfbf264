//! Keys become paths here and nowhere else, so that no key can leave the folder.

use meridian_ports::{Error, ErrorKind, is_blob_key};
use std::path::{Path, PathBuf};

/// `+` is in no key, so a blob never has the name of another key's folder.
const SUFFIX: &str = "+blob";

/// The file of a key under `base`, or `Invalid`.
pub(crate) fn path(base: &Path, key: &str, verb: &'static str) -> Result<PathBuf, Error> {
    if !is_blob_key(key) {
        return Err(Error::new(ErrorKind::Invalid, verb, "not a blob key"));
    }
    let mut path = base.to_path_buf();
    let (folders, name) = key.rsplit_once('/').map_or(("", key), |(folders, name)| (folders, name));
    path.extend(folders.split('/').filter(|segment| !segment.is_empty()));
    path.push(format!("{name}{SUFFIX}"));
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_keys_stay_inside_the_folder() {
        let base = Path::new("/base");
        assert_eq!(path(base, "1/f/ab-c_d.e", "get").unwrap(), Path::new("/base/1/f/ab-c_d.e+blob"));
        assert_eq!(path(base, "a", "get").unwrap(), Path::new("/base/a+blob"));
        assert_eq!(path(base, "...", "get").unwrap(), Path::new("/base/...+blob"));
        assert!(path(base, &"k".repeat(200), "get").is_ok());
    }

    #[test]
    fn bad_keys_are_invalid() {
        let too_long = "k".repeat(201);
        for key in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "A", "a b", "a\\b", "ä", "a\0",
            "a+blob", &too_long,
        ] {
            let error = path(Path::new("/base"), key, "get").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{key:?}");
        }
    }
}
