//! Slices of several sources that were at the same time, as one.
//!
//! In: for each source its slices of an interval. Out: one slice. What happened adds up;
//! time does not: it is as long as the longest, and observed as the mean of all.

use std::collections::BTreeMap;

use super::Stream;
use super::translate::Common;
use crate::model::{Limits, LockId, LockSlice, MapId, OpenSlice, Slice, merged};

/// Open waits of a lock that are told one by one, as the model has them.
const MOST_OPEN: usize = 16;

/// Twice what a session has, which drops the lighter half when it reads this.
const LIMITS: Limits = Limits {
    keys_per_map: 131_072,
    total_keys: 131_072,
    maps: 8192,
    callers_per_map: 512,
    locks: 2048,
    key_waits: 4096,
    op_stacks: 4096,
    key_sites: 4096,
    waiters: 8192,
    holders: 2048,
    pairs: 8192,
    past_rows: 0,
};

/// Joins one interval after the other.
#[derive(Debug)]
pub(super) struct Joiner {
    /// How many elements each source's maps had last.
    lens: Vec<BTreeMap<MapId, u64>>,
}

impl Joiner {
    pub(super) fn new(sources: usize) -> Self {
        Self { lens: vec![BTreeMap::new(); sources] }
    }

    /// The interval as one slice in the common ids.
    pub(super) fn join(
        &mut self,
        interval: Vec<Vec<Slice>>,
        streams: &mut [Stream],
        common: &mut Common,
    ) -> Slice {
        let several = streams.len() > 1;
        let mut parts = Vec::new();
        for (number, mut slices) in interval.into_iter().enumerate() {
            let Some(slice) = slices.pop() else { continue };
            let slice = streams[number].translator.slice(slice, common);
            let mut lens: BTreeMap<MapId, u64> = BTreeMap::new();
            for (map, len) in slice.maps.iter().filter_map(|map| Some((map.map, map.len?))) {
                let sum = lens.entry(map).or_default();
                *sum = sum.saturating_add(len);
            }
            self.lens[number].extend(lens);
            parts.push(slice);
        }
        if !several {
            return parts.pop().unwrap_or_default();
        }
        let joined = side_by_side(&parts);
        let joined = self.with_lens(joined);
        for (lens, stream) in self.lens.iter_mut().zip(streams) {
            // What has ended has no elements any more.
            if stream.slices.peek().is_none() {
                lens.clear();
            }
        }
        joined
    }

    /// A map of several sources has the elements of all.
    fn with_lens(&self, mut slice: Slice) -> Slice {
        for map in &mut slice.maps {
            let lens = self.lens.iter().filter_map(|lens| lens.get(&map.map));
            map.len = lens.copied().reduce(u64::saturating_add);
        }
        slice
    }
}

/// One source's slices, one after the other.
pub(super) fn in_a_row(slices: &[&Slice]) -> Slice {
    merged(slices, &LIMITS)
}

fn side_by_side(parts: &[Slice]) -> Slice {
    let all: Vec<&Slice> = parts.iter().collect();
    let mut joined = merged(&all, &LIMITS);
    let sum = |of: fn(&Slice) -> u64| parts.iter().fold(0, |sum, it| sum + u128::from(of(it)));
    let duration = sum(|it| it.duration_ns);
    joined.start_unix_ns = parts.iter().map(|it| it.start_unix_ns).min().unwrap_or(0);
    joined.duration_ns = parts.iter().map(|it| it.duration_ns).max().unwrap_or(0);
    let mean = |observed: u128| {
        let mean = u128::from(joined.duration_ns).saturating_mul(observed).checked_div(duration);
        u64::try_from(mean.unwrap_or(0)).unwrap_or(u64::MAX)
    };
    (joined.observed_ns, joined.locks_observed_ns) =
        (mean(sum(|it| it.observed_ns)), mean(sum(|it| it.locks_observed_ns)));
    joined.tasks = parts.iter().try_fold(0, |sum: u64, it| Some(sum.saturating_add(it.tasks?)));
    open_waits(&mut joined, parts);
    joined
}

/// Who waits still, waits in one of the sources.
fn open_waits(joined: &mut Slice, parts: &[Slice]) {
    let mut open: BTreeMap<LockId, (u64, u64, Vec<OpenSlice>)> = BTreeMap::new();
    for lock in parts.iter().flat_map(|part| &part.locks).filter(|lock| lock.open > 0) {
        let (count, longest, waits) = open.entry(lock.lock).or_default();
        *count = count.saturating_add(lock.open);
        *longest = lock.open_max_ns.max(*longest);
        waits.extend(lock.open_longest.iter().cloned());
    }
    for lock in &mut joined.locks {
        let (count, longest, mut waits) = open.remove(&lock.lock).unwrap_or_default();
        waits.sort_by_key(|wait| std::cmp::Reverse(wait.waited_ns));
        waits.truncate(MOST_OPEN);
        (lock.open, lock.open_max_ns, lock.open_longest) = (count, longest, waits);
    }
    for (lock, (open, open_max_ns, mut open_longest)) in open {
        open_longest.sort_by_key(|wait| std::cmp::Reverse(wait.waited_ns));
        open_longest.truncate(MOST_OPEN);
        let slice = LockSlice { lock, open, open_max_ns, open_longest, ..LockSlice::default() };
        joined.locks.push(slice);
    }
    joined.locks.sort_by_key(|lock| lock.lock);
}
