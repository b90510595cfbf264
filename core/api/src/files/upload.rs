//! `POST /chatfiles`: a multipart upload, streamed into the store.

use super::{
    multipart::{Allowance, Paced},
    thumbnail,
};
use crate::{call::Call, envelope::Envelope, error::ApiError, handlers::Answer, service::Body};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{StatusCode, header};
use http_body::Body as _;
use meridian_chat::{ChatError, FileRecord, Identity, NewFile};
use meridian_ports::{BlobStream, Error, ErrorKind};
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::json;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What a form may hold beside the file: names, sizes, boundaries.
const FORM_OVERHEAD: u64 = 64 * 1024;
const MAX_PARTS: usize = 16;
const MAX_TEXT: usize = 1024;
const MAX_NAME: usize = 255;
const MAX_SIDE: u32 = 1024;

pub(crate) async fn upload(call: Call, body: Body) -> Answer {
    let wish = call.request.header("restrict-access");
    let restricted = wish.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let record = store_form(&call, body, restricted).await?;
    let entity = json!({
        "uuid": record.uuid,
        "type": "chatfile",
        "share-secret": record.share_secret,
        "file-metadata": { "content-length": record.size, "content-type": record.content_type },
    });
    Ok(Envelope::full(&call, "/chatfiles").entities(vec![entity]).into_response())
}

/// Stores the file of a form. `restricted`: nobody gets it by its address alone.
pub(crate) async fn store_form(call: &Call, body: Body, restricted: bool) -> Result<FileRecord, ApiError> {
    let limit = call.app.settings.file_limit;
    let form_limit = limit.saturating_add(FORM_OVERHEAD);
    let content_type = call.request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| {
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "web_application", "Unsupported Media Type")
    })?;
    let by_user = matches!(call.caller, Some(Identity::User(_)));
    if body.size_hint().lower() > form_limit {
        return Err(ApiError::file_too_large(limit, by_user));
    }
    let (paced, allowance) = Paced::new(body);
    let constraints = Constraints::new().size_limit(SizeLimit::new().whole_stream(form_limit));
    let mut form = Form {
        parts: Multipart::with_constraints(paced, boundary, constraints),
        allowance,
        idle: call.state.config.upload_idle,
        limit,
        by_user,
        restricted,
    };
    receive(call, &mut form).await
}

/// A multipart body while it arrives.
struct Form {
    parts: Multipart<'static>,
    allowance: Allowance,
    idle: Duration,
    limit: u64,
    by_user: bool,
    restricted: bool,
}

async fn receive(call: &Call, form: &mut Form) -> Result<FileRecord, ApiError> {
    let mut wishes = Wishes::default();
    let mut stored: Option<FileRecord> = None;
    let mut wishes_before = Wishes::default();
    for _ in 0..MAX_PARTS {
        let Some(field) = form.next().await? else {
            let record = stored.ok_or_else(|| ApiError::illegal_argument("the part file is required"))?;
            if (wishes.width, wishes.height) != (wishes_before.width, wishes_before.height) {
                // Clients put the size after the file, when the record is written already: keep a thumbnail of
                // that size now. Only a wish: without it the picture gets the app's default size later.
                let size = wishes.size(call);
                let _ = thumbnail::prepare(call, &record, size).await;
            }
            return Ok(record);
        };
        match field.name() {
            Some("file") if stored.is_none() => {
                stored = Some(store(call, form, field, &wishes).await?);
                wishes_before = wishes.clone();
            }
            Some("file") => return Err(ApiError::illegal_argument("there is more than one part file")),
            Some("filename") => wishes.name = Some(form.text(field).await?),
            Some("thumbnail-width") => wishes.width = form.text(field).await?.trim().parse().ok(),
            Some("thumbnail-height") => wishes.height = form.text(field).await?.trim().parse().ok(),
            _ => drop(form.text(field).await?),
        }
    }
    Err(ApiError::illegal_argument(format!("the form has more than {MAX_PARTS} parts")))
}

/// What the form says about the file.
#[derive(Clone, Debug, Default)]
struct Wishes {
    name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
}

impl Wishes {
    fn size(&self, call: &Call) -> (u32, u32) {
        let side = call.app.settings.thumbnail_side;
        let clamp = |wish: Option<u32>| wish.filter(|&side| side > 0).unwrap_or(side).clamp(1, MAX_SIDE);
        (clamp(self.width), clamp(self.height))
    }
}

