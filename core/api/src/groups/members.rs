//! Who is in a group.

use super::{
    act_on_one, act_on_some, asker,
    details::{affiliation, member_page},
    failure, group_id, is_list, people, result, results, seen_inside,
};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    people::{names, number, peer},
    service::Body,
};
use meridian_chat::{Consent, GroupAction, Outcome, Role};
use meridian_types::UserName;
use serde_json::{Value, json};

const AT_ONCE: usize = 60;
const PAGE: usize = 100;

/// `GET /chatgroups/{group}/users`: pages by number or, with `limit`, by cursor.
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_inside(&call, id).await?;
    let query = &call.request.query;
    let (by_user, is_v3) = (asker(&call).is_some(), query.get("version") == Some("v3"));
    // The UI kit gives a size without a page, and goes on by cursor.
    let by_kit = by_user && is_v3 && query.get("pagenum").is_none() && query.get("limit").is_none();
    let with_time = by_kit || query.is_true("joined_time");
    let envelope = Envelope::full(&call, &format!("/chatgroups/{id}/users"));
    if query.get("limit").is_none() && !by_kit {
        let (skip, limit) = member_page(&call)?;
        let members = call.state.chat.group_members_behind(&call.app, id, skip, limit).await?;
        let rows: Vec<Value> = members.iter().map(|member| affiliation(member, with_time, false)).collect();
        let count = rows.len();
        return Ok(envelope.data(rows).count(count).params().into_response());
    }
    let limit = number(&call, if by_kit { "pagesize" } else { "limit" }, 10, PAGE)?;
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
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/user")).data(joined).into_response())
}

/// `POST /chatgroups/{group}/users/{member}`
pub(crate) async fn add_one(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let user = peer(&call, "member").await?.username;
    act_on_one(&call, id, add(&call, vec![user.clone()])).await?;
    let data = result("add_member", id, &Outcome { user, error: None });
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/users")).data(data).into_response())
}

/// `POST /chatgroups/{group}/users`
pub(crate) async fn add_many(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let users = names(fields.get("usernames"), "usernames", AT_ONCE)?;
    let id = group_id(&call)?;
    let outcomes = act_on_some(&call, id, add(&call, users)).await?;
    let added = outcomes.iter().filter(|outcome| outcome.error.is_none());
    let added: Vec<&str> = added.map(|outcome| outcome.user.as_str()).collect();
    let data = json!({ "newmembers": added, "groupid": id.to_string(), "action": "add_member" });
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/users")).data(data).into_response())
}

/// The app adds whom it wants; a member cannot bring in people who would have to be asked.
fn add(call: &Call, people: Vec<UserName>) -> GroupAction {
    let consent = if asker(call).is_some() { Consent::AsSet } else { Consent::NotAsked };
    GroupAction::Add { people, consent }
}

/// `DELETE /chatgroups/{group}/users/{member}`: one, or several with commas.
pub(crate) async fn remove(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let users = people(&call, "member", AT_ONCE)?;
    let outcomes = act_on_some(&call, id, GroupAction::Remove(users)).await?;
    let rows = results("remove_member", id, &outcomes);
    let data = match is_list(&call, "member") {
        true => rows.into(),
        false => rows.into_iter().next().unwrap_or(Value::Null),
    };
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/users")).data(data).into_response())
}
