//! `cargo xtask setup`: what building and testing need beyond rustup.
//!
//! Each need is looked for first; only what is missing is installed, so that a
//! second run does nothing. Packages come from apt; elsewhere the commands to run
//! are printed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use mapprof_tests::go::run as run_command;
use mapprof_tests::{browser, go, workspace};

use crate::build;
use crate::sudo::{as_root, on_path};

/// The linker for BPF programs; later versions need a later rustc.
const BPF_LINKER: &str = "bpf-linker@0.13.0";
/// The name of the target in a rustc's folder of prebuilt libraries.
const BPF_TARGET: &str = "bpfel-unknown-none";
/// The LLVM of the distribution's newest rustc, where no rustc can be asked.
const LLVM_MAJOR: u32 = 22;

pub(crate) fn run() -> Result<()> {
    let packages = missing_packages();
    let linker = bpf_linker();
    if packages.is_empty() && linker.is_some() && !lacks_package_lists() {
        println!("setup: nothing to do");
        return Ok(());
    }
    if packages.is_empty() && lacks_package_lists() {
        update_package_lists()?;
    }
    if !packages.is_empty() {
        install(&packages)?;
    }
    if bpf_rustc().is_none() {
        bail!("there is still no rustc with a core library for {BPF_TARGET}");
    }
    if linker.is_none() {
        install_linker()?;
    }
    Ok(())
}

/// A package, or packages that only make sense together; the first alternative
/// that the distribution has is taken.
type Alternatives = Vec<Vec<String>>;

/// What apt should install.
fn missing_packages() -> Vec<Alternatives> {
    let one = |names: &[&str]| vec![names.iter().map(ToString::to_string).collect()];
    let mut missing = Vec::new();
    if !on_path("cc") {
        missing.push(one(&["gcc", "libc6-dev"]));
    }
    if bpf_rustc().is_none() {
        // Debian 12 carries its newest rustc under another name, beside its own.
        missing.push(vec![
            names(["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"]),
            names(["rustc", "cargo", "libstd-rust-dev-bpf"]),
        ]);
    }
    if bpf_linker().is_none() && !llvm_prefix(llvm_major()).join("bin/llvm-config").exists() {
        let llvm = format!("llvm-{}-dev", llvm_major());
        missing.push(one(&[&llvm, "zlib1g-dev", "libzstd-dev"]));
    }
    if !succeeds(Command::new("python3").args(["-m", "pip", "--version"])) {
        missing.push(one(&["python3", "python3-pip"]));
    }
    if !on_path("node") || !on_path("npm") {
        missing.push(one(&["nodejs", "npm"]));
    }
    if browser::find().is_none() {
        // Ubuntu has it under the other name only.
        missing.push(vec![names(["chromium"]), names(["chromium-browser"])]);
    }
    if !on_path("tmux") {
        missing.push(one(&["tmux"]));
    }
    missing
}

fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

/// Installs packages, or says how to.
fn install(missing: &[Alternatives]) -> Result<()> {
    if !on_path("apt-get") {
        let wanted: Vec<_> = missing.iter().map(|alternatives| alternatives[0].join(" ")).collect();
        bail!(
            "this is neither Debian nor Ubuntu, so install by hand what Debian calls\n    {}\n\
             or, instead of its rustc and cargo:\n    rustup toolchain install nightly --component rust-src\n\
             then run this again",
            wanted.join(" ")
        );
    }
    update_package_lists()?;
    let mut packages = Vec::new();
    for alternatives in missing {
        let known = alternatives.iter().find(|names| names.iter().all(|name| is_known(name)));
        packages.extend(known.with_context(|| {
            format!("apt knows none of {alternatives:?}; the README says what else would do")
        })?);
    }
    println!("installing {packages:?}");
    run_command(
        as_root("env", "installing packages")?
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--quiet", "--yes"])
            .arg("--no-install-recommends")
            .args(packages),
    )
}

/// Whether apt has yet to hear of the packages that the tests unpack a Go toolchain
/// from. Elsewhere than on Debian 12 it never will, which the tests say.
fn lacks_package_lists() -> bool {
    let [package, _] = go::debian_packages();
    on_path("apt-get") && !go::is_fetched(go::DEBIAN) && !is_known(&package)
}

fn update_package_lists() -> Result<()> {
    run_command(as_root("apt-get", "reading package lists")?.args(["update", "--quiet"]))
}

fn is_known(package: &str) -> bool {
    succeeds(Command::new("apt-cache").args(["show", "--quiet", package]))
}

/// A rustc that can compile for BPF: a distribution's, which has the core library
/// for it prebuilt, or rustup's nightly, which can build it.
fn bpf_rustc() -> Option<Command> {
    let distribution = Path::new("/usr/bin/rustc");
    if distribution.exists() {
        let sysroot = sysroot(&mut Command::new(distribution))?;
        if sysroot.join("lib/rustlib").join(BPF_TARGET).exists() {
            return Some(Command::new(distribution));
        }
    }
    let nightly = || {
        let mut rustc = Command::new("rustup");
        rustc.args(["run", "nightly", "rustc"]);
        rustc
    };
    let source = sysroot(&mut nightly())?.join("lib/rustlib/src/rust/library/core");
    source.exists().then(nightly)
}

fn sysroot(rustc: &mut Command) -> Option<PathBuf> {
    output(rustc.args(["--print", "sysroot"])).map(|path| PathBuf::from(path.trim()))
}

/// The major version of the LLVM that the BPF rustc emits its bitcode with, which
/// the linker's must match.
fn llvm_major() -> u32 {
    let version = || {
        let text = output(bpf_rustc()?.arg("-vV"))?;
        let llvm = text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
        llvm.split('.').next()?.parse().ok()
    };
    version().unwrap_or(LLVM_MAJOR)
}

/// Where Debian installs an LLVM.
fn llvm_prefix(major: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{major}"))
}

/// Where profiler's build script looks for tools first.
fn tools() -> PathBuf {
    workspace().join("target/tools")
}

/// The linker, where profiler's build script looks for it.
fn bpf_linker() -> Option<PathBuf> {
    let own = tools().join("bin/bpf-linker");
    if own.exists() {
        return Some(own);
    }
    on_path("bpf-linker").then(|| "bpf-linker".into())
}

fn install_linker() -> Result<()> {
    let root = tools();
    let major = llvm_major();
    let prefix = llvm_prefix(major);
    println!("installing {BPF_LINKER} into {}", root.display());
    fs::create_dir_all(&root)?;
    let mut cargo = build::cargo();
    cargo
        .args(["install", BPF_LINKER, "--locked", "--no-default-features", "--features"])
        .arg(format!("llvm-{major}"))
        .arg("--root")
        .arg(&root)
        // llvm-sys compiles against the one, the linker's build script links to the other.
        .env(format!("LLVM_SYS_{major}1_PREFIX"), &prefix)
        .env("LLVM_PREFIX", &prefix);
    run_command(&mut cargo)
}

fn succeeds(command: &mut Command) -> bool {
    output(command).is_some()
}

/// What a command that succeeds writes to stdout.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
