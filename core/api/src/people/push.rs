//! Push settings of a person: what is kept with the account, language, template and bound devices.

use super::required;
use crate::{
    body_reader::{self, LIST, SMALL},
    call::Call,
    envelope::{Envelope, user_entity},
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use http::StatusCode;
use meridian_chat::{PushBinding, PushSettings};
use meridian_types::UserName;
use serde_json::{Map, Value, json};

const TEXT_BYTES: usize = 512;
const LANGUAGE_BYTES: usize = 32;
const NICKNAMES: usize = 100;
const LANGUAGE: &str = "language";
const TEMPLATE: &str = "template";

/// `PUT /users/{username}`: does what the body's keys say.
pub(crate) async fn update(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let changes = read_changes(&fields)?;
    let binding = read_binding(&fields)?;
    let nickname = body_reader::text(&fields, "nickname")?;
    if changes.is_empty() && binding.is_none() && nickname.is_none() {
        return Err(ApiError::illegal_argument("there is nothing to change"));
    }
    let mut user = call.path_user().await?;
    let chat = &call.state.chat;
    if let Some(nickname) = nickname {
        user = chat.set_nickname(&call.app, &user.username, nickname).await?;
    }
    if !changes.is_empty() {
        chat.set_push(&call.app, &user.username, changes).await?;
    }
    if let Some(binding) = &binding {
        chat.bind_push(&call.app, &user.username, binding).await?;
    }
    let entity = with_push(&call, &user).await?;
    Ok(Envelope::full(&call, "/users").entities(vec![entity]).into_response())
}

fn read_changes(fields: &Map<String, Value>) -> Result<Vec<(String, Option<Value>)>, ApiError> {
    let mut changes = Vec::new();
    for name in fields.keys() {
        let value = match name.as_str() {
            "notification_display_style" => within(fields, name, 1)?.into(),
            "notification_no_disturbing_start" | "notification_no_disturbing_end" => {
                within(fields, name, 23)?.into()
            }
            "notification_no_disturbing" => body_reader::flag(fields, name)?.into(),
            group if group.starts_with("notification_ignore_") && group.len() <= 64 => {
                body_reader::flag(fields, name)?.into()
            }
            _ => continue,
        };
        changes.push((name.clone(), Some(value)));
    }
    Ok(changes)
}

fn within(fields: &Map<String, Value>, name: &str, max: u64) -> Result<u64, ApiError> {
    let number = body_reader::number(fields, name)?.filter(|number| *number <= max);
    number.ok_or_else(|| ApiError::illegal_argument(format!("{name} must be between 0 and {max}")))
}

/// A binding has a token and a notifier; one of them empty unbinds.
fn read_binding(fields: &Map<String, Value>) -> Result<Option<PushBinding>, ApiError> {
    let token = body_reader::text(fields, "device_token")?;
    let notifier = body_reader::text(fields, "notifier_name")?;
    let device_id = body_reader::text(fields, "device_id")?;
    if token.is_none() && notifier.is_none() {
        return Ok(None);
    }
    let text = |text: Option<&str>, name: &str| match text.unwrap_or_default() {
        text if text.len() <= TEXT_BYTES => Ok(text.to_owned()),
        _ => Err(ApiError::illegal_argument(format!("{name} is longer than {TEXT_BYTES} bytes"))),
    };
    Ok(Some(PushBinding {
        device_id: text(device_id, "device_id")?,
        device_token: text(token, "device_token")?,
        notifier_name: text(notifier, "notifier_name")?,
    }))
}

/// The user as answers show it, with what is set of the push settings.
pub(crate) async fn with_push(call: &Call, user: &meridian_chat::User) -> Result<Value, ApiError> {
    let settings = call.state.chat.push(&call.app, &user.username).await?;
    let bindings = call.state.chat.push_bindings(&call.app, &user.username).await?;
    Ok(entity_of(user, settings, &bindings))
}

fn entity_of(user: &meridian_chat::User, settings: PushSettings, bindings: &[PushBinding]) -> Value {
    let mut entity = user_entity(user);
    for (name, value) in settings.into_iter().filter(|(name, _)| name.starts_with("notification_")) {
        entity[name] = value;
    }
    if let Some(last) = bindings.last() {
        entity["notifier_name"] = last.notifier_name.as_str().into();
        entity["device_token"] = last.device_token.as_str().into();
        // The Java SDK reads the capital I, the Web SDK hands on what it gets.
        let info = |bound: &PushBinding| {
            json!({
                "device_Id": bound.device_id,
                "device_id": bound.device_id,
                "device_token": bound.device_token,
                "notifier_name": bound.notifier_name,
            })
        };
        entity["pushInfo"] = bindings.iter().map(info).collect();
    }
    entity
}

/// `PUT /push/nickname`: a list of people.
pub(crate) async fn nicknames(call: Call, body: Body) -> Answer {
    let wrong = || ApiError::illegal_argument(format!("the body must be a list of 1 to {NICKNAMES} users"));
    let json = body_reader::json(body, LIST, call.state.config.body_deadline).await?;
    let list = json.as_array().filter(|list| (1..=NICKNAMES).contains(&list.len())).ok_or_else(wrong)?;
    let mut people = Vec::with_capacity(list.len());
    for item in list {
        let fields = item.as_object().ok_or_else(wrong)?;
        let name = required(fields, "username")?;
        let name = UserName::parse(name).map_err(|error| ApiError::user_name(name, error))?;
        people.push((name, body_reader::text(fields, "push_nickname")?.unwrap_or_default()));
    }
    let mut entities = Vec::with_capacity(people.len());
    for (name, nickname) in people {
        entities.push(user_entity(&call.state.chat.set_nickname(&call.app, &name, nickname).await?));
    }
    Ok(Envelope::full(&call, "/push/nickname").entities(entities).into_response())
}

/// `PUT /users/{username}/notification/language`
pub(crate) async fn set_language(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let language = body_reader::text(&fields, "translationLanguage")?;
    let language = language.ok_or_else(|| ApiError::illegal_argument("translationLanguage is required"))?;
    if language.len() > LANGUAGE_BYTES {
        return Err(ApiError::illegal_argument("parameters is invalid : translationLanguage"));
    }
    set_one(&call, LANGUAGE, language).await?;
    Ok(Envelope::plain(&call, json!({ "language": language }), 0).into_response())
}

/// `GET /users/{username}/notification/language`
pub(crate) async fn language(call: Call, _body: Body) -> Answer {
    let language = one(&call, LANGUAGE).await?;
    Ok(Envelope::plain(&call, json!({ "language": language }), 0).into_response())
}

/// `PUT /users/{username}/notification/template`
pub(crate) async fn set_template(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let name = body_reader::text(&fields, "templateName")?;
    let name = name.ok_or_else(|| ApiError::illegal_argument("templateName is required"))?;
    if !name.is_empty() {
        let known = call.state.chat.template(&call.app, name).await;
        known.map_err(|error| ApiError::from_template(error, name))?;
    }
    set_one(&call, TEMPLATE, name).await?;
    Ok(Envelope::plain(&call, json!({ "templateName": name }), 0).into_response())
}

/// `GET /users/{username}/notification/template`
pub(crate) async fn template(call: Call, _body: Body) -> Answer {
    let name = one(&call, TEMPLATE).await?;
    Ok(Envelope::plain(&call, json!({ "templateName": name }), 0).into_response())
}

/// An empty text takes it away.
async fn set_one(call: &Call, name: &str, text: &str) -> Result<(), ApiError> {
    let user = call.path_user().await?;
    let change = (name.to_owned(), Some(Value::from(text)).filter(|_| !text.is_empty()));
    Ok(call.state.chat.set_push(&call.app, &user.username, vec![change]).await?)
}

async fn one(call: &Call, name: &str) -> Result<Value, ApiError> {
    let user = call.path_user().await?;
    let mut settings = call.state.chat.push(&call.app, &user.username).await?;
    Ok(settings.remove(name).unwrap_or_else(|| "".into()))
}

/// `PUT /users/{username}/push/binding`
pub(crate) async fn bind(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let binding = read_binding(&fields)?;
    let binding = binding.ok_or_else(|| ApiError::illegal_argument("device_token is required"))?;
    let user = call.path_user().await?;
    call.state.chat.bind_push(&call.app, &user.username, &binding).await?;
    bindings_of(&call, &user.username).await
}

/// `GET /users/{username}/push/binding`
pub(crate) async fn bindings(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    bindings_of(&call, &user.username).await
}

async fn bindings_of(call: &Call, user: &UserName) -> Answer {
    let bindings = call.state.chat.push_bindings(&call.app, user).await?;
    let entity = |bound: &PushBinding| {
        json!({
            "device_id": bound.device_id,
            "device_token": bound.device_token,
            "notifier_name": bound.notifier_name,
        })
    };
    let entities = bindings.iter().map(entity).collect();
    Ok(Envelope::full(call, "/users").entities(entities).count(bindings.len()).into_response())
}

/// `POST /push/sync/{target}`: a product of its own, which this server does not have.
pub(crate) async fn sync(_call: Call, _body: Body) -> Answer {
    Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden_op", "instant push service is unopened"))
}
