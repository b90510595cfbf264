//! Attachments: upload, download, thumbnails.

pub(crate) mod download;
pub(crate) mod multipart;
pub(crate) mod range;
pub(crate) mod thumbnail;
pub(crate) mod upload;
