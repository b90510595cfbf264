//! Conversations of two people: what may be sent, and what becomes of it.

mod body;
mod edit;
mod recall;
mod submit;

pub(crate) use recall::Recall;
pub(crate) use submit::Submit;
