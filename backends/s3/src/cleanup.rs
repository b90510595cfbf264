//! What a put that fails or is dropped leaves in the bucket, and its removal.

use crate::{client::Clients, error::status};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{runtime::Handle, task::JoinSet};

/// The removals that go on in the background; each ends within the client's deadlines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removals(Arc<Mutex<JoinSet<()>>>);

impl Removals {
    fn add(&self, removal: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime the process is ending.
        let Ok(runtime) = Handle::try_current() else { return };
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn_on(removal, &runtime);
    }

    /// Waits for all.
    pub(crate) async fn finish(&self) {
        let mut running = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        while running.join_next().await.is_some() {}
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) clients: Clients,
    pub(crate) bucket: String,
    pub(crate) key: String,
}

/// What may be in the bucket although the put has not succeeded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    pub(crate) object: bool,
    pub(crate) upload: Option<String>,
}

/// Removes what is left when it is dropped, unless told that the put succeeded.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) place: Place,
    pub(crate) left: Left,
    removals: Removals,
}

impl Unfinished {
    pub(crate) fn new(place: Place, removals: Removals) -> Self {
        Self { place, left: Left::default(), removals }
    }

    pub(crate) fn finished(mut self) {
        self.left = Left::default();
    }

    /// Removes now. When this is dropped, the removal goes on in the background.
    pub(crate) async fn remove(mut self) {
        remove(self.place.clone(), self.left.clone()).await;
        self.left = Left::default();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.left.object || self.left.upload.is_some() {
            self.removals.add(remove(self.place.clone(), std::mem::take(&mut self.left)));
        }
    }
}

async fn remove(place: Place, left: Left) {
    let Place { clients, bucket, key } = place;
    // The parts first: afterwards the upload cannot become an object any more.
    if let Some(upload) = left.upload {
        let aborted = clients.small.abort_multipart_upload().bucket(&bucket).key(&key).upload_id(upload);
        if let Err(failure) = aborted.send().await
            && status(&failure) != Some(404)
        {
            let error = aws_sdk_s3::error::DisplayErrorContext(&failure);
            tracing::warn!(key, %error, "the parts of a broken upload stay in the bucket");
        }
    }
    if left.object
        && let Err(failure) = clients.small.delete_object().bucket(&bucket).key(&key).send().await
    {
        let error = aws_sdk_s3::error::DisplayErrorContext(&failure);
        tracing::warn!(key, %error, "a blob that was not acknowledged may stay in the bucket");
    }
}
