//! One REST surface with one app, for one test.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use meridian_api::{Api, ApiConfig, Body};
use meridian_chat::{App, AppSettings, Chat, ChatConfig};
use meridian_fs::FsBlobs;
use meridian_memory::MemoryStore;
use meridian_ports::Blobs;
use meridian_types::{
    AppKey, Resource,
    session::{Credential, Device, Login, Platform},
};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) struct Server {
    pub(crate) api: Api,
    pub(crate) chat: Chat,
    pub(crate) app: Arc<App>,
    pub(crate) token: String,
    _root: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// Asserts an error of the documented shape.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, error: &str, description: &str) {
        let json = self.json();
        assert_eq!(self.status, status, "{json}");
        assert_eq!(json["error"], error, "{json}");
        let text = json["error_description"].as_str().unwrap();
        assert!(text.contains(description), "{json}");
        for field in ["exception", "timestamp", "duration"] {
            assert!(json.get(field).is_some(), "{field} is missing in {json}");
        }
    }

    /// The JSON of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(AppSettings::default()).await
    }

    pub(crate) async fn with(settings: AppSettings) -> Self {
        let root = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FsBlobs::open(root.path()).await.unwrap());
        Self::over(settings, blobs, root).await
    }

    /// Over these blobs; `root` is removed at the end.
    pub(crate) async fn over(settings: AppSettings, blobs: Arc<dyn Blobs>, root: tempfile::TempDir) -> Self {
        let chat = Chat::open(ChatConfig::default(), Arc::new(MemoryStore::new()), blobs).await.unwrap();
        let app = chat.create_app(&AppKey::new("demo", "chat").unwrap(), settings).await.unwrap();
        let issued = chat.app_token(&app, &app.client_id, &app.client_secret, None).await.unwrap();
        let api = Api::new(chat.clone(), ApiConfig::default());
        Self { api, chat, app, token: issued.token, _root: root }
    }

    /// Sends a request as it is.
    pub(crate) async fn raw(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.api.handle(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    /// Sends JSON (or nothing) below the app, with a bearer if there is one.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        json: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/demo/chat{path}"));
        request = request.header("host", "rest.example.org");
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let text = json.map(|json| json.to_string()).unwrap_or_default();
        let answer = self.raw(request.body(whole(text)).unwrap()).await;
        assert!(!answer.bytes.is_empty(), "an answer without a body");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Some(&self.token), None).await
    }

    pub(crate) async fn post(&self, path: &str, json: Value) -> Answer {
        self.call(Method::POST, path, Some(&self.token), Some(json)).await
    }

    pub(crate) async fn put(&self, path: &str, json: Value) -> Answer {
        self.call(Method::PUT, path, Some(&self.token), Some(json)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Some(&self.token), None).await
    }

    /// Registers a user (password `pw`) and gives a token.
    pub(crate) async fn user(&self, name: &str) -> String {
        self.post("/users", json!({"username": name, "password": "pw"})).await.ok();
        self.user_token(name).await
    }

    pub(crate) async fn user_token(&self, name: &str) -> String {
        let grant = json!({"grant_type": "password", "username": name, "password": "pw"});
        let answer = self.call(Method::POST, "/token", None, Some(grant)).await;
        answer.ok()["access_token"].as_str().unwrap().to_owned()
    }

    /// Connects a device of a user.
    pub(crate) async fn attach(&self, name: &str, resource: &str, token: &str) -> meridian_chat::Attached {
        let login = Login {
            app_key: "demo#chat".into(),
            user: name.into(),
            credential: Credential::Token(token.into()),
            device: Device {
                resource: Resource::parse(resource).unwrap(),
                uuid: "device-uuid".into(),
                name: "device-name".into(),
                platform: Platform::Web,
                sdk_version: "4.21.1".into(),
            },
            extension: String::new(),
            address: None,
        };
        self.chat.attach(login).await.unwrap()
    }
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) const EXPIRED: &str = "Unable to authenticate due to expired access token";
pub(crate) const NO_RIGHT: &str = "Unable to authenticate (OAuth)";
