//! A command that mapprof started itself.
//!
//! In: a command. Out: its status, which becomes mapprof's.

use std::{
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{out, profile::Interrupts};
use crate::target::Held;

/// How often a command that goes on is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for the command's end, passing a request to stop on to it.
pub(super) async fn wait(mut held: Held, interrupts: &mut Interrupts) -> Result<ExitCode> {
    let mut told = false;
    loop {
        if let Some(status) = held.try_wait()? {
            return Ok(code(status));
        }
        if !told {
            told = true;
            out::note("profiling is over; waiting for the command to end");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = interrupts.next() => {
                // It may have ended meanwhile.
                let _ = kill(Pid::from_raw(held.pid()), Signal::SIGTERM);
            }
        }
    }
}

/// As a shell reports it: 128 and the signal's number where there was one.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(code as u8)
}
