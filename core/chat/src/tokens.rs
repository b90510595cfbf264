//! Tokens: signed by the app's key and verified without a look-up; a user's token epoch, which a new password, a ban,
//! a deletion or a forced logout changes, revokes all of that user's tokens at once.
//!
//! Token = base64url of: 3 bytes that give the prefix `YWMt`, version, kind, tenant, issued (s), expires (s, 0 = never),
//! token epoch, user name; then HMAC-SHA256 over all of that. Numbers are big-endian.
//!
//! Beside those the *dynamic* user tokens of the published protocol are accepted: made by the tenant's own server from
//! its client secret.

use crate::{App, TokenError, accounts::Account};
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_URL_SAFE_NO_PAD,
};
use hmac::{Hmac, Mac};
use meridian_types::{Millis, UserName};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Decodes as `YWMt`, the prefix that such tokens have.
const PREFIX: [u8; 3] = [0x61, 0x63, 0x2d];
const VERSION: u8 = 1;
const SIGNATURE: usize = 32;
/// Prefix, version, kind, tenant, issued, expires, epoch.
const FIXED: usize = 3 + 1 + 1 + 4 + 8 + 8 + 8;
/// No token of ours, and no dynamic one, is longer.
const TOKEN_LIMIT: usize = 2048;
const DYNAMIC_PREFIX: &str = "dt-";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a token says, its signature checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// `None` for an app token.
    pub(crate) user: Option<UserName>,
    pub(crate) expires_at: Option<Millis>,
    proof: Proof,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// The token epoch at the time of issue.
    Epoch(u64),
    /// A dynamic token: when it was made, seconds.
    MadeAt(u64),
}

impl Claims {
    /// Whether the user still accepts this token.
    pub(crate) fn check(&self, account: &Account) -> Result<(), TokenError> {
        let valid = match self.proof {
            Proof::Epoch(epoch) => account.token_epoch == epoch,
            // A dynamic token cannot carry the epoch, so its age decides.
            Proof::MadeAt(seconds) => seconds >= account.tokens_from.0 / 1000,
        };
        if valid { Ok(()) } else { Err(TokenError::Revoked) }
    }
}

