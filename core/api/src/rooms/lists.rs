//! Lists of rooms.

use crate::{
    call::Call,
    envelope::Envelope,
    error::ApiError,
    groups::{asker, details::page},
    handlers::Answer,
    people::number,
    service::Body,
};
use meridian_chat::{GroupEntry, Page};
use serde_json::{Value, json};

const PAGE: usize = 100;
/// Rooms that one can page through by numbers; the others are reached by cursor.
const NUMBERED: usize = 2000;
/// Rooms that one person can be in are fewer.
const JOINED: usize = 500;

/// An owner as lists for clients show them: the SDK takes the name from behind the first `_`.
fn long_name(call: &Call, room: &GroupEntry) -> String {
    format!("{}_{}", call.app.key, room.info.owner)
}

/// `GET /chatrooms`: pages by cursor or, with `pagenum` or `pagesize`, by number.
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let query = &call.request.query;
    let has = |name| query.get(name).is_some();
    let is_numbered = (has("pagenum") || has("pagesize")) && !has("limit") && !has("cursor");
    let rooms = match is_numbered {
        true => numbered(&call).await?,
        false => {
            let limit = number(&call, "limit", 10, PAGE)?;
            call.state.chat.rooms(&call.app, query.get("cursor"), limit).await?
        }
    };
    let row = |room: &GroupEntry| {
        let owner = match asker(&call) {
            Some(_) => long_name(&call, room),
            None => room.info.owner.to_string(),
        };
        json!({
            "id": room.info.id.to_string(),
            "name": room.info.name,
            "owner": owner,
            "affiliations_count": room.size,
        })
    };
    let rows: Vec<Value> = rooms.items.iter().map(row).collect();
    let count = rows.len();
    let envelope = Envelope::full(&call, "/chatrooms").data(rows).count(count).params();
    Ok(envelope.cursor(rooms.cursor).into_response())
}

/// A page by number: the ones before it are passed over.
async fn numbered(call: &Call) -> Result<Page<GroupEntry>, ApiError> {
    let (skip, size) = page(call, 1, 20, PAGE)?;
    let mut rooms = Page { items: Vec::new(), cursor: None };
    if skip >= NUMBERED {
        return Ok(rooms);
    }
    let mut left = skip;
    loop {
        let limit = if left > 0 { left.min(PAGE) } else { size };
        let cursor = rooms.cursor.take();
        rooms = call.state.chat.rooms(&call.app, cursor.as_deref(), limit).await?;
        if left == 0 {
            // Whoever counts pages does not want a cursor.
            return Ok(Page { cursor: None, ..rooms });
        }
        if rooms.cursor.is_none() {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        left = left.saturating_sub(rooms.items.len().max(1));
    }
}

/// `GET /users/{username}/joined_chatrooms`
pub(crate) async fn joined(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let (skip, limit) = page(&call, 1, JOINED, JOINED)?;
    let rooms = call.state.chat.joined_rooms(&call.app, &user.username).await?;
    // Servers read `name`; clients `title` and what follows.
    let row = |room: &GroupEntry| {
        json!({
            "id": room.info.id.to_string(),
            "name": room.info.name,
            "title": room.info.name,
            "owner": long_name(&call, room),
            "created": room.info.created.0,
            "description": room.info.description,
            "max_users": room.info.max_users,
        })
    };
    let rows: Vec<Value> = rooms.iter().skip(skip).take(limit).map(row).collect();
    let count = rows.len();
    let path = format!("/users/{}/joined_chatrooms", user.username);
    Ok(Envelope::full(&call, &path).data(rows).count(count).params().into_response())
}
