//! Cargo, run once more inside the workspace.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
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

/// Builds a file of benchmarks of `profiler/benches` and returns where they are.
pub(crate) fn benchmarks(name: &str) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["bench", "--package", "mapprof", "--bench", name, "--no-run"]);
    let output = build.args(["--message-format", "json"]).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cargo bench --no-run ended with {}", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut found = artifacts.filter_map(|message: serde_json::Value| {
        let is_it = message["target"]["name"] == name;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    found.next_back().context("cargo told of no executable")
}
