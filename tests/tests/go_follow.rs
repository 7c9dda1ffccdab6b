//! A process that executes a program again, or loads a plugin, is followed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mapprof_tests::go::NEWEST;
use mapprof_tests::programs::{self, FOLLOWED, Link};
use mapprof_tests::summary::Summary;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile};

/// Of all maps those with keys that begin so: after an exec another map may lie where
/// one lay before.
fn with_keys(summary: &Summary, prefix: &str) -> Summary {
    let mut summary = summary.clone();
    let prefix = format!("\"{prefix}:");
    summary.maps.retain(|map| map.keys.iter().any(|key| key.key.starts_with(&prefix)));
    summary
}

/// Counts are exact on both sides of an exec.
fn exec_is_followed(first: &Path, then: &Path, more: &[&str]) -> Result<()> {
    let mut args = vec!["-then", then.to_str().context("a path of plain text")?];
    args.extend(more);
    let mut program = Program::hold(first, args)?;
    let mut mapprof = Mapprof::stat(program.pid()).attach()?;
    program.begin()?;
    let before: Counts = program.truth()?;
    program.begin()?;
    program.ready()?;
    let notice = mapprof.wait_for(|line| line.contains("executed"))?;
    ensure!(notice.contains("attached") && notice.contains("not counted"), "{notice}");
    program.begin()?;
    let after: Counts = program.truth()?;
    let summary = mapprof.interrupt()?.summary()?;
    program.finish_well()?;
    for (prefix, truth) in [("before", before), ("after", after)] {
        assert_eq!(truth.mismatches, 0, "the program computed something wrong");
        let of_it = with_keys(&summary, prefix);
        assert_eq!(truth.differences(&of_it), Vec::<String>::new(), "{prefix}");
        let label = of_it.maps.first().and_then(|map| map.label.as_deref());
        assert_eq!(label, Some("main.use"), "{prefix}");
    }
    Ok(())
}

#[test]
fn the_same_program_again() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for version in FOLLOWED {
        let program = programs::go(version, Link::Normal, "reexec")?;
        exec_is_followed(&program, &program, &[])?;
    }
    Ok(())
}

/// The kernel's filter by process loses the new image then.
#[test]
fn from_another_thread() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = programs::newest_go("reexec")?;
    exec_is_followed(&program, &program, &["-thread"])
}

#[test]
fn a_copy_in_another_file() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let program = programs::newest_go("reexec")?;
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("renewed");
    fs::copy(&program, &copy)?;
    exec_is_followed(&program, &copy, &[])
}

#[test]
fn another_program() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let old = programs::go(FOLLOWED[0], Link::Normal, "reexec")?;
    let new = programs::go(NEWEST, Link::CgoPie, "reexec")?;
    exec_is_followed(&old, &new, &[])?;
    exec_is_followed(&new, &old, &["-thread"])
}

/// What was measured before stands, and the run goes on until it is ended.
#[test]
fn a_program_with_nothing_to_probe() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program = Program::hold(&programs::newest_go("reexec")?, ["-then", "/bin/true"])?;
    let mapprof = Mapprof::stat(program.pid()).attach()?;
    program.begin()?;
    let before: Counts = program.truth()?;
    program.begin()?;
    program.finish_well()?;
    let summary = mapprof.finish()?.summary()?;
    assert_eq!(before.differences(&with_keys(&summary, "before")), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_plugin_loaded_later() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    for version in FOLLOWED {
        plugin_is_followed(version).with_context(|| format!("go {version}"))?;
    }
    Ok(())
}

fn plugin_is_followed(version: &str) -> Result<()> {
    let plugin = programs::go_plugin(version, "plugin/code")?;
    let mut program = Program::hold(&programs::go(version, Link::Cgo, "plugin")?, [&plugin])?;
    let mut mapprof = Mapprof::stat(program.pid()).attach()?;
    program.begin()?;
    program.ready()?;
    let notice = mapprof.wait_for(|line| line.contains("loaded"))?;
    ensure!(notice.contains("plugin-code: attached"), "{notice}");
    program.begin()?;
    let truth: Counts = program.truth()?;
    let summary = mapprof.interrupt()?.summary()?;
    program.finish_well()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    // Each is labelled by the first of its operations whose caller was read. Both use the
    // first map; the last one's few operations need not be among those that are read.
    for (of, users) in truth.maps.iter().zip([&["main.main", ".Use"][..], &[".Use"]]) {
        let map = summary.maps.iter().find(|map| map.address.as_ref() == Some(&of.address));
        let label = map.and_then(|map| map.label.as_deref()).unwrap_or_default();
        let is_user = users.iter().any(|user| label.ends_with(user));
        ensure!(is_user, "{} is labelled {label:?}", of.address);
    }
    Ok(())
}
