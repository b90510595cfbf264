//! What an edge asks of a core, and what a core tells an edge. The edge holds a [`CoreHandle`] and never knows
//! whether the core is in the same process.
//!
//! A person's device is *attached* as a [`Session`]. Commands go down through the session; what happens in the
//! person's conversations comes up through [`Attached::events`], dense per conversation, so that the edge knows
//! without asking whether it may push an entry or has to pull.

#![forbid(unsafe_code)]

mod attach;
mod body;
mod edge;
mod handle;
pub mod peer;
mod server;
mod session;
mod tasks;
mod tls;
mod wire;

pub use attach::Attached;
pub use body::{Body, BodyError, bytes_body, empty_body};
pub use edge::{Cores, Patience};
pub use handle::{Core, CoreHandle};
pub use meridian_types::room::{RoomError, RoomNews, RoomRequest, Standing};
pub use meridian_types::session::{
    Batch, CloseReason, Credential, Device, LinkError, Login, Platform, PullRequest, Refusal, Resume,
    RouteTo, SendError, Sent, SessionEvent, Submission, Unread,
};
pub use meridian_types::{EventSender, Events, event_queue};
pub use server::{LinkServer, Sessions};
pub use session::{PendingSend, Session};
pub use tls::{Tls, TlsFiles};
#[doc(hidden)]
pub use wire::check;
