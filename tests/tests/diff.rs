//! Two recordings of a real program: the same load, and one that changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::{Outcome, binary};
use mapprof_tests::{Mapprof, Program, can_profile, programs, unprivileged};
use serde_json::Value;
use tempfile::TempDir;

/// Intervals are short, so that a few seconds tell how much they differ.
const INTERVAL: &str = "200ms";

fn record(folder: &TempDir, name: &str, args: &[&str]) -> Result<PathBuf> {
    let path = folder.path().join(name);
    let mut program = Program::hold(&programs::newest_go("reads")?, args)?;
    program.begin()?;
    Mapprof::new(["record", "--max-overhead", "none", "--interval", INTERVAL, "--duration", "4s"])
        .args(["--ring-mib", "32", "--pid", &program.pid().to_string(), "-o"])
        .arg(&path)
        .run()?
        .expect_code(0)?;
    Ok(path)
}

fn diff(args: &[&str], files: &[&Path]) -> Result<Outcome> {
    Mapprof::new(["diff"]).args(args).args(files).run()
}

/// The figures of a kind whose verdict is news.
fn news(outcome: &Outcome, kind: &str) -> Result<Vec<String>> {
    let diff: Value = serde_json::from_str(&outcome.stdout)?;
    let subjects = diff["subjects"].as_array().context("subjects")?.iter();
    let of_kind = subjects.filter(|subject| subject["kind"] == kind);
    let figures = of_kind.flat_map(|subject| subject["figures"].as_array().into_iter().flatten());
    let is_news = |figure: &&Value| {
        ["more", "less", "new", "gone"].iter().any(|verdict| figure["verdict"] == *verdict)
    };
    Ok(figures.filter(is_news).map(ToString::to_string).collect())
}

#[test]
fn what_is_gone_is_found_and_fails_a_build() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let args = ["-goroutines", "1", "-span", "60s"];
    let before = record(&folder, "before.mprof", &args)?;
    // Another program: none of its maps are those of the first.
    let mut other = Program::hold(&programs::newest_go("locks")?, ["-span", "30s"])?;
    other.begin()?;
    let after = folder.path().join("after.mprof");
    Mapprof::new(["record", "--max-overhead", "none", "--interval", INTERVAL, "--duration", "3s"])
        .args(["--pid", &other.pid().to_string(), "-o"])
        .arg(&after)
        .run()?
        .expect_code(0)?;

    let same = diff(&["--format", "json"], &[&before, &before])?.expect_code(0)?;
    for kind in ["run", "map", "key", "lock"] {
        assert_eq!(news(&same, kind)?, [""; 0]);
    }
    let told = diff(&["--format", "json"], &[&before, &after])?.expect_code(0)?;
    ensure!(!news(&told, "map")?.is_empty(), "no map is news: {}", told.stdout);
    let text = diff(&[], &[&before, &after])?.expect_code(0)?.stdout;
    ensure!(text.contains("MAPS") && text.contains("gone"), "{text}");

    let gate = ["--fail-on", "map.ops.rate < -50% and name ~ uint64"];
    let failed = diff(&gate, &[&before, &after])?.expect_code(3)?;
    failed.expect_message(&["FAILED", "map[uint64]uint64", "map.ops.rate went from"])?;
    diff(&gate, &[&before, &before])?.expect_code(0)?.expect_message(&["passed"])?;
    let nothing = ["--fail-on", "map.ops.rate < -50% and name ~ nowhere"];
    diff(&nothing, &[&before, &after])?.expect_code(0)?.expect_message(&["nothing that"])?;
    Ok(())
}

#[test]
fn two_parts_of_one_recording() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = record(&folder, "run.mprof", &["-goroutines", "1", "-span", "60s"])?;
    let parts = ["--before", "0s..2s", "--after", "2s..", "--format", "json"];
    let told: Value = serde_json::from_str(&diff(&parts, &[&path])?.expect_code(0)?.stdout)?;
    let length = |side: &str| {
        Duration::from_nanos(told[side]["duration_ns"].as_u64().unwrap_or_default()).as_secs_f64()
    };
    ensure!((1.0..3.0).contains(&length("before")), "{told}");
    ensure!((1.0..3.5).contains(&length("after")), "{told}");
    // Anybody can read it.
    let nobody = unprivileged(&binary(), ["diff", "--format", "nothing"]).run()?;
    nobody.expect_code(2)?;
    diff(&["--before", "1h.."], &[&path])?.expect_code(2)?;
    diff(&["--before", "1h..", "--after", "0s.."], &[&path])?
        .expect_code(1)?
        .expect_message(&["run.mprof"])?;
    Ok(())
}

#[test]
fn wrong_conditions_name_the_place_and_what_there_is() -> Result<()> {
    let wrong = diff(&["--fail-on", "lock.wait.p98 > +20%"], &[Path::new("a"), Path::new("b")])?;
    wrong.expect_code(2)?.expect_message(&["lock.wait.p98", "character 1", "lock.wait.p99"])?;
    let missing = diff(&[], &[Path::new("/nowhere/a"), Path::new("/nowhere/b")])?;
    missing.expect_code(1)?.expect_message(&["cannot read the recording /nowhere/a"])?;
    Ok(())
}
