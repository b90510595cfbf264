//! Groups, and what they have in common with threads and rooms: who is in, what they may do, and what is told.
//!
//! All of one group lives in one log (its id says which), so that "kicked, then sent" and the last free place have one
//! outcome. [`Manage`] is the one command; `state` is what the writer keeps in memory of a group; who may read what is the
//! [`Stay`](meridian_types::Stay) in a person's `joined` relation.

mod absent;
mod broadcast;
mod create;
mod extras;
mod files;
mod life;
mod lists;
mod manage;
mod members;
mod model;
mod receipts;
mod room_attributes;
mod rooms;
mod speech;
mod state;
mod thread_lists;
mod threads;

pub(crate) use create::Create;
pub(crate) use life::Sweep;
pub(crate) use manage::Manage;
pub(crate) use members::forget;
pub(crate) use receipts::{Reminder, Reminders, TellReaders, note_reader, tell_authors};
pub(crate) use speech::{check_named, check_speaker, is_allowed, may_recall_others};
pub(crate) use state::{MucState, read_stay};

pub use lists::GroupEntry;
pub use manage::GroupAction;
pub use model::{
    Actor, Consent, GroupChanges, GroupFile, Member, MucError, MucInfo, MutedMember, NewGroup, Outcome, Role,
    ThreadOf,
};
pub(crate) use room_attributes::ChangeRoomAttributes;
pub use room_attributes::{AttributeAction, AttributeError, AttributesOutcome, RoomAttributes};
pub use rooms::NewRoom;
pub use threads::ThreadAction;
pub(crate) use threads::{CreateThread, ManageThread, tell_said};

use meridian_types::{Kind, MucId, MucKind};

/// id → what it is: [`MucInfo`]. rank = minus the time of creation (ms): the newest is listed first.
pub(crate) const GROUP: Kind = Kind::new("muc");
pub(crate) const OF_THREAD: Kind = Kind::new("muc_thread");
pub(crate) const ROOM: Kind = Kind::new("muc_room");

/// The kind of object that says what this is; groups, threads and rooms are listed apart.
pub(crate) const fn object_kind(id: MucId) -> Kind {
    match id.kind() {
        MucKind::Group => GROUP,
        MucKind::Thread => OF_THREAD,
        MucKind::Room => ROOM,
    }
}
/// The same for public groups; body = the name.
pub(crate) const PUBLIC: Kind = Kind::new("muc_public");
/// id → "", rank = how many are in.
pub(crate) const SIZE: Kind = Kind::new("muc_size");
/// id → person; rank = since when (ms), body = the entry at which they came in; of a room, when (ms).
pub(crate) const MEMBER: Kind = Kind::new("member");
/// id → [`order_key`]; the members in the order of coming. rank = since when (ms).
pub(crate) const MEMBER_ORDER: Kind = Kind::new("member_order");
/// id → person; rank = since when (ms).
pub(crate) const ADMIN: Kind = Kind::new("muc_admin");
/// id → person; rank = until when (ms).
pub(crate) const MUTE: Kind = Kind::new("muc_mute");
/// id → person who may speak while all are muted.
pub(crate) const ALLOW: Kind = Kind::new("muc_allow");
/// id → person who is kept out.
pub(crate) const MUC_BLOCK: Kind = Kind::new("muc_block");
/// id → invited person; body = who invites.
pub(crate) const MUC_INVITED: Kind = Kind::new("muc_invited");
/// id → person who wants in; body = the reason.
pub(crate) const MUC_APPLIED: Kind = Kind::new("muc_applied");
/// id → person; body = attributes as JSON.
pub(crate) const MUC_ATTRIBUTES: Kind = Kind::new("muc_attributes");
/// id → uuid of a shared file; rank = since when (ms), body = JSON.
pub(crate) const MUC_FILE: Kind = Kind::new("muc_file");

/// group → thread.
pub(crate) const THREAD: Kind = Kind::new("thread");
/// group/message → the thread about it.
pub(crate) const THREAD_ON: Kind = Kind::new("thread_on");
/// thread → ""; rank = messages so far.
pub(crate) const THREAD_MESSAGES: Kind = Kind::new("thread_messages");
/// "" → thread: all of this log.
pub(crate) const THREADS: Kind = Kind::new("threads");
/// id/message → reader; rank = when (ms), body = what they said with it.
pub(crate) const MUC_READ: Kind = Kind::new("muc_read");
/// id → message; rank = how many have read it, body = how many its author knows of.
pub(crate) const MUC_READS: Kind = Kind::new("muc_reads");

/// person → room; rank = since when (ms).
pub(crate) const IN_ROOM: Kind = Kind::new("in_room");
/// room → key; body = the value, whose it is, and whether it goes with them, as JSON.
pub(crate) const ROOM_ATTRIBUTE: Kind = Kind::new("room_attribute");
/// "" → who may make rooms; rank = since when (ms). In the first log.
pub(crate) const SUPER_ADMIN: Kind = Kind::new("super_admin");

/// Everything that hangs on one id alone.
pub(crate) const OF_ONE: [Kind; 9] =
    [ADMIN, MUTE, ALLOW, MUC_BLOCK, MUC_INVITED, MUC_APPLIED, MUC_ATTRIBUTES, MUC_FILE, ROOM_ATTRIBUTE];

/// In the order of coming in, by name for those who came together.
pub(crate) fn order_key(seq: u64, person: &str) -> String {
    format!("{seq:012x}/{person}")
}
