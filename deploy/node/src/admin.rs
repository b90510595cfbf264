//! The admin port: metrics, recent logs, health, and the apps. It asks for no password: keep it private.

use crate::roles::core::CoreRole;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use meridian_chat::{App, AppSettings, Chat, ChatError};
use meridian_link::{CoreHandle, Sessions};
use meridian_server::LocalCore;
use meridian_types::AppKey;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

const BODY_LIMIT: usize = 64 * 1024;
const CONNECTIONS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const UPKEEP: Duration = Duration::from_secs(5);

type Answer = Response<Full<bytes::Bytes>>;

/// The admin listener.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
}

struct Service {
    core: CoreHandle,
    /// With the core role.
    own: Option<Own>,
    metrics: PrometheusHandle,
}

/// The core of this process.
struct Own {
    chat: Chat,
    local: LocalCore,
    sessions: Sessions,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl Admin {
    pub(crate) async fn bind(
        address: SocketAddr,
        core: CoreHandle,
        own: Option<&CoreRole>,
        metrics: PrometheusHandle,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let own = own.map(|role| Own {
            chat: role.chat.clone(),
            local: role.local.clone(),
            sessions: role.sessions.clone(),
        });
        Ok(Self { listener, address, service: Arc::new(Service { core, own, metrics }) })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let turns = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut upkeep = tokio::time::interval(UPKEEP);
        tokio::pin!(stop);
        loop {
            let turn = tokio::select! {
                () = &mut stop => return,
                _ = upkeep.tick() => {
                    self.service.metrics.run_upkeep();
                    continue;
                }
                Some(_) = connections.join_next() => continue,
                turn = turns.clone().acquire_owned() => turn,
            };
            let (Ok(turn), accepted) = (
                turn,
                tokio::select! {
                    () = &mut stop => return,
                    accepted = self.listener.accept() => accepted,
                },
            ) else {
                return;
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let service = self.service.clone();
            connections.spawn(async move {
                let _turn = turn;
                let respond = service_fn(move |request| {
                    let service = service.clone();
                    async move { Ok::<_, Infallible>(service.answer(request).await) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), respond)
                    .await;
                if let Err(error) = served {
                    tracing::debug!(%error, "admin connection ended");
                }
            });
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewApp {
    app_key: String,
    #[serde(default)]
    settings: AppSettings,
}

impl Service {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().trim_matches('/').to_owned();
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method(), segments.as_slice()) {
            (&Method::GET, ["healthz"]) => text(StatusCode::OK, "ok\n"),
            (&Method::GET, ["readyz"]) if self.core.is_ready() => text(StatusCode::OK, "ready\n"),
            (&Method::GET, ["readyz"]) => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            (&Method::GET, ["metrics"]) => text(StatusCode::OK, self.metrics.render()),
            (&Method::GET, ["logs"]) => text(StatusCode::OK, crate::telemetry::recent_logs()),
            (_, ["apps" | "drain", ..]) => match &self.own {
                Some(own) => own.answer(&segments, request).await,
                None => refuse(StatusCode::NOT_FOUND, "this node has no core; ask one of the cores"),
            },
            _ => refuse(StatusCode::NOT_FOUND, "no such resource"),
        }
    }
}

impl Own {
    async fn answer(&self, segments: &[&str], request: Request<Incoming>) -> Answer {
        match (request.method(), segments) {
            (&Method::POST, ["drain"]) => self.drain(request.uri().query()).await,
            (&Method::GET, ["apps"]) => self.list().await,
            (&Method::POST, ["apps"]) => match read::<NewApp>(request).await {
                Ok(new) => self.create(new).await,
                Err(refused) => refused,
            },
            (&Method::GET, ["apps", org, app]) => self.show(AppKey::new(org, app)).await,
            (&Method::PUT, ["apps", org, app, "settings"]) => {
                let key = AppKey::new(org, app);
                match read::<AppSettings>(request).await {
                    Ok(settings) => self.set(key, settings).await,
                    Err(refused) => refused,
                }
            }
            _ => refuse(StatusCode::NOT_FOUND, "no such resource"),
        }
    }

    /// Refuses new sessions and waits until edges have moved the others.
    async fn drain(&self, query: Option<&str>) -> Answer {
        let seconds = query.and_then(|query| query.strip_prefix("within_s=")).unwrap_or("30");
        let Some(seconds) = seconds.parse().ok().filter(|seconds| *seconds <= 600) else {
            return refuse(StatusCode::BAD_REQUEST, "within_s: a number of seconds up to 600");
        };
        self.local.drain();
        let left = crate::drain::moved(&self.sessions, Duration::from_secs(seconds)).await;
        let status = if left == 0 { StatusCode::OK } else { StatusCode::CONFLICT };
        json(status, &serde_json::json!({ "draining": true, "sessions": left }))
    }

    async fn list(&self) -> Answer {
        match self.chat.apps().await {
            Ok(apps) => {
                let keys: Vec<_> = apps.iter().map(|app| app.key.as_str()).collect();
                json(StatusCode::OK, &serde_json::json!({ "apps": keys }))
            }
            Err(error) => failed(&error),
        }
    }

    async fn create(&self, new: NewApp) -> Answer {
        let key = match AppKey::parse(&new.app_key) {
            Ok(key) => key,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("app_key: {error}")),
        };
        answer(self.chat.create_app(&key, new.settings).await)
    }

    async fn show(&self, key: Result<AppKey, meridian_types::NameError>) -> Answer {
        match key {
            Ok(key) => answer(self.chat.app(&key).await),
            Err(_) => failed(&ChatError::AppNotFound),
        }
    }

    async fn set(&self, key: Result<AppKey, meridian_types::NameError>, settings: AppSettings) -> Answer {
        match key {
            Ok(key) => answer(self.chat.set_app_settings(&key, settings).await),
            Err(_) => failed(&ChatError::AppNotFound),
        }
    }
}

async fn read<T: for<'de> Deserialize<'de>>(request: Request<Incoming>) -> Result<T, Answer> {
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect();
    let body = tokio::time::timeout(HEADER_TIMEOUT, body)
        .await
        .map_err(|_| refuse(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"))?
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()))?
        .to_bytes();
    serde_json::from_slice(&body).map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn answer(app: Result<Arc<App>, ChatError>) -> Answer {
    match app {
        Ok(app) => json(
            StatusCode::OK,
            &serde_json::json!({
                "app_key": app.key.as_str(),
                "application": app.uuid,
                "client_id": app.client_id,
                "client_secret": app.client_secret,
                "settings": app.settings,
            }),
        ),
        Err(error) => failed(&error),
    }
}

fn failed(error: &ChatError) -> Answer {
    let status = match error {
        ChatError::AppNotFound => StatusCode::NOT_FOUND,
        ChatError::AppExists => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, &error.to_string())
}

fn refuse(status: StatusCode, message: &str) -> Answer {
    json(status, &serde_json::json!({ "error": message }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    respond(status, "application/json", value.to_string())
}

fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    respond(status, "text/plain; charset=utf-8", body.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    answer
}
