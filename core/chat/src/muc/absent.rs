//! Who has been without any connection for long leaves their rooms. Every core looks, from time to time, at the rooms of the logs
//! that it writes; so nobody stays in because the core that saw them go has died.

use crate::{
    App, ChatError,
    cluster::Owner,
    muc::{Actor, GroupAction, MEMBER, MucError, ROOM},
    service::Inner,
};
use meridian_ports::{ObjectPage, RelationPage};
use meridian_types::{LogId, MucId, TenantId, UserName};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Rows read at once.
const PAGE: usize = 1000;
/// People of whom other cores are asked, in one look; the next look goes on with the others.
const ASKED: usize = 5000;

type Absent = HashMap<(TenantId, MucId, UserName), Instant>;

/// What one look remembers for the next.
#[derive(Debug, Default)]
struct Look {
    /// Since when somebody was seen nowhere.
    absent: Absent,
    seen: Absent,
    /// People of whom other cores had to be asked, so far in this look; asked are those from `first` on.
    met: usize,
    first: usize,
}

impl Inner {
    /// Never ends.
    pub(crate) async fn watch_rooms(self: Arc<Self>, period: Duration) {
        let mut look = Look::default();
        loop {
            tokio::time::sleep(period).await;
            look.met = 0;
            for app in self.apps.all() {
                if let Err(error) = self.look_at_app(&app, &mut look).await {
                    tracing::warn!(%error, "rooms are not looked at");
                }
            }
            // Whoever was not seen absent again is there, or has left.
            look.absent = std::mem::take(&mut look.seen);
            look.first = if look.met > look.first + ASKED { look.first + ASKED } else { 0 };
        }
    }

    async fn look_at_app(&self, app: &App, look: &mut Look) -> Result<(), ChatError> {
        for log in self.placement.all_owned(app.tenant) {
            if !matches!(self.cluster.owner(log), Owner::Me) {
                continue;
            }
            let mut after = None;
            loop {
                let objects = self.store.objects(&[log], &ROOM, ObjectPage::new(after.take(), PAGE)).await?;
                for (_, object) in &objects {
                    if let Some(id) = MucId::parse(&object.id) {
                        self.look_at_room(app, (log, id), look).await?;
                    }
                }
                match objects.last() {
                    Some((_, last)) if objects.len() == PAGE => after = Some((last.rank, last.id.clone())),
                    _ => break,
                }
            }
        }
        Ok(())
    }

    async fn look_at_room(
        &self,
        app: &App,
        (log, id): (LogId, MucId),
        look: &mut Look,
    ) -> Result<(), ChatError> {
        let grace = Duration::from_secs(app.settings.room_grace_s);
        let mut after = None;
        loop {
            let page = RelationPage::new(after.take(), PAGE);
            let members = self.store.relations(&[log], &MEMBER, &id.to_string(), page).await?;
            for (_, member) in &members {
                let Ok(user) = UserName::parse(&member.to) else { continue };
                if self.hub.is_online(app.tenant, &user) {
                    continue;
                }
                let key = (app.tenant, id, user);
                let since = look.absent.get(&key).copied();
                if self.presence.is_some() {
                    let number = look.met;
                    look.met += 1;
                    if !(look.first..look.first + ASKED).contains(&number) {
                        // Not known: as it was.
                        since.map(|since| look.seen.insert(key, since));
                        continue;
                    }
                    let (devices, are_all) = self.connected(app.tenant, &key.2).await;
                    if !devices.is_empty() {
                        continue;
                    }
                    if !are_all {
                        since.map(|since| look.seen.insert(key, since));
                        continue;
                    }
                }
                let since = since.unwrap_or_else(Instant::now);
                if since.elapsed() < grace {
                    look.seen.insert(key, since);
                    continue;
                }
                self.take_out(app, id, key.2).await?;
            }
            match members.last() {
                Some((_, last)) if members.len() == PAGE => after = Some(last.to.clone()),
                _ => return Ok(()),
            }
        }
    }

    async fn take_out(&self, app: &App, id: MucId, user: UserName) -> Result<(), ChatError> {
        let actor = Actor { user: Some(user), device: None };
        match self.manage(app, id, actor, GroupAction::Leave).await {
            Ok(_)
            | Err(ChatError::Muc(MucError::NotFound | MucError::NotMember { .. } | MucError::Disabled)) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
