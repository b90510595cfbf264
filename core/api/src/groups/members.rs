//! Who is in a group.

use super::{
    Terms, act_on_one, act_on_some, answer, asker,
    details::{affiliation, page},
    failure, group_id, is_list, people, result, results, seen_inside,
};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    error::ApiError,
    handlers::Answer,
    people::{names, number, peer},
    service::Body,
};
use http::StatusCode;
use meridian_chat::{Consent, GroupAction, MucError, Outcome, Role};
use meridian_types::{MucId, MucKind, UserName};
use serde_json::{Value, json};

const ADDED_AT_ONCE: usize = 60;
const PAGE: usize = 100;

/// What the documentation has other numbers for.
struct Numbers {
    page: usize,
    max_page: usize,
    removed_at_once: usize,
}

fn numbers(id: MucId) -> Numbers {
    match id.kind() {
        MucKind::Room => Numbers { page: 1000, max_page: 1000, removed_at_once: 100 },
        _ => Numbers { page: 10, max_page: PAGE, removed_at_once: 60 },
    }
}

/// `GET /chatgroups/{group}/users`: pages by number or, with `limit`, by cursor.
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_inside(&call, id).await?;
    let query = &call.request.query;
    let (by_user, is_v3) = (asker(&call).is_some(), query.get("version") == Some("v3"));
    // The UI kit gives a size without a page, and goes on by cursor.
    let by_kit = by_user && is_v3 && query.get("pagenum").is_none() && query.get("limit").is_none();
    let with_time = by_kit || query.is_true("joined_time");
    let (numbers, envelope) = (numbers(id), answer(&call, id, "users"));
    if query.get("limit").is_none() && !by_kit {
        let (skip, limit) = page(&call, 1, numbers.page, numbers.max_page)?;
        let members = call.state.chat.group_members_behind(&call.app, id, skip, limit).await?;
        let rows: Vec<Value> = members.iter().map(|member| affiliation(member, with_time, false)).collect();
        let count = rows.len();
        return Ok(envelope.data(rows).count(count).params().into_response());
    }
    let limit = number(&call, if by_kit { "pagesize" } else { "limit" }, 10, numbers.max_page)?;
    let backwards = match query.get("sort") {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(ApiError::illegal_argument("sort must be asc or desc")),
    };
    let page = call.state.chat.group_members(&call.app, id, query.get("cursor"), limit, backwards).await?;
    // By the server SDK: only names, without the owner.
    let rows: Vec<Value> = match is_v3 && !by_user {
        true => {
            let others = page.items.iter().filter(|member| member.role != Role::Owner);
            others.map(|member| member.user.as_str().into()).collect()
        }
        false => page.items.iter().map(|member| affiliation(member, with_time, true)).collect(),
    };
    let count = rows.len();
    Ok(envelope.data(rows).count(count).params().cursor(page.cursor).into_response())
}

/// `GET /chatgroups/{group}/user/{username}/is_joined`
pub(crate) async fn is_joined(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let user = UserName::parse(call.param("username")).map_err(|_| ApiError::not_found())?;
    // Everybody may ask about themselves.
    if asker(&call) != Some(&user) {
        seen_inside(&call, id).await?;
    }
    let joined = call.state.chat.is_in_group(&call.app, id, &user).await.map_err(failure(&call, id))?;
    Ok(answer(&call, id, "user").data(joined).into_response())
}

/// `POST /chatgroups/{group}/users/{member}`
pub(crate) async fn add_one(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let user = newcomer(&call, id).await?;
    act_on_one(&call, id, add(&call, vec![user.clone()])).await?;
    let data = result(Terms::of_members("add_member", id), id, &Outcome { user, error: None });
    Ok(answer(&call, id, "users").data(data).into_response())
}

/// An unknown one is not found; for the app, in a room, they are a bad argument, as in batches.
async fn newcomer(call: &Call, id: MucId) -> Result<UserName, ApiError> {
    let found = peer(call, "member").await;
    match (found, UserName::parse(call.param("member"))) {
        (Err(error), Ok(user))
            if error.status == StatusCode::NOT_FOUND
                && id.kind() == MucKind::Room
                && asker(call).is_none() =>
        {
            Err(failure(call, id)(MucError::NoUser { user }.into()))
        }
        (found, _) => Ok(found?.username),
    }
}

/// `POST /chatgroups/{group}/users`
pub(crate) async fn add_many(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let users = names(fields.get("usernames"), "usernames", ADDED_AT_ONCE)?;
    let id = group_id(&call)?;
    let outcomes = act_on_some(&call, id, add(&call, users)).await?;
    let added = outcomes.iter().filter(|outcome| outcome.error.is_none());
    let added: Vec<&str> = added.map(|outcome| outcome.user.as_str()).collect();
    let terms = Terms::of_members("add_member", id);
    let data = json!({ "newmembers": added, terms.id: id.to_string(), "action": terms.action });
    Ok(answer(&call, id, "users").data(data).into_response())
}

/// The app adds whom it wants; a member cannot bring in people who would have to be asked.
fn add(call: &Call, people: Vec<UserName>) -> GroupAction {
    let consent = if asker(call).is_some() { Consent::AsSet } else { Consent::NotAsked };
    GroupAction::Add { people, consent }
}

/// `DELETE /chatgroups/{group}/users/{member}`: one, or several with commas.
pub(crate) async fn remove(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let users = people(&call, "member", numbers(id).removed_at_once)?;
    let outcomes = act_on_some(&call, id, GroupAction::Remove(users)).await?;
    let rows = results(Terms::of_members("remove_member", id), id, &outcomes);
    let data = match is_list(&call, "member") {
        true => rows.into(),
        false => rows.into_iter().next().unwrap_or(Value::Null),
    };
    Ok(answer(&call, id, "users").data(data).into_response())
}
