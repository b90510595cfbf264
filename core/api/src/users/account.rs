//! One user's account.

use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::{Envelope, user_entity},
    error::ApiError,
    handlers::Answer,
    people,
    service::Body,
};
use meridian_chat::{ChatError, Identity};

/// `GET /users/{username}`
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let entity = people::push::with_push(&call, &user).await?;
    Ok(Envelope::full(&call, "/users").entities(vec![entity]).count(1).into_response())
}

/// `DELETE /users/{username}`
pub(crate) async fn delete(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let user = call.state.chat.delete_user(&call.app, &user.username).await?;
    Ok(Envelope::full(&call, "/users").entities(vec![user_entity(&user)]).into_response())
}

/// `PUT /users/{username}/password`. Users must know their old password; the app need not.
pub(crate) async fn set_password(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let new = body_reader::text(&fields, "newpassword")?.filter(|text| !text.is_empty());
    let new = new.ok_or_else(|| ApiError::illegal_argument("newpassword is required"))?;
    let user = call.path_user().await.map_err(ApiError::from_entity)?;
    if let Some(Identity::User(_)) = call.caller {
        let old = body_reader::text(&fields, "oldpassword")?.filter(|text| !text.is_empty());
        let old = old.ok_or_else(|| ApiError::illegal_argument("oldPassword is required"))?;
        if !call.state.chat.check_password(&call.app, &user.username, old).await? {
            return Err(ChatError::WrongPassword.into());
        }
    }
    let set = call.state.chat.set_password(&call.app, &user.username, new).await;
    set.map_err(ApiError::from_entity)?;
    Ok(Envelope::bare(&call, "set user password").into_response())
}

/// `POST /users/{username}/deactivate`
pub(crate) async fn deactivate(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await.map_err(ApiError::from_entity)?;
    let user = call.state.chat.set_activated(&call.app, &user.username, false).await;
    let user = user.map_err(ApiError::from_entity)?;
    Ok(Envelope::bare(&call, "Deactivate user").entities(vec![user_entity(&user)]).into_response())
}

/// `POST /users/{username}/activate`
pub(crate) async fn activate(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await.map_err(ApiError::from_entity)?;
    let set = call.state.chat.set_activated(&call.app, &user.username, true).await;
    set.map_err(ApiError::from_entity)?;
    Ok(Envelope::bare(&call, "activate user").into_response())
}
