//! A region as an operator runs it: real cores, real servers, and all of them fail.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // test code; the pauses are worth reading

mod cluster;
mod cores;
mod encrypted;
mod failover;
mod files;
mod world;
