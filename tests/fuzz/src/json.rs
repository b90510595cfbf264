//! What a stranger can send as one frame of the open protocol.

use meridian_gateway::json::check_frame;

/// Reads a frame, and its body as the message that SDKs would get. It is taken or refused with a bounded text; what is taken
/// is what a reader of the open protocol gets back.
pub fn json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err((code, text)) = check_frame(text) {
        assert!(!code.is_empty() && text.chars().count() <= 1000, "{code}: {text}");
    }
}
