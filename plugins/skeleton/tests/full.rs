//! A bad day that the kit does not know: the engine is full. Yours has more of them.

use meridian_sdk::{Bytes, ErrorKind, conformance::block_on, ports::SoftState};
use meridian_skeleton::{SkeletonConfig, SkeletonSoftState};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn full_soft_state_refuses_and_keeps_what_it_has() {
    block_on(async {
        let mut config = SkeletonConfig::default();
        config.capacity = 10;
        let soft = SkeletonSoftState::new(config);
        let (large, small) = (Bytes::from_static(b"12345678"), Bytes::from_static(b"123"));
        soft.set("x", large.clone(), HOUR).await.unwrap();
        for refused in [
            soft.set("y", small.clone(), HOUR).await,
            soft.set_if_absent("y", small.clone(), HOUR).await.map(drop),
            soft.join("s", "m", small.clone(), HOUR).await,
        ] {
            let error = refused.unwrap_err();
            assert_eq!((error.kind(), error.surely_not_done()), (ErrorKind::Full, true));
        }
        assert_eq!(soft.get("x").await.unwrap(), Some(large));
        assert_eq!(soft.get("y").await.unwrap(), None);
        soft.remove("x").await.unwrap();
        soft.set("y", small, HOUR).await.unwrap();
    });
}
