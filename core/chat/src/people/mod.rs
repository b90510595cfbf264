//! What surrounds a person: contacts, invitations, block list and subscriptions, which belong to a pair and live in the
//! pair's log; profile, push settings and presence, which belong to the person alone and live in the regional log, field by
//! field, last writer wins.

mod contacts;
mod fields;
mod gone;
mod presence;
mod profile;
mod push;
mod relate;
mod silent;
mod templates;

pub(crate) use fields::{COUNTER, SetFields, USERS, read_counter};
pub(crate) use gone::{ForgetPerson, PERSONAL, is_gone};
pub(crate) use presence::{PresenceFeed, SEEN};
pub(crate) use relate::{Party, Relate};
pub(crate) use templates::{DeleteTemplate, PutTemplate};

pub use contacts::{Contact, Imported};
pub use presence::{PresenceRecord, Subscription};
pub use push::{PushBinding, PushSettings};
pub use templates::PushTemplate;

use crate::ChatError;
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use meridian_types::Kind;

/// Reads and commands that are under way for one call.
const AT_ONCE: usize = 16;

/// Has things done, some at a time, and gives what came of them in their order.
async fn in_order<T>(futures: Vec<BoxFuture<'_, Result<T, ChatError>>>) -> Result<Vec<T>, ChatError> {
    stream::iter(futures).buffered(AT_ONCE).try_collect().await
}

/// person → contact; rank = since when (ms), body = the remark.
pub(crate) const CONTACT: Kind = Kind::new("contact");
/// person → whom they block; rank = since when (ms).
pub(crate) const BLOCK: Kind = Kind::new("block");
/// invited → who invites; rank = since when (ms), body = the reason.
pub(crate) const INVITED: Kind = Kind::new("invited");
/// The same the other way round.
pub(crate) const INVITES: Kind = Kind::new("invites");
/// subscriber → whose presence; rank = until when (s).
pub(crate) const FOLLOWS: Kind = Kind::new("follows");
/// The same the other way round.
pub(crate) const FOLLOWED: Kind = Kind::new("followed");
