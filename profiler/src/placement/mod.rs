//! At which instruction each function is probed.
//!
//! In: the target's modules and the catalog. Out: a [`Plan`]: sites that are
//! instruction starts, with operands intact and their cost class known, and
//! every candidate left out with its reason. Attaches nothing.

mod held;
mod inner;
mod plan;
mod verify;
mod walk;
mod x86_64;

use serde::Serialize;

use crate::catalog::{KeyFormat, Mode, Role, Waits, With};
use crate::outside::Outside;
use crate::target::{Module, Target};

pub(crate) use held::{Call, Effect, Place as CodePlace, calls_of, while_held};
pub use plan::plan;

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
    /// `typed_map_op`, for keys that Go's types describe
    TypedMapOp,
    /// `wait_begin`
    WaitBegin,
    /// `wait_park`
    WaitPark,
    /// `wait_end`
    WaitEnd,
    /// `spin_begin`
    SpinBegin,
    /// `release`
    Release,
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
    pub function: Outside,
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
    /// Functions that merely call this one and are left out for it: their range of
    /// virtual addresses in the module's file.
    pub wrapper: Option<(u64, u64)>,
    /// The catalog entry's runtime.
    pub runtime: &'static str,
    /// What the object is called.
    pub kind: String,
    /// How keys are shown unless type information says better.
    pub format: KeyFormat,
    /// In which way the lock is held or wanted, where the site knows but one.
    pub mode: Option<Mode>,
    /// Which of the function's calls are waits, where it is timed.
    pub waits: Waits,
}

impl Site {
    /// Whether operations of maps are told here; at all others it is waits for locks.
    pub fn is_of_maps(&self) -> bool {
        matches!(self.role, Role::Map(_))
    }
}

/// Which entries are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// All.
    #[default]
    All,
    /// Map operations.
    Maps,
    /// Waits for locks.
    Locks,
}

impl Only {
    fn wants(self, role: Role) -> bool {
        match self {
            Self::All => true,
            Self::Maps => matches!(role, Role::Map(_)),
            Self::Locks => !matches!(role, Role::Map(_)),
        }
    }
}

/// A candidate that gets no probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The function or the pattern.
    pub function: Outside,
    /// File name of the module it was found in, if it was found.
    pub module: Option<Outside>,
    /// Why, in a sentence.
    pub reason: String,
    /// The user named it, so that a run without it makes no sense.
    pub required: bool,
}

/// Every site of one run.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order of their attach cookies.
    pub sites: Vec<Site>,
    /// What was considered and left out.
    pub left_out: Vec<LeftOut>,
    /// What the program has and nobody asked to see, in the order of [`With`].
    pub off: Vec<With>,
    /// What was taken for granted, in sentences.
    pub notes: Vec<String>,
}

/// A function that the user named cannot be probed.
#[derive(Debug, thiserror::Error)]
#[error("cannot probe {function}: {reason}; `mapprof probes` shows what can be")]
pub struct PlanError {
    /// The function or the pattern.
    pub function: Outside,
    /// Why, in a sentence.
    pub reason: String,
}

impl Plan {
    /// Has at most this many bytes of each key read, 1 to [`probe_ebpf::LONG_KEY`]; 0: as
    /// many as fit.
    pub fn limit_keys(&mut self, bytes: u8) {
        self.sites.iter_mut().for_each(|site| site.descriptor.key_limit = bytes);
    }

    /// Most bytes of a key that are read.
    pub fn key_limit(&self) -> usize {
        let limit = self.sites.first().map_or(0, |site| site.descriptor.key_limit);
        if limit == 0 { probe_ebpf::LONG_KEY } else { usize::from(limit) }
    }

    /// Fails if a function that the user named has no probe.
    pub fn require(&self) -> Result<(), PlanError> {
        match self.left_out.iter().find(|left| left.required) {
            Some(LeftOut { function, reason, .. }) => {
                Err(PlanError { function: function.clone(), reason: reason.clone() })
            }
            None => Ok(()),
        }
    }

    /// Fills in what depends on where the modules are loaded. To be called again
    /// once a launched program has been released and its target refreshed.
    pub fn rebase(&mut self, target: &Target) {
        inner::skip(self, target);
        for site in &mut self.sites {
            let Some((low, high)) = site.wrapper else {
                continue;
            };
            let module = &target.modules()[site.module];
            let range = module.runtime_address(low).zip(module.runtime_address(high));
            let descriptor = &mut site.descriptor;
            descriptor.flags &= !probe_ebpf::site_flags::THROUGH_WRAPPER;
            (descriptor.wrapper_lo, descriptor.wrapper_hi) = range.unwrap_or_default();
            if range.is_some() {
                descriptor.flags |= probe_ebpf::site_flags::THROUGH_WRAPPER;
            }
        }
    }

    fn leave_out(
        &mut self,
        function: &Outside,
        module: Option<&Module>,
        reason: String,
        required: bool,
    ) {
        let function = function.clone();
        let module = module.map(|module| module.name.clone());
        let left = LeftOut { function, module, reason, required };
        if !self.left_out.contains(&left) {
            self.left_out.push(left);
        }
    }
}
