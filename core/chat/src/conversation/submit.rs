//! One send into a conversation: a message, receipt, recall or edit.

use crate::{
    App, AppSettings, OutgoingMessage, Target,
    conversation::{
        body::{self, ReadBody},
        edit, recall,
    },
    log::{Command, Draft, LogError, NewEntry},
    muc::{check_named, check_speaker, is_allowed, note_reader, tell_said},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_ports::IdempotencyHit;
use meridian_types::{
    Audience, ConversationKey, EntryKind, IdempotencyKey, Millis, MucId, MucKind, Resource, TenantId,
    UserName,
    notice::own_conversation,
    room::Priority,
    session::{RouteTo, SendError, Sent, Submission},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Idempotency ids are signed 63-bit numbers in every store.
const CLIENT_ID_MASK: u64 = u64::MAX >> 1;

/// A send, checked as far as it can be without the log.
#[derive(Serialize, Deserialize)]
pub(crate) struct Submit {
    conversation: ConversationKey,
    sender: UserName,
    sender_device: Option<Resource>,
    audience: Audience,
    body: ReadBody,
    ext: Bytes,
    idempotency: Option<IdempotencyKey>,
    online_only: bool,
    at: Option<Millis>,
    settings: AppSettings,
}

impl Submit {
    /// A send from an attached device.
    pub(crate) fn from_device(
        app: &App,
        sender: &UserName,
        device: Option<Resource>,
        submission: Submission,
    ) -> Result<Self, SendError> {
        let limit = app.settings.message_limit;
        if submission.body.len() + submission.ext.len() > limit {
            return Err(SendError::TooLarge { limit });
        }
        let to = match submission.to_conference {
            true => Target::Muc(group(&submission.to)?),
            false => Target::User(submission.user().ok_or(SendError::Malformed)?),
        };
        let to_device = match &submission.to_device {
            Some(_) if submission.to_conference => None,
            Some(_) => Some(submission.device().ok_or(SendError::Malformed)?),
            None => None,
        };
        let body = body::read(&submission.body, sender, &to)?;
        // That a person has read a group concerns nobody else.
        let conversation = match (&to, body.kind) {
            (Target::Muc(_), EntryKind::ConversationRead) => own_conversation(sender),
            _ => to.conversation(sender),
        };
        let only = match submission.route {
            RouteTo::Members(ref names) => Some(directed(&to, sender, names)?),
            _ => None,
        };
        let idempotency = device.as_ref().map(|device| IdempotencyKey {
            stream: stream(app.tenant, &conversation, sender, device, body.kind, None),
            id: submission.client_id & CLIENT_ID_MASK,
        });
        let audience = match (to_device, only, body.kind) {
            (Some(device), ..) => Audience::Device(device),
            (None, Some(people), _) => Audience::People(people),
            // Only the author of a message wants to know that it arrived.
            (None, None, EntryKind::DeliveryReceipt) => Audience::Others,
            (None, None, EntryKind::ConversationRead) if submission.to_conference => Audience::Own,
            (None, None, _) => Audience::Everyone,
        };
        Ok(Self {
            conversation,
            sender: sender.clone(),
            sender_device: device,
            audience,
            online_only: submission.route == RouteTo::OnlineOnly && body.kind == EntryKind::Message,
            body,
            ext: submission.ext,
            idempotency,
            at: None,
            settings: app.settings.clone(),
        })
    }

    /// A message sent by REST.
    pub(crate) fn from_rest(app: &App, message: OutgoingMessage) -> Result<Self, SendError> {
        let limit = app.settings.message_limit;
        if message.body.len() > limit {
            return Err(SendError::TooLarge { limit });
        }
        let body = body::read(&message.body, &message.from, &message.to)?;
        if body.kind != EntryKind::Message {
            return Err(SendError::Malformed);
        }
        let only: Vec<_> = message.only.iter().map(UserName::to_string).collect();
        let audience = match (only.is_empty(), message.sync_device) {
            (false, _) => Audience::People(directed(&message.to, &message.from, &only)?),
            (true, true) => Audience::Everyone,
            (true, false) => Audience::Others,
        };
        Ok(Self {
            conversation: message.to.conversation(&message.from),
            sender: message.from,
            sender_device: None,
            audience,
            online_only: message.online_only,
            body,
            ext: match message.to {
                Target::Muc(id) if id.kind() == MucKind::Room => message.priority.ext(message.is_broadcast),
                _ => Bytes::new(),
            },
            idempotency: None,
            at: message.at,
            settings: app.settings.clone(),
        })
    }

    pub(crate) fn conversation(&self) -> &ConversationKey {
        &self.conversation
    }

    fn entry(&self, body: Bytes) -> NewEntry {
        NewEntry {
            conversation: self.conversation.clone(),
            kind: self.body.kind,
            sender: self.sender.clone(),
            sender_device: self.sender_device.clone(),
            audience: self.audience.clone(),
            target: self.body.target,
            idempotency: self.idempotency,
            ext: self.ext.clone(),
            body,
            at: self.at,
        }
    }

    /// What this send has become before, if it is sent again. Settles the key under which it can be found.
    async fn earlier(&mut self, draft: &mut Draft<'_>) -> meridian_ports::Result<Option<IdempotencyHit>> {
        let (Some(key), Some(device)) = (self.idempotency, &self.sender_device) else { return Ok(None) };
        let Some((hit, body)) = draft.duplicate(&self.conversation, key).await? else { return Ok(None) };
        // What an edit stores is made of more than was sent.
        if self.body.kind == EntryKind::Edit || body.is_none_or(|body| body == self.body.bytes) {
            return Ok(Some(hit));
        }
        // The Web SDK starts its counter anew with every page, maybe behind what the last page came to.
        let (tenant, sender) = (draft.log().tenant(), &self.sender);
        let body = Some(&self.body.bytes[..]);
        let stream = stream(tenant, &self.conversation, sender, device, self.body.kind, body);
        let key = IdempotencyKey { stream, ..key };
        self.idempotency = Some(key);
        Ok(draft.duplicate(&self.conversation, key).await?.map(|(hit, _)| hit))
    }

    /// Whether the sender may speak there.
    async fn check(&self, draft: &mut Draft<'_>) -> Result<(), SendError> {
        match self.conversation.muc() {
            None => self.check_pair(draft).await,
            Some(id) => {
                let by_app = self.sender_device.is_none();
                check_speaker(draft, id, &self.sender, by_app, self.body.kind).await?;
                match &self.audience {
                    Audience::People(people) => check_named(draft, id, &self.sender, people).await,
                    _ => Ok(()),
                }
            }
        }
    }

    /// Whether the receiver wants to hear from the sender.
    async fn check_pair(&self, draft: &mut Draft<'_>) -> Result<(), SendError> {
        let (block_check, friend_check) = (self.settings.block_check, self.settings.friend_check);
        let says_something = matches!(self.body.kind, EntryKind::Message | EntryKind::Edit);
        let peer = self.conversation.peer(&self.sender).filter(|peer| peer != &self.sender);
        let Some(peer) = peer.filter(|_| says_something && (block_check || friend_check)) else {
            return Ok(());
        };
        let pair = draft.pair(&self.sender, &peer).await.map_err(LogError::from)?;
        if block_check && pair.blocks(peer.as_str()) {
            return Err(SendError::Blocked);
        }
        // Who sends by REST on somebody's behalf is the app.
        if friend_check && self.sender_device.is_some() && !pair.are_contacts {
            return Err(SendError::NotContacts);
        }
        Ok(())
    }

    /// The first answer again.
    async fn repeat(&self, draft: &Draft<'_>, hit: IdempotencyHit) -> Result<Sent, SendError> {
        metrics::counter!("chat_resends_total").increment(1);
        let notice = match self.body.kind {
            EntryKind::Edit => {
                let entry = draft.entry(&hit.conversation, hit.seq).await.map_err(LogError::from)?;
                entry.and_then(|entry| edit::notice_of(&entry))
            }
            _ => None,
        };
        Ok(Sent { message_id: hit.message_id, at: hit.at, notice })
    }
}

#[async_trait]
impl Command for Submit {
    type Output = Sent;
    type Error = SendError;

    const NAME: &'static str = "message";

    fn is_repeatable(&self) -> bool {
        self.idempotency.is_some()
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<Sent, SendError> {
        draft.load(&self.conversation).await.map_err(LogError::from)?;
        if self.online_only {
            self.check(draft).await?;
            let entry = draft.transient(self.entry(self.body.bytes.clone()));
            return Ok(Sent { message_id: entry.message_id, at: entry.at, notice: None });
        }
        if let Some(hit) = self.earlier(draft).await.map_err(LogError::from)? {
            return self.repeat(draft, hit).await;
        }
        self.check(draft).await?;
        if let (Some(id), EntryKind::ReadReceipt | EntryKind::DeliveryReceipt) =
            (self.conversation.muc(), self.body.kind)
        {
            return self.receipt(draft, id).await;
        }
        let (mut body, mut notice) = (self.body.bytes.clone(), None);
        match (self.body.kind, self.body.target) {
            (EntryKind::Recall, Some(target)) => {
                recall::withdraw(draft, &self.conversation, target, &self.sender, &self.settings, false)
                    .await?;
            }
            (EntryKind::Edit, Some(target)) => {
                let edited =
                    edit::amend(draft, &self.conversation, target, &self.sender, &self.body, &self.settings)
                        .await?;
                body = edited.body;
                notice = Some(edited.notice);
            }
            _ => {}
        }
        if self.conversation.muc().is_none() {
            self.join_pair(draft).await?;
        }
        self.raise_priority(draft).await?;
        let entry = draft.append(self.entry(body));
        if entry.kind == EntryKind::Message {
            tell_said(draft, &entry).await.map_err(LogError::from)?;
        }
        metrics::counter!("chat_entries_total", "kind" => kind_label(entry.kind)).increment(1);
        Ok(Sent { message_id: entry.message_id, at: entry.at, notice })
    }
}

impl Submit {
    /// In a room, what those on the allow list say counts more.
    async fn raise_priority(&mut self, draft: &mut Draft<'_>) -> Result<(), SendError> {
        let room = self.conversation.muc().filter(|id| id.kind() == MucKind::Room);
        if let (Some(id), EntryKind::Message) = (room, self.body.kind)
            && is_allowed(draft, id, &self.sender).await?
        {
            self.ext = Priority::High.in_ext(&self.ext);
        }
        Ok(())
    }

    async fn join_pair(&self, draft: &mut Draft<'_>) -> Result<(), SendError> {
        // Who only ever sends by REST, as an administrator may to millions, has no use for the conversation.
        if self.sender_device.is_some() || self.audience == Audience::Everyone {
            draft.join(&self.conversation, &self.sender).await.map_err(LogError::from)?;
        }
        let peer = self.conversation.peer(&self.sender).filter(|peer| peer != &self.sender);
        if let Some(peer) = peer {
            draft.join(&self.conversation, &peer).await.map_err(LogError::from)?;
        }
        Ok(())
    }

    /// A receipt for a message of a group. Nobody but the author hears of it, and they only how many there are.
    async fn receipt(&self, draft: &mut Draft<'_>, id: MucId) -> Result<Sent, SendError> {
        // Nobody counts the readers of a room.
        if id.kind() != MucKind::Room
            && let (EntryKind::ReadReceipt, Some(target)) = (self.body.kind, self.body.target)
        {
            note_reader(draft, id, target, &self.sender, self.body.ack.as_deref()).await?;
        }
        Ok(Sent { message_id: draft.new_message_id(), at: draft.now(), notice: None })
    }
}

/// Most members that one message may name.
const DIRECTED: usize = 20;

/// The group, thread or room that a text names.
fn group(text: &str) -> Result<MucId, SendError> {
    MucId::parse(text).ok_or(SendError::GroupNotFound)
}

/// The people that a message is for, with the sender's other devices.
fn directed(to: &Target, sender: &UserName, names: &[String]) -> Result<Vec<UserName>, SendError> {
    if matches!(to, Target::User(_)) {
        return Err(SendError::UnsupportedTarget);
    }
    let people: Result<HashSet<UserName>, _> = names.iter().map(|name| UserName::parse(name)).collect();
    let people = people.map_err(|_| SendError::Malformed)?;
    if people.is_empty() || people.len() > DIRECTED {
        return Err(SendError::DirectedLimit { limit: DIRECTED });
    }
    let mut people: Vec<_> = people.into_iter().chain([sender.clone()]).collect();
    people.sort_unstable();
    people.dedup();
    Ok(people)
}

fn kind_label(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Message => "message",
        EntryKind::DeliveryReceipt => "delivery_receipt",
        EntryKind::ReadReceipt => "read_receipt",
        EntryKind::ConversationRead => "conversation_read",
        EntryKind::Recall => "recall",
        EntryKind::Edit => "edit",
        _ => "other",
    }
}

/// Names what a device sends in a conversation. The kind is part of the name because the Web SDK has a counter for messages
/// and another for recalls; with a body, the name is of this one thing.
fn stream(
    tenant: TenantId,
    conversation: &ConversationKey,
    sender: &UserName,
    device: &Resource,
    kind: EntryKind,
    body: Option<&[u8]>,
) -> u64 {
    let mut digest = Sha256::new();
    digest.update(tenant.0.to_be_bytes());
    digest.update([kind as u8]);
    // None of these can hold the separator.
    for part in [conversation.as_str(), sender.as_str(), device.as_str()] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.update(body.unwrap_or_default());
    let bytes = digest.finalize();
    u64::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}
