//! Claims: who may write.

use super::{
    StoreFixture,
    log::{LogWriter, log_id},
};
use crate::Outcome;
use futures_util::future;
use meridian_ports::ErrorKind;
use meridian_types::{Epoch, Hash, Hlc, Incarnation, LogHead, LogId, Lsn};

pub async fn a_claim_makes_a_log_and_raises_its_writer(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let expected = |writer| LogHead {
        log: log_id(1),
        epoch: Epoch(3),
        writer: Incarnation(writer),
        lsn: Lsn(0),
        hlc: Hlc(0),
        chain: Hash::default(),
    };
    assert_eq!(store.logs(None, 10).await.unwrap(), []);
    assert_eq!(store.claim(log_id(1), Epoch(3), None).await.unwrap(), expected(1));
    assert_eq!(store.claim(log_id(1), Epoch(3), None).await.unwrap(), expected(2));
    assert_eq!(store.logs(None, 10).await.unwrap(), [expected(2)]);

    // A claim of a log that has been written keeps where it stands.
    let mut writer = LogWriter::claim(store, 2).await;
    writer.append(Vec::new()).await;
    let head = store.claim(log_id(2), Epoch(1), None).await.unwrap();
    assert_eq!(head, LogHead { writer: Incarnation(2), ..writer.head });
    Outcome::Ran
}

pub async fn a_claim_compares_the_incarnation(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let claim = |expected| store.claim(log_id(1), Epoch(1), Some(Incarnation(expected)));
    assert_eq!(claim(1).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(store.logs(None, 10).await.unwrap(), [], "a refused claim makes no log");
    assert_eq!(claim(0).await.unwrap().writer, Incarnation(1));
    let refused = claim(0).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.surely_not_done());
    assert_eq!(claim(1).await.unwrap().writer, Incarnation(2));
    assert_eq!(claim(3).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(store.logs(None, 10).await.unwrap()[0].writer, Incarnation(2));
    Outcome::Ran
}

pub async fn an_epoch_never_goes_down(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let mut writer = LogWriter::claim(store, 1).await;
    writer.append(Vec::new()).await;
    let head = store.claim(log_id(1), Epoch(5), None).await.unwrap();
    assert_eq!((head.epoch, head.lsn), (Epoch(5), Lsn(1)));
    for lower in [0, 1, 4] {
        let refused = store.claim(log_id(1), Epoch(lower), None).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Fenced, "epoch {lower}");
    }
    assert_eq!(store.logs(None, 10).await.unwrap(), [head], "a refused claim changes nothing");
    assert_eq!(writer.try_append(Vec::new()).await.unwrap_err().kind(), ErrorKind::Fenced);

    let mut writer = LogWriter { store, head };
    writer.append(Vec::new()).await;
    let stored = store.operations(log_id(1), Lsn(0), 10).await.unwrap();
    assert_eq!(stored.iter().map(|logged| logged.epoch.0).collect::<Vec<_>>(), [1, 5]);
    Outcome::Ran
}

pub async fn of_racing_claims_one_wins(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    for round in 0..5 {
        let claims = (0..8).map(|_| store.claim(log_id(1), Epoch(1), Some(Incarnation(round))));
        let claims = future::join_all(claims).await;
        let won: Vec<_> = claims.iter().filter_map(|claim| claim.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{claims:?}");
        assert_eq!(won[0].writer, Incarnation(round + 1));
        for lost in claims.iter().filter_map(|claim| claim.as_ref().err()) {
            assert_eq!(lost.kind(), ErrorKind::Conflict);
        }
    }
    Outcome::Ran
}

pub async fn logs_are_listed_in_order_and_in_pages(fixture: StoreFixture) -> Outcome {
    let store = &*fixture.store;
    let largest = LogId::from_raw(u64::MAX);
    for log in [log_id(300), largest, log_id(2), LogId::from_raw(0), log_id(1)] {
        store.claim(log, Epoch(1), None).await.unwrap();
    }
    let sorted = [LogId::from_raw(0), log_id(1), log_id(2), log_id(300), largest];
    let list = async |after, limit| -> Vec<LogId> {
        store.logs(after, limit).await.unwrap().iter().map(|head| head.log).collect()
    };
    assert_eq!(list(None, 100).await, sorted);
    assert_eq!(list(None, 2).await, sorted[..2]);
    assert_eq!(list(Some(log_id(1)), 2).await, sorted[2..4]);
    assert_eq!(list(Some(log_id(3)), 2).await, sorted[3..], "after a log that is not there");
    assert_eq!(list(Some(largest), 2).await, []);
    assert_eq!(list(None, 0).await, []);
    Outcome::Ran
}
