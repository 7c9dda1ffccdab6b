//! Helpers of the end-to-end tests and of the benchmarks: real programs that
//! print their own ground truth, mapprof run as its users run it, and the
//! comparison of the two.
//!
//! Nothing here knows mapprof's insides: it is a program with a command line
//! and a JSON contract.

pub mod blame;
pub mod browser;
pub mod emergency;
pub mod go;
pub mod mapprof;
pub mod matrix;
pub mod memory;
pub mod npm;
pub mod process;
pub mod programs;
pub mod servers;
pub mod summary;
pub mod terminal;
pub mod truth;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use mapprof::{Mapprof, Outcome};
pub use process::Program;

use anyhow::Result;
use serde::de::DeserializeOwned;

/// The workspace's root.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace")
}

/// Cargo's target folder, which also holds whatever is downloaded or built for tests.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

/// True if the test may load BPF programs. Where it may not it is to be skipped,
/// except in CI (`CI` is set), where that is a failure.
pub fn can_profile() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let skip_allowed = std::env::var_os("CI").is_none_or(|value| value.is_empty());
    assert!(root || skip_allowed, "needs root and BPF, and in CI a skip is a failure");
    if !root {
        eprintln!("skipped: needs root and BPF");
    }
    root
}

/// Runs a held program to its end under a mapprof that is interrupted once the
/// program is done: its own truth, and what mapprof left.
pub fn observe<T: DeserializeOwned>(
    mut program: Program,
    mapprof: Mapprof,
) -> Result<(T, Outcome)> {
    let running = mapprof.attach()?;
    program.begin()?;
    let truth = program.truth()?;
    let outcome = running.interrupt()?;
    program.finish_well()?;
    Ok((truth, outcome))
}

/// A mapprof whose binary and input anybody may read, run as nobody.
pub fn unprivileged<A: AsRef<OsStr>>(binary: &Path, args: impl IntoIterator<Item = A>) -> Mapprof {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"])
        .args(["--inh-caps=-all", "--bounding-set=-all", "--"])
        .arg(binary)
        .args(args);
    Mapprof::through(command)
}
