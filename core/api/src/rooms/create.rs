//! The beginning of a room.

use crate::{
    body_reader::{self, LIST},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    groups::{
        Fields, actor, asker,
        create::{CUSTOM, DESCRIPTION, NAME, members},
        limited,
    },
    handlers::Answer,
    service::Body,
};
use meridian_chat::{ChatError, MucError, NewRoom};
use meridian_types::UserName;
use serde_json::json;

/// `POST /chatrooms`: by the app, or by a super admin.
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, LIST, call.state.config.body_deadline).await?;
    let room = read(&call, &fields)?;
    let created = call.state.chat.create_room(&call.app, actor(&call), room).await;
    let id = created.map_err(|error| match error {
        // The client SDK looks for these words.
        ChatError::Muc(MucError::Full) => ApiError::forbidden("members size is greater than max user size !"),
        ChatError::Muc(error) => ApiError::from_room(&error, "", asker(&call).is_some()),
        other => other.into(),
    })?;
    Ok(Envelope::full(&call, "/chatrooms").data(json!({ "id": id.to_string() })).into_response())
}

fn read(call: &Call, fields: &Fields) -> Result<NewRoom, ApiError> {
    let missing = |name: &str| ApiError::illegal_argument(format!("{name} is required"));
    let name = limited(fields, &["name", "groupname"], NAME)?.filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| missing("name"))?;
    let owner = match (body_reader::text(fields, "owner")?, asker(call)) {
        (Some(owner), _) => UserName::parse(owner).map_err(|error| ApiError::user_name(owner, error))?,
        (None, Some(user)) => user.clone(),
        (None, None) => return Err(missing("owner")),
    };
    let max_users = body_reader::number(fields, "maxusers")?.unwrap_or(call.app.settings.room_size_limit);
    if max_users == 0 {
        return Err(ApiError::illegal_argument("maxusers must be 1 or more"));
    }
    Ok(NewRoom {
        name: name.to_owned(),
        description: limited(fields, &["description", "desc"], DESCRIPTION)?.unwrap_or_default().to_owned(),
        owner,
        members: members(fields)?,
        max_users,
        custom: limited(fields, &["custom"], CUSTOM)?.unwrap_or_default().to_owned(),
    })
}
