//! The tables that user space counts in.

use probe_ebpf::Op;

use crate::model::{
    KeySlice,
    hist::WaitHist,
    space_saving::{Budget, SpaceSaving},
};

/// Keys counted by the Space-Saving algorithm.
pub struct Keys {
    table: SpaceSaving,
    budget: Budget,
}

impl Keys {
    /// With room for so many.
    pub fn new(room: usize) -> Self {
        Self { table: SpaceSaving::default(), budget: Budget { per_table: room, left: usize::MAX } }
    }

    /// Counts one lookup.
    #[inline]
    pub fn observe(&mut self, key: &[u8]) {
        self.table.observe(key, key.len() as u64, Op::Lookup, 1, &mut self.budget);
    }

    /// Adds another table's keys.
    pub fn merge(&mut self, keys: &[KeySlice], floor: u64) {
        self.table.merge(keys, floor, &mut self.budget);
    }

    /// Empties it.
    pub fn take(&mut self) -> (Vec<KeySlice>, u64) {
        self.table.take()
    }
}

/// Two distributions of waits, to be added up.
pub struct Histograms {
    sum: WaitHist,
    other: WaitHist,
}

impl Histograms {
    /// Of so many waits each, from a microsecond to some milliseconds.
    pub fn new(waits: u64) -> Self {
        let of = |factor: u64| {
            let mut hist = WaitHist::default();
            (0..waits).for_each(|number| hist.record(1000 + number * factor % 8_000_000));
            hist
        };
        Self { sum: of(7919), other: of(104_729) }
    }

    /// Adds the second to the first.
    pub fn merge(&mut self) {
        self.sum.add(&self.other);
    }
}
