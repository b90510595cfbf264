//! The rules held against the graph. Each check gives what is wrong, in words; nothing means all is well.

use crate::{
    graph::Package,
    rules::{DRIVERS, NEVER_IN_PRODUCT, ROOMS, Room, TEST_ROOMS, matches},
};
use std::fs;

const PREFIX: &str = "meridian-";

fn room_of(package: &Package) -> Option<&'static Room> {
    ROOMS.iter().find(|room| matches(room.folder, &package.folder))
}

/// Arrows between packages of the workspace.
#[must_use]
pub fn arrows(packages: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in packages {
        let Some(room) = room_of(package) else {
            wrong.push(format!("{}: no row in the table of rooms", package.folder));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.own) {
            let name = dependency.name.strip_prefix(PREFIX).unwrap_or(&dependency.name);
            let any = room.uses.contains(&"*") && !NEVER_IN_PRODUCT.contains(&name);
            let product = any || room.uses.contains(&name);
            // Tests of the whole are made of tests.
            let in_tests = dependency.dev || package.folder.starts_with("tests/") && room.uses.contains(&"*");
            let test = in_tests && (TEST_ROOMS.contains(&name) || room.tests_use.contains(&name));
            if !product && !test {
                let how = if dependency.dev { "its tests may not use" } else { "may not use" };
                wrong.push(format!("{}: {how} {}", package.folder, dependency.name));
            }
        }
    }
    wrong
}

/// `core/types` is `meridian-types`: a name says where its package lives.
#[must_use]
pub fn names(packages: &[Package]) -> Vec<String> {
    let expected = |package: &Package| {
        let last = package.folder.rsplit('/').next().unwrap_or_default();
        format!("{PREFIX}{last}")
    };
    packages
        .iter()
        .filter(|package| package.name != expected(package))
        .map(|package| format!("{}: is called {}, not {}", package.folder, package.name, expected(package)))
        .collect()
}

/// Drivers outside their rooms. Tests may use any but those that no room has.
#[must_use]
pub fn drivers(packages: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in packages {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.own) {
            let Some(driver) = DRIVERS.iter().find(|driver| driver.name == dependency.name) else { continue };
            let allowed = driver.folders.iter().any(|folder| matches(folder, &package.folder));
            let in_tests = dependency.dev && !driver.folders.is_empty();
            if !allowed && !in_tests {
                wrong.push(format!("{}: may not use {}", package.folder, dependency.name));
            }
        }
    }
    wrong
}

/// What each folder must hold: a README, the workspace's lints, and roots that forbid unsafe code.
#[must_use]
pub fn folders(packages: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in packages {
        let readme = fs::read_to_string(package.root.join("README.md"));
        if readme.is_ok_and(|text| text.trim().is_empty()) || !package.root.join("README.md").is_file() {
            wrong.push(format!("{}: no README.md", package.folder));
        }
        let manifest = fs::read_to_string(package.root.join("Cargo.toml")).unwrap_or_default();
        if !manifest.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{}: Cargo.toml does not take the workspace's lints", package.folder));
        }
        for root in &package.target_roots {
            let source = fs::read_to_string(root).unwrap_or_default();
            if !source.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
                let file = root.strip_prefix(&package.root).unwrap_or(root).display();
                wrong.push(format!("{}: {file} does not say #![forbid(unsafe_code)]", package.folder));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Dependency;
    use std::path::PathBuf;

    fn package(folder: &str, name: &str, dependencies: &[(&str, bool)]) -> Package {
        let dependency = |(name, dev): &(&str, bool)| Dependency {
            name: (*name).to_owned(),
            dev: *dev,
            own: name.starts_with(PREFIX),
        };
        Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            root: PathBuf::from("nowhere"),
            target_roots: vec![PathBuf::from("nowhere/src/lib.rs")],
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn arrows_of(folder: &str, dependency: &str, dev: bool) -> Vec<String> {
        arrows(&[package(folder, "meridian-x", &[(dependency, dev)])])
    }

    #[test]
    fn wrong_arrows_are_named() {
        let wrong = [
            ("core/types", "meridian-ports"),
            ("core/chat", "meridian-sqlite"),
            ("core/chat", "meridian-gateway"),
            ("gateway", "meridian-chat"),
            ("gateway", "meridian-ports"),
            ("backends/sqlite", "meridian-memory"),
            ("backends/new", "meridian-chat"),
            ("deploy/node", "meridian-conformance"),
            ("regions/replication", "meridian-sqlite"),
            ("tests/load", "meridian-node"),
        ];
        for (folder, dependency) in wrong {
            assert_eq!(arrows_of(folder, dependency, false), [format!("{folder}: may not use {dependency}")]);
        }
        assert_eq!(
            arrows_of("core/chat", "meridian-sqlite", true),
            ["core/chat: its tests may not use meridian-sqlite"]
        );
        assert_eq!(arrows_of("core/new", "serde", false), ["core/new: no row in the table of rooms"]);
        assert_eq!(arrows_of("backends/a/b", "serde", false), ["backends/a/b: no row in the table of rooms"]);
    }

    #[test]
    fn right_arrows_are_not() {
        let right = [
            ("core/chat", "meridian-ports", false),
            ("core/chat", "meridian-memory", true),
            ("backends/new", "meridian-ports", false),
            ("backends/sqlite", "meridian-conformance", true),
            ("deploy/node", "meridian-sqlite", false),
            ("tests/e2e", "meridian-node", false),
            ("tests/e2e", "meridian-conformance", false),
            ("regions/replication", "meridian-sqlite", true),
        ];
        for (folder, dependency, dev) in right {
            assert_eq!(arrows_of(folder, dependency, dev), [""; 0]);
        }
    }

    #[test]
    fn wrong_names_are_named() {
        let named = |folder, name| names(&[package(folder, name, &[])]);
        assert_eq!(named("core/types", "meridian-types"), [""; 0]);
        assert_eq!(named("gateway", "meridian-gateway"), [""; 0]);
        assert_eq!(named("core/types", "types"), ["core/types: is called types, not meridian-types"]);
        assert_eq!(named("backends/fs", "meridian-files").len(), 1);
    }

    #[test]
    fn drivers_outside_their_rooms_are_named() {
        let used = |folder, name, dev| drivers(&[package(folder, "meridian-x", &[(name, dev)])]);
        assert_eq!(used("backends/sqlite", "sqlx", false), [""; 0]);
        assert_eq!(used("core/chat", "sqlx", false), ["core/chat: may not use sqlx"]);
        assert_eq!(used("core/chat", "hyper", false), ["core/chat: may not use hyper"]);
        assert_eq!(used("core/server", "hyper", true), [""; 0], "tests may make requests");
        assert_eq!(used("core/types", "tokio", false).len(), 1);
        assert_eq!(used("backends/sqlite", "rusqlite", true).len(), 1, "banned everywhere");
        assert_eq!(used("core/chat", "serde", false), [""; 0]);
    }

    #[test]
    fn bare_folders_are_named() {
        let wrong = folders(&[package("core/bare", "meridian-bare", &[])]);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }
}
