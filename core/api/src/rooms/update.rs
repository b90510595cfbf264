//! Changing a room, or its owner.

use crate::{
    body_reader::{self, SMALL},
    call::Call,
    groups::{
        Fields, act, group_id,
        update::{answer, check_known, read, transfer},
    },
    handlers::Answer,
    service::Body,
};
use meridian_chat::GroupAction;

const FIELDS: [&str; 7] = ["groupname", "name", "description", "desc", "maxusers", "custom", "need_verify"];

/// `PUT /chatrooms/{room}`: settings, or the owner.
pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let id = group_id(&call)?;
    if let Some(owner) = body_reader::text(&fields, "newowner")? {
        return transfer(&call, id, owner).await;
    }
    check_known(&fields, &FIELDS)?;
    act(&call, id, GroupAction::Update(read(&fields)?)).await?;
    // Documented so: a name is answered as that of a group.
    let done = |name: &str| if name == "name" { "groupname".to_owned() } else { name.to_owned() };
    let done: Fields = fields.keys().map(|name| (done(name), true.into())).collect();
    Ok(answer(&call, id).data(done).into_response())
}
