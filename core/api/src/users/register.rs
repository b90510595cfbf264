//! `POST /users`: one user, or with the app's token up to 60 at once.

use crate::{
    auth::bearer,
    body_reader::{self, LIST},
    call::Call,
    envelope::{Envelope, user_entity},
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use meridian_chat::{ChatError, Identity, NewUser, Registration, User};
use meridian_types::UserName;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

const MAX_BATCH: usize = 60;
/// Registrations of one batch that run at once; the password hashes are bounded further in.
const PARALLEL: usize = 4;

pub(crate) async fn register(call: Call, body: Body) -> Answer {
    let by_app = is_app(&call).await?;
    match body_reader::json(body, LIST, call.state.config.body_deadline).await? {
        Value::Object(fields) => {
            if !by_app && call.app.settings.registration != Registration::Open {
                return Err(ApiError::registration_closed());
            }
            one(&call, parse(&fields, !by_app)?).await
        }
        Value::Array(_) if !by_app => Err(ApiError::registration_closed()),
        Value::Array(items) => batch(&call, parse_all(&items)?).await,
        _ => Err(ApiError::json_parse("the request body must be an object or an array")),
    }
}

/// Whether the app itself registers. A user's token counts as none: it is of no use here.
async fn is_app(call: &Call) -> Result<bool, ApiError> {
    match bearer(&call.request.headers)? {
        None => Ok(false),
        Some(token) => Ok(call.state.chat.identify(&call.app, token).await? == Identity::App),
    }
}

async fn one(call: &Call, user: NewUser) -> Answer {
    let name = user.username.clone();
    let user = call.state.chat.register(&call.app, user).await.map_err(|error| match error {
        ChatError::UserExists => ApiError::user_exists(&call.app.uuid, &name),
        other => other.into(),
    })?;
    Ok(Envelope::full(call, "/users").entities(vec![user_entity(&user)]).into_response())
}

async fn batch(call: &Call, users: Vec<NewUser>) -> Answer {
    let registered: Vec<Result<User, UserName>> = stream::iter(users)
        .map(|user| async move {
            let name = user.username.clone();
            match call.state.chat.register(&call.app, user).await {
                Ok(user) => Ok(Ok(user)),
                Err(ChatError::UserExists) => Ok(Err(name)),
                Err(other) => Err(ApiError::from(other)),
            }
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let mut entities = Vec::new();
    let mut failures = Vec::new();
    for outcome in registered {
        match outcome {
            Ok(user) => entities.push(user_entity(&user)),
            Err(name) => failures.push(json!({
                "username": name.as_str(),
                "registerUserFailReason": format!("the {name} already exists"),
            })),
        }
    }
    Ok(Envelope::full(call, "/users").entities(entities).data(failures).into_response())
}

fn parse(fields: &Map<String, Value>, password_required: bool) -> Result<NewUser, ApiError> {
    let name = body_reader::text(fields, "username")?.filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| ApiError::illegal_argument("Entity user requires a property named username"))?;
    let username = UserName::parse(name).map_err(|error| ApiError::user_name(name, error))?;
    let password = body_reader::text(fields, "password")?.filter(|password| !password.is_empty());
    if password_required && password.is_none() {
        return Err(ApiError::illegal_argument("password or pin must provided"));
    }
    let nickname = body_reader::text(fields, "nickname")?;
    Ok(NewUser { username, password: password.map(str::to_owned), nickname: nickname.map(str::to_owned) })
}

/// The users of a batch, each name once. Any error refuses the whole batch before anything is done.
fn parse_all(items: &[Value]) -> Result<Vec<NewUser>, ApiError> {
    if items.is_empty() || items.len() > MAX_BATCH {
        let text = format!(
            "Request body array size[{}] had almost reached or been greater than the upper range value[{MAX_BATCH}]",
            items.len()
        );
        return Err(ApiError::illegal_argument(text));
    }
    let mut users: Vec<NewUser> = Vec::with_capacity(items.len());
    let mut places: HashMap<UserName, usize> = HashMap::new();
    for item in items {
        let fields =
            item.as_object().ok_or_else(|| ApiError::json_parse("every element must be a JSON object"))?;
        let user = parse(fields, true)?;
        match places.get(&user.username) {
            None => {
                places.insert(user.username.clone(), users.len());
                users.push(user);
            }
            Some(&place) if users[place].password == user.password => {}
            Some(_) => {
                // The documented text shows both passwords; this one does not.
                let text = format!("the same user {} has a different password", user.username);
                let error = "duplicate_unique_property_exists";
                return Err(ApiError::new(StatusCode::BAD_REQUEST, error, text));
            }
        }
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(value: &Value, password_required: bool) -> String {
        parse(value.as_object().unwrap(), password_required).unwrap_err().description.into_owned()
    }

    #[test]
    fn a_user_is_read_and_its_mistakes_named() {
        let good = json!({"username": "Ann", "password": "1", "nickname": "A"});
        let user = parse(good.as_object().unwrap(), true).unwrap();
        assert_eq!((user.username.as_str(), user.nickname.as_deref()), ("ann", Some("A")));
        assert!(parse(json!({"username": "ann"}).as_object().unwrap(), false).unwrap().password.is_none());

        let required = "Entity user requires a property named username";
        assert_eq!(description(&json!({"password": "1"}), true), required);
        assert_eq!(description(&json!({"username": ""}), true), required);
        assert_eq!(description(&json!({"username": "ann"}), true), "password or pin must provided");
        assert_eq!(
            description(&json!({"username": "a n", "password": "1"}), true),
            "username [a n] is not legal"
        );
        let long = "a".repeat(65);
        assert_eq!(description(&json!({"username": long, "password": "1"}), true), "USERNAME_TOO_LONG");
    }

    #[test]
    fn a_batch_is_checked_as_a_whole() {
        let user = |name: &str, password: &str| json!({"username": name, "password": password});
        assert_eq!(parse_all(&[user("a", "1"), user("A", "1"), user("b", "1")]).unwrap().len(), 2);
        let error = parse_all(&[user("a", "1"), user("A", "2")]).unwrap_err();
        assert_eq!(error.error, "duplicate_unique_property_exists");
        assert!(error.description.starts_with("the same user a has a different password"));
        assert!(!error.description.contains('1'));
        assert!(parse_all(&[user("a", "1"), user("b c", "1")]).is_err());
        assert!(parse_all(&[user("a", "")]).is_err());
        assert!(parse_all(&[json!("a")]).is_err());
        let sixty: Vec<_> = (0..60).map(|n| user(&format!("u{n}"), "1")).collect();
        assert_eq!(parse_all(&sixty).unwrap().len(), 60);
        let more: Vec<_> = (0..61).map(|n| user(&format!("u{n}"), "1")).collect();
        assert!(parse_all(&more).unwrap_err().description.contains("array size[61]"));
        assert!(parse_all(&[]).is_err());
    }
}
