//! Users' own attributes, "metadata".

use super::names;
use crate::{
    body_reader::{self, LIST, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    query,
    service::Body,
};
use http::StatusCode;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const PEOPLE: usize = 100;
const PAIRS: usize = 100;

/// `PUT /metadata/user/{username}`: form encoded.
pub(crate) async fn put(call: Call, body: Body) -> Answer {
    let kind = call.request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("application/json") {
        let text = "Unsupported Media Type";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", text));
    }
    let bytes = body_reader::bytes(body, SMALL, call.state.config.body_deadline).await?;
    let pairs = read_form(&bytes)?;
    let user = call.path_user().await?;
    call.state.chat.set_profile(&call.app, &user.username, &pairs).await?;
    Ok(answer(&call, object(pairs)))
}

/// The pairs of a form. The SDK sends a single pair without any encoding.
fn read_form(bytes: &[u8]) -> Result<BTreeMap<String, String>, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ApiError::illegal_argument("the body is not UTF-8"))?;
    let mut pairs = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = query::decode(name, true).zip(query::decode(value, true));
        let (name, value) = decoded.ok_or_else(|| ApiError::illegal_argument("the body is not UTF-8"))?;
        if name.is_empty() {
            return Err(ApiError::illegal_argument("an attribute has no name"));
        }
        pairs.insert(name, value);
    }
    match pairs.len() {
        1..=PAIRS => Ok(pairs),
        _ => Err(ApiError::illegal_argument(format!("the body must have 1 to {PAIRS} attributes"))),
    }
}

/// `GET /metadata/user/{username}`
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let attributes = call.state.chat.profile(&call.app, &user.username).await?;
    Ok(answer(&call, object(attributes)))
}

/// `DELETE /metadata/user/{username}`
pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    call.state.chat.delete_profile(&call.app, &user.username).await?;
    Ok(answer(&call, Value::Bool(true)))
}

/// `POST /metadata/user/get`: without `properties` all of them.
pub(crate) async fn get_many(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let asked = fields.get("targets").and_then(Value::as_array).map_or(0, Vec::len);
    if asked > PEOPLE {
        let text = format!("exceed allowed batch size {PEOPLE}");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", text));
    }
    let people = names(fields.get("targets"), "targets", PEOPLE)?;
    let wrong = || ApiError::illegal_argument("properties must be a list of names");
    let wanted: Option<Vec<&str>> = match fields.get("properties") {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) => {
            let list: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            Some(list.ok_or_else(wrong)?).filter(|list| !list.is_empty())
        }
        Some(_) => return Err(wrong()),
    };
    let found = call.state.chat.profiles(&call.app, &people).await?;
    let mut data = Map::new();
    for (name, mut attributes) in people.iter().zip(found) {
        if let Some(wanted) = &wanted {
            attributes.retain(|name, _| wanted.contains(&name.as_str()));
        }
        data.insert(name.to_string(), object(attributes));
    }
    Ok(answer(&call, Value::Object(data)))
}

/// `GET /metadata/user/capacity`
pub(crate) async fn capacity(call: Call, _body: Body) -> Answer {
    let size = call.state.chat.profiles_size(&call.app).await?;
    Ok(answer(&call, size.into()))
}

fn object(attributes: BTreeMap<String, String>) -> Value {
    Value::Object(attributes.into_iter().map(|(name, text)| (name, text.into())).collect())
}

/// Only the data and the times.
fn answer(call: &Call, data: Value) -> http::Response<Body> {
    Envelope::times_only(call).data(data).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_with_and_without_encoding() {
        let read = |text: &str| read_form(text.as_bytes()).map_err(|error| error.description.into_owned());
        let pair = |name: &str, text: &str| Ok(BTreeMap::from([(name.to_owned(), text.to_owned())]));
        assert_eq!(read("nickname=N%20x"), pair("nickname", "N x"));
        assert_eq!(read("ext=a=b"), pair("ext", "a=b"));
        assert_eq!(read("sign=50% off"), pair("sign", "50% off"));
        assert_eq!(read("ext="), pair("ext", ""));
        assert!(read("").is_err());
        assert!(read("=x").is_err());
        assert!(read("a=%ff").is_err());
    }
}
