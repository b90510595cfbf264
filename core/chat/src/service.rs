//! The way in to the chat logic.

use crate::{
    App, AppSettings, ChatConfig, ChatError, DeviceInfo, FileRecord, Identity, IssuedToken, NewFile, NewUser,
    OutgoingMessage, Page, RecallOutcome, RecallRequest, TokenError, User,
};
use meridian_ports::{BlobStream, Blobs, Store};
use meridian_types::{AppKey, MessageId, Resource, UserName};
use std::{ops::Range, sync::Arc};

type Result<T> = std::result::Result<T, ChatError>;

/// The chat logic of one core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chat {}

#[allow(unused_variables, clippy::unused_async, clippy::todo)] // signatures first
impl Chat {
    pub async fn open(config: ChatConfig, store: Arc<dyn Store>, blobs: Arc<dyn Blobs>) -> Result<Self> {
        todo!()
    }
    /// Refuses new commands, waits for the log writers to commit what they have, writes positions.
    pub async fn close(&self) {
        todo!()
    }

    // Apps
    pub async fn app(&self, key: &AppKey) -> Result<Arc<App>> {
        todo!()
    }
    pub async fn create_app(&self, key: &AppKey, settings: AppSettings) -> Result<Arc<App>> {
        todo!()
    }
    pub async fn set_app_settings(&self, key: &AppKey, settings: AppSettings) -> Result<Arc<App>> {
        todo!()
    }
    pub async fn apps(&self) -> Result<Vec<Arc<App>>> {
        todo!()
    }

    // Tokens. `ttl_s`: None = the app's setting, Some(0) = never expires.
    pub async fn identify(&self, app: &App, bearer: &str) -> std::result::Result<Identity, TokenError> {
        todo!()
    }
    /// When a token of this app ends, in epoch milliseconds (a far future for one that never does).
    pub async fn token_expiry(&self, app: &App, token: &str) -> std::result::Result<u64, TokenError> {
        todo!()
    }
    pub async fn app_token(
        &self,
        app: &App,
        client_id: &str,
        client_secret: &str,
        ttl_s: Option<u64>,
    ) -> Result<IssuedToken> {
        todo!()
    }
    pub async fn user_token_by_password(
        &self,
        app: &App,
        user: &UserName,
        password: &str,
        ttl_s: Option<u64>,
    ) -> Result<IssuedToken> {
        todo!()
    }
    /// The `inherit` grant: the caller has checked the app token.
    pub async fn user_token(
        &self,
        app: &App,
        user: &UserName,
        auto_create: bool,
        ttl_s: Option<u64>,
    ) -> Result<IssuedToken> {
        todo!()
    }

    // Users
    pub async fn register(&self, app: &App, user: NewUser) -> Result<User> {
        todo!()
    }
    pub async fn user(&self, app: &App, name: &UserName) -> Result<User> {
        todo!()
    }
    pub async fn user_by_uuid(&self, app: &App, uuid: &str) -> Result<User> {
        todo!()
    }
    /// In order of creation. A cursor that is not one of ours starts from the beginning.
    pub async fn users(&self, app: &App, cursor: Option<&str>, limit: usize) -> Result<Page<User>> {
        todo!()
    }
    pub async fn delete_user(&self, app: &App, name: &UserName) -> Result<User> {
        todo!()
    }
    pub async fn set_password(&self, app: &App, name: &UserName, password: &str) -> Result<()> {
        todo!()
    }
    /// Whether this is the user's password; for changes by the user themself.
    pub async fn check_password(&self, app: &App, name: &UserName, password: &str) -> Result<bool> {
        todo!()
    }
    /// Bans (false) or lifts a ban (true).
    pub async fn set_activated(&self, app: &App, name: &UserName, activated: bool) -> Result<User> {
        todo!()
    }
    /// Ends all sessions and revokes all tokens. False when nothing was connected.
    pub async fn force_offline(&self, app: &App, name: &UserName) -> Result<bool> {
        todo!()
    }
    /// Ends one session. False when that device is not connected.
    pub async fn disconnect(&self, app: &App, name: &UserName, device: &Resource) -> Result<bool> {
        todo!()
    }
    pub fn is_online(&self, app: &App, name: &UserName) -> bool {
        todo!()
    }
    pub fn devices(&self, app: &App, name: &UserName) -> Vec<DeviceInfo> {
        todo!()
    }
    /// Messages that no device of the user has received.
    pub async fn offline_count(&self, app: &App, name: &UserName) -> Result<u64> {
        todo!()
    }
    /// Whether a message has reached a device of the user; unknown ids count as delivered.
    pub async fn is_delivered(&self, app: &App, name: &UserName, message: MessageId) -> Result<bool> {
        todo!()
    }

    // Messages
    pub async fn send(&self, app: &App, message: OutgoingMessage) -> Result<MessageId> {
        todo!()
    }
    pub async fn recall(&self, app: &App, request: RecallRequest) -> Result<RecallOutcome> {
        todo!()
    }

    // Files
    pub async fn store_file(&self, app: &App, file: NewFile, content: BlobStream) -> Result<FileRecord> {
        todo!()
    }
    /// `None` when there is no such file.
    pub async fn file(&self, app: &App, uuid: &str) -> Result<Option<FileRecord>> {
        todo!()
    }
    pub async fn read_file(
        &self,
        app: &App,
        file: &FileRecord,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobStream>> {
        todo!()
    }
    /// The thumbnail kept beside a file, if one was made.
    pub async fn read_thumbnail(&self, app: &App, file: &FileRecord) -> Result<Option<BlobStream>> {
        todo!()
    }
    pub async fn store_thumbnail(&self, app: &App, file: &FileRecord, content: BlobStream) -> Result<()> {
        todo!()
    }
}
