//! A run, live or replayed: the sum of its slices.
//!
//! In: [`Definitions`] and [`Slice`]s in the order in which they happened. Out:
//! [`Summary`]s of everything and of the newest slice, and the recent past's
//! totals. Bounded by [`Limits`], like a slice.

use std::collections::{BTreeMap, VecDeque};

use probe_ebpf::Op;

use super::builder::{Limits, MOST_REASONS, add_lost, lost};
use super::callers::Callers;
use super::calls::{CallSlice, add_calls};
use super::hist::WaitHist;
use super::past::Past;
use super::sample::Sample;
use super::sizes::{Size, Sizes};
use super::slice::MOST_OPEN;
use super::space_saving::{Budget, SpaceSaving};
use super::spread::{Spread, join};
use super::summarize;
use super::summary::Summary;
use super::tables::{Dropped, Tables};
use super::{
    Definitions, LockId, LockSlice, MapId, MapSlice, Ops, Slice, TargetInfo, UnreadableKeys,
};

/// Slices whose totals are kept: two minutes of them at one a second.
const HISTORY: usize = 120;

/// Maps whose size over time is kept: two kilobytes each.
const MOST_SIZED: MapId = 1024;

/// Inserts that may happen between an interval's end and the reading of a map's length.
const MOMENT_INSERTS: u64 = 10_000;

/// Call sites of all maps together, but for [`FEW_CALLERS`] that each may have in any case.
const MOST_CALLERS: usize = 65_536;
const FEW_CALLERS: usize = 8;

/// Buckets of all histograms together: a thousand locks have as many as they need.
const MOST_BUCKETS: usize = 1 << 20;

/// Most keys of one map that [`Session::last_summary`] can tell.
pub const LAST_KEYS: usize = 500;

/// A slice in a few figures, to draw the recent past with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SliceTotals {
    /// Wall clock at its beginning, ns since the epoch.
    pub start_unix_ns: u64,
    /// Its length, ns.
    pub duration_ns: u64,
    /// How much of it probes were attached, ns.
    pub observed_ns: u64,
    /// Events that came.
    pub events: u64,
    /// Probe hits.
    pub hits: u64,
    /// CPU time the target used, ns, where it could be read.
    pub target_cpu_ns: Option<u64>,
    /// Map operations.
    pub ops: u64,
    /// Waits that ended.
    pub waits: u64,
    /// Their sum, ns.
    pub wait_ns: u64,
    /// Events that did not arrive or did not fit.
    pub lost: u64,
}

impl SliceTotals {
    pub(super) fn of(slice: &Slice) -> Self {
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
        Self {
            start_unix_ns: slice.start_unix_ns,
            duration_ns: slice.duration_ns,
            observed_ns: slice.observed_ns,
            events: slice.events,
            hits: slice.hits,
            target_cpu_ns: slice.target_cpu_ns,
            ops: sum(&mut slice.maps.iter().map(|map| map.ops.total())),
            waits: sum(&mut slice.locks.iter().map(|lock| lock.wait.count())),
            wait_ns: sum(&mut slice.locks.iter().map(|lock| lock.wait.sum_ns())),
            lost: sum(&mut slice.lost.values().copied()),
        }
    }
}

/// The run so far.
#[derive(Debug)]
pub struct Session {
    target: TargetInfo,
    definitions: Definitions,
    limits: Limits,
    all: Sum,
    last: Option<Last>,
    past: Past,
    history: VecDeque<SliceTotals>,
}

/// The newest slice with its most frequent keys, and how many it had.
#[derive(Debug)]
struct Last {
    slice: Slice,
    keys_tracked: BTreeMap<MapId, u64>,
    /// What its tables had no room for.
    keys_floor: BTreeMap<MapId, u64>,
}

impl Session {
    /// Of this target, with the default limits.
    pub fn new(target: TargetInfo) -> Self {
        Self::with_limits(target, Limits::default())
    }

    /// Of this target, with other limits.
    pub fn with_limits(target: TargetInfo, limits: Limits) -> Self {
        Self {
            target,
            definitions: Definitions::default(),
            limits,
            all: Sum::new(&limits),
            last: None,
            past: Past::default(),
            history: VecDeque::new(),
        }
    }

    /// Takes in names; later ones of an id replace earlier ones.
    pub fn define(&mut self, new: Definitions) {
        let known = &mut self.definitions;
        known.maps.extend(new.maps);
        known.locks.extend(new.locks);
        known.stacks.extend(new.stacks);
        known.actors.extend(new.actors);
        known.frames.extend(new.frames);
        known.types.extend(new.types);
    }

