//! One run: a target, its plan, the kernel's half and the model, from the first
//! probe to the last slice.
//!
//! In: what to profile, and how. Out: [`Update`]s from a thread of its own: names
//! and slices while it lasts, then why it ended.

mod bill;
mod budget;
mod calls;
mod clock;
mod collector;
mod command;
mod emergency;
mod follow;
mod lengths;
pub(crate) mod readers;
mod resolver;
mod stopped;
mod watch;
mod windows;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::mpsc;

use crate::outside::Shown as _;
use crate::{
    catalog::{Role, With},
    kernel::{KernelError, LoadOptions, Loaded, Loading, Method, privileges},
    model::{Definitions, Limits, Slice, TargetInfo},
    placement::{Cost, Plan, Program, Site},
    target::Target,
};
use collector::Collector;
pub(crate) use collector::Tally;
use readers::Intake;
use windows::Attached;

pub use follow::Wanted;

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Length of a slice.
    pub interval: Duration,
    /// End after this long; `None`: when stopped or when the target ends.
    pub duration: Option<Duration>,
    /// Bounds of the model.
    pub limits: Limits,
    /// How to attach; `None`: the best that the kernel can.
    pub method: Option<Method>,
    /// Bytes of each CPU's ring, a power of two; 0: choose by the number of CPUs.
    pub ring_bytes: u32,
    /// Let the kernel side log its debug lines.
    pub debug: bool,
    /// Most that probes may cost, as a share of the target's CPU time, above 0 and at
    /// most 1; `None`: all is told, whatever it costs.
    pub max_overhead: Option<f64>,
    /// Least time from one window on map operations to the next; `None`: what is good for
    /// figures.
    pub window_period: Option<Duration>,
    /// Most rings, of one CPU each, that a thread reads; `None`: as many as it can.
    pub rings_per_reader: Option<usize>,
    /// The target is the first process of a command: what it executes and starts is followed.
    pub command: bool,
}

impl Options {
    fn max_overhead_ppm(&self) -> Option<u32> {
        self.max_overhead.map(|share| (share * 1e6).round() as u32)
    }
}

/// What a run sends.
#[derive(Debug)]
pub enum Update {
    /// A slice, and the names that are new in it.
    Interval {
        /// New names.
        definitions: Box<Definitions>,
        /// What happened.
        slice: Box<Slice>,
    },
    /// A command's program is watched from now on.
    Program {
        /// All that has been watched.
        info: TargetInfo,
        /// What is probed in this one.
        plan: Box<Plan>,
    },
    /// Something happened to the target that the user should know.
    Notice(String),
    /// The last of all.
    End(End),
}

/// How a run ended.
#[derive(Debug)]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// How long taking the probes out took.
    pub detach: Duration,
    /// An error in the middle of the run; what was measured before it stands.
    pub error: Option<KernelError>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody asked.
    Stopped,
    /// Its time was over.
    Duration,
    /// The target ended.
    TargetEnded,
}

impl Reason {
    /// In a few words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Duration => "time was over",
            Self::TargetEnded => "the process ended",
        }
    }
}

/// A run that goes on.
pub struct Run {
    /// What it sends.
    pub updates: mpsc::UnboundedReceiver<Update>,
    /// Set it to end the run early.
    pub stop: Arc<AtomicBool>,
    /// What is profiled.
    pub info: TargetInfo,
    /// Probes in place.
    pub attached: usize,
    /// Probes that the kernel refused, with its reason.
    pub refused: Vec<String>,
    /// Measured CPU time of one probe hit with its record, ns.
    pub hit_ns: u64,
    /// How probes are attached.
    pub method: Method,
    /// How long it took from the beginning of loading until probes were in place.
    pub startup: Duration,
    thread: Option<JoinHandle<()>>,
}

impl Options {
    /// How to load the kernel's half for such a run.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions { tgid: 0, ring_bytes: self.ring_bytes, debug: self.debug, method: self.method }
    }
}

