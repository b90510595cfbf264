//! `GET /chatfiles/{file}`: the bytes, a stretch of them, or a thumbnail.
//!
//! The same URL is the `src` of media tags, which send no header: the share secret in the query must suffice.

use super::{
    range::{self, Wanted},
    thumbnail,
};
use crate::{
    auth::bearer,
    call::Call,
    envelope::error_response,
    error::ApiError,
    handlers::Answer,
    service::{Body, bytes_body},
};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use meridian_chat::FileRecord;
use subtle::ConstantTimeEq;

pub(crate) async fn download(call: Call, _body: Body) -> Answer {
    let found = call.state.chat.file(&call.app, call.param("file")).await?;
    let file = found.ok_or_else(ApiError::not_found)?;
    check_access(&call, &file).await?;
    if asks(&call, "vframe") && !file.content_type.starts_with("image/") {
        // Nobody here decodes videos; sending the whole video to an image tag would help nobody.
        return Err(ApiError::not_found());
    }
    if (asks(&call, "thumbnail") || asks(&call, "vframe"))
        && let Some(picture) = thumbnail::of(&call, &file).await?
    {
        let mut response = Response::new(bytes_body(picture.bytes.clone()));
        describe(response.headers_mut(), &file, picture.content_type, picture.bytes.len() as u64);
        return Ok(response);
    }
    content(&call, &file).await
}

/// A switch that may be a header or in the query.
fn asks(call: &Call, name: &str) -> bool {
    call.request.query.is_true(name)
        || call.request.header(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

async fn check_access(call: &Call, file: &FileRecord) -> Result<(), ApiError> {
    if !file.restricted {
        return Ok(());
    }
    let given = [call.request.query.get("share-secret"), call.request.header("share-secret")];
    let secret = file.share_secret.as_bytes();
    if given.into_iter().flatten().any(|text| bool::from(text.as_bytes().ct_eq(secret))) {
        return Ok(());
    }
    match bearer(&call.request.headers)? {
        // Any token of the app: the members of a group may read each other's files.
        Some(token) => call.state.chat.identify(&call.app, token).await.map(drop).map_err(ApiError::from),
        None => Err(ApiError::file_forbidden()),
    }
}

/// The bytes, or a stretch of them.
pub(crate) async fn content(call: &Call, file: &FileRecord) -> Answer {
    let unchanged = match call.request.header(header::IF_RANGE.as_str()) {
        None => true,
        Some(condition) => condition == etag(file),
    };
    let wanted = call.request.header(header::RANGE.as_str()).filter(|_| unchanged);
    let (status, stretch) = match range::parse(wanted, file.size) {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
        Wanted::Unsatisfiable => return Ok(unsatisfiable(call, file)),
    };
    let length = stretch.as_ref().map_or(file.size, |range| range.end - range.start);
    let stream = call.state.chat.read_file(&call.app, file, stretch.clone()).await?;
    let stream = stream.ok_or_else(ApiError::not_found)?;
    let body = StreamBody::new(stream.map_ok(Frame::data).map_err(Into::into)).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    describe(response.headers_mut(), file, &file.content_type, length);
    if let Some(range) = stretch {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, file.size);
        insert(response.headers_mut(), header::CONTENT_RANGE, &text);
    }
    Ok(response)
}

fn unsatisfiable(call: &Call, file: &FileRecord) -> Response<Body> {
    let text = format!("the file has {} bytes", file.size);
    let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", text);
    let mut response = error_response(&error, call.request.started);
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", file.size));
    response
}

fn describe(headers: &mut HeaderMap, file: &FileRecord, content_type: &str, length: u64) {
    // The uploader chose the type: a page or script of theirs must never run on this origin.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !is_shown(content_type) {
        let nothing_runs = HeaderValue::from_static("sandbox; default-src 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing_runs);
    }
    let kind = HeaderValue::try_from(content_type);
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A file never changes, but the URL may hold its secret: no shared cache.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400"));
    insert(headers, header::ETAG, &etag(file));
    insert(headers, header::CONTENT_DISPOSITION, &disposition(content_type, &file.name));
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

fn etag(file: &FileRecord) -> String {
    format!("\"{}\"", file.uuid)
}

/// Media are shown, everything else is saved.
fn is_shown(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (family, rest) = kind.split_once('/').unwrap_or_default();
    // A vector image is a document with scripts.
    matches!(family, "image" | "audio" | "video") && !rest.starts_with("svg")
}

fn disposition(content_type: &str, name: &str) -> String {
    let how = if is_shown(content_type) { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{}", escape(name))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(byte.into());
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_shown_and_pages_are_saved() {
        assert!(disposition("image/png", "a.png").starts_with("inline; filename=\"a.png\""));
        assert!(disposition("video/mp4; codecs=x", "a").starts_with("inline"));
        for kind in ["text/html", "image/svg+xml", "IMAGE/SVG+XML", "application/xhtml+xml", "", "image"] {
            assert!(disposition(kind, "a").starts_with("attachment"), "{kind}");
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_header() {
        let text = disposition("image/png", "a\"; x=\r\n照.png");
        let expected =
            "inline; filename=\"a_;_x=___.png\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A%E7%85%A7.png";
        assert_eq!(text, expected);
        assert!(HeaderValue::try_from(text).is_ok());
    }
}
