//! `cargo xtask test --go-matrix`: exact counts with every Go version in every build.
//!
//! In: a part of a combination's name, or nothing for all. Out: a line for each
//! combination when it is done, a table of all, and failure unless all are exact.

use std::process::Command;

use anyhow::{Result, ensure};
use mapprof_tests::go::{VERSIONS, run as run_command};
use mapprof_tests::matrix::{self, Combination};
use mapprof_tests::programs::{self, Link};
use mapprof_tests::target_dir;

use crate::{build, setup, sudo};

/// Differences shown of one combination.
const SHOWN: usize = 5;

/// Whether a combination's counts were exact; `None` where it was not run.
type Results = Vec<(Combination, bool)>;

/// Builds everything as the user who runs this, then measures as root.
pub(crate) fn build_and_run(filter: Option<&str>) -> Result<()> {
    setup::run()?;
    run_command(build::cargo().args(["build", "--package", "mapprof"]))?;
    let mut unbuilt = Vec::new();
    for (version, link) in wanted(filter) {
        println!("building {version} {}", link.name());
        if let Err(error) = programs::go(version, link, "counts") {
            // Said once more, and counted, when it is to be run.
            unbuilt.push(format!("{version} {}: {error:#}", link.name()));
        }
    }
    for line in unbuilt {
        eprintln!("{line}");
    }
    let mut again: Command = sudo::as_root("env", "profiling")?;
    again
        .arg(format!("MAPPROF={}", target_dir().join("debug/mapprof").display()))
        .arg(format!("CARGO_TARGET_DIR={}", target_dir().display()))
        .arg(std::env::current_exe()?)
        .args(["test", "--go-matrix", "--built"]);
    run_command(again.args(filter))
}

/// Measures what has been built. A combination that fails does not end the others.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let mut results = Results::new();
    for (version, link) in wanted(filter) {
        let differences =
            matrix::differences(version, link).unwrap_or_else(|error| vec![format!("{error:#}")]);
        let word = if differences.is_empty() { "exact" } else { "FAILED" };
        println!("{version:8} {:12} {word}", link.name());
        for difference in differences.iter().take(SHOWN) {
            println!("    {difference}");
        }
        if differences.len() > SHOWN {
            println!("    and {} more", differences.len() - SHOWN);
        }
        results.push(((version, link), differences.is_empty()));
    }
    print!("{}", table(&results));
    let failed = results.iter().filter(|(_, exact)| !exact).count();
    ensure!(!results.is_empty(), "no combination is called like that");
    ensure!(failed == 0, "{failed} of {} combinations failed", results.len());
    println!("all {} combinations are exact", results.len());
    Ok(())
}

fn wanted(filter: Option<&str>) -> impl Iterator<Item = Combination> {
    let part = filter.unwrap_or_default().to_owned();
    matrix::all()
        .filter(move |(version, link)| format!("{version} {}", link.name()).contains(&part))
}

/// Versions down, builds across.
fn table(results: &Results) -> String {
    let builds = || Link::ALL.into_iter().chain([Link::OldMaps]);
    let line = |first: &str, cells: Vec<&str>| format!("| {first} | {} |\n", cells.join(" | "));
    let head = line("Go", builds().map(Link::name).collect());
    let rule = line("---", builds().map(|_| "---").collect());
    let rows = VERSIONS.into_iter().map(|version| {
        let cell = |link| match results.iter().find(|(it, _)| *it == (version, link)) {
            Some((_, true)) => "exact",
            Some((_, false)) => "FAILED",
            None => "",
        };
        line(version, builds().map(cell).collect())
    });
    format!("\n{head}{rule}{}\n", rows.collect::<String>())
}
