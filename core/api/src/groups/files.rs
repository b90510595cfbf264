//! The files that a group shares.

use super::{act_on_one, answer, asker, details::page, failure, group_id, path, seen_by_member};
use crate::{
    call::Call,
    error::ApiError,
    files::{download, upload},
    handlers::Answer,
    service::Body,
};
use http::header;
use meridian_chat::{GroupAction, GroupFile, MucError};
use meridian_types::{Millis, MucId, MucKind};
use serde_json::{Value, json};

const PAGE: usize = 1000;

fn id_name(id: MucId) -> &'static str {
    if id.kind() == MucKind::Room { "id" } else { "group_id" }
}

fn entity(call: &Call, id: MucId, file: &GroupFile) -> Value {
    let url = format!(
        "{}://{}/{}/{}",
        call.request.scheme(),
        call.request.host(),
        call.app.key.org(),
        call.app.key.app()
    );
    json!({
        "file_id": file.file,
        "file_name": file.name,
        "file_owner": file.owner.as_str(),
        "file_size": file.size,
        "created": file.created.0,
        id_name(id): id.to_string(),
        "file_url": format!("{url}{}/share_files/{}", path(id), file.file),
    })
}

/// `GET /chatgroups/{group}/share_files`
pub(crate) async fn list(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_by_member(&call, id).await?;
    let (skip, limit) = page(&call, 1, PAGE, PAGE)?;
    let files = call.state.chat.group_files(&call.app, id).await?;
    let rows: Vec<Value> = files.iter().skip(skip).take(limit).map(|file| entity(&call, id, file)).collect();
    let count = rows.len();
    Ok(answer(&call, id, "share_files").data(rows).count(count).params().into_response())
}

/// `POST /chatgroups/{group}/share_files`
pub(crate) async fn add(call: Call, body: Body) -> Answer {
    let id = group_id(&call)?;
    let group = seen_by_member(&call, id).await?;
    if group.info.disabled {
        return Err(failure(&call, id)(MucError::Disabled.into()));
    }
    let record = upload::store_form(&call, body, true).await?;
    let owner = asker(&call).cloned().unwrap_or(group.info.owner);
    let file = GroupFile {
        file: record.uuid.clone(),
        name: record.name.clone(),
        owner,
        size: record.size,
        created: Millis(record.created),
    };
    act_on_one(&call, id, GroupAction::AddFile(file.clone())).await?;
    Ok(answer(&call, id, "share_files").data(entity(&call, id, &file)).into_response())
}

/// `GET /chatgroups/{group}/share_files/{file}`: the bytes, or for who wants JSON what is known of it.
pub(crate) async fn get(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    seen_by_member(&call, id).await?;
    let file = call.state.chat.group_file(&call.app, id, call.param("file")).await;
    let file = file.map_err(failure(&call, id))?;
    if call.request.header(header::ACCEPT.as_str()).is_some_and(|kinds| kinds.contains("application/json")) {
        return Ok(answer(&call, id, "share_files").data(entity(&call, id, &file)).into_response());
    }
    let record = call.state.chat.file(&call.app, &file.file).await?.ok_or_else(ApiError::not_found)?;
    download::content(&call, &record).await
}

/// `DELETE /chatgroups/{group}/share_files/{file}`
pub(crate) async fn remove(call: Call, _body: Body) -> Answer {
    let id = group_id(&call)?;
    let file = call.param("file").to_owned();
    act_on_one(&call, id, GroupAction::RemoveFile(file.clone())).await?;
    let data = json!({ id_name(id): id.to_string(), "file_id": file, "result": true });
    Ok(answer(&call, id, "share_files").data(data).into_response())
}
