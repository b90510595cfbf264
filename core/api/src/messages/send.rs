//! Sends to users, groups and rooms: `POST /messages/users`, `/chatgroups`, `/chatrooms`, to some of their members under
//! `/users`, and the older `POST /messages`.

use super::body::Draft;
use crate::{
    body_reader::{self, SEND},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    people::names,
    rate::Group,
    service::Body,
};
use futures_util::{StreamExt, stream};
use meridian_chat::{ChatError, MucError, OutgoingMessage, Target};
use meridian_types::{MessageId, Millis, MucId, MucKind, UserName, room::Priority};
use serde_json::{Map, Value};
use std::collections::HashSet;

const MAX_TARGETS: usize = 600;
const MAX_GROUPS: usize = 3;
const MAX_ROOMS: usize = 10;
const MAX_MEMBERS: usize = 20;
/// Sends of one call that run at once: enough to fill a group commit, small beside the queues of the writers.
const PARALLEL: usize = 64;
/// The end of the year 9999, in milliseconds.
const LAST_TIME: u64 = 253_402_300_799_999;
/// Who sends when the caller does not say.
pub(crate) const DEFAULT_SENDER: &str = "admin";

pub(super) type Fields = Map<String, Value>;

/// A send as asked.
#[derive(Debug)]
struct Order {
    from: UserName,
    /// Each with the text that the caller used.
    to: Vec<(String, Target)>,
    /// Only these members of a group or room.
    only: Vec<UserName>,
    draft: Draft,
    priority: Priority,
    sync_device: bool,
    online_only: bool,
    at: Option<Millis>,
}

/// `POST /messages/users`
pub(crate) async fn send(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SEND, call.state.config.body_deadline).await?;
    let order = order(&fields, ("to", Kind::Users), draft(&fields)?)?;
    give(&call, "/messages/users", order).await
}

/// `POST /messages/chatgroups`
pub(crate) async fn send_to_groups(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SEND, call.state.config.body_deadline).await?;
    let order = order(&fields, ("to", Kind::Groups), draft(&fields)?)?;
    give(&call, "/messages/chatgroups", order).await
}

/// `POST /messages/chatgroups/users`: to some members of one group.
pub(crate) async fn send_to_members(call: Call, body: Body) -> Answer {
    send_to_some(&call, body, Kind::Groups, "/messages/chatgroups/users").await
}

/// `POST /messages/chatrooms`
pub(crate) async fn send_to_rooms(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SEND, call.state.config.body_deadline).await?;
    let order = order(&fields, ("to", Kind::Rooms), draft(&fields)?)?;
    give(&call, "/messages/chatrooms", order).await
}

/// `POST /messages/chatrooms/users`: to some members of one room.
pub(crate) async fn send_in_room(call: Call, body: Body) -> Answer {
    send_to_some(&call, body, Kind::Rooms, "/messages/chatrooms/users").await
}

async fn send_to_some(call: &Call, body: Body, kind: Kind, path: &str) -> Answer {
    let fields = body_reader::object(body, SEND, call.state.config.body_deadline).await?;
    let mut order = order(&fields, ("to", kind), draft(&fields)?)?;
    if order.to.len() != 1 {
        let what = if kind == Kind::Rooms { "room" } else { "group" };
        return Err(ApiError::illegal_argument(format!("to must be a list of one {what}")));
    }
    order.only = names(fields.get("users"), "users", MAX_MEMBERS)?;
    give(call, path, order).await
}

fn draft(fields: &Fields) -> Result<Draft, ApiError> {
    let kind =
        body_reader::text(fields, "type")?.ok_or_else(|| ApiError::illegal_argument("type is required"))?;
    let Some(body) = fields.get("body").and_then(Value::as_object) else {
        return Err(ApiError::illegal_argument("body is required"));
    };
    Draft::parse(kind, body, fields.get("ext"))
}

async fn give(call: &Call, path: &str, order: Order) -> Answer {
    let sent = deliver(call, order).await?;
    let data = sent.ids.into_iter().map(|(to, id)| (to, Value::from(id.to_string()))).collect::<Fields>();
    Ok(answer(call, path, data, sent.failed))
}

/// What targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Users,
    Groups,
    Rooms,
}

impl Kind {
    fn rate(self) -> &'static str {
        match self {
            Self::Users => "messages-users",
            Self::Groups => "messages-groups",
            Self::Rooms => "messages-rooms",
        }
    }
}

