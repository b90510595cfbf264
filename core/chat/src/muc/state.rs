//! What the writer of a log keeps in memory of a group: what it is, how many are in, and where those stand who were active.

use crate::{
    ChatError,
    log::{Draft, JOINED},
    muc::{ADMIN, ALLOW, Actor, MEMBER, MUC_BLOCK, MUTE, MucError, MucInfo, Role, SIZE, object_kind},
};
use meridian_types::{Kind, MucId, MucKind, Object, Relation, Stay, UserName};
use std::{collections::HashMap, sync::Arc};

/// People remembered per group; others are looked up again.
const STANDINGS: usize = 2048;

/// A group in memory.
#[derive(Clone, Debug)]
pub(crate) struct MucState {
    info: Arc<MucInfo>,
    version: u64,
    size: u64,
    standings: HashMap<UserName, Standing>,
}

/// What one person is in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The entry at which they came in, when they are in.
    pub(crate) since: Option<u64>,
    pub(crate) is_admin: bool,
    /// Milliseconds since 1970.
    pub(crate) muted_until: u64,
    pub(crate) is_allowed: bool,
    pub(crate) is_blocked: bool,
}

/// A group as a command sees it.
#[derive(Clone, Debug)]
pub(crate) struct Muc {
    pub(crate) info: Arc<MucInfo>,
    version: u64,
    pub(crate) size: u64,
}

impl Muc {
    /// One that is being made.
    pub(super) fn new(info: MucInfo) -> Self {
        Self { info: Arc::new(info), version: 0, size: 0 }
    }
}

/// Relations that decide where a person stands.
const STANDING: [Kind; 5] = [MEMBER, ADMIN, MUTE, ALLOW, MUC_BLOCK];

impl MucState {
    /// Whether this holds something of such relations.
    pub(crate) fn is_of(kind: &Kind) -> bool {
        kind == &SIZE || STANDING.contains(kind)
    }

    /// Takes in a change of a relation; what is not known of it is read again.
    pub(crate) fn note(&mut self, relation: &Kind, to: &str, rank: Option<i64>) {
        if relation == &SIZE {
            self.size = rank.and_then(|rank| u64::try_from(rank).ok()).unwrap_or(0);
        } else if let Ok(person) = UserName::parse(to) {
            self.standings.remove(&person);
        }
    }
}

impl Standing {
    pub(crate) fn role(&self, info: &MucInfo, person: &UserName) -> Role {
        match self.since {
            // A room is its owner's also while they are away.
            None if info.id.kind() == MucKind::Room && &info.owner == person => Role::Owner,
            None => Role::Outsider,
            Some(_) if &info.owner == person => Role::Owner,
            Some(_) if self.is_admin => Role::Admin,
            Some(_) => Role::Member,
        }
    }
}

pub(super) fn read_info(object: &Object) -> Result<MucInfo, ChatError> {
    serde_json::from_slice(&object.body).map_err(|_| corrupt("stored group cannot be read"))
}

pub(super) fn corrupt(what: &str) -> ChatError {
    meridian_ports::Error::new(meridian_ports::ErrorKind::Corrupt, "object", what).into()
}

/// The stay that a `joined` relation holds.
pub(crate) fn read_stay(relation: &Relation) -> Stay {
    serde_json::from_slice(&relation.body).unwrap_or_default()
}

pub(super) fn stay_body(stay: &Stay) -> bytes::Bytes {
    serde_json::to_vec(stay).unwrap_or_default().into()
}