async fn store(
    call: &Call,
    form: &Form,
    field: Field<'static>,
    wishes: &Wishes,
) -> Result<FileRecord, ApiError> {
    let name = field.file_name().or(wishes.name.as_deref()).unwrap_or_default();
    let content_type = field.content_type().map(|kind| kind.as_ref().to_owned());
    let file = NewFile {
        name: plain_name(name),
        content_type: content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        restricted: form.restricted,
        thumbnail: wishes.size(call),
        owner: match &call.caller {
            Some(Identity::User(user)) => Some(user.clone()),
            _ => None,
        },
    };
    let failure = Arc::new(Mutex::new(None));
    let content = form.stream(field, Arc::clone(&failure));
    let stored = call.state.chat.store_file(&call.app, file, content).await;
    stored.map_err(|error| {
        // When the upload itself broke, that is the reason, whatever the store made of it.
        let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.unwrap_or_else(|| match error {
            ChatError::FileTooLarge { limit } => ApiError::file_too_large(limit, form.by_user),
            other => other.into(),
        })
    })
}

impl Form {
    async fn next(&mut self) -> Result<Option<Field<'static>>, ApiError> {
        self.allowance.renew();
        let next = tokio::time::timeout(self.idle, self.parts.next_field()).await;
        next.map_err(|_| ApiError::timeout())?.map_err(|error| wire(&error, self.limit, self.by_user))
    }

    /// A short text part.
    async fn text(&self, mut field: Field<'static>) -> Result<String, ApiError> {
        let mut text = Vec::new();
        loop {
            self.allowance.renew();
            let piece =
                tokio::time::timeout(self.idle, field.chunk()).await.map_err(|_| ApiError::timeout())?;
            match piece.map_err(|error| wire(&error, self.limit, self.by_user))? {
                None => return Ok(String::from_utf8_lossy(&text).into_owned()),
                Some(piece) if text.len() + piece.len() > MAX_TEXT => {
                    return Err(ApiError::illegal_argument("a part of the form is too long"));
                }
                Some(piece) => text.extend_from_slice(&piece),
            }
        }
    }

    /// The bytes of the file part. Why it ends early, if it does, is left in `failure`.
    fn stream(&self, field: Field<'static>, failure: Arc<Mutex<Option<ApiError>>>) -> BlobStream {
        let (allowance, idle, limit, by_user) = (self.allowance.clone(), self.idle, self.limit, self.by_user);
        stream::unfold(Some(field), move |field| {
            let (allowance, failure) = (allowance.clone(), Arc::clone(&failure));
            async move {
                let mut field = field?;
                allowance.renew();
                let error = match tokio::time::timeout(idle, field.chunk()).await {
                    Ok(Ok(None)) => return None,
                    Ok(Ok(Some(piece))) => return Some((Ok::<Bytes, Error>(piece), Some(field))),
                    Ok(Err(error)) => wire(&error, limit, by_user),
                    Err(_) => ApiError::timeout(),
                };
                let text = error.description.clone().into_owned();
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Some((Err(Error::new(ErrorKind::Invalid, "upload", text)), None))
            }
        })
        .boxed()
    }
}

fn wire(error: &multer::Error, limit: u64, by_user: bool) -> ApiError {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            ApiError::file_too_large(limit, by_user)
        }
        multer::Error::StreamReadFailed(cause) => {
            ApiError::illegal_argument(format!("the upload broke off: {cause}"))
        }
        other => ApiError::illegal_argument(format!("the upload is malformed: {other}")),
    }
}

/// The last segment of a file name, without control characters, of at most 255 bytes.
fn plain_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut plain: String = name.chars().filter(|c| !c.is_control()).collect();
    while plain.len() > MAX_NAME {
        plain.pop();
    }
    if plain.is_empty() { "file".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_made_plain() {
        assert_eq!(plain_name("a.jpg"), "a.jpg");
        assert_eq!(plain_name("C:\\photos\\a.jpg"), "a.jpg");
        assert_eq!(plain_name("../../etc/passwd"), "passwd");
        assert_eq!(plain_name("a\r\nb"), "ab");
        assert_eq!(plain_name("照片.png"), "照片.png");
        assert_eq!(plain_name(""), "file");
        assert_eq!(plain_name("x/"), "file");
        assert!(plain_name(&"片".repeat(200)).len() <= MAX_NAME);
    }
}
