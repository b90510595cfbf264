//! How a backend is opened from a URL. A plugin author writes one function from [`OpenRequest`] to [`Opened`] and hands
//! it to the node's builder under a scheme; nothing is registered before `main`, and nothing is global.

use futures_util::future::BoxFuture;
use std::{error::Error as StdError, fmt, path::PathBuf, sync::Arc};

/// Why a backend did not open. Any error does; its text reaches the operator with the URL's secrets taken out.
pub type OpenError = Box<dyn StdError + Send + Sync>;

/// A backend's URL: `scheme:rest`. `Debug` and `Display` show it without passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendUrl {
    text: String,
    colon: usize,
}

impl BackendUrl {
    /// Takes `scheme:` and anything behind it; the scheme is `a-z 0-9 + -`, from a letter. Gives what is wrong, without
    /// showing the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let colon = text.find(':').ok_or("a backend's URL begins with a scheme and a colon")?;
        let scheme = &text.as_bytes()[..colon];
        let known = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-".contains(byte);
        if !scheme.first().is_some_and(u8::is_ascii_lowercase) || !scheme.iter().all(known) {
            return Err("the scheme has other signs than a-z, 0-9, + and -");
        }
        Ok(Self { text: text.to_owned(), colon })
    }

    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.text[..self.colon]
    }

    /// The whole URL, **with its secrets**: for the driver, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What stands between `scheme:` and `?`, as written.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = &self.text[self.colon + 1..];
        rest.split_once('?').map_or(rest, |(path, _)| path)
    }

    /// The parameters behind `?`, as written (not percent-decoded).
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.text.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// A parameter's value, as written.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// A text, for instance a driver's error, without this URL's secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in self.secrets() {
            clean = clean.replace(secret, "***");
        }
        clean
    }

    /// Passwords of the authority and values of parameters that sound secret.
    fn secrets(&self) -> Vec<&str> {
        let mut secrets = Vec::new();
        // The last `@` ends the credentials: a password may hold one, or a slash, unescaped.
        if let Some((credentials, _)) = self.path().strip_prefix("//").and_then(|path| path.rsplit_once('@'))
            && let Some((_, password)) = credentials.split_once(':')
        {
            secrets.push(password);
        }
        let secret = |name: &str| {
            let name = name.to_ascii_lowercase();
            ["password", "secret", "token", "key"].iter().any(|word| name.contains(word))
        };
        secrets.extend(self.parameters().filter(|(name, _)| secret(name)).map(|(_, value)| value));
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redact(&self.text))
    }
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a backend's factory gets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenRequest {
    pub url: BackendUrl,
    /// The node's data folder; it exists. Relative paths in URLs are meant from here.
    pub data_dir: PathBuf,
    /// The caller only reads: take no lock that a writer needs, make nothing. A backend that cannot open like that may
    /// open as always.
    pub read_only: bool,
}

impl OpenRequest {
    #[must_use]
    pub fn new(url: BackendUrl, data_dir: impl Into<PathBuf>) -> Self {
        Self { url, data_dir: data_dir.into(), read_only: false }
    }

    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// The URL's path as a file: relative to the data folder unless it is absolute (`file:/var/files`, `file:///var/files`).
    #[must_use]
    pub fn file(&self) -> PathBuf {
        let path = self.url.path();
        self.data_dir.join(path.strip_prefix("//").unwrap_or(path))
    }
}

/// From where the same data is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// This process only.
    Process,
    /// This machine only.
    Machine,
    /// Every core of the region.
    Region,
}

/// An opened backend and what the node must know of it.
#[non_exhaustive]
pub struct Opened<T: ?Sized> {
    pub backend: Arc<T>,
    pub reach: Reach,
    /// Whether what was answered survives a restart of this process.
    pub durable: bool,
    /// For the boot table: limits, mode, abilities. A few words, no secrets.
    pub notes: String,
    close: Option<Close>,
}

type Close = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send + Sync>;

impl<T: ?Sized> Opened<T> {
    #[must_use]
    pub fn new(backend: Arc<T>, reach: Reach, durable: bool) -> Self {
        Self { backend, reach, durable, notes: String::new(), close: None }
    }

    #[must_use]
    pub fn with_notes(self, notes: impl Into<String>) -> Self {
        Self { notes: notes.into(), ..self }
    }

    /// What a stop waits for once nothing calls the backend any more.
    #[must_use]
    pub fn on_close<F: Future<Output = ()> + Send + 'static>(
        self,
        close: impl FnOnce() -> F + Send + Sync + 'static,
    ) -> Self {
        Self { close: Some(Box::new(move || Box::pin(close()))), ..self }
    }

    /// Closes the backend; without anything to close it returns at once.
    pub async fn close(&mut self) {
        if let Some(close) = self.close.take() {
            close().await;
        }
    }
}

impl<T: ?Sized> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("reach", &self.reach)
            .field("durable", &self.durable)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_a_path_and_parameters() {
        let url = BackendUrl::parse("sqlite:meridian.db?mode=fast&x").unwrap();
        assert_eq!((url.scheme(), url.path()), ("sqlite", "meridian.db"));
        assert_eq!(url.parameters().collect::<Vec<_>>(), [("mode", "fast"), ("x", "")]);
        assert_eq!(BackendUrl::parse("memory:").unwrap().path(), "");
        for bad in ["meridian.db", ":x", "S3://x", "a b:x", ""] {
            assert!(BackendUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_meant_from_the_data_folder() {
        let file = |url: &str| OpenRequest::new(BackendUrl::parse(url).unwrap(), "/data").file();
        assert_eq!(file("file:files"), PathBuf::from("/data/files"));
        assert_eq!(file("file:/var/files"), PathBuf::from("/var/files"));
        assert_eq!(file("file:///var/files"), PathBuf::from("/var/files"));
    }

    #[test]
    fn secrets_are_never_shown() {
        for (text, shown) in [
            ("postgres://me:hunter2@db/x", "postgres://me:***@db/x"),
            ("postgres://me:p@ss/w@a,b/x?sslmode=require", "postgres://me:***@a,b/x?sslmode=require"),
            ("redis://:hunter2@cache", "redis://:***@cache"),
            ("s3://bucket?secret_access_key=hunter2&region=x", "s3://bucket?secret_access_key=***&region=x"),
            ("postgres://db/x?password=hunter2", "postgres://db/x?password=***"),
            ("sqlite:meridian.db", "sqlite:meridian.db"),
        ] {
            let url = BackendUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
        let url = BackendUrl::parse("redis://:hunter2@cache").unwrap();
        assert_eq!(url.redact("cannot log in with hunter2"), "cannot log in with ***");
        assert!(!format!("{:?}", OpenRequest::new(url, "/data")).contains("hunter2"));
    }
}