    /// Takes in the next slice.
    pub fn push(&mut self, slice: Slice) {
        self.last = None;
        let most = twice(&self.limits);
        let slice = if exceeds(&slice, &most) { merged(&[&slice], &most) } else { slice };
        self.all.add(&slice, &self.limits);
        self.past.push(&slice, self.limits.past_rows);
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(SliceTotals::of(&slice));
        self.last = Some(Last::of(slice));
    }

    /// Everything since the run began, with at most `keys` keys of each map.
    pub fn summary(&self, keys: usize) -> Summary {
        summarize::summary(&self.target, &self.definitions, &self.all, keys)
    }

    /// The newest slice, with at most `keys` and at most [`LAST_KEYS`] keys of each
    /// map. Empty before the first.
    pub fn last_summary(&self, keys: usize) -> Summary {
        let mut sum = Sum::new(&self.limits);
        let Some(last) = &self.last else {
            return summarize::summary(&self.target, &self.definitions, &sum, keys);
        };
        sum.add(&last.slice, &self.limits);
        for (id, map) in &mut sum.maps {
            map.keys_tracked = last.keys_tracked.get(id).copied();
            map.keys_floor = last.keys_floor.get(id).copied();
        }
        summarize::summary(&self.target, &self.definitions, &sum, keys)
    }

    /// One of [`Session::steps`], with at most `keys` keys of each map. A step keeps only
    /// the heaviest of its rows.
    pub fn step_summary(&self, step: usize, keys: usize) -> Option<Summary> {
        let mut sum = Sum::new(&self.limits);
        sum.add(self.past.steps().get(step)?, &self.limits);
        Some(summarize::summary(&self.target, &self.definitions, &sum, keys))
    }

    pub(super) fn past(&self) -> &Past {
        &self.past
    }

    /// Totals of the newest slices, oldest first; at most 120.
    pub fn history(&self) -> impl ExactSizeIterator<Item = &SliceTotals> {
        self.history.iter()
    }

    /// What is profiled.
    pub fn target(&self) -> &TargetInfo {
        &self.target
    }

    /// Names what is profiled, where that has become known or has changed.
    pub fn name(&mut self, target: TargetInfo) {
        self.target = target;
    }

    /// All names so far.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }
}

impl Last {
    fn of(mut slice: Slice) -> Self {
        let keys_tracked = slice.maps.iter().map(|map| (map.map, map.keys.len() as u64)).collect();
        let keys_floor = slice.maps.iter().map(|map| (map.map, map.floor)).collect();
        slice.maps.iter_mut().for_each(keep_most_frequent);
        Self { slice, keys_tracked, keys_floor }
    }
}

fn keep_most_frequent(map: &mut MapSlice) {
    let keys = &mut map.keys;
    if keys.len() > LAST_KEYS {
        keys.select_nth_unstable_by(LAST_KEYS, |a, b| {
            b.ops.total().cmp(&a.ops.total()).then_with(|| a.key.cmp(&b.key))
        });
        let most = keys[LAST_KEYS..].iter().map(|key| key.ops.total().saturating_add(key.error));
        map.floor = most.max().unwrap_or(0).max(map.floor);
        keys.truncate(LAST_KEYS);
        keys.shrink_to_fit();
    }
}

/// Twice as much of everything: tables have that while they fill.
fn twice(limits: &Limits) -> Limits {
    let twice = |limit: usize| limit.saturating_mul(2);
    Limits {
        keys_per_map: twice(limits.keys_per_map),
        total_keys: twice(limits.total_keys),
        maps: twice(limits.maps),
        callers_per_map: twice(limits.callers_per_map),
        locks: twice(limits.locks),
        key_waits: twice(limits.key_waits),
        op_stacks: twice(limits.op_stacks),
        key_sites: twice(limits.key_sites),
        waiters: twice(limits.waiters),
        holders: twice(limits.holders),
        pairs: twice(limits.pairs),
        past_rows: limits.past_rows,
    }
}

/// Whether a slice has more than the limits allow: no recorder writes one, a merge or a
/// forger may.
fn exceeds(slice: &Slice, limits: &Limits) -> bool {
    let keys: usize = slice.maps.iter().map(|map| map.keys.len()).sum();
    let callers: usize = slice.maps.iter().map(|map| map.callers.len()).sum();
    let open = slice.locks.iter().any(|lock| lock.open_longest.len() > MOST_OPEN);
    slice.maps.len() > limits.maps
        || slice.locks.len() > limits.locks
        || keys > limits.total_keys
        || callers > MOST_CALLERS
        || open
        || slice.lost.len() > MOST_REASONS
}

