//! What groups are made of, as REST and the protocols see it.

use meridian_types::{MessageId, Millis, MucId, Resource, UserName};
use serde::{Deserialize, Serialize};

/// A group, thread or room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MucInfo {
    pub id: MucId,
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub owner: UserName,
    /// Whether it can be found and joined.
    #[serde(default)]
    pub public: bool,
    /// Whether somebody decides on who joins.
    #[serde(default)]
    pub approval: bool,
    /// Whether members may invite.
    #[serde(default)]
    pub allow_invites: bool,
    /// Whether the invited must agree.
    #[serde(default)]
    pub invite_need_confirm: bool,
    pub max_users: u64,
    #[serde(default)]
    pub custom: String,
    #[serde(default)]
    pub avatar: String,
    pub created: Millis,
    pub modified: Millis,
    /// Only the owner, admins and those on the allow list may speak.
    #[serde(default)]
    pub mute_all: bool,
    /// Banned by the app: nobody may do anything.
    #[serde(default)]
    pub disabled: bool,
    #[serde(default)]
    pub announcement: String,
    /// Of a thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadOf>,
}

/// Where a thread hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadOf {
    pub group: MucId,
    pub message: MessageId,
}

/// A group to be made.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Chosen by the creator.
    pub id: Option<MucId>,
    pub name: String,
    pub description: String,
    pub owner: UserName,
    /// Without the owner.
    pub members: Vec<UserName>,
    pub public: bool,
    pub approval: bool,
    pub allow_invites: bool,
    pub invite_need_confirm: bool,
    pub max_users: u64,
    pub custom: String,
    pub avatar: String,
}

/// What is changed of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChanges {
    pub name: Option<String>,
    pub description: Option<String>,
    pub public: Option<bool>,
    pub approval: Option<bool>,
    pub allow_invites: Option<bool>,
    pub invite_need_confirm: Option<bool>,
    pub max_users: Option<u64>,
    pub custom: Option<String>,
    pub avatar: Option<String>,
}

/// Whether people who are brought in are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consent {
    /// As the group says.
    AsSet,
    NotAsked,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `None`: the app itself, which may do everything.
    pub user: Option<UserName>,
    /// Which of their devices; the others are told.
    pub device: Option<Resource>,
}

/// What somebody is in a group. Greater may do more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    Outsider,
    Member,
    Admin,
    Owner,
    /// The app.
    App,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: UserName,
    pub role: Role,
    pub joined: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutedMember {
    pub user: UserName,
    /// [`Mutes::FOR_EVER`](crate::Mutes::FOR_EVER) = without end.
    pub until: u64,
}

/// A file that a group shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupFile {
    pub file: String,
    pub name: String,
    pub owner: UserName,
    pub size: u64,
    pub created: Millis,
}

/// What became of one person of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub user: UserName,
    pub error: Option<MucError>,
}

/// Why something could not be done in a group, thread or room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MucError {
    #[error("there is no such group")]
    NotFound,
    #[error("a group of this id exists")]
    Exists,
    #[error("the id cannot be chosen")]
    Id,
    #[error("the group is disabled")]
    Disabled,
    #[error("only {needed:?} may do this")]
    NotPermitted { needed: Role },
    #[error("{user} is not in the group")]
    NotMember { user: UserName },
    #[error("{user} is in the group already")]
    AlreadyMember { user: UserName },
    #[error("{user} is blocked from the group")]
    Blocked { user: UserName },
    #[error("the user does not exist")]
    NoUser { user: UserName },
    #[error("this cannot be done to the owner")]
    Owner,
    #[error("the owner stays the same")]
    SameOwner,
    #[error("the owner cannot leave")]
    OwnerLeaves,
    #[error("the group is full")]
    Full,
    #[error("the group has {limit} admins, as many as it may have")]
    TooManyAdmins { limit: usize },
    #[error("a group may not be greater than {limit}")]
    SizeLimit { limit: u64 },
    #[error("the group has more than {size} members")]
    SizeBelow { size: u64 },
    #[error("the user is in {limit} groups, as many as they may be")]
    JoinedLimit { user: UserName, limit: usize },
    #[error("the app has {limit} groups, as many as it may have")]
    GroupLimit { limit: u64 },
    #[error("the app has {limit} threads, as many as it may have")]
    ThreadLimit { limit: u64 },
    #[error("the app has {limit} rooms, as many as it may have")]
    RoomLimit { limit: u64 },
    #[error("only a super admin may make rooms")]
    NotSuperAdmin,
    #[error("the group is not public")]
    NotPublic,
    #[error("there is no invitation")]
    NoInvitation,
    #[error("there is no application")]
    NoApplication,
    #[error("a message may be for at most {limit} members")]
    DirectedLimit { limit: usize },
    #[error("there is a thread about this message")]
    ThreadExists,
    #[error("there is no such message")]
    NoMessage,
    #[error("there is no such file")]
    NoFile,
    #[error("the attributes of a member are larger than {limit} bytes")]
    AttributesTooLarge { limit: usize },
}
