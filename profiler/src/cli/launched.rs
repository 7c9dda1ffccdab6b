//! A command that mapprof started itself.
//!
//! In: a command. Out: what is to be probed in it before it runs, and its status, which becomes
//! mapprof's.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    args::{ChoiceArgs, HowArgs},
    out,
    profile::{Interrupts, Planned},
};
use crate::target::{Held, ImageError, Target, TargetError};

/// How often a command that goes on is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a held command will run first; of a script that is its interpreter.
pub(super) fn target(held: &Held) -> Result<Target, TargetError> {
    match Target::of_launch(held.pid(), held.exe()) {
        Err(TargetError::Image(ImageError::Script { interpreter, .. })) => {
            let program = interpreter.raw().split_ascii_whitespace().next().unwrap_or_default();
            Target::of_launch(held.pid(), Path::new(program))
        }
        other => other,
    }
}

/// What to probe before the command runs: its own program, or, where there is nothing to probe
/// in that, the first of its arguments that is a program with something to probe: `env` and
/// `nice` execute it in their own place, and it has its probes from its first instruction.
/// Where there is none, what it executes or starts will be looked at once it is there.
pub(super) fn plan(
    held: &Held,
    target: Target,
    choice: &ChoiceArgs,
    how: &HowArgs,
) -> Result<Planned> {
    let own = Planned::of(target, choice, how);
    if own.as_ref().is_ok_and(|own| !own.plan.sites.is_empty()) {
        return own;
    }
    let mut named = held.named().filter_map(|path| {
        let target = Target::of_launch(held.pid(), &path).ok()?;
        Planned::of(target, choice, how).ok().filter(|it| !it.plan.sites.is_empty())
    });
    named.next().map_or(own, Ok)
}

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
