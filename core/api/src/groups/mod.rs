//! Groups: what they are, who is in, who may do what. Rooms are managed by the same functions; what is theirs alone is in
//! `rooms`.

pub(crate) mod create;
pub(crate) mod details;
pub(crate) mod extras;
pub(crate) mod files;
pub(crate) mod joining;
pub(crate) mod lists;
pub(crate) mod members;
pub(crate) mod speech;
pub(crate) mod update;

use crate::{call::Call, envelope::Envelope, error::ApiError, people::device};
use meridian_chat::{Actor, ChatError, GroupAction, GroupEntry, Identity, MucError, Outcome, Role};
use meridian_types::{MucId, MucKind, UserName};
use serde_json::{Map, Value, json};

pub(crate) type Fields = Map<String, Value>;

/// What the path names, and whether these are groups or rooms.
fn named(call: &Call) -> (&str, MucKind) {
    match call.request.params.has("room") {
        true => (call.param("room"), MucKind::Room),
        false => (call.param("group"), MucKind::Group),
    }
}

/// The group or room that the path names.
pub(crate) fn group_id(call: &Call) -> Result<MucId, ApiError> {
    let (text, kind) = named(call);
    let id = MucId::parse(text).filter(|id| id.kind() == kind);
    id.ok_or_else(|| ApiError::group_not_found(text))
}

/// The path of a group or room, as answers repeat it.
fn path(id: MucId) -> String {
    match id.kind() {
        MucKind::Room => format!("/chatrooms/{id}"),
        _ => format!("/chatgroups/{id}"),
    }
}

/// The usual envelope of an answer about something of a group or room.
fn answer<'c>(call: &'c Call, id: MucId, what: &str) -> Envelope<'c> {
    Envelope::full(call, &format!("{}/{what}", path(id)))
}

/// The user who calls; `None` for the app.
pub(crate) fn asker(call: &Call) -> Option<&UserName> {
    match &call.caller {
        Some(Identity::User(user)) => Some(user),
        _ => None,
    }
}

pub(crate) fn actor(call: &Call) -> Actor {
    Actor { user: asker(call).cloned(), device: device(call) }
}

/// An error in the words for groups or rooms.
pub(crate) fn failure(call: &Call, id: MucId) -> impl Fn(ChatError) -> ApiError {
    let by_user = asker(call).is_some();
    move |error| match (error, id.kind()) {
        (ChatError::Muc(error), MucKind::Room) => ApiError::from_room(&error, &id.to_string(), by_user),
        (ChatError::Muc(error), _) => ApiError::from_group(&error, &id.to_string(), by_user),
        (other, _) => other.into(),
    }
}

pub(crate) async fn act(call: &Call, id: MucId, action: GroupAction) -> Result<Vec<Outcome>, ApiError> {
    let acted = call.state.chat.manage_group(&call.app, id, actor(call), action).await;
    acted.map_err(failure(call, id))
}

/// Like [`act`], for one person: their failure is that of the call.
async fn act_on_one(call: &Call, id: MucId, action: GroupAction) -> Result<(), ApiError> {
    let outcomes = act(call, id, action).await?;
    match outcomes.into_iter().find_map(|outcome| outcome.error) {
        Some(error) => Err(failure(call, id)(error.into())),
        None => Ok(()),
    }
}

/// Like [`act`], for several: when all have failed, the call has.
async fn act_on_some(call: &Call, id: MucId, action: GroupAction) -> Result<Vec<Outcome>, ApiError> {
    let outcomes = act(call, id, action).await?;
    let errors: Vec<&MucError> = outcomes.iter().filter_map(|outcome| outcome.error.as_ref()).collect();
    match errors.first() {
        Some(MucError::NotMember { .. }) if errors.len() == outcomes.len() => {
            let strangers = outcomes.iter().filter_map(|outcome| match &outcome.error {
                Some(MucError::NotMember { user }) => Some(user),
                _ => None,
            });
            Err(ApiError::not_members(strangers))
        }
        Some(error) if errors.len() == outcomes.len() => Err(failure(call, id)((*error).clone().into())),
        _ => Ok(outcomes),
    }
}

