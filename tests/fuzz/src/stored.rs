//! What a disk, or a peer region, can give back as a stored record.

use meridian_types::{
    AppKey, ConversationKey, Entry, Hash, MessageId, Millis, Operation, Resource, Seq, UserName,
};

/// Reads operations, entry headers and names. Damage is an error, never a panic, and what can be read is written
/// back as the same record.
pub fn stored(bytes: &[u8]) {
    if let Ok(operation) = Operation::decode_detached(bytes) {
        let written = operation.encode_detached();
        assert_eq!(Operation::decode_detached(&written).as_ref(), Ok(&operation));
        assert_eq!(operation.encode_detached(), written, "the chain hashes these bytes");
    }
    let alice = UserName::parse("alice").expect("a good name");
    let entry = |header: &[u8]| {
        let conversation = ConversationKey::pair(&alice, &alice);
        Entry::from_parts(conversation, Seq(1), MessageId(1), Millis(1), header, None)
    };
    if let Ok(read) = entry(bytes) {
        assert_eq!(entry(&read.encode_header()).as_ref(), Ok(&read));
        let _ = Resource::parse("web").map(|device| read.reaches(&alice, &device));
    }
    let _ = Hash::from_slice(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = UserName::parse(text) {
        assert_eq!(UserName::parse(name.as_str()).as_ref(), Ok(&name), "a name is its own name");
        let pair = ConversationKey::pair(&alice, &name);
        assert_eq!(pair.peer(&alice).as_ref(), Some(&name));
        assert_eq!(ConversationKey::from_stored(&pair.to_string()), pair);
    }
    if let Ok(key) = AppKey::parse(text) {
        assert_eq!(AppKey::new(key.org(), key.app()).as_ref(), Ok(&key));
    }
    if let Ok(device) = Resource::parse(text) {
        assert_eq!(Resource::parse(device.as_str()).as_ref(), Ok(&device));
    }
    let _ = ConversationKey::from_stored(text).people();
}
