#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod caller;
mod check;
mod cli;
mod client;
mod cpu;
mod errors;
mod group;
mod histogram;
mod idle;
mod journal;
mod lists;
mod memory;
mod model;
mod open;
mod pairs;
mod receiver;
mod report;
mod rest;
mod room;
#[cfg(test)]
mod scripted;
mod sender;
mod storm;
mod throughput;
mod uplink;
mod wire;

pub use cli::run;
