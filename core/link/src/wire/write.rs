//! What is said, as messages.

use super::pb::{self, to_core::What as Down, to_edge::What as Up};
use meridian_types::{
    ConversationKey, Entry, Position,
    room::{RoomError, RoomNews, RoomRequest, Standing},
    session::{Credential, Login, Platform, Resume, RouteTo, Submission},
};
use serde::Serialize;

pub(crate) fn to_core(session: u64, call: u64, what: Down) -> pb::ToCore {
    pb::ToCore { session, call, what: Some(what) }
}

pub(crate) fn to_edge(session: u64, call: u64, what: Up) -> pb::ToEdge {
    pb::ToEdge { session, call, what: Some(what) }
}

pub(crate) fn write_attach(login: &Login) -> Down {
    let credential = match &login.credential {
        Credential::Token(token) => pb::attach::Credential::Token(token.clone()),
        Credential::Password(password) => pb::attach::Credential::Password(password.clone()),
        Credential::Resume(resume) => pb::attach::Credential::Resume(write_resume(resume)),
    };
    let device = &login.device;
    Down::Attach(pb::Attach {
        app_key: login.app_key.clone(),
        user: login.user.clone(),
        credential: Some(credential),
        resource: device.resource.to_string(),
        device_uuid: device.uuid.clone(),
        device_name: device.name.clone(),
        platform: match device.platform {
            Platform::Ios => 1,
            Platform::Android => 2,
            Platform::Linux => 3,
            Platform::Mac => 4,
            Platform::Windows => 5,
            Platform::Web => 6,
            Platform::Custom(number) => 256 + u64::from(number),
        },
        sdk_version: device.sdk_version.clone(),
        extension: login.extension.clone(),
        address: login.address.map(|address| address.to_string()).unwrap_or_default(),
    })
}

pub(crate) fn write_resume(resume: &Resume) -> pb::Resume {
    pb::Resume {
        token_epoch: resume.token_epoch,
        attached_at: resume.attached_at.0,
        token_expires_at: resume.token_expires_at.map(|at| at.0),
    }
}

pub(crate) fn write_send(submission: &Submission) -> Down {
    let (directed, members) = match &submission.route {
        RouteTo::Members(members) => (true, members.clone()),
        RouteTo::Everyone | RouteTo::OnlineOnly => (false, Vec::new()),
    };
    Down::Send(pb::Send {
        client_id: submission.client_id,
        to: submission.to.clone(),
        to_device: submission.to_device.clone(),
        to_conference: submission.to_conference,
        online_only: submission.route == RouteTo::OnlineOnly,
        members,
        directed,
        body: submission.body.clone(),
        ext: submission.ext.clone(),
    })
}

pub(crate) fn place(conversation: &ConversationKey, position: Position) -> pb::Place {
    pb::Place { conversation: conversation.to_string(), epoch: position.epoch.0, seq: position.seq.0 }
}

pub(crate) fn entry(entry: &Entry) -> pb::Entry {
    pb::Entry {
        conversation: entry.conversation.to_string(),
        seq: entry.seq.0,
        message_id: entry.message_id.0,
        at: entry.at.0,
        header: entry.encode_header(),
        body: entry.body.clone(),
    }
}

pub(crate) fn write_room_request(request: &RoomRequest) -> Down {
    Down::Room(match request {
        RoomRequest::Join { room, ext, leave_others } => {
            pb::AskRoom { room: room.to_string(), join: true, ext: ext.clone(), leave_others: *leave_others }
        }
        RoomRequest::Leave { room } => pb::AskRoom { room: room.to_string(), ..pb::AskRoom::default() },
    })
}

pub(crate) fn write_room_answer(outcome: &Result<Standing, RoomError>) -> Up {
    let history = outcome.as_ref().map(|standing| standing.history.iter()).unwrap_or_default();
    Up::Room(pb::RoomAnswer {
        history: history.map(|entry| self::entry(entry)).collect(),
        outcome: write_reason(outcome),
    })
}

pub(crate) fn write_room_news(news: &RoomNews) -> pb::RoomNews {
    pb::RoomNews {
        conversation: news.conversation.to_string(),
        entries: news.entries.iter().map(|entry| self::entry(entry)).collect(),
        sessions: Vec::new(),
    }
}

/// A refusal, from a small closed set of plain values.
pub(crate) fn write_reason(reason: &impl Serialize) -> String {
    serde_json::to_string(reason).unwrap_or_default()
}
