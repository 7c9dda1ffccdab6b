//! What the hits so far cost the target.
//!
//! In: counts of hits by site, and the measured cost of a hit of each class. Out: sums
//! that only grow.

use std::sync::Arc;

use crate::{
    kernel::{HitCosts, Shared},
    placement::{Cost, Plan},
};

/// Hits, and CPU time for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// Probe hits.
    pub(super) hits: u64,
    /// Their cost, ns of the target's CPU time.
    pub(super) ns: u64,
}

impl Spent {
    /// What was spent since.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            hits: self.hits.saturating_sub(earlier.hits),
            ns: self.ns.saturating_sub(earlier.ns),
        }
    }
}

/// Adds up hits by what they cost.
#[derive(Debug)]
pub(super) struct Bill {
    shared: Arc<Shared>,
    costs: HitCosts,
    sites: Vec<Entry>,
    sum: Spent,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hit_ns: u64,
    hits: u64,
}

impl Bill {
    pub(super) fn new(shared: Arc<Shared>, costs: HitCosts) -> Self {
        Self { shared, costs, sites: Vec::new(), sum: Spent::default() }
    }

    /// Takes the sites of `plan` for those that are hit from now on; what was hit before
    /// is on the bill.
    pub(super) fn set(&mut self, plan: &Plan) {
        self.read();
        let Self { shared, costs, .. } = self;
        let entry = |(cookie, cost): (usize, Cost)| Entry {
            hit_ns: match cost {
                Cost::Slow => costs.slow_ns.unwrap_or(costs.emulated_ns),
                Cost::Emulated => costs.emulated_ns,
            },
            hits: shared.hits(cookie),
        };
        self.sites = plan.sites.iter().map(|site| site.cost).enumerate().map(entry).collect();
    }

    /// Everything so far.
    pub(super) fn read(&mut self) -> Spent {
        for (cookie, site) in self.sites.iter_mut().enumerate() {
            let hits = self.shared.hits(cookie);
            let new = hits.wrapping_sub(std::mem::replace(&mut site.hits, hits));
            self.sum.hits = self.sum.hits.saturating_add(new);
            self.sum.ns = self.sum.ns.saturating_add(new.saturating_mul(site.hit_ns));
        }
        self.sum
    }
}
