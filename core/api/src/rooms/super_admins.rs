//! Who may make rooms with a user's token.

use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    groups::details::page,
    handlers::Answer,
    people::required,
    service::Body,
};
use meridian_chat::ChatError;
use meridian_types::UserName;
use serde_json::json;

const PAGE: usize = 100;
const PATH: &str = "/chatrooms/super_admin";

/// `GET /chatrooms/super_admin`
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let (skip, limit) = page(&call, 1, 10, PAGE)?;
    let admins = call.state.chat.super_admins(&call.app).await?;
    let rows: Vec<&str> = admins.iter().skip(skip).take(limit).map(UserName::as_str).collect();
    let count = rows.len();
    Ok(Envelope::full(&call, PATH).data(rows).count(count).params().into_response())
}

/// `POST /chatrooms/super_admin`
pub(crate) async fn add(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let user = UserName::parse(required(&fields, "superadmin")?).map_err(|_| ChatError::UserNotFound)?;
    call.state.chat.set_super_admin(&call.app, &user, true).await?;
    Ok(Envelope::full(&call, PATH).data(json!({ "result": "success", "resource": "" })).into_response())
}

/// `DELETE /chatrooms/super_admin/{member}`: nothing happens to who is none.
pub(crate) async fn remove(call: Call, _body: Body) -> Answer {
    let user = UserName::parse(call.param("member")).map_err(|_| ChatError::UserNotFound)?;
    call.state.chat.set_super_admin(&call.app, &user, false).await?;
    let data = json!({ "newSuperAdmin": user.as_str(), "resource": "" });
    Ok(Envelope::full(&call, PATH).data(data).into_response())
}
