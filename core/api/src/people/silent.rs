//! When not to notify a person.

use super::{device, number};
use crate::{
    body_reader::{self, SMALL},
    call::Call,
    envelope::{Envelope, now_ms},
    error::ApiError,
    handlers::Answer,
    service::Body,
};
use meridian_chat::User;
use meridian_types::{
    UserName,
    notice::{ConversationName, SilentMode},
};
use serde_json::{Map, Value, json};

const LONGEST_MS: u64 = 7 * 24 * 3600 * 1000;
const CONVERSATIONS: usize = 20;
const PAGE: usize = 50;
const ID_BYTES: usize = 64;

fn invalid(what: &str) -> ApiError {
    ApiError::illegal_argument(format!("parameters is invalid : {what}"))
}

/// What the path names; `None` is the whole app.
fn conversation(call: &Call, user: &User) -> Result<Option<ConversationName>, ApiError> {
    let key = call.param("key");
    if key.len() > ID_BYTES {
        return Err(invalid("key"));
    }
    match call.param("chattype") {
        "user" => {
            let name = UserName::parse(key).map_err(|_| invalid("key"))?;
            Ok((name != user.username).then_some(ConversationName::User(name)))
        }
        "chatgroup" => Ok(Some(ConversationName::Group(key.to_owned()))),
        "chatroom" => Ok(Some(ConversationName::Room(key.to_owned()))),
        _ => Err(invalid("chattype")),
    }
}

/// `PUT /users/{username}/notification/{chattype}/{key}`
pub(crate) async fn set(call: Call, body: Body) -> Answer {
    let fields = body_reader::object(body, SMALL, call.state.config.body_deadline).await?;
    let mut change = read(&fields)?;
    let user = call.path_user().await?;
    let conversation = conversation(&call, &user)?;
    if conversation.is_some() {
        // A daily time is of the person, not of a conversation.
        change.interval = None;
    }
    let chat = &call.state.chat;
    let settings =
        chat.set_silent_mode(&call.app, &user.username, conversation, change, device(&call)).await?;
    Ok(Envelope::plain(&call, data(&settings), 0).into_response())
}

fn read(fields: &Map<String, Value>) -> Result<SilentMode, ApiError> {
    let kind = body_reader::text(fields, "type")?;
    if kind.is_some_and(|kind| !matches!(kind, "DEFAULT" | "ALL" | "AT" | "NONE")) {
        return Err(invalid("type"));
    }
    let interval = body_reader::text(fields, "ignoreInterval")?;
    if interval.is_some_and(|interval| !interval.is_empty() && !is_interval(interval)) {
        return Err(invalid("ignoreInterval"));
    }
    let duration = body_reader::number(fields, "ignoreDuration")?;
    if duration.is_some_and(|duration| duration > LONGEST_MS) {
        return Err(invalid("ignoreDuration"));
    }
    Ok(SilentMode {
        kind: kind.map(str::to_owned),
        interval: interval.map(str::to_owned),
        until: duration.map(|duration| if duration == 0 { 0 } else { now_ms() + duration }),
    })
}

/// `HH:MM-HH:MM`; clients leave leading zeros out.
fn is_interval(text: &str) -> bool {
    let number = |text: &str, max: u8| {
        (1..=2).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse::<u8>().is_ok_and(|number| number <= max)
    };
    let time = |text: &str| {
        text.split_once(':').is_some_and(|(hour, minute)| number(hour, 24) && number(minute, 59))
    };
    text.split_once('-').is_some_and(|(from, to)| time(from) && time(to))
}

/// `GET /users/{username}/notification/{chattype}/{key}`
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let conversation = conversation(&call, &user)?;
    let settings = call.state.chat.silent_mode(&call.app, &user.username, conversation.as_ref()).await?;
    Ok(Envelope::plain(&call, data(&settings), 0).into_response())
}

fn data(settings: &SilentMode) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

/// `GET /users/{username}/notification?user=a,b&group=c`
pub(crate) async fn get_many(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let list = |name: &str| {
        let text = call.request.query.get(name).unwrap_or_default();
        text.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let (people, groups) = (list("user"), list("group"));
    if people.len() + groups.len() > CONVERSATIONS {
        return Err(ApiError::illegal_argument(format!("at most {CONVERSATIONS} conversations")));
    }
    let mut found = [Map::new(), Map::new()];
    for (id, of) in people.iter().map(|id| (id, 0)).chain(groups.iter().map(|id| (id, 1))) {
        let conversation = match of {
            0 => ConversationName::User(UserName::parse(id).map_err(|_| invalid("user"))?),
            _ => ConversationName::Group(id.chars().take(ID_BYTES).collect()),
        };
        let settings = call.state.chat.silent_mode(&call.app, &user.username, Some(&conversation)).await?;
        found[of].insert(id.clone(), data(&settings));
    }
    let [people, groups] = found;
    Ok(Envelope::plain(&call, json!({ "user": people, "group": groups }), 0).into_response())
}

/// `GET /users/{username}/notification/mute/type?limit&cursor`
pub(crate) async fn kinds(call: Call, _body: Body) -> Answer {
    let limit = number(&call, "limit", 10, PAGE)?;
    let user = call.path_user().await?;
    let cursor = call.request.query.get("cursor");
    let page = call.state.chat.silent_kinds(&call.app, &user.username, cursor, limit).await?;
    let row = |(conversation, kind): &(ConversationName, String)| match conversation {
        ConversationName::User(name) => json!({ "user": name.as_str(), "value": kind }),
        ConversationName::Group(id) | ConversationName::Room(id) => json!({ "group": id, "value": kind }),
    };
    let data: Vec<Value> = page.items.iter().map(row).collect();
    let count = data.len();
    Ok(Envelope::plain(&call, data, count).cursor(page.cursor).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_two_times_of_the_day() {
        for good in ["8:30-10:15", "08:30-10:15", "22:00-7:00", "0:0-24:00"] {
            assert!(is_interval(good), "{good}");
        }
        for bad in ["8:30", "8:30-", "25:00-1:00", "8:60-9:00", "8:030-9:00", "a:b-c:d", "+8:30-9:00"] {
            assert!(!is_interval(bad), "{bad}");
        }
    }
}
