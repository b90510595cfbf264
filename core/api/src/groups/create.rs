//! The beginning of a group.

use super::{Fields, actor, asker, limited, switch};
use crate::{
    body_reader::{self, LIST},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use meridian_chat::{ChatError, Consent, MucError, NewGroup};
use meridian_types::{MucId, UserName};
use serde_json::{Value, json};

pub(crate) const NAME: usize = 128;
pub(crate) const DESCRIPTION: usize = 512;
pub(crate) const CUSTOM: usize = 1024;
pub(crate) const AVATAR: usize = 1024;
const MEMBERS: usize = 100;
const MAX_USERS: u64 = 200;

/// `POST /chatgroups`
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let group = read(&call, &fields)?;
    let consent = if asker(&call).is_some() { Consent::AsSet } else { Consent::NotAsked };
    let id = group.id;
    let created = call.state.chat.create_group(&call.app, actor(&call), consent, group).await;
    let id = created.map_err(|error| match error {
        ChatError::Muc(error) => {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            match error {
                // The client SDK looks for these words.
                MucError::Full => ApiError::forbidden("members size is greater than max user size !"),
                other => ApiError::from_group(&other, &id, asker(&call).is_some()),
            }
        }
        other => other.into(),
    })?;
    Ok(Envelope::full(&call, "/chatgroups").data(json!({ "groupid": id.to_string() })).into_response())
}

fn read(call: &Call, fields: &Fields) -> Result<NewGroup, ApiError> {
    let missing = |name: &str| ApiError::illegal_argument(format!("{name} is required"));
    let name = limited(fields, &["groupname", "name"], NAME)?.filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| missing("groupname"))?;
    let owner = match (body_reader::text(fields, "owner")?, asker(call)) {
        (Some(owner), _) => UserName::parse(owner).map_err(|error| ApiError::user_name(owner, error))?,
        (None, Some(user)) => user.clone(),
        (None, None) => return Err(missing("owner")),
    };
    if asker(call).is_some_and(|user| user != &owner) {
        return Err(ApiError::no_right());
    }
    let id = match fields.get("groupid") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(chosen(text)?),
        Some(Value::Number(number)) => Some(chosen(&number.to_string())?),
        Some(_) => return Err(ApiError::illegal_argument("groupid must be a string")),
    };
    let public = switch(fields, &["public"])?.unwrap_or(false);
    let max_users = body_reader::number(fields, "maxusers")?.unwrap_or(MAX_USERS);
    if max_users == 0 {
        return Err(ApiError::illegal_argument("maxusers must be 1 or more"));
    }
    Ok(NewGroup {
        id,
        name: name.to_owned(),
        description: limited(fields, &["description", "desc"], DESCRIPTION)?.unwrap_or_default().to_owned(),
        owner,
        members: members(fields)?,
        public,
        approval: switch(fields, &["membersonly", "members_only", "approval"])?.unwrap_or(false),
        allow_invites: switch(fields, &["allowinvites"])?.unwrap_or(false),
        invite_need_confirm: switch(fields, &["invite_need_confirm"])?.unwrap_or(true),
        max_users,
        custom: limited(fields, &["custom"], CUSTOM)?.unwrap_or_default().to_owned(),
        avatar: limited(fields, &["avatar"], AVATAR)?.unwrap_or_default().to_owned(),
    })
}

fn chosen(text: &str) -> Result<MucId, ApiError> {
    MucId::parse(text).ok_or_else(|| ApiError::illegal_argument("groupid is not legal"))
}

pub(crate) fn members(fields: &Fields) -> Result<Vec<UserName>, ApiError> {
    match fields.get("members") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.is_empty() => Ok(Vec::new()),
        list => crate::people::names(list, "members", MEMBERS),
    }
}
