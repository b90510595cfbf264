//! Why a tenant was not moved.

use meridian_replication::ReplicationError;
use meridian_types::{Epoch, LogId, RegionId, TenantId};
use std::io;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    #[error("there is no app {app}")]
    NoApp { app: String },
    #[error("the app {app} cannot be read in the store")]
    App { app: String },
    #[error("the app {app} exists already")]
    AppExists { app: String },
    #[error(
        "the app has tenant number {tenant}, which {app} has here; tokens and the recognition of resends depend on the \
         number, so it cannot change: import into a store where it is free"
    )]
    NumberTaken { tenant: TenantId, app: String },
    #[error("the export is of region {found}, this is region {here}")]
    Region { found: RegionId, here: RegionId },
    #[error(
        "log {log} is at epoch {here} here, at {found} in the export: this store has had newer owners of it"
    )]
    NewerEpoch { log: LogId, here: Epoch, found: Epoch },
    #[error("log {log} holds other operations here than in the export")]
    Diverged { log: LogId },
    #[error("not an export of Meridian")]
    NotAnExport,
    #[error("export format {found}; this program reads {known}")]
    Format { found: String, known: u32 },
    #[error("the export ends in the middle, after byte {at}: it is cut off, or damaged there")]
    CutOff { at: u64 },
    #[error("the export is damaged between byte {from} and byte {to}")]
    Damaged { from: u64, to: u64 },
    #[error("the export is not as described, before byte {at}: {what}")]
    Malformed { at: u64, what: &'static str },
    #[error("an operation of log {log} is larger than {limit} bytes and cannot be exported")]
    TooLarge { log: LogId, limit: usize },
    #[error("the file {key} changed while it was read")]
    BlobChanged { key: String },
    #[error("the export cannot be read or written")]
    Io(#[source] io::Error),
    #[error("{what}")]
    Store { what: &'static str, source: meridian_ports::Error },
    #[error("{key}")]
    Blobs { key: String, source: meridian_ports::Error },
    #[error("a log is not sound")]
    Log(#[source] ReplicationError),
}

impl TransferError {
    /// What a store answered while something was done.
    pub(crate) fn store(what: &'static str) -> impl Fn(meridian_ports::Error) -> Self {
        move |source| Self::Store { what, source }
    }
}