/// `POST /messages`, with the ids only when `useMsgId=true`.
pub(crate) async fn send_legacy(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SEND, call.state.config.body_deadline).await?;
    let targets = match body_reader::text(&fields, "target_type")? {
        Some("users") => Kind::Users,
        Some("chatgroups") => Kind::Groups,
        Some("chatrooms") => Kind::Rooms,
        _ => {
            let text = "target_type can only be 'users' or 'chatgroups' or 'chatrooms'";
            return Err(ApiError::illegal_argument(text));
        }
    };
    let Some(message) = fields.get("msg").and_then(Value::as_object) else {
        return Err(ApiError::illegal_argument("msg is required"));
    };
    let kind =
        body_reader::text(message, "type")?.ok_or_else(|| ApiError::illegal_argument("type is required"))?;
    let order = order(&fields, ("target", targets), Draft::parse(kind, message, fields.get("ext"))?)?;
    if targets != Kind::Users
        && let Some(group) = Group::named(targets.rate())
    {
        // The route itself counts as a message to users.
        call.charge(group, 1).await?;
    }
    let sent = deliver(&call, order).await?;
    let with_ids = call.request.query.is_true("useMsgId");
    let word = |id: MessageId| if with_ids { id.to_string() } else { "success".to_owned() };
    let data = sent.ids.into_iter().map(|(to, id)| (to, Value::from(word(id)))).collect::<Fields>();
    Ok(answer(&call, "/messages", data, sent.failed))
}

fn answer(call: &Call, path: &str, data: Fields, failed: Fields) -> http::Response<Body> {
    let envelope = Envelope::full(call, path).data(data);
    // Not in the documentation, which knows no partial failure; without it a caller could not tell whom to try again.
    let envelope = if failed.is_empty() { envelope } else { envelope.set("errors", failed) };
    envelope.into_response()
}

fn order(fields: &Fields, (name, kind): (&str, Kind), draft: Draft) -> Result<Order, ApiError> {
    let online_only = match body_reader::text(fields, "routetype")? {
        None | Some("" | "ROUTE_ALL") => false,
        Some("ROUTE_ONLINE") => true,
        Some(_) => return Err(ApiError::illegal_argument("routetype can only be 'ROUTE_ONLINE'")),
    };
    Ok(Order {
        from: sender(fields)?,
        to: receivers(fields, name, kind)?,
        only: Vec::new(),
        draft,
        priority: if kind == Kind::Rooms { priority(fields)? } else { Priority::default() },
        sync_device: body_reader::flag(fields, "sync_device")?,
        online_only,
        at: time(fields)?,
    })
}

/// What of a room's messages is left out first.
pub(super) fn priority(fields: &Fields) -> Result<Priority, ApiError> {
    match body_reader::text(fields, "chatroom_msg_level")? {
        None | Some("normal") => Ok(Priority::Normal),
        Some("high") => Ok(Priority::High),
        Some("low") => Ok(Priority::Low),
        Some(_) => {
            Err(ApiError::illegal_argument("chatroom_msg_level can only be 'high', 'normal' or 'low'"))
        }
    }
}

/// The time to record, if the caller gives one.
fn time(fields: &Fields) -> Result<Option<Millis>, ApiError> {
    match body_reader::number(fields, "msg_timestamp")? {
        Some(ms) if ms > LAST_TIME => {
            Err(ApiError::illegal_argument("msg_timestamp must be in milliseconds"))
        }
        ms => Ok(ms.map(Millis)),
    }
}

pub(crate) fn sender(fields: &Fields) -> Result<UserName, ApiError> {
    let text = match fields.get("from") {
        None => DEFAULT_SENDER,
        Some(_) => body_reader::text(fields, "from")?.unwrap_or_default(),
    };
    if text.is_empty() {
        return Err(ApiError::illegal_argument("from can't be empty"));
    }
    UserName::parse(text).map_err(|error| ApiError::user_name(text, error))
}

fn receivers(fields: &Fields, name: &str, kind: Kind) -> Result<Vec<(String, Target)>, ApiError> {
    let (what, limit) = match kind {
        Kind::Users => ("users", MAX_TARGETS),
        Kind::Groups => ("groups", MAX_GROUPS),
        Kind::Rooms => ("rooms", MAX_ROOMS),
    };
    let Some(targets) = fields.get(name).and_then(Value::as_array).filter(|targets| !targets.is_empty())
    else {
        return Err(ApiError::illegal_argument(format!("{name} must be a list of {what}")));
    };
    if targets.len() > limit {
        return Err(ApiError::illegal_argument(format!("{name} has more than {limit} {what}")));
    }
    let mut receivers: Vec<(String, Target)> = Vec::with_capacity(targets.len());
    let mut seen = HashSet::new();
    for target in targets {
        let text = match (target, kind) {
            (Value::String(text), _) => text.clone(),
            // Ids of groups are also written as numbers.
            (Value::Number(number), Kind::Groups | Kind::Rooms) => number.to_string(),
            _ => return Err(ApiError::illegal_argument(format!("{name} must be strings"))),
        };
        let target = match kind {
            Kind::Users => {
                Target::User(UserName::parse(&text).map_err(|error| ApiError::user_name(&text, error))?)
            }
            Kind::Groups | Kind::Rooms => {
                let is_wanted = |id: &MucId| (id.kind() == MucKind::Room) == (kind == Kind::Rooms);
                let id = MucId::parse(&text).filter(is_wanted);
                Target::Muc(id.ok_or_else(|| ApiError::group_not_found(&text))?)
            }
        };
        if seen.insert(target.to_string()) {
            receivers.push((text, target));
        }
    }
    Ok(receivers)
}

