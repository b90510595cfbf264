//! Coming into a room and leaving it: the request of a client, and the answer, in the shape that the SDK reads.

use super::{
    frame::{CONFERENCE_DOMAIN, jid, user_jid},
    items::Identity,
    send::{Outcome, Request},
};
use bytes::Bytes;
use meridian_link::{RoomError, RoomRequest, Standing};
use meridian_types::{
    MucId, MucKind,
    msync::{
        Meta, MucBody,
        meta::NameSpace,
        muc_body::{self, Operation},
    },
};
use prost::Message;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// Characters of a client's name that are told back to it.
const ECHO_LIMIT: usize = 128;

/// What an item about a room asks for.
pub(super) fn room_request(payload: Bytes) -> Request {
    let Ok(body) = MucBody::decode(payload) else { return unknown("") };
    let name = body.muc_id.as_ref().and_then(|id| id.name.as_deref()).unwrap_or_default();
    let room = MucId::parse(name).filter(|id| id.kind() == MucKind::Room);
    match (room, body.operation()) {
        (Some(room), Operation::Join) => Request::Room(RoomRequest::Join {
            room,
            leave_others: body.leave_other_rooms.unwrap_or_default(),
            ext: body.ext.unwrap_or_default(),
        }),
        (Some(room), Operation::Leave) => Request::Room(RoomRequest::Leave { room }),
        (None, Operation::Join | Operation::Leave) => unknown(name),
        _ => Request::Refuse(Outcome::refused(1, "operation is not supported")),
    }
}

fn unknown(name: &str) -> Request {
    Request::Refuse(not_there(name))
}

fn not_there(name: &str) -> Outcome {
    let name: String = name.chars().take(ECHO_LIMIT).collect();
    Outcome::refused(1, &format!("grpID {name} does not exist!"))
}

/// The SDK looks for these words.
pub(super) fn outcome(me: &Identity, request: RoomRequest, asked: Result<Standing, RoomError>) -> Outcome {
    let (RoomRequest::Join { room, .. } | RoomRequest::Leave { room }) = request;
    match asked {
        Ok(standing) => Outcome::Room(request, standing),
        Err(RoomError::NotFound) => not_there(&room.to_string()),
        Err(RoomError::Full) => Outcome::refused(1, "group member list is full!"),
        Err(RoomError::Blocked) => {
            let user = &me.user;
            let text = format!("can not join this group, reason: user {user} is in the blacklist");
            Outcome::refused(1, &text)
        }
        Err(RoomError::Disabled) => Outcome::refused(1, "group is disabled"),
        Err(RoomError::TooMany) => {
            Outcome::refused(1, &format!("user {} has joined too many chatrooms!", me.user))
        }
        Err(RoomError::Malformed) => Outcome::refused(1, "message is malformed"),
        Err(RoomError::NotMember) => Outcome::refused(1, "not in group or chatroom"),
        Err(RoomError::Busy) => Outcome::refused(1, "server busy"),
        Err(_) => Outcome::refused(1, "server is unavailable"),
    }
}

/// When it was, and what goes with the answer.
pub(super) fn answer(me: &Identity, request: &RoomRequest, standing: &Standing) -> (u64, Vec<Meta>) {
    let now = now_ms();
    let RoomRequest::Join { room, .. } = request else { return (now, Vec::new()) };
    // In spite of its name the time at which it ends; -1 when the person is not muted.
    let muted = match standing.muted_until {
        0 => -1,
        // What a number of clients holds.
        until => i64::try_from(until).unwrap_or(i64::MAX).min((1 << 53) - 1),
    };
    let info = json!({ me.user.as_str(): {
        "is_all_mute": standing.all_muted,
        "create_timestamp": standing.created.0,
        "is_in_white_list": standing.allowed,
        "member_count": standing.members,
        "mute_duration": muted,
    }});
    let app = me.app.as_str();
    let body = MucBody {
        muc_id: Some(jid(app, &room.to_string(), CONFERENCE_DOMAIN)),
        operation: Some(Operation::Join as i32),
        from: Some(user_jid(app, me.user.as_str())),
        is_chatroom: Some(true),
        status: Some(muc_body::Status {
            error_code: Some(0),
            chatroom_info: Some(info.to_string()),
            ..muc_body::Status::default()
        }),
        ..MucBody::default()
    };
    let payload = Some(body.encode_to_vec().into());
    (now, vec![Meta { ns: Some(NameSpace::Muc as i32), payload, ..Meta::default() }])
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
