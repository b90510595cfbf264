//! Attributes of a room: each is somebody's, and others leave it alone unless they force it.

use crate::{
    App, Chat, ChatError,
    log::{Command, Draft},
    muc::{Actor, MucError, ROOM_ATTRIBUTE, manage::tell, rooms::drop_room, state::Muc},
};
use async_trait::async_trait;
use meridian_types::{Audience, MucId, Relation, UserName, notice::MucChange};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Attributes of a room.
const LIMIT: usize = 100;

#[derive(Serialize, Deserialize)]
struct Stored {
    value: String,
    owner: UserName,
    /// It goes when its owner goes.
    auto_delete: bool,
}

fn read(row: &Relation) -> Option<Stored> {
    serde_json::from_slice(&row.body).ok()
}

/// A change of a room's attributes in a person's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomAttributes {
    pub user: UserName,
    /// Also those of others.
    pub forced: bool,
    pub action: AttributeAction,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AttributeAction {
    Set {
        values: BTreeMap<String, String>,
        auto_delete: bool,
        /// For whoever hears of it.
        ext: String,
    },
    Remove {
        keys: Vec<String>,
    },
}

/// What became of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributesOutcome {
    pub done: Vec<String>,
    pub failed: BTreeMap<String, AttributeError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AttributeError {
    #[error("the attribute is somebody else's")]
    NotOwn,
    #[error("the room has {limit} attributes, as many as it may have")]
    TooMany { limit: usize },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ChangeRoomAttributes {
    id: MucId,
    actor: Actor,
    change: RoomAttributes,
}

#[async_trait]
impl Command for ChangeRoomAttributes {
    type Output = AttributesOutcome;
    type Error = ChatError;

    const NAME: &'static str = "room.attributes";

    fn is_repeatable(&self) -> bool {
        true
    }

    async fn decide(&mut self, draft: &mut Draft<'_>) -> Result<AttributesOutcome, ChatError> {
        let room = draft.muc(self.id).await?;
        if room.info.disabled {
            return Err(MucError::Disabled.into());
        }
        let RoomAttributes { user, forced, action } = &self.change;
        let standing = draft.standing(self.id, user).await?;
        if self.actor.user.is_some() && standing.since.is_none() {
            return Err(MucError::NotMember { user: user.clone() }.into());
        }
        // What goes with somebody must not stay because they were never there.
        let is_in = standing.since.is_some();
        let id = self.id.to_string();
        let rows = draft.relations(&ROOM_ATTRIBUTE, &id, LIMIT).await?;
        let owners: BTreeMap<_, _> =
            rows.iter().filter_map(|row| Some((row.to.clone(), read(row)?.owner))).collect();
        let is_others = |key: &str| !forced && owners.get(key).is_some_and(|owner| owner != user);
        let mut outcome = AttributesOutcome::default();
        let mut count = owners.len();
        match action {
            AttributeAction::Set { values, auto_delete, ext } => {
                let rank = i64::try_from(draft.now().0).unwrap_or(i64::MAX);
                let mut set = BTreeMap::new();
                for (key, value) in values {
                    let is_new = !owners.contains_key(key);
                    if is_others(key) {
                        outcome.failed.insert(key.clone(), AttributeError::NotOwn);
                    } else if is_new && count >= LIMIT {
                        outcome.failed.insert(key.clone(), AttributeError::TooMany { limit: LIMIT });
                    } else {
                        count += usize::from(is_new);
                        let stored = Stored {
                            value: value.clone(),
                            owner: user.clone(),
                            auto_delete: *auto_delete && is_in,
                        };
                        let body = serde_json::to_vec(&stored).unwrap_or_default().into();
                        draft.put_muc_relation(&ROOM_ATTRIBUTE, self.id, key, rank, body);
                        outcome.done.push(key.clone());
                        set.insert(key.clone(), value.clone());
                    }
                }
                if !set.is_empty() {
                    let change = MucChange::RoomAttributesSet { attributes: set, ext: ext.clone() };
                    tell(draft, &room, (user, &self.actor), change, Audience::Everyone).await?;
                }
            }
            AttributeAction::Remove { keys } => {
                let mut removed = Vec::new();
                for key in keys {
                    if is_others(key) {
                        outcome.failed.insert(key.clone(), AttributeError::NotOwn);
                        continue;
                    }
                    outcome.done.push(key.clone());
                    if owners.contains_key(key) && !removed.contains(key) {
                        draft.delete_muc_relation(&ROOM_ATTRIBUTE, self.id, key);
                        removed.push(key.clone());
                    }
                }
                self.tell_removed(draft, &room, removed).await?;
            }
        }
        Ok(outcome)
    }
}

impl ChangeRoomAttributes {
    async fn tell_removed(
        &self,
        draft: &mut Draft<'_>,
        room: &Muc,
        keys: Vec<String>,
    ) -> Result<(), ChatError> {
        if keys.is_empty() {
            return Ok(());
        }
        let change = MucChange::RoomAttributesRemoved { keys };
        tell(draft, room, (&self.change.user, &self.actor), change, Audience::Everyone).await
    }
}

/// Takes a person out of a room's lists, with the attributes that go with them.
pub(super) async fn exit_room(draft: &mut Draft<'_>, id: MucId, person: &UserName) -> Result<(), ChatError> {
    drop_room(draft, id, person);
    let rows = draft.relations(&ROOM_ATTRIBUTE, &id.to_string(), LIMIT).await?;
    let goes = |row: &&Relation| read(row).is_some_and(|own| own.auto_delete && &own.owner == person);
    let keys: Vec<_> = rows.iter().filter(goes).map(|row| row.to.clone()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    keys.iter().for_each(|key| draft.delete_muc_relation(&ROOM_ATTRIBUTE, id, key));
    let room = draft.muc(id).await?;
    let app = Actor { user: None, device: None };
    let change = MucChange::RoomAttributesRemoved { keys };
    tell(draft, &room, (person, &app), change, Audience::Everyone).await
}

impl Chat {
    /// Without keys: all of them.
    pub async fn room_attributes(
        &self,
        app: &App,
        id: MucId,
        keys: &[String],
    ) -> Result<BTreeMap<String, String>, ChatError> {
        self.inner.info(app, id).await?;
        let rows = self.inner.all_of(app, id, &ROOM_ATTRIBUTE).await?;
        let wanted = |row: &&Relation| keys.is_empty() || keys.contains(&row.to);
        Ok(rows.iter().filter(wanted).filter_map(|row| Some((row.to.clone(), read(row)?.value))).collect())
    }

    /// Sets or removes attributes. Whom the app acts for need not be in the room.
    pub async fn change_room_attributes(
        &self,
        app: &App,
        id: MucId,
        actor: Actor,
        change: RoomAttributes,
    ) -> Result<AttributesOutcome, ChatError> {
        let log = self.inner.muc_log(app, id);
        self.inner.logs.execute(log, ChangeRoomAttributes { id, actor, change }).await
    }
}
