//! However mapprof ends, the target's code is as it was, and it goes on to
//! compute the right thing.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use mapprof_tests::mapprof::Running;
use mapprof_tests::memory::{UNCHANGED, changed_code};
use mapprof_tests::process::eventually;
use mapprof_tests::truth::Counts;
use mapprof_tests::{Mapprof, Program, can_profile, programs};
use nix::sys::signal::Signal;

/// Profiles a program that is busy in probed code all the time, ends mapprof in
/// the midst of it and looks at the program's memory.
fn no_trace_after(mapprof: &[&str], end: impl FnOnce(Running) -> Result<()>) -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program =
        Program::hold(&programs::newest_go("reads")?, ["-goroutines", "4", "-span", "4s"])?;
    let pid = program.pid();
    assert_eq!(changed_code(pid)?, UNCHANGED, "before");
    let running = Mapprof::new(["stat", "--pid"]).arg(pid.to_string()).args(mapprof).attach()?;
    assert_ne!(changed_code(pid)?, UNCHANGED, "there is no probe to be removed");
    program.begin()?;
    end(running)?;
    eventually("all probes are gone", Duration::from_secs(10), || {
        Ok(changed_code(pid)?.is_empty())
    })?;
    let truth: Counts = program.truth()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    program.finish_well()
}

fn after_signal(signal: Signal, code: Option<i32>) -> Result<()> {
    no_trace_after(&["--duration", "100s"], |running| {
        sleep(Duration::from_millis(700));
        running.signal(signal)?;
        assert_eq!(running.finish()?.status.code(), code);
        Ok(())
    })
}

#[test]
fn after_its_time() -> Result<()> {
    no_trace_after(&["--duration", "1s"], |running| {
        running.finish()?.expect_code(0)?;
        Ok(())
    })
}

#[test]
fn after_ctrl_c() -> Result<()> {
    after_signal(Signal::SIGINT, Some(0))
}

#[test]
fn after_sigterm() -> Result<()> {
    after_signal(Signal::SIGTERM, Some(0))
}

#[test]
fn after_sigkill() -> Result<()> {
    after_signal(Signal::SIGKILL, None)
}

/// Again and again on the same busy process.
#[test]
fn after_many_runs() -> Result<()> {
    if !can_profile() {
        return Ok(());
    }
    let mut program =
        Program::hold(&programs::newest_go("reads")?, ["-goroutines", "4", "-span", "15s"])?;
    let pid = program.pid();
    program.begin()?;
    for _ in 0..10 {
        Mapprof::new(["stat", "--duration", "100ms", "--pid"])
            .arg(pid.to_string())
            .run()?
            .expect_code(0)?;
        assert_eq!(changed_code(pid)?, UNCHANGED);
    }
    let truth: Counts = program.truth()?;
    assert_eq!(truth.mismatches, 0, "the program computed something wrong");
    program.finish_well()
}