impl Draft<'_> {
    /// The group; `NotFound` without one.
    pub(crate) async fn muc(&mut self, id: MucId) -> Result<Muc, ChatError> {
        let key = id.into();
        if let Some(state) = &self.conversation(&key).await?.muc {
            return Ok(Muc { info: state.info.clone(), version: state.version, size: state.size });
        }
        let name = id.to_string();
        let object = self.object(&object_kind(id), &name).await?.ok_or(MucError::NotFound)?;
        let size = self.relation(&SIZE, &name, "").await?;
        let size = size.and_then(|size| u64::try_from(size.rank).ok()).unwrap_or(0);
        let info = Arc::new(read_info(&object)?);
        let muc = Muc { info: info.clone(), version: object.version, size };
        let state = MucState { info, version: object.version, size, standings: HashMap::new() };
        self.conversation(&key).await?.muc = Some(state);
        Ok(muc)
    }

    /// Where a person stands in a group that [`Draft::muc`] has given.
    pub(crate) async fn standing(&mut self, id: MucId, person: &UserName) -> Result<Standing, ChatError> {
        let key = id.into();
        let known = self.conversation(&key).await?.muc.as_ref().and_then(|state| state.standings.get(person));
        if let Some(known) = known {
            return Ok(*known);
        }
        let (id, name) = (id.to_string(), person.as_str());
        let since = self.relation(&MEMBER, &id, name).await?;
        let since = since.and_then(|member| std::str::from_utf8(&member.body).ok()?.parse().ok());
        let mute = self.relation(&MUTE, &id, name).await?;
        let standing = Standing {
            since,
            is_admin: self.relation(&ADMIN, &id, name).await?.is_some(),
            muted_until: mute.map_or(0, |mute| u64::try_from(mute.rank).unwrap_or(0)),
            is_allowed: self.relation(&ALLOW, &id, name).await?.is_some(),
            is_blocked: self.relation(&MUC_BLOCK, &id, name).await?.is_some(),
        };
        if let Some(state) = &mut self.conversation(&key).await?.muc {
            if state.standings.len() >= STANDINGS {
                state.standings.clear();
            }
            state.standings.insert(person.clone(), standing);
        }
        Ok(standing)
    }

    /// What the actor is in the group.
    pub(super) async fn role_of(&mut self, muc: &Muc, actor: &Actor) -> Result<Role, ChatError> {
        match &actor.user {
            None => Ok(Role::App),
            Some(user) => Ok(self.standing(muc.info.id, user).await?.role(&muc.info, user)),
        }
    }

    /// Refuses an actor who is less, and gives what the actor is.
    pub(super) async fn need(&mut self, muc: &Muc, actor: &Actor, needed: Role) -> Result<Role, ChatError> {
        let role = self.role_of(muc, actor).await?;
        match &actor.user {
            Some(user) if role == Role::Outsider => Err(MucError::NotMember { user: user.clone() }.into()),
            _ if role < needed => Err(MucError::NotPermitted { needed }.into()),
            _ => Ok(role),
        }
    }

    pub(super) fn put_muc(&mut self, muc: &Muc, info: MucInfo) -> Result<(), ChatError> {
        let body = serde_json::to_vec(&info).map_err(|_| corrupt("group cannot be written"))?;
        let rank = -i64::try_from(info.created.0).unwrap_or(i64::MAX);
        self.put_object(&object_kind(info.id), &info.id.to_string(), rank, muc.version, body.into());
        Ok(())
    }

    pub(super) fn put_size(&mut self, id: MucId, size: u64) {
        let rank = i64::try_from(size).unwrap_or(i64::MAX);
        self.put_muc_relation(&SIZE, id, "", rank, bytes::Bytes::new());
    }

    pub(super) fn put_muc_relation(
        &mut self,
        kind: &Kind,
        id: MucId,
        to: &str,
        rank: i64,
        body: bytes::Bytes,
    ) {
        let (from, to) = (id.to_string(), to.to_owned());
        self.put_relation(Relation { kind: kind.clone(), from, to, rank, body });
    }

    pub(super) fn delete_muc_relation(&mut self, kind: &Kind, id: MucId, to: &str) {
        let (from, to) = (id.to_string(), to.to_owned());
        self.push(meridian_types::Effect::DeleteRelation { kind: kind.clone(), from, to });
    }

    /// Changes what a person may read. `first` is the first entry that may concern somebody new.
    pub(super) async fn change_stay(
        &mut self,
        id: MucId,
        person: &UserName,
        first: u64,
        change: impl FnOnce(&mut Stay),
    ) -> Result<(), ChatError> {
        let key: meridian_types::ConversationKey = id.into();
        let stored = self.relation(&JOINED, person.as_str(), key.as_str()).await?;
        let mut stay = stored.as_ref().map(read_stay).unwrap_or_default();
        change(&mut stay);
        let rank = match stored {
            Some(stored) => stored.rank,
            None => self.position(first.saturating_sub(1)).rank(),
        };
        let (from, to) = (person.to_string(), key.to_string());
        self.put_relation(Relation { kind: JOINED, from, to, rank, body: stay_body(&stay) });
        Ok(())
    }
}
