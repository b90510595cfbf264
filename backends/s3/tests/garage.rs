//! The kit on Garage, whole: no case is skipped but the one that looks at the server's disk.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use meridian_conformance::{BlobsFixture, blobs_suite};
use meridian_services::S3;

async fn fixture() -> BlobsFixture {
    let server = S3::garage();
    let blobs = common::open(&server).await;
    BlobsFixture::new(blobs).with_guard(server)
}

blobs_suite!(fixture(), skip: [failed_puts_leave_no_bytes]);
