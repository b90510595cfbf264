//! Asking, being asked, and leaving, as clients do it.

use super::{act, act_on_one, asker, group_id};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    people::{names, required},
    service::Body,
};
use meridian_chat::{ChatError, Consent, GroupAction, MucError};
use meridian_types::UserName;
use serde_json::{Value, json};

const AT_ONCE: usize = 60;
const REASON: usize = 1024;

fn reason(fields: &super::Fields, name: &str) -> Result<String, ApiError> {
    Ok(super::limited(fields, &[name], REASON)?.unwrap_or_default().to_owned())
}

fn answer(call: &Call, what: &str, user: &str) -> Answer {
    let data = json!({ "result": true, "action": what, "id": call.param("group"), "user": user });
    Ok(Envelope::full(call, &format!("/chatgroups/{}/{what}", call.param("group")))
        .data(data)
        .into_response())
}

fn own_name(call: &Call) -> &str {
    asker(call).map_or("", UserName::as_str)
}

/// `POST /chatgroups/{group}/invite`
pub(crate) async fn invite(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let people = names(fields.get("usernames"), "usernames", AT_ONCE)?;
    let id = group_id(&call)?;
    let outcomes = act(&call, id, GroupAction::Add { people, consent: Consent::AsSet }).await?;
    if outcomes.iter().all(|outcome| outcome.error.is_some())
        && let Some(error) = outcomes.iter().find_map(|outcome| outcome.error.as_ref())
    {
        return Err(match error {
            // The client SDK looks for these words.
            MucError::AlreadyMember { user } => ApiError::forbidden(format!(
                "invite users to join group failed, {user} already in group: {id}"
            )),
            other => ApiError::from_group(other, &id.to_string(), true),
        });
    }
    let rows: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            let reason = outcome
                .error
                .as_ref()
                .map(|error| ApiError::from_group(error, &id.to_string(), true).description.into_owned());
            json!({
                "result": outcome.error.is_none(),
                "action": "invite",
                "id": id.to_string(),
                "user": outcome.user.as_str(),
                "reason": reason.unwrap_or_default(),
            })
        })
        .collect();
    Ok(super::answer(&call, id, "invite").data(rows).into_response())
}

/// `POST /chatgroups/{group}/apply`
pub(crate) async fn apply(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let reason = reason(&fields, "message")?;
    act_on_one(&call, group_id(&call)?, GroupAction::Apply { reason }).await?;
    answer(&call, "apply", own_name(&call))
}

/// `POST /chatgroups/{group}/apply_verify`
pub(crate) async fn decide(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let applicant = UserName::parse(required(&fields, "applicant")?).map_err(|_| ChatError::UserNotFound)?;
    let accept = body_reader::flag(&fields, "verifyResult")?;
    let reason = reason(&fields, "reason")?;
    let action = GroupAction::Decide { applicant: applicant.clone(), accept, reason };
    act_on_one(&call, group_id(&call)?, action).await?;
    answer(&call, "apply_verify", applicant.as_str())
}

/// `POST /chatgroups/{group}/invite_verify`
pub(crate) async fn respond(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    // Nobody answers for somebody else.
    if body_reader::text(&fields, "invitee")?.is_some_and(|name| !name.eq_ignore_ascii_case(own_name(&call)))
    {
        return Err(ApiError::no_right());
    }
    let accept = body_reader::flag(&fields, "verifyResult")?;
    let reason = reason(&fields, "reason")?;
    act_on_one(&call, group_id(&call)?, GroupAction::Answer { accept, reason }).await?;
    answer(&call, "invite_verify", own_name(&call))
}

/// `DELETE /chatgroups/{group}/quit`
pub(crate) async fn quit(call: Call, _body: Body) -> Answer {
    act_on_one(&call, group_id(&call)?, GroupAction::Leave).await?;
    answer(&call, "quit", own_name(&call))
}

/// `POST /chatgroups/{group}/shield`
pub(crate) async fn shield(call: Call, _body: Body) -> Answer {
    act_on_one(&call, group_id(&call)?, GroupAction::Shield(true)).await?;
    answer(&call, "shield", own_name(&call))
}

/// `DELETE /chatgroups/{group}/shield`
pub(crate) async fn unshield(call: Call, _body: Body) -> Answer {
    act_on_one(&call, group_id(&call)?, GroupAction::Shield(false)).await?;
    answer(&call, "shield", own_name(&call))
}
