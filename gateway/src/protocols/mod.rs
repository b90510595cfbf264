//! The client protocols, one folder each.

pub mod msync;
