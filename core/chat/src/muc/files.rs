//! The files that a group shares; what is in them is the app's file store's.

use crate::{
    ChatError,
    log::Draft,
    muc::{GroupFile, MUC_FILE, Manage, MucError, Role, state::Muc},
};
use meridian_types::{Audience, Relation, notice::MucChange};

pub(super) fn read_file(relation: &Relation) -> Option<GroupFile> {
    serde_json::from_slice(&relation.body).ok()
}

impl Manage {
    pub(super) async fn add_file(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        file: &GroupFile,
    ) -> Result<(), ChatError> {
        self.need(draft, muc, Role::Member).await?;
        let rank = i64::try_from(file.created.0).unwrap_or(i64::MAX);
        let body = serde_json::to_vec(file).unwrap_or_default();
        draft.put_muc_relation(&MUC_FILE, muc.info.id, &file.file, rank, body.into());
        self.tell(draft, muc, MucChange::FileAdded { file: file.file.clone() }, Audience::Everyone).await
    }

    pub(super) async fn remove_file(
        &self,
        draft: &mut Draft<'_>,
        muc: &Muc,
        file: &str,
    ) -> Result<(), ChatError> {
        let role = self.need(draft, muc, Role::Member).await?;
        let stored = draft.relation(&MUC_FILE, &muc.info.id.to_string(), file).await?;
        let stored = stored.as_ref().and_then(read_file).ok_or(MucError::NoFile)?;
        if role < Role::Admin && self.actor.user.as_ref() != Some(&stored.owner) {
            return Err(MucError::NotPermitted { needed: Role::Admin }.into());
        }
        draft.delete_muc_relation(&MUC_FILE, muc.info.id, file);
        self.tell(draft, muc, MucChange::FileRemoved { file: file.to_owned() }, Audience::Everyone).await
    }
}
