//! Probes by perf events, one by one, as on kernels below 6.6: the same figures,
//! and no more of a trace afterwards.

use std::time::Duration;

use anyhow::Result;
use mapprof_tests::memory::{UNCHANGED, changed_code};
use mapprof_tests::process::eventually;
use mapprof_tests::truth::{Counts, Locks};
use mapprof_tests::{Mapprof, Program, can_profile, programs};
use serde::de::DeserializeOwned;

/// Runs a held Go program to its end under a mapprof that attaches by perf events,
/// and looks at the program's code before, meanwhile and afterwards.
fn observe<T: DeserializeOwned>(
    name: &str,
    args: &[&str],
) -> Result<(T, mapprof_tests::summary::Summary)> {
    let mut program = Program::hold(&programs::newest_go(name)?, args)?;
    let pid = program.pid();
    assert_eq!(changed_code(pid)?, UNCHANGED, "before");
    let running = Mapprof::stat(pid).args(["--attach", "perf"]).attach()?;
    assert_ne!(changed_code(pid)?, UNCHANGED, "there is no probe");
    program.begin()?;
    let truth = program.truth()?;
    let summary = running.interrupt()?.summary()?;
    eventually("all probes are gone", Duration::from_secs(20), || {
        Ok(changed_code(pid)?.is_empty())
    })?;
    program.finish_well()?;
    Ok((truth, summary))
}

#[test]
fn go_counts_are_exact() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (truth, summary) = observe::<Counts>("counts", &["-rounds", "1000"])?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    Ok(())
}

#[test]
fn go_waits_are_as_measured() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (truth, summary) = observe::<Locks>("locks", &[])?;
    assert_eq!(truth.violations, 0, "a lock did not exclude");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    Ok(())
}
