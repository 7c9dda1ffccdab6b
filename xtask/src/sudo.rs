//! Steps that need root: as they are for root, through sudo for everybody else.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

/// A command to be run as root. Through sudo where this is not root, which is
/// then said, together with what for.
pub(crate) fn as_root(program: impl AsRef<OsStr>, purpose: &str) -> Result<Command> {
    if nix::unistd::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    if !on_path("sudo") {
        bail!("{purpose} needs root, and there is no sudo: run this as root");
    }
    println!("{purpose} needs root: using sudo");
    let mut sudo = Command::new("sudo");
    sudo.arg(program);
    Ok(sudo)
}

/// True if a program of this name can be found.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| is_file(&folder.join(program)))
    })
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file())
}
