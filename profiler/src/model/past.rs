//! The run's past, interval by interval, in bounded memory.
//!
//! In: slices as they come. Out: the same with only their heaviest rows, where the oldest
//! are joined with their neighbours once there are too many.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::builder::Limits;
use super::session::merged;
use super::tables::{BUCKETS, ROW};
use super::{LockSlice, MapSlice, Slice};

/// Keys of one map that a step tells.
const KEYS: usize = 48;
/// Call sites of one map that a step tells.
const CALLERS: usize = 16;
/// Parts of the steps, the newest ones, that stay as they came: a quarter.
const FRESH: usize = 4;
/// Steps that are not joined.
const FEWEST: usize = 8;

/// Rows beyond which even those are: some 80 MB.
const MOST_ROWS: usize = 1_000_000;

/// The tables of one step.
const ROWS: Limits = Limits {
    keys_per_map: KEYS,
    total_keys: usize::MAX,
    maps: usize::MAX,
    callers_per_map: CALLERS,
    locks: usize::MAX,
    key_waits: 128,
    op_stacks: 64,
    key_sites: 128,
    waiters: 128,
    holders: 64,
    pairs: 128,
    past_rows: 0,
};

/// Steps, oldest first.
#[derive(Debug, Default)]
pub(super) struct Past {
    steps: VecDeque<Slice>,
    rows: usize,
}

impl Past {
    /// Takes in the next slice; all steps together keep to so many rows.
    pub(super) fn push(&mut self, slice: &Slice, limit: usize) {
        self.append(trimmed(slice));
        while self.steps.len() > 1
            && self.rows > if self.steps.len() > FEWEST { limit } else { limit.max(MOST_ROWS) }
        {
            self.join();
        }
    }

    fn append(&mut self, step: Slice) {
        self.rows += rows(&step);
        self.steps.push_back(step);
    }

    /// Makes one of the two neighbours that are shortest together, of equal ones the
    /// oldest.
    fn join(&mut self) {
        let old = self.steps.len() - self.steps.len() / FRESH;
        let pairs = (1..old).map(|second| (second, [&self.steps[second - 1], &self.steps[second]]));
        let shortest = pairs.min_by_key(|(_, [a, b])| a.duration_ns.saturating_add(b.duration_ns));
        let Some((second, [a, b])) = shortest else { return };
        let joined =
            trimmed(&merged(&[a, b], &Limits { total_keys: usize::MAX, ..Limits::default() }));
        self.rows = (self.rows + rows(&joined)).saturating_sub(rows(a) + rows(b));
        self.steps[second - 1] = joined;
        self.steps.remove(second);
    }

    /// Oldest first.
    pub(super) fn steps(&self) -> &VecDeque<Slice> {
        &self.steps
    }
}

/// What a step costs, in rows of a table.
fn rows(step: &Slice) -> usize {
    let map = |map: &MapSlice| {
        let long: usize = map.keys.iter().map(|key| key.key.bytes.len() / ROW).sum();
        2 + map.keys.len() + long + map.callers.len()
    };
    let lock = |lock: &LockSlice| {
        4 + (lock.wait.len() + lock.hold.len()) / BUCKETS + lock.open_longest.len() / 2
    };
    let maps: usize = step.maps.iter().map(map).sum();
    let locks: usize = step.locks.iter().map(lock).sum();
    1 + maps + locks + step.tables.rows() + step.tables.beside_rows()
}

/// The slice with its heaviest rows.
fn trimmed(slice: &Slice) -> Slice {
    // What is left out is not lost: the session's sum has it.
    slice.with(slice.maps.iter().map(trimmed_map).collect(), slice.tables.heaviest(&ROWS))
}

fn trimmed_map(map: &MapSlice) -> MapSlice {
    let mut keys: Vec<_> = map.keys.iter().collect();
    keys.sort_by_key(|key| Reverse(key.ops.total()));
    let dropped = keys.split_off(KEYS.min(keys.len()));
    let most = dropped.iter().map(|key| key.ops.total().saturating_add(key.error)).max();
    let mut callers = map.callers.clone();
    callers.sort_by_key(|(_, ops)| Reverse(ops.total()));
    callers.truncate(CALLERS);
    MapSlice {
        floor: map.floor.max(most.unwrap_or(0)),
        keys: keys.into_iter().cloned().collect(),
        callers,
        ..*map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Builder, SliceMeta, fixture};
    use probe_ebpf::Op;

    fn slice(at: u64, keys: u32) -> Slice {
        let mut builder = Builder::new(Limits::default());
        for key in 0..keys {
            for _ in 0..=key {
                builder.operation(0, Op::Lookup, Some((&key.to_le_bytes(), 4)), None, 7, 1);
            }
        }
        builder.close(SliceMeta {
            start_unix_ns: at,
            duration_ns: 1,
            observed_ns: 1,
            locks_observed_ns: 1,
            ..SliceMeta::default()
        })
    }

    #[test]
    fn a_step_has_the_hottest_keys_and_says_how_hot_the_others_were() {
        let step = trimmed(&slice(0, 100));
        assert_eq!(step.maps[0].keys.len(), KEYS);
        assert_eq!(step.maps[0].keys[0].ops.total(), 100);
        assert_eq!(step.maps[0].floor, 100 - KEYS as u64);
        assert_eq!(step.maps[0].ops, slice(0, 100).maps[0].ops);
    }

    #[test]
    fn a_long_past_gets_coarse_from_its_old_end_and_loses_nothing() {
        let mut past = Past::default();
        let limit = 40 * rows(&trimmed(&slice(0, 20)));
        for at in 0..1000 {
            past.push(&slice(at, 20), limit);
        }
        assert!(past.rows <= limit && past.rows == past.steps.iter().map(rows).sum::<usize>());
        let ops = |step: &Slice| step.maps[0].ops.total();
        assert_eq!(past.steps.iter().map(ops).sum::<u64>(), 1000 * 210);
        assert_eq!(past.steps.iter().map(|step| step.duration_ns).sum::<u64>(), 1000);
        assert!(past.steps.iter().is_sorted_by_key(|step| step.start_unix_ns));
        assert_eq!(past.steps.back().unwrap().duration_ns, 1);
        assert!(past.steps.front().unwrap().duration_ns > 16);
    }

    #[test]
    fn what_the_fixture_tells_is_short_enough_to_be_kept_whole() {
        for slice in fixture::slices() {
            let mut step = trimmed(&slice);
            for (kept, map) in step.maps.iter_mut().zip(&slice.maps) {
                kept.keys.sort_by(|a, b| a.key.cmp(&b.key));
                let mut keys = map.keys.clone();
                keys.sort_by(|a, b| a.key.cmp(&b.key));
                assert_eq!(kept.keys, keys);
            }
            assert_eq!(step.tables, slice.tables);
        }
    }
}
