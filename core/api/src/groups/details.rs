//! What a group is, and lists of groups.

use super::{asker, failure, named};
use crate::{
    call::Call, envelope::Envelope, error::ApiError, handlers::Answer, people::number, service::Body,
};
use meridian_chat::{ChatError, GroupEntry, Member, MucError, MucInfo, Page, Role};
use meridian_types::{MucId, MucKind};
use serde_json::{Value, json};

const DETAILS: usize = 100;
/// Members in the details of one group, the first to come; for the others there are pages.
const AFFILIATIONS: usize = 1000;
/// The same of all groups of one call.
const ALL_AFFILIATIONS: usize = 10_000;
const PAGE: usize = 100;
const NEWEST: usize = 500;
/// Pages of a list of a person's groups.
const PAGES: usize = 1_000_000;

/// `GET /chatgroups/{group}`: one, or several with commas.
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let (texts, kind) = named(&call);
    let texts: Vec<&str> = texts.split(',').map(str::trim).collect();
    if texts.len() > DETAILS {
        return Err(ApiError::illegal_argument(format!("at most {DETAILS} can be asked for")));
    }
    let members = AFFILIATIONS.min(ALL_AFFILIATIONS / texts.len());
    let mut data = Vec::with_capacity(texts.len());
    for text in &texts {
        let id = MucId::parse(text).filter(|id| id.kind() == kind);
        let found = match id {
            Some(id) => match call.state.chat.group(&call.app, id, asker(&call)).await {
                Ok(group) => Some(group),
                Err(ChatError::Muc(MucError::NotFound)) => None,
                Err(other) => return Err(failure(&call, id)(other)),
            },
            None => None,
        };
        match found {
            Some(group) => data.push(detail(&call, group, members).await?),
            None if texts.len() == 1 => return Err(ApiError::group_not_found(text)),
            None => {}
        }
    }
    let count = data.len();
    let path = if kind == MucKind::Room { "/chatrooms" } else { "/chatgroups" };
    Ok(Envelope::full(&call, path).data(data).count(count).into_response())
}

async fn detail(call: &Call, group: GroupEntry, members: usize) -> Result<Value, ApiError> {
    let (info, id) = (&group.info, group.info.id);
    let affiliations = match group.role != Role::Outsider || info.public {
        true => affiliations(call, info, members).await.map_err(failure(call, id))?,
        false => Vec::new(),
    };
    let mut detail = json!({
        "id": id.to_string(),
        "name": info.name,
        "description": info.description,
        "membersonly": info.approval,
        "allowinvites": info.allow_invites,
        "invite_need_confirm": info.invite_need_confirm,
        "maxusers": info.max_users,
        "owner": info.owner.as_str(),
        "created": info.created.0,
        "last_modified": info.modified.0,
        "custom": info.custom,
        "mute": info.mute_all,
        "shieldgroup": group.shielded,
        "disabled": info.disabled,
        "public": info.public,
        "affiliations_count": group.size,
        "affiliations": affiliations,
    });
    if id.kind() == MucKind::Group {
        detail["groupid"] = id.to_string().into();
    }
    if let Some(permission) = permission(group.role) {
        detail["permission"] = permission.into();
    }
    if !info.avatar.is_empty() {
        detail["avatar"] = info.avatar.as_str().into();
    }
    Ok(detail)
}

/// The first members; the owner comes last, as the documentation shows it.
async fn affiliations(call: &Call, info: &MucInfo, limit: usize) -> Result<Vec<Value>, ChatError> {
    let with_time = call.request.query.is_true("joined_time");
    let members = call.state.chat.group_members(&call.app, info.id, None, limit, false).await?.items;
    let (owner, others): (Vec<&Member>, Vec<&Member>) =
        members.iter().partition(|member| member.role == Role::Owner);
    let mut rows: Vec<Value> =
        others.into_iter().map(|member| affiliation(member, with_time, false)).collect();
    rows.push(match owner.first() {
        Some(owner) => affiliation(owner, with_time, false),
        // Who became the owner later may not be among the first.
        None => json!({ "owner": info.owner.as_str() }),
    });
    Ok(rows)
}

/// What somebody is; the app is seen as the owner.
fn permission(role: Role) -> Option<&'static str> {
    match role {
        Role::Owner | Role::App => Some("owner"),
        Role::Admin => Some("admin"),
        Role::Member => Some("member"),
        Role::Outsider => None,
    }
}

/// A member as lists show it: the key says what they are.
pub(super) fn affiliation(member: &Member, with_time: bool, names_admins: bool) -> Value {
    let key = match member.role {
        Role::Owner => "owner",
        Role::Admin if names_admins => "admin",
        _ => "member",
    };
    let mut row = json!({ key: member.user.as_str() });
    if with_time {
        row["joined_time"] = member.joined.0.into();
    }
    row
}

