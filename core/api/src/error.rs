//! What a caller is told when a call fails: the one place where the logic's errors become wire words.
//!
//! Clients compare some of these texts (see the tests), so they are copied from the published documentation.

use http::StatusCode;
use meridian_chat::{ChatError, MucError, TokenError};
use meridian_types::{NameError, UserName};
use std::borrow::Cow;

/// An error answer. `error` is the machine word, `description` the text that clients show.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: Cow<'static, str>,
    /// Number that newer clients look at.
    pub(crate) code: Option<u32>,
    /// Class name that clients look at in a few cases; derived from `error` when there is none.
    pub(crate) exception: Option<&'static str>,
    /// For the log only.
    pub(crate) source: Option<ChatError>,
}

pub(crate) const SERVICE_NOT_OPEN: &str = "service open exception";

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        error: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, error, description: description.into(), code: None, exception: None, source: None }
    }

    pub(crate) fn illegal_argument(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "illegal_argument", description)
    }

    pub(crate) fn invalid_grant(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    pub(crate) fn json_parse(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "json_parse", description)
    }

    /// No bearer at all; the documentation gives it the text of an expired one.
    pub(crate) fn missing_token() -> Self {
        TokenError::Expired.into()
    }

    /// A good token without the right.
    pub(crate) fn no_right() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unable to authenticate (OAuth)")
    }

    pub(crate) fn illegal_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "token is illegal.")
    }

    pub(crate) fn registration_closed() -> Self {
        let text = "Open registration doesn't allow, so register user need token";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", text)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "service_resource_not_found", "Service resource not found")
    }

    pub(crate) fn app_not_found(org: &str, app: &str, path: &str) -> Self {
        let path = path.trim_start_matches('/');
        let text = format!("Could not find application for {org}/{app} from URI: {path}");
        Self::new(StatusCode::NOT_FOUND, "organization_application_not_found", text)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", "Request method is not supported")
    }

    pub(crate) fn not_implemented(what: &str) -> Self {
        let text = format!("{what} is not implemented by this server");
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", text)
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        let text = format!("body too large: the limit is {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large", text)
    }

    /// A feature that the app has switched off.
    pub(crate) fn not_open(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, SERVICE_NOT_OPEN, description)
    }

    /// No such user, where the documentation calls it a missing property.
    pub(crate) fn no_username() -> Self {
        let text = "Entity user requires a property named username";
        Self::new(StatusCode::BAD_REQUEST, "required_property_not_found", text)
    }

    /// The client SDK looks for the words.
    pub(crate) fn group_not_found(id: &str) -> Self {
        let text = format!("do not find this group: {}", Excerpt(id));
        Self::new(StatusCode::NOT_FOUND, "service_resource_not_found", text)
    }

    /// Errors about a template of notifications.
    pub(crate) fn from_template(error: ChatError, name: &str) -> Self {
        match error {
            ChatError::TemplateNotFound => {
                let text = format!("{} template is not exist", Excerpt(name));
                Self::new(StatusCode::BAD_REQUEST, "EntityNotFoundException", text)
            }
            other => other.into(),
        }
    }

    /// Errors about a group; `by_user` when a client reads it.
    pub(crate) fn from_group(error: &MucError, id: &str, by_user: bool) -> Self {
        match error {
            MucError::NotFound => Self::group_not_found(id),
            MucError::Exists => Self::illegal_argument(format!("groupid {} exists already", Excerpt(id))),
            MucError::Id => Self::illegal_argument("groupid is not legal"),
            MucError::Disabled => Self::forbidden("can not operate this group, reason: group is disabled"),
            MucError::NotPermitted { .. } => Self::forbidden("user has no permission to operate this group"),
            MucError::NotMember { user } => Self::not_members([user]),
            MucError::AlreadyMember { user } => Self::forbidden(format!(
                "can not join this group, reason:user: {user} already in group: {}",
                Excerpt(id)
            )),
            MucError::Blocked { user } => Self::forbidden(format!(
                "can not join this group, reason:user: {user} is in the blacklist of group: {}",
                Excerpt(id)
            )),
            MucError::NoUser { .. } if by_user => ChatError::UserNotFound.into(),
            MucError::NoUser { user } => Self::illegal_argument(format!("group member {user} doesn't exist")),
            MucError::Owner | MucError::OwnerLeaves => Self::forbidden("forbidden operation on group owner!"),
            MucError::SameOwner => Self::forbidden("new owner and old owner are the same"),
            MucError::Full => Self::forbidden("group member list is full!"),
            MucError::TooManyAdmins { limit } => {
                Self::forbidden(format!("the group has {limit} admins, as many as it may have"))
            }
            MucError::SizeLimit { limit } => {
                Self::forbidden(format!("members size is greater than max user size !: {limit}"))
            }
            MucError::SizeBelow { .. } => {
                Self::illegal_argument("maxusers is less than the number of members")
            }
            MucError::JoinedLimit { user, .. } => Self::forbidden(format!(
                "can not join this group, reason: user {user} has joined too many groups/chatroom!"
            )),
            MucError::GroupLimit { .. } | MucError::RoomLimit { .. } => {
                Self::forbidden("this appKey has create too many groups/chatrooms!")
            }
            MucError::ThreadLimit { .. } => Self::forbidden("this appKey has create too many threads!"),
            MucError::NotPublic => Self::forbidden("the group is not public"),
            MucError::NoInvitation => Self::forbidden("there is no invitation"),
            MucError::NoApplication => Self::forbidden("there is no application"),
            MucError::NoFile => Self::not_found(),
            MucError::AttributesTooLarge { limit } => {
                let text = format!("the attributes of a member are larger than {limit} bytes");
                Self::illegal_argument(text).with_code(60006)
            }
            MucError::DirectedLimit { limit } => {
                Self::illegal_argument(format!("users must be 1 to {limit} members"))
            }
            _ => Self::forbidden(error.to_string()),
        }
    }

    /// Errors about a room: as about a group, but for one.
    pub(crate) fn from_room(error: &MucError, id: &str, by_user: bool) -> Self {
        let answer = Self::from_group(error, id, by_user);
        match error {
            MucError::AlreadyMember { .. } => Self::illegal_argument(answer.description),
            _ => answer,
        }
    }

    /// The client SDK goes by the number.
    pub(crate) fn not_in_room(user: &UserName) -> Self {
        Self::illegal_argument(format!("user {user} is not in the chatroom")).with_code(60011)
    }

    /// The client SDK looks for the words. The first names say enough.
    pub(crate) fn not_members<'u>(users: impl IntoIterator<Item = &'u UserName>) -> Self {
        let names: Vec<&str> = users.into_iter().take(10).map(UserName::as_str).collect();
        Self::forbidden(format!("users [{}] are not members of this group!", names.join(", ")))
    }

    /// Errors about a thread: the client SDK goes by their numbers.
    pub(crate) fn from_thread(error: &MucError) -> Self {
        match error {
            MucError::NotFound => {
                Self::new(StatusCode::NOT_FOUND, "service_resource_not_found", "thread not found")
                    .with_code(40011)
            }
            MucError::ThreadExists => {
                Self::illegal_argument("a thread about this message exists").with_code(40002)
            }
            MucError::NoMessage => {
                Self::new(StatusCode::NOT_FOUND, "service_resource_not_found", "message not found")
            }
            MucError::NotMember { user } => {
                let text = format!("user {user} is not in the group or thread");
                Self::new(StatusCode::NOT_FOUND, "service_resource_not_found", text).with_code(40012)
            }
            MucError::NotPermitted { .. } => Self::no_right().with_code(40001),
            MucError::Full => Self::forbidden("the thread is full").with_code(40005),
            other => Self::from_group(other, "", false),
        }
    }

    pub(crate) fn with_code(self, code: u32) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(crate) fn forbidden(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden_op", description)
    }

    fn exceed_limit(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "exceed_limit", description)
    }

    pub(crate) fn timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "request not completed in time")
    }

    pub(crate) fn reach_limit() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "reach_limit", "This request has reached api limit")
    }

    pub(crate) fn busy() -> Self {
        ChatError::Busy.into()
    }

    pub(crate) fn message_too_large() -> Self {
        Self::illegal_argument("message is too large")
    }

    pub(crate) fn recall_disabled() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden_op", "message recall service is unopened")
    }

    /// The client SDK recognises this text.
    pub(crate) fn file_forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden_op", "chatfile no permission")
    }

    /// `user`: client SDKs understand an oversized upload only as status 400 with code 14403, others as 413.
    pub(crate) fn file_too_large(limit: u64, user: bool) -> Self {
        let mut error = Self::too_large(limit);
        if user {
            error.status = StatusCode::BAD_REQUEST;
        }
        error.code = Some(14403);
        error
    }

    /// A name that a user cannot have.
    pub(crate) fn user_name(name: &str, error: NameError) -> Self {
        match error {
            NameError::TooLong { .. } => Self::illegal_argument("USERNAME_TOO_LONG"),
            _ => Self::illegal_argument(format!("username [{}] is not legal", Excerpt(name))),
        }
    }

    pub(crate) fn user_exists(app_uuid: &str, name: &UserName) -> Self {
        let text = format!(
            "Application {app_uuid} Entity user requires that property named username be unique, value of {name} exists"
        );
        Self::new(StatusCode::BAD_REQUEST, "duplicate_unique_property_exists", text)
    }

    /// Errors of the token grants, which speak differently of the same things.
    pub(crate) fn from_grant(error: ChatError) -> Self {
        match error {
            ChatError::UserNotFound => Self::new(StatusCode::NOT_FOUND, "invalid_grant", "user not found"),
            other => other.into(),
        }
    }

    /// Errors of the calls that act on a user "entity".
    pub(crate) fn from_entity(error: ChatError) -> Self {
        match error {
            ChatError::UserNotFound => {
                Self::new(StatusCode::NOT_FOUND, "entity_not_found", "User null not found")
            }
            other => other.into(),
        }
    }

    pub(crate) fn exception(&self) -> String {
        if let Some(exception) = self.exception {
            return exception.to_owned();
        }
        let words = self.error.split([' ', '_']).filter(|word| !word.is_empty());
        let mut name: String = words
            .flat_map(|word| {
                let (first, rest) = word.split_at(1);
                [first.to_ascii_uppercase(), rest.to_owned()]
            })
            .collect();
        name.push_str("Exception");
        name
    }
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        let bad = StatusCode::BAD_REQUEST;
        let away = StatusCode::SERVICE_UNAVAILABLE;
        let mut answer = match &error {
            ChatError::AppNotFound => Self::new(
                StatusCode::NOT_FOUND,
                "organization_application_not_found",
                "Could not find application",
            ),
            ChatError::AppExists => {
                Self::new(bad, "duplicate_unique_property_exists", "the application exists already")
            }
            ChatError::UserNotFound => {
                let mut answer = Self::not_found();
                answer.exception = Some("UserNotFoundException");
                answer
            }
            ChatError::UserExists => {
                let text = "Entity user requires that property named username be unique";
                Self::new(bad, "duplicate_unique_property_exists", text)
            }
            ChatError::UserBanned => Self::invalid_grant("user not activated"),
            ChatError::WrongPassword => Self::invalid_grant("invalid username or password"),
            ChatError::WrongClientId => Self::invalid_grant("client_id does not match"),
            ChatError::WrongClientSecret => Self::invalid_grant("client_secret does not match"),
            ChatError::Name(NameError::TooLong { .. }) => Self::illegal_argument("USERNAME_TOO_LONG"),
            ChatError::Name(error) => Self::illegal_argument(error.to_string()),
            ChatError::PasswordLength => Self::illegal_argument("PASSWORD_TOO_LONG"),
            ChatError::NicknameLength => Self::illegal_argument("NICKNAME_TOO_LONG"),
            ChatError::MalformedMessage => Self::illegal_argument("this is an invalid request."),
            ChatError::MessageTooLarge { .. } => Self::message_too_large(),
            ChatError::FileTooLarge { limit } => Self::file_too_large(*limit, false),
            ChatError::Upload(text) => Self::illegal_argument(format!("the upload failed: {text}")),
            ChatError::Oneself => Self::illegal_argument("this cannot be done to oneself"),
            ChatError::Blocked => Self::forbidden("blocked"),
            ChatError::Muted => Self::forbidden("user is mute"),
            ChatError::Muc(error) => Self::from_group(error, "", false),
            ChatError::NoInvitation => Self::forbidden("there is no invitation"),
            ChatError::NotContacts => {
                Self::illegal_argument("updateRemark | they are not friends, please add as a friend first.")
            }
            // The second half is what the client SDK looks for.
            ChatError::ContactLimit { is_actor } => {
                let who = if *is_actor { "Inviter's" } else { "Invitee's" };
                Self::exceed_limit(format!("user contact number exceed limit: {who} contact max count"))
            }
            ChatError::BlockLimit { limit } => {
                Self::exceed_limit(format!("user block list exceed limit {limit}"))
            }
            ChatError::BindingLimit { limit } => {
                Self::exceed_limit(format!("more than {limit} bound devices"))
            }
            ChatError::SubscriptionLimit { .. } => Self::illegal_argument("too many sub presence"),
            ChatError::ProfileTooLarge { limit } => Self::illegal_argument(format!(
                "size of metadata for this single user exceeds the user defined limit, {limit}Bytes"
            )),
            ChatError::ProfilesTooLarge { limit } => Self::illegal_argument(format!(
                "total size of user metadata for this app exceeds the user defined limit, {limit}Bytes"
            )),
            ChatError::UserLimit { .. } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "resource_limited",
                "You have exceeded the limit of the community edition,Please upgrade to the enterprise edition",
            ),
            ChatError::Busy => Self::new(away, "service_unavailable", "server is busy"),
            ChatError::StorageFull => Self::new(away, "service_unavailable", "no space left"),
            ChatError::Unavailable(_) => Self::new(away, "service_unavailable", "server cannot answer now"),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR", "internal error"),
        };
        answer.source = Some(error);
        answer
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let no = StatusCode::UNAUTHORIZED;
        match error {
            TokenError::Expired => {
                Self::new(no, "unauthorized", "Unable to authenticate due to expired access token")
            }
            TokenError::Corrupt => {
                Self::new(no, "auth_bad_access_token", "Unable to authenticate due to corrupt access token")
            }
            TokenError::Revoked => Self::new(no, "auth_bad_access_token", "Unable to authenticate"),
            TokenError::Unavailable => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", "server cannot answer now")
            }
        }
    }
}

