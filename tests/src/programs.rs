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
use crate::{matrix, servers, target_dir, workspace};

/// How a Go program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// As `go build` does it.
    Normal,
    /// Without symbol table and debug information.
    Stripped,
    /// Position-independent.
    Pie,
    /// Both.
    StrippedPie,
    /// With C in it, by the system's linker.
    Cgo,
    /// The same, position-independent.
    CgoPie,
    /// Without the build machine's paths.
    TrimPath,
    /// With the maps from before 1.24, for which only that version needs a switch.
    OldMaps,
}

impl Link {
    /// Those that every version knows.
    pub const ALL: [Self; 7] = [
        Self::Normal,
        Self::Stripped,
        Self::Pie,
        Self::StrippedPie,
        Self::Cgo,
        Self::CgoPie,
        Self::TrimPath,
    ];

    /// In a few letters.
    pub fn name(self) -> &'static str {
        self.flags().0
    }

    /// Name, arguments of `go build`, and its environment.
    fn flags(
        self,
    ) -> (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]) {
        const STRIP: &str = "-ldflags=-s -w";
        const PIE: &str = "-buildmode=pie";
        const CGO: (&str, &str) = ("CGO_ENABLED", "1");
        match self {
            Self::Normal => ("normal", &[], &[]),
            Self::Stripped => ("stripped", &[STRIP], &[]),
            Self::Pie => ("pie", &[PIE], &[]),
            Self::StrippedPie => ("stripped-pie", &[PIE, STRIP], &[]),
            Self::Cgo => ("cgo", &[], &[CGO]),
            Self::CgoPie => ("cgo-pie", &[PIE], &[CGO]),
            Self::TrimPath => ("trimpath", &["-trimpath"], &[]),
            Self::OldMaps => ("old-maps", &[], &[("GOEXPERIMENT", "noswissmap,nosynchashtriemap")]),
        }
    }
}

/// A Go program, built with the given version, by its folder's name.
pub fn go(version: &str, link: Link, name: &str) -> Result<PathBuf> {
    go_package(version, link, &[], name)
}

/// A Go plugin, which belongs to programs that are linked with [`Link::Cgo`].
pub fn go_plugin(version: &str, name: &str) -> Result<PathBuf> {
    go_package(version, Link::Cgo, &["-buildmode=plugin"], name)
}

/// A Go library that programs in other languages load.
pub fn go_library(version: &str, name: &str) -> Result<PathBuf> {
    go_package(version, Link::Cgo, &["-buildmode=c-shared"], name)
}

fn go_package(version: &str, link: Link, more: &[&str], name: &str) -> Result<PathBuf> {
    let sources = workspace().join("tests/programs/go");
    let (form, flags, environment) = link.flags();
    let output = target_dir().join("programs").join(format!("go-{version}-{form}"));
    built(output.join(name.replace('/', "-")), &sources, |output| {
        go::run(
            Toolchain::get(version)?
                .command()
                .envs(environment.iter().copied())
                .current_dir(&sources)
                .arg("build")
                .args(flags)
                .args(more)
                .arg("-o")
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
    c("hash")
}

/// The C program whose locks are free or not, as it knows.
pub fn waits() -> Result<PathBuf> {
    c("waits")
}

/// The same without its symbols.
pub fn stripped_waits() -> Result<PathBuf> {
    c_as("waits-stripped", "waits", &["-s"])
}

/// The Rust program whose `RwLock` readers and writers wait for.
pub fn rwlocks() -> Result<PathBuf> {
    rust("rwlocks", "rwlocks", &[])
}

/// The same without its symbols.
pub fn stripped_rwlocks() -> Result<PathBuf> {
    rust("rwlocks-stripped", "rwlocks", &["-Cstrip=symbols"])
}

fn rust(output: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let sources = workspace().join("tests/programs/rust");
    built(target_dir().join("programs").join(output), &sources, |output| {
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        go::run(
            Command::new(compiler)
                .args(["--edition", "2024", "-O", "-o"])
                .arg(output)
                .args(flags)
                .arg(sources.join(name).with_extension("rs")),
        )
    })
}

/// The C program that copies itself.
pub fn forks() -> Result<PathBuf> {
    c("forks")
}

/// The C program of leaf functions of one instruction each.
pub fn leaves() -> Result<PathBuf> {
    c("leaves")
}

fn c(name: &str) -> Result<PathBuf> {
    c_as(name, name, &[])
}

fn c_as(output: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let sources = workspace().join("tests/programs/c");
    built(target_dir().join("programs").join(output), &sources, |output| {
        go::run(
            Command::new("cc")
                .args(["-O2", "-Wall", "-Wextra", "-pthread", "-o"])
                .arg(output)
                .args(flags)
                .arg(sources.join(name).with_extension("c")),
        )
    })
}

/// Versions with which following execs and plugins is tested.
pub const FOLLOWED: [&str; 2] = [go::DEBIAN, go::NEWEST];

/// Builds whatever the tests run, in all variants.
pub fn build_all() -> Result<()> {
    hash()?;
    waits()?;
    stripped_waits()?;
    rwlocks()?;
    stripped_rwlocks()?;
    forks()?;
    leaves()?;
    for (version, link) in matrix::QUICK {
        go(version, link, "counts")?;
    }
    for version in FOLLOWED {
        go(version, Link::Normal, "reexec")?;
        go(version, Link::Cgo, "plugin")?;
        go_plugin(version, "plugin/code")?;
    }
    for link in [Link::CgoPie, Link::Pie] {
        go(go::NEWEST, link, "reexec")?;
    }
    go_library(go::NEWEST, "shared")?;
    for version in ["1.21.13", "1.24.11", go::NEWEST] {
        for link in [Link::Normal, Link::Stripped] {
            go(version, link, "locks")?;
        }
    }
    for version in ["1.19", "1.23.9", go::NEWEST] {
        go(version, Link::Stripped, "owner")?;
    }
    let newest = ["reads", "mutex", "nilmaps", "stuck", "ownmap", "paced", "queue", "parent"];
    for name in newest {
        newest_go(name)?;
    }
    servers::fetch_all()
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
