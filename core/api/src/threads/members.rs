//! Who is in a thread.

use super::{act, asker, entity, failure, life::check_in_group, thread_id};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    people::{names, number},
    service::Body,
};
use meridian_chat::{ChatError, MucError, ThreadAction};
use meridian_types::UserName;
use serde_json::{Value, json};

const AT_ONCE: usize = 10;
const PAGE: usize = 50;

/// `GET /thread/{thread}/users?limit&cursor`
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let id = thread_id(&call)?;
    let limit = number(&call, "limit", PAGE, PAGE)?;
    let thread = call.state.chat.thread(&call.app, id, asker(&call)).await.map_err(failure)?;
    check_in_group(&call, &thread).await?;
    let cursor = call.request.query.get("cursor");
    let page = call.state.chat.group_members(&call.app, id, cursor, limit, false).await.map_err(failure)?;
    let users: Vec<&str> = page.items.iter().map(|member| member.user.as_str()).collect();
    let envelope = Envelope::full(&call, "/thread").data(json!({ "affiliations": users }));
    Ok(envelope.set("properties", super::lists::properties(page.cursor)).into_response())
}

/// `POST /thread/{thread}/users`
pub(crate) async fn add(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let users = names(fields.get("usernames"), "usernames", AT_ONCE)?;
    if asker(&call).is_some_and(|user| users != [user.clone()]) {
        return Err(ApiError::no_right());
    }
    let outcomes = act(&call, thread_id(&call)?, ThreadAction::Join(users)).await?;
    if let (true, Some(error)) = (
        outcomes.iter().all(|outcome| outcome.error.is_some()),
        outcomes.into_iter().find_map(|outcome| outcome.error),
    ) {
        return Err(ApiError::from_thread(&error));
    }
    Ok(Envelope::full(&call, "/thread").data(json!({ "status": "ok" })).into_response())
}

/// `POST /thread/{thread}/user/{username}/join`
pub(crate) async fn join(call: Call, _body: Body) -> Answer {
    let (id, user) = (thread_id(&call)?, call.path_user().await?.username);
    let outcomes = act(&call, id, ThreadAction::Join(vec![user])).await?;
    match outcomes.into_iter().find_map(|outcome| outcome.error) {
        // Twice is as good as once.
        None | Some(MucError::AlreadyMember { .. }) => {}
        Some(error) => return Err(ApiError::from_thread(&error)),
    }
    let thread = call.state.chat.thread(&call.app, id, asker(&call)).await.map_err(failure)?;
    let data = json!({ "status": "ok", "detail": entity(&thread) });
    Ok(Envelope::full(&call, "/thread").data(data).into_response())
}

/// `DELETE /thread/{thread}/user/{username}/quit`
pub(crate) async fn quit(call: Call, _body: Body) -> Answer {
    let (id, user) = (thread_id(&call)?, call.path_user().await?.username);
    let action = match asker(&call) {
        Some(_) => ThreadAction::Leave,
        None => ThreadAction::Remove(vec![user]),
    };
    act(&call, id, action).await?;
    Ok(Envelope::full(&call, "/thread").data(json!({ "result": true })).into_response())
}

/// `DELETE /thread/{thread}/users`, and under `/threads`
pub(crate) async fn remove(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let users = names(fields.get("usernames"), "usernames", AT_ONCE)?;
    let outcomes = act(&call, thread_id(&call)?, ThreadAction::Remove(users)).await?;
    let row = |outcome: &meridian_chat::Outcome| json!({ "result": outcome.error.is_none(), "user": outcome.user.as_str() });
    let rows: Vec<Value> = outcomes.iter().map(row).collect();
    Ok(Envelope::full(&call, "/thread").entities(rows).into_response())
}

/// `DELETE /thread/{thread}/users/{peer}`
pub(crate) async fn remove_one(call: Call, _body: Body) -> Answer {
    let user = UserName::parse(call.param("peer")).map_err(|_| ChatError::UserNotFound)?;
    let outcomes = act(&call, thread_id(&call)?, ThreadAction::Remove(vec![user.clone()])).await?;
    if let Some(error) = outcomes.into_iter().find_map(|outcome| outcome.error) {
        return Err(ApiError::from_thread(&error));
    }
    let data = json!({ "result": true, "user": user.as_str() });
    Ok(Envelope::full(&call, "/thread").data(data).into_response())
}