/// Names from outside are repeated in errors, but not without a bound.
struct Excerpt<'t>(&'t str);

impl std::fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().take(64).try_for_each(|c| std::fmt::Write::write_char(f, c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(error: impl Into<ApiError>) -> (u16, &'static str, String) {
        let error = error.into();
        (error.status.as_u16(), error.error, error.description.into_owned())
    }

    /// The texts that client SDKs compare or that the documentation prints.
    #[test]
    fn documented_texts_do_not_drift() {
        let name = UserName::parse("bob").unwrap();
        let expired = "Unable to authenticate due to expired access token".to_owned();
        assert_eq!(wire(TokenError::Expired), (401, "unauthorized", expired.clone()));
        assert_eq!(wire(ApiError::missing_token()), (401, "unauthorized", expired));
        assert_eq!(
            wire(TokenError::Corrupt),
            (401, "auth_bad_access_token", "Unable to authenticate due to corrupt access token".into())
        );
        assert_eq!(
            wire(ApiError::no_right()),
            (401, "unauthorized", "Unable to authenticate (OAuth)".into())
        );
        assert_eq!(
            wire(ChatError::WrongPassword),
            (400, "invalid_grant", "invalid username or password".into())
        );
        assert_eq!(
            wire(ApiError::from_grant(ChatError::UserNotFound)),
            (404, "invalid_grant", "user not found".into())
        );
        assert_eq!(
            wire(ApiError::from_entity(ChatError::UserNotFound)),
            (404, "entity_not_found", "User null not found".into())
        );
        assert_eq!(
            wire(ChatError::UserNotFound),
            (404, "service_resource_not_found", "Service resource not found".into())
        );
        assert!(wire(ApiError::user_exists("u", &name)).2.contains("username be unique"));
        assert!(wire(ApiError::user_name("a b", NameError::Character)).2.contains("is not legal"));
        assert_eq!(wire(ApiError::user_name("a", NameError::TooLong { limit: 64 })).2, "USERNAME_TOO_LONG");
        assert!(wire(ApiError::registration_closed()).2.contains("Open registration doesn't allow"));
        assert_eq!(wire(ChatError::Busy), (503, "service_unavailable", "server is busy".into()));
        assert_eq!(wire(ChatError::StorageFull), (503, "service_unavailable", "no space left".into()));
        assert_eq!(wire(ApiError::file_forbidden()), (403, "forbidden_op", "chatfile no permission".into()));
        assert_eq!(
            wire(ApiError::app_not_found("o", "a", "/o/a/token")).2,
            "Could not find application for o/a from URI: o/a/token"
        );
    }

    #[test]
    fn exceptions_are_class_names() {
        assert_eq!(
            ApiError::app_not_found("o", "a", "/").exception(),
            "OrganizationApplicationNotFoundException"
        );
        assert_eq!(ApiError::too_large(1).exception(), "RequestEntityTooLargeException");
        assert_eq!(ApiError::from(ChatError::UserNotFound).exception(), "UserNotFoundException");
    }

    #[test]
    fn long_names_are_cut_in_errors() {
        let error = ApiError::user_name(&"ä".repeat(5000), NameError::Character);
        assert!(error.description.len() < 200);
    }
}
