//! Chat rooms, where they differ from groups; the rest they share with [`groups`](crate::groups).

pub(crate) mod attributes;
pub(crate) mod create;
pub(crate) mod lists;
pub(crate) mod super_admins;
pub(crate) mod update;
