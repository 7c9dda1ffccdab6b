//! What may watch a program while it is measured.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use mapprof_tests::mapprof::{Outcome, Running};
use mapprof_tests::memory::changed_code;
use mapprof_tests::process::{Watchdog, eventually, pid_of};
use mapprof_tests::{Mapprof, Program};
use nix::sys::signal::{Signal, kill};
use serde::de::DeserializeOwned;

use crate::sudo::on_path;

/// What watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    /// Probes at mapprof's sites whose programs do nothing.
    EmptyProbe,
    Mapprof,
    /// What people would do without mapprof: a probe at the function's entry that
    /// counts by key.
    Bpftrace,
}

/// Where bpftrace probes: the function that a read of a `map[uint64]` calls. The
/// key is its third argument in Go's register ABI.
const ONE_LINER: &str = "\"runtime.mapaccess1_fast64\" { @[reg(\"cx\")] = count(); }";

/// A watcher that is in place.
enum Watching {
    Nothing,
    Mapprof(Running),
    Bpftrace(Child, Watchdog),
}

impl Beside {
    /// Which of them there are on this machine.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Nothing, Self::EmptyProbe, Self::Mapprof];
        if on_path("bpftrace") {
            all.push(Self::Bpftrace);
        }
        all
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "alone",
            Self::EmptyProbe => "empty probe",
            Self::Mapprof => "mapprof",
            Self::Bpftrace => "bpftrace at the entry",
        }
    }

    /// Runs a held program to its end under the watcher, mapprof with these options:
    /// what it says of itself, and what mapprof left, if it was that.
    pub(super) fn watch<T: DeserializeOwned>(
        self,
        mut program: Program,
        options: &[&str],
    ) -> Result<(T, Option<Outcome>)> {
        let watching = self.attach(program.pid(), options)?;
        program.begin()?;
        let truth = program.truth()?;
        let outcome = watching.stop()?;
        program.finish_well()?;
        Ok((truth, outcome.filter(|_| self == Self::Mapprof)))
    }

    fn attach(self, pid: u32, options: &[&str]) -> Result<Watching> {
        Ok(match self {
            Self::Nothing => Watching::Nothing,
            Self::Mapprof => Watching::Mapprof(Mapprof::stat(pid).args(options).attach()?),
            Self::EmptyProbe => Watching::Mapprof(
                Mapprof::new(["__empty-probe", "--duration", "170s", "--pid", &pid.to_string()])
                    .attach()?,
            ),
            Self::Bpftrace => bpftrace(pid)?,
        })
    }
}

fn bpftrace(pid: u32) -> Result<Watching> {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe"))?;
    let mut child = Command::new("bpftrace")
        .args(["-p", &pid.to_string(), "-e"])
        .arg(format!("uprobe:{}:{ONE_LINER}", exe.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting bpftrace")?;
    let watchdog = Watchdog::over(&child);
    let attached = eventually("bpftrace's probe is in place", Duration::from_secs(20), || {
        Ok(!changed_code(pid)?.is_empty())
    });
    if let Err(error) = attached {
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    Ok(Watching::Bpftrace(child, watchdog))
}

impl Watching {
    fn stop(self) -> Result<Option<Outcome>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Mapprof(running) => Ok(Some(running.interrupt()?.expect_code(0)?)),
            Self::Bpftrace(mut child, _watchdog) => {
                kill(pid_of(&child), Signal::SIGINT)?;
                child.wait()?;
                Ok(None)
            }
        }
    }
}

/// The variants in the order of a round: each round begins with the next one.
pub(super) fn rotated<T: Clone>(variants: &[T], round: u32) -> Vec<T> {
    let mut order = variants.to_vec();
    if !order.is_empty() {
        order.rotate_left(round as usize % variants.len());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::rotated;

    #[test]
    fn every_variant_begins_once() {
        let firsts: Vec<_> = (0..3).map(|round| rotated(&['a', 'b', 'c'], round)[0]).collect();
        assert_eq!(firsts, ['a', 'b', 'c']);
        assert_eq!(rotated(&['a', 'b', 'c'], 4), ['b', 'c', 'a']);
        assert_eq!(rotated::<char>(&[], 4), []);
    }
}
