//! A connection from its first frame to its end: the login exchange, then the session.

use super::{
    end::{End, read},
    frame::ClientFrame,
    login,
    session::{Session, count_out},
};
use crate::{config::GatewayConfig, drain::Drain, gauge::Counted, websocket::Socket};
use futures_util::future::BoxFuture;
use meridian_link::{Attached, CoreHandle, Refusal};
use std::{net::IpAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// Serves a connection until it ends. Boxed here and below, and not by the caller, to keep idle sessions small.
pub(crate) fn serve<S>(
    socket: Box<Socket<S>>,
    core: CoreHandle,
    config: Arc<GatewayConfig>,
    drain: Drain,
    address: Option<IpAddr>,
) -> BoxFuture<'static, ()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(log_in_and_run(socket, core, config, drain, address))
}

async fn log_in_and_run<S>(
    mut socket: Box<Socket<S>>,
    core: CoreHandle,
    config: Arc<GatewayConfig>,
    mut drain: Drain,
    address: Option<IpAddr>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let login = log_in(&mut socket, &core, &config, &mut drain, address).await;
    drop(core);
    let end = match login {
        Ok(attached) => {
            let _counted = Counted::one(metrics::gauge!("gateway_sessions"));
            run(Box::new(Session::new(socket, attached, config, drain))).await
        }
        Err(end) => {
            socket.close(end.code(), end.text()).await;
            end
        }
    };
    metrics::counter!("gateway_closes_total", "reason" => end.text()).increment(1);
    tracing::debug!(reason = end.text(), "session ended");
}

fn log_in<'a, S>(
    socket: &'a mut Socket<S>,
    core: &'a CoreHandle,
    config: &'a GatewayConfig,
    drain: &'a mut Drain,
    address: Option<IpAddr>,
) -> BoxFuture<'a, Result<Attached, End>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    Box::pin(login_exchange(socket, core, config, drain, address))
}

async fn login_exchange<S>(
    socket: &mut Socket<S>,
    core: &CoreHandle,
    config: &GatewayConfig,
    drain: &mut Drain,
    address: Option<IpAddr>,
) -> Result<Attached, End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let first = async {
        loop {
            if let Some(frame) = read(socket.next().await)? {
                break Ok::<_, End>(frame);
            }
        }
    };
    let first = tokio::select! {
        first = timeout(config.login_timeout, first) => first.map_err(|_| End::LoginTimeout)??,
        () = drain.begun() => return Err(End::Draining),
    };
    let ClientFrame::Provision(frame) = first else { return Err(End::Unexpected("not logged in")) };
    let session_id = frame.provision.session_id().to_owned();
    let attached = match login::login(&frame, address) {
        Ok(login) => {
            let attach = timeout(config.attach_timeout, core.attach(login));
            attach.await.unwrap_or(Err(Refusal::Unavailable))
        }
        Err(refusal) => Err(refusal),
    };
    let answer = match &attached {
        Ok(attached) => login::accepted(attached, &session_id),
        Err(refusal) => login::refused(*refusal, frame.provision.resource(), &session_id),
    };
    metrics::counter!("gateway_logins_total", "result" => attached.as_ref().err().map_or("accepted", refusal_name))
        .increment(1);
    if let Ok(attached) = &attached {
        tracing::debug!(app = %attached.app, "session begins");
    }
    count_out("provision");
    socket.feed(answer).await?;
    socket.flush().await?;
    attached.map_err(|_| End::Refused)
}

fn refusal_name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "malformed",
        Refusal::AppNotFound => "app_not_found",
        Refusal::UserNotFound => "user_not_found",
        Refusal::TokenExpired => "token_expired",
        Refusal::CredentialMismatch => "credential_mismatch",
        Refusal::Forbidden => "forbidden",
        Refusal::TooManyDevices => "too_many_devices",
        Refusal::Busy => "busy",
        _ => "unavailable",
    }
}

fn run<S>(session: Box<Session<S>>) -> BoxFuture<'static, End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(session.run())
}
