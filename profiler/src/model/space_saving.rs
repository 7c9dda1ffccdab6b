//! Space-Saving (Metwally, Agrawal, El Abbadi 2005): the most frequent keys of a
//! stream in bounded memory, each with a bound of its error.
//!
//! In: keys, one at a time, or whole tables of an earlier interval. Out: keys with
//! [`Ops`] and `error`, such that of each key here
//!
//! `ops.total() <= true count <= ops.total() + error`
//!
//! and of each key that is not here `true count <= floor`. While nothing was ever
//! evicted, all errors and the floor are 0 and the counts exact. For one stream of
//! N operations through a table of m entries, `error <= floor <= N/m`.
//!
//! Merging keeps both: counts and errors of a key add up, and a key that one side
//! does not have gets that side's floor as error.

mod stored;
mod windows;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use probe_ebpf::Op;

use super::{KeySlice, Ops};
use crate::decode::Key;
use stored::Stored;

/// Entries every table may have however many the others use, so that one big map
/// does not hide the keys of all others.
const GUARANTEED: usize = 64;

/// What such an entry may weigh: a key of [`probe_ebpf::LONG_KEY`] bytes does. Only a file has
/// longer ones.
const LIGHT: usize = 4;

/// Bytes of heap that a long key weighs per unit of [`Budget`]: the size of an
/// [`Entry`].
const UNIT: usize = 64;

/// How many entries tables that share memory may make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// In one table.
    pub(crate) per_table: usize,
    /// In all tables together, still to be had. A key of up to [`probe_ebpf::SHORT_KEY`] bytes
    /// weighs one, a longer one as many as its memory amounts to.
    pub(crate) left: usize,
}

impl Budget {
    /// Whether a table of `entries` may take one more, of this weight.
    fn take(&mut self, entries: usize, weight: usize) -> bool {
        let is_guaranteed = entries < GUARANTEED && weight <= LIGHT;
        let granted = entries < self.per_table && (self.left >= weight || is_guaranteed);
        if granted {
            self.left = self.left.saturating_sub(weight);
        }
        granted
    }
}

/// Kinds of operation that can have a key: the first ones of [`Op`].
const KEYED: usize = 6;

/// The counts of all kinds.
fn widened(counts: [u32; KEYED]) -> Ops {
    let mut ops = Ops::default();
    ops.0.iter_mut().zip(counts).for_each(|(wide, count)| *wide = u64::from(count));
    ops
}

/// One cache line: there are up to 65,536 in each of two tables.
#[derive(Debug)]
struct Entry {
    key: Stored,
    /// By [`Op`]; what exceeds 32 bits is in [`SpaceSaving::spill`].
    ops: [u32; KEYED],
    error: u64,
}

const _: () = assert!(size_of::<Entry>() == UNIT);

/// The table. See the module for what it promises.
#[derive(Debug, Default)]
pub(crate) struct SpaceSaving {
    hasher: RandomState,
    /// Slots of `entries` by key.
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// Counts that left an entry's 32 bits, by slot.
    spill: BTreeMap<u32, Ops>,
    /// Empty until the first eviction, then one (count, slot) for each entry. The
    /// counts may be out of date, always downwards: the top is corrected before
    /// it is believed.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    floor: u64,
    side: windows::Side,
}

