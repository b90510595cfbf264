//! Changing a group, its owner, its end.

use super::{
    Fields, act, actor,
    create::{AVATAR, CUSTOM, DESCRIPTION, NAME},
    failure, group_id, limited, path, switch,
};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use http::StatusCode;
use meridian_chat::{ChatError, GroupAction, GroupChanges, MucError};
use meridian_types::{MucId, MucKind, UserName};
use serde_json::json;

const FIELDS: [&str; 14] = [
    "groupname",
    "name",
    "description",
    "desc",
    "maxusers",
    "membersonly",
    "members_only",
    "approval",
    "allowinvites",
    "invite_need_confirm",
    "public",
    "custom",
    "need_verify",
    "avatar",
];

/// `PUT /chatgroups/{group}`: settings, or the owner.
pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let id = group_id(&call)?;
    if let Some(owner) = body_reader::text(&fields, "newowner")? {
        return transfer(&call, id, owner).await;
    }
    check_known(&fields, &FIELDS)?;
    act(&call, id, GroupAction::Update(read(&fields)?)).await?;
    let done: Fields = fields.keys().map(|name| (name.clone(), true.into())).collect();
    Ok(answer(&call, id).data(done).into_response())
}

/// Gives a group or room to another of its members.
pub(crate) async fn transfer(call: &Call, id: MucId, owner: &str) -> Answer {
    let owner = UserName::parse(owner).map_err(|error| ApiError::user_name(owner, error))?;
    let action = GroupAction::Transfer(owner.clone());
    let done = call.state.chat.manage_group(&call.app, id, actor(call), action).await;
    done.map_err(|error| match error {
        ChatError::Muc(MucError::NotMember { user }) if user == owner => {
            ApiError::forbidden(format!("user: {user} doesn't exist in group: {id}"))
        }
        other => failure(call, id)(other),
    })?;
    Ok(answer(call, id).data(json!({ "newowner": true })).into_response())
}

/// Refuses what cannot be set.
pub(crate) fn check_known(fields: &Fields, known: &[&str]) -> Result<(), ApiError> {
    let unknown: Vec<&str> =
        fields.keys().map(String::as_str).filter(|name| !known.contains(name)).take(10).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let text: String = unknown.join(", ").chars().take(200).collect();
    let text = format!("some of [{text}] are not valid fields");
    Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_parameter", text))
}

pub(crate) fn answer(call: &Call, id: MucId) -> Envelope<'_> {
    Envelope::full(call, &path(id))
}

pub(crate) fn read(fields: &Fields) -> Result<GroupChanges, ApiError> {
    let text = |names: &[&str], limit| -> Result<Option<String>, ApiError> {
        Ok(limited(fields, names, limit)?.map(str::to_owned))
    };
    let name = text(&["groupname", "name"], NAME)?;
    if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(ApiError::illegal_argument("groupname must not be empty"));
    }
    let max_users = body_reader::number(fields, "maxusers")?;
    if max_users == Some(0) {
        return Err(ApiError::illegal_argument("maxusers must be 1 or more"));
    }
    Ok(GroupChanges {
        name,
        description: text(&["description", "desc"], DESCRIPTION)?,
        public: switch(fields, &["public"])?,
        approval: switch(fields, &["membersonly", "members_only", "approval"])?,
        allow_invites: switch(fields, &["allowinvites"])?,
        invite_need_confirm: switch(fields, &["invite_need_confirm"])?,
        max_users,
        custom: text(&["custom"], CUSTOM)?,
        avatar: text(&["avatar"], AVATAR)?,
    })
}

/// `DELETE /chatgroups/{group}`
pub(crate) async fn destroy(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    act(&call, id, GroupAction::Destroy).await?;
    let mut data = json!({ "success": true, "id": id.to_string() });
    if id.kind() == MucKind::Group {
        data["groupid"] = id.to_string().into();
    }
    Ok(answer(&call, id).data(data).into_response())
}

/// `POST /chatgroups/{group}/disable`
pub(crate) async fn disable(call: Call, _body: Body) -> Answer {
    set_disabled(&call, true).await
}

/// `POST /chatgroups/{group}/enable`
pub(crate) async fn enable(call: Call, _body: Body) -> Answer {
    set_disabled(&call, false).await
}

async fn set_disabled(call: &Call, disabled: bool) -> Answer {
    let id = group_id(call)?;
    act(call, id, GroupAction::Disable(disabled)).await?;
    Ok(answer(call, id).data(json!({ "disabled": disabled })).into_response())
}
