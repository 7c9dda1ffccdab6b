//! Who waited, who made them wait, and with which key: a program in which one
//! key's owner is to blame, under every kind of lock that a map may have.

use anyhow::{Context, Result, bail};
use mapprof_tests::blame::{Holders, Summary, Truth};
use mapprof_tests::programs::{self, Link};
use mapprof_tests::{Mapprof, Program, can_profile, observe};

/// Versions for the kinds of lock that have been the same in all of them.
const LOCKS: [&str; 3] = ["1.19", "1.23.9", "1.27.3"];
/// Versions for `sync.Map`: the last with the old one, the last with the new one.
const SYNC_MAP: [&str; 2] = ["1.23.9", "1.27.3"];

/// How often a run may go otherwise than planned, by the program's own clock.
const ATTEMPTS: usize = 4;

fn the_owner_is_blamed(versions: &[&str], arguments: &[&str]) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for version in versions {
        let (truth, summary) = planned(version, arguments)
            .with_context(|| format!("{arguments:?} with Go {version}"))?;
        let differences = truth.differences(&summary);
        assert!(
            differences.is_empty(),
            "{arguments:?} with Go {version}: {truth:?}\n{}",
            differences.join("\n")
        );
    }
    Ok(())
}

/// A run in which the owner is to blame.
fn planned(version: &str, arguments: &[&str]) -> Result<(Truth, Summary)> {
    let path = programs::go(version, Link::Stripped, "owner")?;
    for _ in 0..ATTEMPTS {
        let program = Program::hold(&path, arguments)?;
        let mapprof = Mapprof::stat(program.pid());
        let (truth, outcome) = observe::<Truth>(program, mapprof)?;
        let outcome = outcome.expect_code(0)?;
        let summary = serde_json::from_str(&outcome.stdout).context("not a summary")?;
        if truth.is_as_planned() {
            return Ok((truth, summary));
        }
    }
    bail!("{ATTEMPTS} times others were to blame too: the machine is too busy")
}

#[test]
fn of_a_mutex() -> Result<()> {
    the_owner_is_blamed(&LOCKS, &["-scenario", "mutex"])
}

#[test]
fn of_a_rwmutex_that_readers_wait_for() -> Result<()> {
    the_owner_is_blamed(&LOCKS, &["-scenario", "rwmutex-writer"])
}

#[test]
fn of_a_rwmutex_that_writers_wait_for() -> Result<()> {
    the_owner_is_blamed(&LOCKS, &["-scenario", "rwmutex-reader"])
}

#[test]
fn of_a_sync_map() -> Result<()> {
    // Fewer rounds: the old one's are long, since the map's own copying is probed.
    the_owner_is_blamed(&SYNC_MAP, &["-scenario", "syncmap", "-rounds", "50"])
}

#[test]
fn of_one_shard_of_many() -> Result<()> {
    the_owner_is_blamed(&LOCKS, &["-scenario", "shards"])
}

/// A key is blamed for what was done with it while the lock was held, and for nothing else;
/// and who held it is not a wrapper of the lock.
#[test]
fn of_what_was_done_under_the_lock() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for version in LOCKS {
        let path = programs::go(version, Link::Stripped, "holder")?;
        let program = Program::hold(&path, [] as [&str; 0])?;
        let mapprof = Mapprof::stat(program.pid());
        let (truth, outcome) = observe::<Holders>(program, mapprof)?;
        let outcome = outcome.expect_code(0)?;
        let summary: Summary = serde_json::from_str(&outcome.stdout).context("not a summary")?;
        let differences = truth.differences(&summary);
        assert!(differences.is_empty(), "Go {version}: {}", differences.join("\n"));
    }
    Ok(())
}
