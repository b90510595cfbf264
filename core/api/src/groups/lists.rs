//! Admins, block list and allow list.

use super::{
    Terms, act, act_on_one, answer, group_id, is_list, people, results, seen_by_member, seen_inside, single,
};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    error::ApiError,
    handlers::Answer,
    people::{names, required},
    service::Body,
};
use meridian_chat::{ChatError, GroupAction, Outcome};
use meridian_types::{MucId, UserName};
use serde_json::json;

const AT_ONCE: usize = 60;

async fn usernames(call: &Call, body: Body) -> Result<Vec<UserName>, ApiError> {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    names(fields.get("usernames"), "usernames", AT_ONCE)
}

fn listed(call: &Call, id: MucId, what: &str, users: &[UserName]) -> Answer {
    let rows: Vec<&str> = users.iter().map(UserName::as_str).collect();
    Ok(answer(call, id, what).data(rows).count(users.len()).into_response())
}

/// Does it to all who are named, whatever becomes of each.
async fn change(
    call: &Call,
    what: &str,
    word: &'static str,
    users: Vec<UserName>,
    action: GroupAction,
) -> Answer {
    let id = group_id(call)?;
    let one = users.len() == 1 && !is_list(call, "member");
    let outcomes = act(call, id, action).await?;
    let rows = results(Terms::of_lists(word, id), id, &outcomes);
    let has_path = call.request.params.has("member");
    let data = if one && has_path { single(call, rows) } else { rows.into() };
    Ok(answer(call, id, what).data(data).into_response())
}

/// Does it to the one who is named; failing for the one is failing.
async fn change_one(
    call: &Call,
    what: &str,
    word: &'static str,
    users: Vec<UserName>,
    action: GroupAction,
) -> Answer {
    let id = group_id(call)?;
    act_on_one(call, id, action).await?;
    let outcomes: Vec<Outcome> = users.into_iter().map(|user| Outcome { user, error: None }).collect();
    let rows = results(Terms::of_lists(word, id), id, &outcomes);
    Ok(answer(call, id, what).data(single(call, rows)).into_response())
}

/// `GET /chatgroups/{group}/admin`
pub(crate) async fn admins(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_inside(&call, id).await?;
    let admins = call.state.chat.group_admins(&call.app, id).await?;
    listed(&call, id, "admin", &admins)
}

/// `POST /chatgroups/{group}/admin`
pub(crate) async fn add_admin(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let user = UserName::parse(required(&fields, "newadmin")?).map_err(|_| ChatError::UserNotFound)?;
    let id = group_id(&call)?;
    act_on_one(&call, id, GroupAction::Admin { user: user.clone(), on: true }).await?;
    let data = json!({ "result": "success", "newadmin": user.as_str() });
    Ok(answer(&call, id, "admin").data(data).into_response())
}

/// `DELETE /chatgroups/{group}/admin/{member}`
pub(crate) async fn remove_admin(call: Call, _body: Body) -> Answer {
    let user = people(&call, "member", 1)?.remove(0);
    let id = group_id(&call)?;
    act_on_one(&call, id, GroupAction::Admin { user: user.clone(), on: false }).await?;
    let data = json!({ "result": "success", "oldadmin": user.as_str() });
    Ok(answer(&call, id, "admin").data(data).into_response())
}

/// `GET /chatgroups/{group}/blocks/users`
pub(crate) async fn blocked(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_by_member(&call, id).await?;
    let blocked = call.state.chat.group_blocked(&call.app, id).await?;
    listed(&call, id, "blocks/users", &blocked)
}

/// `POST /chatgroups/{group}/blocks/users/{member}`
pub(crate) async fn block_one(call: Call, _body: Body) -> Answer {
    let users = people(&call, "member", 1)?;
    change_one(&call, "blocks/users", "add_blocks", users.clone(), GroupAction::Block(users)).await
}

/// `POST /chatgroups/{group}/blocks/users`
pub(crate) async fn block_many(call: Call, body: Body) -> Answer {
    let users = usernames(&call, body).await?;
    change(&call, "blocks/users", "add_blocks", users.clone(), GroupAction::Block(users)).await
}

/// `DELETE /chatgroups/{group}/blocks/users/{member}`: one, or several with commas.
pub(crate) async fn unblock(call: Call, _body: Body) -> Answer {
    let users = people(&call, "member", AT_ONCE)?;
    change(&call, "blocks/users", "remove_blocks", users.clone(), GroupAction::Unblock(users)).await
}

/// `GET /chatgroups/{group}/white/users`
pub(crate) async fn allowed(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_by_member(&call, id).await?;
    let allowed = call.state.chat.group_allowed(&call.app, id).await?;
    listed(&call, id, "white/users", &allowed)
}

/// `GET /chatgroups/{group}/white/users/{member}`
pub(crate) async fn is_allowed(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_by_member(&call, id).await?;
    let user = people(&call, "member", 1)?.remove(0);
    let allowed = call.state.chat.group_allowed(&call.app, id).await?.contains(&user);
    let data = json!({ "member": user.as_str(), "white": allowed });
    Ok(answer(&call, id, "white/users").data(data).into_response())
}

/// `POST /chatgroups/{group}/white/users/{member}`
pub(crate) async fn allow_one(call: Call, _body: Body) -> Answer {
    let people = people(&call, "member", 1)?;
    let action = GroupAction::Allow { people: people.clone(), on: true };
    change_one(&call, "white/users", "add_user_whitelist", people, action).await
}

/// `POST /chatgroups/{group}/white/users`
pub(crate) async fn allow_many(call: Call, body: Body) -> Answer {
    let people = usernames(&call, body).await?;
    let action = GroupAction::Allow { people: people.clone(), on: true };
    change(&call, "white/users", "add_user_whitelist", people, action).await
}

/// `DELETE /chatgroups/{group}/white/users/{member}`: one, or several with commas.
pub(crate) async fn disallow(call: Call, _body: Body) -> Answer {
    let people = people(&call, "member", AT_ONCE)?;
    let action = GroupAction::Allow { people: people.clone(), on: false };
    change(&call, "white/users", "remove_user_whitelist", people, action).await
}
