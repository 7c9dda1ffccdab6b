//! Waits for contended locks of a Go program: as many and as long as by the
//! program's own clock, and from where in the code.

use anyhow::Result;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::summary::{Lock, Summary};
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
        // An RWMutex is let go once for each reader that waits, and blamed once.
        let blame: u64 = lock.holders.iter().map(|holder| holder.blame_ns).sum();
        assert!(blame <= lock.wait.sum_ns, "{blame} ns of blame for less waiting: {lock:?}");
        let knows_modes = lock.kind == "sync.RWMutex";
        let of_waiters = lock.waiters.iter().map(|waiter| waiter.mode.is_some());
        let of_holders = lock
            .holders
            .iter()
            .filter(|holder| !holder.stack.is_empty())
            .map(|holder| holder.mode.is_some());
        let modes: Vec<_> = of_waiters.chain(of_holders).collect();
        assert_eq!(modes, vec![knows_modes; modes.len()], "modes of {lock:#?}");
    }
    holds_are_as_measured(&truth, &summary);
    Ok(())
}

/// How long a lock was held is known where somebody waited for it all along. That is
/// so for the mutex and for the RWMutex that writers fight for, nearly each time.
fn holds_are_as_measured(truth: &Locks, summary: &Summary) {
    let fought_for = truth.locks.iter().filter(|lock| lock.kind == "sync.Mutex" || lock.split);
    for truth in fought_for {
        let is_it = |lock: &&Lock| lock.address.as_ref() == Some(&truth.address);
        let lock = summary.locks.iter().find(is_it).expect("it is there, as its waits are");
        let hold = lock.hold.unwrap_or_else(|| panic!("no hold of {}", lock.kind));
        assert!(hold.count > truth.write.waits / 2, "{} holds of {}", hold.count, lock.kind);
        assert!(
            hold.p50_ns.abs_diff(truth.hold_p50_ns) <= truth.hold_p50_ns / 10,
            "{} is held {} ns instead of {}",
            lock.kind,
            hold.p50_ns,
            truth.hold_p50_ns
        );
    }
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

/// Waits inside of a `sync.Map` say that the mutex is the map's own, and of which map.
fn a_maps_own_mutex_is_named(version: &str, link: Link, kind: &str) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(
        &programs::go(version, link, "owner")?,
        ["-scenario", "syncmap", "-rounds", "20"],
    )?;
    let mapprof = Mapprof::stat(program.pid());
    let (_, outcome) = observe::<serde_json::Value>(program, mapprof)?;
    let summary = outcome.summary()?;
    let uses = |lock: &&Lock| {
        lock.waiters
            .iter()
            .any(|waiter| waiter.stack.iter().any(|frame| frame.function == "main.useY"))
    };
    let locks: Vec<_> = summary.locks.iter().filter(uses).collect();
    assert!(!locks.is_empty(), "nobody waited");
    for lock in locks {
        assert_eq!(lock.kind, kind);
        assert!(!lock.holders.is_empty(), "nobody held it");
        let maps = summary.maps.iter().filter(|map| lock.maps.contains(&map.id));
        let kinds: Vec<_> = maps.map(|map| map.kind.as_str()).collect();
        assert_eq!(kinds, ["sync.Map"]);
    }
    Ok(())
}

#[test]
fn sync_map_go_1_23() -> Result<()> {
    a_maps_own_mutex_is_named("1.23.9", Link::Stripped, "sync.Map.mu")
}

#[test]
fn sync_map_go_1_27() -> Result<()> {
    a_maps_own_mutex_is_named("1.27.3", Link::Normal, "sync.Map.node")
}

#[test]
fn sync_map_go_1_27_stripped() -> Result<()> {
    a_maps_own_mutex_is_named("1.27.3", Link::Stripped, "sync.Map.node")
}