/// A group or room as the caller sees it.
pub(crate) async fn seen(call: &Call, id: MucId) -> Result<GroupEntry, ApiError> {
    call.state.chat.group(&call.app, id, asker(call)).await.map_err(failure(call, id))
}

/// The same, where a private group shows nothing to those who are not in.
async fn seen_inside(call: &Call, id: MucId) -> Result<GroupEntry, ApiError> {
    let group = seen(call, id).await?;
    if !group.info.public {
        check_member(call, &group)?;
    }
    Ok(group)
}

/// The same, for what no group shows to those who are not in.
async fn seen_by_member(call: &Call, id: MucId) -> Result<GroupEntry, ApiError> {
    let group = seen(call, id).await?;
    check_member(call, &group)?;
    Ok(group)
}

fn check_member(call: &Call, group: &GroupEntry) -> Result<(), ApiError> {
    match asker(call) {
        Some(user) if group.role == Role::Outsider => Err(ApiError::not_members([user])),
        _ => Ok(()),
    }
}

/// The people whom a path segment names: one, or several with commas.
fn people(call: &Call, name: &str, limit: usize) -> Result<Vec<UserName>, ApiError> {
    let mut people = Vec::new();
    for text in call.param(name).split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let user = UserName::parse(text).map_err(|_| ChatError::UserNotFound)?;
        if !people.contains(&user) {
            people.push(user);
        }
    }
    if people.is_empty() || people.len() > limit {
        return Err(ApiError::illegal_argument(format!("1 to {limit} users must be named")));
    }
    Ok(people)
}

fn is_list(call: &Call, name: &str) -> bool {
    call.param(name).contains(',')
}

/// How batches say what they did, and to what; the name of an id differs from place to place.
#[derive(Clone, Copy, Debug)]
struct Terms {
    action: &'static str,
    id: &'static str,
    place: &'static str,
}

impl Terms {
    /// Of members.
    fn of_members(action: &'static str, id: MucId) -> Self {
        let name = if id.kind() == MucKind::Room { "id" } else { "groupid" };
        Self { action, id: name, place: "group" }
    }

    /// Of block lists and allow lists.
    fn of_lists(action: &'static str, id: MucId) -> Self {
        match id.kind() {
            MucKind::Room => Self { action, id: "chatroomid", place: "chatroom" },
            _ => Self::of_members(action, id),
        }
    }
}

/// What became of somebody, as batches say it.
fn result(terms: Terms, id: MucId, outcome: &Outcome) -> Value {
    let mut row = json!({
        "result": outcome.error.is_none(),
        "action": terms.action,
        "user": outcome.user.as_str(),
        terms.id: id.to_string(),
    });
    if let Some(error) = &outcome.error {
        row["reason"] = reason(error, id, terms.place).into();
    }
    row
}

fn reason(error: &MucError, id: MucId, place: &str) -> String {
    match error {
        MucError::NotMember { user } => format!("user: {user} doesn't exist in {place}: {id}"),
        other => ApiError::from_group(other, &id.to_string(), false).description.into_owned(),
    }
}

fn results(terms: Terms, id: MucId, outcomes: &[Outcome]) -> Vec<Value> {
    outcomes.iter().map(|outcome| result(terms, id, outcome)).collect()
}

/// One person's result: clients take the first of a list, the server's callers an object.
fn single(call: &Call, rows: Vec<Value>) -> Value {
    match asker(call) {
        Some(_) => rows.into(),
        None => rows.into_iter().next().unwrap_or(Value::Null),
    }
}

/// A text of at most so many characters.
pub(crate) fn limited<'f>(
    fields: &'f Fields,
    names: &[&str],
    limit: usize,
) -> Result<Option<&'f str>, ApiError> {
    for name in names {
        if let Some(text) = crate::body_reader::text(fields, name)? {
            if text.chars().count() > limit {
                let text = format!("{name} is longer than {limit} characters");
                return Err(ApiError::illegal_argument(text));
            }
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// A flag that may have several names; `None` when it is absent.
fn switch(fields: &Fields, names: &[&str]) -> Result<Option<bool>, ApiError> {
    match names.iter().find(|name| fields.get(**name).is_some_and(|value| !value.is_null())) {
        Some(name) => crate::body_reader::flag(fields, name).map(Some),
        None => Ok(None),
    }
}
