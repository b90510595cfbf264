//! Errors, times and leases on the wire, both ways. The words and codes are those of `proto/plugin.proto`.

use crate::proto;
use meridian_sdk::{
    Error, ErrorKind, Result,
    ports::{Lease, NodeId, NodeInfo},
};
use std::{ops::RangeInclusive, time::Duration};
use tonic::{Code, ConnectError, Status, metadata::MetadataValue};

const KIND: &str = "meridian-error-kind";
const MAYBE_DONE: &str = "meridian-maybe-done";

/// The largest piece of a blob in one message.
pub(crate) const PIECE: usize = 256 * 1024;

/// The most members of a set that a client takes, and bytes of them in one message of a server.
pub(crate) const MEMBERS: usize = 10_000;
pub(crate) const MEMBERS_PAGE: usize = 512 * 1024;

/// The most conversations asked about at once, and the most bytes of one step and of one list's message.
pub(crate) const CONVERSATIONS: usize = 1000;
pub(crate) const STEP: usize = 64 << 20;
const PAGE: usize = 512 * 1024;

/// Lengths of a lease.
pub(crate) const LEASE_MS: RangeInclusive<u64> = 1..=24 * 3600 * 1000;
const SLOTS: u32 = 64;

const KINDS: [(ErrorKind, &str, Code); 10] = [
    (ErrorKind::NotFound, "not_found", Code::NotFound),
    (ErrorKind::Conflict, "conflict", Code::Aborted),
    (ErrorKind::Fenced, "fenced", Code::FailedPrecondition),
    (ErrorKind::Busy, "busy", Code::ResourceExhausted),
    (ErrorKind::Full, "full", Code::ResourceExhausted),
    (ErrorKind::Unavailable, "unavailable", Code::Unavailable),
    (ErrorKind::Timeout, "timeout", Code::DeadlineExceeded),
    (ErrorKind::Corrupt, "corrupt", Code::DataLoss),
    (ErrorKind::Invalid, "invalid", Code::InvalidArgument),
    (ErrorKind::Unsupported, "unsupported", Code::Unimplemented),
];

/// A backend's error for the wire.
pub(crate) fn to_status(error: &Error) -> Status {
    // A kind of a later version of the contracts goes as its nearest word.
    let known = KINDS.iter().find(|(kind, ..)| *kind == error.kind());
    let (word, code) = known.map_or(("unavailable", Code::Unavailable), |(_, word, code)| (*word, *code));
    let mut status = Status::new(code, bounded(&error.to_string()));
    status.metadata_mut().insert(KIND, MetadataValue::from_static(word));
    let maybe_done = if error.surely_not_done() { "false" } else { "true" };
    status.metadata_mut().insert(MAYBE_DONE, MetadataValue::from_static(maybe_done));
    status
}

/// What a failed call of a verb means to the caller.
pub(crate) fn from_status(verb: &'static str, writes: bool, status: Status) -> Error {
    let told = |name: &str| status.metadata().get(name).and_then(|value| value.to_str().ok());
    let by_word = told(KIND).and_then(|told| KINDS.iter().find(|(_, word, _)| *word == told));
    let message = bounded(status.message());
    let (kind, maybe_done) = match by_word {
        Some((kind, ..)) => (*kind, told(MAYBE_DONE) == Some("true")),
        None => {
            let by_code = KINDS.iter().find(|(_, _, code)| *code == status.code());
            let kind = match (by_code, status.code()) {
                (Some((kind, ..)), _) => *kind,
                // Nobody cancels but a deadline: `grpc-timeout` has a clock on either side.
                (None, Code::Cancelled) => ErrorKind::Timeout,
                (None, _) => ErrorKind::Unavailable,
            };
            // A call that was never sent, for want of a connection, changed nothing.
            (kind, !is_unconnected(&status))
        }
    };
    let error = Error::new(kind, verb, message).with_source(status);
    if maybe_done && writes { error.maybe_done() } else { error }
}