/// Slices that follow each other as one; what the limits drop is counted in it.
pub fn merged(slices: &[&Slice], limits: &Limits) -> Slice {
    let mut sum = Sum::new(limits);
    for slice in slices {
        sum.add(slice, limits);
    }
    let cpu_known = slices.iter().all(|slice| slice.target_cpu_ns.is_some());
    sum.into_slice(limits, cpu_known)
}

/// Slices added up.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) start_unix_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) observed_ns: u64,
    pub(super) locks_observed_ns: u64,
    pub(super) windows: u32,
    pub(super) window_probe_ns: u64,
    pub(super) window_cpu_ns: u64,
    pub(super) events: u64,
    hits: u64,
    pub(super) probe_ns: u64,
    /// Probe and CPU time of those slices for which the latter is known.
    pub(super) cpu: Option<(u64, u64)>,
    /// The most that a slice knows.
    pub(super) tasks: Option<u64>,
    pub(super) lost: BTreeMap<String, u64>,
    pub(super) calls: Vec<CallSlice>,
    pub(super) maps: BTreeMap<MapId, MapSum>,
    pub(super) locks: BTreeMap<LockId, LockSlice>,
    pub(super) tables: Tables,
    budget: Budget,
    /// Call sites of all maps together that there is room for.
    callers_left: usize,
    slices: u64,
}

#[derive(Debug, Default)]
pub(super) struct MapSum {
    pub(super) ops: Ops,
    pub(super) spread: Option<Spread>,
    pub(super) unreadable: UnreadableKeys,
    /// Elements at the end of the first and of the newest interval that knew.
    pub(super) len: Option<(u64, u64)>,
    /// Whether that is of several maps, one after the other in the same memory.
    pub(super) is_another: bool,
    /// Of a map that has a length; the first [`MOST_SIZED`] of them.
    pub(super) sizes: Sizes,
    pub(super) keys: SpaceSaving,
    /// Where it is more than `keys` holds.
    pub(super) keys_tracked: Option<u64>,
    /// Where it is not that of `keys`.
    pub(super) keys_floor: Option<u64>,
    pub(super) callers: Callers,
    /// How those differ from interval to interval.
    pub(super) sample: Sample,
}

impl Sum {
    fn new(limits: &Limits) -> Self {
        Self {
            start_unix_ns: 0,
            duration_ns: 0,
            observed_ns: 0,
            locks_observed_ns: 0,
            windows: 0,
            window_probe_ns: 0,
            window_cpu_ns: 0,
            events: 0,
            hits: 0,
            probe_ns: 0,
            cpu: None,
            tasks: None,
            lost: BTreeMap::new(),
            calls: Vec::new(),
            maps: BTreeMap::new(),
            locks: BTreeMap::new(),
            tables: Tables::default(),
            budget: limits.budget(),
            callers_left: MOST_CALLERS,
            slices: 0,
        }
    }

