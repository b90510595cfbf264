//! MSYNC: the protocol of the published SDKs, one protobuf envelope per binary WebSocket message.
//!
//! `serve` takes a connection from its login (`login`) through its `session` to its `end`; `frame` knows the
//! envelope, `queues` what a connection knows of each conversation, `keys` its delivery cursors, `items` what is
//! delivered, `send` and `answers` what is sent, `kick` the forced logout. Nothing here outlives the connection.

mod answers;
mod end;
mod frame;
mod items;
mod keys;
mod kick;
mod login;
mod mucs;
mod notices;
mod queues;
mod rooms;
mod send;
mod serve;
mod session;

pub use frame::{ClientFrame, FrameError, ProvisionFrame, decode_frame};
pub(crate) use serve::serve;

#[cfg(test)]
mod tests_hex {
    /// Bytes of a hexadecimal text; white space is for the reader.
    pub(super) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> =
            text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }
}
