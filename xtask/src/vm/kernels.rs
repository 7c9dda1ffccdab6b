//! Debian's kernels for cloud machines, which need no modules to boot.
//!
//! In: a series. Out: the path of a kernel image, downloaded at the first call.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::run as run_command;

/// A series of kernels that Debian 12 has packages of.
pub(crate) struct Kernel {
    /// `6.1`.
    pub(crate) series: &'static str,
}

/// Debian 12's own, without `uprobe_multi` links, and its newest backport.
pub(crate) const ALL: [Kernel; 2] = [Kernel { series: "6.1" }, Kernel { series: "6.12" }];

/// What a package is called up to its release.
const PACKAGE: &str = "linux-image-";
/// What an image's file is called up to its release.
const IMAGE: &str = "vmlinuz-";

impl Kernel {
    /// The image, downloaded into a folder unless there is one of it already.
    pub(crate) fn image(&self, home: &Path) -> Result<PathBuf> {
        fs::create_dir_all(home)?;
        if let Some(image) = image_in(home)? {
            return Ok(image);
        }
        let package = self.package()?;
        println!("fetching {package} into {}", home.display());
        let partial = home.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        run_command(
            Command::new("apt-get").args(["download", "--quiet", &package]).current_dir(&partial),
        )?;
        let deb = find(&partial, PACKAGE)?.context("apt left no package")?;
        run_command(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&partial))?;
        let unpacked = image_in(&partial.join("boot"))?.context("the package holds no kernel")?;
        let image = home.join(unpacked.file_name().context("a file has a name")?);
        fs::rename(&unpacked, &image)?;
        fs::remove_dir_all(&partial)?;
        Ok(image)
    }

    /// The newest package that apt knows of this series.
    fn package(&self) -> Result<String> {
        let pattern = format!(r"^{PACKAGE}{}\..*-cloud-amd64$", self.series.replace('.', r"\."));
        let output = Command::new("apt-cache")
            .args(["search", "--names-only", &pattern])
            .output()
            .context("running apt-cache")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        let newest = names.max_by_key(|name| numbers(name)).map(str::to_owned);
        newest.with_context(|| {
            format!(
                "apt knows no package like {pattern}: Debian 12 has them, after apt-get update, \
                 the newer ones in its backports"
            )
        })
    }
}

/// The numbers in a name, by which names of the same kind are ordered.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

fn image_in(folder: &Path) -> Result<Option<PathBuf>> {
    find(folder, IMAGE)
}

/// The one file in a folder whose name begins so.
fn find(folder: &Path, prefix: &str) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .collect();
    ensure!(found.len() < 2, "{}: {found:?} where one is expected", folder.display());
    Ok(found.pop())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_ordered_by_number() {
        let name = |patch: u32| format!("linux-image-6.12.{patch}+deb12-cloud-amd64");
        assert!(numbers(&name(117)) > numbers(&name(99)));
        assert!(
            numbers("linux-image-6.1.0-56-cloud-amd64")
                > numbers("linux-image-6.1.0-9-cloud-amd64")
        );
    }
}
