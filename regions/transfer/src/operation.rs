//! An operation as a payload: place, chain, the detached form that the chain covers, and the bodies that are not erased.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use meridian_types::{Effect, Epoch, Hash, LoggedOperation, Lsn, Operation};

/// Place and chain: the fixed part.
const FIXED: usize = 8 + 8 + 32 + 4;

pub(crate) fn encode(logged: &LoggedOperation) -> Bytes {
    let detached = logged.operation.encode_detached();
    let mut out = BytesMut::with_capacity(FIXED + detached.len() + 64);
    out.put_u64(logged.lsn.0);
    out.put_u64(logged.epoch.0);
    out.put_slice(&logged.chain.0);
    out.put_u32(u32::try_from(detached.len()).unwrap_or(u32::MAX));
    out.put_slice(&detached);
    for effect in &logged.operation.effects {
        let Effect::Append { entry, .. } = effect else { continue };
        match &entry.body {
            None => out.put_u8(0),
            Some(body) => {
                out.put_u8(1);
                out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
                out.put_slice(body);
            }
        }
    }
    out.freeze()
}

/// `None` when the payload is not an operation.
pub(crate) fn decode(mut payload: Bytes) -> Option<LoggedOperation> {
    if payload.len() < FIXED {
        return None;
    }
    let (lsn, epoch) = (Lsn(payload.get_u64()), Epoch(payload.get_u64()));
    let chain = Hash::from_slice(&payload.split_to(32))?;
    let length = payload.get_u32() as usize;
    let detached = (length <= payload.len()).then(|| payload.split_to(length))?;
    let mut operation = Operation::decode_detached(&detached).ok()?;
    for entry in operation.appended_mut() {
        let present = payload.try_get_u8().ok()?;
        entry.body = match present {
            0 => None,
            1 => {
                let length = payload.try_get_u32().ok()? as usize;
                // A copy: a slice would keep the whole frame alive.
                Some((length <= payload.len()).then(|| Bytes::copy_from_slice(&payload.split_to(length)))?)
            }
            _ => return None,
        };
    }
    payload.is_empty().then_some(LoggedOperation { lsn, epoch, operation, chain })
}
