//! What is told of single keys, stacks and pairs: tables that keep the rows that
//! weigh most.
//!
//! In: rows by key, one event or one whole table at a time. Out: the same rows,
//! bounded, and how many events were in those that were dropped.

use std::borrow::Borrow;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::ops::RangeBounds;

use serde::{Deserialize, Serialize};

use super::builder::{Limits, lost};
use super::hist::WaitHist;
use super::{ActorId, LockId, MapId, MapKey, Mode, Ops, StackId};

/// What stands in a row.
pub trait Row: Default {
    /// Adds another's figures.
    fn add(&mut self, other: &Self);
    /// By which rows are compared: ns, or operations.
    fn weight(&self) -> u64;
    /// How many events it is made of.
    fn events(&self) -> u64;
}

/// The rows that weigh most. Up to twice the limit while it fills, so that the
/// lesser half can be dropped at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Top<K: Ord, V>(BTreeMap<K, V>);

impl<K: Ord, V> Default for Top<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: Row> Top<K, V> {
    /// The row of `key`. What had to go to make room is added to `lost`.
    pub(crate) fn row(&mut self, key: K, limit: usize, lost: &mut u64) -> &mut V {
        if self.0.len() >= 2 * limit && !self.0.contains_key(&key) {
            *lost = lost.saturating_add(self.prune(limit));
        }
        self.0.entry(key).or_default()
    }

    /// The row of `key`, where there is one.
    pub(crate) fn known<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    /// Keeps the `limit` heaviest rows, of equal ones the first; returns how many
    /// events the others are made of.
    pub(crate) fn prune(&mut self, limit: usize) -> u64 {
        if self.0.len() <= limit {
            return 0;
        }
        let mut rows: Vec<(K, V)> = std::mem::take(&mut self.0).into_iter().collect();
        rows.sort_by_key(|(_, row)| Reverse(row.weight()));
        let dropped = rows.split_off(limit);
        self.0 = rows.into_iter().collect();
        dropped.iter().fold(0, |sum, (_, row)| sum.saturating_add(row.events()))
    }

    /// All rows, by key, to be changed.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut()
    }

    /// All rows, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }

    /// The rows with keys in the range.
    pub(crate) fn range(&self, keys: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &V)> {
        self.0.range(keys)
    }
}

impl<K: Ord + Clone, V: Row + Clone> Top<K, V> {
    /// The `limit` heaviest rows, of equal ones the first.
    fn heaviest(&self, limit: usize) -> Self {
        let mut rows: Vec<(&K, &V)> = self.0.iter().collect();
        rows.sort_by_key(|(_, row)| Reverse(row.weight()));
        rows.truncate(limit);
        Self(rows.into_iter().map(|(key, row)| (key.clone(), row.clone())).collect())
    }
}

impl<K: Ord + Clone, V: Row> Top<K, V> {
    pub(super) fn merge(&mut self, other: &Self, limit: usize, lost: &mut u64) {
        for (key, row) in other.iter() {
            self.row(key.clone(), limit, lost).add(row);
        }
    }
}

/// A key's call site, owned or not, so that its row is found without an allocation.
pub(crate) trait KeySite {
    /// Map, bytes and true length of the key, and the return address: in the order of
    /// [`MapKey`]'s fields.
    fn parts(&self) -> (MapId, &[u8], u64, u64);
}

impl KeySite for (MapKey, u64) {
    fn parts(&self) -> (MapId, &[u8], u64, u64) {
        let (MapKey { map, key }, caller) = self;
        (*map, &key.bytes, key.len, *caller)
    }
}

impl KeySite for (MapId, &[u8], u64, u64) {
    fn parts(&self) -> (MapId, &[u8], u64, u64) {
        *self
    }
}

impl<'a> Borrow<dyn KeySite + 'a> for (MapKey, u64) {
    fn borrow(&self) -> &(dyn KeySite + 'a) {
        self
    }
}

impl Ord for dyn KeySite + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for dyn KeySite + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn KeySite + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn KeySite + '_ {}

/// Bytes that a row takes, and how many buckets of a histogram take as much.
pub(crate) const ROW: usize = 80;
pub(crate) const BUCKETS: usize = 3;

/// Example tasks that one row tells of.
const MOST_TASKS: usize = 4;

/// The first few goroutines or threads of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tasks(Vec<u64>);

