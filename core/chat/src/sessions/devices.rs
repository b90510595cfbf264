//! The devices that a person has used. A device that was never seen starts where it should:
//!
//! - a web client whose resource is made anew at every login (`webim_random_web_…`, or `webim_web_…` without local
//!   storage) takes over from the device of the same make that was seen last and is not connected, so that a
//!   reconnection under a new name loses nothing;
//! - any other new device starts where the person is: it gets what no device of theirs has acknowledged.

use crate::{
    cluster::RemoteSeat,
    log::{Apply, LogError, Logs, Placement},
    sessions::{
        Hub,
        positions::{POSITION, PositionKeeper, device_key, raise_effect},
    },
};
use bytes::Bytes;
use meridian_ports::{RelationPage, Result, Store};
use meridian_types::{Effect, Kind, Millis, Relation, TenantId, UserName, session::Device};
use serde::{Deserialize, Serialize};

/// user → device, rank = last seen (ms).
const DEVICE: Kind = Kind::new("device");

/// Devices remembered per person; past it the longest unseen ones are forgotten.
const DEVICES_PER_USER: usize = 32;

/// A name that the client makes up at every login never comes back.
const NEVER_RETURNS: &str = "webim_random_web_";

#[derive(Serialize, Deserialize)]
struct DeviceBody {
    uuid: String,
    name: String,
    platform: String,
    sdk: String,
}

/// Makes a device known, durably, if it is not yet.
pub(crate) async fn register(
    (store, logs, hub, keeper): (&dyn Store, &Logs, &Hub, &PositionKeeper),
    (placement, elsewhere): (Placement, &[RemoteSeat]),
    tenant: TenantId,
    user: &UserName,
    device: &Device,
    now: Millis,
) -> Result<std::result::Result<(), LogError>> {
    let log = placement.regional(tenant);
    let resource = device.resource.as_str();
    if store.relation(log, &DEVICE, user.as_str(), resource).await?.is_some() {
        return Ok(Ok(()));
    }
    let known = store.relations(&[log], &DEVICE, user.as_str(), RelationPage::new(None, 1000)).await?;
    let mut known: Vec<Relation> = known.into_iter().map(|(_, relation)| relation).collect();
    known.sort_by_key(|relation| std::cmp::Reverse(relation.rank));

    let make = make_of(resource);
    let away = |relation: &&Relation| {
        let is_here = hub.is_device_online(tenant, user, &relation.to);
        !is_here && elsewhere.iter().all(|seat| seat.resource.as_str() != relation.to)
    };
    let heir_of =
        known.iter().filter(away).find(|relation| make_of(&relation.to) == make && make != resource);
    let start_from = heir_of.map_or_else(|| user.to_string(), |relation| format!("{user}/{}", relation.to));

    let mut effects = vec![Effect::PutRelation(Relation {
        kind: DEVICE,
        from: user.to_string(),
        to: resource.to_owned(),
        rank: i64::try_from(now.0).unwrap_or(i64::MAX),
        body: body_of(device),
    })];
    let own = device_key(user, &device.resource);
    for (conversation, position) in keeper.load(tenant, &start_from).await? {
        effects.push(raise_effect(own.clone(), &conversation, position.rank()));
    }
    let gone = heir_of.filter(|relation| relation.to.starts_with(NEVER_RETURNS));
    let too_many = known.iter().skip(DEVICES_PER_USER - 1).filter(away);
    for relation in gone.into_iter().chain(too_many) {
        forget(&mut effects, keeper, tenant, user, &relation.to).await?;
    }
    Ok(logs.execute(log, Apply::new("device.register", effects)).await)
}

/// Everything a deleted user leaves in the regional log.
pub(crate) async fn forget_all(
    store: &dyn Store,
    keeper: &PositionKeeper,
    placement: Placement,
    tenant: TenantId,
    user: &UserName,
) -> Result<Vec<Effect>> {
    let log = placement.regional(tenant);
    let known = store.relations(&[log], &DEVICE, user.as_str(), RelationPage::new(None, 1000)).await?;
    let mut effects = Vec::new();
    for (_, relation) in known {
        forget(&mut effects, keeper, tenant, user, &relation.to).await?;
    }
    for conversation in keeper.load(tenant, user.as_str()).await?.into_keys() {
        let (from, to) = (user.to_string(), conversation.to_string());
        effects.push(Effect::DeleteRelation { kind: POSITION, from, to });
    }
    Ok(effects)
}

async fn forget(
    effects: &mut Vec<Effect>,
    keeper: &PositionKeeper,
    tenant: TenantId,
    user: &UserName,
    device: &str,
) -> Result<()> {
    let from = format!("{user}/{device}");
    for conversation in keeper.load(tenant, &from).await?.into_keys() {
        let to = conversation.to_string();
        effects.push(Effect::DeleteRelation { kind: POSITION, from: from.clone(), to });
    }
    effects.push(Effect::DeleteRelation { kind: DEVICE, from: user.to_string(), to: device.to_owned() });
    Ok(())
}

/// A resource with its digits left out: what two names of one make have in common.
fn make_of(resource: &str) -> String {
    let is_generated = resource.bytes().filter(u8::is_ascii_digit).count() >= 10;
    if is_generated {
        resource.chars().filter(|c| !c.is_ascii_digit()).collect()
    } else {
        resource.to_owned()
    }
}

fn body_of(device: &Device) -> Bytes {
    let body = DeviceBody {
        uuid: device.uuid.clone(),
        name: device.name.clone(),
        platform: format!("{:?}", device.platform).to_ascii_lowercase(),
        sdk: device.sdk_version.clone(),
    };
    serde_json::to_vec(&body).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_made_by_the_clock_are_of_one_make() {
        assert_eq!(make_of("webim_random_web_1795389661876"), make_of("webim_random_web_1795389999999"));
        assert_ne!(make_of("webim_web_1795389661876"), make_of("webim_random_web_1795389661876"));
        assert_eq!(make_of("webim_web_tablet2"), "webim_web_tablet2");
    }
}
