//! `cargo xtask bench`: what profiling costs the target, and mapprof itself.
//!
//! Every row compares what it compares in one interleaved run, in an order that
//! rotates with the rounds, so that a machine whose speed drifts favours none.

mod beside;
mod compare;
mod cpu;
mod distinct;
mod emergency;
mod figures;
mod interleave;
mod latency;
mod locks;
mod machine;
mod many_cpus;
mod maps;
mod margins;
mod open_loop;
mod recording;
pub(crate) mod redis;
mod saturation;
mod startup;
mod tables;
mod traffic;
mod worst_case;
mod zipf;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::run as run_command;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::{go, target_dir};

use crate::{build, setup, sudo};
use beside::Beside;
use compare::Stored;
use figures::Row;
use machine::Conditions;

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often each variant is measured; some rows take more or fewer (docs/bench.md)
    /// [default: 5, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// How long `saturation` and `recording` take [default: 60, with --quick 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: Option<u64>,
    /// Everything once and in a hurry: whether it works, rather than how well
    #[arg(long)]
    quick: bool,
    /// Also write all figures here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables here instead of to stdout
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Compare with the figures that an earlier run wrote with --json
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Measure only the rows whose names contain this
    filter: Option<String>,
    /// Measure what the caller has built (how this verb calls itself as root)
    #[arg(long, hide = true)]
    built: bool,
}

impl Args {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 10 } else { 60 })
    }

    /// A program's `-span`, of which a hurry takes a quarter.
    fn span_ms(&self, whole: u32) -> String {
        format!("{}ms", if self.quick { whole / 4 } else { whole })
    }
}

/// Name of a row and the function that measures it.
type Bench = (&'static str, fn(&Args) -> Result<Row>);

const BENCHES: &[Bench] = &[
    ("map-read", |args| maps::measure(&maps::READS, args)),
    ("map-string", |args| maps::measure(&maps::STRINGS, args)),
    ("map-long", |args| maps::measure(&maps::LONG, args)),
    ("map-mixed", |args| maps::measure(&maps::MIXED, args)),
    ("sync-map", |args| maps::measure(&maps::SYNC_MAP, args)),
    ("redis", redis::measure),
    ("mutex-uncontended", locks::uncontended),
    ("mutex-contended", locks::mutex),
    ("rwmutex-contended", locks::rwmutex),
    ("worst-case", worst_case::measure),
    ("zipf", zipf::measure),
    ("saturation", saturation::measure),
    ("distinct", distinct::measure),
    ("memory", distinct::memory),
    ("own-cpu", recording::own),
    ("recording", recording::measure),
    ("startup", |args| startup::measure(args.rounds())),
    ("margins", |args| margins::measure(args.rounds())),
    ("latency", |args| latency::measure(args.rounds())),
    ("emergency", emergency::measure),
    ("many-cpus", many_cpus::measure),
];

/// Go programs that the rows run.
const PROGRAMS: [&str; 6] = ["reads", "ops", "mutex", "load", "paced", "server"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let names: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
    ensure!(
        wanted(args).next().is_some(),
        "no row is called like that; there are {}",
        names.join(", ")
    );
    // Before half an hour is spent on it.
    let then = args.compare.as_deref().map(Stored::read).transpose()?;
    if args.built { measure(args, then.as_ref()) } else { build_and_measure(args) }
}

/// The rows that were asked for.
fn wanted(args: &Args) -> impl Iterator<Item = &'static Bench> {
    let part = args.filter.as_deref().unwrap_or_default();
    // A whole name means that row, not those that end like it.
    let is_name = BENCHES.iter().any(|(name, _)| *name == part);
    BENCHES
        .iter()
        .filter(move |(name, _)| if is_name { *name == part } else { name.contains(part) })
}

/// Builds everything as the user who runs this, then measures as root.
fn build_and_measure(args: &Args) -> Result<()> {
    setup::run()?;
    let mapprof = build::mapprof()?;
    for name in PROGRAMS {
        programs::newest_go(name)?;
    }
    programs::go(go::NEWEST, Link::Stripped, "large")?;
    if wanted(args).any(|(name, _)| *name == "redis")
        && let Err(error) = redis::fetch()
    {
        eprintln!("without Redis: {error:#}");
    }
    let mut again = sudo::as_root("env", "profiling")?;
    if wanted(args).any(|(name, _)| *name == "many-cpus") {
        again.arg(format!("{}={}", many_cpus::BINARY, many_cpus::build()?.display()));
    }
    again
        .arg(format!("MAPPROF={}", mapprof.display()))
        .arg(format!("CARGO_TARGET_DIR={}", target_dir().display()))
        .arg(std::env::current_exe()?)
        .args(["bench", "--built"])
        .args(["--rounds", &args.rounds().to_string()])
        .args(["--seconds", &args.seconds().to_string()]);
    if args.quick {
        again.arg("--quick");
    }
    let files =
        [("--json", &args.json), ("--markdown", &args.markdown), ("--compare", &args.compare)];
    for (option, file) in files {
        if let Some(file) = file {
            again.arg(option).arg(file);
        }
    }
    run_command(again.args(&args.filter))
}

/// A row that fails does not take the others with it.
fn measure(args: &Args, then: Option<&Stored>) -> Result<()> {
    if !Beside::Bpftrace.is_there() {
        eprintln!(
            "bpftrace is not installed, so that its column is left out; on Debian and Ubuntu \
             apt-get install bpftrace adds it"
        );
    }
    let conditions = Conditions::now(args.rounds());
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (name, bench) in wanted(args) {
        eprintln!("measuring {name}");
        match bench(args) {
            Ok(row) => rows.push((*name, row)),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed.push(*name);
            }
        }
    }
    let mut text = tables::markdown(&rows, &conditions);
    if let Some(then) = then {
        text += "\n";
        text += &then.compare(&rows, &conditions.machine);
    }
    match &args.markdown {
        Some(path) => write(path, &text)?,
        None => print!("{text}"),
    }
    if let Some(path) = &args.json {
        write(path, &tables::json(&rows, &conditions))?;
    }
    ensure!(failed.is_empty(), "could not measure {}", failed.join(", "));
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(filter: &str) -> Args {
        Args {
            rounds: None,
            seconds: None,
            quick: true,
            json: None,
            markdown: None,
            compare: None,
            filter: Some(filter.into()),
            built: false,
        }
    }

    #[test]
    fn rows_are_found_by_their_name_or_a_part_of_it() {
        let found = |filter| wanted(&args(filter)).map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(found("mutex-contended"), ["mutex-contended"]);
        assert_eq!(found("contended").len(), 3);
        assert_eq!(found("").len(), BENCHES.len());
        assert!(found("no such row").is_empty());
    }

    #[test]
    fn every_row_is_documented() {
        let text = include_str!("../../../docs/bench.md");
        for (name, _) in BENCHES {
            assert!(text.contains(&format!("\n| `{name}` |")), "docs/bench.md has no row {name}");
        }
        for beside in Beside::ALL {
            assert!(text.contains(&format!("\n| `{}` |", beside.name())), "no column {beside:?}");
        }
    }

    #[test]
    fn a_hurry_is_short() {
        let hurry = args("");
        assert_eq!((hurry.rounds(), hurry.seconds(), &*hurry.span_ms(2000)), (1, 10, "500ms"));
        let whole = Args { quick: false, ..args("") };
        assert_eq!((whole.rounds(), whole.seconds(), &*whole.span_ms(2000)), (5, 60, "2000ms"));
    }
}
