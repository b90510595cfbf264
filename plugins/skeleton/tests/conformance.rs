//! The kit. One fixture per contract: a fresh, empty backend for each case.

mod blobs {
    use meridian_sdk::{conformance::BlobsFixture, ports::Blobs};
    use meridian_skeleton::{SkeletonBlobs, SkeletonConfig};
    use std::sync::Arc;

    async fn fixture() -> BlobsFixture {
        let blobs = Arc::new(SkeletonBlobs::new(SkeletonConfig::default()));
        let shared: Arc<dyn Blobs> = blobs.clone();
        BlobsFixture::shared(shared).with_usage(move || blobs.usage())
    }

    meridian_sdk::conformance::blobs_suite!(fixture());
}

mod soft {
    use meridian_sdk::conformance::SoftFixture;
    use meridian_skeleton::{SkeletonConfig, SkeletonSoftState};

    async fn fixture() -> SoftFixture {
        SoftFixture::new(SkeletonSoftState::new(SkeletonConfig::default()))
    }

    meridian_sdk::conformance::soft_suite!(fixture());
}
