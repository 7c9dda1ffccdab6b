//! Every operation on every key of every map of a Go program is counted, once.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mapprof_tests::go::{DEBIAN, NEWEST};
use mapprof_tests::matrix;
use mapprof_tests::programs::{self, Link};
use mapprof_tests::summary::Map;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, observe};
use nix::sys::signal::Signal;

/// One version's part of the quick matrix.
fn all_counts_are_exact(version: &str) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for (version, link) in matrix::QUICK.into_iter().filter(|&(it, _)| it == version) {
        let differences = matrix::differences(version, link)
            .with_context(|| format!("go {version} {}", link.name()))?;
        assert_eq!(differences, Vec::<String>::new(), "go {version} {}", link.name());
    }
    Ok(())
}

#[test]
fn go_1_19() -> Result<()> {
    all_counts_are_exact(DEBIAN)
}

#[test]
fn go_1_21() -> Result<()> {
    all_counts_are_exact("1.21.13")
}

#[test]
fn go_1_24() -> Result<()> {
    all_counts_are_exact("1.24.11")
}

#[test]
fn go_1_27() -> Result<()> {
    all_counts_are_exact(NEWEST)
}

/// A Go that nobody has tested works by the symbols it has, and that is said.
#[test]
fn an_untested_version() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("counts");
    let program = programs::newest_go("counts")?;
    let newer = NEWEST.replacen("27", "99", 1);
    let bytes = replaced(&fs::read(&program)?, &format!("go{NEWEST}"), &format!("go{newer}"));
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, program.metadata()?.permissions())?;
    let program = Program::hold(&path, [] as [&str; 0])?;
    let mapprof = Mapprof::stat(program.pid());
    let (truth, outcome) = observe::<Counts>(program, mapprof)?;
    let outcome = outcome.expect_message(&[&format!("go{newer} is untested")])?;
    assert_eq!(truth.differences(&outcome.summary()?), Vec::<String>::new());
    Mapprof::new(["probes", "--exe"])
        .arg(&path)
        .run()?
        .expect_stdout(&format!("go{newer} is untested"))?;
    Ok(())
}

/// The bytes with every `old` text replaced by another as long.
fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = bytes.to_vec();
    for at in 0..=bytes.len() - old.len() {
        if bytes[at..].starts_with(old.as_bytes()) {
            bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
        }
    }
    bytes
}

/// A program that mapprof starts is held until probes are in place.
#[test]
fn launched() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let (truth, summary) =
        Mapprof::new(["stat", "--format", "json", "--keys", "1000000", "--ring-mib", "32", "--"])
            .arg(programs::go(NEWEST, Link::Stripped, "counts")?)
            .run()?
            .truth_and_summary::<Counts>()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    Ok(())
}

/// Two profilers may watch one process.
#[test]
fn two_at_once() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = Program::hold(&programs::newest_go("counts")?, [] as [&str; 0])?;
    let one = Mapprof::stat(program.pid()).attach()?;
    let other = Mapprof::stat(program.pid()).attach()?;
    program.begin()?;
    let truth: Counts = program.truth()?;
    let one = one.interrupt()?.summary()?;
    let other = other.interrupt()?.summary()?;
    program.finish_well()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&one), Vec::<String>::new());
    assert_eq!(truth.differences(&other), Vec::<String>::new());
    Ok(())
}

/// Maps that were never made all lie at address 0; there is one of each type.
#[test]
fn nil_maps_are_told_apart_by_type() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = Program::hold(&programs::newest_go("nilmaps")?, [] as [&str; 0])?;
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "maps"]);
    let (truth, outcome) = observe::<serde_json::Value>(program, mapprof)?;
    let summary = outcome.summary()?;
    for (type_name, key) in [("map[main.name]int", "\"one\""), ("map[main.name]string", "\"two\"")]
    {
        let of_type = |map: &&Map| map.type_name.as_deref() == Some(type_name);
        let found: Vec<_> = summary.maps.iter().filter(of_type).collect();
        let [map] = found[..] else { bail!("{} maps are {type_name}", found.len()) };
        assert_eq!(map.address.as_deref(), Some("0x0"));
        assert_eq!(Some(map.ops.lookup), truth["reads"].as_u64());
        assert_eq!(map.keys.iter().map(|key| &key.key).collect::<Vec<_>>(), [key]);
    }
    Ok(())
}

/// One of two is killed while both count: the other counts on.
#[test]
fn one_of_two_is_killed() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = Program::hold(&programs::newest_go("counts")?, ["-rounds", "10000"])?;
    let one = Mapprof::stat(program.pid()).attach()?;
    let other = Mapprof::stat(program.pid()).attach()?;
    program.begin()?;
    sleep(Duration::from_millis(500));
    one.signal(Signal::SIGKILL)?;
    assert_eq!(one.finish()?.status.signal(), Some(Signal::SIGKILL as i32));
    let truth: Counts = program.truth()?;
    let other = other.interrupt()?.summary()?;
    program.finish_well()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&other), Vec::<String>::new());
    Ok(())
}

/// Where there is more to count than can be counted, what was lost is counted.
#[test]
fn overload_is_not_hidden() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program =
        Program::hold(&programs::newest_go("counts")?, ["-pause", "0", "-rounds", "20000"])?;
    // Locks are contended here, but their events are not the program's operations.
    let mapprof = Mapprof::stat(program.pid()).args(["--only", "maps"]);
    let (truth, outcome) = observe::<Counts>(program, mapprof)?;
    let summary = outcome.summary()?;
    let counted: u64 = truth
        .maps
        .iter()
        .filter_map(|map| summary.maps.iter().find(|it| it.address.as_ref() == Some(&map.address)))
        .map(|map| {
            let ops = map.ops;
            ops.lookup + ops.insert + ops.delete + ops.iterate + ops.clear
        })
        .sum();
    let lost: u64 = summary.window.lost.values().sum();
    let total = truth.total();
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert!(counted <= total, "{counted} of {total} operations");
    assert!(counted + lost >= total, "{} operations vanished", total - counted - lost);
    Ok(())
}
