//! The workspace as cargo sees it.

use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A package of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    /// From the workspace's root, with `/`.
    pub folder: String,
    pub root: PathBuf,
    /// `lib.rs`, `main.rs` and the like; not tests, examples or build scripts.
    pub target_roots: Vec<PathBuf>,
    pub dependencies: Vec<Dependency>,
}

/// What a package uses.
#[derive(Clone, Debug)]
pub struct Dependency {
    pub name: String,
    /// For tests, examples and benches only.
    pub dev: bool,
    /// A package of this workspace.
    pub own: bool,
}

/// The packages of the workspace that `manifest_folder` is in, without a look at the network.
///
/// # Errors
/// When cargo fails or says something unexpected; in words.
pub fn workspace(manifest_folder: &Path) -> Result<Vec<Package>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(manifest_folder)
        .output()
        .map_err(|error| format!("cargo metadata did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let root = text(&metadata, "workspace_root")?;
    list(&metadata, "packages")?.iter().map(|package| read_package(package, Path::new(root))).collect()
}

fn read_package(package: &Value, root: &Path) -> Result<Package, String> {
    let manifest = Path::new(text(package, "manifest_path")?);
    let folder = manifest.parent().ok_or("a manifest without a folder")?;
    let relative = folder.strip_prefix(root).map_err(|error| error.to_string())?;
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    let mut target_roots = Vec::new();
    for target in list(package, "targets")? {
        let kinds = list(target, "kind")?;
        if kinds.iter().filter_map(Value::as_str).any(|kind| matches!(kind, "lib" | "bin" | "proc-macro")) {
            target_roots.push(text(target, "src_path")?.into());
        }
    }
    let dependencies = list(package, "dependencies")?.iter().map(read_dependency);
    Ok(Package {
        name: text(package, "name")?.to_owned(),
        folder: parts.join("/"),
        root: folder.to_owned(),
        target_roots,
        dependencies: dependencies.collect::<Result<_, _>>()?,
    })
}

fn read_dependency(dependency: &Value) -> Result<Dependency, String> {
    Ok(Dependency {
        name: text(dependency, "name")?.to_owned(),
        dev: dependency.get("kind").and_then(Value::as_str) == Some("dev"),
        own: dependency.get("path").is_some_and(Value::is_string),
    })
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, String> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| format!("cargo metadata has no text {key}"))
}

fn list<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>, String> {
    value.get(key).and_then(Value::as_array).ok_or_else(|| format!("cargo metadata has no list {key}"))
}
