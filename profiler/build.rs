//! Compiles `probe-ebpf` for BPF and puts the object where the crate embeds it.
//!
//! In: a BPF toolchain: a rustc with a prebuilt BPF `core` (Debian's
//! `libstd-rust-*-dev-bpf`) or rustup's nightly with `rust-src`, and
//! `bpf-linker`. Out: `$OUT_DIR/probe.o`. `cargo xtask setup` installs both.

#![expect(clippy::disallowed_methods, reason = "what it shows is of this machine, to its owner")]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "bpfel-unknown-none";
const MEND: &str = "run `cargo xtask setup`, which installs what is missing";

fn main() {
    let workspace = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"))
        .parent()
        .expect("the profiler lies in the workspace")
        .to_owned();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    for path in ["probe-ebpf/src", "probe-ebpf/Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", workspace.join(path).display());
    }
    println!("cargo:rerun-if-env-changed=PATH");
    if let Err(message) = build(&workspace, &out) {
        eprintln!("error: {message}");
        std::process::exit(1);
    }
}

fn build(workspace: &Path, out: &Path) -> Result<(), String> {
    let tools = workspace.join("target/tools/bin");
    let linker = find_linker(&tools).ok_or_else(|| {
        format!("bpf-linker is neither in {} nor on PATH: {MEND}", tools.display())
    })?;
    let toolchain = Toolchain::find().ok_or_else(|| {
        format!("no Rust toolchain here can compile for {TARGET} (neither a prebuilt core nor a nightly with rust-src): {MEND}")
    })?;
    let target_dir = out.join("bpf");
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(workspace.join("probe-ebpf"))
        .args(["build", "--release", "--bin", "mapprof-probe", "--target", TARGET])
        .arg("--target-dir")
        .arg(&target_dir)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            ["-Cdebuginfo=2", "-Clink-arg=--btf", &format!("-Clinker={}", linker.display())]
                .join("\x1f"),
        );
    let status = cargo.status().map_err(|error| format!("cannot run {cargo:?}: {error}"))?;
    if !status.success() {
        return Err(format!(
            "compiling probe-ebpf for BPF failed ({status}); the command was {cargo:?}"
        ));
    }
    let object = target_dir.join(TARGET).join("release/mapprof-probe");
    std::fs::copy(&object, out.join("probe.o"))
        .map_err(|error| format!("cannot copy {}: {error}", object.display()))?;
    Ok(())
}

fn find_linker(tools: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(tools.to_owned())
        .chain(env::split_paths(&path))
        .map(|dir| dir.join("bpf-linker"))
        .find(|file| file.is_file())
}

/// Something that compiles for BPF.
enum Toolchain {
    /// A distribution's rustc and cargo in this folder, with a prebuilt `core`.
    Prebuilt(PathBuf),
    /// rustup's nightly, which builds `core` itself.
    Nightly,
}

impl Toolchain {
    fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(PathBuf::from("/usr/bin")).chain(env::split_paths(&path));
        for folder in folders {
            let has_core = folder.join("cargo").is_file()
                && sysroot(&mut clean(Command::new(folder.join("rustc"))))
                    .is_some_and(|root| root.join("lib/rustlib").join(TARGET).is_dir());
            if has_core {
                return Some(Self::Prebuilt(folder));
            }
        }
        let mut nightly = clean(Command::new("rustup"));
        nightly.args(["run", "nightly", "rustc"]);
        sysroot(&mut nightly)
            .is_some_and(|root| root.join("lib/rustlib/src/rust/library").is_dir())
            .then_some(Self::Nightly)
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Prebuilt(folder) => {
                let mut cargo = clean(Command::new(folder.join("cargo")));
                cargo
                    // The distribution's compiler is a stable release; the BPF
                    // target itself needs unstable features.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", folder.join("rustc"))
                    .env("RUSTDOC", folder.join("rustdoc"));
                cargo
            }
            Self::Nightly => {
                let mut cargo = clean(Command::new("rustup"));
                cargo.args(["run", "nightly", "cargo", "-Zbuild-std=core"]);
                cargo
            }
        }
    }
}

/// Without what the outer cargo says of the outer compiler.
fn clean(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let keep = ["CARGO_HOME", "CARGO_NET_OFFLINE"].contains(&&*text);
        let outer = text.starts_with("CARGO") || text.starts_with("RUST") && text != "RUSTUP_HOME";
        if outer && !keep {
            command.env_remove(name);
        }
    }
    command
}

fn sysroot(rustc: &mut Command) -> Option<PathBuf> {
    let output = rustc.args(["--print", "sysroot"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}
