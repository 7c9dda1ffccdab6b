//! What was measured on.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

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
