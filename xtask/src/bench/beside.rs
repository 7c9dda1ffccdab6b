//! What may watch a program while it is measured.
//!
//! In: a process that is held, and how a row watches. Out: what the process says of
//! itself, what mapprof left, and what the watcher took for itself.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use mapprof_tests::mapprof::{Outcome, Running};
use mapprof_tests::memory::changed_code;
use mapprof_tests::process::{Watchdog, eventually};
use mapprof_tests::{Mapprof, Program};
use serde::de::DeserializeOwned;

use super::cpu::Meter;
use crate::sudo::on_path;

/// What watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    /// Probes at mapprof's map sites whose programs do nothing: the limit.
    EmptyProbe,
    /// mapprof, everything.
    Exact,
    /// mapprof, within the budget that it has by default.
    Budget,
    /// What people would do without mapprof: a probe at the function's entry that
    /// counts by key.
    Bpftrace,
    /// Go's own mutex profile, of every event: the program turns it on itself.
    MutexProfile,
}

/// How the watchers of a row watch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct How<'a> {
    /// Options of mapprof and of the empty probe.
    pub(super) options: &'a [&'a str],
    /// bpftrace's probes: functions of the program, each with what is done there.
    pub(super) bpftrace: &'a [(&'a str, &'a str)],
}

/// What came of a program that was watched.
pub(super) struct Watched<T> {
    /// What the program says of itself.
    pub(super) truth: T,
    /// What mapprof left, if it was that.
    pub(super) outcome: Option<Outcome>,
    /// CPU time that the watcher took for itself while the program ran, in percent
    /// of a core.
    pub(super) own_cpu: Option<f64>,
}

/// A watcher that is in place.
pub(super) enum Watching {
    Nothing,
    Empty(Running),
    Mapprof(Running),
    Bpftrace(Child, Watchdog),
}

impl Beside {
    /// In the order of a table's columns.
    pub(super) const ALL: [Self; 6] = [
        Self::Nothing,
        Self::EmptyProbe,
        Self::Exact,
        Self::Budget,
        Self::Bpftrace,
        Self::MutexProfile,
    ];
    /// For maps.
    pub(super) const MAPS: [Self; 5] =
        [Self::Nothing, Self::EmptyProbe, Self::Exact, Self::Budget, Self::Bpftrace];
    /// For locks, at whose sites there is no empty probe.
    pub(super) const LOCKS: [Self; 5] =
        [Self::Nothing, Self::Exact, Self::Budget, Self::Bpftrace, Self::MutexProfile];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "alone",
            Self::EmptyProbe => "empty probe",
            Self::Exact => "mapprof exact",
            Self::Budget => "mapprof at 1%",
            Self::Bpftrace => "bpftrace at the entry",
            Self::MutexProfile => "Go's mutex profile",
        }
    }

    /// Whether it is there on this machine.
    pub(super) fn is_there(self) -> bool {
        self != Self::Bpftrace || on_path("bpftrace")
    }

    /// What turns it on in a Go program of the tests.
    pub(super) fn program_args(self) -> &'static [&'static str] {
        if self == Self::MutexProfile { &["-mutexprofile"] } else { &[] }
    }

    fn mapprof_args(self) -> [&'static str; 2] {
        ["--max-overhead", if self == Self::Budget { "1%" } else { "none" }]
    }

    /// Runs a held program to its end under the watcher.
    pub(super) fn watch<T: DeserializeOwned>(
        self,
        mut program: Program,
        how: How,
    ) -> Result<Watched<T>> {
        let watching = self.attach(program.pid(), how)?;
        let meter = watching.pid().map(Meter::start).transpose()?;
        program.begin()?;
        let truth = program.truth()?;
        let own_cpu = meter.map(|meter| meter.percent()).transpose()?;
        let outcome = watching.stop()?;
        program.finish_well()?;
        Ok(Watched { truth, outcome, own_cpu })
    }

    /// Begins to watch a process; returns when everything is in place.
    pub(super) fn attach(self, pid: u32, how: How) -> Result<Watching> {
        Ok(match self {
            Self::Nothing | Self::MutexProfile => Watching::Nothing,
            Self::Exact | Self::Budget => {
                // With all keys, so that each can be compared, and the buffers of default
                // size: what those do not bear is lost, and a figure that is missed.
                let stat = ["stat", "--format", "json", "--keys", "1000000", "--duration", "170s"];
                let stat = Mapprof::new(stat).args(["--pid", &pid.to_string()]);
                Watching::Mapprof(stat.args(self.mapprof_args()).args(how.options).attach()?)
            }
            Self::EmptyProbe => {
                let empty = ["__empty-probe", "--duration", "170s", "--pid", &pid.to_string()];
                Watching::Empty(Mapprof::new(empty).args(how.options).attach()?)
            }
            Self::Bpftrace => bpftrace(pid, how.bpftrace)?,
        })
    }
}

fn bpftrace(pid: u32, probes: &[(&str, &str)]) -> Result<Watching> {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe"))?;
    let one = |(function, action): &(&str, &str)| {
        format!("uprobe:{}:\"{function}\" {{ {action} }}", exe.display())
    };
    let mut child = Command::new("bpftrace")
        .args(["-p", &pid.to_string(), "-e"])
        .arg(probes.iter().map(one).collect::<Vec<_>>().join(" "))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting bpftrace")?;
    let watchdog = Watchdog::over(&child);
    let attached = eventually("bpftrace's probes are in place", Duration::from_secs(20), || {
        Ok(changed_code(pid)?.len() >= probes.len())
    });
    if let Err(error) = attached {
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    Ok(Watching::Bpftrace(child, watchdog))
}

impl Watching {
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::Empty(running) | Self::Mapprof(running) => Some(running.pid()),
            Self::Bpftrace(child, _) => Some(child.id()),
        }
    }

    /// Ends it; what mapprof left, if it was that.
    pub(super) fn stop(self) -> Result<Option<Outcome>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Mapprof(running) => Ok(Some(running.interrupt()?.expect_code(0)?)),
            Self::Empty(running) => running.interrupt()?.expect_code(0).map(|_| None),
            Self::Bpftrace(mut child, _watchdog) => {
                // Not asked to end, of which nobody reads the result and which it may take
                // minutes for: with its files its probes go, too.
                child.kill()?;
                child.wait()?;
                Ok(None)
            }
        }
    }
}
