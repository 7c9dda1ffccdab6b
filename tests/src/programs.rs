//! Builds the programs in `tests/programs` into `target/programs`.
//!
//! A program that is newer than all sources is left alone, so that tests that run
//! as root do not write into the target folder once it was built by its owner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::go::{self, Toolchain};
use crate::{target_dir, workspace};

/// How a Go program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// As `go build` does it.
    Normal,
    /// Without symbol table and debug information.
    Stripped,
}

/// A Go program, built with the given version, by its folder's name.
pub fn go(version: &str, link: Link, name: &str) -> Result<PathBuf> {
    let sources = workspace().join("tests/programs/go");
    let (folder, flags) = match link {
        Link::Normal => (format!("go-{version}"), ""),
        Link::Stripped => (format!("go-{version}-stripped"), "-s -w"),
    };
    let output = target_dir().join("programs").join(folder).join(name);
    built(output, &sources, |output| {
        go::run(
            Toolchain::get(version)?
                .command()
                .current_dir(&sources)
                .args(["build", "-ldflags", flags, "-o"])
                .arg(output)
                .arg(format!("./{name}")),
        )
    })
}

/// A Go program, built with the newest version.
pub fn newest_go(name: &str) -> Result<PathBuf> {
    go(go::NEWEST, Link::Normal, name)
}

/// The C program with its own hash tables.
pub fn hash() -> Result<PathBuf> {
    let sources = workspace().join("tests/programs/c");
    built(target_dir().join("programs/hash"), &sources, |output| {
        go::run(
            Command::new("cc")
                .args(["-O2", "-Wall", "-Wextra", "-pthread", "-o"])
                .arg(output)
                .arg(sources.join("hash.c")),
        )
    })
}

/// Builds whatever the tests run, in all variants.
pub fn build_all() -> Result<()> {
    hash()?;
    for version in go::VERSIONS {
        for link in [Link::Normal, Link::Stripped] {
            for name in ["counts", "locks"] {
                go(version, link, name)?;
            }
        }
    }
    for name in ["reads", "mutex", "nilmaps", "stuck"] {
        newest_go(name)?;
    }
    Ok(())
}

/// `output`, after a build if one of the sources is newer.
fn built(
    output: PathBuf,
    sources: &Path,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let fresh = output.metadata().and_then(|meta| meta.modified()).ok();
    if fresh.is_none_or(|built| newest(sources).is_none_or(|changed| changed > built)) {
        if let Some(folder) = output.parent() {
            fs::create_dir_all(folder)?;
        }
        build(&output).with_context(|| format!("building {}", output.display()))?;
    }
    Ok(output)
}

/// When a file below the folder was last changed.
fn newest(dir: &Path) -> Option<SystemTime> {
    fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            if path.is_dir() { newest(&path) } else { path.metadata().ok()?.modified().ok() }
        })
        .max()
}
