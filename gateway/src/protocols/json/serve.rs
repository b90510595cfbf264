//! A connection from its first frame to its end: the hello, then the session.

use super::{
    end::{End, refused},
    event::{self, error},
    frame::{self, ClientFrame, Conversation, Hello},
    session::Session,
};
use crate::{config::GatewayConfig, drain::Drain, gauge::Counted, websocket::Socket};
use futures_util::future::BoxFuture;
use meridian_link::{Attached, CoreHandle, Credential, Device, Login, Platform, Refusal};
use meridian_types::{Position, Resource};
use std::{collections::HashMap, net::IpAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

/// Characters of a device's name.
const NAME_LIMIT: usize = 256;
/// Conversations whose position a client may bring along.
const POSITIONS: usize = 1000;

/// Serves a connection until it ends. Boxed here and below, and not by the caller, to keep idle sessions small.
pub(crate) fn serve<S>(
    mut socket: Box<Socket<S>>,
    core: CoreHandle,
    config: Arc<GatewayConfig>,
    drain: Drain,
    address: Option<IpAddr>,
) -> BoxFuture<'static, ()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    socket.speak_text();
    Box::pin(say_hello_and_run(socket, core, config, drain, address))
}

async fn say_hello_and_run<S>(
    mut socket: Box<Socket<S>>,
    core: CoreHandle,
    config: Arc<GatewayConfig>,
    mut drain: Drain,
    address: Option<IpAddr>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let hello = Box::pin(hello(&mut socket, &core, &config, &mut drain, address)).await;
    drop(core);
    let result = hello.as_ref().err().map_or("accepted", End::name);
    metrics::counter!("gateway_logins_total", "result" => result).increment(1);
    let end = match hello {
        Ok((attached, positions)) => {
            let _counted = Counted::one(metrics::gauge!("gateway_sessions"));
            run(Box::new(Session::new(socket, attached, positions, config, drain))).await
        }
        Err(end) => {
            if let Some(bye) = end.bye() {
                // The client may be gone already.
                let _ = socket.feed(event::text(&bye)).await;
            }
            socket.close(end.code(), end.name()).await;
            end
        }
    };
    metrics::counter!("gateway_closes_total", "reason" => end.name()).increment(1);
    tracing::debug!(reason = end.name(), "session ended");
}

type Accepted = (Attached, HashMap<Conversation, Position>);

async fn hello<S>(
    socket: &mut Socket<S>,
    core: &CoreHandle,
    config: &GatewayConfig,
    drain: &mut Drain,
    address: Option<IpAddr>,
) -> Result<Accepted, End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let first = async {
        loop {
            match socket.next().await {
                None => return Err(End::Gone),
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Binary(_))) => return Err(End::Binary),
                Some(Ok(Message::Close(_))) => return Err(End::Gone),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            }
        }
    };
    let first = tokio::select! {
        first = timeout(config.login_timeout, first) => first.map_err(|_| End::NoHello)??,
        () = drain.begun() => return Err(End::Draining),
    };
    let hello = match frame::read(&first) {
        Ok(ClientFrame::Hello(hello)) => hello,
        Ok(_) => {
            tell(socket, error(None, "no_hello", "the first frame must be a hello")).await?;
            return Err(End::NoHello);
        }
        Err(mistake) => {
            tell(socket, error(mistake.id, mistake.code, &mistake.text)).await?;
            return Err(End::NoHello);
        }
    };
    let (login, positions) = match read(hello, address) {
        Ok(read) => read,
        Err(text) => {
            tell(socket, error(None, "malformed_login", text)).await?;
            return Err(End::Refused(Refusal::Malformed));
        }
    };
    let attach = timeout(config.attach_timeout, core.attach(login));
    match attach.await.unwrap_or(Err(Refusal::Unavailable)) {
        Ok(attached) => {
            tracing::debug!(app = %attached.app, "session begins");
            Ok((attached, positions))
        }
        Err(refusal) => {
            tell(socket, refused(refusal)).await?;
            Err(End::Refused(refusal))
        }
    }
}

async fn tell<S>(socket: &mut Socket<S>, frame: serde_json::Value) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    socket.feed(event::text(&frame)).await?;
    Ok(socket.flush().await?)
}

/// Whether the names are well formed is the core's to say, but for the device's.
fn read(
    hello: Hello,
    address: Option<IpAddr>,
) -> Result<(Login, HashMap<Conversation, Position>), &'static str> {
    let credential = match (hello.token, hello.password) {
        (Some(token), None) if !token.is_empty() => Credential::Token(token),
        (None, Some(password)) if !password.is_empty() => Credential::Password(password),
        _ => return Err("a token or a password is needed, and not both"),
    };
    if hello.positions.len() > POSITIONS {
        return Err("positions: at most 1000");
    }
    let name: String = hello.device.name.chars().take(NAME_LIMIT).collect();
    let device = Device {
        resource: Resource::parse(&hello.device.id).map_err(|_| "device.id is not well formed")?,
        uuid: hello.device.id,
        name,
        platform: match hello.device.platform.as_deref() {
            Some("ios") => Platform::Ios,
            Some("android") => Platform::Android,
            Some("linux") => Platform::Linux,
            Some("mac") => Platform::Mac,
            Some("windows") => Platform::Windows,
            Some("web") | None => Platform::Web,
            Some(_) => return Err("device.platform is one of ios, android, linux, mac, windows, web"),
        },
        sdk_version: "json/1".into(),
    };
    let positions =
        hello.positions.into_iter().map(|(conversation, place)| (conversation, place.0)).collect();
    let (app_key, user) = (hello.app, hello.user);
    Ok((Login { app_key, user, credential, device, extension: String::new(), address }, positions))
}

fn run<S>(session: Box<Session<S>>) -> BoxFuture<'static, End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(session.run())
}
