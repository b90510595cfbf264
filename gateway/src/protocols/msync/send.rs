//! Sending: an item becomes a submission, and what the core says becomes a status that the SDKs know.

use super::rooms::{self, room_request};
use super::{
    frame::{CONFERENCE_DOMAIN, ok, status, sync},
    items::Identity,
};
use bytes::Bytes;
use meridian_link::{RoomRequest, RouteTo, SendError, Sent, Standing, Submission};
use meridian_types::msync::{CommSyncDl, Meta, Status, meta::NameSpace, meta::RouteType};
use prost::Message;

/// Bytes of `Meta.ext` that are passed on.
const EXT_LIMIT: usize = 8 * 1024;
/// What a client's item asks for.
#[derive(Debug)]
pub(super) enum Request {
    Submit(Box<Submission>),
    Room(RoomRequest),
    Refuse(Outcome),
    /// Needs no answer: a statistics ping.
    Nothing,
}

/// What is answered to a send.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Sent(Sent),
    Refused(Status),
    Room(RoomRequest, Standing),
}

impl Outcome {
    pub(super) fn refused(code: i32, reason: &str) -> Self {
        Self::Refused(status(code, Some(reason)))
    }
}

impl From<Result<Sent, SendError>> for Outcome {
    fn from(result: Result<Sent, SendError>) -> Self {
        match result {
            Ok(sent) => Self::Sent(sent),
            Err(error) => {
                let (code, reason) = refusal(error);
                Self::refused(code, reason)
            }
        }
    }
}

/// The SDK compares these texts exactly; others become its general "sending failed". Code 7 with any other text
/// would leave the client's promise hanging for ever.
fn refusal(error: SendError) -> (i32, &'static str) {
    match error {
        SendError::TooLarge { .. } => (7, "Sorry, data is too large"),
        SendError::Malformed => (1, "message is malformed"),
        SendError::WrongSender => (1, "message sender does not match login info"),
        SendError::UnsupportedTarget => (1, "conversation type is not supported"),
        SendError::GroupNotFound => (1, "group not found"),
        SendError::GroupDisabled => (1, "group is disabled"),
        SendError::NotMember => (1, "not in group or chatroom"),
        SendError::MutedHere => (15, "you were muted"),
        SendError::NotAllowed => (1, "not in group or chatroom white list"),
        SendError::DirectedLimit { .. } => (1, "limit directed users"),
        SendError::Blocked => (1, "blocked"),
        SendError::NotContacts => (1, "nonroster"),
        SendError::Muted => (7, "user is mute"),
        SendError::MessageNotFound => (1, "Sorry, message does not exist"),
        SendError::NotPermitted => (1, "Sorry, You do not have permission"),
        SendError::RecallTooLate => (1, "exceed recall time limit"),
        SendError::RecallDisabled => (1, "message recall disabled"),
        SendError::EditLimit => (1, "Sorry, edit limit reached"),
        SendError::EditFormat => (1, "Sorry, format is incorrect"),
        SendError::EditDisabled => (1, "Sorry, edit is not available"),
        SendError::Busy => (1, "server busy"),
        SendError::StorageFull => (1, "server storage is full"),
        SendError::Unavailable => (1, "server is unavailable"),
        _ => (1, "server error"),
    }
}

pub(super) fn request(meta: Meta) -> Request {
    match NameSpace::try_from(meta.ns.unwrap_or_default()) {
        Ok(NameSpace::Statistic) => Request::Nothing,
        Ok(NameSpace::Chat) => submission(meta),
        Ok(NameSpace::Muc) => room_request(meta.payload.unwrap_or_default()),
        _ => Request::Refuse(Outcome::refused(1, "namespace is not supported")),
    }
}

