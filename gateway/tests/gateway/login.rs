//! The first frame.

use crate::{
    client::Client,
    core::{Attach, EXPIRES_AT, Stage},
};
use meridian_link::{Credential, Platform, Refusal};
use meridian_types::msync::m_sync::Command;
use std::time::Duration;

#[tokio::test]
async fn a_login_is_accepted_and_echoed() {
    let mut stage = Stage::new().await;
    let mut client = Client::connect(stage.address).await;
    let answer = client.provision().await;
    assert_eq!(answer.status.unwrap().error_code, Some(0));
    assert_eq!(answer.resource.as_deref(), Some("webim_web_1"));
    assert_eq!(answer.session_id.as_deref(), Some("17:"));
    assert_eq!(answer.auth_token.unwrap(), format!(r#"{{"expires_in":{EXPIRES_AT}}}"#));
    assert!(answer.protocol_compress_type.is_empty(), "compression is never agreed");

    let seat = stage.seat().await;
    assert!(matches!(&seat.login.credential, Credential::Token(token) if token == "T-bob"));
    assert_eq!((seat.login.app_key.as_str(), seat.login.user.as_str()), ("org#app", "bob"));
    assert_eq!(seat.login.device.platform, Platform::Web);
    assert_eq!(seat.login.extension, "ext");
    assert!(seat.login.address.unwrap().is_loopback());
}

#[tokio::test]
async fn a_refusal_has_the_code_and_text_that_the_sdk_compares_and_then_closes() {
    let stage = Stage::new().await;
    for (refusal, code, text) in [
        (Refusal::TokenExpired, 1, "Sorry, token expired"),
        (Refusal::CredentialMismatch, 1, "Sorry, token or password does not match login info"),
        (Refusal::UserNotFound, 1, "Sorry, user not found"),
        (Refusal::AppNotFound, 1, "Sorry, app not found"),
        (Refusal::Malformed, 4, "Sorry, login info is malformed"),
        (Refusal::Forbidden, 12, "Sorry, user or app is disabled"),
        (Refusal::TooManyDevices, 13, "Sorry, too many devices"),
        (Refusal::Busy, 1, "Sorry, server busy"),
        (Refusal::Unavailable, 1, "Sorry, server is unavailable"),
    ] {
        stage.attach(Attach::Refuse(refusal));
        let mut client = Client::connect(stage.address).await;
        let status = client.provision().await.status.unwrap();
        assert_eq!((status.error_code, status.reason()), (Some(code), text));
        assert_eq!(client.close_code().await, 1000);
    }
}

#[tokio::test]
async fn a_core_that_does_not_answer_is_unavailable() {
    let stage = Stage::with(|config| config.attach_timeout = Duration::from_millis(50)).await;
    stage.attach(Attach::Hang);
    let mut client = Client::connect(stage.address).await;
    let status = client.provision().await.status.unwrap();
    assert_eq!((status.error_code, status.reason()), (Some(1), "Sorry, server is unavailable"));
    assert_eq!(client.close_code().await, 1000);
}

#[tokio::test]
async fn nothing_but_a_login_is_understood_first() {
    let stage = Stage::new().await;
    let mut client = Client::connect(stage.address).await;
    client.send(Command::Unread, None).await;
    assert_eq!(client.close_code().await, 1002);
}

#[tokio::test]
async fn a_client_that_never_logs_in_is_closed() {
    let stage = Stage::with(|config| config.login_timeout = Duration::from_millis(50)).await;
    assert_eq!(Client::connect(stage.address).await.close_code().await, 1008);
}

#[tokio::test]
async fn a_second_login_on_a_session_is_refused() {
    let mut stage = Stage::new().await;
    let (mut client, mut seat) = Client::log_in(&mut stage).await;
    client.send_login().await;
    assert_eq!(client.close_code().await, 1002);
    assert!(!seat.detached().await);
}