/// `GET /chatgroups?limit&cursor`: every group for the app, for users the public ones.
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let limit = number(&call, "limit", 10, PAGE)?;
    let cursor = call.request.query.get("cursor");
    let page = match asker(&call) {
        None => call.state.chat.groups(&call.app, cursor, limit).await?,
        Some(_) => public_entries(&call, cursor, limit).await?,
    };
    let row = |group: &GroupEntry| {
        json!({
            "owner": format!("{}_{}", call.app.key, group.info.owner),
            "groupid": group.info.id.to_string(),
            "affiliations": group.size,
            "type": "group",
            "last_modified": group.info.modified.0.to_string(),
            "groupname": group.info.name,
        })
    };
    let rows: Vec<Value> = page.items.iter().map(row).collect();
    let count = rows.len();
    let envelope = Envelope::full(&call, "/chatgroups").data(rows).count(count).params();
    Ok(envelope.cursor(page.cursor).into_response())
}

async fn public_entries(
    call: &Call,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<GroupEntry>, ChatError> {
    let found = call.state.chat.public_groups(&call.app, cursor, limit).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for (id, _) in found.items {
        match call.state.chat.group(&call.app, id, None).await {
            Ok(group) => items.push(group),
            // Destroyed meanwhile.
            Err(ChatError::Muc(MucError::NotFound)) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(Page { items, cursor: found.cursor })
}

/// `GET /publicchatgroups?limit&cursor`
pub(crate) async fn public(call: Call, _body: Body) -> Answer {
    let limit = number(&call, "limit", 20, PAGE)?;
    let page = call.state.chat.public_groups(&call.app, call.request.query.get("cursor"), limit).await?;
    let rows: Vec<Value> =
        page.items.iter().map(|(id, name)| json!({ "id": id.to_string(), "name": name })).collect();
    let count = rows.len();
    let envelope = Envelope::full(&call, "/publicchatgroups").data(rows).count(count);
    Ok(envelope.cursor(page.cursor).into_response())
}

/// A page that is counted from `first`.
pub(crate) fn page(
    call: &Call,
    first: usize,
    default: usize,
    max: usize,
) -> Result<(usize, usize), ApiError> {
    let size = number(call, "pagesize", default, max)?;
    // Clients count pages from 0 here and from 1 there; below the first is the first.
    let page = match call.request.query.get("pagenum") {
        None => first,
        Some(text) => text.parse::<i64>().map_or_else(
            |_| Err(ApiError::illegal_argument("pagenum must be a number")),
            |page| Ok(usize::try_from(page).unwrap_or(0).clamp(first, PAGES)),
        )?,
    };
    Ok(((page - first) * size, size))
}

/// `GET /users/{username}/joined_chatgroups`
pub(crate) async fn joined(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let is_client = call.request.query.get("version") == Some("v3");
    let is_paged = ["pagenum", "pagesize"].iter().any(|name| call.request.query.get(name).is_some());
    let (skip, limit) = match is_paged {
        true => page(&call, 1, 10, if is_client { NEWEST } else { PAGE })?,
        false => (0, NEWEST),
    };
    let groups = call.state.chat.joined_groups(&call.app, &user.username, skip, limit).await?;
    let row = |group: &GroupEntry| {
        let (id, name) = (group.info.id.to_string(), &group.info.name);
        match is_client {
            true => json!({ "id": id, "name": name, "disabled": group.info.disabled,
                "permission": permission(group.role) }),
            false => json!({ "groupid": id, "groupname": name }),
        }
    };
    let rows: Vec<Value> = groups.iter().map(row).collect();
    let count = rows.len();
    let path = format!("/users/{}/joined_chatgroups", user.username);
    Ok(Envelope::full(&call, &path).data(rows).count(count).params().into_response())
}

/// `GET /chatgroups/user/{username}`: with what the user is there, and how many others.
pub(crate) async fn joined_whole(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let (skip, limit) = page(&call, 0, 20, NEWEST)?;
    let groups = call.state.chat.joined_groups(&call.app, &user.username, skip, limit).await?;
    let total = call.state.chat.joined_group_count(&call.app, &user.username).await?;
    let row = |group: &GroupEntry| {
        let info = &group.info;
        json!({
            "groupId": info.id.to_string(),
            "name": info.name,
            "permission": permission(group.role),
            "disabled": info.disabled,
            "membersonly": info.approval,
            "allowinvites": info.allow_invites,
            "description": info.description,
            "maxusers": info.max_users,
            "public": info.public,
            "affiliations_count": group.size,
        })
    };
    let rows: Vec<Value> = groups.iter().map(row).collect();
    let count = rows.len();
    let envelope = Envelope::full(&call, "/chatgroups/user").entities(rows).count(count);
    Ok(envelope.set("total", total).into_response())
}

/// `GET /chatgroups/user/{username}/joined_count`
pub(crate) async fn joined_count(call: Call, _body: Body) -> Answer {
    let user = call.path_user().await?;
    let count = call.state.chat.joined_group_count(&call.app, &user.username).await?;
    Ok(Envelope::full(&call, "/chatgroups/user").data(count).into_response())
}
