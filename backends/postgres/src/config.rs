//! What can be set, and the URL that says it.

use crate::error::OpenError;
use sqlx::postgres::PgConnectOptions;
use std::{fmt, str::FromStr, time::Duration};

/// Statements and waits for a connection end after this.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How to reach PostgreSQL. Never shows the password.
#[derive(Clone)]
#[non_exhaustive]
pub struct PgConfig {
    /// One for each server, in order of preference.
    pub(crate) servers: Vec<PgConnectOptions>,
    /// Where the tables are.
    pub schema: String,
    /// Connections for reads, 1..=256.
    pub connections: u32,
    /// Connections that commit, 1..=16.
    pub committers: usize,
    /// Steps and claims that may wait for one committer before appends are refused as `Busy`.
    pub queue: usize,
    /// A group takes steps until it has this many…
    pub group_steps: usize,
    /// …or this many operations; a larger step is a group of its own.
    pub group_operations: usize,
}

impl fmt::Debug for PgConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self
            .servers
            .iter()
            .map(|server| format!("{}:{}", server.get_host(), server.get_port()))
            .collect();
        f.debug_struct("PgConfig")
            .field("servers", &servers)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl PgConfig {
    /// Reads `postgres://user:password@host:port,host:port/database?schema=…`. Errors do not repeat the URL.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let bad = |why: &str| OpenError::Url(why.to_owned());
        let (_, rest) = url.split_once("://").ok_or_else(|| bad("it does not begin with postgres://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let mut config = Self {
            servers: Vec::new(),
            schema: "public".into(),
            connections: 8,
            committers: 3,
            queue: 1024,
            group_steps: 256,
            group_operations: 4096,
        };
        let mut passed_on = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = |most: usize| match value.parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(bad(&format!("{key} must be 1 to {most}"))),
            };
            match key {
                "schema" if is_name(value) => config.schema = value.to_owned(),
                "schema" => return Err(bad("schema must be 1 to 63 of a-z, 0-9 and _")),
                "connections" => config.connections = number(256)? as u32,
                "committers" => config.committers = number(16)?,
                _ => passed_on.push(pair),
            }
        }
        let query = passed_on.join("&");
        for host in hosts.split(',') {
            let url = format!("postgres://{user}{host}/{database}?{query}");
            let options = PgConnectOptions::from_str(&url).map_err(|_| bad("the driver cannot read it"))?;
            config.servers.push(config.prepared(options));
        }
        Ok(config)
    }

    fn prepared(&self, options: PgConnectOptions) -> PgConnectOptions {
        let deadline = DEADLINE.as_millis().to_string();
        options.application_name("meridian").options([
            ("search_path", self.schema.as_str()),
            ("statement_timeout", deadline.as_str()),
            ("idle_in_transaction_session_timeout", deadline.as_str()),
            // The statements are few and their plans do not depend on the values.
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
        ])
    }
}

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers_and_settings() {
        let url = "postgres://me:s%40cret@one:5433,two/chat?schema=m1&connections=3&application_name=x";
        let config = PgConfig::parse(url).unwrap();
        let servers: Vec<_> =
            config.servers.iter().map(|server| (server.get_host().to_owned(), server.get_port())).collect();
        assert_eq!(servers, [("one".to_owned(), 5433), ("two".to_owned(), 5432)]);
        assert_eq!((config.schema.as_str(), config.connections), ("m1", 3));
        assert!(!format!("{config:?}").contains("cret"));
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for (url, word) in [
            ("postgres//me:secret@one/db", "postgres://"),
            ("postgres://me:secret@one/db?connections=0", "connections"),
            ("postgres://me:secret@one/db?schema=A%20b", "schema"),
            ("postgres://me:secret@one:port/db", "driver"),
        ] {
            let error = PgConfig::parse(url).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{error}");
        }
    }
}
