//! Cargo, run once more inside the workspace.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use mapprof_tests::{go::run, target_dir, workspace};

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    cargo
}

/// Builds mapprof for use and returns where it is.
pub(crate) fn mapprof() -> Result<PathBuf> {
    run(cargo().args(["build", "--release", "--package", "mapprof"]))?;
    Ok(target_dir().join("release/mapprof"))
}
