//! At which instruction each function is probed.
//!
//! In: the target's modules and the catalog. Out: a [`Plan`]: sites that are
//! instruction starts, with operands intact and their cost class known, and
//! every candidate left out with its reason. Attaches nothing.

use serde::Serialize;

use crate::catalog::{KeyFormat, Role};

/// What a hit at the instruction costs the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// The kernel emulates the instruction: one trap.
    Emulated,
    /// The kernel single-steps it out of line, 17 times dearer.
    Slow,
}

/// Which BPF program interprets the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// `map_op`
    MapOp,
    /// `wait_begin`
    WaitBegin,
    /// `wait_end`
    WaitEnd,
    /// `acquire_enter`
    AcquireEnter,
    /// `acquire_return`, a uretprobe
    AcquireReturn,
}

/// One probe to be attached.
#[derive(Clone, Debug)]
pub struct Site {
    /// Index into the plan's modules.
    pub module: usize,
    /// The function, as the catalog's pattern matched it (demangled).
    pub function: String,
    /// Virtual address of the instruction in the module's file.
    pub address: u64,
    /// The function's start, the same kind of address.
    pub function_address: u64,
    /// Offset of the instruction in the module's file, what a uprobe is attached by.
    pub file_offset: u64,
    /// The instruction's text.
    pub instruction: String,
    /// What a hit costs.
    pub cost: Cost,
    /// What a hit means.
    pub role: Role,
    /// Who interprets it.
    pub program: Program,
    /// What the kernel side is told; the attach cookie is this site's index in
    /// [`Plan::sites`].
    pub descriptor: probe_ebpf::Site,
    /// The catalog entry's runtime.
    pub runtime: &'static str,
    /// What the object is called.
    pub kind: String,
    /// How keys are shown unless type information says better.
    pub format: KeyFormat,
}

/// A candidate that gets no probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The function or the pattern.
    pub function: String,
    /// File name of the module it was found in, if it was found.
    pub module: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
}

/// Every site of one run.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order of their attach cookies.
    pub sites: Vec<Site>,
    /// What was considered and left out.
    pub left_out: Vec<LeftOut>,
}
