//! What can be set, and the URL that says it.

use crate::error::invalid;
use meridian_ports::Result;
use percent_encoding::percent_decode_str;
use std::fmt;

const PARAMETERS: &str =
    "endpoint, region, path_style, access_key, secret_key, session_token, sse, kms_key, part_mib";

/// Where the bucket is and how to write to it. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Config {
    pub bucket: String,
    /// Begins every key: empty, or ends with `/`.
    pub prefix: String,
    /// `http://host:port` or `https://…`; AWS's own when `None`.
    pub endpoint: Option<String>,
    /// From the environment when `None`, and `us-east-1` for an endpoint without any.
    pub region: Option<String>,
    /// `endpoint/bucket/key` and not `bucket.endpoint/key`.
    pub path_style: bool,
    /// From the environment, a profile or the machine's role when `None`.
    pub keys: Option<AccessKeys>,
    /// The server encrypts what it stores.
    pub encryption: Option<Encryption>,
    /// Blobs beyond this are sent in parts of this size, 5..=512 MiB. A put holds one part in memory.
    pub part_bytes: usize,
}

#[derive(Clone, PartialEq, Eq)]
pub struct AccessKeys {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of the storage service.
    Aes256,
    /// With a key of the key management service: the named one, or the service's default.
    Kms(Option<String>),
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys").finish_non_exhaustive()
    }
}

impl S3Config {
    /// Reads `s3://bucket/prefix?endpoint=…&region=…`; values are percent-decoded. Errors do not repeat the URL.
    pub fn parse(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("s3://").ok_or_else(|| bad("the URL begins with s3://"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let mut config = Self {
            bucket: checked_bucket(bucket)?,
            prefix: checked_prefix(prefix)?,
            endpoint: None,
            region: None,
            path_style: false,
            keys: None,
            encryption: None,
            part_bytes: 8 << 20,
        };
        let (mut access_key, mut secret_key, mut session_token) = (None, None, None);
        let (mut path_style, mut sse, mut kms_key) = (None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| bad(format!("{name} is not UTF-8")))?.into_owned();
            match name {
                "endpoint" => config.endpoint = Some(checked_endpoint(value)?),
                "region" => config.region = Some(value),
                "path_style" => path_style = Some(flag(name, &value)?),
                "access_key" => access_key = Some(value),
                "secret_key" => secret_key = Some(value),
                "session_token" => session_token = Some(value),
                "sse" => sse = Some(value),
                "kms_key" => kms_key = Some(value),
                "part_mib" => config.part_bytes = part_bytes(&value)?,
                _ => return Err(bad(format!("unknown parameter {name}; there are {PARAMETERS}"))),
            }
        }
        // What people run themselves rarely has a name for each bucket.
        config.path_style = path_style.unwrap_or(config.endpoint.is_some());
        config.keys = match (access_key, secret_key) {
            (Some(access_key), Some(secret_key)) => {
                Some(AccessKeys { access_key, secret_key, session_token })
            }
            (None, None) if session_token.is_none() => None,
            _ => return Err(bad("access_key and secret_key are set together, session_token only with them")),
        };
        config.encryption = match (sse.as_deref(), kms_key) {
            (None, None) => None,
            (Some("AES256"), None) => Some(Encryption::Aes256),
            (Some("aws:kms"), key) => Some(Encryption::Kms(key)),
            _ => return Err(bad("sse is AES256 or aws:kms, and kms_key is for aws:kms only")),
        };
        Ok(config)
    }
}

fn bad(why: impl Into<String>) -> meridian_ports::Error {
    invalid("open", why)
}

/// The names that every service takes.
fn checked_bucket(name: &str) -> Result<String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
    if !(3..=63).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(bad("a bucket's name is 3 to 63 of a-z, 0-9, - and ."));
    }
    Ok(name.to_owned())
}

fn checked_prefix(text: &str) -> Result<String> {
    let prefix = text.trim_matches('/');
    if prefix.is_empty() {
        return Ok(String::new());
    }
    if !meridian_ports::is_blob_key(prefix) {
        return Err(bad("the prefix is up to 200 of a-z, 0-9, - _ . and /"));
    }
    Ok(format!("{prefix}/"))
}

fn checked_endpoint(value: String) -> Result<String> {
    let host = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(['@', '?', ' '])) {
        return Err(bad("endpoint begins with http:// or https://, and has no user and no query"));
    }
    Ok(value)
}

fn flag(name: &str, value: &str) -> Result<bool> {
    value.parse().map_err(|_| bad(format!("{name} is true or false")))
}

fn part_bytes(value: &str) -> Result<usize> {
    match value.parse::<usize>() {
        Ok(mib) if (5..=512).contains(&mib) => Ok(mib << 20),
        _ => Err(bad("part_mib is 5 to 512")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_everything() {
        let config = S3Config::parse(
            "s3://files/region-1/?endpoint=http://127.0.0.1:9000&region=eu-1&access_key=A&secret_key=a%2Bb/c\
             &sse=aws:kms&kms_key=k&part_mib=5",
        )
        .unwrap();
        assert_eq!((config.bucket.as_str(), config.prefix.as_str()), ("files", "region-1/"));
        assert_eq!(config.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert!(config.path_style);
        assert_eq!(config.keys.as_ref().unwrap().secret_key, "a+b/c");
        assert_eq!(config.encryption, Some(Encryption::Kms(Some("k".into()))));
        assert_eq!(config.part_bytes, 5 << 20);
        assert!(!format!("{config:?}").contains("a+b/c"));

        let short = S3Config::parse("s3://files").unwrap();
        assert_eq!((short.prefix.as_str(), short.path_style, short.keys), ("", false, None));
    }

    #[test]
    fn a_wrong_url_is_refused_without_its_secrets() {
        for wrong in [
            "http://files",
            "s3://",
            "s3://Files",
            "s3://ab",
            "s3://files/A",
            "s3://files?endpoint=127.0.0.1",
            "s3://files?access_key=hunter2",
            "s3://files?secret_key=hunter2",
            "s3://files?session_token=hunter2",
            "s3://files?sse=yes",
            "s3://files?kms_key=k",
            "s3://files?path_style=maybe",
            "s3://files?part_mib=4",
            "s3://files?secret=hunter2",
        ] {
            let error = S3Config::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
