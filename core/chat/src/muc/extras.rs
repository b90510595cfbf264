//! Announcement, attributes of members, and not wanting messages.

use crate::{
    ChatError,
    log::Draft,
    muc::{MUC_ATTRIBUTES, Manage, MucError, MucInfo, Role, state::Muc},
};
use meridian_types::{Audience, Relation, UserName, notice::MucChange};
use std::collections::BTreeMap;

/// Bytes of one member's attributes, names and values.
const ATTRIBUTES: usize = 4096;

pub(super) fn read_attributes(relation: &Relation) -> BTreeMap<String, String> {
    serde_json::from_slice(&relation.body).unwrap_or_default()
}

impl Manage {
    pub(super) async fn announce(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        text: &str,
    ) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Admin).await?;
        if muc.info.announcement == text {
            return Ok(());
        }
        draft.put_muc(muc, MucInfo { announcement: text.to_owned(), ..MucInfo::clone(&muc.info) })?;
        self.tell(draft, muc, MucChange::Announced { text: text.to_owned() }, Audience::Everyone).await
    }

    /// An empty value takes an attribute away.
    pub(super) async fn attributes(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        user: &UserName,
        changes: &BTreeMap<String, String>,
    ) -> Result<(), ChatError> {
        let own = self.actor.user.as_ref() == Some(user);
        self.need(draft, muc, if own { Role::Member } else { Role::Owner }).await?;
        let id = muc.info.id;
        if draft.standing(id, user).await?.since.is_none() {
            return Err(MucError::NotMember { user: user.clone() }.into());
        }
        let stored = draft.relation(&MUC_ATTRIBUTES, &id.to_string(), user.as_str()).await?;
        let before = stored.as_ref().map(read_attributes).unwrap_or_default();
        let mut attributes = before.clone();
        for (name, value) in changes {
            if value.is_empty() {
                attributes.remove(name);
            } else {
                attributes.insert(name.clone(), value.clone());
            }
        }
        if attributes == before {
            return Ok(());
        }
        if attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > ATTRIBUTES {
            return Err(MucError::AttributesTooLarge { limit: ATTRIBUTES }.into());
        }
        let now = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
        let body = serde_json::to_vec(&attributes).unwrap_or_default();
        draft.put_muc_relation(&MUC_ATTRIBUTES, id, user.as_str(), now, body.into());
        let change = MucChange::Attributes { user: user.clone(), attributes: changes.clone() };
        self.tell(draft, muc, change, Audience::Everyone).await
    }

    pub(super) async fn shield(&self, draft: &mut Draft<'_>, muc: &Muc, on: bool) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Member).await?;
        let (id, user) = (muc.info.id, self.user()?.clone());
        let seq = draft.next_seq(&id.into()).0;
        draft.change_stay(id, &user, seq, |stay| stay.shield(seq, on)).await?;
        self.tell(draft, muc, MucChange::Shielded { on }, Audience::Own).await
    }
}
