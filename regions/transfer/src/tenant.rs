//! Where an app's record, number, logs and files are, as the chat logic keeps them (`ARCHITECTURE.md`, "Names and order").
//! The tests make their tenants with the chat logic, so that this cannot drift from it.

use crate::TransferError;
use meridian_ports::{ObjectPage, Store};
use meridian_types::{Kind, LogClass, LogHead, LogId, Object, RegionId, TenantId};
use serde::Deserialize;

pub(crate) const APP: Kind = Kind::new("app");
pub(crate) const FILE: Kind = Kind::new("file");
/// The object that holds the last number given.
pub(crate) const COUNTER: Kind = Kind::new("counter");
pub(crate) const TENANTS: &str = "tenants";

/// Logs or objects per read.
pub(crate) const PAGE: usize = 512;

/// The log of the apps themselves.
pub(crate) fn system(region: RegionId) -> LogId {
    LogId::new(TenantId(0), LogClass::Owned, region, 0)
}

/// What is needed of an app's body.
#[derive(Deserialize)]
struct Numbered {
    tenant: u32,
}

/// The number in an app's record.
pub(crate) fn number(app: &Object) -> Option<TenantId> {
    serde_json::from_slice::<Numbered>(&app.body).ok().map(|body| TenantId(body.tenant))
}

/// The head of one log, if it exists.
pub(crate) async fn head(store: &dyn Store, log: LogId) -> Result<Option<LogHead>, TransferError> {
    let before = log.raw().checked_sub(1).map(LogId::from_raw);
    let page =
        store.logs(before, 1).await.map_err(TransferError::store("the list of logs cannot be read"))?;
    Ok(page.into_iter().find(|head| head.log == log))
}

/// The heads of a tenant's logs.
pub(crate) async fn logs(store: &dyn Store, tenant: TenantId) -> Result<Vec<LogHead>, TransferError> {
    let mut heads = Vec::<LogHead>::new();
    let first = LogId::new(tenant, LogClass::Owned, RegionId(0), 0);
    let mut after = first.raw().checked_sub(1).map(LogId::from_raw);
    loop {
        let page = store.logs(after, PAGE).await;
        let page = page.map_err(TransferError::store("the list of logs cannot be read"))?;
        after = page.last().map(|head| head.log);
        let ended = page.is_empty() || page.iter().any(|head| head.log.tenant() != tenant);
        heads.extend(page.into_iter().filter(|head| head.log.tenant() == tenant));
        if ended {
            return Ok(heads);
        }
    }
}

/// The app that has a number.
pub(crate) async fn holder(
    store: &dyn Store,
    region: RegionId,
    tenant: TenantId,
) -> Result<Option<String>, TransferError> {
    let mut after = None;
    loop {
        let page = ObjectPage::new(after, PAGE);
        let page = store.objects(&[system(region)], &APP, page).await;
        let page = page.map_err(TransferError::store("the apps cannot be read"))?;
        let Some((_, last)) = page.last() else { return Ok(None) };
        after = Some((last.rank, last.id.clone()));
        if let Some((_, app)) = page.iter().find(|(_, app)| number(app) == Some(tenant)) {
            return Ok(Some(app.id.clone()));
        }
    }
}
