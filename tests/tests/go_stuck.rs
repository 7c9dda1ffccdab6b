//! Waits that have no end while mapprof looks: goroutines that wait for a lock
//! which is never released are told of, and those that do not wait are not.

use anyhow::{Context, Result};
use mapprof_tests::{Mapprof, Program, can_profile, observe, programs};
use serde::Deserialize;
use serde_json::Value;

const RULE: &str = "stuck-waiters";

#[derive(Deserialize)]
struct Stuck {
    address: String,
    waiters: u64,
    waited_ns: u64,
}

#[test]
fn waiters_of_a_lock_that_is_never_released() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("stuck")?, ["-waiters", "5"])?;
    let mapprof = Mapprof::stat(program.pid());
    let (truth, outcome) = observe::<Stuck>(program, mapprof)?;
    let summary = outcome.summary()?;
    let lock = summary
        .locks
        .iter()
        .find(|lock| lock.address.as_ref() == Some(&truth.address))
        .with_context(|| format!("no lock at {}", truth.address))?;
    assert_eq!(lock.kind, "sync.Mutex");
    assert_eq!(lock.open_waits, truth.waiters);
    let (open, slept) = (lock.open_max_ns, truth.waited_ns);
    assert!(open >= slept, "waiting for {open} ns, while the program slept for {slept} ns");
    assert_eq!(lock.wait.count, 0, "a wait without an end was counted as one that ended");
    let stuck = summary.findings.iter().filter(|finding| finding.rule == RULE);
    let subjects: Vec<_> = stuck.map(|finding| &finding.subject).collect();
    assert_eq!(subjects, [&lock.id]);
    Ok(())
}

/// Most who want a lock that is held for a moment find its semaphore free after
/// all: they enter the function in which waits begin, and do not wait.
#[test]
fn a_semaphore_that_was_free_is_not_waited_for() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(
        &programs::newest_go("mutex")?,
        ["-goroutines", "8", "-locks", "400000", "-section", "300ns"],
    )?;
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "locks"]);
    let (_, outcome) = observe::<Value>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert!(summary.window.events > 0, "nobody fought for the lock");
    let open: Vec<_> = summary.locks.iter().filter(|lock| lock.open_waits > 0).collect();
    assert!(open.is_empty(), "nobody waits any more, but {open:?}");
    assert!(summary.findings.iter().all(|finding| finding.rule != RULE));
    Ok(())
}
