//! The draft of one operation: what a command sees of its log, and what it changes.

use crate::{
    log::{
        conversation::{Conversation, Pair},
        writer::State,
    },
    muc::Reminder,
    people::{BLOCK, CONTACT},
};
use bytes::Bytes;
use meridian_ports::{EntryRange, IdempotencyHit, RelationPage, Result, find_message};
use meridian_types::{
    Audience, ConversationKey, Effect, Entry, EntryKind, Hash, Hlc, IdempotencyKey, Kind, LogId, MessageId,
    Millis, Object, Position, Relation, Resource, Seq, UserName,
};
use std::sync::Arc;

/// An entry before it has its place.
#[derive(Clone, Debug)]
pub(crate) struct NewEntry {
    pub(crate) conversation: ConversationKey,
    pub(crate) kind: EntryKind,
    pub(crate) sender: UserName,
    pub(crate) sender_device: Option<Resource>,
    pub(crate) audience: Audience,
    pub(crate) target: Option<MessageId>,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) ext: Bytes,
    pub(crate) body: Bytes,
    /// A time to record instead of now.
    pub(crate) at: Option<Millis>,
}

/// What the sessions of a conversation's people are told after the commit.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) entry: Arc<Entry>,
    /// `None` for an entry that is not stored.
    pub(crate) position: Option<Position>,
}

