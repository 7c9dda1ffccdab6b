//! `cargo xtask instructions`: how many instructions user space spends on a record, counted
//! by callgrind, which counts the same on a busy machine as on an idle one.
//!
//! Each load of `profiler/benches/instructions.rs` is run with two numbers of rounds; the
//! difference is what the rounds cost. Counts are compared with those in [`STORED`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use mapprof_tests::{target_dir, workspace};

use crate::build;

/// What was counted when somebody last looked.
const STORED: &str = "profiler/benches/instructions.json";
/// How far a count may be from the stored one. Compilers and libraries differ by less.
const TOLERANCE: f64 = 0.02;
/// Rounds of the shorter run.
const FEW: usize = 40_000;
/// Rounds of the longer run.
const MANY: usize = 120_000;

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each load is counted; the spread is printed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Make the counts those that later ones are compared with
    #[arg(long)]
    store: bool,
    /// Count only the loads whose names contain this
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        bail!("valgrind is missing, which counts the instructions: apt-get install valgrind");
    }
    let binary = build::benchmarks("instructions")?;
    let stored = stored()?;
    let mut counted = BTreeMap::new();
    let mut far = Vec::new();
    println!("| load | instructions a round | spread | stored | change |");
    println!("|---|---|---|---|---|");
    for load in loads(&binary, args.filter.as_deref())? {
        let counts =
            (0..args.runs).map(|_| per_round(&binary, &load)).collect::<Result<Vec<_>>>()?;
        let least = counts.iter().copied().fold(f64::INFINITY, f64::min);
        let most = counts.iter().copied().fold(0.0, f64::max);
        let before = stored.get(&load).copied();
        let change = before.map(|before| least / before - 1.0);
        let text =
            |share: Option<f64>| share.map_or("-".into(), |it| format!("{:+.2}%", it * 100.0));
        let before = before.map_or("-".into(), |before| format!("{before:.1}"));
        let spread = (most / least - 1.0) * 100.0;
        println!("| {load} | {least:.1} | {spread:.3}% | {before} | {} |", text(change));
        if change.is_some_and(|change| change.abs() > TOLERANCE) {
            far.push(load.clone());
        }
        counted.insert(load, (least * 10.0).round() / 10.0);
    }
    ensure!(!counted.is_empty(), "no load is called like that");
    if args.store {
        let all: BTreeMap<_, _> = stored.into_iter().chain(counted).collect();
        let text = serde_json::to_string_pretty(&all)? + "\n";
        return std::fs::write(file(), text).with_context(|| format!("writing {STORED}"));
    }
    ensure!(
        far.is_empty(),
        "more than {}% from {STORED}: {}; if that is meant, run it again with --store",
        TOLERANCE * 100.0,
        far.join(", ")
    );
    Ok(())
}

fn file() -> PathBuf {
    workspace().join(STORED)
}

/// Nothing where nothing was stored yet.
fn stored() -> Result<BTreeMap<String, f64>> {
    match std::fs::read(file()) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("reading {STORED}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).with_context(|| format!("reading {STORED}")),
    }
}

fn loads(binary: &Path, filter: Option<&str>) -> Result<Vec<String>> {
    let output = Command::new(binary).output().context("asking for the loads")?;
    let names = String::from_utf8_lossy(&output.stdout);
    let wanted = names.lines().filter(|name| name.contains(filter.unwrap_or_default()));
    Ok(wanted.map(str::to_owned).collect())
}

fn per_round(binary: &Path, load: &str) -> Result<f64> {
    let (few, many) = (count(binary, load, FEW)?, count(binary, load, MANY)?);
    Ok(many.saturating_sub(few) as f64 / (MANY - FEW) as f64)
}

/// Instructions of a whole run.
fn count(binary: &Path, load: &str, rounds: usize) -> Result<u64> {
    let out = target_dir().join(format!("callgrind-{}.out", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--error-exitcode=9"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(binary)
        .args([load, &rounds.to_string()])
        .output()
        .context("starting valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{load} under valgrind: {}\n{said}", output.status);
    let profile = std::fs::read_to_string(&out).context("reading what callgrind wrote")?;
    std::fs::remove_file(&out)?;
    // "summary: N" (https://valgrind.org/docs/manual/cl-format.html).
    let total =
        profile.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok());
    total.context("callgrind's file has no summary")
}
