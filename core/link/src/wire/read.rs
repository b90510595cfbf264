//! Messages, as what they say. Nothing in them is trusted to be well formed.

use super::pb;
use meridian_types::{
    ConversationKey, Entry, Epoch, MessageId, Millis, MucId, Position, Resource, Seq,
    room::{RoomError, RoomNews, RoomRequest, Standing},
    session::{
        Batch, CloseReason, Credential, Device, Login, Platform, PullRequest, Resume, RouteTo, SessionEvent,
        Submission, Unread,
    },
};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A message that breaks the link's rules; the stream ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Bad(pub(crate) &'static str);

pub(crate) fn attach(attach: pb::Attach) -> Result<Login, Bad> {
    use pb::attach::Credential::{Password, Resume, Token};
    Ok(Login {
        app_key: attach.app_key,
        user: attach.user,
        credential: match attach.credential.ok_or(Bad("a login without a credential"))? {
            Token(token) => Credential::Token(token),
            Password(password) => Credential::Password(password),
            Resume(with) => Credential::Resume(resume(&with)),
        },
        device: Device {
            resource: Resource::parse(&attach.resource).map_err(|_| Bad("a device without a name"))?,
            uuid: attach.device_uuid,
            name: attach.device_name,
            platform: match attach.platform {
                1 => Platform::Ios,
                2 => Platform::Android,
                3 => Platform::Linux,
                4 => Platform::Mac,
                5 => Platform::Windows,
                number if number >= 256 => {
                    Platform::Custom(u32::try_from(number - 256).map_err(|_| Bad("a platform"))?)
                }
                _ => Platform::Web,
            },
            sdk_version: attach.sdk_version,
        },
        extension: attach.extension,
        address: attach.address.parse().ok(),
    })
}

pub(crate) fn resume(resume: &pb::Resume) -> Resume {
    Resume {
        token_epoch: resume.token_epoch,
        attached_at: Millis(resume.attached_at),
        token_expires_at: resume.token_expires_at.map(Millis),
    }
}

pub(crate) fn submission(send: pb::Send) -> Submission {
    Submission {
        client_id: send.client_id,
        to: send.to,
        to_device: send.to_device,
        to_conference: send.to_conference,
        route: match (send.directed, send.online_only) {
            (true, _) => RouteTo::Members(send.members),
            (false, true) => RouteTo::OnlineOnly,
            (false, false) => RouteTo::Everyone,
        },
        body: send.body,
        ext: send.ext,
    }
}

pub(crate) fn pull(pull: &pb::Pull) -> Result<PullRequest, Bad> {
    let (conversation, after) = place(pull.after.as_ref())?;
    Ok(PullRequest {
        conversation,
        after,
        max_entries: usize::try_from(pull.max_entries).unwrap_or(usize::MAX).min(1000),
        max_bytes: usize::try_from(pull.max_bytes).unwrap_or(usize::MAX).min(super::LIMIT / 4),
    })
}

pub(crate) fn place(place: Option<&pb::Place>) -> Result<(ConversationKey, Position), Bad> {
    let place = place.ok_or(Bad("a place is missing"))?;
    let position = Position::new(Epoch(place.epoch), Seq(place.seq));
    Ok((ConversationKey::from_stored(&place.conversation), position))
}

pub(crate) fn unread(unread: pb::Unread) -> Result<Vec<Unread>, Bad> {
    let read = |owed: pb::Owed| {
        let (conversation, position) = place(owed.place.as_ref())?;
        Ok(Unread { conversation, position, count: owed.count })
    };
    unread.owed.into_iter().map(read).collect()
}

pub(crate) fn batch(batch: pb::Batch) -> Result<Batch, Bad> {
    let (_, position) = place(batch.position.as_ref())?;
    let entries = batch.entries.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Batch { entries, position, more: batch.more })
}

/// What happened, and whom it concerns: each session with its own event.
pub(crate) fn event(event: pb::Event) -> Result<impl Iterator<Item = (u64, SessionEvent)>, Bad> {
    let entry = entry(event.entry.ok_or(Bad("an event without an entry"))?)?;
    let position = match &event.position {
        Some(position) => Some(self::place(Some(position))?.1),
        None => None,
    };
    let deliver = event.deliver.into_iter().map(|session| (session, true));
    let sessions = deliver.chain(event.pass.into_iter().map(|session| (session, false)));
    Ok(sessions.map(move |(session, deliver)| {
        let entry = entry.clone();
        let event = match position {
            Some(position) => SessionEvent::Entry { entry, position, deliver },
            None => SessionEvent::Transient(entry),
        };
        (session, event)
    }))
}

pub(crate) fn room_request(ask: pb::AskRoom) -> Result<RoomRequest, Bad> {
    let room = MucId::parse(&ask.room).ok_or(Bad("a room without an id"))?;
    Ok(match ask.join {
        true => RoomRequest::Join { room, ext: ask.ext, leave_others: ask.leave_others },
        false => RoomRequest::Leave { room },
    })
}

pub(crate) fn room_answer(answer: pb::RoomAnswer) -> Result<Result<Standing, RoomError>, Bad> {
    let outcome: Result<Standing, RoomError> =
        serde_json::from_str(&answer.outcome).unwrap_or(Err(RoomError::Unavailable));
    let history = answer.history.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(outcome.map(|standing| Standing { history, ..standing }))
}

/// The sessions that hear it, and what they hear: one for all.
pub(crate) fn room_news(news: pb::RoomNews) -> Result<(Vec<u64>, Arc<RoomNews>), Bad> {
    let conversation = ConversationKey::from_stored(&news.conversation);
    let entries = news.entries.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok((news.sessions, Arc::new(RoomNews::new(conversation, entries))))
}

pub(super) fn entry(entry: pb::Entry) -> Result<Arc<Entry>, Bad> {
    let conversation = ConversationKey::from_stored(&entry.conversation);
    let read = Entry::from_parts(
        conversation,
        Seq(entry.seq),
        MessageId(entry.message_id),
        Millis(entry.at),
        &entry.header,
        entry.body,
    );
    read.map(Arc::new).map_err(|_| Bad("an entry"))
}

/// Why a session was closed; `None`: it broke off, or for a reason that this release does not know.
pub(crate) fn reason(closed: &str) -> Option<CloseReason> {
    serde_json::from_str(closed).ok()
}

/// A refusal; one that this release does not know reads as `unknown`.
pub(crate) fn refused<E: DeserializeOwned>(refused: &str, unknown: E) -> E {
    serde_json::from_str(refused).unwrap_or(unknown)
}
