//! The kit on s3s-fs, which keeps objects in a folder.

use meridian_conformance::{BlobsFixture, blobs_suite};
use meridian_services::S3;

async fn fixture() -> BlobsFixture {
    let server = S3::s3s_fs();
    let folder = server.folder();
    let blobs = crate::common::open(&server).await;
    BlobsFixture::new(blobs)
        .with_keys_as_paths()
        .with_guard(server)
        .with_usage(move || crate::common::bytes_below(&folder))
}

blobs_suite!(fixture(), skip: [a_key_may_be_the_start_of_another, odd_but_good_keys_work]);