fn submission(meta: Meta) -> Request {
    let ext = match meta.ext.is_empty() {
        true => Bytes::new(),
        false => Meta { ext: meta.ext, ..Meta::default() }.encode_to_vec().into(),
    };
    if ext.len() > EXT_LIMIT {
        return Request::Refuse(Outcome::from(Err(SendError::TooLarge { limit: EXT_LIMIT })));
    }
    let to = meta.to.unwrap_or_default();
    let route = match RouteType::try_from(meta.routetype.unwrap_or_default()) {
        Ok(RouteType::RouteOnline) => RouteTo::OnlineOnly,
        Ok(RouteType::RouteDirect) => RouteTo::Members(meta.directed_users),
        Ok(RouteType::RouteAll) | Err(_) => RouteTo::Everyone,
    };
    Request::Submit(Box::new(Submission {
        client_id: meta.id.unwrap_or_default(),
        to: to.name.unwrap_or_default(),
        to_device: to.client_resource.filter(|resource| !resource.is_empty()),
        to_conference: to.domain.as_deref() == Some(CONFERENCE_DOMAIN),
        route,
        // Copied, so that a small body does not keep the connection's whole read buffer alive in the core.
        body: Bytes::copy_from_slice(&meta.payload.unwrap_or_default()),
        ext,
    }))
}

/// The answer frame to a send.
pub(super) fn answer(me: &Identity, client_id: u64, outcome: Outcome) -> Bytes {
    let answer = CommSyncDl { meta_id: Some(client_id), ..CommSyncDl::default() };
    sync(&match outcome {
        Outcome::Sent(sent) => CommSyncDl {
            status: Some(ok()),
            server_id: Some(sent.message_id.0),
            timestamp: Some(sent.at.0),
            metas: sent.notice.into_iter().map(notice).collect(),
            ..answer
        },
        Outcome::Room(request, standing) => {
            let (at, metas) = rooms::answer(me, &request, &standing);
            CommSyncDl { status: Some(ok()), timestamp: Some(at), metas, ..answer }
        }
        Outcome::Refused(status) => CommSyncDl { status: Some(status), ..answer },
    })
}

