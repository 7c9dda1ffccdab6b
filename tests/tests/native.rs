//! A C program with its own hash tables and a pthread mutex, by `--probe`.

use anyhow::{Context, Result};
use mapprof_tests::truth::{Counts, MapCounts};
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs};
use serde::Deserialize;

const BY_NAME: [&str; 3] = [
    "lookup:ht_get key=arg2:str map=arg1",
    "insert:ht_put key=arg2:str map=arg1",
    "delete:ht_del key=arg2:str map=arg1",
];
const BY_NUMBER: [&str; 2] =
    ["lookup:it_get key=arg2:int map=arg1", "insert:it_put key=arg2:int map=arg1"];
const BY_SLICE: &str = "lookup:sl_get key=arg2:str len=arg3 map=arg1";
const LOCK: &str = "lock:take lock=arg1";

/// What a return probe and the probe before it add to one wait, ns, generously.
const PROBES_PER_WAIT_NS: u64 = 40_000;

#[derive(Deserialize)]
struct Truth {
    maps: Vec<MapCounts>,
    lock: LockTruth,
    mismatches: u64,
}

#[derive(Deserialize)]
struct LockTruth {
    address: String,
    waits: u64,
    wait_ns: u64,
}

fn probes<'a>(specs: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    specs.into_iter().flat_map(|spec| ["--probe", spec]).collect()
}

#[test]
fn counts_are_exact() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_hash(&programs::hash()?)?;
    let specs = probes(BY_NAME.into_iter().chain(BY_NUMBER).chain([BY_SLICE]));
    let mapprof = Mapprof::stat(program.pid()).args(specs);
    let (truth, outcome) = observe::<Truth>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    let truth = Counts { maps: truth.maps, mismatches: 0 };
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    assert_eq!(summary.maps.len(), 3);
    Ok(())
}

#[test]
fn waits_are_as_measured() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_hash(&programs::hash()?)?;
    let mapprof = Mapprof::stat(program.pid()).args(probes([LOCK]));
    let (truth, outcome) = observe::<Truth>(program, mapprof)?;
    let summary = outcome.summary()?;
    let lock = summary
        .locks
        .iter()
        .find(|lock| lock.address.as_ref() == Some(&truth.lock.address))
        .with_context(|| format!("no lock at {}", truth.lock.address))?;
    assert_eq!(lock.wait.count, truth.lock.waits);
    let slack = truth.lock.wait_ns / 50 + truth.lock.waits * PROBES_PER_WAIT_NS;
    assert!(
        lock.wait.sum_ns.abs_diff(truth.lock.wait_ns) <= slack,
        "waited {} ns instead of {} ± {slack}",
        lock.wait.sum_ns,
        truth.lock.wait_ns
    );
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    Ok(())
}

/// A function that the user names and that is not there is an error, not silence.
#[test]
fn a_missing_function_is_named() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_hash(&programs::hash()?)?;
    Mapprof::stat(program.pid())
        .args(["--probe", "lookup:no_such_function key=arg1:int"])
        .run()?
        .expect_code(1)?
        .expect_message(&["no_such_function"])?;
    program.finish_well()
}
