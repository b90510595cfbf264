//! MSYNC: the protocol of the published SDKs, one protobuf envelope per binary WebSocket message.
//!
//! [`frame`] knows the envelope, [`login`] the first frame, [`session`] the loop that follows; [`queues`] is what a
//! connection knows of each conversation, [`keys`] its delivery cursors, [`items`] what is delivered, [`send`] what
//! is sent, [`kick`] the forced logout. Nothing here outlives the connection.

mod answers;
mod frame;
mod items;
mod keys;
mod kick;
mod login;
mod queues;
mod send;
mod session;

pub use frame::{ClientFrame, FrameError, ProvisionFrame, decode_frame};
pub(crate) use session::serve;

#[cfg(test)]
mod tests_hex {
    /// Bytes of a hexadecimal text; white space is for the reader.
    pub(super) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> =
            text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }
}