impl Run {
    /// Puts the probes of `plan`, which was made of what is `wanted`, in place and
    /// begins to collect.
    pub fn start(
        loading: Loading,
        target: Target,
        plan: Plan,
        wanted: Wanted,
        options: Options,
    ) -> Result<Self, KernelError> {
        let Loaded { mut kernel, mut rings, mut costs, began } = loading.finish()?;
        // What a command will come to is not known yet.
        let is_open = options.command && plan.sites.is_empty();
        let slow = is_open || plan.sites.iter().any(|site| site.cost == Cost::Slow);
        if slow {
            costs.slow_ns = Some(kernel.slow_ns(&mut rings)?);
        }
        let of_calls = plan.sites.iter().any(|site| site.role == Role::Acquire)
            || is_open && wanted.entries.iter().any(|it| it.role == Role::Acquire && it.required);
        if of_calls {
            kernel.calibrate_calls(&mut rings, slow)?;
        }
        if is_open {
            // Not once something to probe is there and runs on.
            kernel.load_all()?;
        }
        // Before there are threads, which would keep theirs.
        if let Err(error) = privileges::give_up(kernel.method()) {
            log::warn!("capabilities that are not needed any more are kept: {error}");
        }
        let rings = Intake::new(rings.into_each(), options.rings_per_reader, options.limits)
            .map_err(cannot_start)?;
        let counters = kernel.counters()?;
        let method = kernel.method();
        let info = TargetInfo {
            max_overhead_ppm: options.max_overhead_ppm(),
            hit_ns: costs.emulated_ns,
            ..describe(&target, &plan)
        };
        let stop = Arc::new(AtomicBool::new(false));
        let collector = Collector::new(
            kernel,
            rings,
            counters,
            target,
            plan,
            wanted,
            costs,
            options,
            stop.clone(),
        );
        let (sender, updates) = mpsc::unbounded_channel();
        let (ready, attached) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("mapprof-collect".into())
            .spawn(move || collector.start(&ready, &sender))
            .map_err(cannot_start)?;
        let ended = || KernelError::Sys {
            what: "collect".into(),
            error: std::io::Error::other("the thread ended; what it said is above"),
        };
        let Attached { count: attached, refused } = attached.recv().map_err(|_| ended())??;
        Ok(Self {
            updates,
            stop,
            info,
            attached,
            refused,
            hit_ns: costs.emulated_ns,
            method,
            startup: began.elapsed(),
            thread: Some(thread),
        })
    }
}

impl Drop for Run {
    /// Probes are out when this returns.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by its hook; its drops ran.
            let _ = thread.join();
        }
    }
}

fn cannot_start(error: std::io::Error) -> KernelError {
    KernelError::Sys { what: "start a thread".into(), error }
}

fn describe(target: &Target, plan: &Plan) -> TargetInfo {
    TargetInfo {
        pid: target.pid().unwrap_or(0) as u32,
        exe: target.exe().shown().raw().to_owned(),
        runtimes: target
            .runtimes()
            .into_iter()
            .map(|runtime| (runtime.name.to_string(), runtime.version.raw().to_owned()))
            .collect(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        not_included: not_included(plan),
        ..TargetInfo::default()
    }
}

/// What these probes cannot see, and what is off, in half a sentence each.
fn not_included(plan: &Plan) -> Vec<String> {
    let sees_parks =
        plan.sites.iter().any(|site| site.runtime == "go" && site.role == Role::WaitPark);
    let sees_maps = plan.sites.iter().any(|site| matches!(site.role, Role::Map(_)));
    let mut parts = if sees_parks { without(&plan.off) } else { Vec::new() };
    if sees_parks && !sees_maps {
        parts.push("map operations, and with them the keys of waits and holders".to_owned());
    }
    parts.extend(of_rust(plan));
    parts.extend(of_named_locks(plan));
    parts
}

/// In what else than its locks a Rust program waits.
fn of_rust(plan: &Plan) -> Option<String> {
    let sees_locks =
        plan.sites.iter().any(|site| site.runtime == "rust" && site.role == Role::Acquire);
    sees_locks.then(|| {
        "waits in Rust that are for no Mutex and no RwLock of std, parking_lot or dashmap: \
         Condvar, Barrier, channels, thread::park, and whatever is async (tokio's locks \
         and channels)"
            .to_owned()
    })
}

/// That locks can be taken without the functions that the user named.
fn of_named_locks(plan: &Plan) -> Option<String> {
    let is_it = |site: &&Site| site.runtime == "custom" && site.program == Program::AcquireEnter;
    let mut names: Vec<&str> =
        plan.sites.iter().filter(is_it).map(|site| site.function.raw()).collect();
    names.sort_unstable();
    names.dedup();
    match names[..] {
        [] => None,
        [one] => Some(format!("waits for locks that are taken otherwise than by {one}")),
        [ref some @ .., last] => {
            let some = some.join(", ");
            Some(format!("waits for locks that are taken otherwise than by {some} or {last}"))
        }
    }
}

/// What waits of Go's locks do not include with this off.
fn without(off: &[With]) -> Vec<String> {
    let (spin, others): (Vec<With>, Vec<With>) =
        off.iter().partition(|&&switch| switch == With::Spin);
    let spinning = match spin[..] {
        [] => "waits that were over before the goroutine was put to sleep",
        _ => With::Spin.what(),
    };
    let mut parts = vec![format!("{spinning} (a few microseconds each)")];
    if !others.is_empty() {
        let list = |text: fn(With) -> &'static str, comma: &str| {
            others.iter().map(|&switch| text(switch)).collect::<Vec<_>>().join(comma)
        };
        let (what, names) = (list(With::what, ", "), list(With::name, ","));
        parts.push(format!("waits for {what} (--with {names})"));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_named() {
        let spinning = "spinning before a goroutine is put to sleep (a few microseconds each)";
        let others = "waits for WaitGroups, channels (--with waitgroup,chan)";
        assert_eq!(without(&[With::Waitgroup, With::Chan, With::Spin]), [spinning, others]);
        assert_eq!(without(&[With::Spin]), [spinning]);
        let short =
            "waits that were over before the goroutine was put to sleep (a few microseconds each)";
        assert_eq!(without(&[]), [short]);
        assert_eq!(without(&[With::Cond]), [short, "waits for Conds (--with cond)"]);
    }
}
