//! What a deleted person leaves in the logs of their pairs and groups, and the marks that keep late commands about them out.

use crate::{
    ChatError,
    log::{Command, Draft, JOINED, NewEntry},
    muc,
    people::{BLOCK, CONTACT, FOLLOWED, FOLLOWS, INVITED, INVITES, relate::Party},
};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_types::{
    Audience, ConversationKey, Effect, EntryKind, Kind, Notice, Relation, UserName, notice::ContactChange,
};
use serde::{Deserialize, Serialize};

/// account's uuid → name, in each log of the tenant; rank = since when (ms).
const GONE: Kind = Kind::new("gone");

/// Kinds that hang on a person alone; see [`super::fields`].
pub(crate) const PERSONAL: [Kind; 5] = [
    Kind::new("profile"),
    Kind::new("push"),
    Kind::new("push_binding"),
    Kind::new("silent"),
    Kind::new("presence"),
];

/// Each kind with the one that says the same from the other side.
const PAIRS: [(Kind, Kind); 5] =
    [(CONTACT, CONTACT), (INVITED, INVITES), (INVITES, INVITED), (FOLLOWS, FOLLOWED), (FOLLOWED, FOLLOWS)];

/// Whether the account was deleted since the command was made. Another account of the same name is another.
pub(crate) async fn is_gone(draft: &Draft<'_>, party: &Party) -> Result<bool, ChatError> {
    Ok(draft.relation(&GONE, &party.uuid, party.name.as_str()).await?.is_some())
}

/// Takes a deleted person out of the pairs and conversations of one log.
#[derive(Serialize, Deserialize)]
pub(crate) struct ForgetPerson {
    pub(crate) username: UserName,
    pub(crate) uuid: String,
}

#[async_trait]
impl Command for ForgetPerson {
    /// Whether there may be more.
    type Output = bool;
    type Error = ChatError;

    const NAME: &'static str = "person.forget";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<bool, ChatError> {
        const AT_ONCE: usize = 200;
        let name = self.username.as_str();
        let mut more = false;
        let (from, to) = (self.uuid.clone(), name.to_owned());
        let rank = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
        draft.put_relation(Relation { kind: GONE, from, to, rank, body: Bytes::new() });
        for (kind, mirror) in PAIRS {
            let relations = draft.relations(&kind, name, AT_ONCE).await?;
            more |= relations.len() == AT_ONCE;
            for relation in relations {
                if kind == CONTACT {
                    self.tell(draft, &relation.to).await?;
                }
                delete(draft, &kind, name, &relation.to);
                delete(draft, &mirror, &relation.to, name);
            }
        }
        for kind in [BLOCK, JOINED, muc::IN_ROOM] {
            let relations = draft.relations(&kind, name, AT_ONCE).await?;
            more |= relations.len() == AT_ONCE;
            for relation in relations {
                if let Some(id) = ConversationKey::from_stored(&relation.to).muc().filter(|_| kind != BLOCK) {
                    muc::forget(draft, id, &self.username).await?;
                }
                delete(draft, &kind, name, &relation.to);
            }
        }
        Ok(more)
    }
}

impl ForgetPerson {
    /// Their contact sees them go.
    async fn tell(&self, draft: &mut Draft<'_>, contact: &str) -> Result<(), ChatError> {
        let contact = UserName::parse(contact)?;
        let conversation = ConversationKey::pair(&self.username, &contact);
        draft.load(&conversation).await?;
        draft.join(&conversation, &contact).await?;
        let notice = Notice::Contact { change: ContactChange::Removed, reason: String::new() };
        draft.append(NewEntry {
            conversation,
            kind: EntryKind::Notice,
            sender: self.username.clone(),
            sender_device: None,
            audience: Audience::Others,
            target: None,
            idempotency: None,
            ext: Bytes::new(),
            body: notice.encode(),
            at: None,
        });
        Ok(())
    }
}

fn delete(draft: &mut Draft<'_>, kind: &Kind, from: &str, to: &str) {
    draft.push(Effect::DeleteRelation { kind: kind.clone(), from: from.to_owned(), to: to.to_owned() });
}
