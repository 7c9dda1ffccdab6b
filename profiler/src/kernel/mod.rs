//! The kernel half of a run: loads the programs, attaches them, reads what they send.
//!
//! In: the embedded BPF object and a [`crate::placement::Plan`]. Out: raw
//! records from the per-CPU rings, loss counters, open waits. Dropping the
//! [`Attachment`] takes every probe out again; so does the end of the process.

mod ahead;
mod attach;
mod btf;
mod calibrate;
mod combined;
mod features;
mod leaves;
mod object;
mod perf;
pub(crate) mod privileges;
pub(crate) mod ring;
mod rings;
mod shared;
mod sys;

pub use ahead::{Loaded, Loading};
pub use attach::{Attachment, Method, Refused};
pub use calibrate::{CallCosts, HitCosts};
pub use combined::Combined;
pub use features::{Check, Verdict, doctor};
pub use object::{Kernel, LoadOptions, OpenWaits};
pub(crate) use rings::TURN;
pub use rings::{Counters, Counts, Rings};
pub use shared::Shared;

/// What can go wrong between mapprof and the kernel.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum KernelError {
    #[error(
        "not permitted to {what}: needs CAP_BPF and CAP_PERFMON (and CAP_SYS_PTRACE for another user's process); run with sudo, or `setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep` on mapprof; `mapprof doctor` says what is missing"
    )]
    NotPermitted { what: &'static str },
    #[error(
        "not permitted to attach uprobes by perf events: that needs CAP_SYS_ADMIN, where uprobe_multi links (Linux 6.6 and newer) do with CAP_BPF and CAP_PERFMON; run with sudo; `mapprof doctor` says what is missing"
    )]
    NotPermittedEvents,
    #[error("cannot load the BPF object: {0}; `mapprof doctor` says what this kernel lacks")]
    Object(String),
    #[error("the kernel's verifier refused program {program} ({error}); its log:\n{log}")]
    Verifier { program: &'static str, error: std::io::Error, log: String },
    #[error(
        "a probe on mapprof itself was hit and nothing arrived: this kernel's uprobes do not work; `mapprof doctor` says more"
    )]
    Deaf,
    #[error(
        "cannot read {path}, which says what CPUs there are: {error}; mapprof needs sysfs: mount it on /sys, read-only will do"
    )]
    Cpus { path: &'static str, error: std::io::Error },
    #[error(
        "this kernel changes what a program computes where it is probed (tried on mapprof itself, on {kinds}): nothing is attached; report it with the kernel's version, and use another kernel meanwhile"
    )]
    Changes { kinds: String },
    #[error("cannot {what}: {error}")]
    Sys { what: String, error: std::io::Error },
    #[error("cannot attach any of {count} probes to {path}: {error}")]
    Attach { path: crate::outside::Outside, count: usize, error: std::io::Error },
    #[error("map {map} of the BPF object: {error}")]
    Map { map: &'static str, error: String },
}

/// The numbers of the CPUs that are online.
fn online() -> Result<Vec<u32>, KernelError> {
    aya::util::online_cpus().map_err(|(path, error)| KernelError::Cpus { path, error })
}