    fn add(&mut self, slice: &Slice, limits: &Limits) {
        if self.slices == 0 {
            self.start_unix_ns = slice.start_unix_ns;
        }
        self.tasks = self.tasks.max(slice.tasks);
        self.slices += 1;
        for (mine, theirs) in [
            (&mut self.duration_ns, slice.duration_ns),
            (&mut self.observed_ns, slice.observed_ns),
            (&mut self.locks_observed_ns, slice.locks_observed_ns),
            (&mut self.window_probe_ns, slice.window_probe_ns),
            (&mut self.window_cpu_ns, slice.window_cpu_ns),
            (&mut self.events, slice.events),
            (&mut self.hits, slice.hits),
            (&mut self.probe_ns, slice.probe_ns),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        self.windows = self.windows.saturating_add(slice.windows);
        if let Some(cpu_ns) = slice.target_cpu_ns {
            let (probe, cpu) = self.cpu.get_or_insert_default();
            *probe = probe.saturating_add(slice.probe_ns);
            *cpu = cpu.saturating_add(cpu_ns);
        }
        for (reason, count) in &slice.lost {
            add_lost(&mut self.lost, reason, *count);
        }
        add_calls(&mut self.calls, &slice.calls);
        for map in &slice.maps {
            self.add_map(map, limits);
        }
        // Waits that are open now, not those that were at the end of each slice.
        self.locks.values_mut().for_each(LockSlice::forget_open);
        for lock in &slice.locks {
            self.add_lock(lock, limits);
        }
        let mut dropped = Dropped::default();
        self.tables.merge(&slice.tables, limits, &mut dropped);
        for (reason, count) in dropped.named() {
            add_lost(&mut self.lost, reason, count);
        }
        self.bound_buckets();
    }

    /// Makes histograms coarser where all of them together have too many buckets.
    fn bound_buckets(&mut self) {
        loop {
            let (mut all, mut most) = (0, 0);
            for hist in self.hists_mut() {
                all += hist.len();
                most = most.max(hist.len());
            }
            if all <= MOST_BUCKETS || most < 2 {
                return;
            }
            self.hists_mut().filter(|hist| hist.len() > most / 2).for_each(WaitHist::coarsen);
        }
    }

    fn hists_mut(&mut self) -> impl Iterator<Item = &mut WaitHist> {
        let locks = self.locks.values_mut().flat_map(|lock| [&mut lock.wait, &mut lock.hold]);
        locks.chain(self.tables.hists_mut())
    }

    fn into_slice(mut self, limits: &Limits, cpu_known: bool) -> Slice {
        let mut dropped = Dropped::default();
        self.tables.prune(limits, &mut dropped);
        for (reason, count) in dropped.named() {
            add_lost(&mut self.lost, reason, count);
        }
        let map = |(map, mut sum): (MapId, MapSum)| {
            let (keys, floor) = sum.keys.take();
            MapSlice {
                map,
                ops: sum.ops,
                spread: sum.spread,
                unreadable: sum.unreadable,
                len: sum.len.map(|(_, now)| now),
                keys,
                floor,
                callers: sum.callers.take(),
            }
        };
        Slice {
            start_unix_ns: self.start_unix_ns,
            duration_ns: self.duration_ns,
            observed_ns: self.observed_ns,
            locks_observed_ns: self.locks_observed_ns,
            windows: self.windows,
            window_probe_ns: self.window_probe_ns,
            window_cpu_ns: self.window_cpu_ns,
            events: self.events,
            hits: self.hits,
            probe_ns: self.probe_ns,
            target_cpu_ns: self.cpu.filter(|_| cpu_known).map(|(_, cpu)| cpu),
            tasks: self.tasks,
            lost: self.lost,
            calls: self.calls,
            maps: self.maps.into_iter().map(map).collect(),
            locks: self.locks.into_values().filter(|lock| !lock.is_empty()).collect(),
            tables: self.tables,
        }
    }

    fn add_map(&mut self, map: &MapSlice, limits: &Limits) {
        if self.maps.len() >= limits.maps && !self.maps.contains_key(&map.map) {
            return add_lost(&mut self.lost, lost::MAPS, map.ops.total());
        }
        let at_ns = self.duration_ns;
        let sum = self.maps.entry(map.map).or_default();
        join(&mut sum.spread, sum.ops.total(), map.spread, map.ops.total());
        sum.ops.add(&map.ops);
        sum.unreadable.add(&map.unreadable);
        if let Some(len) = map.len {
            // More than it gained is another map in its memory. It is read a moment after the
            // interval, and of an estimate little is known.
            let gain = map.ops.get(Op::Insert).saturating_mul(2).saturating_add(MOMENT_INSERTS);
            sum.is_another |= map.spread.is_none()
                && sum.len.is_some_and(|(_, before)| len > before.saturating_add(gain));
            let first = sum.len.map_or(len, |(first, _)| first);
            sum.len = Some((first, len));
            if map.map < MOST_SIZED {
                sum.sizes.push(Size { at_ns, len, ops: map.ops });
            }
        }
        sum.keys.merge(&map.keys, map.floor, &mut self.budget);
        let before = sum.callers.as_slice().len();
        let room = (before + self.callers_left).max(FEW_CALLERS);
        let limit = limits.callers_per_map.min(room);
        for (caller, ops) in &map.callers {
            sum.callers.add(*caller, ops, limit);
        }
        sum.sample.add(&map.callers, limit);
        let more = sum.callers.as_slice().len() - before;
        self.callers_left = self.callers_left.saturating_sub(more);
    }

    fn add_lock(&mut self, lock: &LockSlice, limits: &Limits) {
        if self.locks.len() >= limits.locks && !self.locks.contains_key(&lock.lock) {
            return add_lost(
                &mut self.lost,
                lost::LOCKS,
                lock.wait.count().saturating_add(lock.open),
            );
        }
        let sum = self
            .locks
            .entry(lock.lock)
            .or_insert_with(|| LockSlice { lock: lock.lock, ..LockSlice::default() });
        sum.add(lock);
    }
}
