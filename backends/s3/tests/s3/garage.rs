//! The kit on Garage, whole: no case is skipped but the one that looks at the server's disk.

use meridian_conformance::{BlobsFixture, blobs_suite};
use meridian_services::S3;

async fn fixture() -> BlobsFixture {
    let server = S3::garage();
    let blobs = crate::common::open(&server).await;
    BlobsFixture::new(blobs).with_guard(server)
}

blobs_suite!(fixture(), skip: [failed_puts_leave_no_bytes]);
