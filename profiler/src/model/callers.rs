//! Operations by call site, and waits by stack: small tables with a bound.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use probe_ebpf::Op;

use super::{Ops, StackId, WaiterSlice};

/// What did not fit is counted under this address.
pub(crate) const OTHER: u64 = 0;

/// Operations by return address.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    slots: HashMap<u64, u32, RandomState>,
    counts: Vec<(u64, Ops)>,
    /// The slot of the newest operation, which the next one often shares.
    newest: usize,
}

impl Callers {
    /// Counts one operation; at most `limit` call sites get a slot of their own.
    #[inline]
    pub(crate) fn count(&mut self, caller: u64, op: Op, limit: usize) {
        match self.counts.get_mut(self.newest) {
            Some((same, ops)) if *same == caller => ops.bump(op),
            _ => self.slot(caller, limit).bump(op),
        }
    }

    /// Adds counts.
    pub(crate) fn add(&mut self, caller: u64, ops: &Ops, limit: usize) {
        self.slot(caller, limit).add(ops);
    }

    fn slot(&mut self, caller: u64, limit: usize) -> &mut Ops {
        let free = self.counts.len();
        let caller = if free < limit || self.slots.contains_key(&caller) { caller } else { OTHER };
        let slot = *self.slots.entry(caller).or_insert(free as u32) as usize;
        if slot == free {
            self.counts.push((caller, Ops::default()));
        }
        self.newest = slot;
        &mut self.counts[slot].1
    }

    /// All call sites in the order in which they came.
    pub(crate) fn as_slice(&self) -> &[(u64, Ops)] {
        &self.counts
    }

    /// Operations at all call sites.
    pub(crate) fn total(&self) -> Ops {
        let mut total = Ops::default();
        self.counts.iter().for_each(|(_, ops)| total.add(ops));
        total
    }

    /// Empties the table but keeps its memory.
    pub(crate) fn take(&mut self) -> Vec<(u64, Ops)> {
        self.slots.clear();
        self.newest = 0;
        self.counts.drain(..).collect()
    }
}

/// Waits by stack: how many, and their sum in ns.
#[derive(Debug, Default)]
pub(crate) struct Waiters(BTreeMap<StackId, (u64, u64)>);

impl Waiters {
    /// Adds `count` waits of `wait_ns` in all; `false` where the stack is one more
    /// than `limit`.
    #[must_use]
    pub(crate) fn add(&mut self, stack: StackId, count: u64, wait_ns: u64, limit: usize) -> bool {
        if self.0.len() >= limit && !self.0.contains_key(&stack) {
            return false;
        }
        let (mine, mine_ns) = self.0.entry(stack).or_default();
        *mine = mine.saturating_add(count);
        *mine_ns = mine_ns.saturating_add(wait_ns);
        true
    }

    /// All stacks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = WaiterSlice> {
        self.0.iter().map(|(&stack, &(count, wait_ns))| WaiterSlice { stack, count, wait_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_sites_beyond_the_limit_share_one() {
        let mut callers = Callers::default();
        for caller in [1, 2, 3, 1, 4, 2] {
            callers.count(caller, Op::Lookup, 2);
        }
        let counts: Vec<_> =
            callers.as_slice().iter().map(|(at, ops)| (*at, ops.total())).collect();
        assert_eq!(counts, [(1, 2), (2, 2), (OTHER, 2)]);
        assert_eq!(callers.total().get(Op::Lookup), 6);
        assert_eq!(callers.take().len(), 3);
        callers.count(9, Op::Insert, 2);
        assert_eq!(callers.as_slice().len(), 1);
    }

    #[test]
    fn stacks_beyond_the_limit_are_refused() {
        let mut waiters = Waiters::default();
        assert!(waiters.add(7, 1, 10, 1));
        assert!(!waiters.add(8, 1, 10, 1));
        assert!(waiters.add(7, 2, 5, 1));
        assert_eq!(
            waiters.iter().collect::<Vec<_>>(),
            [WaiterSlice { stack: 7, count: 3, wait_ns: 15 }]
        );
    }
}