/// The JSON that goes with the answer to an edit.
fn notice(json: String) -> Meta {
    Meta { ns: Some(NameSpace::Notify as i32), payload: Some(json.into()), ..Meta::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::msync::{frame::user_jid, tests_hex::hex};
    use meridian_types::{
        AppKey, MessageId, Millis, UserName,
        msync::MucBody,
        msync::{Jid, KeyValue, MSync, key_value::Value},
    };

    fn me() -> Identity {
        let (app, user) = (AppKey::parse("org#app").unwrap(), UserName::parse("alice").unwrap());
        Identity { app, user, attached_at: Millis(0) }
    }

    fn reason(outcome: &Outcome) -> (i32, &str) {
        match outcome {
            Outcome::Refused(status) => (status.error_code.unwrap(), status.reason()),
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn an_answer_is_the_bytes_that_the_sdk_was_seen_to_take() {
        let sent = Sent {
            message_id: MessageId(1_882_602_510_530_641_921),
            at: Millis(1_795_389_662_295),
            notice: None,
        };
        assert_eq!(
            answer(&me(), 530_407_262_294, Outcome::Sent(sent)),
            hex("0800 4000 4a1c 0a020800 10d690f2f5b70f 188180c0aba4a096901a 40d7c8c0aca034")
        );
    }

    #[test]
    fn the_answer_to_an_edit_carries_its_notice() {
        let sent =
            Sent { message_id: MessageId(1), at: Millis(2), notice: Some(r#"{"edit_msg":{}}"#.into()) };
        let envelope = MSync::decode(answer(&me(), 3, Outcome::Sent(sent))).unwrap();
        let answer = CommSyncDl::decode(envelope.payload.unwrap()).unwrap();
        assert_eq!(answer.metas.len(), 1);
        assert_eq!(answer.metas[0].ns, Some(5));
        assert_eq!(answer.metas[0].payload.as_deref(), Some(&br#"{"edit_msg":{}}"#[..]));
    }

    #[test]
    fn refusals_have_the_texts_that_the_sdk_compares() {
        let table = [
            (SendError::TooLarge { limit: 1 }, (7, "Sorry, data is too large")),
            (SendError::RecallTooLate, (1, "exceed recall time limit")),
            (SendError::RecallDisabled, (1, "message recall disabled")),
            (SendError::MessageNotFound, (1, "Sorry, message does not exist")),
            (SendError::NotPermitted, (1, "Sorry, You do not have permission")),
            (SendError::EditLimit, (1, "Sorry, edit limit reached")),
            (SendError::EditFormat, (1, "Sorry, format is incorrect")),
            (SendError::EditDisabled, (1, "Sorry, edit is not available")),
            (SendError::GroupNotFound, (1, "group not found")),
            (SendError::GroupDisabled, (1, "group is disabled")),
            (SendError::NotMember, (1, "not in group or chatroom")),
            (SendError::MutedHere, (15, "you were muted")),
            (SendError::NotAllowed, (1, "not in group or chatroom white list")),
            (SendError::DirectedLimit { limit: 20 }, (1, "limit directed users")),
            (SendError::Blocked, (1, "blocked")),
            (SendError::NotContacts, (1, "nonroster")),
            (SendError::Muted, (7, "user is mute")),
            (SendError::Busy, (1, "server busy")),
            (SendError::StorageFull, (1, "server storage is full")),
        ];
        for (error, expected) in table {
            assert_eq!(reason(&Outcome::from(Err(error))), expected);
        }
    }

    #[test]
    fn an_item_becomes_a_submission() {
        let ext =
            KeyValue { key: Some("k".into()), r#type: Some(7), value: Some(Value::StringValue("v".into())) };
        let meta = Meta {
            id: Some(5),
            to: Some(Jid { client_resource: Some("b1".into()), ..user_jid("org#app", "bob") }),
            ns: Some(1),
            payload: Some(Bytes::from_static(b"body")),
            routetype: Some(1),
            ext: vec![ext.clone()],
            ..Meta::default()
        };
        let Request::Submit(submission) = request(meta.clone()) else { panic!("not submitted") };
        assert_eq!((submission.client_id, submission.to.as_str()), (5, "bob"));
        assert_eq!(submission.to_device.as_deref(), Some("b1"));
        assert_eq!(submission.route, RouteTo::OnlineOnly);
        assert_eq!(&submission.body[..], b"body");
        assert_eq!(Meta::decode(submission.ext).unwrap(), Meta { ext: vec![ext], ..Meta::default() });
        assert!(!submission.to_conference);

        let group = Jid { domain: Some(CONFERENCE_DOMAIN.into()), ..user_jid("org#app", "1") };
        let meta = Meta { to: Some(group), routetype: Some(2), directed_users: vec!["x".into()], ..meta };
        let Request::Submit(submission) = request(meta) else { panic!("not submitted") };
        assert!(submission.to_conference);
        assert_eq!(submission.route, RouteTo::Members(vec!["x".into()]));
    }

    #[test]
    fn other_namespaces_are_answered_or_ignored() {
        let meta = |ns, payload: &[u8]| Meta {
            id: Some(1),
            ns: Some(ns),
            payload: Some(Bytes::copy_from_slice(payload)),
            ..Meta::default()
        };
        assert!(matches!(request(meta(0, &[])), Request::Nothing));
        let join =
            MucBody { muc_id: Some(user_jid("org#app", "77")), operation: Some(2), ..MucBody::default() };
        for (meta, expected) in [
            (meta(2, &join.encode_to_vec()), (1, "grpID 77 does not exist!")),
            (meta(2, b"\xff"), (1, "grpID  does not exist!")),
            (meta(3, &[]), (1, "namespace is not supported")),
            (meta(77, &[]), (1, "namespace is not supported")),
        ] {
            let Request::Refuse(outcome) = request(meta) else { panic!("not refused") };
            assert_eq!(reason(&outcome), expected);
        }
    }

    #[test]
    fn a_large_ext_is_refused() {
        let ext = KeyValue { key: Some("k".repeat(EXT_LIMIT)), ..KeyValue::default() };
        let meta = Meta { id: Some(1), ns: Some(1), ext: vec![ext], ..Meta::default() };
        let Request::Refuse(outcome) = request(meta) else { panic!("not refused") };
        assert_eq!(reason(&outcome), (7, "Sorry, data is too large"));
    }
}
