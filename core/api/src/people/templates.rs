//! Texts of push notifications.

use super::required;
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::Envelope,
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use meridian_chat::PushTemplate;
use serde_json::{Value, json};

const NAME_CHARS: usize = 64;

/// `POST /notification/template`
pub(crate) async fn create(call: Call, body: Body) -> Answer {
    put(call, body, false).await
}

/// `PUT /notification/template`
pub(crate) async fn update(call: Call, body: Body) -> Answer {
    put(call, body, true).await
}

async fn put(call: Call, body: Body, must_exist: bool) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let name = required(&fields, "name")?;
    if name.chars().count() > NAME_CHARS || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(ApiError::illegal_argument("parameters is invalid : name"));
    }
    let texts = (required(&fields, "title_pattern")?, required(&fields, "content_pattern")?);
    let put = call.state.chat.put_template(&call.app, name, texts, must_exist).await;
    let template = put.map_err(|error| ApiError::from_template(error, name))?;
    Ok(Envelope::full(&call, "/notification/template").data(data(&template)).into_response())
}

/// `GET /notification/template/{name}`
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let name = call.param("name");
    let found = call.state.chat.template(&call.app, name).await;
    let template = found.map_err(|error| ApiError::from_template(error, name))?;
    Ok(Envelope::full(&call, "/notification/template").data(data(&template)).into_response())
}

/// `DELETE /notification/template/{name}`
pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let name = call.param("name");
    let deleted = call.state.chat.delete_template(&call.app, name).await;
    let template = deleted.map_err(|error| ApiError::from_template(error, name))?;
    Ok(Envelope::full(&call, "/notification/template").data(data(&template)).into_response())
}

fn data(template: &PushTemplate) -> Value {
    json!({
        "name": template.name,
        "title_pattern": template.title_pattern,
        "content_pattern": template.content_pattern,
        "createAt": template.created,
        "updateAt": template.updated,
    })
}
