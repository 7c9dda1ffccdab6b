//! What became of the calls of timed lock functions.
//!
//! In: counts in memory shared with the kernel's side. Out: those since the last time, by
//! function.

use std::sync::Arc;

use probe_ebpf::Call;

use crate::{
    catalog::Waits,
    kernel::{Kernel, Shared},
    model::CallSlice,
    placement::{Cost, Plan, Program, Site},
};

type Counts = [u64; Call::ALL.len()];

/// Counts calls by function.
#[derive(Debug)]
pub(super) struct Calls {
    shared: Arc<Shared>,
    sees_sleep: bool,
    spin_ns: [u32; 2],
    functions: Vec<Function>,
    /// Of a plan that is no more.
    left: Vec<CallSlice>,
}

#[derive(Debug)]
struct Function {
    /// Cookie of its entry.
    site: usize,
    name: String,
    waits: Waits,
    cost: Cost,
    seen: Counts,
}

impl Calls {
    pub(super) fn new(kernel: &Kernel) -> Self {
        let (functions, left) = Default::default();
        Self {
            shared: kernel.shared(),
            sees_sleep: kernel.sees_sleep(),
            spin_ns: [Cost::Emulated, Cost::Slow].map(|cost| kernel.call_costs(cost).spin_ns),
            functions,
            left,
        }
    }

    /// Takes the sites of `plan` for those that are hit from now on.
    pub(super) fn set(&mut self, plan: &Plan) {
        self.left = self.take();
        let timed = |(_, site): &(usize, &Site)| {
            site.program == Program::AcquireEnter && site.waits != Waits::Always
        };
        let function = |(site, it): (usize, &Site)| Function {
            site,
            name: it.function.raw().to_owned(),
            waits: it.waits,
            cost: it.cost,
            seen: self.shared.calls(site),
        };
        self.functions = plan.sites.iter().enumerate().filter(timed).map(function).collect();
    }

    /// The calls since the last time, of functions that had any.
    pub(super) fn take(&mut self) -> Vec<CallSlice> {
        let mut all = std::mem::take(&mut self.left);
        for function in &mut self.functions {
            let now = self.shared.calls(function.site);
            let before = std::mem::replace(&mut function.seen, now);
            let counts: Counts = std::array::from_fn(|at| now[at].wrapping_sub(before[at]));
            if counts == Counts::default() {
                continue;
            }
            let by_time = function.waits == Waits::AsleepOrLong || !self.sees_sleep;
            all.push(CallSlice {
                function: function.name.clone(),
                counts,
                sees_sleep: self.sees_sleep,
                spin_ns: by_time.then(|| self.spin_ns[function.cost as usize]),
            });
        }
        all
    }
}
