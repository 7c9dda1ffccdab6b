//! mapprof itself is stopped while it watches, by Ctrl-Z: the target must not bear that.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mapprof_tests::mapprof::{ATTACHED, Running};
use mapprof_tests::memory::{UNCHANGED, changed_code};
use mapprof_tests::process::eventually;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, programs};
use nix::sys::signal::Signal;

fn hot(span: &str) -> Result<Program> {
    Program::hold(&programs::newest_go("reads")?, ["-goroutines", "2", "-span", span])
}

/// Sends Ctrl-Z, and waits until it has stopped.
fn suspend(mapprof: &Running) -> Result<()> {
    mapprof.signal(Signal::SIGTSTP)?;
    let stat = format!("/proc/{}/stat", mapprof.pid());
    eventually("mapprof has stopped", Duration::from_secs(20), || {
        let text = fs::read_to_string(&stat)?;
        Ok(text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')))
    })
}

#[test]
fn ctrl_z_leaves_no_probe_and_afterwards_all_goes_on() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    // Everything is counted; what is done after the stop, exactly.
    let mut program = Program::hold(&programs::newest_go("counts")?, ["-rounds", "300"])?;
    let mut exact = Mapprof::stat(program.pid()).attach()?;
    suspend(&exact)?;
    assert_eq!(changed_code(program.pid())?, UNCHANGED, "probes were left");
    exact.signal(Signal::SIGCONT)?;
    exact.wait_for(|line| line.contains("again") && line.contains(ATTACHED))?;
    program.begin()?;
    let truth: Counts = program.truth()?;
    let summary = exact.interrupt()?.summary()?;
    assert_eq!(truth.differences(&summary), Vec::<String>::new());
    program.finish_well()?;

    let mut program = hot("5s")?;
    let mut windowed = Mapprof::stat(program.pid()).args(["--max-overhead", "1%"]).attach()?;
    program.begin()?;
    for _ in 0..3 {
        sleep(Duration::from_millis(200));
        suspend(&windowed)?;
        assert_eq!(changed_code(program.pid())?, UNCHANGED, "probes were left");
        windowed.signal(Signal::SIGCONT)?;
        windowed.wait_for(|line| line.contains("again") && line.contains(ATTACHED))?;
    }
    let truth: Counts = program.truth()?;
    let window = windowed.interrupt()?.summary()?.window;
    ensure!(window.events > 0, "nothing was seen: {window:?}");
    assert_eq!(truth.mismatches, 0, "the program read something wrong");
    assert_eq!(changed_code(program.pid())?, UNCHANGED, "probes were left");
    program.finish_well().context("after three stops")
}
