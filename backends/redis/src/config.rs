//! What can be set, and the URL that says it.

use crate::error::OpenError;
use redis::Client;
use std::{fmt, time::Duration};

/// Every command ends after this.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

/// How to reach Redis. Never shows the password.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    pub(crate) client: Client,
    /// Before every key and topic.
    pub prefix: String,
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RedisConfig {
    /// Reads `redis://user:password@host:port/number?prefix=…`. Errors do not repeat the URL.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let (server, query) = url.split_once('?').unwrap_or((url, ""));
        let mut prefix = "meridian/".to_owned();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("prefix", value)) if (1..=64).contains(&value.len()) => prefix = value.to_owned(),
                Some(("prefix", _)) => {
                    return Err(OpenError::Url("prefix must be 1 to 64 bytes long".into()));
                }
                _ => {
                    let name = pair.split('=').next().unwrap_or_default();
                    return Err(OpenError::Url(format!("there is no parameter {name:?}")));
                }
            }
        }
        let client = Client::open(server).map_err(|_| OpenError::Url("the driver cannot read it".into()))?;
        Ok(Self { client, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        assert_eq!(RedisConfig::parse("redis://:secret@one:1/2?prefix=a").unwrap().prefix, "a");
        for (url, word) in [
            ("http://:secret@one", "driver"),
            ("redis://:secret@one?colour=red", "colour"),
            ("redis://:secret@one?prefix=", "prefix"),
        ] {
            let error = RedisConfig::parse(url).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{error}");
        }
    }
}
