//! The `meridian` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    meridian_node::Node::builder().run()
}
