//! `cargo xtask test`: everything that must hold, quickest check first.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use mapprof_tests::{go, programs, target_dir, workspace};

use crate::{build, matrix, setup, sudo};

/// What the end-to-end tests look at in their environment.
const PASSED_ON: [&str; 4] = ["CI", "PATH", "RUST_BACKTRACE", "CARGO_TARGET_DIR"];

/// Where in a test an error arose says little beside the error itself.
const NO_BACKTRACE: (&str, &str) = ("RUST_LIB_BACKTRACE", "0");

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the end-to-end tests
    #[arg(long)]
    quick: bool,
    /// Only compare the counts of Go programs, with every version in every build
    #[arg(long)]
    go_matrix: bool,
    /// Run what the caller has built (how `--go-matrix` calls itself as root)
    #[arg(long, hide = true, requires = "go_matrix")]
    built: bool,
    /// Run only tests whose names contain this, and neither format nor lint checks
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let filter = args.filter.as_deref();
    match (args.go_matrix, args.built) {
        (true, true) => return matrix::run(filter),
        (true, false) => return matrix::build_and_run(filter),
        (false, _) => {}
    }
    step("setup", setup::run)?;
    if args.filter.is_none() {
        check()?;
    }
    step("compilation", || go::run(tests().arg("--no-run")))?;
    unit(args.filter.as_deref())?;
    if !args.quick {
        end_to_end(args.filter.as_deref())?;
    }
    Ok(())
}

/// Format and lints.
fn check() -> Result<()> {
    step("format", || go::run(build::cargo().args(["fmt", "--all", "--check"])))?;
    step("lints", || {
        let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        go::run(build::cargo().args(clippy))
    })
}

/// The tests of all packages; compiling them compiles mapprof, too. Every later step selects among these by
/// target, never by package: that would choose other features of the dependencies,
/// and compile them all again.
fn tests() -> Command {
    let mut cargo = build::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    cargo
}

/// `--test NAME` for each file in a folder of integration tests.
fn targets(folder: &str) -> Result<Vec<String>> {
    let folder = workspace().join(folder);
    let files = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut options = Vec::new();
    for file in files {
        let path = file?.path();
        if let (Some("rs"), Some(name)) =
            (path.extension().and_then(OsStr::to_str), path.file_stem().and_then(OsStr::to_str))
        {
            options.extend(["--test".to_owned(), name.to_owned()]);
        }
    }
    Ok(options)
}

/// Tests of single modules, which need no privileges.
fn unit(filter: Option<&str>) -> Result<()> {
    step("unit tests", || {
        go::run(
            tests()
                .args(["--lib", "--bins"])
                .args(targets("profiler/tests")?)
                .args(filter)
                // A golden file that changed is a failure, not a new golden file.
                .env("INSTA_UPDATE", "no"),
        )
    })
}

/// Tests of the whole program against real ones. Everything is built here, as the
/// user that runs this; only the tests themselves run as root.
fn end_to_end(filter: Option<&str>) -> Result<()> {
    step("test programs", programs::build_all)?;
    step("end-to-end tests", || {
        let mapprof = target_dir().join("debug/mapprof");
        let mut tests = tests();
        tests.args(targets("tests/tests")?);
        if !nix::unistd::geteuid().is_root() {
            tests.arg("--config").arg(run_by_sudo(&mapprof)?);
        }
        tests.env("MAPPROF", &mapprof).env(NO_BACKTRACE.0, NO_BACKTRACE.1);
        // Tests that measure waits would disturb each other.
        go::run(tests.args(filter).args(["--", "--test-threads", "1"]))
    })
}

/// The setting that makes cargo run test binaries through sudo.
fn run_by_sudo(mapprof: &Path) -> Result<String> {
    let mut words: Vec<String> = vec![];
    let sudo = sudo::as_root("env", "the end-to-end tests load BPF programs, which")?;
    words.push(sudo.get_program().to_string_lossy().into_owned());
    words.extend(sudo.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.push(format!("MAPPROF={}", mapprof.display()));
    words.push(format!("{}={}", NO_BACKTRACE.0, NO_BACKTRACE.1));
    for name in PASSED_ON {
        if let Ok(value) = std::env::var(name) {
            words.push(format!("{name}={value}"));
        }
    }
    // A list of strings is written alike in JSON and in TOML.
    let runner = serde_json::to_string(&words).context("writing down the runner")?;
    Ok(format!("target.'cfg(unix)'.runner={runner}"))
}

/// Reruns the golden tests and keeps what they produce.
pub(crate) fn bless() -> Result<()> {
    setup::run()?;
    go::run(build::cargo().args(["test", "--package", "mapprof"]).env("INSTA_UPDATE", "always"))?;
    println!("look at what changed: git diff -- {}", workspace().display());
    Ok(())
}

/// Does one part, and says how long it took.
fn step(name: &str, part: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("── {name}");
    let begin = Instant::now();
    part().with_context(|| format!("{name} failed"))?;
    println!("── {name}: {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}
