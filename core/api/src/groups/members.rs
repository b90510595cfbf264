//! Who is in a group.

use super::{
    act_on_one, act_on_some,
    details::{affiliation, member_page},
    group_id, is_list, people, result, results, seen_inside,
};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    people::{names, number},
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
    let with_time = query.is_true("joined_time");
    let envelope = Envelope::full(&call, &format!("/chatgroups/{id}/users"));
    if query.get("limit").is_none() {
        let (skip, limit) = member_page(&call)?;
        let members = call.state.chat.group_members_behind(&call.app, id, skip, limit).await?;
        let rows: Vec<Value> = members.iter().map(|member| affiliation(member, with_time, false)).collect();
        let count = rows.len();
        return Ok(envelope.data(rows).count(count).params().into_response());
    }
    let limit = number(&call, "limit", 10, PAGE)?;
    let page = call.state.chat.group_members(&call.app, id, query.get("cursor"), limit).await?;
    // By the server SDK: only names, without the owner.
    let rows: Vec<Value> = match query.get("version") {
        Some("v3") => {
            let others = page.items.iter().filter(|member| member.role != Role::Owner);
            others.map(|member| member.user.as_str().into()).collect()
        }
        _ => page.items.iter().map(|member| affiliation(member, with_time, true)).collect(),
    };
    let count = rows.len();
    Ok(envelope.data(rows).count(count).params().cursor(page.cursor).into_response())
}

/// `GET /chatgroups/{group}/user/{username}/is_joined`
pub(crate) async fn is_joined(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let user = UserName::parse(call.param("username")).map_err(|_| ApiError::not_found())?;
    seen_inside(&call, id).await?;
    let joined = call.state.chat.is_in_group(&call.app, id, &user).await?;
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/user")).data(joined).into_response())
}

/// `POST /chatgroups/{group}/users/{member}`
pub(crate) async fn add_one(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let user = people(&call, "member", 1)?.remove(0);
    act_on_one(&call, id, add(vec![user.clone()])).await?;
    let data = result("add_member", id, &Outcome { user, error: None });
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/users")).data(data).into_response())
}

/// `POST /chatgroups/{group}/users`
pub(crate) async fn add_many(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let users = names(fields.get("usernames"), "usernames", AT_ONCE)?;
    let id = group_id(&call)?;
    let outcomes = act_on_some(&call, id, add(users)).await?;
    let added = outcomes.iter().filter(|outcome| outcome.error.is_none());
    let added: Vec<&str> = added.map(|outcome| outcome.user.as_str()).collect();
    let data = json!({ "newmembers": added, "groupid": id.to_string(), "action": "add_member" });
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/users")).data(data).into_response())
}

/// Without asking anybody, whoever adds.
fn add(people: Vec<UserName>) -> GroupAction {
    GroupAction::Add { people, consent: Consent::NotAsked }
}

/// `DELETE /chatgroups/{group}/users/{member}`: one, or several with commas.
pub(crate) async fn remove(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let users = people(&call, "member", AT_ONCE)?;
    let outcomes = act_on_some(&call, id, GroupAction::Remove(users)).await?;
    let mut rows = results("remove_member", id, &outcomes);
    let data = if is_list(&call, "member") { rows.into() } else { rows.swap_remove(0) };
    Ok(Envelope::full(&call, &format!("/chatgroups/{id}/users")).data(data).into_response())
}
