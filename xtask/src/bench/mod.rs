//! `cargo xtask bench`: what profiling costs the target, and mapprof itself.
//!
//! Every row compares what it compares in one interleaved run, in an order that
//! rotates with the rounds, so that a machine whose speed drifts favours none.

mod beside;
mod figures;
mod latency;
mod map_read;
mod margins;
mod memory;
mod mutex;
mod open_loop;
mod recording;
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
    /// How often each variant is measured; `saturation` and `recording` are
    /// measured once, `memory` three times at most
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long `recording` records
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Also write all figures here
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure only the rows whose names contain this
    filter: Option<String>,
    /// Measure what the caller has built (how this verb calls itself as root)
    #[arg(long, hide = true)]
    built: bool,
}

/// Name of a row and the function that measures it.
type Bench = (&'static str, fn(&Args) -> Result<Row>);

const BENCHES: [Bench; 9] = [
    ("map-read", |args| map_read::measure(args.rounds)),
    ("mutex-uncontended", |args| mutex::uncontended(args.rounds)),
    ("mutex-contended", |args| mutex::contended(args.rounds)),
    ("saturation", |args| saturation::measure(args.rounds)),
    ("startup", |args| startup::measure(args.rounds)),
    ("memory", |args| memory::measure(args.rounds)),
    ("recording", |args| recording::measure(args.seconds)),
    ("margins", |args| margins::measure(args.rounds)),
    ("latency", |args| latency::measure(args.rounds)),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let names = BENCHES.map(|(name, _)| name).join(", ");
    ensure!(wanted(args).next().is_some(), "no row is called like that; there are {names}");
    if args.built { measure(args) } else { build_and_measure(args) }
}

/// The rows that were asked for.
fn wanted(args: &Args) -> impl Iterator<Item = Bench> {
    let part = args.filter.as_deref().unwrap_or_default();
    BENCHES.into_iter().filter(move |(name, _)| name.contains(part))
}

/// Builds everything as the user who runs this, then measures as root.
fn build_and_measure(args: &Args) -> Result<()> {
    setup::run()?;
    let mapprof = build::mapprof()?;
    for name in ["reads", "mutex", "keys", "load", "paced", "server"] {
        programs::newest_go(name)?;
    }
    programs::go(go::NEWEST, Link::Stripped, "large")?;
    let mut again = sudo::as_root("env", "profiling")?;
    again
        .arg(format!("MAPPROF={}", mapprof.display()))
        .arg(format!("CARGO_TARGET_DIR={}", target_dir().display()))
        .arg(std::env::current_exe()?)
        .args(["bench", "--built", "--rounds", &args.rounds.to_string()])
        .args(["--seconds", &args.seconds.to_string()]);
    if let Some(json) = &args.json {
        again.arg("--json").arg(json);
    }
    run_command(again.args(&args.filter))
}

/// A row that fails does not take the others with it.
fn measure(args: &Args) -> Result<()> {
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (name, bench) in wanted(args) {
        eprintln!("measuring {name}");
        match bench(args) {
            Ok(row) => rows.push((name, row)),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed.push(name);
            }
        }
    }
    print!("{}", figures::markdown(&rows));
    if let Some(path) = &args.json {
        std::fs::write(path, figures::json(&rows))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    ensure!(failed.is_empty(), "could not measure {}", failed.join(", "));
    Ok(())
}
