//! Waits for contended locks of a Go program: as many and as long as by the
//! program's own clock, and from where in the code.

use anyhow::Result;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::truth::Locks;
use mapprof_tests::{Mapprof, Program, can_profile, observe};

fn waits_are_as_measured(version: &str, link: Link) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::go(version, link, "locks")?, [] as [&str; 0])?;
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "locks"]);
    let (truth, outcome) = observe::<Locks>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert_eq!(truth.violations, 0, "a lock did not exclude");
    assert!(truth.locks.iter().all(|lock| lock.write.waits > 50), "nothing was contended");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    assert!(summary.window.lost.is_empty(), "lost: {:?}", summary.window.lost);

    for lock in &summary.locks {
        let (count, sum) = lock
            .waiters
            .iter()
            .fold((0, 0), |(count, sum), waiter| (count + waiter.count, sum + waiter.wait_ns));
        assert_eq!((count, sum), (lock.wait.count, lock.wait.sum_ns), "waiters of {}", lock.kind);
        let from_main = |waiter: &mapprof_tests::summary::Waiter| {
            waiter.stack.iter().any(|frame| frame.function.starts_with("main."))
        };
        assert!(lock.waiters.iter().all(from_main), "a stack that does not reach main");
    }
    Ok(())
}

#[test]
fn go_1_21() -> Result<()> {
    waits_are_as_measured("1.21.13", Link::Normal)
}

#[test]
fn go_1_21_stripped() -> Result<()> {
    waits_are_as_measured("1.21.13", Link::Stripped)
}

#[test]
fn go_1_24() -> Result<()> {
    waits_are_as_measured("1.24.11", Link::Normal)
}

#[test]
fn go_1_24_stripped() -> Result<()> {
    waits_are_as_measured("1.24.11", Link::Stripped)
}

#[test]
fn go_1_27() -> Result<()> {
    waits_are_as_measured("1.27.3", Link::Normal)
}

#[test]
fn go_1_27_stripped() -> Result<()> {
    waits_are_as_measured("1.27.3", Link::Stripped)
}

/// A lock that nobody waits for causes no event at all.
#[test]
fn an_uncontended_mutex_is_free() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(
        &programs::newest_go("mutex")?,
        ["-goroutines", "1", "-locks", "2000000", "-section", "0s"],
    )?;
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "locks"]);
    let (_, outcome) = observe::<serde_json::Value>(program, mapprof)?;
    let summary = outcome.summary()?;
    assert_eq!(summary.window.events, 0);
    assert_eq!(summary.locks.len(), 0);
    Ok(())
}
