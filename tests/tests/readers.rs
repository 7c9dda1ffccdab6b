//! Where one thread could not keep up with all CPUs, several read: here one for each CPU,
//! however few there are, and with the figures of one.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::{Outcome, Running};
use mapprof_tests::memory::changed_code;
use mapprof_tests::process::eventually;
use mapprof_tests::truth::{Counts, Locks};
use mapprof_tests::{Mapprof, Program, can_profile, programs};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A thread for each CPU's ring.
const SPLIT: [&str; 2] = ["--rings-per-reader", "1"];
/// How far beyond its margin an estimate may be: of 95% intervals some do not hold, but none
/// is so wrong unless something is counted twice or not at all.
const SLACK: u64 = 3;

/// Threads of mapprof's that read rings.
fn readers(mapprof: &Running) -> Result<usize> {
    let tasks = fs::read_dir(format!("/proc/{}/task", mapprof.pid()))?;
    let names = tasks.map(|task| Ok(fs::read_to_string(task?.path().join("comm"))?));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    Ok(names.iter().filter(|name| name.trim() == "mapprof-read").count())
}

fn cpus() -> Result<usize> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online")?;
    let mut count = 0;
    for range in online.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        count += last.parse::<usize>()? + 1 - first.parse::<usize>()?;
    }
    Ok(count)
}

/// Runs a program to its end, with several readers where there are several CPUs.
fn watched<T: DeserializeOwned>(mut program: Program, options: &[&str]) -> Result<(T, Outcome)> {
    let mut running = Mapprof::stat(program.pid()).args(SPLIT).args(options).start()?;
    running.wait_until_attached()?;
    let wanted = if cpus()? > 1 { cpus()? } else { 0 };
    ensure!(readers(&running)? == wanted, "{} readers, not {wanted}", readers(&running)?);
    program.begin()?;
    let truth = program.truth()?;
    let outcome = running.interrupt()?;
    program.finish_well()?;
    Ok((truth, outcome))
}

fn counts_are_exact(name: &str, args: &[&str]) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_on(16, &programs::newest_go(name)?, args)?;
    let (truth, outcome) = watched::<Counts>(program, &["--only", "maps"])?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&outcome.summary()?), Vec::<String>::new());
    Ok(())
}

#[test]
fn every_sort_of_key() -> Result<()> {
    counts_are_exact("counts", &["-pause", "0s", "-rounds", "6000"])
}

/// Keys in interfaces.
#[test]
fn every_sort_of_key_of_sync_map() -> Result<()> {
    counts_are_exact("syncmap", &[])
}

#[test]
fn at_full_speed() -> Result<()> {
    counts_are_exact("reads", &["-span", "3s", "-goroutines", "12"])
}

/// Parks end on other CPUs than those they began on.
#[test]
fn waits_are_as_measured() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("locks")?, [] as [&str; 0])?;
    let (truth, outcome) = watched::<Locks>(program, &["--only", "locks"])?;
    let summary = outcome.summary()?;
    assert_eq!(truth.violations, 0, "a lock did not exclude");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    assert!(summary.window.lost.is_empty(), "lost: {:?}", summary.window.lost);
    Ok(())
}

/// After an exec no address means what it did.
#[test]
fn an_exec_is_followed() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let path = programs::newest_go("reexec")?;
    let then = path.to_str().context("a path of plain text")?;
    let mut program = Program::hold(&path, ["-then", then])?;
    let mut mapprof = Mapprof::stat(program.pid()).args(SPLIT).attach()?;
    program.begin()?;
    let before: Counts = program.truth()?;
    program.begin()?;
    program.ready()?;
    mapprof.wait_for(|line| line.contains("executed"))?;
    program.begin()?;
    let after: Counts = program.truth()?;
    let summary = mapprof.interrupt()?.summary()?;
    program.finish_well()?;
    for (prefix, truth) in [("before", before), ("after", after)] {
        let mut of_it = summary.clone();
        // After an exec another map may lie where one lay before.
        let start = format!("\"{prefix}:");
        of_it.maps.retain(|map| map.keys.iter().any(|key| key.key.starts_with(&start)));
        assert_eq!(truth.differences(&of_it), Vec::<String>::new(), "{prefix}");
    }
    Ok(())
}

/// What `paced` says of an interval.
#[derive(Deserialize)]
struct Paced {
    address: String,
    lookup: u64,
    /// The most frequent ones first.
    keys: Vec<PacedKey>,
}

#[derive(Deserialize)]
struct PacedKey {
    key: String,
    lookup: u64,
}

fn is_within(figure: &Value, truth: u64, what: &str) -> Result<()> {
    let count = figure["ops"]["lookup"].as_u64().context("no count")?;
    let margin = figure["margin"].as_u64().unwrap_or(0);
    let is_few = figure["few"] == true;
    ensure!(margin > 0 || is_few, "{what}: a sample without margin: {figure}");
    ensure!(
        is_few || count.abs_diff(truth) <= SLACK * margin,
        "{what}: {count} ± {margin} instead of {truth}"
    );
    Ok(())
}

/// What was told in a window is counted in it, whoever has read it.
#[test]
fn windows_hold_what_was_told_in_them() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let args = ["-load", "steady", "-span", "60s"];
    let mut program = Program::hold(&programs::newest_go("paced")?, args)?;
    program.begin()?;
    let outcome = Mapprof::new(["stat", "--format", "json", "--keys", "1000"])
        .args(["--max-overhead", "1%", "--duration", "5s"])
        .args(SPLIT)
        .args(["--pid", &program.pid().to_string()])
        .run()?;
    let summary: Value = serde_json::from_str(&outcome.expect_code(0)?.stdout)?;
    let window = &summary["window"];
    let ns = |name: &str| window[name].as_u64().with_context(|| format!("no {name} in {window}"));
    ensure!(window["windows"].as_u64() >= Some(5), "no windows: {window}");
    let (start, duration) = (ns("start_unix_ns")?, ns("duration_ns")?);
    let truth: Paced = program.ask(&format!("{start} {}", start + duration))?;
    program.finish_well()?;
    let maps = summary["maps"].as_array().context("no maps")?;
    let map = maps.iter().find(|map| map["address"] == *truth.address).context("no such map")?;
    is_within(map, truth.lookup, "the map")?;
    let keys = map["keys"].as_array().context("no keys")?;
    for key in truth.keys.iter().take(5) {
        let shown = format!("{:?}", key.key);
        let found = keys.iter().find(|it| it["key"] == *shown).with_context(|| shown.clone())?;
        is_within(found, key.lookup, &shown)?;
    }
    Ok(())
}

/// Threads end with the run, and nothing is left in the target.
#[test]
fn an_idle_program_is_left_alone() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let args = ["-busy=false", "-rate", "10", "-span", "60s"];
    let program = Program::hold(&programs::newest_go("paced")?, args)?;
    let pid = program.pid();
    Mapprof::stat(pid).args(SPLIT).attach()?.interrupt()?.expect_code(0)?;
    eventually("all probes are gone", Duration::from_secs(10), || {
        Ok(changed_code(pid)?.is_empty())
    })?;
    program.finish_well()
}
