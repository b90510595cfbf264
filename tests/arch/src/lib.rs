#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod check;
mod graph;
pub mod rules;

pub use check::{arrows, drivers, folders, names};
pub use graph::{Dependency, Package, workspace};
