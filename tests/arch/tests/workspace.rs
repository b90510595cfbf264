//! The rules against this workspace, one test each, so that the output says which is broken.
#![allow(clippy::panic)] // helpers of tests

use meridian_arch::{Package, arrows, drivers, folders, names, workspace};
use std::path::Path;

fn check(rule: fn(&[Package]) -> Vec<String>) {
    let packages = workspace(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_or_else(|error| panic!("{error}"));
    assert!(packages.len() > 10, "cargo sees {} packages only", packages.len());
    let wrong = rule(&packages);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn arrows_are_those_of_the_architecture() {
    check(arrows);
}

#[test]
fn names_say_where_packages_live() {
    check(names);
}

#[test]
fn drivers_stay_in_their_rooms() {
    check(drivers);
}

#[test]
fn folders_hold_what_they_must() {
    check(folders);
}
