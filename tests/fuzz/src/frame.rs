//! What a stranger can send as one WebSocket message.

use meridian_gateway::msync::{ClientFrame, decode_frame};
use meridian_types::msync::{CommSyncUl, MSync, Meta};
use prost::Message;

/// Decodes a client's frame. It never panics, agrees with the schema about what can be read, and hands payloads on
/// byte by byte, since presence and unknown fields matter to receivers.
pub fn frame(bytes: &[u8]) {
    let decoded = decode_frame(bytes);
    let envelope = MSync::decode(bytes);
    match (&decoded, &envelope) {
        (Ok(_), Err(error)) => panic!("took what is no envelope: {error}"),
        (Err(_), Ok(envelope)) => {
            assert!(matches!(envelope.command(), command if command as i32 == 0 || command as i32 == 3));
            assert!(envelope.payload.is_some(), "an absent payload is an empty one");
        }
        _ => {}
    }
    let (Ok(ClientFrame::Send(meta)), Ok(envelope)) = (decoded, envelope) else { return };
    let sync = CommSyncUl::decode(envelope.payload.unwrap_or_default());
    let same = sync.ok().and_then(|sync| sync.meta).is_some_and(|other| again(&other) == again(&meta));
    assert!(same, "not the item of the envelope");
    if let Some(payload) = &meta.payload
        && !payload.is_empty()
    {
        assert!(bytes.windows(payload.len()).any(|window| window == payload), "payload was changed");
    }
    // What is kept of an item beside its payload.
    let ext = Meta { ext: meta.ext.clone(), ..Meta::default() }.encode_to_vec();
    let read = Meta::decode(&ext[..]).expect("what was encoded can be decoded");
    assert_eq!(again(&read), ext, "ext was changed");
}

/// For comparing: a number that is none does not equal itself, its bytes do.
fn again(meta: &Meta) -> Vec<u8> {
    meta.encode_to_vec()
}
