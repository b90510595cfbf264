//! Threads as REST asks for them. Lists are in the order of ids, which is that of creation.

use crate::{
    App, Chat, ChatError, GroupEntry, Page, Target,
    log::JOINED,
    muc::{
        Actor, CreateThread, ManageThread, MucError, Outcome, Role, THREAD, THREADS, ThreadAction, create,
        lists::{paged, read_cursor},
        state::read_stay,
    },
};
use meridian_ports::{EntryRange, RelationPage};
use meridian_types::{
    ConversationKey, EntryKind, Kind, LogId, MessageId, MucId, MucKind, Seq, UserName, notice::LastMessage,
};

type Result<T> = std::result::Result<T, ChatError>;

/// Entries that are looked through for the last message.
const LOOKED_AT: usize = 50;
/// Rows of a person that are looked through at once.
const PAGE: usize = 500;

/// What is done to threads.
impl Chat {
    /// Begins a thread of a group about one of its messages.
    pub async fn create_thread(
        &self,
        app: &App,
        actor: Actor,
        (group, message): (MucId, MessageId),
        name: String,
        owner: UserName,
    ) -> Result<MucId> {
        let (inner, limit) = (&self.inner, app.settings.max_threads);
        if limit > 0 && inner.count(app, create::THREADS).await? >= limit {
            return Err(MucError::ThreadLimit { limit }.into());
        }
        let max_users = app.settings.group_size_limit;
        let create = CreateThread { group, message, name, owner, actor, max_users };
        inner.logs.execute(inner.muc_log(app, group), create).await
    }

    pub async fn manage_thread(
        &self,
        app: &App,
        id: MucId,
        actor: Actor,
        action: ThreadAction,
    ) -> Result<Vec<Outcome>> {
        let inner = &self.inner;
        let destroys = matches!(action, ThreadAction::Destroy);
        let manage = ManageThread { id, actor, action };
        let outcomes = inner.logs.execute(inner.muc_log(app, id), manage).await?;
        if destroys {
            inner.sweep(app, id).await?;
        }
        Ok(outcomes)
    }
}

/// What is read of threads.
impl Chat {
    /// A thread as this person, or the app, sees it.
    pub async fn thread(&self, app: &App, id: MucId, asker: Option<&UserName>) -> Result<GroupEntry> {
        let thread = self.group(app, id, asker).await?;
        match thread.info.thread {
            Some(_) => Ok(thread),
            None => Err(MucError::NotFound.into()),
        }
    }

    /// All threads of the app.
    pub async fn threads(
        &self,
        app: &App,
        cursor: Option<&str>,
        limit: usize,
        backwards: bool,
    ) -> Result<Page<MucId>> {
        let logs = self.inner.placement.all_owned(app.tenant);
        self.thread_ids(&logs, (&THREADS, ""), cursor, limit, backwards).await
    }

    /// The threads of a group.
    pub async fn threads_of_group(
        &self,
        app: &App,
        group: MucId,
        cursor: Option<&str>,
        limit: usize,
        backwards: bool,
    ) -> Result<Page<GroupEntry>> {
        let log = self.inner.muc_log(app, group);
        let page = self.thread_ids(&[log], (&THREAD, &group.to_string()), cursor, limit, backwards).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for id in page.items {
            items.extend(self.found(app, id, None).await?);
        }
        Ok(Page { items, cursor: page.cursor })
    }

    async fn found(&self, app: &App, id: MucId, asker: Option<&UserName>) -> Result<Option<GroupEntry>> {
        match self.thread(app, id, asker).await {
            Ok(thread) => Ok(Some(thread)),
            // It ended meanwhile.
            Err(ChatError::Muc(MucError::NotFound)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn thread_ids(
        &self,
        logs: &[LogId],
        (kind, from): (&Kind, &str),
        cursor: Option<&str>,
        limit: usize,
        backwards: bool,
    ) -> Result<Page<MucId>> {
        let page = if backwards { RelationPage::backwards } else { RelationPage::new };
        let page = page(cursor.and_then(read_cursor), limit + 1);
        let found = self.inner.store.relations(logs, kind, from, page).await?;
        let keys: Vec<String> = found.into_iter().map(|(_, row)| row.to).collect();
        let (keys, cursor) = paged(keys, limit);
        Ok(Page { items: keys.iter().filter_map(|id| MucId::parse(id)).collect(), cursor })
    }

    /// The threads that a person is in, of one group or of all.
    pub async fn joined_threads(
        &self,
        app: &App,
        user: &UserName,
        group: Option<MucId>,
        cursor: Option<&str>,
        (limit, backwards): (usize, bool),
    ) -> Result<Page<GroupEntry>> {
        let logs = match group {
            Some(group) => vec![self.inner.muc_log(app, group)],
            None => self.inner.placement.all_owned(app.tenant),
        };
        // Keys of threads are `t/…`; those of conversations of two come behind, those of groups and rooms before.
        let edge = if backwards { "t0" } else { "t/" };
        let mut after = Some(cursor.and_then(read_cursor).unwrap_or_else(|| edge.to_owned()));
        let mut items: Vec<GroupEntry> = Vec::new();
        loop {
            let page = if backwards { RelationPage::backwards } else { RelationPage::new };
            let rows =
                self.inner.store.relations(&logs, &JOINED, user.as_str(), page(after.take(), PAGE)).await?;
            let mut end = rows.len() < PAGE;
            for (_, row) in &rows {
                let Some(id) = ConversationKey::from_stored(&row.to).muc() else {
                    end = true;
                    break;
                };
                if id.kind() != MucKind::Thread {
                    end = true;
                    break;
                }
                if !read_stay(row).is_in() {
                    continue;
                }
                let Some(thread) = self.found(app, id, Some(user)).await? else { continue };
                if group.is_some_and(|group| thread.info.thread.is_none_or(|of| of.group != group)) {
                    continue;
                }
                items.push(thread);
                if items.len() > limit {
                    end = true;
                    break;
                }
            }
            if end {
                break;
            }
            after = rows.last().map(|(_, row)| row.to.clone());
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let key = |thread: &GroupEntry| ConversationKey::from(thread.info.id).to_string();
        let last = items.last().map(key);
        let (_, cursor) = paged(last.into_iter().chain(more.then(String::new)).collect(), 1);
        Ok(Page { items, cursor })
    }

    /// The last message of a thread that the person may read.
    pub async fn last_of_thread(&self, app: &App, id: MucId, user: &UserName) -> Result<Option<LastMessage>> {
        let thread = self.thread(app, id, Some(user)).await?;
        let group = thread.info.thread.ok_or(MucError::NotFound)?.group;
        if self.group(app, group, Some(user)).await?.role == Role::Outsider {
            return Err(MucError::NotMember { user: user.clone() }.into());
        }
        let (log, key) = (self.inner.muc_log(app, id), Target::Muc(id).conversation(user));
        let last = EntryRange::before(Seq(i64::MAX as u64), LOOKED_AT);
        let entries = self.inner.store.entries(log, &key, last).await?;
        let said = entries.into_iter().find(|entry| entry.kind == EntryKind::Message && entry.body.is_some());
        Ok(said.map(|entry| LastMessage {
            id: entry.message_id,
            at: entry.at,
            from: entry.sender,
            body: entry.body.unwrap_or_default().to_vec(),
        }))
    }
}
