//! What mapprof does without a program of the user's: the demo, and the doctor.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::binary;
use mapprof_tests::process::eventually;
use mapprof_tests::{Mapprof, can_profile, unprivileged};

/// What the doctor looks at, a line each.
const CHECKS: [&str; 6] =
    ["kernel ", "privileges ", "kernel BTF ", "BPF programs ", "uprobes ", "probed code "];

/// A process' only child.
fn child_of(pid: u32) -> Result<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let mut child = None;
    eventually("the demo has started its workload", Duration::from_secs(10), || {
        child = fs::read_to_string(&path)?.split_ascii_whitespace().next().map(str::parse);
        Ok(child.is_some())
    })?;
    Ok(child.context("no child")??)
}

/// Without a terminal there is a summary; a second mapprof sees the same workload.
#[test]
fn the_demo_shows_its_hottest_key_and_its_lock() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut demo = Mapprof::new(["demo", "--duration", "3s"]).start()?;
    let workload = child_of(demo.pid())?;
    demo.wait_until_attached()?;
    let beside = Mapprof::new(["stat", "--format", "json", "--duration", "1s", "--pid"])
        .arg(workload.to_string())
        .run()?
        .summary()?;
    let text = demo.finish()?.expect_code(0)?.stdout;
    let first = text.lines().find(|line| line.contains('%') && line.contains('"'));
    let first = first.with_context(|| format!("no key in:\n{text}"))?;
    ensure!(first.contains("\"user:1\""), "the hottest key is not the first:\n{text}");

    assert_eq!(beside.maps.len(), 1);
    assert_eq!(beside.maps[0].keys[0].key, "\"user:1\"");
    let lock = beside.locks.iter().find(|lock| lock.kind.starts_with("std::sync::Mutex"));
    let lock = lock.with_context(|| format!("only {:?}", beside.locks))?;
    assert!(lock.wait.count > 0);
    ensure!(text.contains("LOCKS"), "no lock in:\n{text}");
    ensure!(!std::path::Path::new(&format!("/proc/{workload}")).exists(), "the workload goes on");
    Ok(())
}

#[test]
fn the_doctor_finds_nothing_wrong_where_mapprof_works() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let text = Mapprof::new(["doctor"]).run()?.expect_code(0)?.stdout;
    for check in CHECKS {
        let line = text.lines().find(|line| line.contains(check));
        let line = line.with_context(|| format!("nothing about {check}in:\n{text}"))?;
        ensure!(line.starts_with("good") || line.starts_with("limited"), "{line}");
    }
    Ok(())
}

#[test]
fn the_doctor_names_what_is_missing() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("mapprof");
    fs::copy(binary(), &copy)?;
    // Whatever the umask was.
    let mut open = Command::new("chmod");
    ensure!(open.arg("755").arg(folder.path()).arg(&copy).status()?.success());
    let text = unprivileged(&copy, ["doctor"]).run()?.expect_code(1)?.stdout;
    let bad = text.lines().find(|line| line.starts_with("BAD") && line.contains("privileges"));
    let bad = bad.with_context(|| format!("nothing wrong with the privileges in:\n{text}"))?;
    ensure!(bad.contains("CAP_BPF") && bad.contains("CAP_PERFMON"), "{bad}");
    ensure!(text.contains("sudo"), "no mend in:\n{text}");
    Ok(())
}