#[derive(Debug)]
struct Sent {
    ids: Vec<(String, MessageId)>,
    failed: Fields,
}

fn send_error(error: ChatError, to: &str, only: &[UserName]) -> ApiError {
    match error {
        // The app may write to every group and room: those who are named are not in.
        ChatError::Muc(MucError::NotPermitted { .. }) => ApiError::not_members(only),
        ChatError::Muc(error) => ApiError::from_group(&error, to, false),
        other => other.into(),
    }
}

/// Sends to everybody. An error only when nobody was reached: what was sent cannot be taken back.
async fn deliver(call: &Call, order: Order) -> Result<Sent, ApiError> {
    let kind = match order.to.first() {
        Some((_, Target::Muc(id))) if id.kind() == MucKind::Room => Kind::Rooms,
        Some((_, Target::Muc(_))) => Kind::Groups,
        _ => Kind::Users,
    };
    if let Some(group) = Group::named(kind.rate()) {
        let extra = u32::try_from(order.to.len() - 1).unwrap_or(u32::MAX);
        call.charge(group, extra).await?;
    }
    let Order { from, to, only, draft, priority, sync_device, online_only, at } = order;
    let (from, draft, only) = (&from, &draft, &only);
    let mut outcomes = stream::iter(to)
        .map(|(text, to)| async move {
            let message = OutgoingMessage {
                from: from.clone(),
                body: draft.encode(from, &to),
                to,
                only: only.clone(),
                priority,
                is_broadcast: false,
                sync_device,
                online_only,
                at,
            };
            let sent = call.state.chat.send(&call.app, message).await;
            (text.clone(), sent.map_err(|error| send_error(error, &text, only)))
        })
        .buffered(PARALLEL);
    let mut sent = Sent { ids: Vec::new(), failed: Fields::new() };
    let mut first_error = None;
    while let Some((to, outcome)) = outcomes.next().await {
        match outcome {
            Ok(id) => sent.ids.push((to, id)),
            Err(error) => {
                sent.failed.insert(to, error.error.into());
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if sent.ids.is_empty() => Err(error),
        _ => Ok(sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Order, String> {
        let body = json!({"msg": "hi"});
        let draft = Draft::parse("txt", body.as_object().unwrap(), None).unwrap();
        order(value.as_object().unwrap(), ("to", Kind::Users), draft)
            .map_err(|error| error.description.into_owned())
    }

    #[test]
    fn an_order_is_read() {
        let order = read(json!({"from": "Alice", "to": ["Bob", "carl", "BOB"], "sync_device": true,
            "routetype": "ROUTE_ONLINE", "msg_timestamp": "1700000000000"}))
        .unwrap();
        assert_eq!(order.from.as_str(), "alice");
        let texts: Vec<_> = order.to.iter().map(|(text, to)| (text.as_str(), to.to_string())).collect();
        assert_eq!(texts, [("Bob", "bob".to_owned()), ("carl", "carl".to_owned())]);
        assert!(order.sync_device && order.online_only);
        assert_eq!(order.at, Some(Millis(1_700_000_000_000)));

        let order = read(json!({"to": ["bob"]})).unwrap();
        assert_eq!(order.from.as_str(), "admin");
        assert!(!order.sync_device && !order.online_only && order.at.is_none());
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(read(json!({"from": "", "to": ["bob"]})).unwrap_err(), "from can't be empty");
        assert_eq!(read(json!({"from": null, "to": ["bob"]})).unwrap_err(), "from can't be empty");
        assert_eq!(read(json!({})).unwrap_err(), "to must be a list of users");
        assert_eq!(read(json!({"to": []})).unwrap_err(), "to must be a list of users");
        assert_eq!(read(json!({"to": "bob"})).unwrap_err(), "to must be a list of users");
        assert_eq!(read(json!({"to": [5]})).unwrap_err(), "to must be strings");
        assert_eq!(read(json!({"to": ["b b"]})).unwrap_err(), "username [b b] is not legal");
        let error = read(json!({"to": ["bob"], "routetype": "ROUTE_X"})).unwrap_err();
        assert_eq!(error, "routetype can only be 'ROUTE_ONLINE'");
        let error = read(json!({"to": ["bob"], "msg_timestamp": u64::MAX})).unwrap_err();
        assert_eq!(error, "msg_timestamp must be in milliseconds");
        let many: Vec<_> = (0..601).map(|n| format!("u{n}")).collect();
        assert_eq!(read(json!({"to": many})).unwrap_err(), "to has more than 600 users");
        let enough: Vec<_> = (0..600).map(|n| format!("u{n}")).collect();
        assert_eq!(read(json!({"to": enough})).unwrap().to.len(), 600);
    }
}
