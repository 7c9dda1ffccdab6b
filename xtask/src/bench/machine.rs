//! What was measured on, and under which conditions.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

/// Load above which a machine is not one's own: what runs besides takes part of every
/// figure.
const BUSY: f64 = 0.5;

/// How a run was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Conditions {
    pub(super) machine: Machine,
    pub(super) rounds: u32,
    /// The machine's load average of the last minute before it.
    pub(super) load_before: f64,
}

impl Conditions {
    /// Those of a run that begins now.
    pub(super) fn now(rounds: u32) -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().and_then(|load| load.parse().ok());
        Self { machine: Machine::this(), rounds, load_before: load.unwrap_or(0.0) }
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, rounds) = (&self.machine, self.rounds);
        let s = if rounds == 1 { "" } else { "s" };
        writeln!(f, "Measured on {machine}, in {rounds} round{s}.")?;
        if self.load_before > BUSY {
            let load = self.load_before;
            writeln!(f, "The machine was busy (load average {load:.1}): hints, not figures.")?;
        }
        Ok(())
    }
}

/// What figures depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cpus: usize,
    /// As `/proc/cpuinfo` calls it.
    pub(super) cpu: String,
    /// The kernel's release.
    pub(super) kernel: String,
}

impl Machine {
    /// This one; what it does not tell is `unknown`.
    pub(super) fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(':')).map(|(_, model)| model.trim());
        let kernel = read("/proc/sys/kernel/osrelease");
        let or_unknown = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
        Self {
            cpus: available_parallelism().map_or(1, usize::from),
            cpu: or_unknown(model.unwrap_or_default()),
            kernel: or_unknown(kernel.trim()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPUs ({}), Linux {}", self.cpus, self.cpu, self.kernel)
    }
}