fn is_unconnected(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Texts of others go into logs and headers: no more than this of them.
fn bounded(text: &str) -> String {
    text.chars().take(500).collect()
}

/// Whole milliseconds, rounded up: never shorter than asked for. What is below the shortest allowed stays so: 0.
pub(crate) fn millis(ttl: Duration) -> u64 {
    if ttl < Duration::from_millis(1) {
        return 0;
    }
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A list in parts for messages of bounded size. One item that is larger goes alone.
pub(crate) fn pages<P: prost::Message>(items: Vec<P>) -> Vec<Vec<P>> {
    let mut pages: Vec<Vec<P>> = Vec::new();
    let mut size = 0;
    for item in items {
        size += item.encoded_len();
        match pages.last_mut() {
            Some(page) if size <= PAGE => page.push(item),
            _ => {
                size = item.encoded_len();
                pages.push(vec![item]);
            }
        }
    }
    pages
}

pub(crate) fn from_node(node: NodeInfo) -> proto::Node {
    proto::Node { id: node.id.0, address: node.address, writes: node.writes }
}

pub(crate) fn to_node(node: proto::Node) -> NodeInfo {
    NodeInfo { id: NodeId(node.id), address: node.address, writes: node.writes }
}

pub(crate) fn from_lease(lease: Lease) -> proto::Lease {
    proto::Lease { node: Some(from_node(lease.node)), slot: lease.slot.into() }
}

/// A plugin's leases. `Corrupt` when there are more than slots, or one is no lease.
pub(crate) fn to_leases(verb: &'static str, leases: Vec<proto::Lease>) -> Result<Vec<Lease>> {
    let lease = |lease: proto::Lease| {
        let slot = u8::try_from(lease.slot).ok().filter(|_| lease.slot < SLOTS)?;
        Some(Lease { node: to_node(lease.node?), slot })
    };
    let few = leases.len() <= SLOTS as usize;
    let leases = few.then(|| leases.into_iter().map(lease).collect::<Option<Vec<_>>>()).flatten();
    leases.ok_or_else(|| Error::new(ErrorKind::Corrupt, verb, "the plugin gave what are no leases"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_as_it_was() {
        for (kind, ..) in KINDS {
            let error = from_status("put", true, to_status(&Error::new(kind, "put", "words")));
            assert_eq!((error.kind(), error.surely_not_done()), (kind, true));
            let error = from_status("put", true, to_status(&Error::new(kind, "put", "words").maybe_done()));
            assert_eq!((error.kind(), error.surely_not_done()), (kind, false));
        }
    }

    #[test]
    fn a_status_of_somebody_else_is_read_by_its_code_and_leaves_writes_open() {
        for (code, kind) in [
            (Code::Unavailable, ErrorKind::Unavailable),
            (Code::ResourceExhausted, ErrorKind::Busy),
            (Code::Unimplemented, ErrorKind::Unsupported),
            (Code::Cancelled, ErrorKind::Timeout),
            (Code::Unknown, ErrorKind::Unavailable),
        ] {
            let error = from_status("set", true, Status::new(code, "x"));
            assert_eq!((error.kind(), error.surely_not_done()), (kind, false));
            assert!(
                from_status("get", false, Status::new(code, "x")).surely_not_done(),
                "reads change nothing"
            );
        }
        let mut odd = Status::new(Code::Internal, "x");
        odd.metadata_mut().insert(KIND, MetadataValue::from_static("never-heard"));
        assert_eq!(from_status("set", true, odd).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn what_are_no_leases_is_corrupt() {
        let lease = |slot| proto::Lease { node: Some(proto::Node::default()), slot };
        assert_eq!(to_leases("nodes", vec![lease(63)]).unwrap()[0].slot, 63);
        let no_node = proto::Lease { node: None, slot: 0 };
        for bad in [vec![lease(64)], vec![lease(256)], vec![no_node], vec![lease(1); 65]] {
            assert_eq!(to_leases("nodes", bad).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn pages_are_full_and_none_is_empty() {
        let relation = |size: usize| proto::Relation { body: vec![0; size].into(), ..Default::default() };
        let sizes = |items: &[usize]| -> Vec<usize> {
            pages(items.iter().map(|size| relation(*size)).collect()).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[1, 2, 3]), [3]);
        assert_eq!(sizes(&[PAGE * 2, 1, PAGE / 2, PAGE / 2, PAGE / 4, PAGE]), [1, 2, 2, 1]);
    }

    #[test]
    fn times_are_never_shortened() {
        assert_eq!(millis(Duration::from_nanos(1)), 0);
        assert_eq!(millis(Duration::from_millis(1)), 1);
        assert_eq!(millis(Duration::from_micros(1_001)), 2);
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