impl SpaceSaving {
    /// No key that is not here has more operations than this.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Counts `count` operations on the key of true length `len` of which `key` was
    /// carried.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        key: &[u8],
        len: u64,
        op: Op,
        count: u64,
        budget: &mut Budget,
    ) {
        let hash = hash_of(&self.hasher, key, len);
        let found = self.find(hash, key, len);
        let Some(slot) = found.or_else(|| self.admit(hash, key, len, budget)) else {
            self.floor = self.floor.saturating_add(count);
            return;
        };
        let Some(here) = self.entries[slot as usize].ops.get_mut(op as usize) else { return };
        if let Ok(sum) = u32::try_from(u64::from(*here).saturating_add(count)) {
            *here = sum;
        } else {
            let mut more = Ops::default();
            more.bump_by(op, count);
            self.add(slot, &more);
        }
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8], len: u64) -> Option<u32> {
        let entries = &self.entries;
        self.index.find(hash, |&slot| entries[slot as usize].key.parts() == (key, len)).copied()
    }

    /// A slot for a key that is not here, with all that may be true of it as error.
    #[cold]
    fn admit(&mut self, hash: u64, key: &[u8], len: u64, budget: &mut Budget) -> Option<u32> {
        let stored = Stored::new(key, len);
        if budget.take(self.entries.len(), stored.weight()) {
            if self.entries.len() == self.entries.capacity() {
                // Twice as many, but not beyond the table's bound.
                let more = self.entries.len().max(GUARANTEED);
                self.reserve(more, budget);
            }
            return Some(self.append(hash, stored, self.floor));
        }
        let (count, slot) = self.least()?;
        self.floor = self.floor.max(count);
        self.replace(slot, hash, stored, self.floor, budget);
        Some(slot)
    }

    /// Makes room for `more` entries, of which as many may come as the table's bound
    /// allows.
    fn reserve(&mut self, more: usize, budget: &Budget) {
        self.entries.reserve_exact(more.min(budget.per_table.saturating_sub(self.entries.len())));
    }

    fn append(&mut self, hash: u64, key: Stored, error: u64) -> u32 {
        let slot = self.entries.len() as u32;
        self.entries.push(Entry { key, ops: Default::default(), error });
        if !self.heap.is_empty() {
            self.heap.push(Reverse((error, slot)));
        }
        self.insert_index(hash, slot);
        slot
    }

    fn insert_index(&mut self, hash: u64, slot: u32) {
        let (hasher, entries) = (&self.hasher, &self.entries);
        self.index.insert_unique(hash, slot, |&slot| {
            let (key, len) = entries[slot as usize].key.parts();
            hash_of(hasher, key, len)
        });
    }

    /// The entry with the least `ops + error`, left on top of the heap.
    fn least(&mut self) -> Option<(u64, u32)> {
        if self.heap.is_empty() {
            self.heap =
                (0..self.entries.len() as u32).map(|s| Reverse((self.upper(s), s))).collect();
        }
        loop {
            let &Reverse((stale, slot)) = self.heap.peek()?;
            let count = self.upper(slot);
            if count == stale {
                return Some((count, slot));
            }
            self.set_top(count, slot);
        }
    }

    fn set_top(&mut self, count: u64, slot: u32) {
        if let Some(mut top) = self.heap.peek_mut() {
            *top = Reverse((count, slot));
        }
    }

    /// Gives the slot on top of the heap to another key.
    fn replace(&mut self, slot: u32, hash: u64, key: Stored, error: u64, budget: &mut Budget) {
        let weight = key.weight();
        let new = Entry { key, ops: Default::default(), error };
        let old = std::mem::replace(&mut self.entries[slot as usize], new);
        let (bytes, len) = old.key.parts();
        let old_hash = hash_of(&self.hasher, bytes, len);
        if let Ok(found) = self.index.find_entry(old_hash, |&candidate| candidate == slot) {
            found.remove();
        }
        budget.left = (budget.left + old.key.weight()).saturating_sub(weight);
        self.spill.remove(&slot);
        self.side.forget(slot);
        self.insert_index(hash, slot);
        self.set_top(error, slot);
    }

    fn add(&mut self, slot: u32, ops: &Ops) {
        let counts = &mut self.entries[slot as usize].ops;
        for (index, (count, more)) in counts.iter_mut().zip(ops.0).enumerate() {
            let sum = u64::from(*count).saturating_add(more);
            *count = u32::try_from(sum).unwrap_or_else(|_| {
                let spilt = &mut self.spill.entry(slot).or_default().0[index];
                *spilt = spilt.saturating_add(sum);
                0
            });
        }
    }

    fn ops(&self, slot: u32) -> Ops {
        let mut ops = widened(self.entries[slot as usize].ops);
        if let Some(spilt) = self.spill.get(&slot) {
            ops.add(spilt);
        }
        ops
    }

    /// The most that may be true of an entry.
    fn upper(&self, slot: u32) -> u64 {
        self.ops(slot).total().saturating_add(self.entries[slot as usize].error)
    }

    /// Adds the keys of another table, whose floor is `floor`.
    pub(crate) fn merge(&mut self, keys: &[KeySlice], floor: u64, budget: &mut Budget) {
        let absent_here = self.floor;
        if floor > 0 {
            for entry in &mut self.entries {
                entry.error = entry.error.saturating_add(floor);
            }
        }
        self.floor = self.floor.saturating_add(floor);
        // Keys that both have come first: after that, whatever is evicted has its
        // whole count.
        let mut missing: Vec<u32> = Vec::new();
        for (index, theirs) in keys.iter().enumerate() {
            match self.find(self.hash(&theirs.key), &theirs.key.bytes, theirs.key.len) {
                Some(slot) => {
                    if self.side.knows(slot) || theirs.spread.is_some() {
                        let mine = self.ops(slot);
                        self.side.join(slot, &mine, theirs);
                    }
                    self.add(slot, &theirs.ops);
                    let error = &mut self.entries[slot as usize].error;
                    *error = error.saturating_sub(floor).saturating_add(theirs.error);
                }
                None => missing.push(index as u32),
            }
        }
        self.reserve(missing.len(), budget);
        for theirs in missing.into_iter().map(|index| &keys[index as usize]) {
            self.merge_new(theirs, absent_here.saturating_add(theirs.error), budget);
        }
    }

    fn hash(&self, key: &Key) -> u64 {
        hash_of(&self.hasher, &key.bytes, key.len)
    }

    /// Takes over a key that is not here, unless all that are here count for more.
    fn merge_new(&mut self, theirs: &KeySlice, error: u64, budget: &mut Budget) {
        let hash = self.hash(&theirs.key);
        // Not possible in a table this stage wrote, but in a file.
        if self.find(hash, &theirs.key.bytes, theirs.key.len).is_some() {
            return;
        }
        let stored = Stored::new(&theirs.key.bytes, theirs.key.len);
        if budget.take(self.entries.len(), stored.weight()) {
            let slot = self.append(hash, stored, error);
            self.side.join(slot, &Ops::default(), theirs);
            self.add(slot, &theirs.ops);
            return;
        }
        let upper = theirs.ops.total().saturating_add(error);
        match self.least() {
            Some((least, slot)) if least < upper && self.fits(slot, &stored, *budget) => {
                self.floor = self.floor.max(least);
                self.replace(slot, hash, stored, error, budget);
                self.side.join(slot, &Ops::default(), theirs);
                self.add(slot, &theirs.ops);
            }
            _ => self.floor = self.floor.max(upper),
        }
    }

    /// Whether there is room for a key in place of that of a slot.
    fn fits(&self, slot: u32, key: &Stored, budget: Budget) -> bool {
        let old = self.entries[slot as usize].key.weight();
        key.weight() <= LIGHT.max(old.saturating_add(budget.left))
    }

    /// All keys in the order in which they came, with ops and error.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64, Ops, u64)> {
        self.entries.iter().enumerate().map(|(slot, entry)| {
            let (bytes, len) = entry.key.parts();
            (bytes, len, self.ops(slot as u32), entry.error)
        })
    }

    /// Empties the table. Its memory stays if it was used.
    pub(crate) fn take(&mut self) -> (Vec<KeySlice>, u64) {
        let counts: Vec<Ops> = if self.spill.is_empty() {
            Vec::new()
        } else {
            (0..self.len() as u32).map(|s| self.ops(s)).collect()
        };
        let used = self.entries.len();
        let keys = self
            .entries
            .drain(..)
            .enumerate()
            .map(|(slot, entry)| KeySlice {
                key: entry.key.into_key(),
                ops: counts.get(slot).copied().unwrap_or(widened(entry.ops)),
                error: entry.error,
                spread: self.side.spread(slot as u32).map(Box::new),
            })
            .collect();
        self.entries.shrink_to(2 * used);
        self.index.clear();
        self.index.shrink_to(2 * used, |_| 0);
        self.spill.clear();
        self.heap = BinaryHeap::new();
        self.side.clear();
        (keys, std::mem::take(&mut self.floor))
    }
}

