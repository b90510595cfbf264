//! A message to all rooms: `POST /messages/chatrooms/broadcast`.

use super::{
    body::Draft,
    send::{priority, sender},
};
use crate::{
    body_reader::{self, SEND},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    rate::Group,
    service::Body,
};
use meridian_chat::Target;
use meridian_types::MucId;
use serde_json::{Value, json};

/// Beside the rate of the route, which is by the minute.
const DAILY_RATE: &str = "broadcast-day";

/// `POST /messages/chatrooms/broadcast`
pub(crate) async fn broadcast(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SEND, call.state.config.body_deadline).await?;
    let Some(message) = fields.get("msg").and_then(Value::as_object) else {
        return Err(ApiError::illegal_argument("msg is required"));
    };
    let kind =
        body_reader::text(message, "type")?.ok_or_else(|| ApiError::illegal_argument("type is required"))?;
    let draft = Draft::parse(kind, message, fields.get("ext"))?;
    let (from, priority) = (sender(&fields)?, priority(&fields)?);
    let sync_device = body_reader::flag(&fields, "sync_device")?;
    if let Some(group) = Group::named(DAILY_RATE) {
        call.charge(group, 1).await?;
    }
    let encode = |id: MucId| draft.encode(&from, &Target::Muc(id));
    let id = call.state.chat.broadcast(&call.app, &from, priority, sync_device, &encode).await?;
    let data = json!({ "id": id.to_string() });
    Ok(Envelope::full(&call, "/messages/chatrooms/broadcast").data(data).into_response())
}
