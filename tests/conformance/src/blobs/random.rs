//! Random histories: the same calls on the backend and on a map must give the same answers.

use super::{BlobsFixture, pattern, pieces, read};
use crate::Outcome;
use meridian_ports::{BlobMeta, Blobs, ErrorKind};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
};

const HISTORIES: u32 = 16;
/// None is the beginning of another: that is a case of its own.
const KEYS: [&str; 4] = ["a", "b/a", "a.b", "b/b"];

#[derive(Clone, Debug)]
enum Action {
    /// `limit` is this much more (or less) than the blob.
    Put {
        key: usize,
        size: usize,
        piece: usize,
        spare: i64,
    },
    Head {
        key: usize,
    },
    Get {
        key: usize,
        range: Option<(u64, u64)>,
    },
    Delete {
        key: usize,
    },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let key = || 0..KEYS.len();
    let size = prop_oneof![3 => 0..200_usize, 1 => 0..20_000_usize];
    let put = (key(), size, 1..5_000_usize, -2..3_i64);
    let range = prop::option::of((0..300_u64, 0..400_u64));
    let action = prop_oneof![
        3 => put.prop_map(|(key, size, piece, spare)| Action::Put { key, size, piece, spare }),
        1 => key().prop_map(|key| Action::Head { key }),
        4 => (key(), range).prop_map(|(key, range)| Action::Get {
            key,
            range: range.map(|(start, len)| (start, start + len)),
        }),
        1 => key().prop_map(|key| Action::Delete { key }),
    ];
    prop::collection::vec(action, 1..30)
}

pub async fn random_histories_match_a_map(fixture: BlobsFixture) -> Outcome {
    // Each history has keys of its own, so that all of them, and each attempt to shrink one, start fresh.
    let histories = AtomicU32::new(0);
    let config = Config { cases: HISTORIES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&actions(), |actions| {
        let prefix = format!("history-{}", histories.fetch_add(1, Ordering::Relaxed));
        let compared = compare(&*fixture.blobs, &prefix, actions);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(compared))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    Outcome::Ran
}

async fn compare(
    blobs: &dyn Blobs,
    prefix: &str,
    actions: Vec<Action>,
) -> std::result::Result<(), TestCaseError> {
    let mut model = HashMap::<usize, Vec<u8>>::new();
    let name = |key: usize| format!("{prefix}/{}", KEYS[key]);
    for action in actions {
        let what = format!("{action:?}");
        match action {
            Action::Put { key, size, piece, spare } => {
                let content = pattern(size);
                let limit = u64::try_from(size as i64 + spare).unwrap_or(0);
                let answer = blobs.put(&name(key), pieces(&content, piece), limit).await;
                let fits = size as u64 <= limit;
                let expected = if fits { Ok(BlobMeta::new(size as u64)) } else { Err(ErrorKind::Invalid) };
                prop_assert_eq!(answer.map_err(|error| error.kind()), expected, "{}", what);
                if fits {
                    model.insert(key, content);
                }
            }
            Action::Head { key } => {
                let expected = model.get(&key).map(|content| BlobMeta::new(content.len() as u64));
                prop_assert_eq!(blobs.head(&name(key)).await.unwrap(), expected, "{}", what);
            }
            Action::Get { key, range } => {
                let found = read(blobs, &name(key), range.map(|(start, end)| start..end)).await;
                let expected = model.get(&key).map(|content| {
                    let (start, end) = range.unwrap_or((0, u64::MAX));
                    let within = |place: u64| (place as usize).min(content.len());
                    content[within(start)..within(end)].to_vec()
                });
                prop_assert!(found == expected, "{} gave {:?} bytes", what, found.map(|found| found.len()));
            }
            Action::Delete { key } => {
                blobs.delete(&name(key)).await.unwrap();
                model.remove(&key);
            }
        }
    }
    Ok(())
}
