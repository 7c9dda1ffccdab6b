//! The interval that is going on.
//!
//! In: operations and waits, one at a time, up to millions a second. Out: a
//! [`Slice`] for each interval. Everything is bounded by [`Limits`]; what they
//! drop is counted in [`Slice::lost`].

use std::collections::BTreeMap;

use probe_ebpf::Op;

use super::callers::{Callers, Waiters};
use super::hist::WaitHist;
use super::space_saving::{Budget, SpaceSaving};
use super::{LockId, LockSlice, MapId, MapSlice, Slice, StackId};

/// Bounds of what is kept, in an interval and in a session alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys of one map.
    pub keys_per_map: usize,
    /// Keys of all maps together, but for a few that each may have in any case.
    /// Counted in keys of up to 24 bytes; one of 128 bytes weighs as four.
    pub total_keys: usize,
    /// Maps.
    pub maps: usize,
    /// Call sites of one map.
    pub callers_per_map: usize,
    /// Locks.
    pub locks: usize,
    /// Stacks of one lock.
    pub stacks_per_lock: usize,
}

impl Default for Limits {
    /// What keeps an interval and a session together within 30 MB.
    fn default() -> Self {
        Self {
            keys_per_map: 100_000,
            total_keys: 100_000,
            maps: 4096,
            callers_per_map: 256,
            locks: 1024,
            stacks_per_lock: 64,
        }
    }
}

impl Limits {
    pub(super) fn budget(&self) -> Budget {
        Budget { per_table: self.keys_per_map, left: self.total_keys }
    }
}

/// Names in [`Slice::lost`] of what the limits drop.
pub mod lost {
    /// Operations of maps beyond [`super::Limits::maps`].
    pub const MAPS: &str = "maps_beyond_limit";
    /// Waits for locks beyond [`super::Limits::locks`].
    pub const LOCKS: &str = "locks_beyond_limit";
    /// Waits whose stack is beyond [`super::Limits::stacks_per_lock`]; the lock's
    /// own figures have them.
    pub const STACKS: &str = "stacks_beyond_limit";
}

/// What a slice says beside its maps and locks; see the fields of [`Slice`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of Slice")]
pub struct SliceMeta {
    pub start_unix_ns: u64,
    pub duration_ns: u64,
    pub observed_ns: u64,
    pub events: u64,
    pub hits: u64,
    pub probe_ns: u64,
    pub target_cpu_ns: Option<u64>,
    pub lost: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct MapTable {
    unreadable_keys: u64,
    keys: SpaceSaving,
    /// Holds every operation, and thus the map's counts.
    callers: Callers,
}

#[derive(Debug, Default)]
struct LockTable {
    wait: WaitHist,
    waiters: Waiters,
    open: u64,
    open_max_ns: u64,
}

/// Builds one slice after another.
#[derive(Debug)]
pub struct Builder {
    limits: Limits,
    budget: Budget,
    maps: Vec<MapTable>,
    locks: Vec<LockTable>,
    lost_maps: u64,
    lost_locks: u64,
    lost_stacks: u64,
}

impl Builder {
    /// With nothing in it.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            budget: limits.budget(),
            maps: Vec::new(),
            locks: Vec::new(),
            lost_maps: 0,
            lost_locks: 0,
            lost_stacks: 0,
        }
    }

    /// Counts one operation. `key` is the bytes that were carried and the key's
    /// true length; `None` where the operation has none or where it could not be
    /// read, which `key_unreadable` tells. `caller` is the return address.
    #[inline]
    pub fn operation(
        &mut self,
        map: MapId,
        op: Op,
        key: Option<(&[u8], u64)>,
        key_unreadable: bool,
        caller: u64,
    ) {
        let Some(table) = entry(&mut self.maps, map, self.limits.maps) else {
            self.lost_maps += 1;
            return;
        };
        table.callers.count(caller, op, self.limits.callers_per_map);
        table.unreadable_keys += u64::from(key_unreadable);
        if let Some((bytes, len)) = key {
            table.keys.observe(bytes, len, op, &mut self.budget);
        }
    }

    /// Counts a wait that ended.
    pub fn wait(&mut self, lock: LockId, stack: StackId, duration_ns: u64) {
        let Some(table) = entry(&mut self.locks, lock, self.limits.locks) else {
            self.lost_locks += 1;
            return;
        };
        table.wait.record(duration_ns);
        if !table.waiters.add(stack, 1, duration_ns, self.limits.stacks_per_lock) {
            self.lost_stacks += 1;
        }
    }

    /// Counts a wait that goes on, `waited_ns` so far. To be told once for each at
    /// the interval's end.
    pub fn open_wait(&mut self, lock: LockId, waited_ns: u64) {
        let Some(table) = entry(&mut self.locks, lock, self.limits.locks) else {
            self.lost_locks += 1;
            return;
        };
        table.open += 1;
        table.open_max_ns = table.open_max_ns.max(waited_ns);
    }

    /// Ends the interval: what it held, and an empty builder for the next.
    pub fn close(&mut self, meta: SliceMeta) -> Slice {
        self.budget = self.limits.budget();
        let maps =
            self.maps.iter_mut().enumerate().filter_map(|(id, table)| table.close(id as MapId));
        let locks = std::mem::take(&mut self.locks);
        let locks =
            locks.into_iter().enumerate().filter_map(|(id, table)| table.close(id as LockId));
        let mut lost = meta.lost;
        for (reason, count) in [
            (lost::MAPS, &mut self.lost_maps),
            (lost::LOCKS, &mut self.lost_locks),
            (lost::STACKS, &mut self.lost_stacks),
        ] {
            add_lost(&mut lost, reason, std::mem::take(count));
        }
        Slice {
            start_unix_ns: meta.start_unix_ns,
            duration_ns: meta.duration_ns,
            observed_ns: meta.observed_ns,
            events: meta.events,
            hits: meta.hits,
            probe_ns: meta.probe_ns,
            target_cpu_ns: meta.target_cpu_ns,
            lost,
            maps: maps.collect(),
            locks: locks.collect(),
        }
    }
}

impl MapTable {
    fn close(&mut self, map: MapId) -> Option<MapSlice> {
        let ops = self.callers.total();
        // A map that had no operation gives back its memory, too.
        let (keys, floor) = self.keys.take();
        (ops.total() > 0).then(|| MapSlice {
            map,
            ops,
            unreadable_keys: std::mem::take(&mut self.unreadable_keys),
            keys,
            floor,
            callers: self.callers.take(),
        })
    }
}

impl LockTable {
    fn close(self, lock: LockId) -> Option<LockSlice> {
        (!self.wait.is_empty() || self.open > 0).then(|| LockSlice {
            lock,
            waiters: self.waiters.iter().collect(),
            wait: self.wait,
            open: self.open,
            open_max_ns: self.open_max_ns,
        })
    }
}

/// Counts what was dropped, if anything.
pub(super) fn add_lost(lost: &mut BTreeMap<String, u64>, reason: &str, count: u64) {
    if count > 0 {
        let sum = lost.entry(reason.to_owned()).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// The table of `id`, made where it is missing; `None` beyond `limit`.
#[inline]
fn entry<T: Default>(tables: &mut Vec<T>, id: u32, limit: usize) -> Option<&mut T> {
    let index = id as usize;
    if index >= tables.len() {
        if index >= limit {
            return None;
        }
        tables.resize_with(index + 1, T::default);
    }
    tables.get_mut(index)
}
