//! Edge and core over real sockets; the core behind the link is scripted.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // test code

mod encrypted;
mod rest;
mod scripted;
mod survival;
mod talk;
