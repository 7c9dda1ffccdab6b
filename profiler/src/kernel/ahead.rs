//! Loading the kernel's half while the target's symbols are read: the verifier takes
//! longer than all the rest.
//!
//! In: how to load. Out: a [`Loaded`] kernel half, its programs verified on threads of
//! their own and a hit's cost measured. Which programs the plan needs is not known yet: those
//! that nearly every target needs are loaded, and the others once they are asked for.

use std::{
    collections::BTreeMap, os::fd::OwnedFd, panic::resume_unwind, sync::Arc, thread::JoinHandle,
    time::Instant,
};

use aya_obj::Object;

use super::{HitCosts, Kernel, KernelError, LoadOptions, Rings, object::load_program};

/// Programs that a Go target needs, those first that take the verifier longest.
const LIKELY: [&str; 6] =
    ["typed_map_op", "map_op", "wait_end", "wait_begin", "release", "wait_park"];

/// A kernel half that is being loaded.
pub struct Loading {
    began: Instant,
    thread: JoinHandle<Result<(Kernel, Rings, HitCosts), KernelError>>,
}

/// The kernel's half, ready to be attached.
pub struct Loaded {
    /// With the likely programs loaded.
    pub kernel: Kernel,
    /// Open and empty.
    pub rings: Rings,
    /// Measured on this machine; that of slow hits is not.
    pub costs: HitCosts,
    /// When loading began.
    pub began: Instant,
}

impl Loading {
    /// Begins to load, on threads that have ended when [`Self::finish`] returns.
    pub fn begin(options: LoadOptions) -> Result<Self, KernelError> {
        let began = Instant::now();
        let thread = std::thread::Builder::new()
            .name("mapprof-load".into())
            .spawn(move || load(options))
            .map_err(|error| KernelError::Sys { what: "start a thread".into(), error })?;
        Ok(Self { began, thread })
    }

    /// Waits until all is loaded.
    pub fn finish(self) -> Result<Loaded, KernelError> {
        let (kernel, rings, costs) =
            self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(Loaded { kernel, rings, costs, began: self.began })
    }
}

fn load(options: LoadOptions) -> Result<(Kernel, Rings, HitCosts), KernelError> {
    let mut kernel = Kernel::load(options)?;
    kernel.load_ahead();
    let mut rings = kernel.open_rings()?;
    let costs = kernel.calibrate(&mut rings, false)?;
    kernel.wait_for_programs();
    log::info!("loaded; a hit costs {} ns", costs.emulated_ns);
    Ok((kernel, rings, costs))
}

impl Kernel {
    /// Begins to load the likely programs, each on a thread of its own: for who has the right
    /// to it the kernel verifies several at once (`bpf_verifier_lock` is for all others,
    /// `bpf_check` in kernel/bpf/verifier.c).
    fn load_ahead(&mut self) {
        let attach_type = self.method().attach_type();
        for name in LIKELY {
            self.coming.begin(self.object.clone(), name, attach_type);
        }
    }

    /// Waits for all programs that are being loaded.
    fn wait_for_programs(&mut self) {
        for name in LIKELY {
            // One that cannot be loaded may not be needed; who needs it is told.
            if let Some(Ok(program)) = self.coming.take(name) {
                self.programs.insert(name, program);
            }
        }
    }
}

/// Programs that are being loaded.
#[derive(Default)]
pub(super) struct Coming(BTreeMap<&'static str, JoinHandle<Result<OwnedFd, KernelError>>>);

impl Coming {
    fn begin(&mut self, object: Arc<Object>, name: &'static str, attach_type: u32) {
        let load = move || {
            let began = Instant::now();
            let program = load_program(&object, name, attach_type);
            log::info!("program {name} took {:?} to load", began.elapsed());
            program
        };
        let thread = std::thread::Builder::new().name("mapprof-verify".into()).spawn(load);
        // Without a thread it is loaded when it is asked for.
        if let Ok(thread) = thread {
            self.0.insert(name, thread);
        }
    }

    /// Waits for one, if it is being loaded.
    pub(super) fn take(&mut self, name: &str) -> Option<Result<OwnedFd, KernelError>> {
        let thread = self.0.remove(name)?;
        Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Waits for all, and forgets them.
    pub(super) fn clear(&mut self) {
        for thread in std::mem::take(&mut self.0).into_values() {
            // What it has loaded is not wanted any more.
            let _ = thread.join();
        }
    }
}