impl Tasks {
    /// Takes in one more; 0 is none.
    pub(crate) fn note(&mut self, task: u64) {
        if task != 0 && self.0.len() < MOST_TASKS && !self.0.contains(&task) {
            self.0.push(task);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|&task| self.note(task));
    }

    /// Their numbers, in the order in which they came.
    pub fn as_slice(&self) -> &[u64] {
        &self.0
    }
}

/// Waits: how many, how long in all, and who.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// How many.
    pub count: u64,
    /// How long in all, ns.
    pub wait_ns: u64,
    /// Some of those who waited, where that is told.
    pub tasks: Tasks,
}

impl Waits {
    /// Counts one wait.
    pub(crate) fn record(&mut self, ns: u64) {
        self.count = self.count.saturating_add(1);
        self.wait_ns = self.wait_ns.saturating_add(ns);
    }
}

impl Row for Waits {
    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.wait_ns = self.wait_ns.saturating_add(other.wait_ns);
        self.tasks.add(&other.tasks);
    }

    fn weight(&self) -> u64 {
        self.wait_ns
    }

    fn events(&self) -> u64 {
        self.count
    }
}

/// Others' waits that are charged to one holder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Blamed {
    /// Those waits, or their parts in which it was the holder.
    pub blame: WaitHist,
    /// Some of those who held.
    pub tasks: Tasks,
}

impl Row for Blamed {
    fn add(&mut self, other: &Self) {
        self.blame.add(&other.blame);
        self.tasks.add(&other.tasks);
    }

    fn weight(&self) -> u64 {
        self.blame.sum_ns()
    }

    fn events(&self) -> u64 {
        self.blame.count()
    }
}

impl Row for WaitHist {
    fn add(&mut self, other: &Self) {
        self.add(other);
    }

    fn weight(&self) -> u64 {
        self.sum_ns()
    }

    fn events(&self) -> u64 {
        self.count()
    }
}

impl Row for Ops {
    fn add(&mut self, other: &Self) {
        self.add(other);
    }

    fn weight(&self) -> u64 {
        self.all()
    }

    fn events(&self) -> u64 {
        self.all()
    }
}

/// All such tables of one interval or of many. The maps and locks that they speak
/// of have figures of their own, which are whole whatever is dropped here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tables {
    /// Waits for locks, by the key that they belong to.
    pub key_waits: Top<MapKey, WaitHist>,
    /// Operations that told their stack.
    pub op_stacks: Top<(MapId, StackId), Ops>,
    /// Operations of keys that told their call site, by its return address.
    pub key_sites: Top<(MapKey, u64), Ops>,
    /// Who waited.
    pub waiters: Top<(LockId, StackId, Option<Mode>), Waits>,
    /// Who made others wait.
    pub holders: Top<(LockId, ActorId, Option<Mode>), Blamed>,
    /// Who, first, made whom wait; [`super::NO_ACTOR`] where the first is not known.
    pub pairs: Top<(LockId, ActorId, ActorId), Waits>,
}

/// Events of dropped rows, table by table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) key_waits: u64,
    pub(crate) op_stacks: u64,
    /// Not told: it is a sample in any case, and many keys have no room.
    pub(crate) key_sites: u64,
    pub(crate) waiters: u64,
    pub(crate) holders: u64,
    pub(crate) pairs: u64,
}

impl Dropped {
    /// With their names in [`super::Slice::lost`].
    pub(crate) fn named(self) -> [(&'static str, u64); 5] {
        [
            (lost::KEY_WAITS, self.key_waits),
            (lost::OP_STACKS, self.op_stacks),
            (lost::WAITERS, self.waiters),
            (lost::HOLDERS, self.holders),
            (lost::PAIRS, self.pairs),
        ]
    }
}

impl Tables {
    /// Adds another's rows.
    pub(crate) fn merge(&mut self, other: &Self, limits: &Limits, lost: &mut Dropped) {
        self.key_waits.merge(&other.key_waits, limits.key_waits, &mut lost.key_waits);
        self.op_stacks.merge(&other.op_stacks, limits.op_stacks, &mut lost.op_stacks);
        self.key_sites.merge(&other.key_sites, limits.key_sites, &mut lost.key_sites);
        self.waiters.merge(&other.waiters, limits.waiters, &mut lost.waiters);
        self.holders.merge(&other.holders, limits.holders, &mut lost.holders);
        self.pairs.merge(&other.pairs, limits.pairs, &mut lost.pairs);
    }

