//! One run: a target, its plan, the kernel's half and the model, from the first
//! probe to the last slice.
//!
//! In: what to profile, and how. Out: [`Update`]s from a thread of its own: names
//! and slices while it lasts, then why it ended.

mod collector;
mod resolver;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    kernel::{Kernel, KernelError, LoadOptions, Method},
    model::{Definitions, Limits, Slice, TargetInfo},
    placement::{Cost, Plan},
    target::Target,
};
use collector::Collector;

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
    /// How long loading and attaching took.
    pub startup: Duration,
    thread: Option<JoinHandle<()>>,
}

impl Run {
    /// Puts the probes of `plan` in place and begins to collect.
    pub fn start(target: Target, plan: Plan, options: Options) -> Result<Self, KernelError> {
        let began = Instant::now();
        let mut kernel = Kernel::load(LoadOptions {
            tgid: 0,
            ring_bytes: options.ring_bytes,
            debug: options.debug,
            method: options.method,
        })?;
        let mut rings = kernel.open_rings()?;
        let slow = plan.sites.iter().any(|site| site.cost == Cost::Slow);
        let costs = kernel.calibrate(&mut rings, slow)?;
        let counters = kernel.counters()?;
        let info = describe(&target);
        let stop = Arc::new(AtomicBool::new(false));
        let names: Vec<_> =
            plan.sites.iter().map(|site| (site.function.clone(), site.address)).collect();
        let mut collector =
            Collector::new(kernel, rings, counters, target, plan, costs, options, stop.clone());
        let attachment = collector.attach()?;
        let attached = attachment.attached;
        let refused = attachment.refused.iter().map(|refused| {
            let (function, address) = &names[refused.site];
            format!("{function} at {address:#x}: {}", refused.error)
        });
        let refused = refused.collect();
        let (sender, updates) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("mapprof-collect".into())
            .spawn(move || collector.run(&sender))
            .map_err(|error| KernelError::Sys { what: "start a thread".into(), error })?;
        Ok(Self {
            updates,
            stop,
            info,
            attached,
            refused,
            hit_ns: costs.emulated_ns,
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

fn describe(target: &Target) -> TargetInfo {
    TargetInfo {
        pid: target.pid().unwrap_or(0) as u32,
        exe: target.exe().display().to_string(),
        runtimes: target
            .runtimes()
            .into_iter()
            .map(|runtime| (runtime.name.to_string(), runtime.version))
            .collect(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname")
            .unwrap_or_default()
            .trim()
            .to_owned(),
    }
}
