//! A C program with its own hash tables and a pthread mutex, by `--probe`.

use anyhow::{Context, Result, ensure};
use mapprof_tests::summary::Summary;
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

impl LockTruth {
    /// Fails where the summary has the lock's waits otherwise.
    fn check(&self, summary: &Summary) -> Result<()> {
        let lock = summary
            .locks
            .iter()
            .find(|lock| lock.address.as_ref() == Some(&self.address))
            .with_context(|| format!("no lock at {}", self.address))?;
        // Of calls that did not sleep the program knows nothing. Some lasted so long that they
        // count as waits, as where the machine stood still; how many is said.
        let lasted: u64 = summary.lock_functions.iter().map(|function| function.lasted).sum();
        let counts = self.waits..=self.waits + lasted;
        ensure!(counts.contains(&lock.wait.count), "{} waits, not {counts:?}", lock.wait.count);
        let (sum, truth) = (lock.wait.sum_ns, self.wait_ns);
        let slack = truth / 50 + self.waits * PROBES_PER_WAIT_NS;
        ensure!(sum.abs_diff(truth) <= slack, "waited {sum} ns instead of {truth} ± {slack}");
        Ok(())
    }
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
    truth.lock.check(&summary)?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    Ok(())
}

/// A library's function in a program that mapprof starts: the library is mapped
/// only after the probes are in place.
#[test]
fn a_librarys_lock_in_a_launched_program() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (truth, summary) = Mapprof::new(["stat", "--format", "json", "--ring-mib", "32"])
        .args(["--probe", "lock:pthread_mutex_lock lock=arg1", "--"])
        .arg(programs::hash()?)
        .run()?
        .truth_and_summary::<Truth>()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(summary.window.lost.len(), 0);
    truth.lock.check(&summary)
}

/// As on kernels below 6.6.
#[test]
fn by_perf_events() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold_hash(&programs::hash()?)?;
    let specs = probes(BY_NAME.into_iter().chain(BY_NUMBER).chain([BY_SLICE, LOCK]));
    let mapprof = Mapprof::stat(program.pid()).args(specs).args(["--attach", "perf"]);
    let (truth, outcome) = observe::<Truth>(program, mapprof)?;
    let summary = outcome.summary()?;
    truth.lock.check(&summary)?;
    let truth = Counts { maps: truth.maps, mismatches: truth.mismatches };
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
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
        .expect_code(2)?
        .expect_message(&["no_such_function", "       ^", "inlined"])?;
    program.finish_well()
}
