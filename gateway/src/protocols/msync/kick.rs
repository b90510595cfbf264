//! Forced logout: an item that tells the client why, then the close. Without the item the client would reconnect.

use super::{
    frame::{ok, sync, user_jid},
    items::Identity,
};
use bytes::Bytes;
use meridian_link::CloseReason;
use meridian_types::{
    Millis,
    msync::{CommSyncDl, Meta, StatisticsBody, meta::NameSpace, statistics_body::Operation},
};
use prost::Message;

/// The frame that ends the client's login, or `None` when the client should come back.
pub(super) fn forced_logout(me: &Identity, reason: &CloseReason, id: u64, now: Millis) -> Option<Bytes> {
    let (operation, text) = match reason {
        CloseReason::Replaced { extension } => (Operation::UserLoginAnotherDevice, Some(extension.clone())),
        CloseReason::PasswordChanged => (Operation::UserKickedByChangePassword, None),
        CloseReason::Kicked => (Operation::UserKickedByOtherDevice, None),
        CloseReason::Removed => (Operation::UserRemoved, None),
        _ => return None,
    };
    let body = StatisticsBody {
        operation: Some(operation as i32),
        reason: text.filter(|text| !text.is_empty()),
        ..StatisticsBody::default()
    };
    let own = user_jid(me.app.as_str(), me.user.as_str());
    let item = Meta {
        id: Some(id),
        from: Some(user_jid(me.app.as_str(), "admin")),
        to: Some(own.clone()),
        timestamp: Some(now.0),
        ns: Some(NameSpace::Statistic as i32),
        payload: Some(body.encode_to_vec().into()),
        ..Meta::default()
    };
    Some(sync(&CommSyncDl {
        status: Some(ok()),
        metas: vec![item],
        queue: Some(own),
        is_last: Some(true),
        ..CommSyncDl::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::msync::tests_hex::hex;
    use meridian_types::{AppKey, UserName, msync::MSync};

    fn bob() -> Identity {
        Identity {
            app: AppKey::parse("org#app").unwrap(),
            user: UserName::parse("bob").unwrap(),
            attached_at: Millis(1),
        }
    }

    #[test]
    fn a_kick_has_the_shape_that_the_sdk_was_seen_to_take() {
        let reason = CloseReason::Replaced { extension: "dev-ext".into() };
        let frame = forced_logout(&bob(), &reason, 1, Millis(2)).unwrap();
        let payload = MSync::decode(frame).unwrap().payload.unwrap();
        assert!(payload.starts_with(&hex("0a020800 22")));
        assert!(
            payload.ends_with(&hex("321b 0a076f726723617070 1203626f62 1a0b656173656d6f622e636f6d 3801"))
        );
        let sync = CommSyncDl::decode(payload).unwrap();
        assert_eq!(sync.metas[0].ns, Some(0));
        assert_eq!(sync.metas[0].payload.as_deref(), Some(&hex("0802 5207 6465762d657874")[..]));
    }

    #[test]
    fn every_reason_has_its_operation() {
        let operation = |reason| {
            let frame = forced_logout(&bob(), &reason, 1, Millis(2))?;
            let sync = CommSyncDl::decode(MSync::decode(frame).unwrap().payload.unwrap()).unwrap();
            StatisticsBody::decode(sync.metas[0].payload.clone().unwrap()).unwrap().operation
        };
        assert_eq!(operation(CloseReason::Replaced { extension: String::new() }), Some(2));
        assert_eq!(operation(CloseReason::PasswordChanged), Some(3));
        assert_eq!(operation(CloseReason::Kicked), Some(4));
        assert_eq!(operation(CloseReason::Removed), Some(1));
        assert_eq!(operation(CloseReason::Draining), None);
    }
}
