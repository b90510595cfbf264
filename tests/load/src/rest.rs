//! The few REST calls that a run needs: make an app, get tokens.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: usize = 2 * 1024 * 1024;

/// An app of the server, and the right to make tokens for its users.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct AppAccess {
    pub(crate) app_key: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

/// A client of the server's REST interface.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    listen: SocketAddr,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl Rest {
    pub(crate) fn new(listen: SocketAddr) -> Self {
        Self { listen, http: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Makes an app with a random name, open to everyone and without request limits.
    pub(crate) async fn make_app(&self, admin: SocketAddr) -> anyhow::Result<AppAccess> {
        let settings = json!({ "registration": "open", "rate_factor": 0, "devices_per_platform": 100 });
        self.make_app_with(admin, settings).await
    }

    /// Makes an app with a random name and these settings.
    pub(crate) async fn make_app_with(
        &self,
        admin: SocketAddr,
        settings: Value,
    ) -> anyhow::Result<AppAccess> {
        let app_key = format!("load#r{:08x}", rand::random::<u32>());
        let app = json!({ "app_key": app_key, "settings": settings });
        let answer = self.post(&format!("http://{admin}/apps"), None, &app).await?;
        Ok(AppAccess {
            app_key,
            client_id: text(&answer, "client_id")?,
            client_secret: text(&answer, "client_secret")?,
        })
    }

    pub(crate) async fn app_token(&self, app: &AppAccess) -> anyhow::Result<String> {
        let grant = json!({
            "grant_type": "client_credentials",
            "client_id": app.client_id,
            "client_secret": app.client_secret,
        });
        text(&self.post(&self.token_url(app)?, None, &grant).await?, "access_token")
    }

    /// A token of a user, who is made when there is none of that name.
    pub(crate) async fn user_token(
        &self,
        app: &AppAccess,
        app_token: &str,
        user: &str,
    ) -> anyhow::Result<String> {
        let grant = json!({ "grant_type": "inherit", "username": user, "autoCreateUser": true });
        let answer = self.post(&self.token_url(app)?, Some(app_token), &grant).await;
        text(&answer.with_context(|| format!("no token for {user}"))?, "access_token")
    }

    fn token_url(&self, app: &AppAccess) -> anyhow::Result<String> {
        let (org, name) = app.app_key.split_once('#').context("app key without #")?;
        Ok(format!("http://{}/{org}/{name}/token", self.listen))
    }

    async fn post(&self, url: &str, token: Option<&str>, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, url, token, Some(body)).await
    }

    /// Any call. Anything else than 200 and JSON is an error.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let what = format!("{method} {url}");
        let mut request = Request::builder().method(method).uri(url);
        request = request.header(http::header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::from(body))?;
        let exchange = async {
            let answer = self.http.request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
            anyhow::Ok((status, body))
        };
        let exchange = timeout(DEADLINE, exchange).await.context("no answer in time");
        let (status, body) = exchange.and_then(|done| done).with_context(|| what.clone())?;
        if status != StatusCode::OK {
            bail!("{what}: {status}: {}", String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).with_context(|| format!("{what}: answer is not JSON"))
    }
}

fn text(answer: &Value, key: &str) -> anyhow::Result<String> {
    Ok(answer[key].as_str().with_context(|| format!("answer without {key}"))?.to_owned())
}
