//! Messages that servers send, and recalls.

pub(crate) mod body;
pub(crate) mod broadcast;
pub(crate) mod key_value;
pub(crate) mod recall;
pub(crate) mod send;
