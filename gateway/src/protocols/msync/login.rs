//! PROVISION: the first frame of a connection, and its answer.

use super::frame::{ProvisionFrame, ok, provision, status};
use bytes::Bytes;
use meridian_link::{Attached, Credential, Device, Login, Platform, Refusal};
use meridian_types::{
    Resource,
    msync::{Provision, Status, provision::OsType},
};
use serde::Deserialize;
use std::net::IpAddr;

const TOKEN_PREFIX: &str = "$t$";
/// Bytes of the texts that a client gives itself; the rest is cut off.
const UUID_LIMIT: usize = 256;
const NAME_LIMIT: usize = 256;
const VERSION_LIMIT: usize = 64;
const EXTENSION_LIMIT: usize = 1024;
/// A longer session id is not echoed.
const SESSION_ID_LIMIT: usize = 128;

/// Reads a login. Whether the names are well formed is the core's to say, but for the device's, which is part of the
/// address that the gateway writes.
pub(super) fn login(frame: &ProvisionFrame, address: Option<IpAddr>) -> Result<Login, Refusal> {
    let provision = &frame.provision;
    let resource = match provision.resource() {
        "" => frame.guid.client_resource(),
        resource => resource,
    };
    let custom = Platform::Custom(provision.os_custom_value());
    Ok(Login {
        app_key: frame.guid.app_key().to_owned(),
        user: frame.guid.name().to_owned(),
        credential: credential(frame).ok_or(Refusal::Malformed)?,
        device: Device {
            resource: Resource::parse(resource).map_err(|_| Refusal::Malformed)?,
            uuid: cut(provision.device_uuid(), UUID_LIMIT),
            name: cut(provision.device_name(), NAME_LIMIT),
            platform: match provision.os_type.map(OsType::try_from) {
                Some(Ok(OsType::OsIos)) => Platform::Ios,
                Some(Ok(OsType::OsAndroid)) => Platform::Android,
                Some(Ok(OsType::OsLinux)) => Platform::Linux,
                Some(Ok(OsType::OsOsx)) => Platform::Mac,
                Some(Ok(OsType::OsWin)) => Platform::Windows,
                Some(Ok(OsType::OsCustom)) => custom,
                Some(Ok(OsType::OsOther) | Err(_)) | None => Platform::Web,
            },
            sdk_version: cut(provision.version(), VERSION_LIMIT),
        },
        extension: cut(provision.reason(), EXTENSION_LIMIT),
        address,
    })
}

#[derive(Deserialize)]
struct AuthToken {
    token: String,
}

/// The token of the envelope, else that of the payload, else the password.
fn credential(frame: &ProvisionFrame) -> Option<Credential> {
    let token = |text: &str| {
        let token = text.strip_prefix(TOKEN_PREFIX).unwrap_or(text);
        (!token.is_empty()).then(|| Credential::Token(token.to_owned()))
    };
    let from_json = || token(&serde_json::from_str::<AuthToken>(frame.provision.auth_token()).ok()?.token);
    let password = || {
        let password = frame.provision.password();
        (!password.is_empty()).then(|| Credential::Password(password.to_owned()))
    };
    token(&frame.auth).or_else(from_json).or_else(|| token(frame.provision.auth())).or_else(password)
}

fn cut(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}

/// The answer to an accepted login. The resource is echoed (the client takes it as its own), and the expiry is a
/// time, not a duration, whatever its name says. Without compression in the answer there is none.
pub(super) fn accepted(attached: &Attached, session_id: &str) -> Bytes {
    provision(&Provision {
        status: Some(ok()),
        resource: Some(attached.resource.to_string()),
        auth_token: attached.token_expires_at.map(|at| format!(r#"{{"expires_in":{at}}}"#)),
        session_id: echo(session_id),
        ..Provision::default()
    })
}

/// The answer to a refused login; the connection is closed after it.
pub(super) fn refused(refusal: Refusal, resource: &str, session_id: &str) -> Bytes {
    provision(&Provision {
        status: Some(refusal_status(refusal)),
        resource: Some(cut(resource, Resource::LIMIT)),
        session_id: echo(session_id),
        ..Provision::default()
    })
}

fn echo(session_id: &str) -> Option<String> {
    (!session_id.is_empty() && session_id.len() <= SESSION_ID_LIMIT).then(|| session_id.to_owned())
}

/// The client chooses its error by number and exact text.
fn refusal_status(refusal: Refusal) -> Status {
    let (code, reason) = match refusal {
        Refusal::TokenExpired => (1, "Sorry, token expired"),
        Refusal::CredentialMismatch => (1, "Sorry, token or password does not match login info"),
        Refusal::UserNotFound => (1, "Sorry, user not found"),
        Refusal::AppNotFound => (1, "Sorry, app not found"),
        Refusal::Malformed => (4, "Sorry, login info is malformed"),
        Refusal::Forbidden => (12, "Sorry, user or app is disabled"),
        Refusal::TooManyDevices => (13, "Sorry, too many devices"),
        Refusal::Busy => (1, "Sorry, server busy"),
        _ => (1, "Sorry, server is unavailable"),
    };
    status(code, Some(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::msync::frame::user_jid;

    fn frame() -> ProvisionFrame {
        ProvisionFrame {
            guid: user_jid("org#app", "Alice"),
            auth: "$t$T-alice".into(),
            provision: Provision {
                os_type: Some(16),
                resource: Some("webim_web_1".into()),
                ..Provision::default()
            },
        }
    }

    fn token(frame: &ProvisionFrame) -> Option<String> {
        match credential(frame)? {
            Credential::Token(token) => Some(token),
            Credential::Password(password) => Some(format!("password {password}")),
            Credential::Resume(_) => panic!("not from a client"),
        }
    }

    #[test]
    fn the_credential_is_found_wherever_it_is() {
        let mut frame = frame();
        frame.provision.password = Some("secret".into());
        frame.provision.auth_token = Some(r#"{"token":"$t$T-json"}"#.into());
        assert_eq!(token(&frame).as_deref(), Some("T-alice"));
        frame.auth = "plain".into();
        assert_eq!(token(&frame).as_deref(), Some("plain"));
        frame.auth = "$t$".into();
        assert_eq!(token(&frame).as_deref(), Some("T-json"));
        frame.provision.auth_token = Some("not json".into());
        assert_eq!(token(&frame).as_deref(), Some("password secret"));
        frame.provision.password = None;
        assert_eq!(token(&frame), None);
        assert_eq!(login(&frame, None).unwrap_err(), Refusal::Malformed);
    }

    #[test]
    fn the_device_is_read_and_bounded() {
        let mut frame = frame();
        frame.provision.os_type = Some(5);
        frame.provision.os_custom_value = Some(7);
        frame.provision.reason = Some("é".repeat(1000));
        let read = login(&frame, None).unwrap();
        assert_eq!(read.device.platform, Platform::Custom(7));
        assert_eq!(read.extension.len(), 1024);
        assert_eq!((read.app_key.as_str(), read.user.as_str()), ("org#app", "Alice"));

        frame.provision.resource = Some("a/b".into());
        assert_eq!(login(&frame, None).unwrap_err(), Refusal::Malformed);
        frame.provision.resource = None;
        frame.guid.client_resource = Some("from-guid".into());
        assert_eq!(login(&frame, None).unwrap().device.resource.as_str(), "from-guid");
    }
}
