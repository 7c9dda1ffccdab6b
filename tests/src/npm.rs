//! JavaScript packages that read what mapprof writes.
//!
//! In: `tests/npm/package.json`. Out: the folder in which npm has installed them, once,
//! and scripts run there by node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{go, target_dir, workspace};

/// The folder that has `node_modules`; filled where it is not up to date.
pub fn modules() -> Result<PathBuf> {
    let wanted = fs::read(workspace().join("tests/npm/package.json"))?;
    let folder = target_dir().join("npm");
    let package = folder.join("package.json");
    let done = folder.join("installed");
    if fs::read(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)?;
    fs::write(&package, &wanted)?;
    go::run(
        Command::new("npm")
            .args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&folder),
    )
    .context("installing the packages of tests/npm/package.json")?;
    fs::write(&done, &wanted)?;
    Ok(folder)
}

/// Runs a script of `tests/npm` with arguments, and returns what it printed. It finds
/// the packages as if it lay beside them.
pub fn node(script: &str, args: &[&Path]) -> Result<String> {
    let folder = modules()?;
    let copy = folder.join(script);
    fs::copy(workspace().join("tests/npm").join(script), &copy)
        .with_context(|| format!("there is no tests/npm/{script}"))?;
    let output = Command::new("node").arg(&copy).args(args).current_dir(&folder).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script}: {}: {told}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
