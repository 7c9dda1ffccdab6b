//! `cargo xtask bench`: what profiling costs the target, and mapprof itself.
//!
//! Every row compares what it compares in one interleaved run, in an order that
//! rotates with the rounds, so that a machine whose speed drifts favours none.

mod beside;
mod figures;
mod map_read;
mod memory;
mod mutex;
mod saturation;
mod startup;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::run as run_command;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::{go, target_dir};

use crate::{build, setup, sudo};
use figures::Row;

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each variant is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Also write all figures here
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure only rows whose names contain this
    filter: Option<String>,
    /// Measure what the caller has built (how this verb calls itself as root)
    #[arg(long, hide = true)]
    built: bool,
}

/// Name of a row and the function that measures it in so many rounds.
type Bench = (&'static str, fn(u32) -> Result<Row>);

const BENCHES: [Bench; 6] = [
    ("map-read", map_read::measure),
    ("mutex-uncontended", mutex::uncontended),
    ("mutex-contended", mutex::contended),
    ("saturation", saturation::measure),
    ("startup", startup::measure),
    ("memory", memory::measure),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.built { measure(args) } else { build_and_measure(args) }
}

/// Builds everything as the user who runs this, then measures as root.
fn build_and_measure(args: &Args) -> Result<()> {
    setup::run()?;
    let mapprof = build::mapprof(true)?;
    for name in ["reads", "mutex", "keys"] {
        programs::newest_go(name)?;
    }
    programs::go(go::NEWEST, Link::Stripped, "large")?;
    let mut again = sudo::as_root("env", "profiling")?;
    again
        .arg(format!("MAPPROF={}", mapprof.display()))
        .arg(format!("CARGO_TARGET_DIR={}", target_dir().display()))
        .arg(std::env::current_exe()?)
        .args(["bench", "--built", "--rounds", &args.rounds.to_string()]);
    if let Some(json) = &args.json {
        again.arg("--json").arg(json);
    }
    run_command(again.args(&args.filter))
}

fn measure(args: &Args) -> Result<()> {
    let wanted = |name: &str| args.filter.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let mut rows = Vec::new();
    for (name, bench) in BENCHES.into_iter().filter(|(name, _)| wanted(name)) {
        eprintln!("measuring {name}");
        rows.push((name, bench(args.rounds).with_context(|| format!("measuring {name}"))?));
    }
    ensure!(!rows.is_empty(), "no row has {:?} in its name", args.filter);
    print!("{}", figures::markdown(&rows));
    if let Some(path) = &args.json {
        std::fs::write(path, figures::json(&rows))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
