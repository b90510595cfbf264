//! Connected devices: who is attached, what they are told, and how far each has read.

mod attach;
mod audiences;
mod devices;
mod hub;
mod positions;
mod rooms;
mod session;
mod unread;

pub(crate) use devices::forget_all as forget_devices;
pub use session::{Attached, Session};

pub(crate) use audiences::{Audiences, admits};
pub(crate) use hub::{Hub, Room, Slot};
pub(crate) use positions::{POSITION, PositionKeeper};
pub(crate) use rooms::{Reading, Rooms, tell_rooms};
pub(crate) use unread::{conversations_of, count_after};
