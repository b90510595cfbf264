//! Commands that other cores send: the one list of what may come.

use crate::{
    accounts::{Create, EndDelete, Update},
    conversation::{NoticeToSelf, Recall, Submit},
    files::PutFile,
    log::{
        Apply, Command, LogError,
        command::{EncodedAnswer, EncodedCommand, Envelope, Job},
    },
    muc,
    people::{DeleteTemplate, ForgetPerson, PutTemplate, Relate, SetFields},
    tenants::{CreateApp, SetSettings},
};
use meridian_ports::{Error, ErrorKind};
use tokio::sync::oneshot;

type Received = (Box<dyn Job>, oneshot::Receiver<EncodedAnswer>);

/// Reads a command of another core.
pub(super) fn receive(command: &EncodedCommand) -> Result<Received, LogError> {
    fn read<C: Command>(body: &[u8]) -> Result<Received, LogError> {
        let (envelope, answer) = Envelope::<C>::remote(body)?;
        Ok((Box::new(envelope), answer))
    }
    let body = &command.body;
    match command.name.as_str() {
        Submit::NAME => read::<Submit>(body),
        Apply::NAME => read::<Apply>(body),
        Recall::NAME => read::<Recall>(body),
        PutFile::NAME => read::<PutFile>(body),
        Create::NAME => read::<Create>(body),
        Update::NAME => read::<Update>(body),
        EndDelete::NAME => read::<EndDelete>(body),
        ForgetPerson::NAME => read::<ForgetPerson>(body),
        PutTemplate::NAME => read::<PutTemplate>(body),
        DeleteTemplate::NAME => read::<DeleteTemplate>(body),
        Relate::NAME => read::<Relate>(body),
        SetFields::NAME => read::<SetFields>(body),
        muc::Create::NAME => read::<muc::Create>(body),
        muc::Manage::NAME => read::<muc::Manage>(body),
        muc::TellReaders::NAME => read::<muc::TellReaders>(body),
        muc::CreateThread::NAME => read::<muc::CreateThread>(body),
        muc::ManageThread::NAME => read::<muc::ManageThread>(body),
        muc::ChangeRoomAttributes::NAME => read::<muc::ChangeRoomAttributes>(body),
        muc::Sweep::NAME => read::<muc::Sweep>(body),
        NoticeToSelf::NAME => read::<NoticeToSelf>(body),
        CreateApp::NAME => read::<CreateApp>(body),
        SetSettings::NAME => read::<SetSettings>(body),
        other => {
            let text = format!("no command {other:?}: the cores are of two versions");
            Err(Error::new(ErrorKind::Invalid, "link", text).into())
        }
    }
}
