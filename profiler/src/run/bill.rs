//! What the hits so far cost the target.
//!
//! In: counts of hits by site, and the measured cost of a hit of each class. Out: sums
//! that only grow.

use std::sync::Arc;

use crate::{
    kernel::{HitCosts, Shared},
    placement::{Cost, Plan, Site},
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
    maps: Spent,
    locks: Spent,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    of_maps: bool,
    hit_ns: u64,
    hits: u64,
}

impl Bill {
    pub(super) fn new(shared: Arc<Shared>, costs: HitCosts) -> Self {
        let (maps, locks) = Default::default();
        Self { shared, costs, sites: Vec::new(), maps, locks }
    }

    /// Takes the sites of `plan` for those that are hit from now on; what was hit before
    /// is on the bill.
    pub(super) fn set(&mut self, plan: &Plan) {
        self.read();
        let Self { shared, costs, .. } = self;
        let entry = |(cookie, site): (usize, &Site)| Entry {
            of_maps: site.is_of_maps(),
            hit_ns: match site.cost {
                Cost::Slow => costs.slow_ns.unwrap_or(costs.emulated_ns),
                Cost::Emulated => costs.emulated_ns,
            },
            hits: shared.hits(cookie),
        };
        self.sites = plan.sites.iter().enumerate().map(entry).collect();
    }

    /// Everything so far.
    pub(super) fn read(&mut self) -> Spent {
        let [maps, locks] = self.read_both();
        Spent { hits: maps.hits.saturating_add(locks.hits), ns: maps.ns.saturating_add(locks.ns) }
    }

    /// Everything so far at sites of maps, and of locks.
    pub(super) fn read_both(&mut self) -> [Spent; 2] {
        for (cookie, site) in self.sites.iter_mut().enumerate() {
            let hits = self.shared.hits(cookie);
            let new = hits.wrapping_sub(std::mem::replace(&mut site.hits, hits));
            let sum = if site.of_maps { &mut self.maps } else { &mut self.locks };
            sum.hits = sum.hits.saturating_add(new);
            sum.ns = sum.ns.saturating_add(new.saturating_mul(site.hit_ns));
        }
        [self.maps, self.locks]
    }

    /// What a site has cost so far, ns.
    pub(super) fn of_site(&self, cookie: usize) -> u64 {
        let hit_ns = self.sites.get(cookie).map_or(0, |site| site.hit_ns);
        self.shared.hits(cookie).wrapping_mul(hit_ns)
    }
}
