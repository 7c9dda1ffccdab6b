//! Operations by call site: a small table with a bound.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use probe_ebpf::Op;

use super::Ops;

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
    /// Counts operations; at most `limit` call sites get a slot of their own.
    #[inline]
    pub(crate) fn count(&mut self, caller: u64, op: Op, count: u64, limit: usize) {
        match self.counts.get_mut(self.newest) {
            Some((same, ops)) if *same == caller => ops.bump_by(op, count),
            _ => self.slot(caller, limit).bump_by(op, count),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_sites_beyond_the_limit_share_one() {
        let mut callers = Callers::default();
        for caller in [1, 2, 3, 1, 4, 2] {
            callers.count(caller, Op::Lookup, 1, 2);
        }
        let counts: Vec<_> =
            callers.as_slice().iter().map(|(at, ops)| (*at, ops.total())).collect();
        assert_eq!(counts, [(1, 2), (2, 2), (OTHER, 2)]);
        assert_eq!(callers.total().get(Op::Lookup), 6);
        assert_eq!(callers.take().len(), 3);
        callers.count(9, Op::Insert, 1, 2);
        assert_eq!(callers.as_slice().len(), 1);
    }
}