#[inline]
fn hash_of(hasher: &RandomState, key: &[u8], len: u64) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(key);
    state.write_u64(len);
    state.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const NO_OTHER_LIMIT: usize = usize::MAX;

    fn budget(per_table: usize) -> Budget {
        Budget { per_table, left: NO_OTHER_LIMIT }
    }

    fn key(number: u16) -> Vec<u8> {
        // Short and long ones, so that both ways of storing are used.
        let mut text = format!("key:{number}").into_bytes();
        if number.is_multiple_of(3) {
            text.resize(40, b'x');
        }
        text
    }

    fn table(stream: &[u16], capacity: usize) -> SpaceSaving {
        let mut table = SpaceSaving::default();
        let mut budget = budget(capacity);
        for &number in stream {
            let key = key(number);
            table.observe(&key, key.len() as u64, Op::ALL[usize::from(number % 3)], 1, &mut budget);
        }
        table
    }

    fn truth(streams: &[Vec<u16>]) -> HashMap<Vec<u8>, u64> {
        let mut counts = HashMap::new();
        for &number in streams.iter().flatten() {
            *counts.entry(key(number)).or_default() += 1;
        }
        counts
    }

    /// Fails unless the table's promise holds of every key of `truth`.
    fn check(table: &SpaceSaving, truth: &HashMap<Vec<u8>, u64>) -> Result<(), TestCaseError> {
        let mut absent = truth.clone();
        for (bytes, _, ops, error) in table.iter() {
            let count = absent.remove(bytes);
            prop_assert!(count.is_some(), "{bytes:?} is there twice or never occurred");
            let (low, high) = (ops.total(), ops.total() + error);
            prop_assert!((low..=high).contains(&count.unwrap()), "{count:?} not in {low}..={high}");
        }
        prop_assert!(
            absent.values().all(|&count| count <= table.floor),
            "{absent:?} > {}",
            table.floor
        );
        Ok(())
    }

    fn exact(table: &SpaceSaving) -> bool {
        table.floor == 0 && table.iter().all(|(.., error)| error == 0)
    }

    proptest! {
        #[test]
        fn one_stream(stream in prop::collection::vec(0_u16..60, 0..600), capacity in 1_usize..80) {
            let table = table(&stream, capacity);
            let truth = truth(std::slice::from_ref(&stream));
            check(&table, &truth)?;
            prop_assert_eq!(table.len(), truth.len().min(capacity));
            prop_assert!(table.floor <= (stream.len() / capacity) as u64);
            prop_assert!(table.iter().all(|(.., error)| error <= table.floor));
            prop_assert_eq!(exact(&table), truth.len() <= capacity);
        }

        #[test]
        fn merged_streams(
            streams in prop::collection::vec(prop::collection::vec(0_u16..40, 0..200), 1..6),
            slice_capacity in 1_usize..50,
            capacity in 1_usize..50,
        ) {
            let mut merged = SpaceSaving::default();
            let mut left = budget(capacity);
            for stream in &streams {
                let (keys, floor) = table(stream, slice_capacity).take();
                merged.merge(&keys, floor, &mut left);
            }
            let truth = truth(&streams);
            check(&merged, &truth)?;
            prop_assert_eq!(merged.len(), merged.len().min(capacity));
            if truth.len() <= capacity.min(slice_capacity) {
                prop_assert!(exact(&merged));
            }
        }

        #[test]
        fn a_merged_table_goes_on_counting(
            first in prop::collection::vec(0_u16..40, 0..200),
            second in prop::collection::vec(0_u16..40, 0..200),
            capacity in 1_usize..30,
        ) {
            let mut merged = SpaceSaving::default();
            let mut left = budget(capacity);
            let (keys, floor) = table(&first, capacity).take();
            merged.merge(&keys, floor, &mut left);
            for &number in &second {
                let key = key(number);
                merged.observe(&key, key.len() as u64, Op::Lookup, 1, &mut left);
            }
            check(&merged, &truth(&[first, second]))?;
        }
    }

    #[test]
    fn a_heavy_key_survives_a_flood_of_others() {
        let flood: Vec<u16> = (0..5000).flat_map(|i| [7, 100 + i]).collect();
        let table = table(&flood, 10);
        let heavy = table.iter().find(|row| row.0 == key(7)).expect("half of all operations");
        assert_eq!((heavy.2.total(), heavy.3), (5000, 0));
    }

    #[test]
    fn taking_leaves_an_empty_exact_table() {
        let mut table = table(&[1, 2, 3, 4, 5], 2);
        let (keys, floor) = table.take();
        assert_eq!((keys.len(), floor), (2, 2));
        table.observe(b"a", 1, Op::Insert, 1, &mut budget(2));
        assert!(exact(&table) && table.len() == 1);
    }

    #[test]
    fn cut_keys_of_different_length_are_different() {
        let mut table = SpaceSaving::default();
        for len in [3, 4, 4] {
            table.observe(b"abc", len, Op::Lookup, 1, &mut budget(9));
        }
        let rows: Vec<_> =
            table.iter().map(|(bytes, len, ops, _)| (bytes, len, ops.total())).collect();
        assert_eq!(rows, [(b"abc".as_slice(), 3, 1), (b"abc".as_slice(), 4, 2)]);
    }

    #[test]
    fn counts_beyond_32_bits() {
        let mut table = SpaceSaving::default();
        let mut left = budget(1);
        let mut ops = Ops::default();
        ops.0[Op::Insert as usize] = u64::from(u32::MAX);
        let slice = [KeySlice {
            key: Key { bytes: b"a".as_slice().into(), len: 1 },
            ops,
            error: 0,
            spread: None,
        }];
        table.merge(&slice, 0, &mut left);
        table.observe(b"a", 1, Op::Insert, 1, &mut left);
        table.merge(&slice, 0, &mut left);
        table.observe(b"a", 1, Op::Lookup, 1, &mut left);
        let (keys, _) = table.take();
        assert_eq!(keys[0].ops.get(Op::Insert), 2 * u64::from(u32::MAX) + 1);
        assert_eq!(keys[0].ops.get(Op::Lookup), 1);
    }

    #[test]
    fn an_evicted_key_leaves_no_count_behind() {
        let mut table = SpaceSaving::default();
        let mut left = budget(1);
        let mut ops = Ops::default();
        ops.0[0] = 1 << 40;
        let slice = [KeySlice {
            key: Key { bytes: b"a".as_slice().into(), len: 1 },
            ops,
            error: 0,
            spread: None,
        }];
        table.merge(&slice, 0, &mut left);
        table.observe(b"b", 1, Op::Lookup, 1, &mut left);
        let (keys, floor) = table.take();
        assert_eq!((keys[0].ops.total(), keys[0].error, floor), (1, 1 << 40, 1 << 40));
    }

    #[test]
    fn a_shared_budget_leaves_each_table_a_few() {
        let mut left = Budget { per_table: 1000, left: 200 };
        let mut tables = [SpaceSaving::default(), SpaceSaving::default()];
        for table in &mut tables {
            for number in 0..500_u16 {
                table.observe(&number.to_le_bytes(), 2, Op::Lookup, 1, &mut left);
            }
        }
        assert_eq!(tables.map(|table| table.len()), [200, GUARANTEED]);
    }

    #[test]
    fn long_keys_weigh_more() {
        let mut left = Budget { per_table: 10_000, left: 4000 };
        let mut table = SpaceSaving::default();
        for number in 0..5000_u16 {
            let key = [number.to_le_bytes(); 64].concat();
            table.observe(&key, 128, Op::Lookup, 1, &mut left);
        }
        assert_eq!(table.len(), 1000, "each weighs four");
    }

    #[test]
    fn no_room_at_all_is_counted() {
        let table = table(&[1, 1, 2], 0);
        assert_eq!((table.len(), table.floor), (0, 3));
    }
}
