//! Attachments: bytes in the blob store, a record in a log. The record comes after the bytes, so a file that can be named
//! can be read.

use crate::{
    App, ChatError, FileRecord, NewFile,
    log::{Command, Draft},
    service::Inner,
    tenants::random_text,
};
use async_trait::async_trait;
use meridian_ports::{BlobStream, ErrorKind};
use meridian_types::Kind;
use serde::{Deserialize, Serialize};
use std::ops::Range;

const FILE: Kind = Kind::new("file");

impl Inner {
    pub(crate) async fn store_file(
        &self,
        app: &App,
        file: NewFile,
        content: BlobStream,
    ) -> Result<FileRecord, ChatError> {
        let uuid = uuid::Uuid::new_v4().to_string();
        let limit = app.settings.file_limit;
        let key = blob_key(app, &uuid);
        let stored = self.blobs.put(&key, content, limit).await.map_err(|error| match error.kind() {
            ErrorKind::Invalid => ChatError::FileTooLarge { limit },
            // A sender that breaks off is the caller's to tell: it made the stream.
            _ => error.into(),
        })?;
        let record = FileRecord {
            uuid: uuid.clone(),
            name: file.name,
            content_type: file.content_type,
            size: stored.size,
            restricted: file.restricted,
            share_secret: random_text(16),
            thumbnail: file.thumbnail,
            owner: file.owner.map(|owner| owner.to_string()),
            created: self.clock.now().0,
        };
        let log = self.placement.home(app.tenant, &uuid);
        let recorded = self.logs.execute(log, PutFile { record: record.clone() }).await;
        if recorded.is_err()
            && let Err(error) = self.blobs.delete(&key).await
        {
            tracing::warn!(error = ?error, "a blob without a record stays behind");
        }
        recorded.map(|()| record)
    }

    pub(crate) async fn file(&self, app: &App, uuid: &str) -> Result<Option<FileRecord>, ChatError> {
        let log = self.placement.home(app.tenant, uuid);
        let object = self.store.object(log, &FILE, uuid).await?;
        Ok(object.and_then(|object| serde_json::from_slice(&object.body).ok()))
    }

    pub(crate) async fn read_file(
        &self,
        app: &App,
        file: &FileRecord,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobStream>, ChatError> {
        Ok(self.blobs.get(&blob_key(app, &file.uuid), range).await?)
    }

    pub(crate) async fn read_thumbnail(
        &self,
        app: &App,
        file: &FileRecord,
    ) -> Result<Option<BlobStream>, ChatError> {
        Ok(self.blobs.get(&thumbnail_key(app, &file.uuid), None).await?)
    }

    /// A thumbnail can be made again from the file: it needs no record.
    pub(crate) async fn store_thumbnail(
        &self,
        app: &App,
        file: &FileRecord,
        content: BlobStream,
    ) -> Result<(), ChatError> {
        let limit = app.settings.file_limit;
        self.blobs.put(&thumbnail_key(app, &file.uuid), content, limit).await?;
        Ok(())
    }
}

fn blob_key(app: &App, uuid: &str) -> String {
    format!("{}/{uuid}", app.tenant)
}

fn thumbnail_key(app: &App, uuid: &str) -> String {
    format!("{}/{uuid}.thumb", app.tenant)
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PutFile {
    record: FileRecord,
}

#[async_trait]
impl Command for PutFile {
    type Output = ();
    type Error = ChatError;

    const NAME: &'static str = "file.put";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<(), ChatError> {
        let json = serde_json::to_vec(&self.record)
            .map_err(|error| ChatError::Upload(format!("file record: {error}")))?;
        let rank = i64::try_from(self.record.created).unwrap_or(i64::MAX);
        draft.put_object(&FILE, &self.record.uuid, rank, 0, json.into());
        Ok(())
    }
}
