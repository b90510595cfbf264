//! Who may not speak in a group.

use super::{act, act_on_some, answer, group_id, people, reason, seen, seen_by_member};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::now_ms,
    error::ApiError,
    handlers::Answer,
    people::names,
    service::Body,
};
use meridian_chat::{GroupAction, Mutes};
use meridian_types::{MucKind, UserName};
use serde_json::{Value, json};

const MUTED_AT_ONCE: usize = 10;
/// The documentation has no number; so many fit in a body.
const MUTED_AT_ONCE_IN_ROOMS: usize = 60;
const UNMUTED_AT_ONCE: usize = 60;
/// What a number of clients holds; later is for ever.
const LAST_TIME: u64 = 253_402_300_799_999;

/// A time, or -1 for ever.
fn expire(until: u64) -> Value {
    if until == Mutes::FOR_EVER { json!(-1) } else { json!(until) }
}

/// `GET /chatgroups/{group}/mute`
pub(crate) async fn muted(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_by_member(&call, id).await?;
    let muted = call.state.chat.group_muted(&call.app, id).await?;
    let row = |muted: &meridian_chat::MutedMember| json!({ "user": muted.user.as_str(), "expire": expire(muted.until) });
    let rows: Vec<Value> = muted.iter().map(row).collect();
    let count = rows.len();
    Ok(answer(&call, id, "mute").data(rows).count(count).into_response())
}

/// `GET /sdk/chatgroups/{group}/mute/{username}`: whether the caller is muted.
pub(crate) async fn is_muted(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let user = UserName::parse(call.param("username")).map_err(|_| ApiError::not_found())?;
    seen(&call, id).await?;
    let muted = call.state.chat.group_muted(&call.app, id).await?;
    let muted = muted.iter().any(|member| member.user == user);
    Ok(answer(&call, id, "mute").data(muted).into_response())
}

/// `POST /chatgroups/{group}/mute`
pub(crate) async fn mute(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let id = group_id(&call)?;
    let at_once = if id.kind() == MucKind::Room { MUTED_AT_ONCE_IN_ROOMS } else { MUTED_AT_ONCE };
    let people = names(fields.get("usernames"), "usernames", at_once)?;
    let duration = match fields.get("mute_duration") {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let until = match duration {
        Some(-1) => Mutes::FOR_EVER,
        Some(ms @ 1..) => now_ms().saturating_add(ms.unsigned_abs()),
        _ => return Err(ApiError::illegal_argument("mute_duration must be -1 or a number of milliseconds")),
    };
    let until = if until > LAST_TIME { Mutes::FOR_EVER } else { until };
    let outcomes = act_on_some(&call, id, GroupAction::Mute { people, until }).await?;
    let row = |outcome: &meridian_chat::Outcome| {
        let mut row = json!({
            "result": outcome.error.is_none(),
            "expire": expire(until),
            "user": outcome.user.as_str(),
        });
        if let Some(error) = &outcome.error {
            row["reason"] = reason(error, id, "group").into();
        }
        row
    };
    let rows: Vec<Value> = outcomes.iter().map(row).collect();
    Ok(answer(&call, id, "mute").data(rows).into_response())
}

/// `DELETE /chatgroups/{group}/mute/{member}`: one, or several with commas.
pub(crate) async fn unmute(call: Call, _body: Body) -> Answer {
    let people = people(&call, "member", UNMUTED_AT_ONCE)?;
    let id = group_id(&call)?;
    act(&call, id, GroupAction::Unmute(people.clone())).await?;
    let rows: Vec<Value> =
        people.iter().map(|user| json!({ "result": true, "user": user.as_str() })).collect();
    Ok(answer(&call, id, "mute").data(rows).into_response())
}

/// `POST /chatgroups/{group}/ban`
pub(crate) async fn ban(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    act(&call, id, GroupAction::MuteAll(true)).await?;
    Ok(answer(&call, id, "ban").data(json!({ "mute": true })).into_response())
}

/// `DELETE /chatgroups/{group}/ban`
pub(crate) async fn unban(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    act(&call, id, GroupAction::MuteAll(false)).await?;
    Ok(answer(&call, id, "ban").data(json!({ "mute": false })).into_response())
}