/// One operation in the making.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    state: &'a mut State,
    pub(super) effects: Vec<Effect>,
    pub(super) publications: Vec<Publication>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a mut State) -> Self {
        Self { state, effects: Vec::new(), publications: Vec::new() }
    }

    pub(super) fn into_parts(self) -> (Vec<Effect>, Vec<Publication>) {
        (self.effects, self.publications)
    }

    pub(crate) fn log(&self) -> LogId {
        self.state.head.log
    }

    pub(crate) fn now(&self) -> Millis {
        self.state.clock.now()
    }

    /// The time of this operation, for what the last writer wins.
    pub(crate) fn stamp(&self) -> Hlc {
        self.state.head.hlc.tick(self.now())
    }

    /// What two people have settled between them.
    pub(crate) async fn pair(&mut self, one: &UserName, other: &UserName) -> Result<Pair> {
        let conversation = ConversationKey::pair(one, other);
        if let Some(pair) = &self.state.conversation(&conversation).await?.pair {
            return Ok(pair.clone());
        }
        let mut blocks = Vec::new();
        for (from, to) in [(one, other), (other, one)] {
            if self.relation(&BLOCK, from.as_str(), to.as_str()).await?.is_some() {
                blocks.push(from.to_string());
            }
        }
        let are_contacts = self.relation(&CONTACT, one.as_str(), other.as_str()).await?.is_some();
        let pair = Pair::new(are_contacts, blocks);
        self.state.conversation(&conversation).await?.pair = Some(pair.clone());
        Ok(pair)
    }

    /// Loads a conversation; an unknown one is empty. Must come before [`Draft::append`].
    pub(crate) async fn load(&mut self, conversation: &ConversationKey) -> Result<()> {
        self.state.conversation(conversation).await.map(|_| ())
    }

    /// What the writer remembers of a conversation.
    pub(crate) async fn conversation(&mut self, conversation: &ConversationKey) -> Result<&mut Conversation> {
        self.state.conversation(conversation).await
    }

    /// The place of the next entry of a loaded conversation.
    pub(crate) fn next_seq(&self, conversation: &ConversationKey) -> Seq {
        self.state.next_place(conversation, &self.effects).0
    }

    pub(crate) fn position(&self, seq: u64) -> Position {
        Position::new(self.state.head.epoch, Seq(seq))
    }

    /// The conversation's last `seq`.
    pub(crate) async fn last_seq(&mut self, conversation: &ConversationKey) -> Result<Seq> {
        Ok(self.state.conversation(conversation).await?.seq)
    }

    /// Makes sure that a person lists the conversation, from where it is now.
    pub(crate) async fn join(&mut self, conversation: &ConversationKey, person: &UserName) -> Result<()> {
        let person = person.as_str();
        let state = self.state.conversation(conversation).await?;
        if state.has_joined(person) {
            return Ok(());
        }
        let seq = state.seq;
        if self.relation(&JOINED, person, conversation.as_str()).await?.is_some() {
            self.state.conversation(conversation).await?.note_joined(person);
            return Ok(());
        }
        self.effects.push(Effect::PutRelation(Relation {
            kind: JOINED,
            from: person.to_owned(),
            to: conversation.to_string(),
            rank: Position::new(self.state.head.epoch, seq).rank(),
            body: Bytes::new(),
        }));
        Ok(())
    }

    /// The earlier entry that this key names, if there is one: committed, or waiting in this batch. With its body, unless that
    /// is erased.
    pub(crate) async fn duplicate(
        &mut self,
        conversation: &ConversationKey,
        key: IdempotencyKey,
    ) -> Result<Option<(IdempotencyHit, Option<Bytes>)>> {
        if let Some(staged) = self.state.staged_idempotency.get(&key) {
            return Ok(Some(staged.clone()));
        }
        let log = self.log();
        let store = self.state.store.clone();
        let state = self.state.conversation(conversation).await?;
        let last = match state.last_of_stream(key.stream) {
            Some(last) => last,
            None => {
                let newest = IdempotencyKey { id: u64::MAX >> 1, ..key };
                let last = store.idempotency(log, newest).await?.map_or(0, |hit| hit.id);
                state.note_stream(key.stream, last);
                last
            }
        };
        if key.id > last {
            return Ok(None);
        }
        let Some(hit) = store.idempotency(log, key).await?.filter(|hit| hit.id == key.id) else {
            return Ok(None);
        };
        let entry = self.entry(&hit.conversation, hit.seq).await?;
        Ok(Some((hit, entry.and_then(|entry| entry.body))))
    }

    /// The entry with this message id.
    pub(crate) async fn find(
        &mut self,
        conversation: &ConversationKey,
        id: MessageId,
    ) -> Result<Option<Entry>> {
        let head = self.last_seq(conversation).await?;
        let log = self.log();
        find_message(&*self.state.store, log, conversation, head, id).await
    }

    pub(crate) async fn entry(&self, conversation: &ConversationKey, seq: Seq) -> Result<Option<Entry>> {
        let range = EntryRange::after(Seq(seq.0.saturating_sub(1)), 1);
        let found = self.state.store.entries(self.log(), conversation, range).await?;
        Ok(found.into_iter().next().filter(|entry| entry.seq == seq))
    }

    /// An id for an answer to what leaves no entry.
    pub(crate) fn new_message_id(&self) -> MessageId {
        self.state.ids.next_after(MessageId(0))
    }

    /// Has an author told of readers some time after this.
    pub(crate) fn remind(&self, reminder: Reminder) {
        self.state.reminders.remind(reminder);
    }

    /// Gives an entry its place and queues it. The conversation must be loaded.
    pub(crate) fn append(&mut self, new: NewEntry) -> Arc<Entry> {
        let (seq, message_id) = self.state.next_place(&new.conversation, &self.effects);
        let now = self.now();
        let entry = Entry {
            conversation: new.conversation,
            seq,
            message_id,
            at: new.at.unwrap_or(now),
            kind: new.kind,
            sender: new.sender,
            sender_device: new.sender_device,
            audience: new.audience,
            target: new.target,
            idempotency: new.idempotency,
            ext: new.ext,
            body: Some(new.body),
        };
        let body_hash = Hash::of(entry.body.as_deref().unwrap_or_default());
        let shared = Arc::new(entry.clone());
        self.effects.push(Effect::Append { entry, body_hash });
        self.publications.push(Publication {
            entry: shared.clone(),
            position: Some(Position::new(self.state.head.epoch, seq)),
        });
        shared
    }

    /// Tells connected devices of something that is not stored; it has an id but no place.
    pub(crate) fn transient(&mut self, new: NewEntry) -> Arc<Entry> {
        let now = self.now();
        let entry = Arc::new(Entry {
            conversation: new.conversation,
            seq: Seq(0),
            message_id: self.state.ids.next_after(MessageId(0)),
            at: new.at.unwrap_or(now),
            kind: new.kind,
            sender: new.sender,
            sender_device: new.sender_device,
            audience: new.audience,
            target: new.target,
            idempotency: None,
            ext: new.ext,
            body: Some(new.body),
        });
        self.publications.push(Publication { entry: entry.clone(), position: None });
        entry
    }

    pub(crate) fn erase(&mut self, conversation: &ConversationKey, seq: Seq) {
        self.effects.push(Effect::Erase { conversation: conversation.clone(), seq });
    }

    pub(crate) async fn object(&self, kind: &Kind, id: &str) -> Result<Option<Object>> {
        match self.state.staged_objects.get(&(kind.clone(), id.to_owned())) {
            Some(staged) => Ok(staged.clone()),
            None => self.state.store.object(self.log(), kind, id).await,
        }
    }

    /// Writes an object; its version follows the one that `object` gave, 0 for a new one.
    pub(crate) fn put_object(&mut self, kind: &Kind, id: &str, rank: i64, after_version: u64, body: Bytes) {
        let object = Object { kind: kind.clone(), id: id.to_owned(), rank, version: after_version + 1, body };
        self.effects.push(Effect::PutObject(object));
    }

    pub(crate) fn delete_object(&mut self, kind: &Kind, id: &str) {
        self.effects.push(Effect::DeleteObject { kind: kind.clone(), id: id.to_owned() });
    }

    pub(crate) async fn relation(&self, kind: &Kind, from: &str, to: &str) -> Result<Option<Relation>> {
        match self.state.staged_relations.get(&(kind.clone(), from.to_owned(), to.to_owned())) {
            Some(staged) => Ok(staged.clone()),
            None => self.state.store.relation(self.log(), kind, from, to).await,
        }
    }

    /// Relations from one id, about `limit` at most: with what this batch has changed.
    pub(crate) async fn relations(&self, kind: &Kind, from: &str, limit: usize) -> Result<Vec<Relation>> {
        self.relations_after(kind, from, None, limit).await
    }

    /// The same, behind a key; what this batch has changed comes whatever its key.
    pub(crate) async fn relations_after(
        &self,
        kind: &Kind,
        from: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Relation>> {
        let page = RelationPage::new(after.map(str::to_owned), limit);
        let found = self.state.store.relations(&[self.log()], kind, from, page).await?;
        let staged = self.state.staged_relations.iter();
        let staged: Vec<_> = staged.filter(|((of, start, _), _)| of == kind && start == from).collect();
        let is_staged = |to: &str| staged.iter().any(|((_, _, end), _)| end == to);
        let stored = found.into_iter().map(|(_, relation)| relation).filter(|row| !is_staged(&row.to));
        let mut relations: Vec<_> = stored.collect();
        relations.extend(staged.iter().filter_map(|(_, relation)| (*relation).clone()));
        Ok(relations)
    }

    pub(crate) fn put_relation(&mut self, relation: Relation) {
        self.effects.push(Effect::PutRelation(relation));
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

/// user → conversation, with the position from which the user takes part.
pub(crate) const JOINED: Kind = Kind::new("joined");