    /// All histograms in them.
    pub(crate) fn hists_mut(&mut self) -> impl Iterator<Item = &mut WaitHist> {
        let holders = self.holders.0.values_mut().map(|row| &mut row.blame);
        self.key_waits.0.values_mut().chain(holders)
    }

    /// What the histograms and the bytes of keys in them take beside their rows, in rows.
    pub(crate) fn beside_rows(&self) -> usize {
        let keys = self.key_waits.0.keys().chain(self.key_sites.0.keys().map(|(key, _)| key));
        let bytes: usize = keys.map(|key| key.key.bytes.len()).sum();
        let holders = self.holders.0.values().map(|row| &row.blame);
        let buckets: usize = self.key_waits.0.values().chain(holders).map(WaitHist::len).sum();
        bytes / ROW + buckets / BUCKETS
    }

    /// Rows of all of them.
    pub(crate) fn rows(&self) -> usize {
        let Self { key_waits, op_stacks, key_sites, waiters, holders, pairs } = self;
        [key_waits.0.len(), op_stacks.0.len(), key_sites.0.len()].iter().sum::<usize>()
            + [waiters.0.len(), holders.0.len(), pairs.0.len()].iter().sum::<usize>()
    }

    /// The heaviest rows of each.
    pub(crate) fn heaviest(&self, limits: &Limits) -> Self {
        Self {
            key_waits: self.key_waits.heaviest(limits.key_waits),
            op_stacks: self.op_stacks.heaviest(limits.op_stacks),
            key_sites: self.key_sites.heaviest(limits.key_sites),
            waiters: self.waiters.heaviest(limits.waiters),
            holders: self.holders.heaviest(limits.holders),
            pairs: self.pairs.heaviest(limits.pairs),
        }
    }

    /// Cuts every table to its limit.
    pub(crate) fn prune(&mut self, limits: &Limits, lost: &mut Dropped) {
        lost.key_waits += self.key_waits.prune(limits.key_waits);
        lost.op_stacks += self.op_stacks.prune(limits.op_stacks);
        lost.key_sites += self.key_sites.prune(limits.key_sites);
        lost.waiters += self.waiters.prune(limits.waiters);
        lost.holders += self.holders.prune(limits.holders);
        lost.pairs += self.pairs.prune(limits.pairs);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waits(count: u64, wait_ns: u64) -> Waits {
        Waits { count, wait_ns, tasks: Tasks::default() }
    }

    fn table(rows: &[(u32, u64)], limit: usize) -> (Top<u32, Waits>, u64) {
        let (mut table, mut lost) = (Top::<u32, Waits>::default(), 0);
        for &(key, ns) in rows {
            table.row(key, limit, &mut lost).record(ns);
        }
        (table, lost)
    }

    #[test]
    fn the_heaviest_rows_stay_and_the_others_are_counted() {
        let (mut table, lost) = table(&[(1, 5), (2, 90), (3, 7), (4, 80), (3, 1)], 2);
        assert_eq!(lost, 0, "twice the limit while it fills");
        assert_eq!(table.prune(2), 3);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(&2, &waits(1, 90)), (&4, &waits(1, 80))]);
    }

    #[test]
    fn of_equal_rows_the_first_stay() {
        let (mut table, _) = table(&[(3, 5), (1, 5), (2, 5)], 2);
        table.prune(2);
        assert_eq!(table.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_few_tasks_are_examples_and_0_is_none() {
        let mut tasks = Tasks::default();
        for task in [0, 7, 7, 3, 9, 1, 2] {
            tasks.note(task);
        }
        assert_eq!(tasks.as_slice(), [7, 3, 9, 1]);
    }

    proptest! {
        #[test]
        fn nothing_is_dropped_uncounted(
            rows in prop::collection::vec((0_u32..40, 0_u64..100), 0..300),
            limit in 0_usize..30,
        ) {
            let (first, second) = rows.split_at(rows.len() / 2);
            let (mut sum, mut lost) = table(first, limit);
            let (other, other_lost) = table(second, limit);
            sum.merge(&other, limit, &mut lost);
            prop_assert!(sum.0.len() <= (2 * limit).max(1));
            let kept = sum.iter().fold(0, |n, (_, row)| n + row.count);
            prop_assert_eq!(kept + lost + other_lost, rows.len() as u64);
            let dropped = sum.prune(limit);
            prop_assert!(sum.0.len() <= limit);
            let left = sum.iter().fold(0, |n, (_, row)| n + row.count);
            prop_assert_eq!(left + dropped, kept);
        }
    }
}