/// Signs a token that lives for `ttl_s` seconds; 0 = for ever.
pub(crate) fn sign(app: &App, user: Option<(&UserName, u64)>, now: Millis, ttl_s: u64) -> String {
    let issued = now.0 / 1000;
    let expires = if ttl_s == 0 { 0 } else { issued.saturating_add(ttl_s) };
    let (name, epoch) = user.map_or(("", 0), |(name, epoch)| (name.as_str(), epoch));
    let mut bytes = Vec::with_capacity(FIXED + name.len() + SIGNATURE);
    bytes.extend(PREFIX);
    bytes.extend([VERSION, u8::from(user.is_some())]);
    bytes.extend(app.tenant.0.to_be_bytes());
    for number in [issued, expires, epoch] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(name.as_bytes());
    let signature = mac(app, &bytes).finalize().into_bytes();
    bytes.extend(signature);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token of this app and checks its signature and its time.
pub(crate) fn read(app: &App, token: &str, now: Millis) -> Result<Claims, TokenError> {
    if token.len() > TOKEN_LIMIT {
        return Err(TokenError::Corrupt);
    }
    let url_safe = token.replace('+', "-").replace('/', "_");
    let bytes = LENIENT.decode(url_safe).map_err(|_| TokenError::Corrupt)?;
    match bytes.strip_prefix(DYNAMIC_PREFIX.as_bytes()) {
        Some(json) => read_dynamic(app, json, now),
        None => read_signed(app, &bytes, now),
    }
}

fn read_signed(app: &App, bytes: &[u8], now: Millis) -> Result<Claims, TokenError> {
    let split = bytes.len().checked_sub(SIGNATURE).filter(|split| *split >= FIXED);
    let (signed, signature) = bytes.split_at(split.ok_or(TokenError::Corrupt)?);
    mac(app, signed).verify_slice(signature).map_err(|_| TokenError::Corrupt)?;
    let number = |at: usize| {
        let bytes = signed.get(at..at + 8).and_then(|slice| slice.try_into().ok());
        bytes.map(u64::from_be_bytes).ok_or(TokenError::Corrupt)
    };
    if signed[..4] != [PREFIX[0], PREFIX[1], PREFIX[2], VERSION] || signed[5..9] != app.tenant.0.to_be_bytes()
    {
        return Err(TokenError::Corrupt);
    }
    let expires = number(17)?;
    if expires != 0 && now.0 / 1000 >= expires {
        return Err(TokenError::Expired);
    }
    let name = std::str::from_utf8(&signed[FIXED..]).map_err(|_| TokenError::Corrupt)?;
    let user = match signed[4] {
        0 => None,
        _ => Some(UserName::parse(name).map_err(|_| TokenError::Corrupt)?),
    };
    let expires_at = (expires != 0).then_some(Millis(expires.saturating_mul(1000)));
    Ok(Claims { user, expires_at, proof: Proof::Epoch(number(25)?) })
}

fn mac(app: &App, bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&app.token_key)
        .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
    mac.update(bytes);
    mac
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dynamic {
    signature: String,
    appkey: String,
    user_id: String,
    cur_time: u64,
    ttl: u64,
}

fn read_dynamic(app: &App, json: &[u8], now: Millis) -> Result<Claims, TokenError> {
    let token: Dynamic = serde_json::from_slice(json).map_err(|_| TokenError::Corrupt)?;
    if token.appkey != app.key.as_str() || token.ttl == 0 {
        return Err(TokenError::Corrupt);
    }
    let signed = format!(
        "{}{}{}{}{}{}",
        app.client_id, token.appkey, token.user_id, token.cur_time, token.ttl, app.client_secret
    );
    // The first published edition used SHA-1; the length tells.
    let expected = match token.signature.len() {
        40 => hex::encode(sha1::Sha1::digest(signed)),
        _ => hex::encode(Sha256::digest(signed)),
    };
    if !bool::from(expected.as_bytes().ct_eq(token.signature.as_bytes())) {
        return Err(TokenError::Corrupt);
    }
    let expires = token.cur_time.saturating_add(token.ttl);
    if now.0 / 1000 >= expires {
        return Err(TokenError::Expired);
    }
    Ok(Claims {
        user: Some(UserName::parse(&token.user_id).map_err(|_| TokenError::Corrupt)?),
        expires_at: Some(Millis(expires.saturating_mul(1000))),
        proof: Proof::MadeAt(token.cur_time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AppSettings;
    use meridian_types::{AppKey, TenantId};

    fn app() -> App {
        App {
            tenant: TenantId(7),
            key: AppKey::parse("org#app").unwrap(),
            uuid: String::new(),
            client_id: "id".into(),
            client_secret: "secret".into(),
            created: Millis(0),
            settings: AppSettings::default(),
            token_key: [9; 32],
            version: 1,
        }
    }

    const NOW: Millis = Millis(1_795_000_000_000);

    #[test]
    fn a_token_comes_back() {
        let (app, alice) = (app(), UserName::parse("alice").unwrap());
        let token = sign(&app, Some((&alice, 5)), NOW, 60);
        assert!(token.starts_with("YWMt"));
        let claims = read(&app, &token, NOW).unwrap();
        assert_eq!(claims.user, Some(alice));
        assert_eq!(claims.expires_at, Some(Millis(NOW.0 + 60_000)));
        assert_eq!(claims.proof, Proof::Epoch(5));
        assert_eq!(read(&app, &token, Millis(NOW.0 + 60_000)), Err(TokenError::Expired));
        assert_eq!(read(&app, &sign(&app, None, NOW, 0), NOW).unwrap().user, None);
    }

    #[test]
    fn a_changed_or_foreign_token_is_corrupt() {
        let (ours, alice) = (app(), UserName::parse("alice").unwrap());
        let token = sign(&ours, Some((&alice, 5)), NOW, 60);
        let other_key = App { token_key: [8; 32], ..app() };
        assert_eq!(read(&other_key, &token, NOW), Err(TokenError::Corrupt));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            if changed != token {
                // The last character carries bits that are not used.
                let read = read(&ours, &changed, NOW);
                assert!(read.is_err() || at + 1 == token.len(), "changed at {at}");
            }
        }
        for junk in ["", "x", "YWMt", "ZHQt", &"A".repeat(5000)] {
            assert_eq!(read(&ours, junk, NOW), Err(TokenError::Corrupt));
        }
    }

    #[test]
    fn dynamic_tokens_are_read_in_both_editions() {
        let app = app();
        let seconds = NOW.0 / 1000;
        let signed = format!("idorg#appAlice{seconds}600secret");
        for signature in [hex::encode(Sha256::digest(&signed)), hex::encode(sha1::Sha1::digest(&signed))] {
            let json = format!(
                r#"dt-{{"signature":"{signature}","appkey":"org#app","userId":"Alice","curTime":{seconds},"ttl":600}}"#
            );
            let token = base64::prelude::BASE64_STANDARD.encode(json);
            let claims = read(&app, &token, NOW).unwrap();
            assert_eq!(claims.user, Some(UserName::parse("alice").unwrap()));
            assert_eq!(read(&app, &token, Millis(NOW.0 + 600_000)), Err(TokenError::Expired));
        }
    }
}
