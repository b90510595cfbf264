//! Reads JSON bodies: bounded in size, time and depth. The content type is not looked at, since SDKs send none.

use crate::{error::ApiError, service::Body};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use std::time::Duration;

/// The documented limit of a JSON body.
pub(crate) const SMALL: usize = 5 * 1024;
/// Lists of 60 users or 100 names do not fit in the documented limit, though they are documented too.
pub(crate) const LIST: usize = 32 * 1024;
/// The documented 40 KB of a send, and 600 targets of 64 bytes each.
pub(crate) const SEND: usize = 80 * 1024;

/// A body that is a JSON object.
pub(crate) async fn object(
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<Map<String, Value>, ApiError> {
    match json(body, limit, deadline).await? {
        Value::Object(fields) => Ok(fields),
        _ => Err(ApiError::json_parse("the request body must be a JSON object")),
    }
}

/// A body as it is.
pub(crate) async fn bytes(body: Body, limit: usize, deadline: Duration) -> Result<Bytes, ApiError> {
    tokio::time::timeout(deadline, read(body, limit)).await.map_err(|_| ApiError::timeout())?
}

pub(crate) async fn json(body: Body, limit: usize, deadline: Duration) -> Result<Value, ApiError> {
    let bytes = bytes(body, limit, deadline).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::json_parse("the request body is empty"));
    }
    // Invalid UTF-8 and more than 128 levels are errors of the parser.
    serde_json::from_slice(&bytes).map_err(|error| ApiError::json_parse(error.to_string()))
}

async fn read(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::too_large(limit as u64);
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::illegal_argument("the request body broke off"))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// The text of a field; `None` when it is absent or null.
pub(crate) fn text<'f>(fields: &'f Map<String, Value>, name: &str) -> Result<Option<&'f str>, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::illegal_argument(format!("{name} must be a string"))),
    }
}

/// A flag; SDKs write some as text.
pub(crate) fn flag(fields: &Map<String, Value>, name: &str) -> Result<bool, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(ApiError::illegal_argument(format!("{name} must be a boolean"))),
    }
}

/// A number that may be written as decimal text; `None` when it is absent or null.
pub(crate) fn number(fields: &Map<String, Value>, name: &str) -> Result<Option<u64>, ApiError> {
    let number = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    let wrong = || ApiError::illegal_argument(format!("{name} must be a whole number, 0 or more"));
    number.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::bytes_body;
    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    const LONG: Duration = Duration::from_secs(5);

    async fn error_of(bytes: impl Into<Bytes>) -> (u16, &'static str) {
        let error = json(bytes_body(bytes), 100_000, LONG).await.unwrap_err();
        (error.status.as_u16(), error.error)
    }

    #[tokio::test]
    async fn bad_json_is_named() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for bad in [&b""[..], b"  ", b"{", b"{\"a\":1}x", b"\"\xff\"", deep.as_bytes()] {
            assert_eq!(error_of(bad.to_vec()).await, (400, "json_parse"));
        }
        assert!(object(bytes_body("[1]"), 100, LONG).await.is_err());
    }

    #[tokio::test]
    async fn a_body_is_bounded_in_size_and_time() {
        let error = object(bytes_body(vec![b' '; 101]), 100, LONG).await.unwrap_err();
        assert_eq!((error.status.as_u16(), error.error), (413, "Request Entity Too Large"));

        let pieces = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(b"          "))));
        let endless = StreamBody::new(pieces).boxed_unsync();
        assert_eq!(object(endless, 100, LONG).await.unwrap_err().status, 413);

        let silent = StreamBody::new(stream::pending().boxed()).boxed_unsync();
        let error = object(silent, 100, Duration::from_millis(10)).await.unwrap_err();
        assert_eq!((error.status.as_u16(), error.error), (408, "timeout"));
    }

    #[test]
    fn fields_are_read_as_clients_write_them() {
        let fields: Map<String, Value> = serde_json::from_str(
            r#"{"a":"x","n":null,"t":true,"s":"False","i":5,"d":"1700","neg":-1,"f":1.5,"o":{}}"#,
        )
        .unwrap();
        assert_eq!(text(&fields, "a").unwrap(), Some("x"));
        assert_eq!(text(&fields, "n").unwrap(), None);
        assert!(text(&fields, "i").is_err());
        assert!(flag(&fields, "t").unwrap());
        assert!(!flag(&fields, "s").unwrap());
        assert!(!flag(&fields, "missing").unwrap());
        assert!(flag(&fields, "i").is_err());
        assert_eq!(number(&fields, "i").unwrap(), Some(5));
        assert_eq!(number(&fields, "d").unwrap(), Some(1700));
        assert_eq!(number(&fields, "n").unwrap(), None);
        for bad in ["neg", "f", "o", "a"] {
            assert!(number(&fields, bad).is_err(), "{bad}");
        }
    }
}
