//! What may be asked for beside a target: a part of what there is, and more talk.
//!
//! Several profilers watch one run of one program, so that they saw the same.

use std::fs;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::Outcome;
use mapprof_tests::truth::{Counts, Locks};
use mapprof_tests::{Mapprof, Program, can_profile, programs};
use serde::de::DeserializeOwned;

/// Runs a held program to its end under a mapprof for each set of options: its
/// own truth, and what each of them left.
fn observe_by<T: DeserializeOwned, const N: usize>(
    mut program: Program,
    options: [&[&str]; N],
) -> Result<(T, [Outcome; N])> {
    let mut running = Vec::new();
    for options in options {
        running.push(Mapprof::stat(program.pid()).args(options).attach()?);
    }
    program.begin()?;
    let truth = program.truth()?;
    let mut outcomes = Vec::new();
    for mapprof in running {
        outcomes.push(mapprof.interrupt()?.expect_code(0)?);
    }
    program.finish_well()?;
    Ok((truth, outcomes.try_into().ok().context("one outcome each")?))
}

/// A program that uses maps and fights for locks.
#[test]
fn maps_or_locks_or_both() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program =
        Program::hold(&programs::newest_go("counts")?, ["-pause", "0", "-rounds", "2000"])?;
    let options: [&[&str]; 3] = [&[], &["--only", "maps"], &["--only", "locks"]];
    let (truth, outcomes) = observe_by::<Counts, 3>(program, options)?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    let [both, maps, locks] = outcomes.map(Outcome::summary);
    let (both, maps, locks) = (both?, maps?, locks?);
    assert!(!both.maps.is_empty() && !both.locks.is_empty(), "nothing to choose from");
    assert!(!maps.maps.is_empty());
    assert_eq!(maps.locks.len(), 0);
    assert_eq!(locks.maps.len(), 0);
    assert!(!locks.locks.is_empty());
    Ok(())
}

#[test]
fn maps_by_pattern() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let pattern = "map[string]";
    let program = Program::hold(&programs::newest_go("counts")?, ["-rounds", "300"])?;
    let (truth, outcomes) = observe_by::<Counts, 2>(program, [&[], &["--map", pattern]])?;
    let [all, some] = outcomes.map(Outcome::summary);
    let (all, some) = (all?, some?);
    let wanted =
        |name: &Option<String>| name.as_ref().is_some_and(|name| name.starts_with(pattern));
    assert!(!some.maps.is_empty() && some.maps.len() < all.maps.len(), "nothing was left out");
    assert!(some.maps.iter().all(|map| wanted(&map.type_name)));
    // What is left is left whole.
    let maps = truth.maps.into_iter().filter(|map| wanted(&map.type_name)).collect();
    let truth = Counts { maps, ..truth };
    assert_eq!(truth.differences(&some), Vec::<String>::new());
    Ok(())
}

#[test]
fn the_one_process_of_a_name() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("mp-only-one");
    fs::copy(programs::newest_go("counts")?, &path)?;
    let mut program = Program::hold(&path, ["-rounds", "300"])?;
    let mapprof =
        Mapprof::new(["stat", "--format", "json", "--keys", "1000000", "--ring-mib", "32"])
            .args(["--duration", "100s", "--name", "mp-only-one"])
            .attach()?;
    program.begin()?;
    let truth: Counts = program.truth()?;
    let summary = mapprof.interrupt()?.summary()?;
    assert_eq!(summary.target.pid, program.pid());
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    program.finish_well()
}

/// The kernel side's own lines are for those who ask twice.
#[test]
fn the_kernel_side_talks_when_asked_twice() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("locks")?, ["-span", "300ms"])?;
    let (truth, [silent, once, twice]) = observe_by::<Locks, 3>(program, [&[], &["-v"], &["-vv"]])?;
    assert_eq!(truth.violations, 0, "a lock did not exclude");
    let lines = |outcome: &Outcome, text| outcome.stderr.matches(text).count();
    for text in ["wait begins: task", "wait ends: task"] {
        assert_eq!(lines(&silent, text), 0);
        assert_eq!(lines(&once, text), 0);
        ensure!(lines(&twice, text) > 10, "no {text:?} in:\n{}", twice.stderr);
    }
    // The talk is no data.
    twice.summary()?;
    Ok(())
}
