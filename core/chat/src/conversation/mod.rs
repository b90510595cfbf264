//! Conversations of two people: what may be sent, and what becomes of it.

mod body;
mod edit;
mod notice;
mod recall;
mod submit;

pub(crate) use notice::NoticeToSelf;
pub(crate) use recall::Recall;
pub(crate) use submit::Submit;
