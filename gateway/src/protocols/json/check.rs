//! Reads what a stranger could send, as a session reads it. For fuzzing.

use super::{
    body::{self, About, Fields},
    frame::{self, Chat, ClientFrame, Mistake},
};
use meridian_types::{UserName, content, msync::MessageBody};
use prost::Message;

/// Reads a frame, and turns its content into what is stored and back. `Err`: the code and text that a client is told.
///
/// # Panics
/// When a content does not come back as it was.
pub fn check_frame(text: &str) -> Result<(), (&'static str, String)> {
    let told = |mistake: Mistake| (mistake.code, mistake.text);
    let (content, ext) = match frame::read(text).map_err(told)? {
        ClientFrame::Send(send) => (send.body, send.ext),
        ClientFrame::Edit(edit) => (edit.body, edit.ext),
        _ => return Ok(()),
    };
    let read = |fields: &Fields| body::read(fields).map_err(|text| ("bad_body", text));
    let content = read(&content)?;
    let alice = UserName::parse("alice").map_err(|_| ("bad_name", String::new()))?;
    let stored =
        body::encode(About::Message, (&alice, Chat::User, "bob"), Some(content.clone()), ext.as_ref());
    let stored = MessageBody::decode(stored).map_err(|_| ("bad_message", String::new()))?;
    assert_eq!(stored.contents.first(), Some(&content));
    let told = content::write(&content);
    let again = told.as_object().map(read).transpose()?.unwrap_or_default();
    assert_eq!(content::write(&again), told, "a client that sends back what it was told sends the same");
    Ok(())
}
