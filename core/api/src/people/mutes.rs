//! Who may not send anywhere in the app.

use super::number;
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::{Envelope, now_ms},
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use http::StatusCode;
use meridian_chat::{ChatError, Mutes};
use meridian_types::UserName;
use serde_json::{Map, Value, json};

const PAGE: usize = 50;
const PAGES: usize = 100_000;

fn check_open(call: &Call) -> Result<(), ApiError> {
    match call.app.settings.mutes_enabled {
        true => Ok(()),
        false => {
            let text = "user_mute is not used for this app";
            Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden_op", text))
        }
    }
}

fn no_such_user(error: ChatError) -> ApiError {
    match error {
        ChatError::UserNotFound => ApiError::no_username(),
        other => other.into(),
    }
}

/// `POST /mutes`
pub(crate) async fn set(call: Call, body: Body) -> Answer {
    check_open(&call)?;
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let name = body_reader::text(&fields, "username")?.unwrap_or_default();
    let user = UserName::parse(name).map_err(|_| ApiError::no_username())?;
    let now = now_ms();
    let change = Mutes {
        chat: until(&fields, "chat", now)?,
        groupchat: until(&fields, "groupchat", now)?,
        chatroom: until(&fields, "chatroom", now)?,
    };
    call.state.chat.set_mutes(&call.app, &user, change).await.map_err(no_such_user)?;
    Ok(Envelope::full(&call, "/mutes").data(json!({ "result": "ok" })).into_response())
}

/// Seconds from now, 0 to lift, -1 without end.
fn until(fields: &Map<String, Value>, name: &str, now: u64) -> Result<Option<u64>, ApiError> {
    let seconds = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    match seconds {
        Some(-1) => Ok(Some(Mutes::FOR_EVER)),
        Some(0) => Ok(Some(0)),
        Some(seconds @ 1..=0x7fff_ffff) => Ok(Some(now + seconds.unsigned_abs() * 1000)),
        _ => {
            Err(ApiError::illegal_argument(format!("{name} must be -1, 0 or a number of seconds below 2^31")))
        }
    }
}

/// Seconds that are left; -1 without end.
fn left(until: u64, now: u64) -> i64 {
    match until {
        Mutes::FOR_EVER => -1,
        _ => i64::try_from(until.saturating_sub(now).div_ceil(1000)).unwrap_or(i64::MAX),
    }
}

/// `GET /mutes/{member}`
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    check_open(&call)?;
    let user = UserName::parse(call.param("member")).map_err(|_| ApiError::no_username())?;
    let mutes = call.state.chat.mutes(&call.app, &user).await.map_err(no_such_user)?;
    let now = now_ms();
    let data = json!({
        "userid": full_name(&call, &user),
        "chat": left(mutes.chat.unwrap_or(0), now),
        "groupchat": left(mutes.groupchat.unwrap_or(0), now),
        "chatroom": left(mutes.chatroom.unwrap_or(0), now),
        "unixtime": now / 1000,
    });
    Ok(Envelope::full(&call, "/mutes").data(data).into_response())
}

/// `GET /mutes?pageNum&pageSize`: a row for each person and kind of chat.
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    check_open(&call)?;
    let size = number(&call, "pageSize", 10, PAGE)?;
    let page = number(&call, "pageNum", 1, PAGES)?;
    let now = now_ms();
    let mut rows = Vec::new();
    for record in call.state.chat.muted(&call.app, (page - 1) * size, size).await? {
        let mutes = record.mutes;
        for (kind, until) in
            [("chat", mutes.chat), ("groupchat", mutes.groupchat), ("chatroom", mutes.chatroom)]
        {
            if let Some(until) = until {
                let mut row =
                    json!({ "username": record.user.as_str(), "userid": full_name(&call, &record.user) });
                row[kind] = left(until, now).into();
                rows.push(row);
            }
        }
    }
    let count = rows.len();
    let data = json!({ "data": rows, "unixtime": now / 1000 });
    Ok(Envelope::full(&call, "/mutes").data(data).params().count(count).into_response())
}

fn full_name(call: &Call, user: &UserName) -> String {
    format!("{}_{user}", call.app.key)
}
