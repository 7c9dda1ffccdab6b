//! Helpers of the end-to-end tests and of the benchmarks: real programs that
//! print their own ground truth, mapprof run as its users run it, and the
//! comparison of the two.
//!
//! Nothing here knows mapprof's insides: it is a program with a command line
//! and a JSON contract.

pub mod go;
pub mod mapprof;
pub mod memory;
pub mod process;
pub mod programs;
pub mod summary;
pub mod truth;

use std::path::{Path, PathBuf};

pub use mapprof::{Mapprof, Outcome};
pub use process::Program;

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
