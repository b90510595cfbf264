//! Users: registration, lists, accounts, status, sessions.

pub(crate) mod account;
pub(crate) mod list;
pub(crate) mod register;
pub(crate) mod sessions;
pub(crate) mod status;
