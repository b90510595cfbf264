//! A Meridian node with one backend more: `redb-node serve` with `store = "redb:meridian.redb"`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    meridian_node::Node::builder().store("redb", redb_store::open).run()
}
